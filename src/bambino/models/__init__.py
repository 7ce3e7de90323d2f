"""Models: open, make, check, keep."""
