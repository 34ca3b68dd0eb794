"""Deduplication: which add adds a job, and what a finished job does to the id it was added under.

What the peers do is compared in tests/interop/test_deduplication.py.
"""

import asyncio
import json
import math
import time
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import transaction

from queuecore import Deduplication, JobSpec, Queue
from queuecore.errors import InvalidOption, QueueCoreError
from queuecore.wire.calls.adding import NewJob, add_jobs
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands

OWNER, NEXT = "bull:q:de:once", "bull:q:dn:once"


def own(client: redis.Redis, job_id: str = "1", **kept: int) -> None:
    client.hset(f"bull:q:{job_id}", "deid", "once")
    client.set(OWNER, job_id, **kept)


def follow(client: redis.Redis, **opts: object) -> None:
    """Let a job be asked for while the owner runs (keepLastIfActive)."""
    rule = {"id": "once", "keepLastIfActive": True}
    fields = {"name": "next", "data": '{"n":2}', "opts": json.dumps({"de": rule} | opts)}
    client.hset(NEXT, mapping=fields)


def test_the_id_is_free_again(queue: Queue, hands: Hands, redis_client: redis.Redis) -> None:
    for finish in (hands.complete_all, hands.fail_all):
        redis_client.flushall()
        queue.add("x")
        own(redis_client)
        finish(1)
        assert not redis_client.exists(OWNER)


