"""The run directory, both ways: what a run writes, and how it is read."""
