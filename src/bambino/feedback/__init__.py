"""Feedback: what comes back for what was said."""
