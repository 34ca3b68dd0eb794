"""Queues of one process, some busy, some not, and one that several processes share."""

import asyncio
import os

from queuecore import Job, processor


@processor("busy", concurrency=50)
async def busy(job: Job) -> None:
    pass


@processor("busy", name="threaded")
def busy_in_threads(job: Job) -> None:
    pass


@processor("busy-boxed", sandbox=True, concurrency=2)
def busy_in_boxes(job: Job) -> None:
    pass


@processor("rare")
async def rare(job: Job) -> None:
    pass


@processor("rare", name="threaded")
def rare_in_a_thread(job: Job) -> None:
    pass


@processor("rare-boxed", sandbox=True, concurrency=1)
def rare_in_a_box(job: Job) -> None:
    pass


@processor("share", concurrency=25)
async def share(job: Job) -> int:
    await asyncio.sleep(job.data["seconds"])
    return os.getpid()
