"""Training: Algorithm 1, from a recipe to a run directory."""
