"""Beside BullMQ of Node, and of Python: both directions."""
