"""Closing: running jobs end, or are handed back as the next to run and with no try counted."""

import asyncio
import contextlib
import threading
import time

import pytest
import redis

from queuecore import Job, JobSpec, Queue, Worker
from queuecore.wire.connections import get_connection
from queuecore.worker.lanes import Lanes
from tests import invariants
from tests.server.working import fields, finished, until, working


class Slow:
    """Runs until its gate is opened; counts the runs and the cancellations."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.ran: list[str] = []
        self.cancelled: list[str] = []

    async def __call__(self, job: Job) -> str:
        self.ran.append(job.id)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(job.id)
            raise
        return "done"


def waiting(client: redis.Redis) -> list[str]:
    """What waits, next to run first."""
    ids: list[str] = client.lrange("bull:q:wait", 0, -1)
    return ids[::-1]


@pytest.mark.parity("Worker.close")
async def test_running_jobs_end_first(queue: Queue, redis_client: redis.Redis) -> None:
    slow = Slow()
    jobs = await queue.aadd_bulk([JobSpec("x") for _ in range(6)])
    async with working(slow, concurrency=3) as worker:
        await until(lambda: worker.running == 3)
        closing = asyncio.create_task(worker.close(10))
        await asyncio.sleep(0.1)
        assert not closing.done()
        slow.gate.set()
        await asyncio.wait_for(closing, 2)
    assert slow.ran == [job.id for job in jobs[:3]]
    assert slow.cancelled == []
    assert waiting(redis_client) == [job.id for job in jobs[3:]]
    assert (await queue.aget_job_counts())["completed"] == 3
    invariants.check(redis_client, "q", idle=True)


async def test_what_does_not_end_is_handed_back(queue: Queue, redis_client: redis.Redis) -> None:
    slow = Slow()
    jobs = await queue.aadd_bulk([JobSpec("x", attempts=2) for _ in range(6)])
    async with working(slow, concurrency=3) as worker:
        await until(lambda: worker.running == 3)
        begun = time.monotonic()
        await worker.close(0.2)
        assert 0.2 <= time.monotonic() - begun < 2
    assert sorted(slow.cancelled) == [job.id for job in jobs[:3]]
    # Next to run are those that ran, in their old order.
    assert waiting(redis_client) == [job.id for job in jobs]
    stored = await fields(queue, jobs[0].id)
    assert stored["ats"] == "1"
    assert not {"atm", "failedReason", "stc", "sa"} & set(stored)
    assert redis_client.keys("bull:q:*:lock") == []
    invariants.check(redis_client, "q", idle=True)


async def test_prioritized_jobs_go_back_to_their_place(
    queue: Queue, redis_client: redis.Redis
) -> None:
    slow = Slow()
    await queue.aadd("low", priority=9)
    first = await queue.aadd("high", priority=1)
    async with working(slow, concurrency=1) as worker:
        await until(lambda: slow.ran == [first.id])
        await queue.aadd("high", priority=1)
        await worker.close(0)
    assert redis_client.zrange("bull:q:prioritized", 0, -1) == ["2", "3", "1"]
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_second_close_overtakes_the_first(
    queue: Queue, redis_client: redis.Redis, kind: str
) -> None:
    slow, stop = Slow(), threading.Event()

    def blocking(job: Job) -> None:
        stop.wait(10)

    await queue.aadd_bulk([JobSpec("x") for _ in range(2)])
    worker = Worker("q", blocking if kind == "sync" else slow, concurrency=2)
    task = asyncio.create_task(worker.arun())
    await until(lambda: worker.running == 2)
    first = asyncio.create_task(worker.close(60))
    await asyncio.sleep(0.05)
    begun = time.monotonic()
    await worker.close(0)
    await asyncio.wait_for(asyncio.gather(first, task), 3)
    assert time.monotonic() - begun < 3
    assert waiting(redis_client) == ["1", "2"]
    stop.set()
    await get_connection().aclose()


async def test_a_thread_that_ends_after_its_job_was_handed_back(
    queue: Queue, redis_client: redis.Redis
) -> None:
    stop = threading.Event()
    ran: list[str] = []

    def blocking(job: Job) -> str:
        ran.append(job.id)
        stop.wait(10)
        return "too late"

    job = await queue.aadd("x")
    async with working(blocking, concurrency=1) as worker:
        await until(lambda: ran)
        await worker.close(0)
    stop.set()
    for thread in threading.enumerate():
        if thread.name.startswith("queuecore-q"):
            thread.join(5)
    await asyncio.sleep(0)
    assert await queue.aget_job_state(job.id) == "waiting"
    assert (await queue.aget_job(job.id)).returnvalue is None
    async with working(Ending()):
        await finished(queue, 1)
    assert (await queue.aget_job(job.id)).returnvalue == "in time"


class Ending:
    async def __call__(self, job: Job) -> str:
        return "in time"


async def test_a_coroutine_that_will_not_be_cancelled(
    queue: Queue, redis_client: redis.Redis
) -> None:
    over = asyncio.Event()

    async def stubborn(job: Job) -> None:
        while not over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await over.wait()

    job = await queue.aadd("x")
    async with working(stubborn) as worker:
        await until(lambda: worker.running == 1)
        begun = time.monotonic()
        await worker.close(0)
        assert time.monotonic() - begun < 3
        assert await queue.aget_job_state(job.id) == "waiting"
    over.set()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait([task], timeout=6)


async def test_cleaning_up_after_a_cancellation(queue: Queue) -> None:
    cleaned: list[str] = []

    async def careful(job: Job) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await job.alog("cleaned up")
            cleaned.append(job.id)

    job = await queue.aadd("x")
    async with working(careful) as worker:
        await until(lambda: worker.running == 1)
        await worker.close(0)
    assert cleaned == [job.id]
    assert (await queue.aget_job_logs(job.id))[0] == ["cleaned up"]


async def test_results_that_are_under_way_arrive(queue: Queue, redis_client: redis.Redis) -> None:
    for _ in range(10):
        gate = asyncio.Event()

        async def work(job: Job, gate: asyncio.Event = gate) -> None:
            await gate.wait()

        await queue.aadd_bulk([JobSpec("x") for _ in range(10)])
        async with working(work, concurrency=10) as worker:
            await until(lambda worker=worker: worker.running == 10)
            gate.set()
            await worker.close(5)
    counts = await queue.aget_job_counts()
    assert (counts["completed"], counts["active"]) == (100, 0)
    invariants.check(redis_client, "q", idle=True)


async def test_closing_in_the_middle_of_everything(queue: Queue, redis_client: redis.Redis) -> None:
    """At any moment: nothing is lost, nothing stays in active, nothing costs a try."""

    async def work(job: Job) -> None:
        await asyncio.sleep(0.001)

    jobs = await queue.aadd_bulk([JobSpec("x") for _ in range(600)])
    for n in range(20):
        async with working(work, concurrency=7) as worker:
            await asyncio.sleep(0.004 * n)
            await worker.close(0 if n % 2 else 5)
        counts = await queue.aget_job_counts()
        assert counts["active"] == 0
        invariants.check(redis_client, "q", idle=True)
    async with working(work, concurrency=50):
        counts = await finished(queue, len(jobs))
    assert counts["completed"] == len(jobs)
    assert {job.attempts_made for job in await queue.aget_jobs(["completed"])} == {1}


async def test_closing_before_and_after_running(queue: Queue) -> None:
    await queue.aadd("x")
    worker = Worker("q", Slow())
    await worker.close()
    await asyncio.wait_for(worker.arun(), 2)  # a worker stays closed
    await asyncio.wait_for(worker.close(), 1)
    assert (await queue.aget_job_counts())["waiting"] == 1
    await get_connection().aclose()


async def test_cancelling_arun_hands_back_too(queue: Queue, redis_client: redis.Redis) -> None:
    slow = Slow()
    await queue.aadd("x")
    worker = Worker("q", slow)
    task = asyncio.create_task(worker.arun())
    await until(lambda: worker.running == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 3)
    assert waiting(redis_client) == ["1"]
    await get_connection().aclose()


async def test_a_job_that_was_handed_back_runs_elsewhere_at_once(queue: Queue) -> None:
    slow = Slow()
    job = await queue.aadd("x")
    async with working(slow, concurrency=1) as first:
        await until(lambda: first.running == 1)
        async with working(Ending()):
            await asyncio.sleep(0.2)
            await first.close(0)
            begun = time.monotonic()
            await finished(queue, 1)
            assert time.monotonic() - begun < 2
    stored = await fields(queue, job.id)
    assert (stored["atm"], stored["ats"]) == ("1", "2")


async def test_a_part_that_dies_takes_the_worker_with_it(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow()
    await queue.aadd("x")
    worker = Worker("q", slow)

    async def dying(lanes: Lanes) -> None:
        await until(lambda: worker.running == 1)
        raise LookupError("a fault of our own")

    monkeypatch.setattr(Lanes, "wait_for_work", dying)
    with pytest.raises(LookupError, match="a fault of our own"):
        await asyncio.wait_for(worker.arun(), 5)
    # What ran is handed back all the same.
    assert waiting(redis_client) == ["1"]
    await asyncio.wait_for(worker.close(), 1)
    await get_connection().aclose()
