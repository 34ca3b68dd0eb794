"""Letters of jobs that failed for good: one each, whatever dies meanwhile."""

import asyncio
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue, UnrecoverableError, Worker, processor
from queuecore.dead_letter import DeadLetter
from queuecore.errors import ConfigurationError, InvalidOption
from queuecore.processors import registry
from tests import invariants
from tests.server.working import finished, until, working


async def fail(job: Job) -> None:
    if job.data == "for good":
        raise UnrecoverableError("never")
    raise ValueError("it failed: ü\x00\"'")


async def test_a_job_that_fails_for_good_leaves_a_letter(
    queue: Queue, redis_client: redis.Redis
) -> None:
    letters = Queue("q-dead")
    jobs = await queue.aadd_bulk(
        [
            JobSpec("twice", {"n": [1, 2]}, attempts=2),
            JobSpec("once", "for good", attempts=5),
            JobSpec("gone", {}, remove_on_fail=True),
        ]
    )
    async with working(fail, dead_letter="q-dead"):
        await until(lambda: _count(letters, 3))
        await finished(queue, 2)
    found = {one.name: DeadLetter.of(one) for one in await letters.aget_jobs(["waiting"])}
    assert {one.queue.name for one in found.values()} == {"q"}
    twice, once = found["twice"], found["once"]
    assert (twice.id, twice.data, twice.attempts_made) == (jobs[0].id, {"n": [1, 2]}, 2)
    assert twice.failed_reason == "it failed: ü\x00\"'"
    assert (once.data, once.failed_reason, once.attempts_made) == ("for good", "never", 1)
    assert found["gone"].id == jobs[2].id
    assert await jobs[0].aget_state() == "failed"
    again = await twice.asend_again(attempts=7)
    assert (again.queue.name, again.name, again.data) == ("q", "twice", {"n": [1, 2]})
    assert redis_client.sismember("qc:bull::queues", "q-dead")
    invariants.check(redis_client, "q-dead")


async def test_a_letter_is_a_job_like_any_other(queue: Queue) -> None:
    """It may be worked, wake an idle worker, and wait while its queue is paused."""
    letters = Queue("q-dead")
    await letters.apause()
    told: list[Any] = []

    async def read(job: Job) -> None:
        told.append(DeadLetter.of(job).data)

    async with working(read, "q-dead"), working(fail, dead_letter="q-dead"):
        await queue.aadd("n", 1)
        await until(lambda: _count(letters, 1))
        await asyncio.sleep(0.1)
        assert told == []
        await letters.aresume()
        await until(lambda: told == [1])
        await queue.aadd("n", 2)
        await until(lambda: told == [1, 2])


async def test_data_that_is_no_json_is_told_as_text(
    queue: Queue, redis_client: redis.Redis
) -> None:
    job = await queue.aadd("n", 1)
    redis_client.hset(f"bull:q:{job.id}", "data", '{"broken')
    letters = Queue("q-dead")
    async with working(fail, dead_letter="q-dead"):
        await until(lambda: _count(letters, 1))
    (letter,) = await letters.aget_jobs(["waiting"])
    assert DeadLetter.of(letter).data == '{"broken'


async def test_a_key_of_a_wrong_type_loses_no_job(queue: Queue, redis_client: redis.Redis) -> None:
    redis_client.set("bull:q-dead:wait", "a text")
    job = await queue.aadd("n", 1)
    async with working(fail, dead_letter="q-dead", lock_duration=1):
        await until(lambda: queue.aget_active_count())
        await asyncio.sleep(0.3)
        assert await job.aget_state() == "active"
        redis_client.delete("bull:q-dead:wait")
        await finished(queue, 1, 10)
    assert await Queue("q-dead").aget_waiting_count() == 1


def test_what_is_no_letter_is_told(queue: Queue) -> None:
    with pytest.raises(InvalidOption, match="carries no dead letter"):
        DeadLetter.of(queue.add("n", {"queue": "bull:q"}))


def test_a_queue_has_one_other_queue_for_letters() -> None:
    with pytest.raises(ConfigurationError, match="another queue"):
        Worker("q", fail, dead_letter="q")
    with pytest.raises(InvalidOption):
        Worker("q", fail, dead_letter="")
    processor("lettered", dead_letter="one")(fail)
    try:
        with pytest.raises(ConfigurationError, match="set it once"):
            processor("lettered", name="x", dead_letter="two")(fail)
        assert registry.queues["default", "lettered"].dead_letter == "one"
    finally:
        del registry.queues["default", "lettered"]


async def _count(queue: Queue, count: int) -> bool:
    return await queue.aget_waiting_count() == count
