"""Damaged and made-up input for everything that bambino reads, and the law that each reader keeps."""
