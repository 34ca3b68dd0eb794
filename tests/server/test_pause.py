"""Pausing and resuming: nobody takes a job meanwhile, and no job is lost in either layout."""

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.wire.calls import steering
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands

WAIT, PAUSED, META = "bull:q:wait", "bull:q:paused", "bull:q:meta"


@pytest.mark.parity("Queue.pause", "Queue.isPaused")
def test_a_paused_queue_gives_no_jobs(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    assert not do(queue.is_paused)
    do(queue.add, "first")
    do(queue.pause)
    assert do(queue.is_paused)
    assert not redis_client.exists("bull:q:marker"), "nobody is woken"
    do(queue.add, "second")
    assert not redis_client.exists("bull:q:marker")
    assert hands.claim(2) == []
    assert do(queue.get_job_counts, "waiting") == {"waiting": 2}
    do(queue.resume)
    assert not do(queue.is_paused)
    assert redis_client.zrange("bull:q:marker", 0, -1) == ["0"]
    assert [job.name for job in hands.claim(2)] == ["first", "second"]


def test_jobs_stay_where_they_wait(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    queue.add_bulk([JobSpec("a"), JobSpec("b", priority=1), JobSpec("c", delay=3600)])
    do(queue.pause)
    invariants.check(redis_client, "q")
    assert redis_client.lrange(WAIT, 0, -1) == ["1"]
    assert not redis_client.exists(PAUSED)
    do(queue.resume)
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity("Queue.pause")
def test_bullmq_5_finds_its_own_layout(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    redis_client.hset(META, "version", "bullmq:5.81.5")
    queue.add_bulk([JobSpec("a"), JobSpec("b")])
    do(queue.pause)
    assert redis_client.lrange(PAUSED, 0, -1) == ["2", "1"]
    assert not redis_client.exists(WAIT)
    do(queue.add, "c")
    assert redis_client.lrange(PAUSED, 0, -1) == ["3", "2", "1"]
    assert do(queue.get_job_counts, "waiting") == {"waiting": 3}
    assert hands.claim(1) == []
    do(queue.resume)
    assert not redis_client.exists(PAUSED)
    assert [job.name for job in hands.claim(3)] == ["a", "b", "c"]


@pytest.mark.parity("Queue.resume")
def test_lists_are_merged_never_renamed_over(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    queue.add_bulk([JobSpec("x")] * 6)
    redis_client.rename(WAIT, PAUSED)
    redis_client.rpush(WAIT, *[redis_client.lpop(PAUSED) for _ in range(3)])
    do(queue.pause)  # a `paused` list is there: the queue is in 5's hands
    assert redis_client.lrange(PAUSED, 0, -1) == ["3", "2", "1", "6", "5", "4"]
    redis_client.rpush(WAIT, "7")
    redis_client.hset("bull:q:7", mapping={"name": "x", "data": "{}", "opts": "{}", "timestamp": 1})
    do(queue.resume)
    assert redis_client.lrange(WAIT, 0, -1) == ["7", "3", "2", "1", "6", "5", "4"]
    assert not redis_client.exists(PAUSED)


def test_a_long_list_is_moved_in_steps_and_in_order(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    many = [str(n) for n in range(steering.BATCH * 2 + 10)]
    redis_client.rpush(WAIT, "first")
    redis_client.rpush(PAUSED, *many)
    redis_client.hset(META, "paused", 1)
    do(queue.resume)
    assert redis_client.lrange(WAIT, 0, -1) == ["first", *many]
    assert [fields["event"] for _, fields in redis_client.xrange("bull:q:events")] == ["resumed"]


def test_resuming_with_only_delayed_jobs_tells_when_the_next_is_due(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    do(queue.add, "later", delay=3600)
    do(queue.pause)
    do(queue.resume)
    ((member, due),) = redis_client.zrange("bull:q:marker", 0, -1, withscores=True)
    ((_, score),) = redis_client.zrange("bull:q:delayed", 0, -1, withscores=True)
    assert (member, int(due)) == ("1", int(score) // 4096)


def test_pausing_again_and_resuming_again_do_no_harm(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    do(queue.add, "x")
    for method in (queue.pause, queue.pause, queue.resume, queue.resume):
        do(method)
    assert invariants.check(redis_client, "q", idle=True)["wait"] == 1
    told = [fields["event"] for _, fields in redis_client.xrange("bull:q:events")]
    assert told[2:] == ["paused", "paused", "resumed", "resumed"]
