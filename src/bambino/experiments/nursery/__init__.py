"""Experiments in the nursery: designs, test set, runs, results."""
