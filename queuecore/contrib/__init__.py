"""What connects QueueCore with other packages; each module needs its own extra."""
