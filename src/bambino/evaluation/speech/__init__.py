"""What the baby says: its words, its variety, what its parent makes of it, beside what humans wrote."""
