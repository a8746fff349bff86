"""The commands, one subject a file; each imports what it needs when it runs."""
