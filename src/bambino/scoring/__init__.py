"""What a model makes of text: hidden states, log-probs, perplexities, bits per byte."""
