"""Worker of the queue ``notifications``: a job's name is the event that a partner is told."""

import asyncio
from typing import Any

from demo.notifications import services
from queuecore import Job, UnrecoverableError, processor


@processor("notifications", concurrency=5)
async def notify(job: Job) -> dict[str, Any]:
    """Post one signed webhook. What it raises decides: tried again later, or never."""
    endpoint = job.data["endpoint"]
    await job.alog(f"try {job.attempts_made + 1}: posting {job.name} to {endpoint}")
    try:
        return await asyncio.to_thread(
            services.deliver, endpoint, f"{job.queue.name}-{job.id}", job.name, job.data["data"]
        )
    except services.EndpointGone as error:
        raise UnrecoverableError(str(error)) from error
