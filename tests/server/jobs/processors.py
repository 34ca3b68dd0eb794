"""The processors of the tests of ``runworker``."""

import asyncio
import ctypes
import os
import subprocess
import time

from asgiref.sync import sync_to_async

from queuecore import Batch, Job, Processor, processor
from queuecore.worker.child import Child

if os.path.exists(os.environ.get("QUEUECORE_TEST_BROKEN", "")):
    raise ImportError("broken since it was started")
if patience := os.environ.get("QUEUECORE_TEST_UNWIND"):
    Child.UNWIND = float(patience)


@processor("quick")
async def quick(job: Job) -> int:
    return os.getpid()


@processor("quick", name="threaded")
def threaded(job: Job) -> int:
    return os.getpid()


@processor("quick", name="loud")
async def loud(job: Job) -> None:
    print("a line that stays in the buffer until the end")


@processor("second", connection="other", concurrency=3)
async def second(job: Job) -> str:
    return job.queue.alias


@processor("slow", concurrency=4)
async def slow(job: Job) -> str:
    await asyncio.sleep(job.data["seconds"])
    return "done"


@processor("slow", name="threaded")
def slow_thread(job: Job) -> str:
    time.sleep(job.data["seconds"])
    return "done"


@processor("slow", name="to_thread")
async def slow_to_thread(job: Job) -> str:
    """In asyncio's own threads, which Python waits for at its end."""
    await asyncio.to_thread(time.sleep, job.data["seconds"])
    return "done"


@processor("slow", name="sync_to_async")
async def slow_sync_to_async(job: Job) -> str:
    await sync_to_async(time.sleep)(job.data["seconds"])
    return "done"


@processor("slow", name="blocking")
async def blocking(job: Job) -> None:
    while True:
        time.sleep(0.01)  # noqa: ASYNC251 (nothing else gets its turn)


@processor("slow", name="stubborn")
async def stubborn(job: Job) -> str:
    while True:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            continue


async def leave(kind: str) -> None:
    await asyncio.sleep(0)
    raise {"exit": SystemExit, "interrupt": KeyboardInterrupt}[kind]("from inside")


@processor("exits")
async def exits(job: Job) -> None:
    """Raises SystemExit or KeyboardInterrupt in a task that asyncio makes."""
    how, kind = job.name.split("-")
    if how == "plain":
        await leave(kind)
    elif how == "gather":
        await asyncio.gather(leave(kind), asyncio.sleep(0.01))
    elif how == "wait_for":
        await asyncio.wait_for(leave(kind), 5)
    elif how == "shield":
        await asyncio.shield(leave(kind))
    elif how == "task":
        await asyncio.create_task(leave(kind))
    elif how == "group":
        async with asyncio.TaskGroup() as group:
            group.create_task(leave(kind))
            group.create_task(asyncio.sleep(10))
    elif how == "cancelled":
        # Before its first step: nothing may warn that it was never awaited.
        asyncio.create_task(leave(kind)).cancel()


@processor("batched", batch=Batch(4, min_size=4, timeout=0.5))
def batched(jobs: list[Job]) -> list[int]:
    """Stays for ever where the first job runs for the first time."""
    for job in jobs:
        if job.data == 0 and job.attempts_started == 1:
            job.update_progress(os.getpid())
            time.sleep(300)
    return [len(jobs)] * len(jobs)


@processor("boxed", sandbox=True, concurrency=1)
def boxed(job: Job) -> str:
    """In its first run it starts processes, says which, and stays."""
    if job.attempts_started == 1:
        pids = [os.getpid(), subprocess.Popen(["sleep", "300"]).pid]
        if (pid := os.fork()) == 0:
            time.sleep(300)
        job.update_progress([*pids, pid])
        ctypes.PyDLL(None).sleep(300)  # no other thread of it runs meanwhile
    return "done"


@processor("broken-setup")
class BrokenSetup(Processor):
    def setup(self) -> None:
        raise LookupError("no model file")

    def process(self, job: Job) -> None:
        raise AssertionError("ran")
