"""Removing one job: from wherever it stands, never under its worker."""

import pytest
import redis

from queuecore import Queue
from queuecore.errors import InvalidOption, JobIsLocked, PendingSchedulerRun
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands


def put(queue: Queue, hands: Hands, state: str) -> None:
    """Bring job 1 into *state*."""
    options: dict = {"delayed": {"delay": 60}, "prioritized": {"priority": 2}}.get(state, {})
    queue.add("x", {"n": 1}, **options)
    if state in ("completed", "failed"):
        hands.complete_all(1) if state == "completed" else hands.fail_all(1)


@pytest.mark.parity("Queue.remove", "Job.remove")
@pytest.mark.parametrize("state", ["wait", "prioritized", "delayed", "completed", "failed"])
def test_from_each_state(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis, state: str
) -> None:
    put(queue, hands, state)
    job = do(queue.get_job, "1")
    do(job.log, "a row")
    assert do(job.remove) is True
    assert redis_client.keys("bull:q:1*") == []
    assert do(queue.get_job_state, "1") == "unknown"
    ((_, last),) = redis_client.xrevrange("bull:q:events", count=1)
    assert last == {"event": "removed", "jobId": "1", "prev": state}
    invariants.check(redis_client, "q")
    assert do(job.remove) is False
    assert do(queue.remove, "1") is False


@pytest.mark.parity("Job.remove")
def test_a_running_job_stands(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add("x")
    (job,) = hands.claim()
    with pytest.raises(JobIsLocked, match=r"job 1 of queue q .* is running: wait until"):
        do(queue.remove, "1")
    with pytest.raises(JobIsLocked):
        do(job.remove, remove_children=False)
    hands.complete(job)
    assert do(job.remove) is True


def test_a_job_whose_worker_is_gone_is_removed_from_active(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add("x")
    hands.claim()
    redis_client.delete("bull:q:1:lock")
    assert do(queue.remove, "1") is True
    assert invariants.check(redis_client, "q")["active"] == 0


def test_a_job_that_stands_nowhere(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    queue.add("x")
    redis_client.delete("bull:q:wait")
    assert do(queue.remove, "1") is True
    ((_, last),) = redis_client.xrevrange("bull:q:events", count=1)
    assert last["prev"] == "unknown"


def test_the_next_run_of_a_scheduler_goes_only_with_it(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    run = "repeat:daily:1700000000000"
    redis_client.zadd("bull:q:repeat", {"daily": 1700000000000})
    redis_client.hset(f"bull:q:{run}", mapping={"name": "x", "timestamp": 1, "rjk": "daily"})
    with pytest.raises(PendingSchedulerRun, match="scheduler's next run"):
        do(queue.remove, run)
    redis_client.zadd("bull:q:repeat", {"daily": 1700000001000})
    assert do(queue.remove, run) is True


def test_only_the_owner_frees_a_deduplication_id(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    for job_id, name in (("1", "mine"), ("2", "another's")):
        queue.add("x")
        redis_client.hset(f"bull:q:{job_id}", "deid", name)
    redis_client.set("bull:q:de:mine", "1")
    redis_client.hset("bull:q:dn:mine", "name", "next")
    redis_client.set("bull:q:de:another's", "77")
    assert do(queue.remove, "1")
    assert do(queue.remove, "2")
    assert redis_client.keys("bull:q:d[en]:*") == ["bull:q:de:another's"]


@pytest.mark.parametrize("wrong", ["", None, "\ud800", b"1", True])
def test_what_can_be_no_id_is_refused(do: Do, queue: Queue, wrong: object) -> None:
    with pytest.raises(InvalidOption, match="job id"):
        do(queue.remove, wrong)


@pytest.mark.parametrize("name", ["wait", "meta", "events", "id", "repeat"])
def test_a_key_of_the_queue_is_no_job(
    do: Do, queue: Queue, redis_client: redis.Redis, name: str
) -> None:
    queue.add("x")
    before = redis_client.dump(f"bull:q:{name}")
    assert do(queue.remove, name) is False
    assert redis_client.dump(f"bull:q:{name}") == before
