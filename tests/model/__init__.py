"""Random commands against a small model of a queue."""
