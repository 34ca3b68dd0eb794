"""Letting delayed jobs run now, one or all, each where it belongs."""

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.errors import JobNotFound, JobNotInState
from queuecore.wire.calls import moving
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands


@pytest.mark.parity("Job.promote")
def test_a_promoted_job_runs_behind_those_that_wait(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    later = do(queue.add, "later", delay=3600)
    do(queue.add, "now")
    do(later.promote)
    assert later.delay == 0
    assert do(later.get_state) == "waiting"
    assert redis_client.hget("bull:q:1", "delay") == "0"
    assert [job.name for job in hands.claim(2)] == ["now", "later"]


def test_a_promoted_job_keeps_its_priority(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    job = do(queue.add, "x", delay=3600, priority=3)
    do(job.promote)
    assert do(job.get_state) == "prioritized"
    assert redis_client.zscore("bull:q:prioritized", job.id) == 3 * 2**32 + 1
    invariants.check(redis_client, "q", idle=True)


def test_only_a_delayed_job_can_be_promoted(do: Do, queue: Queue) -> None:
    job = do(queue.add, "x")
    with pytest.raises(JobNotInState, match="job 1 of queue q is not delayed"):
        do(job.promote)
    do(job.remove)
    with pytest.raises(JobNotFound, match="there is no job 1 in queue q"):
        do(job.promote)


@pytest.mark.parity("Queue.promoteJobs")
def test_all_are_promoted_the_first_due_first(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    for seconds in (300, 100, 200):
        do(queue.add, f"in {seconds}", delay=seconds)
    assert do(queue.promote_jobs) == 3
    assert do(queue.promote_jobs) == 0
    invariants.check(redis_client, "q", idle=True)
    assert [job.name for job in hands.claim(3)] == ["in 100", "in 200", "in 300"]


def test_at_most_so_many_are_promoted(do: Do, queue: Queue) -> None:
    queue.add_bulk(JobSpec("x", delay=3600) for _ in range(moving.BATCH + 20))
    assert do(queue.promote_jobs, count=5) == 5
    assert do(queue.promote_jobs, count=moving.BATCH + 1) == moving.BATCH + 1
    assert do(queue.get_job_counts, "waiting", "delayed") == {
        "waiting": moving.BATCH + 6,
        "delayed": 14,
    }


def test_a_paused_queue_wakes_nobody(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    job = do(queue.add, "x", delay=3600)
    do(queue.pause)
    do(job.promote)
    assert do(job.get_state) == "waiting"
    assert not redis_client.exists("bull:q:marker")
