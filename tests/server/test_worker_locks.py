"""Locks of running jobs: renewed whatever blocks, taken again, or lost to another for good."""

import asyncio
import logging
import threading
import time
from collections import Counter

import pytest
import redis

from queuecore import Job, JobSpec, Queue
from queuecore.errors import ServerRefused
from tests import invariants
from tests.server.working import fields, finished, told, until, working

SHORT = {"lock_duration": 0.6, "stalled_interval": 0.2}


def stalls(client: redis.Redis) -> list[str]:
    return [one["jobId"] for _, one in client.xrange("bull:q:events") if one["event"] == "stalled"]


class Gated:
    """Runs until its gate opens; counts the runs and the cancellations."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.runs: Counter[str] = Counter()
        self.cancelled: list[str] = []

    async def __call__(self, job: Job) -> str:
        self.runs[job.id] += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(job.id)
            raise
        return f"run {job.attempts_started}"


class Other:
    """A second worker in a thread and loop of its own, which no block of the first one stops."""

    def __init__(self, processor: object, **options: object) -> None:
        self._processor, self._options = processor, options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with working(self._processor, **self._options):  # type: ignore[arg-type]
            await self._stop.wait()

    async def __aenter__(self) -> "Other":
        self._thread.start()
        await until(lambda: self._loop is not None)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(lambda: self._stop.set())
        await asyncio.to_thread(self._thread.join)


@pytest.mark.parity("Worker.lockDuration", "Worker.lockRenewTime")
async def test_a_long_job_keeps_its_lock(queue: Queue, redis_client: redis.Redis) -> None:
    gated = Gated()
    jobs = await queue.aadd_bulk([JobSpec("x") for _ in range(20)])
    async with working(gated, concurrency=20, **SHORT), working(gated, concurrency=20, **SHORT):
        await until(lambda: len(gated.runs) == 20)
        await asyncio.sleep(2)  # three lives of a lock
        # Confirmed: a run that outlives a renewal is known to have been one.
        stored = await fields(queue, jobs[0].id)
        assert stored["sa"] == stored["ats"] == "1"
        gated.gate.set()
        await finished(queue, 20)
    assert set(gated.runs.values()) == {1}
    assert stalls(redis_client) == []
    assert "sa" not in await fields(queue, jobs[0].id)
    invariants.check(redis_client, "q", idle=True)


async def test_a_blocked_event_loop_costs_no_lock(queue: Queue, redis_client: redis.Redis) -> None:
    runs: Counter[str] = Counter()

    async def busy(job: Job) -> None:
        runs[job.id] += 1
        if job.name == "busy":
            end = time.monotonic() + 5 * SHORT["lock_duration"]
            while time.monotonic() < end:
                pass

    # Beside the one that blocks, others hold locks too.
    await queue.aadd_bulk([JobSpec("x") for _ in range(5)] + [JobSpec("busy")])
    async with Other(busy, concurrency=1, **SHORT), working(busy, concurrency=6, **SHORT):
        await finished(queue, 6, 15)
    assert set(runs.values()) == {1}
    assert stalls(redis_client) == []


async def test_a_blocked_event_loop_is_told_with_the_jobs_name(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    async def blocking(job: Job) -> None:
        time.sleep(2)  # noqa: ASYNC251 (the fault of this test)

    job = await queue.aadd("thumbnail")
    with caplog.at_level(logging.WARNING, "queuecore"):
        async with working(blocking, **SHORT):
            await finished(queue, 1)
    said = [one.getMessage() for one in caplog.records if "event loop" in one.getMessage()]
    assert len(said) == 1, caplog.text
    assert f"job {job.id} 'thumbnail'" in said[0]
    assert "has blocked the event loop for 1." in said[0]
    assert "test_worker_locks.py:" in said[0]
    assert "(blocking)" in said[0]


async def test_a_loop_that_is_not_blocked_is_not_complained_of(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    def threaded(job: Job) -> None:
        time.sleep(2)

    await queue.aadd("x")
    with caplog.at_level(logging.WARNING, "queuecore"):
        async with working(threaded, **SHORT):
            await finished(queue, 1)
    assert "event loop" not in caplog.text


async def test_a_full_server_costs_no_lock(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """BullMQ's renewal is refused there, so that every running job runs twice."""
    gated, release = Gated(), threading.Event()
    elsewhere: Counter[str] = Counter()

    def held(job: Job) -> None:
        elsewhere[job.id] += 1
        release.wait(30)

    await queue.aadd_bulk([JobSpec("x") for _ in range(200)])
    await queue.aadd("waits")
    async with Other(held, concurrency=1, **SHORT), working(gated, concurrency=150, **SHORT):
        await until(lambda: len(gated.runs) == 150 and len(elsewhere) == 1)
        redis_client.config_set("maxmemory", "1")
        try:
            await asyncio.sleep(5 * SHORT["lock_duration"])
            with pytest.raises(ServerRefused, match="memory is full"):
                await queue.aadd("refused")
            assert len(told(caplog)) <= 2 * 2 * 3, caplog.text  # two a second and worker
            # Results are taken all the same.
            gated.gate.set()
            release.set()
            await finished(queue, 151)
        finally:
            redis_client.config_set("maxmemory", "0")
        await finished(queue, 201)
    assert set((gated.runs + elsewhere).values()) == {1}
    assert stalls(redis_client) == []
    invariants.check(redis_client, "q", idle=True)


