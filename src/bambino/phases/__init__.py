"""Phases: one file each, one face (`Phase`)."""
