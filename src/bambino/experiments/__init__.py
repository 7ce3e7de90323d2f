"""Experiments: conditions x seeds."""
