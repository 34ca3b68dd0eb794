"""Two queues, on two connections."""

import os

from queuecore import Job, processor


@processor("quick")
async def quick(job: Job) -> int:
    return os.getpid()


@processor("quick", name="threaded")
def threaded(job: Job) -> int:
    return os.getpid()


@processor("second", connection="other", concurrency=3)
async def second(job: Job) -> str:
    return job.queue.alias
