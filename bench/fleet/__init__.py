"""What several worker processes do together: drain a queue, and wait for jobs."""
