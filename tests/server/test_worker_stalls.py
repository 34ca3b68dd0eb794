"""Jobs of workers that died: which stalls count, and how one that kills its worker is told."""

import asyncio
import logging
import random
import time
from collections import Counter
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue
from queuecore.worker.exchange import Exchange
from tests import invariants
from tests.server.hands import Hands
from tests.server.working import fields, finished, until, working

QUICK = {"stalled_interval": 0.2, "lock_duration": 30}


def die(client: redis.Redis, *ids: str) -> None:
    """As if the worker of these jobs had died a lock's life ago."""
    client.delete(*(f"bull:q:{id}:lock" for id in ids))


class Counting:
    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()

    async def __call__(self, job: Job) -> int:
        self.runs[job.id] += 1
        await asyncio.sleep(0)
        return job.attempts_started


async def claim(hands: Hands, count: int = 1) -> list[Job]:
    """Claim by a worker that will die."""
    return await asyncio.to_thread(hands.claim, count)


async def test_a_stall_before_the_first_renewal_costs_nothing(
    queue: Queue, hands: Hands, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    counting = Counting()
    job = await queue.aadd("x")
    await claim(hands)
    die(redis_client, job.id)
    with caplog.at_level(logging.WARNING, "queuecore"):
        async with working(counting, **QUICK):
            await finished(queue, 1)
    stored = await fields(queue, job.id)
    assert (stored["ats"], stored["atm"], stored["returnvalue"]) == ("2", "1", "2")
    assert not {"stc", "sa", "defa"} & set(stored)
    assert f"job {job.id} of q was left by its worker and runs again" in caplog.text
    events = [one["event"] for _, one in redis_client.xrange("bull:q:events")]
    assert events.count("stalled") == 1
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity("Job.stalledCounter")
async def test_a_confirmed_stall_counts(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    counting = Counting()
    job = await queue.aadd("x")
    await claim(hands)
    redis_client.hset(f"bull:q:{job.id}", "sa", 1)  # a renewal marked the run
    die(redis_client, job.id)
    async with working(counting, **QUICK):
        await finished(queue, 1)
    stored = await fields(queue, job.id)
    assert (stored["stc"], stored["ats"], stored["returnvalue"]) == ("1", "2", "2")
    assert "sa" not in stored


@pytest.mark.parity("Worker.maxStalledCount")
@pytest.mark.parametrize("allowed", [0, 1, 3])
async def test_too_many_confirmed_stalls_fail_the_job(
    queue: Queue, hands: Hands, redis_client: redis.Redis, allowed: int
) -> None:
    counting = Counting()
    job = await queue.aadd("x", attempts=5)
    redis_client.hset(f"bull:q:{job.id}", "stc", allowed)
    await claim(hands)
    redis_client.hset(f"bull:q:{job.id}", "sa", 1)
    die(redis_client, job.id)
    async with working(counting, max_stalled_count=allowed, **QUICK):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert await queue.aget_job_state(job.id) == "failed"
    assert stored.failed_reason == "job stalled more than allowable limit"
    assert counting.runs == {}
    assert "defa" not in await fields(queue, job.id)
    invariants.check(redis_client, "q", idle=True)


async def test_a_run_that_was_renewed_is_confirmed(queue: Queue, redis_client: redis.Redis) -> None:
    """The mark is the renewal's own: a worker that dies after it costs a stall."""
    begun = asyncio.Event()

    async def long(job: Job) -> None:
        if job.attempts_started == 1:
            begun.set()
            await asyncio.sleep(60)

    job = await queue.aadd("x")
    short = {"stalled_interval": 0.2, "lock_duration": 0.8}
    async with working(long, **short) as worker:
        await begun.wait()
        await until(lambda: redis_client.hget(f"bull:q:{job.id}", "sa") == "1")
        await worker.close(0)
    # Handed back, the mark is of a run that is over: the next one is not confirmed by it.
    assert await queue.aget_job_state(job.id) == "waiting"
    async with working(Counting(), **short):
        await finished(queue, 1)
    stored = await fields(queue, job.id)
    assert "stc" not in stored
    assert "sa" not in stored


async def test_a_job_that_kills_its_worker_each_time_fails(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    """Nobody lives to confirm its runs, so it is told by their number in a row."""
    counting = Counting()
    job = await queue.aadd("x")
    starts = 0
    # Workers that only check, and hands that claim and die.
    await queue.aset_global_concurrency(1)
    while True:
        claimed = await claim(hands)
        starts += 1
        assert [one.id for one in claimed] == [job.id]
        die(redis_client, job.id)
        for _ in range(2):  # one check marks, the next finds
            redis_client.delete("bull:q:stalled-check")
            await queue.connection.arun(check(queue))
        if redis_client.hexists(f"bull:q:{job.id}", "defa"):
            break
        assert starts < 10
    assert starts == 1 + 4  # the allowed stall, three more, and the one too many
    async with working(counting, **QUICK):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert stored.failed_reason == (
        "job killed its worker or lost it 5 times in a row before a lock renewal"
    )
    assert counting.runs == {}


def check(queue: Queue, max_stalled: int = 1):  # type: ignore[no-untyped-def]
    from queuecore.wire.calls.working import move_stalled_jobs_to_wait

    return move_stalled_jobs_to_wait(queue.keys, queue.connection.clock.now_ms(), 1000, max_stalled)


async def test_a_run_that_ends_well_forgets_the_stalls_before(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    job = await queue.aadd("x", attempts=2)

    async def second(job: Job) -> None:
        if job.attempts_made == 0:
            raise ValueError("once more")

    redis_client.hset(f"bull:q:{job.id}", "sa", -4)
    async with working(second, **QUICK):
        await finished(queue, 1)
    assert "sa" not in await fields(queue, job.id)


class Alone:
    """Notes which jobs ran beside which."""

    def __init__(self, seconds: float = 0.1) -> None:
        self.seconds = seconds
        self.now: set[str] = set()
        self.beside: dict[str, set[str]] = {}

    async def __call__(self, job: Job) -> None:
        for other in self.now:
            self.beside[other].add(job.id)
        self.beside[job.id] = set(self.now)
        self.now.add(job.id)
        await asyncio.sleep(random.uniform(0, 2 * self.seconds))
        self.now.discard(job.id)


@pytest.mark.parametrize("place", [0, 5, 11])
async def test_a_suspect_runs_alone(queue: Queue, redis_client: redis.Redis, place: int) -> None:
    """Found twice in a row before a renewal, as everything that ran beside the one that kills."""
    alone = Alone()
    jobs = await queue.aadd_bulk([JobSpec("x") for _ in range(12)])
    suspect = jobs[place].id
    redis_client.hset(f"bull:q:{suspect}", "sa", -2)
    begun = time.monotonic()
    async with working(alone, concurrency=4):
        await finished(queue, 12)
    assert alone.beside[suspect] == set()
    assert any(alone.beside.values())
    assert time.monotonic() - begun < 3
    invariants.check(redis_client, "q", idle=True)


async def test_many_suspects_run_one_by_one(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of them together would die together, and an innocent one be taken for the killer.

    Two calls are under way here nearly all the time, and each may claim one.
    """
    send = Exchange.send

    async def slowly(self: Exchange, *arguments: Any) -> Any:
        answer = await send(self, *arguments)
        await asyncio.sleep(0.01)
        return answer

    monkeypatch.setattr(Exchange, "send", slowly)
    alone = Alone(0.02)
    jobs = await queue.aadd_bulk([JobSpec("x") for _ in range(60)])
    suspects = [job.id for number, job in enumerate(jobs) if number % 10 > 5]
    for id in suspects:
        redis_client.hset(f"bull:q:{id}", "sa", -2)
    begun = time.monotonic()
    async with working(alone, concurrency=6):
        await finished(queue, 60, 10)
    assert {id for id in suspects if alone.beside[id]} == set()
    assert time.monotonic() - begun < 6
    invariants.check(redis_client, "q", idle=True)


async def test_a_suspect_does_not_wait_for_ever(queue: Queue, redis_client: redis.Redis) -> None:
    gate, ran = asyncio.Event(), []

    async def work(job: Job) -> None:
        ran.append(job.name)
        if job.name == "long":
            await gate.wait()

    await queue.aadd("long")
    async with working(work, concurrency=2, lock_duration=2):
        await until(lambda: ran == ["long"])
        job = await queue.aadd("suspect", job_id="s")
        redis_client.hset(f"bull:q:{job.id}", "sa", -2)
        await until(lambda: ran == ["long", "suspect"])
        await finished(queue, 1)
        gate.set()
        await finished(queue, 2)


@pytest.mark.parity("Worker.stalledInterval")
@pytest.mark.parametrize("jobs", [2, pytest.param(10, marks=pytest.mark.slow)])
async def test_the_checks_are_made_in_time(
    queue: Queue, hands: Hands, redis_client: redis.Redis, jobs: int
) -> None:
    """A lone worker: at most a check to mark the job and one to find it."""
    interval = 0.5
    async with working(Counting(), stalled_interval=interval, concurrency=1) as worker:
        for done in range(jobs):
            await worker.pause()  # it claims nothing, and goes on with its checks
            job = await queue.aadd("x")
            assert await claim(hands)
            worker.resume()
            die(redis_client, job.id)
            begun = time.monotonic()
            await finished(queue, done + 1)
            assert time.monotonic() - begun < 2 * interval * 1.1 + 0.3


async def test_only_one_of_many_workers_checks(queue: Queue, redis_client: redis.Redis) -> None:
    redis_client.config_resetstat()
    async with working(Counting(), **QUICK), working(Counting(), **QUICK):
        await asyncio.sleep(1)
    stats = redis_client.info("commandstats")
    # Each asks, and the key lets one in: at most one XTRIM an interval.
    assert 2 <= stats["cmdstat_xtrim"]["calls"] <= 7
