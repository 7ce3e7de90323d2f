"""What a baby can do: fluency, minimal pairs, what it says."""
