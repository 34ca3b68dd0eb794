"""Jobs whose name no processor takes: handed back for a while, in case a newer worker knows it."""

import logging

import pytest
import redis

from queuecore import Job, Queue
from queuecore.callables import entries_for
from queuecore.processors import QueueProcessors
from tests import invariants
from tests.server.working import fields, finished, until, working

UNKNOWN = "qc:bull:q:unknown"


def knowing(*names: str) -> QueueProcessors:
    """Processors for these job names only."""

    async def work(job: Job) -> str:
        return job.name

    return QueueProcessors("default", "q", named={name: entries_for(work)[None] for name in names})


async def test_it_is_handed_back_and_costs_no_attempt(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    job = await queue.aadd("new", attempts=2)
    other = await queue.aadd("old")
    with caplog.at_level(logging.WARNING, "queuecore"):
        async with working(knowing("old")):

            async def delayed() -> bool:
                return await queue.aget_job_state(job.id) == "delayed"

            await until(delayed)
            await finished(queue, 1)
    assert await queue.aget_job_state(other.id) == "completed"
    stored = await fields(queue, job.id)
    assert (stored["ats"], stored["delay"]) == ("1", "30000")
    assert "atm" not in stored
    assert "failedReason" not in stored
    assert redis_client.hgetall(UNKNOWN) == {job.id: "1"}
    assert "no processor of queue q takes jobs named 'new'" in caplog.text
    assert "1 of 10" in caplog.text
    invariants.check(redis_client, "q", idle=True)


async def test_it_fails_after_its_last_time(queue: Queue, redis_client: redis.Redis) -> None:
    job = await queue.aadd("new", attempts=5)
    async with working(knowing("old"), unknown_job_delay=0.02, unknown_job_limit=3):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert stored.attempts_started == 4
    assert stored.failed_reason == (
        "no processor of queue 'q' takes jobs named 'new'; handed back 3 times"
    )
    # Nothing is remembered of it: after a retry it counts from the start.
    assert not redis_client.exists(UNKNOWN)
    invariants.check(redis_client, "q", idle=True)


async def test_a_newer_worker_runs_it(queue: Queue, redis_client: redis.Redis) -> None:
    job = await queue.aadd("new", attempts=1)
    async with working(knowing("old"), unknown_job_delay=0.2):
        await until(lambda: redis_client.hget(UNKNOWN, job.id))
    async with working(knowing("old", "new")):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert (stored.returnvalue, stored.attempts_made, stored.attempts_started) == ("new", 1, 2)


async def test_what_is_remembered_is_forgotten_in_the_end(
    queue: Queue, redis_client: redis.Redis
) -> None:
    job = await queue.aadd("new")
    async with working(knowing("old"), unknown_job_delay=60, unknown_job_limit=10):
        await until(lambda: redis_client.hget(UNKNOWN, job.id))
    # Long enough for all its times, but not for ever: the job may be removed meanwhile.
    assert 10 * 60 < redis_client.ttl(UNKNOWN) <= 2 * 24 * 3600


async def test_no_limit_at_all_fails_at_once(queue: Queue) -> None:
    job = await queue.aadd("new")
    async with working(knowing("old"), unknown_job_limit=0):
        await finished(queue, 1)
    assert (await queue.aget_job(job.id)).failed_reason == (
        "no processor of queue 'q' takes jobs named 'new'"
    )


async def test_known_jobs_go_on_beside_many_unknown_ones(queue: Queue) -> None:
    from queuecore import JobSpec

    await queue.aadd_bulk([JobSpec("new") for _ in range(50)])
    await queue.aadd_bulk([JobSpec("old") for _ in range(50)])
    async with working(knowing("old"), concurrency=5):
        counts = await finished(queue, 50)
    assert counts["completed"] == 50
