"""Failed runs: how often, when and with what they are tried again."""

import asyncio
import time
from itertools import pairwise
from typing import Any

import pytest
import redis

from queuecore import Backoff, Job, Queue, UnrecoverableError
from tests import invariants
from tests.server.working import fields, finished, until, working

# A busy machine is late, but a lost wake-up costs a whole drain delay of 5 seconds.
LATE = 2.0


class Boom(Exception):
    pass


def events(client: redis.Redis, id: str) -> list[str]:
    """What was told of a job, in order; a retry is ``waiting`` or ``delayed`` again."""
    return [one["event"] for _, one in client.xrange("bull:q:events") if one.get("jobId") == id]


async def failing(job: Job) -> None:
    raise Boom(f"try {job.attempts_made + 1}")


async def test_one_attempt_is_no_retry(queue: Queue, redis_client: redis.Redis) -> None:
    job = await queue.aadd("x")
    async with working(failing):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert (stored.failed_reason, stored.attempts_made, stored.attempts_started) == ("try 1", 1, 1)
    assert events(redis_client, job.id) == [
        "added", "waiting", "active", "failed", "retries-exhausted",
    ]  # fmt: skip
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity("JobOptions.attempts")
@pytest.mark.parametrize("concurrency", [1, 10])
async def test_as_many_attempts_as_it_has(
    queue: Queue, redis_client: redis.Redis, concurrency: int
) -> None:
    job = await queue.aadd("x", attempts=3)
    async with working(failing, concurrency=concurrency):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert (stored.failed_reason, stored.attempts_made, stored.attempts_started) == ("try 3", 3, 3)
    assert [one.splitlines()[-1].rpartition(": ")[2] for one in stored.stacktrace] == [
        "try 1", "try 2", "try 3",
    ]  # fmt: skip
    assert events(redis_client, job.id).count("active") == 3
    assert events(redis_client, job.id)[-2:] == ["failed", "retries-exhausted"]
    invariants.check(redis_client, "q", idle=True)


async def test_a_later_try_that_succeeds(queue: Queue) -> None:
    async def work(job: Job) -> str:
        if job.attempts_made < 2:
            raise Boom("not yet")
        return "done"

    job = await queue.aadd("x", attempts=5)
    async with working(work):
        counts = await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert counts["completed"] == 1
    assert (stored.returnvalue, stored.attempts_made) == ("done", 3)
    # As BullMQ: what went wrong before stays to be read.
    assert stored.failed_reason == "not yet"


@pytest.mark.parity("UnrecoverableError")
@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_unrecoverable_is_not_tried_again(
    queue: Queue, redis_client: redis.Redis, kind: str
) -> None:
    async def coroutine(job: Job) -> None:
        raise UnrecoverableError("no use")

    def function(job: Job) -> None:
        raise UnrecoverableError("no use")

    job = await queue.aadd("x", attempts=5)
    async with working(coroutine if kind == "async" else function):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert (stored.failed_reason, stored.attempts_made) == ("no use", 1)
    assert events(redis_client, job.id)[-1] == "failed"


async def times_of(queue: Queue, attempts: int, backoff: Any, **options: Any) -> list[float]:
    """The seconds between the tries of a job that fails each time."""
    starts: list[float] = []

    async def work(job: Job) -> None:
        starts.append(time.monotonic())
        raise Boom("again")

    await queue.aadd("x", attempts=attempts, backoff=backoff)
    async with working(work, **options):
        await finished(queue, 1)
    return [later - earlier for earlier, later in pairwise(starts)]


@pytest.mark.parity("JobOptions.backoff(type, delay)")
@pytest.mark.parity("JobOptions.backoff")
async def test_fixed_backoff(queue: Queue) -> None:
    waits = await times_of(queue, 4, Backoff.fixed(0.2))
    assert all(0.2 <= wait < 0.2 + LATE for wait in waits), waits


@pytest.mark.parity("JobOptions.backoff")
async def test_exponential_backoff(queue: Queue) -> None:
    waits = await times_of(queue, 4, Backoff.exponential(0.1))
    for wait, least in zip(waits, (0.1, 0.2, 0.4), strict=True):
        assert least <= wait < least + LATE, waits


@pytest.mark.parity("JobOptions.backoff.jitter")
async def test_jitter_shortens_the_wait(queue: Queue) -> None:
    waits = await times_of(queue, 6, Backoff.fixed(0.2, jitter=0.5))
    assert all(0.1 <= wait < 0.2 + LATE for wait in waits), waits
    assert min(waits) < 0.195


def by_name(attempts_made: int, name: str, error: BaseException, job: Job) -> float:
    """A strategy of the user's own, named in the settings of the tests below."""
    assert isinstance(error, Boom)
    assert job.attempts_made == attempts_made - 1
    if name == "give up":
        return -1
    if name == "broken":
        raise LookupError("no such row")
    return {"slow": 0.2, "at once": 0}[name] * attempts_made


STRATEGY = f"{__name__}.by_name"


@pytest.mark.parity("Worker.backoffStrategy")
async def test_custom_backoff(queue: Queue) -> None:
    waits = await times_of(queue, 3, Backoff.custom("slow"), backoff_strategy=STRATEGY)
    for wait, least in zip(waits, (0.2, 0.4), strict=True):
        assert least <= wait < least + LATE, waits


