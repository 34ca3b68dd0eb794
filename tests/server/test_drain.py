"""Draining: what waits goes, what runs, is finished or belongs to a scheduler stands."""

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.wire.calls import removing
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands


def keys_of(client: redis.Redis, job_id: str) -> set[str]:
    return {key for key in client.keys("bull:q:*") if key.split(":")[2] == job_id}


@pytest.mark.parity("Queue.drain")
def test_what_waits_is_deleted(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add_bulk([JobSpec("done"), JobSpec("running"), JobSpec("a"), JobSpec("b", priority=1)])
    queue.add("later", delay=3600)
    hands.complete_all(1)
    hands.claim()
    queue.get_job("3").log("a row")
    assert do(queue.drain) == 2
    counts = invariants.check(redis_client, "q")
    assert (counts["wait"], counts["prioritized"], counts["active"]) == (0, 0, 1)
    assert (counts["delayed"], counts["completed"]) == (1, 1)
    assert keys_of(redis_client, "3") == keys_of(redis_client, "4") == set()
    assert do(queue.drain, delayed=True) == 1
    assert invariants.check(redis_client, "q")["delayed"] == 0
    assert do(queue.drain, delayed=True) == 0


def test_a_paused_queue_is_drained_in_both_layouts(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    for version in ("bullmq:6.7.0", "bullmq:5.81.5"):
        redis_client.hset("bull:q:meta", "version", version)
        queue.pause()
        queue.add_bulk([JobSpec("x")] * 3)
        assert do(queue.drain) == 3
        queue.resume()
        assert invariants.check(redis_client, "q")["wait"] == 0


def test_many_are_drained_in_batches(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    many = removing.BATCH * 2 + 5
    queue.add_bulk(JobSpec("x", priority=n % 2) for n in range(many))
    assert do(queue.drain) == many
    invariants.check(redis_client, "q")
    assert redis_client.keys("bull:q:[0-9]*") == []


def test_the_next_run_of_a_scheduler_stands_wherever_it_is(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    run = "repeat:daily:1700000000000"
    for state in ("wait", "prioritized", "delayed"):
        redis_client.flushall()
        redis_client.zadd("bull:q:repeat", {"daily": 1700000000000})
        redis_client.hset("bull:q:repeat:daily", mapping={"name": "x", "every": 1000})
        queue.add_bulk([JobSpec("x")] * 2)
        redis_client.hset(
            f"bull:q:{run}",
            mapping={"name": "x", "data": "{}", "opts": "{}", "timestamp": 1, "rjk": "daily"},
        )
        if state == "wait":
            redis_client.linsert("bull:q:wait", "before", "1", run)  # between the two others
        else:
            redis_client.zadd(f"bull:q:{state}", {run: 5})
        assert do(queue.drain, delayed=True) == 2
        assert do(queue.get_job_state, run) in ("waiting", state)
        assert redis_client.exists(f"bull:q:{run}")
        # A run that is not the next one is a job like others.
        redis_client.zadd("bull:q:repeat", {"daily": 1700000001000})
        assert do(queue.drain, delayed=True) == 1


def test_a_drained_job_frees_its_deduplication_id(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    queue.add("x")
    redis_client.hset("bull:q:1", "deid", "once")
    redis_client.set("bull:q:de:once", "1")
    redis_client.hset("bull:q:dn:once", "name", "next")
    do(queue.drain)
    assert not redis_client.exists("bull:q:de:once", "bull:q:dn:once")
