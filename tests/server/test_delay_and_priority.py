"""Changing the delay of a delayed job and the priority of any."""

import pytest
import redis

from queuecore import Queue
from queuecore.errors import InvalidOption, JobNotFound, JobNotInState
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands


def due(client: redis.Redis, job_id: str) -> int:
    return int(client.zscore("bull:q:delayed", job_id)) // 4096


@pytest.mark.parity("Job.changeDelay")
def test_another_delay_counts_from_now(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    job = do(queue.add, "x", delay=3600)
    do(job.change_delay, 1000)
    now = queue.connection.clock.now_ms()
    assert now + 990_000 < due(redis_client, job.id) <= now + 1_000_000
    assert (job.delay, do(queue.get_job, job.id).delay) == (1000, 1000)
    events = [fields for _, fields in redis_client.xrange("bull:q:events")]
    assert events[-1]["event"] == "delayed"
    assert int(events[-1]["delay"]) == due(redis_client, job.id)
    invariants.check(redis_client, "q", idle=True)


def test_no_delay_is_due_at_once(do: Do, queue: Queue, hands: Hands) -> None:
    job = do(queue.add, "x", delay=3600)
    do(job.change_delay, 0)
    assert [one.id for one in hands.claim()] == [job.id]


def test_only_a_delayed_job_has_a_delay(do: Do, queue: Queue) -> None:
    job = do(queue.add, "x")
    with pytest.raises(JobNotInState, match="is not delayed"):
        do(job.change_delay, 5)
    with pytest.raises(InvalidOption, match="delay must be at least 0"):
        do(job.change_delay, -5)
    do(job.remove)
    with pytest.raises(JobNotFound):
        do(job.change_delay, 5)


@pytest.mark.parity("Job.changePriority")
def test_a_waiting_job_gets_a_priority_and_loses_it(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    for name in "abc":
        do(queue.add, name)
    second = do(queue.get_job, "2")
    do(second.change_priority, 5)
    assert (second.priority, do(second.get_state)) == (5, "prioritized")
    invariants.check(redis_client, "q", idle=True)
    do(do(queue.get_job, "1").change_priority, 1)
    do(second.change_priority, 0, lifo=True)
    invariants.check(redis_client, "q", idle=True)
    assert [job.name for job in hands.claim(3)] == ["b", "c", "a"]


def test_the_first_of_its_priority(do: Do, queue: Queue, hands: Hands) -> None:
    for name in "abc":
        do(queue.add, name, priority=4)
    do(do(queue.get_job, "3").change_priority, 4, lifo=True)
    do(do(queue.get_job, "1").change_priority, 4)
    assert [job.name for job in hands.claim(3)] == ["c", "b", "a"]


def test_a_delayed_job_takes_its_new_priority_along(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    job = do(queue.add, "x", delay=3600)
    do(job.change_priority, 9)
    assert do(job.get_state) == "delayed"
    do(job.promote)
    assert redis_client.zscore("bull:q:prioritized", job.id) == 9 * 2**32 + 1


def test_wrong_priorities_are_refused(do: Do, queue: Queue) -> None:
    job = do(queue.add, "x")
    for wrong in (-1, 2_097_152, 1.5, "1", None):
        with pytest.raises(InvalidOption, match="priority must be a whole number"):
            do(job.change_priority, wrong)
    do(job.remove)
    with pytest.raises(JobNotFound):
        do(job.change_priority, 1)