async def test_custom_backoff_at_once(queue: Queue) -> None:
    waits = await times_of(queue, 3, Backoff.custom("at once"), backoff_strategy=STRATEGY)
    assert max(waits) < LATE


@pytest.mark.parametrize(
    ("name", "strategy", "reason"),
    [
        ("give up", STRATEGY, "try 1"),
        ("broken", STRATEGY, "try 1 (no further try: no such row)"),
        ("unknown", STRATEGY, "try 1 (no further try: KeyError: 'unknown')"),
        ("mine", None, "try 1 (no further try: the job's backoff is 'mine', which is neither"),
    ],
)
async def test_no_further_try(
    queue: Queue, redis_client: redis.Redis, name: str, strategy: str | None, reason: str
) -> None:
    job = await queue.aadd("x", attempts=5, backoff=Backoff.custom(name))
    async with working(failing, backoff_strategy=strategy):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert stored.failed_reason.startswith(reason)
    assert stored.attempts_made == 1
    assert len(stored.stacktrace) == 1
    invariants.check(redis_client, "q", idle=True)


async def test_a_job_between_two_tries(queue: Queue, redis_client: redis.Redis) -> None:
    job = await queue.aadd("x", attempts=2, backoff=Backoff.fixed(60), priority=3)
    async with working(failing):

        async def delayed() -> bool:
            return await queue.aget_job_state(job.id) == "delayed"

        await until(delayed)
    stored = await fields(queue, job.id)
    assert (stored["atm"], stored["ats"], stored["delay"]) == ("1", "1", "60000")
    assert stored["failedReason"] == "try 1"
    assert not redis_client.exists(f"bull:q:{job.id}:lock")
    invariants.check(redis_client, "q", idle=True)


async def test_retries_keep_priority_and_lifo(queue: Queue) -> None:
    order: list[tuple[str, int]] = []

    async def work(job: Job) -> None:
        order.append((job.name, job.attempts_made))
        if job.attempts_made == 0 and job.name != "other":
            raise Boom("once more")

    await queue.aadd("lifo", attempts=2, lifo=True)
    await queue.aadd("other")
    await queue.aadd("ranked", attempts=2, priority=1)
    await queue.aadd("other", priority=2)
    async with working(work, concurrency=1):
        await finished(queue, 4)
    assert order[:3] == [("other", 0), ("lifo", 0), ("lifo", 1)] or order[:3] == [
        ("lifo", 0), ("lifo", 1), ("other", 0),
    ]  # fmt: skip
    assert order[3:] == [("ranked", 0), ("ranked", 1), ("other", 0)]


@pytest.mark.parity("JobOptions.stackTraceLimit")
async def test_the_stack_trace_limit(queue: Queue) -> None:
    none = await queue.aadd("x", attempts=4, stack_trace_limit=0)
    two = await queue.aadd("x", attempts=4, stack_trace_limit=2)
    default = await queue.aadd("x", attempts=14)
    async with working(failing):
        await finished(queue, 3)
    assert (await queue.aget_job(none.id)).stacktrace == []
    for id, kept in ((two.id, [3, 4]), (default.id, list(range(5, 15)))):
        stacks = (await queue.aget_job(id)).stacktrace
        assert [one.strip().rpartition(" ")[2] for one in stacks] == [str(n) for n in kept]


async def test_a_deferred_failure_fails_without_a_run(
    queue: Queue, redis_client: redis.Redis
) -> None:
    ran: list[str] = []

    async def work(job: Job) -> None:
        ran.append(job.id)

    job = await queue.aadd("x", attempts=5)
    redis_client.hset(f"bull:q:{job.id}", "defa", "child bull:other:7 failed")
    async with working(work):
        await finished(queue, 1)
    stored = await fields(queue, job.id)
    assert ran == []
    assert stored["failedReason"] == "child bull:other:7 failed"
    assert "defa" not in stored
    assert await queue.aget_job_state(job.id) == "failed"
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity("Worker.maxStartedAttempts")
async def test_a_job_that_was_started_too_often_fails(
    queue: Queue, redis_client: redis.Redis
) -> None:
    ran: list[str] = []

    async def work(job: Job) -> None:
        ran.append(job.id)

    over, last = await queue.aadd("x", attempts=9), await queue.aadd("x", attempts=9)
    redis_client.hset(f"bull:q:{over.id}", "ats", 3)
    redis_client.hset(f"bull:q:{last.id}", "ats", 2)
    async with working(work, max_started_attempts=3):
        await finished(queue, 2)
    assert ran == [last.id]
    stored = await queue.aget_job(over.id)
    assert stored.failed_reason == "job started more than allowable limit"
    assert await queue.aget_job_state(over.id) == "failed"


async def test_many_jobs_that_fail_together(queue: Queue, redis_client: redis.Redis) -> None:
    async def work(job: Job) -> None:
        await asyncio.sleep(0)
        raise Boom("no")

    from queuecore import JobSpec

    await queue.aadd_bulk([JobSpec("x", attempts=3) for _ in range(200)])
    async with working(work, concurrency=50):
        counts = await finished(queue, 200, 10)
    assert counts["failed"] == 200
    assert {job.attempts_started for job in await queue.aget_jobs(["failed"])} == {3}
    invariants.check(redis_client, "q", idle=True)
