"""What is kept of finished jobs: the job's own rule, else the worker's."""

import asyncio
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Keep, Queue
from tests import invariants
from tests.server.working import finished, until, working


async def work(job: Job) -> None:
    if job.name == "bad":
        raise ValueError("no")


def kept(client: redis.Redis, state: str) -> list[str]:
    ids: list[str] = client.zrange(f"bull:q:{state}", 0, -1)
    return ids


async def idle(queue: Queue) -> None:
    """Wait until nothing is left to be done."""

    async def nothing() -> bool:
        counts = await queue.aget_job_counts()
        return not any(counts[state] for state in ("waiting", "active", "delayed"))

    await until(nothing)


RULES: list[tuple[Any, list[str]]] = [
    (None, ["1", "2", "3", "4", "5"]),
    (False, ["1", "2", "3", "4", "5"]),
    (True, []),
    (0, []),
    (2, ["4", "5"]),
    (Keep(count=3), ["3", "4", "5"]),
    (Keep(age=3600), ["1", "2", "3", "4", "5"]),
    (Keep(count=4, age=3600), ["2", "3", "4", "5"]),
]


@pytest.mark.parity("KeepJobs(count, age)")
@pytest.mark.parity("JobOptions.removeOnComplete")
@pytest.mark.parametrize("name", ["good", "bad"])
@pytest.mark.parametrize(("rule", "expected"), RULES)
async def test_the_jobs_own_rule(
    queue: Queue, redis_client: redis.Redis, rule: Any, expected: list[str], name: str
) -> None:
    state = "failed" if name == "bad" else "completed"
    options = {} if rule is None else {"remove_on_fail": rule, "remove_on_complete": rule}
    await queue.aadd_bulk([JobSpec(name, **options) for _ in range(5)])
    async with working(work, concurrency=1):
        await idle(queue)
    assert kept(redis_client, state) == expected
    invariants.check(redis_client, "q", idle=True)
    assert len(redis_client.keys("bull:q:[0-9]*")) == len(expected)


@pytest.mark.parity("Worker.removeOnComplete", "Worker.removeOnFail")
@pytest.mark.parametrize("name", ["good", "bad"])
@pytest.mark.parametrize(("rule", "expected"), [*RULES, ({"count": 1}, ["5"])])
async def test_the_workers_rule(
    queue: Queue, redis_client: redis.Redis, rule: Any, expected: list[str], name: str
) -> None:
    state = "failed" if name == "bad" else "completed"
    await queue.aadd_bulk([JobSpec(name) for _ in range(5)])
    async with working(work, concurrency=1, remove_on_complete=rule, remove_on_fail=rule):
        await idle(queue)
    assert kept(redis_client, state) == expected


async def test_the_jobs_rule_goes_before_the_workers(
    queue: Queue, redis_client: redis.Redis
) -> None:
    await queue.aadd("good", remove_on_complete=False)
    await queue.aadd("good")
    async with working(work, concurrency=1, remove_on_complete=True):
        await idle(queue)
    assert kept(redis_client, "completed") == ["1"]


async def test_too_old_ones_go_with_the_next_finish(
    queue: Queue, redis_client: redis.Redis
) -> None:
    await queue.aadd_bulk([JobSpec("good") for _ in range(3)])
    async with working(work, concurrency=1, remove_on_complete=Keep(age=1)):
        await finished(queue, 3)
        await asyncio.sleep(1.1)
        await queue.aadd("good")
        await until(lambda: kept(redis_client, "completed") == ["4"])


async def test_a_retry_is_no_end(queue: Queue, redis_client: redis.Redis) -> None:
    await queue.aadd("bad", attempts=3, remove_on_fail=True)
    async with working(work):
        await idle(queue)
    assert kept(redis_client, "failed") == []
    events = [one["event"] for _, one in redis_client.xrange("bull:q:events")]
    assert events.count("failed") == 1
    assert events.count("active") == 3


async def test_batches_with_different_rules(queue: Queue, redis_client: redis.Redis) -> None:
    """Jobs that end in one call and name different rules."""
    gate = asyncio.Event()
    running = 0

    async def together(job: Job) -> None:
        nonlocal running
        running += 1
        await gate.wait()

    rules: list[Any] = [True, False, Keep(count=100), True, False, Keep(age=100)] * 3
    jobs = await queue.aadd_bulk([JobSpec("x", remove_on_complete=rule) for rule in rules])
    async with working(together, concurrency=18):
        await until(lambda: running == 18)
        gate.set()
        await idle(queue)
    left = {job.id for job, rule in zip(jobs, rules, strict=True) if rule is not True}
    assert set(kept(redis_client, "completed")) == left
    invariants.check(redis_client, "q", idle=True)
