"""Letters of jobs that failed for good: one each, whatever dies meanwhile."""

import asyncio
from typing import Any

import pytest
import redis

from queuecore import (
    FlowJob,
    FlowProducer,
    Job,
    JobSpec,
    Queue,
    UnrecoverableError,
    Worker,
    processor,
)
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


async def test_letters_of_a_flows_child_and_of_its_parent(
    queue: Queue, redis_client: redis.Redis
) -> None:
    """The parent fails by its child, with no tries of its own."""
    node = await FlowProducer().aadd(
        FlowJob(
            "parent",
            queue="q",
            data="p",
            children=[FlowJob("child", queue="q", data="c", fail_parent_on_failure=True)],
        )
    )
    letters = Queue("q-dead")
    async with working(fail, dead_letter="q-dead"):
        await finished(queue, 2)
        await until(lambda: _count(letters, 2))
    found = {one.name: DeadLetter.of(one) for one in await letters.aget_jobs(["waiting"])}
    assert found["child"].data == "c"
    assert found["parent"].data == "p"
    child = node.children[0].job.id
    assert child in found["parent"].failed_reason
    assert all(one.parent_key is None for one in await letters.aget_jobs(["waiting"]))
    invariants.check(redis_client, "q", idle=True)
    invariants.check(redis_client, "q-dead")


async def test_a_job_that_the_machinery_fails_leaves_a_letter_too(
    queue: Queue, redis_client: redis.Redis
) -> None:
    stalled, started = await queue.aadd("n", "stalled"), await queue.aadd("n", "often")
    redis_client.hset(f"bull:q:{stalled.id}", "defa", "job stalled more than allowable limit")
    redis_client.hset(f"bull:q:{started.id}", "ats", 7)
    letters = Queue("q-dead")
    async with working(fail, dead_letter="q-dead", max_started_attempts=7):
        await until(lambda: _count(letters, 2))
    found = {
        one.data: one.failed_reason
        for one in map(DeadLetter.of, await letters.aget_jobs(["waiting"]))
    }
    assert found == {
        "stalled": "job stalled more than allowable limit",
        "often": "job started more than allowable limit",
    }


async def test_letters_of_letters_name_each_other(queue: Queue, redis_client: redis.Redis) -> None:
    """A queue of letters may have one for its own; a letter that is sent again twice is two jobs,
    or one where it is given an id."""
    last = Queue("q-last")
    async with (
        working(fail, dead_letter="q-dead"),
        working(fail, "q-dead", dead_letter="q-last"),
    ):
        job = await queue.aadd("n", {"n": 1})
        await until(lambda: _count(last, 1))
    (found,) = await last.aget_jobs(["waiting"])
    outer = DeadLetter.of(found)
    assert (outer.queue.name, outer.name) == ("q-dead", "n")
    assert (outer.data["queue"], outer.data["id"]) == ("bull:q", job.id)
    (dead,) = await Queue("q-dead").aget_jobs(["failed"])
    inner = DeadLetter.of(dead)
    assert (inner.queue.name, inner.id, inner.data) == ("q", job.id, {"n": 1})
    again = [await inner.asend_again(job_id=f"again-{inner.id}") for _ in range(2)]
    assert {one.id for one in again} == {f"again-{job.id}"}
    assert await queue.aget_waiting_count() == 1
    again = [await inner.asend_again() for _ in range(2)]
    assert await queue.aget_waiting_count() == 3
    invariants.check(redis_client, "q")


async def test_a_full_server_takes_letters(queue: Queue, redis_client: redis.Redis) -> None:
    """What is finished frees memory first; the failure and its letter stay one step."""
    go = asyncio.Event()

    async def slow(job: Job) -> None:
        await go.wait()
        raise ValueError("full")

    letters = Queue("q-dead")
    job = await queue.aadd("n", 1)
    async with working(slow, dead_letter="q-dead"):
        await until(job.ais_active)
        redis_client.config_set("maxmemory", 1)
        try:
            go.set()
            await finished(queue, 1)
        finally:
            redis_client.config_set("maxmemory", 0)
    assert await job.aget_state() == "failed"
    assert await letters.aget_waiting_count() == 1
    invariants.check(redis_client, "q", idle=True)
    invariants.check(redis_client, "q-dead")


def test_a_letter_of_another_prefix_finds_its_queue(other: Queue) -> None:
    letters = Queue("letters")
    told = {
        "queue": "second:second", "id": "7", "name": "n", "data": None,
        "failedReason": "", "attemptsMade": 1, "finishedOn": 1,
    }  # fmt: skip
    letter = DeadLetter.of(letters.add("n", told))
    assert (letter.queue.name, letter.queue.alias) == ("second", "other")
    assert letter.send_again().queue.name == "second"
    assert other.get_waiting_count() == 1
    assert Queue("second").get_waiting_count() == 0


def test_letters_that_would_go_round_are_refused() -> None:
    processor("round-a", dead_letter="round-b")(fail)
    processor("round-b", dead_letter="round-c")(fail)
    try:
        with pytest.raises(ConfigurationError, match="round-c -> round-a -> round-b -> round-c"):
            processor("round-c", dead_letter="round-a")(fail)
    finally:
        for name in ("round-a", "round-b", "round-c"):
            registry.queues.pop(("default", name), None)


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
