"""Letting finished jobs run again, one or many."""

from datetime import UTC, datetime, timedelta

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.errors import InvalidOption, JobNotFound, JobNotInState
from queuecore.wire.calls import moving
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands


@pytest.mark.parity("Job.retry")
def test_a_failed_job_runs_again(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add("x", {"n": 1})
    hands.fail_all(1)
    job = do(queue.get_job, "1")
    assert (job.failed_reason, job.attempts_made) == ("boom", 1)
    do(job.retry)
    assert (job.failed_reason, job.finished_on, job.processed_on) == (None, None, None)
    fresh = do(queue.get_job, "1")
    assert (fresh.failed_reason, fresh.finished_on, fresh.processed_on) == (None, None, None)
    assert (fresh.attempts_made, fresh.attempts_started) == (1, 1)
    assert do(fresh.get_state) == "waiting"
    invariants.check(redis_client, "q", idle=True)
    (again,) = hands.claim()
    hands.complete(again, "done")
    assert do(job.result) == "done"


@pytest.mark.parity("Job.retry(resetAttemptsMade, resetAttemptsStarted)")
@pytest.mark.parity("Job.retry")
def test_counters_begin_anew_where_asked(do: Do, queue: Queue, hands: Hands) -> None:
    queue.add("x")
    hands.fail_all(1)
    job = do(queue.get_job, "1")
    do(job.retry, reset_attempts_made=True, reset_attempts_started=True)
    assert (job.attempts_made, job.attempts_started) == (0, 0)
    fresh = do(queue.get_job, "1")
    assert (fresh.attempts_made, fresh.attempts_started) == (0, 0)


def test_a_completed_job_runs_again(do: Do, queue: Queue, hands: Hands) -> None:
    queue.add("x")
    hands.complete_all(1)
    job = do(queue.get_job, "1")
    do(job.retry, "completed")
    assert do(queue.get_job, "1").returnvalue is None
    assert do(job.get_state) == "waiting"


def test_order_and_priority_are_kept(do: Do, queue: Queue, hands: Hands) -> None:
    queue.add("last")
    queue.add("first", lifo=True)
    queue.add("dear", priority=1)
    hands.fail_all(3)
    queue.add("waiting")
    for name in ("1", "2", "3"):
        do(do(queue.get_job, name).retry)
    assert [job.name for job in hands.claim(4)] == ["first", "waiting", "last", "dear"]


def test_a_job_in_another_state_is_refused(do: Do, queue: Queue, hands: Hands) -> None:
    job = queue.add("x")
    with pytest.raises(JobNotInState, match="job 1 of queue q is not failed"):
        do(job.retry)
    hands.complete_all(1)
    with pytest.raises(JobNotInState, match="is not failed"):
        do(job.retry)
    with pytest.raises(InvalidOption, match="not 'waiting' ones"):
        do(job.retry, "waiting")
    do(job.remove)
    with pytest.raises(JobNotFound):
        do(job.retry)


@pytest.mark.parity("Queue.retryJobs")
def test_all_failed_jobs_run_again_the_oldest_first(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add_bulk([JobSpec(name) for name in "abc"])
    hands.fail_all(3)
    for score, job_id in enumerate("312", 1000):  # not all in the same millisecond
        redis_client.zadd("bull:q:failed", {job_id: score})
    assert do(queue.retry_jobs) == 3
    assert do(queue.retry_jobs) == 0
    invariants.check(redis_client, "q", idle=True)
    assert [job.name for job in hands.claim(3)] == ["c", "a", "b"]


def test_many_are_retried_in_batches(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    many = moving.BATCH * 2 + 5
    queue.add_bulk(JobSpec("x") for _ in range(many))
    redis_client.zadd("bull:q:failed", {str(n): n for n in range(1, many + 1)})
    redis_client.delete("bull:q:wait")
    assert do(queue.retry_jobs, count=10) == 10
    assert do(queue.retry_jobs) == many - 10
    assert invariants.check(redis_client, "q")["wait"] == many


def test_those_that_finished_later_stay(do: Do, queue: Queue, hands: Hands) -> None:
    queue.add("x")
    hands.complete_all(1)
    before = datetime.now(UTC) - timedelta(hours=1)
    assert do(queue.retry_jobs, "completed", timestamp=before) == 0
    assert do(queue.retry_jobs, "completed", timestamp=before + timedelta(hours=2)) == 1


@pytest.mark.parametrize(
    "options", [{"state": "delayed"}, {"count": -1}, {"timestamp": datetime(2026, 1, 1)}]
)
def test_wrong_options_are_refused(do: Do, queue: Queue, options: dict) -> None:
    with pytest.raises(InvalidOption):
        do(queue.retry_jobs, **options)