async def test_a_lock_that_vanished_is_taken_again(queue: Queue, redis_client: redis.Redis) -> None:
    gated = Gated()
    job = await queue.aadd("x")
    # Checks are rare here: the owner comes first.
    slow_checks = {"lock_duration": 0.4, "stalled_interval": 5}
    async with working(gated, **slow_checks), working(gated, **slow_checks):
        await until(lambda: gated.runs)
        for _ in range(5):
            token = redis_client.get(f"bull:q:{job.id}:lock")
            redis_client.delete(f"bull:q:{job.id}:lock")
            again = await until(lambda: redis_client.get(f"bull:q:{job.id}:lock"), 2)
            assert again == token
            assert redis_client.pttl(f"bull:q:{job.id}:lock") > 0
        gated.gate.set()
        await finished(queue, 1)
    assert gated.runs == {job.id: 1}
    assert stalls(redis_client) == []


async def test_many_locks_that_vanish_at_random(queue: Queue, redis_client: redis.Redis) -> None:
    """Taken again, or lost to the next run: one outcome a job in any case."""
    runs: Counter[str] = Counter()

    async def work(job: Job) -> None:
        runs[job.id] += 1
        await asyncio.sleep(0.05)

    short = {"lock_duration": 0.2, "stalled_interval": 0.1, "max_stalled_count": 1000}
    await queue.aadd_bulk([JobSpec("x") for _ in range(200)])
    deleted = 0
    async with working(work, concurrency=10, **short), working(work, concurrency=10, **short):
        while redis_client.zcard("bull:q:completed") < 200:
            for key in redis_client.keys("bull:q:*:lock")[::4]:
                if deleted < 150:
                    deleted += redis_client.delete(key)
            await asyncio.sleep(0.02)
    assert deleted > 50
    events = Counter(
        one["jobId"]
        for _, one in redis_client.xrange("bull:q:events")
        if one["event"] in ("completed", "failed")
    )
    assert set(events.values()) == {1}
    assert len(events) == 200
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_a_lock_that_another_holds_is_lost(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    gated, stop = Gated(), threading.Event()

    def blocking(job: Job) -> str:
        gated.runs[job.id] += 1
        stop.wait(10)
        return "void"

    job = await queue.aadd("x")
    options = {"lock_duration": 0.4, "stalled_interval": 30}
    async with working(gated if kind == "async" else blocking, **options) as worker:
        await until(lambda: gated.runs)
        redis_client.set(f"bull:q:{job.id}:lock", "another:1")
        await until(lambda: "lost its lock" in caplog.text)
        if kind == "async":
            await until(lambda: gated.cancelled == [job.id])
        stop.set()
        await until(lambda: worker.running == 0)
        # Nothing of the other's run is touched.
        assert redis_client.get(f"bull:q:{job.id}:lock") == "another:1"
        assert redis_client.lrange("bull:q:active", 0, -1) == [job.id]
        stored = await fields(queue, job.id)
        assert not {"returnvalue", "failedReason", "atm"} & set(stored)
        # The slot is free again.
        gated.gate.set()
        await queue.aadd("next")
        await finished(queue, 1)


async def test_the_outcome_of_a_run_that_lost_its_lock_is_refused(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """Even if nobody noticed before the job ended."""
    gated = Gated()
    job = await queue.aadd("x")
    async with working(gated) as worker:
        await until(lambda: gated.runs)
        redis_client.set(f"bull:q:{job.id}:lock", "another:1")
        gated.gate.set()
        await until(lambda: worker.running == 0)
        await until(lambda: "runs elsewhere; its outcome is void" in caplog.text)
    assert await queue.aget_job_state(job.id) == "active"
    assert redis_client.get(f"bull:q:{job.id}:lock") == "another:1"


async def test_a_job_that_the_same_worker_gets_again(
    queue: Queue, redis_client: redis.Redis
) -> None:
    """It lost the lock, the job was recovered, and it claims it a second time."""
    gated = Gated()
    job = await queue.aadd("x")
    options = {"lock_duration": 30, "stalled_interval": 0.1}
    async with working(gated, concurrency=2, **options):
        await until(lambda: gated.runs[job.id] == 1)
        redis_client.delete(f"bull:q:{job.id}:lock")
        await until(lambda: gated.runs[job.id] == 2)
        # The first run is over for this worker, too.
        await until(lambda: gated.cancelled == [job.id])
        gated.gate.set()
        await finished(queue, 1)
    assert (await queue.aget_job(job.id)).returnvalue == "run 2"
    invariants.check(redis_client, "q", idle=True)
