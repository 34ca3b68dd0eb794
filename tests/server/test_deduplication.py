"""What a finished job does to the deduplication id it was added with by a peer."""

import json

import redis

from queuecore import Queue
from tests import invariants
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
