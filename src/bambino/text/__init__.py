"""Text: files -> lines -> token rows -> batches -> streams."""
