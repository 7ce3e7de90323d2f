"""Speaking: prompts -> what is said."""
