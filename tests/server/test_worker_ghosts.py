"""Ids without a job, wiped keys, flushed scripts: the worker drops, heals and goes on."""

import asyncio
from collections import Counter
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue
from tests import invariants
from tests.server.working import finished, until, working


class Seeing:
    def __init__(self) -> None:
        self.ids: list[str] = []

    async def __call__(self, job: Job) -> None:
        self.ids.append(job.id)
        await asyncio.sleep(0)


def dropped(client: redis.Redis) -> list[str]:
    return [one["jobId"] for _, one in client.xrange("bull:q:events") if one["event"] == "removed"]


@pytest.mark.parametrize("concurrency", [1, 10])
@pytest.mark.parametrize("kind", ["wait", "prioritized", "delayed"])
async def test_an_id_without_a_job_is_dropped(
    queue: Queue, redis_client: redis.Redis, kind: str, concurrency: int
) -> None:
    seeing = Seeing()
    if kind == "wait":
        redis_client.rpush("bull:q:wait", "ghost")
    else:
        redis_client.zadd(f"bull:q:{kind}", {"ghost": 1})
    job = await queue.aadd("x")
    async with working(seeing, concurrency=concurrency):
        await finished(queue, 1)
        await until(lambda: dropped(redis_client) == ["ghost"])
    assert seeing.ids == [job.id]
    assert not redis_client.exists("bull:q:ghost", "bull:q:ghost:lock")
    invariants.check(redis_client, "q", idle=True)


REMAINS: list[dict[str, Any]] = [
    {"progress": "50"},
    {"processedOn": "5", "ats": "1"},  # what BullMQ itself leaves of a job that was deleted
    {"defa": "child failed"},
    {"sa": "1"},
]


@pytest.mark.parametrize("remains", REMAINS)
async def test_a_hash_that_is_no_job_is_dropped_too(
    queue: Queue, redis_client: redis.Redis, remains: dict[str, Any]
) -> None:
    seeing = Seeing()
    redis_client.hset("bull:q:ghost", mapping=remains)
    redis_client.rpush("bull:q:wait", "ghost")
    job = await queue.aadd("x")
    async with working(seeing):
        await finished(queue, 1)
    assert seeing.ids == [job.id]
    assert dropped(redis_client) == ["ghost"]
    assert redis_client.hgetall("bull:q:ghost") == remains


@pytest.mark.parametrize("key", ["text", "list"])
async def test_an_id_that_names_another_key(
    queue: Queue, redis_client: redis.Redis, key: str
) -> None:
    seeing = Seeing()
    if key == "text":
        redis_client.set("bull:q:text", "here")
    else:
        redis_client.rpush("bull:q:list", "here")
    redis_client.rpush("bull:q:wait", key, "meta", "wait")
    job = await queue.aadd("x")
    async with working(seeing):
        await finished(queue, 1)
    assert seeing.ids == [job.id]
    assert sorted(dropped(redis_client)) == sorted([key, "meta", "wait"])
    assert redis_client.exists(f"bull:q:{key}")


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_many_ghosts_before_a_job_are_no_wait(
    queue: Queue, redis_client: redis.Redis, concurrency: int
) -> None:
    redis_client.lpush("bull:q:wait", *(f"ghost-{n}" for n in range(100)))
    seeing = Seeing()
    job = await queue.aadd("x")
    async with working(seeing, concurrency=concurrency):
        await finished(queue, 1)
    assert seeing.ids == [job.id]


async def test_a_job_that_is_deleted_while_it_runs(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    gate, began = asyncio.Event(), asyncio.Event()

    async def work(job: Job) -> None:
        if job.name == "gone":
            began.set()
            await gate.wait()

    gone = await queue.aadd("gone")
    # Renewed meanwhile: no renewal may make a hash of what is gone.
    async with working(work, lock_duration=0.4, stalled_interval=0.3):
        await began.wait()
        redis_client.delete(f"bull:q:{gone.id}")
        await asyncio.sleep(0.5)
        assert not redis_client.exists(f"bull:q:{gone.id}")
        gate.set()
        job = await queue.aadd("x")
        await finished(queue, 1)
        # The id stays in `active` until the next checks find it.
        await until(lambda: redis_client.llen("bull:q:active") == 0)
        await until(lambda: redis_client.llen("bull:q:wait") == 0)
    assert await queue.aget_job_state(job.id) == "completed"
    assert not redis_client.exists(f"bull:q:{gone.id}")
    assert f"job {gone.id} of q was removed while it ran" in caplog.text
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parametrize(
    "key", ["meta", "marker", "events", "id", "stalled", "stalled-check", "pc", "limiter"]
)
@pytest.mark.parametrize("moment", ["idle", "running"])
async def test_a_key_that_an_operator_deletes(
    queue: Queue, redis_client: redis.Redis, key: str, moment: str
) -> None:
    gate = asyncio.Event()

    async def work(job: Job) -> None:
        await gate.wait()

    async with working(work, concurrency=2, drain_delay=0.2) as worker:
        await queue.aadd_bulk([JobSpec("x", job_id=f"job-{n}") for n in range(6)])
        if moment == "running":
            await until(lambda: worker.running == 2)
        else:
            gate.set()
            await finished(queue, 6)
        redis_client.delete(f"bull:q:{key}")
        gate.set()
        await queue.aadd_bulk([JobSpec("y", job_id=f"more-{n}") for n in range(6)])
        await finished(queue, 12)


async def test_everything_is_wiped_while_jobs_run(queue: Queue, redis_client: redis.Redis) -> None:
    gate = asyncio.Event()

    async def work(job: Job) -> None:
        if job.name == "old":
            await gate.wait()

    async with working(work, concurrency=4, drain_delay=0.2, lock_duration=0.4) as worker:
        await queue.aadd_bulk([JobSpec("old") for _ in range(8)])
        await until(lambda: worker.running == 4)
        redis_client.flushall()
        await asyncio.sleep(0.3)
        gate.set()
        await queue.aadd_bulk([JobSpec("new") for _ in range(8)])
        counts = await finished(queue, 8)
        assert counts["completed"] == 8
    invariants.check(redis_client, "q", idle=True)


async def test_scripts_are_flushed_all_the_time(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    runs: Counter[str] = Counter()

    async def work(job: Job) -> None:
        runs[job.id] += 1
        await job.alog("here")
        if job.name == "bad" and job.attempts_made == 0:
            raise ValueError("once more")

    flushed = 0
    async with working(work, concurrency=5, lock_duration=0.4, stalled_interval=0.2):
        for _ in range(20):
            await queue.aadd_bulk([JobSpec(("good", "bad")[n % 2], attempts=2) for n in range(10)])
            for _ in range(5):
                redis_client.script_flush()
                flushed += 1
                await asyncio.sleep(0.002)
        counts = await finished(queue, 200)
    assert counts["completed"] == 200
    assert flushed == 100
    assert sorted(Counter(runs.values()).items()) == [(1, 100), (2, 100)]
    assert [record for record in caplog.records if record.name.startswith("queuecore")] == []
    invariants.check(redis_client, "q", idle=True)
