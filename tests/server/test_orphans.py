"""Jobs that stand in no state: found among all keys, and nothing else is taken for one."""

import pytest
import redis

from queuecore import JobSpec, Queue
from tests.server.conftest import Do
from tests.server.flows import put_flow
from tests.server.hands import Hands


@pytest.mark.parity("Queue.removeOrphanedJobs")
def test_only_orphans_go(do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis) -> None:
    queue.add_bulk([JobSpec("x")] * 8)
    hands.complete_all(1)
    hands.fail_all(1)
    hands.claim(1)
    queue.add_bulk([JobSpec("x", priority=1), JobSpec("x", delay=3600)])
    put_flow(redis_client, {"child": {}}, parent_queue="q")
    redis_client.hset("bull:q:repeat:daily", mapping={"name": "x", "every": 5})
    redis_client.set("bull:q:de:once", "4")
    queue.pause()
    before = set(redis_client.keys("*"))
    queue.get_job("5").log("a row")
    for job_id in ("4", "5", "6"):
        redis_client.lrem("bull:q:wait", 0, job_id)
    redis_client.set("bull:q:6:lock", "somebody's")
    redis_client.rpush("bull:q:gone:logs", "of a job that is gone")
    redis_client.hset("bull:q:gone:processed", "child", "1")
    assert do(queue.remove_orphaned_jobs) == 3
    assert set(redis_client.keys("*")) == before - {"bull:q:4", "bull:q:5"} | {"bull:q:6:lock"}
    assert do(queue.remove_orphaned_jobs) == 0


def test_ids_that_hold_colons_and_a_queue_named_like_a_pattern(
    do: Do, redis_client: redis.Redis
) -> None:
    queue = Queue("q*[a]")
    do(queue.add, "x", job_id="a:b:c")
    do(queue.add, "x", job_id="d:e:logs")
    redis_client.hset("bull:q*[a]:x:y:z", mapping={"name": "x", "timestamp": 1})
    redis_client.hset("bull:qqa:7", mapping={"name": "x", "timestamp": 1})
    assert do(queue.remove_orphaned_jobs) == 1
    assert not redis_client.exists("bull:q*[a]:x:y:z")
    assert redis_client.exists("bull:qqa:7", "bull:q*[a]:a:b:c", "bull:q*[a]:d:e:logs") == 3


@pytest.mark.parametrize("count", [0, 1, 45])
def test_many(do: Do, queue: Queue, redis_client: redis.Redis, count: int) -> None:
    queue.add_bulk(JobSpec("x") for _ in range(100 + count))
    redis_client.ltrim("bull:q:wait", count, -1)
    assert do(queue.remove_orphaned_jobs) == count
    assert len(redis_client.keys("bull:q:[0-9]*")) == 100
