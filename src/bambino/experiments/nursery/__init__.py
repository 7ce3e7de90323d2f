"""Experiments in the nursery: designs, exam, runs, results."""
