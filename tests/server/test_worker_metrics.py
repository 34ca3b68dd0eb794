"""BullMQ's metrics lists: every completion and failure counted, by the minute."""

import pytest
import redis

from queuecore import Job, JobSpec, Queue
from tests import invariants
from tests.server.working import finished, working


async def work(job: Job) -> None:
    if job.name == "bad":
        raise ValueError("no")


@pytest.mark.parity("Worker.metrics", "Worker.metrics(maxDataPoints)")
async def test_completions_and_failures_are_counted(
    queue: Queue, redis_client: redis.Redis
) -> None:
    await queue.aadd_bulk([JobSpec("good") for _ in range(70)])
    await queue.aadd_bulk([JobSpec("bad", attempts=3) for _ in range(5)])
    async with working(work):
        await finished(queue, 75)
    assert redis_client.hget("bull:q:metrics:completed", "count") == "70"
    # Tries in between are no failures.
    assert redis_client.hget("bull:q:metrics:failed", "count") == "5"
    invariants.check(redis_client, "q", idle=True)


async def test_a_new_minute_writes_the_one_before(queue: Queue, redis_client: redis.Redis) -> None:
    await queue.aadd_bulk([JobSpec("good") for _ in range(7)])
    async with working(work):
        await finished(queue, 7)
    # As if that had been three minutes ago.
    redis_client.hincrby("bull:q:metrics:completed", "prevTS", -3 * 60_000)
    await queue.aadd("good")
    async with working(work):
        await finished(queue, 8)
    # The newest minute first.
    assert redis_client.lrange("bull:q:metrics:completed:data", 0, -1) == ["0", "0", "7"]
    assert redis_client.hget("bull:q:metrics:completed", "count") == "8"


async def test_only_as_many_minutes_as_wanted(queue: Queue, redis_client: redis.Redis) -> None:
    await queue.aadd("good")
    async with working(work, metrics_max_data_points=5):
        await finished(queue, 1)
        redis_client.hincrby("bull:q:metrics:completed", "prevTS", -100 * 60_000)
        await queue.aadd("good")
        await finished(queue, 2)
    assert redis_client.lrange("bull:q:metrics:completed:data", 0, -1) == ["0", "0", "0", "0", "1"]


async def test_they_can_be_switched_off(queue: Queue, redis_client: redis.Redis) -> None:
    await queue.aadd("good")
    async with working(work, metrics_max_data_points=0):
        await finished(queue, 1)
    assert redis_client.keys("bull:q:metrics*") == []
