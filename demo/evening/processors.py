"""What the company's workers do: they take their time, and two partners do not answer."""

import asyncio
import random
from typing import Any

from queuecore import Backoff, GroupLimits, Job, RateLimit, processor

#: The partners that are down tonight, and what a call to each ends with.
DOWN = {
    "https://hooks.northwind.example/orders": "no answer within 10 s",
    "https://api.fabrikam.example/v2/events": "502 Bad Gateway",
}


class PartnerError(Exception):
    """A partner answered, and not well."""


async def work(job: Job, low: float, high: float) -> None:
    """Do something for between *low* and *high* seconds."""
    await asyncio.sleep(random.uniform(low, high))


@processor("emails", concurrency=20, limits=["outbound"])
async def send(job: Job) -> dict[str, Any]:
    """Hand one mail to the relay."""
    await work(job, 0.05, 0.4)
    await job.alog(f"250 queued as {random.randrange(16**8):08x}")
    return {"relay": "mx-2", "bytes": random.randint(2_000, 30_000)}


@processor("payments", concurrency=8)
async def capture(job: Job) -> dict[str, Any]:
    """Capture a payment."""
    await work(job, 0.2, 1.2)
    return {"status": "captured", "amount": job.data.get("amount")}


@processor("orders", concurrency=4)
async def fulfil(job: Job) -> dict[str, Any]:
    """Done once all that belongs to the order is."""
    values = await job.aget_children_values()
    return {"parts": len(values)}


@processor("images.thumbnails", concurrency=6)
async def thumbnail(job: Job) -> dict[str, Any]:
    """Make the sizes of a picture."""
    for done in (25, 50, 75, 100):
        await work(job, 0.3, 1.5)
        await job.aupdate_progress(done)
    return {"sizes": [320, 640, 1280]}


@processor("exports", concurrency=2, timeout=120)
async def export(job: Job) -> dict[str, Any]:
    """Write a report, which lasts."""
    for done in range(5, 101, 5):
        await work(job, 1, 3)
        await job.aupdate_progress(done)
        await job.alog(f"wrote {done * 1_200:,} rows")
    return {"rows": 120_000}


@processor(
    "webhooks",
    concurrency=10,
    limiter=RateLimit(60, 1),
    group=GroupLimits(concurrency=3),
    limits=["outbound"],
)
async def deliver(job: Job) -> dict[str, Any]:
    """Tell a partner of an event."""
    await work(job, 0.05, 0.3)
    return await post(job.data["endpoint"])


async def post(endpoint: str) -> dict[str, Any]:
    """Call the partner."""
    if (answer := DOWN.get(endpoint)) is None:
        return {"status": 204}
    if "no answer" in answer:
        raise TimeoutError(f"POST {endpoint}: {answer}")
    raise PartnerError(f"POST {endpoint}: {answer}")


@processor("housekeeping", concurrency=2)
async def tidy(job: Job) -> dict[str, int]:
    """Remove what nobody needs any more."""
    await work(job, 0.5, 4)
    return {"removed": random.randint(0, 900)}


#: How the company's jobs are tried again.
AGAIN = {"attempts": 3, "backoff": Backoff.exponential(0.2), "timeout": 30}