def test_an_id_with_a_time_of_its_own_stays(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add("x")
    own(redis_client, px=60_000)
    hands.complete_all(1)
    assert redis_client.pttl(OWNER) > 50_000


def test_another_s_id_stays(queue: Queue, hands: Hands, redis_client: redis.Redis) -> None:
    queue.add("x")
    own(redis_client)
    redis_client.set(OWNER, "77")
    hands.complete_all(1)
    assert redis_client.get(OWNER) == "77"


def test_the_job_asked_for_meanwhile_follows(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add("x")
    own(redis_client)
    follow(redis_client)
    hands.complete_all(1)
    job = queue.get_job("2")
    assert (job.name, job.data, job.deduplication_id) == ("next", {"n": 2}, "once")
    assert redis_client.get(OWNER) == "2"
    assert not redis_client.exists(NEXT)
    invariants.check(redis_client, "q", idle=True)
    assert [one.id for one in hands.claim()] == ["2"]


def test_it_stands_where_its_options_say(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    for opts, state in (
        ({"delay": 60_000}, "delayed"),
        ({"priority": 3}, "prioritized"),
        ({"lifo": True}, "waiting"),
    ):
        redis_client.flushall()
        queue.add("x")
        own(redis_client)
        follow(redis_client, **opts)
        hands.complete_all(1)
        assert queue.get_job_state("2") == state
        invariants.check(redis_client, "q", idle=True)


def test_its_own_id_is_kept_and_never_written_over(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add("x")
    own(redis_client)
    follow(redis_client)
    redis_client.hset(NEXT, "jid", "mine")
    hands.complete_all(1)
    assert queue.get_job("mine").name == "next"
    queue.add("other", job_id="taken")
    own(redis_client, "mine")
    follow(redis_client)
    redis_client.hset(NEXT, "jid", "taken")
    hands.complete_all(1)
    assert queue.get_job("taken").name == "other"


def test_it_belongs_to_the_parent_it_was_added_with(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add("x")
    own(redis_client)
    follow(redis_client)
    parent = {"pk": "bull:p:P", "pd": '{"id":"P","queueKey":"bull:p"}', "pdk": "bull:p:P:dep"}
    redis_client.hset(NEXT, mapping=parent | {"rjk": "daily"})
    hands.complete_all(1)
    job = queue.get_job("2")
    assert (job.parent_key, job.parent["id"], job.repeat_job_key) == ("bull:p:P", "P", "daily")
    assert redis_client.smembers("bull:p:P:dep") == {"bull:q:2"}


def test_spoilt_options_cost_no_job(queue: Queue, hands: Hands, redis_client: redis.Redis) -> None:
    queue.add("x")
    own(redis_client)
    redis_client.hset(NEXT, mapping={"name": "next", "opts": "{"})
    hands.complete_all(1)
    assert queue.get_job_state("1") == "completed"
    assert queue.get_job_state("2") == "waiting"


@pytest.mark.parity("JobOptions.deduplication", "Queue.getDeduplicationJobId")
def test_one_job_stands_for_all_adds(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    rule = Deduplication("once")
    first = do(queue.add, "x", {"n": 1}, deduplication=rule)
    again = do(queue.add, "x", {"n": 2}, deduplication=rule)
    assert (first.id, again.id) == ("1", "1")
    assert (first.deduplication_id, again.deduplication_id) == ("once", "once")
    again.refresh()
    assert (again.data, again.deduplication_id) == ({"n": 1}, "once")
    assert do(queue.get_deduplication_job_id, "once") == "1"
    assert do(queue.get_deduplication_job_id, "other") is None
    assert queue.get_job_counts("waiting") == {"waiting": 1}
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity("Queue.removeDeduplicationKey")
def test_an_id_is_freed_by_hand(do: Do, queue: Queue) -> None:
    rule = Deduplication("once")
    first = do(queue.add, "x", deduplication=rule)
    assert do(queue.remove_deduplication_key, "once") is True
    assert do(queue.remove_deduplication_key, "once") is False
    second = do(queue.add, "x", deduplication=rule)
    assert do(first.remove_deduplication_key) is False
    assert do(second.remove_deduplication_key) is True
    assert do(second.remove_deduplication_key) is False
    assert do(do(queue.add, "x").remove_deduplication_key) is False
    assert [first.id, second.id] == ["1", "2"]


def test_in_one_bulk_and_over_its_batches(do: Do, queue: Queue) -> None:
    """1,300 jobs go in three calls; each id counts in all of them, plain ones stand between."""
    jobs = do(
        queue.add_bulk,
        [
            JobSpec("x", {"n": n}, deduplication=Deduplication(f"by {n % 3}"))
            if n % 2
            else JobSpec("x", {"n": n})
            for n in range(1300)
        ],
    )
    twins = {job.id for job in jobs[1::2]}
    assert len(twins) == 3
    assert len({job.id for job in jobs}) == 653
    assert queue.get_job_counts("waiting") == {"waiting": 653}
    for n, job in enumerate(jobs[:6]):
        assert job.id == str(n + 1)
        assert queue.get_job(job.id).data == {"n": n}


def test_after_its_time_an_id_is_free(queue: Queue) -> None:
    rule = Deduplication("once", ttl=0.15)
    first = queue.add("x", deduplication=rule)
    assert queue.add("x", deduplication=rule).id == first.id
    deadline = time.monotonic() + 5
    while queue.get_deduplication_job_id("once") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert queue.add("x", deduplication=rule).id != first.id


@pytest.mark.parity("JobOptions.deduplication(id, ttl, extend, replace)")
def test_the_time_begins_anew(queue: Queue, redis_client: redis.Redis) -> None:
    queue.add("x", deduplication=Deduplication("once", ttl=5))
    queue.add("x", deduplication=Deduplication("once", ttl=timedelta(minutes=1), extend=True))
    assert 59_000 < redis_client.pttl(OWNER) <= 60_000


@pytest.mark.parity("JobOptions.deduplication(id, ttl, extend, replace)")
def test_the_last_of_the_late_ones_replaces_the_others(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    rule = Deduplication("once", ttl=5, replace=True, extend=True)
    jobs = do(
        queue.add_bulk, [JobSpec("x", {"n": n}, delay=3600, deduplication=rule) for n in range(5)]
    )
    assert len({job.id for job in jobs}) == 5
    (left,) = queue.get_jobs("delayed")
    assert left.data == {"n": 4}
    invariants.check(redis_client, "q", idle=True)


def test_the_delay_is_taken_over(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    rule = Deduplication("once", reschedule=True)
    job = do(queue.add, "x", {"n": 1}, delay=3600, deduplication=rule)
    assert do(queue.add, "x", {"n": 2}, delay=3600, deduplication=rule).id == job.id
    job.refresh()
    assert (job.data, job.delay, job.get_state()) == ({"n": 1}, 3600, "delayed")
    due = redis_client.zscore("bull:q:delayed", job.id) / 4096 / 1000
    assert time.time() + 3590 < due <= time.time() + 3601
    # Without a delay it runs now.
    do(queue.add, "x", deduplication=rule)
    assert redis_client.zscore("bull:q:marker", "1") <= time.time() * 1000 + 50  # two clocks
    assert [one.id for one in Hands(queue).claim()] == [job.id]


def test_an_owner_that_others_deleted_holds_nothing(
    queue: Queue, redis_client: redis.Redis
) -> None:
    for rule in (
        Deduplication("once"),
        Deduplication("once", replace=True),
        Deduplication("once", ttl=5, extend=True),
        Deduplication("once", keep_last_if_active=True),
    ):
        redis_client.set(OWNER, "gone")
        redis_client.hset(NEXT, "name", "of the one that is gone")
        job = queue.add("x", deduplication=rule)
        assert redis_client.get(OWNER) == job.id
        assert not redis_client.exists(NEXT)
    # One with a time of its own stays for that time: the job was finished and removed.
    redis_client.set(OWNER, "gone", px=50_000)
    assert queue.add("x", deduplication=Deduplication("once")).id == "gone"


@pytest.mark.django_db(transaction=True)
def test_after_a_commit(queue: Queue) -> None:
    rule = Deduplication("once")
    with transaction.atomic():
        queue.add_on_commit("x", deduplication=rule)
        queue.add_on_commit("x", deduplication=rule)
        assert queue.get_job_counts("waiting") == {"waiting": 0}
    assert queue.get_job_counts("waiting") == {"waiting": 1}


def test_concurrent_adds_of_one_loop(queue: Queue) -> None:
    async def adding() -> list[str]:
        rule = Deduplication("once")
        jobs = [queue.aadd("x", {"n": n}, deduplication=rule) for n in range(600)]
        plain = [queue.aadd("x") for _ in range(100)]
        made = await asyncio.gather(*jobs, *plain)
        await queue.connection.aclose()
        return [job.id for job in made]

    ids = asyncio.run(adding())
    assert len(set(ids[:600])) == 1
    assert len(set(ids)) == 101


def test_a_repeat_of_a_lost_add_gets_the_same_ids(queue: Queue, redis_client: redis.Redis) -> None:
    """Not the ids that it would get as an add of its own: its first job owns the id meanwhile."""
    keys, receipt = queue.keys, queue.keys.receipt("add", "test", 1)

    def new(n: int, **rule: Any) -> NewJob:
        return NewJob("", "x", b"%d" % n, b"{}", 1000 + n, 60_000, 0, False, {"id": "once"} | rule)

    for number, jobs in ((1, [new(1), new(2)]), (2, [new(3, replace=True), new(4, replace=True)])):
        call = add_jobs(keys, receipt, number, "test", jobs)
        before = queue.connection.run(call)
        stored = sorted(redis_client.keys("bull:q:*")), redis_client.xlen("bull:q:events")
        assert queue.connection.run(call) == before
        assert stored == (sorted(redis_client.keys("bull:q:*")), redis_client.xlen("bull:q:events"))
    assert before == ["3", "4"]
    assert redis_client.get(OWNER) == "4"


def test_a_key_of_a_wrong_type_adds_nothing_half(queue: Queue, redis_client: redis.Redis) -> None:
    redis_client.rpush(OWNER, "a list")
    before = set(redis_client.keys("bull:q:*"))
    specs = [JobSpec("x"), JobSpec("x", deduplication=Deduplication("once")), JobSpec("x")]
    with pytest.raises((QueueCoreError, redis.ResponseError), match="WRONGTYPE"):
        queue.add_bulk(specs)
    assert set(redis_client.keys("bull:q:*")) == before


def test_a_key_of_a_wrong_type_stops_no_finish(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    job = queue.add("x", deduplication=Deduplication("once"))
    redis_client.delete(OWNER)
    redis_client.rpush(OWNER, "a list")
    redis_client.rpush(NEXT, "a list")
    hands.complete_all(1)
    assert job.get_state() == "completed"
    queue.add("x", deduplication=Deduplication("other"))
    redis_client.delete("bull:q:de:other")
    redis_client.rpush("bull:q:de:other", "a list")
    assert queue.drain() == 1


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an empty id": ({"id": ""}, "the id of a Deduplication is a text, not empty"),
    "an id that is no text": ({"id": 7}, "is a text, not empty, not 7"),
    "a lone surrogate": ({"id": "\ud83d"}, "holds a lone surrogate"),
    "a negative time": ({"id": "x", "ttl": -1}, r"Deduplication\(ttl=...\) must be at least 0"),
    "no time": ({"id": "x", "ttl": 0}, "at least a millisecond; leave it out to hold"),
    "an endless time": ({"id": "x", "ttl": math.inf}, "finite"),
    "a time that is none": ({"id": "x", "ttl": "5"}, "seconds or a timedelta, not '5'"),
    "extending nothing": ({"id": "x", "extend": True}, "needs a ttl, which it starts anew"),
    "a word for yes": ({"id": "x", "replace": "yes"}, r"replace=...\) is True or False, not 'yes'"),
    "two wishes": ({"id": "x", "replace": True, "reschedule": True}, "give one of them"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_rules_that_are_none(what: str) -> None:
    options, words = REFUSED[what]
    with pytest.raises(InvalidOption, match=words):
        Deduplication(**options)


def test_options_that_are_no_rule(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    for value in ("once", {"id": "once"}, True):
        with pytest.raises(InvalidOption, match="must be a Deduplication"):
            do(queue.add, "x", deduplication=value)
    with pytest.raises(InvalidOption, match="job 1 of 'q': deduplication must be"):
        do(queue.add_bulk, [JobSpec("x"), JobSpec("x", deduplication="once")])
    for name in (queue.get_deduplication_job_id, queue.remove_deduplication_key):
        with pytest.raises(InvalidOption, match="the id of a Deduplication is a text"):
            do(name, "")
    assert redis_client.keys("*") == []
    assert do(queue.add, "x", deduplication=None).deduplication_id is None
