"""Somebody wrote another kind of value at a queue's key: no job is lost, and it heals."""

import asyncio
import logging
from collections import Counter

import pytest
import redis

from queuecore import Backoff, Job, JobSpec, Queue
from tests import invariants
from tests.server.working import finished, told, until, working

KEYS = [
    "wait", "active", "prioritized", "delayed", "completed", "failed", "stalled", "events",
    "meta", "marker", "limiter", "pc", "metrics:completed", "metrics:failed", "stalled-check",
]  # fmt: skip


def break_key(client: redis.Redis, key: str) -> None:
    """Put a value of a wrong type at *key* and keep what was there."""
    name = f"bull:q:{key}"
    if client.exists(name):
        client.rename(name, f"kept:{key}")
    if key in ("pc", "limiter", "stalled-check"):
        client.rpush(name, "oops")
    else:
        client.set(name, "oops")


def mend_key(client: redis.Redis, key: str) -> None:
    name = f"bull:q:{key}"
    client.delete(name)
    if client.exists(f"kept:{key}"):
        client.rename(f"kept:{key}", name)


@pytest.mark.parametrize("moment", ["idle", "running"])
@pytest.mark.parametrize("key", KEYS)
async def test_nothing_is_lost_and_it_heals(
    queue: Queue,
    redis_client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    key: str,
    moment: str,
) -> None:
    gate = asyncio.Event()
    runs: Counter[str] = Counter()

    async def work(job: Job) -> None:
        runs[job.id] += 1
        await gate.wait()
        if job.name != "good" and job.attempts_made == 0:
            raise ValueError("once more")
        if job.name == "bad":
            raise ValueError("no")

    specs = [
        JobSpec("good"),
        JobSpec("good", priority=3),
        JobSpec("bad", attempts=1),
        JobSpec("again", attempts=2),
        JobSpec("later", attempts=2, backoff=Backoff.fixed(0.1)),
        JobSpec("ranked", attempts=2, priority=2),
        JobSpec("good", delay=0.1),
        JobSpec("good", delay=0.1, priority=1),
    ] * 3
    count = len(specs)
    limits = {"drain_delay": 0.2, "lock_duration": 30, "stalled_interval": 30}
    with caplog.at_level(logging.ERROR, "queuecore"):
        if moment == "idle":
            await queue.aadd_bulk(specs)
            break_key(redis_client, key)
            gate.set()
        async with working(work, concurrency=5, **limits) as worker:
            if moment == "running":
                await queue.aadd_bulk(specs)
                await until(lambda: worker.running == 5)
                break_key(redis_client, key)
                gate.set()
            await asyncio.sleep(0.6)
            mend_key(redis_client, key)
            counts = await finished(queue, count, 6)
            await until(lambda: worker.running == 0)
    assert (counts["completed"], counts["failed"], sum(counts.values())) == (21, 3, count)
    # Each ran as often as it had to.
    assert sorted(runs.values()) == [1] * 15 + [2] * 9
    if key not in ("metrics:completed", "metrics:failed", "events"):
        invariants.check(redis_client, "q", idle=True)
    assert len(told(caplog)) <= 4, caplog.text
    if told(caplog):
        assert f"the key bull:q:{key} is a " in caplog.text


async def test_a_marker_of_a_wrong_type_is_told_in_time(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(job: Job) -> None:
        pass

    redis_client.set("bull:q:marker", "oops")
    with caplog.at_level(logging.ERROR, "queuecore"):
        async with working(work, drain_delay=0.2):
            await asyncio.sleep(1)
            assert len(told(caplog)) == 2, caplog.text
            assert "the key bull:q:marker is a string, but must be a zset" in caplog.text
            redis_client.delete("bull:q:marker")
            await queue.aadd("x")
            await finished(queue, 1)
