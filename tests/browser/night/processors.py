"""Mail that fails while the relay is away: the relay is there if a file is."""

import asyncio
import os
from pathlib import Path

from queuecore import Job, processor

RELAY = Path(os.environ["QUEUECORE_TEST_HOME"]) / "relay-is-up"


@processor("mail", concurrency=20)
async def send(job: Job) -> dict[str, bool]:
    """Send one receipt."""
    if not RELAY.exists():
        raise ConnectionError("the relay is away")
    await asyncio.sleep(0.01)
    return {"sent": True}


@processor("mail", name="order")
async def order(job: Job) -> int:
    """Done once its mails are out."""
    return len(await job.aget_children_values())
