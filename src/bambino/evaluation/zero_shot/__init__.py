"""Zero-shot classification: tasks as YAML, options scored by log-likelihood, verdicts against chance."""
