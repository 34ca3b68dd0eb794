"""Obliterating: nothing of the queue is left, and nothing of another is touched."""

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.errors import QueueHasActiveJobs
from queuecore.wire.calls import removing
from tests.server.conftest import Do
from tests.server.flows import put_flow
from tests.server.hands import Hands


def fill(queue: Queue, hands: Hands, client: redis.Redis) -> None:
    """Let *queue* hold jobs in every state but active, and every other key there is."""
    queue.add_bulk([JobSpec("x")] * 4)
    hands.complete_all(1)
    hands.fail_all(1)
    queue.add_bulk([JobSpec("y", priority=1), JobSpec("z", delay=3600)])
    queue.get_job("3").log("a row")
    put_flow(client, {"child": {}}, parent_queue="q")
    client.hset("bull:q:3", "deid", "once")
    client.set("bull:q:de:once", "3")
    client.hset("bull:q:dn:once", "name", "next")
    client.zadd("bull:q:repeat", {"daily": 5})
    client.hset("bull:q:repeat:daily", "name", "x")
    queue.rate_limit(60)
    queue.set_global_concurrency(3)


@pytest.mark.parity("Queue.obliterate")
def test_nothing_is_left(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    hands = Hands(queue, metrics=10)
    fill(queue, hands, redis_client)
    redis_client.sadd("bull:q:stalled", "x")
    other = Queue("q2")
    other.add("x")
    do(queue.obliterate)
    assert redis_client.keys("bull:q:*") == []
    assert other.get_job_counts("waiting") == {"waiting": 1}


def test_a_queue_can_be_used_again(do: Do, queue: Queue, hands: Hands) -> None:
    do(queue.add, "x")
    do(queue.obliterate)
    assert do(queue.add, "y").id == "1"
    assert not do(queue.is_paused)
    assert [job.name for job in hands.claim()] == ["y"]


@pytest.mark.parity("Queue.obliterate(force)")
def test_active_jobs_are_in_the_way(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add_bulk([JobSpec("x")] * 2)
    hands.claim(1)
    with pytest.raises(QueueHasActiveJobs, match=r"it is paused now.*force=True"):
        do(queue.obliterate)
    assert do(queue.is_paused)
    assert redis_client.exists("bull:q:1", "bull:q:2", "bull:q:1:lock") == 3
    do(queue.obliterate, force=True)
    assert redis_client.keys("bull:q:*") == []


def test_many_jobs_in_batches(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    queue.add_bulk(JobSpec("x", delay=n % 2) for n in range(removing.BATCH * 2 + 5))
    do(queue.obliterate)
    assert redis_client.keys("bull:q:*") == []


def test_a_queue_that_never_was(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    do(queue.obliterate)
    assert redis_client.keys("bull:q:*") == []


def test_a_parent_elsewhere_is_let_run(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    put_flow(redis_client, {"a": {}})
    do(queue.obliterate)
    assert Queue("parents").get_job_state("P") == "waiting"
