"""Worker of the queue ``notifications``: a job's name is the event that a partner is told."""

import asyncio
from typing import Any

from demo.notifications import services
from queuecore import GroupLimits, Job, UnrecoverableError, processor

#: Seconds in which a partner takes one page of the price list.
PACE = 2.0


# Each partner is a group: one that answers slowly keeps no other waiting.
@processor("notifications", concurrency=5, group=GroupLimits(concurrency=2))
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


@processor("notifications", name="prices.upload", timeout=600)
async def upload(job: Job) -> dict[str, int]:
    """Send the whole price list, page by page, as slowly as the partner wants it.

    It takes minutes: try "Cancel job" on its page. What was sent stays sent.
    """
    endpoint, pages = job.data["endpoint"], job.data["pages"]
    sent = 0
    for page in range(1, pages + 1):
        try:
            await asyncio.to_thread(
                services.deliver, endpoint, f"{job.id}-{page}", job.name, {"page": page}
            )
            sent += 1
        except services.DeliveryFailed as error:
            await job.alog(f"page {page} of {pages} is left out: {error}")
        await job.aupdate_progress(100 * page // pages)
        await asyncio.sleep(PACE)
    return {"sent": sent, "pages": pages}
