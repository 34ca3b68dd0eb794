"""Puts a collector in place that dies once a job runs."""

import asyncio

from queuecore import Queue
from queuecore.history import Collector


async def run(self: Collector) -> None:
    while (await Queue("slow").aget_job_counts())["active"] == 0:
        await asyncio.sleep(0.01)
    raise LookupError("the collector died")


Collector.run = run  # type: ignore[method-assign]
