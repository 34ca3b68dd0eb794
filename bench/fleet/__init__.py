"""What several worker processes do together: drain a queue, and wait for jobs."""

QUEUES = tuple(f"fleet-{number}" for number in range(10))
