"""Both queues belong to the limit ``api``, which the settings get from the environment."""

import asyncio

from queuecore import Job, processor


@processor("charges", limits=["api"], concurrency=10)
@processor("refunds", limits=["api"], concurrency=10)
async def call(job: Job) -> None:
    """Takes as long as its data says, but only at its first start."""
    if job.attempts_started == 1:
        await asyncio.sleep(job.data or 0)
