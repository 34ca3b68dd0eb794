"""Ten queues whose jobs note when they were picked up."""

import time

from bench.fleet import QUEUES
from queuecore import Job, processor


async def pick_up(job: Job) -> int:
    """The nanoseconds since it was sent; one clock for all processes of a machine."""
    return time.monotonic_ns() - job.data["sent"]


for queue in QUEUES:
    processor(queue)(pick_up)
