"""The processors of the fault tests' workers; what they run is kept in the test's ledger."""

import asyncio
import os
import random
import signal
import time
from functools import cache

from django.contrib.auth.models import Group
from django.db import transaction

from queuecore import GroupLimits, Job, processor
from queuecore.worker import supervisor
from tests.chaos.ledger import Ledger

if pause := os.environ.get("QUEUECORE_TEST_PAUSE"):
    # A supervisor whose children are killed on purpose shall not become cautious.
    supervisor._LONGEST_PAUSE = supervisor._FIRST_PAUSE = float(pause)


@cache
def ledger() -> Ledger:
    return Ledger.of_this_process()


@processor("short")
async def short(job: Job) -> dict[str, int]:
    """Some milliseconds of work, in the event loop."""
    ledger().note("start", job.id)
    await asyncio.sleep(random.random() * 0.02)
    ledger().note("end", job.id)
    return {"n": job.data["n"]}


@processor("short", name="threaded")
def threaded(job: Job) -> dict[str, int]:
    """The same in a thread."""
    ledger().note("start", job.id)
    time.sleep(random.random() * 0.02)
    ledger().note("end", job.id)
    return {"n": job.data["n"]}


@processor("short", name="second-try")
async def second_try(job: Job) -> dict[str, int]:
    """Fails at its first attempt."""
    ledger().note("start", job.id)
    await asyncio.sleep(random.random() * 0.01)
    ledger().note("end", job.id)
    if job.attempts_made == 0:
        raise RuntimeError("the first attempt fails")
    return {"n": job.data["n"]}


@processor("short", name="poison")
async def poison(job: Job) -> None:
    """Takes its process down each time, while others run beside it."""
    ledger().note("start", job.id)
    await asyncio.sleep(random.random() * 0.005)
    os.kill(os.getpid(), signal.SIGKILL)


@processor("long")
async def long(job: Job) -> str:
    """Runs as long as it is told to."""
    ledger().note("start", job.id)
    await asyncio.sleep(job.data["seconds"])
    ledger().note("end", job.id)
    return "done"


@processor("long", name="threaded")
def long_threaded(job: Job) -> str:
    """The same in a thread."""
    ledger().note("start", job.id)
    time.sleep(job.data["seconds"])
    ledger().note("end", job.id)
    return "done"


@processor("beat")
async def beat(job: Job) -> None:
    """One run of a scheduler."""
    ledger().note("start", job.id)
    await asyncio.sleep(random.random() * 0.05)
    ledger().note("end", job.id)


@processor("crowd", group=GroupLimits(concurrency=3))
async def crowd(job: Job) -> str:
    """Some milliseconds for one of many groups; fails first if it is told to."""
    ledger().note("start", job.id)
    await asyncio.sleep(random.random() * job.data.get("seconds", 0.004))
    ledger().note("end", job.id)
    if job.data.get("fails") and job.attempts_made == 0:
        raise RuntimeError("the first attempt fails")
    return "ours"


@processor("orm")
def orm(job: Job) -> int:
    """Several transactions of the database, in a thread."""
    count = 0
    for step in range(3):
        with transaction.atomic():
            Group.objects.update_or_create(name=f"{job.id}-{step}")
            count += Group.objects.filter(name__startswith=f"{job.id}-").count()
        time.sleep(random.random() * 0.02)
    return count


@processor("orm", name="async")
async def async_orm(job: Job) -> int:
    """The same in a coroutine."""
    count = 0
    for step in range(3):
        await Group.objects.aupdate_or_create(name=f"{job.id}-{step}")
        count += await Group.objects.filter(name__startswith=f"{job.id}-").acount()
        await asyncio.sleep(random.random() * 0.02)
    return count
