"""Jobs that run until they are cancelled: a coroutine, a function in a thread, one in a sandbox."""

import asyncio
import time

from queuecore import Job, processor


@processor("endless", timeout=300)
async def forever(job: Job) -> None:
    await asyncio.Event().wait()


@processor("endless", name="threaded")
def patient(job: Job) -> None:
    """Asks only now and then whether it was cancelled, so that one sees it go on."""
    while job.cancelled is None:
        time.sleep(0.01)
    time.sleep(2)
    job.raise_if_cancelled()


@processor("boxes", sandbox=True, concurrency=1)
def boxed(job: Job) -> None:
    while True:
        time.sleep(1)
