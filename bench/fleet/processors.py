"""Ten queues whose jobs note when they were picked up."""

import time

from queuecore import Job, processor

QUEUES = tuple(f"fleet-{number}" for number in range(10))


async def pick_up(job: Job) -> int:
    """The nanoseconds since it was sent; one clock for all processes of a machine."""
    return time.monotonic_ns() - job.data["sent"]


for queue in QUEUES:
    processor(queue)(pick_up)
