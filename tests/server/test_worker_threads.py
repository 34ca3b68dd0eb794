"""Function processors: in threads, really side by side, and nothing left of a job in the next."""

import asyncio
import threading
import time
from contextvars import ContextVar

import pytest
import redis
from django.utils import translation

from queuecore import Job, JobSpec, Queue
from tests import invariants
from tests.server.working import finished, until, working

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


async def test_a_function_runs_in_a_thread_of_the_worker(
    queue: Queue, redis_client: redis.Redis
) -> None:
    def work(job: Job) -> str:
        job.log("from a thread")
        job.update_progress(50)
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        return threading.current_thread().name

    job = await queue.aadd("x")
    async with working(work):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert stored.returnvalue.startswith("queuecore-q-")
    assert stored.progress == 50
    assert (await queue.aget_job_logs(job.id))[0] == ["from a thread"]
    invariants.check(redis_client, "q", idle=True)


async def test_threads_run_side_by_side(queue: Queue) -> None:
    # Nobody passes before all four are there.
    meeting = threading.Barrier(4, timeout=5)
    names: set[str] = set()

    def work(job: Job) -> None:
        meeting.wait()
        names.add(threading.current_thread().name)

    await queue.aadd_bulk([JobSpec("x") for _ in range(20)])
    async with working(work, concurrency=4):
        counts = await finished(queue, 20)
    assert (counts["completed"], counts["failed"]) == (20, 0)
    assert len(names) == 4


async def test_one_slot_is_one_thread(queue: Queue) -> None:
    names: list[str] = []
    order: list[str] = []

    def work(job: Job) -> None:
        names.append(threading.current_thread().name)
        order.append(job.id)

    jobs = await queue.aadd_bulk([JobSpec("x") for _ in range(30)])
    async with working(work, concurrency=1):
        await finished(queue, 30)
    assert len(set(names)) == 1
    assert order == [job.id for job in jobs]


async def test_the_event_loop_is_free_meanwhile(queue: Queue) -> None:
    ticks = 0

    def work(job: Job) -> None:
        time.sleep(0.3)

    await queue.aadd_bulk([JobSpec("x") for _ in range(2)])
    async with working(work, concurrency=2) as worker:
        await until(lambda: worker.running == 2)
        while worker.running:
            ticks += 1
            await asyncio.sleep(0.01)
        await finished(queue, 2)
    assert ticks > 10


async def test_nothing_of_a_job_is_left_in_the_next(queue: Queue) -> None:
    seen: list[tuple[str, str]] = []

    def work(job: Job) -> None:
        seen.append((tenant.get(), translation.get_language()))
        tenant.set(f"tenant of {job.id}")
        translation.activate("de")

    await queue.aadd_bulk([JobSpec("x") for _ in range(30)])
    async with working(work, concurrency=3):
        await finished(queue, 30)
    assert seen == [("nobody", "en")] * 30 or seen == [("nobody", "en-us")] * 30


async def test_no_thread_is_left_when_the_worker_has_ended(queue: Queue) -> None:
    before = set(threading.enumerate())

    def work(job: Job) -> None:
        time.sleep(0.01)

    await queue.aadd_bulk([JobSpec("x") for _ in range(20)])
    async with working(work, concurrency=5):
        await finished(queue, 20)
    left = [one.name for one in set(threading.enumerate()) - before if "queuecore" in one.name]
    assert left == []


async def test_both_kinds_in_one_worker(queue: Queue) -> None:
    from queuecore.callables import entries_for
    from queuecore.processors import QueueProcessors

    async def awaiting(job: Job) -> str:
        await asyncio.sleep(0.001)
        return "loop"

    def blocking(job: Job) -> str:
        return "thread"

    processors = QueueProcessors(
        "default",
        "q",
        named={"b": entries_for(blocking)[None]},
        default=entries_for(awaiting)[None],
    )
    jobs = await queue.aadd_bulk([JobSpec("ab"[n % 2]) for n in range(40)])
    async with working(processors, concurrency=4):
        await finished(queue, 40)
    for job in jobs:
        stored = await queue.aget_job(job.id)
        assert stored.returnvalue == {"a": "loop", "b": "thread"}[job.name]
