"""A running job moves itself: to come back later, or at once; the try is not counted."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from queuecore import Queue
from queuecore.errors import InvalidOption, JobNotFound, JobNotInState, LockLost
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands


def due(client: redis.Redis) -> int:
    return int(client.zscore("bull:q:delayed", "1")) // 4096


@pytest.mark.parity("Job.moveToDelayed", "DelayedError")
@pytest.mark.parametrize("kind", ["seconds", "timedelta", "datetime"])
def test_later(do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis, kind: str) -> None:
    queue.add("x", attempts=3)
    (job,) = hands.claim()
    when = {
        "seconds": 100,
        "timedelta": timedelta(seconds=100),
        "datetime": datetime.now(UTC) + timedelta(seconds=100),
    }[kind]
    do(job.move_to_delayed, when)
    now = queue.connection.clock.now_ms()
    # The server's clock and this process's may differ by some milliseconds.
    assert now + 99_000 < due(redis_client) <= now + 100_000 + invariants.TOLERANCE
    assert job.delay == pytest.approx(100, abs=1)
    assert not redis_client.exists("bull:q:1:lock")
    fresh = do(queue.get_job, "1")
    assert (fresh.attempts_made, fresh.attempts_started) == (0, 1)
    invariants.check(redis_client, "q", idle=True)
    ((_, last),) = redis_client.xrevrange("bull:q:events", count=1)
    assert last == {"event": "delayed", "jobId": "1", "delay": str(due(redis_client))}


def test_a_time_that_is_past_is_now(do: Do, queue: Queue, hands: Hands) -> None:
    queue.add("x")
    (job,) = hands.claim()
    do(job.move_to_delayed, datetime(2020, 1, 1, tzinfo=UTC))
    assert [one.id for one in hands.claim()] == ["1"]


@pytest.mark.parity("Job.moveToWait", "WaitingError")
@pytest.mark.parametrize("priority", [0, 4])
def test_at_once_and_before_all_others(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis, priority: int
) -> None:
    queue.add("first", priority=priority)
    (job,) = hands.claim()
    queue.add("second", priority=priority)
    do(job.move_to_wait)
    assert not redis_client.exists("bull:q:1:lock")
    assert do(queue.get_job, "1").attempts_made == 0
    invariants.check(redis_client, "q", idle=True)
    assert [one.name for one in hands.claim(2)] == ["first", "second"]


def test_only_with_the_token_of_the_run(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add("x")
    (job,) = hands.claim()
    for method, arguments in ((job.move_to_delayed, (5,)), (job.move_to_wait, ())):
        with pytest.raises(LockLost, match="locked by another worker"):
            do(method, *arguments, token="another's")
    with pytest.raises(LockLost, match="locked by another"):
        do(queue.get_job("1").move_to_wait)
    assert invariants.check(redis_client, "q")["active"] == 1
    redis_client.delete("bull:q:1:lock")
    with pytest.raises(LockLost, match="no lock any more"):
        do(job.move_to_wait)
    assert invariants.check(redis_client, "q")["active"] == 1


@pytest.mark.parametrize("token", [7, b"x", ["x"], True, "\ud800"])
def test_a_token_that_is_none(do: Do, queue: Queue, hands: Hands, token: Any) -> None:
    queue.add("x")
    (job,) = hands.claim()
    for method, arguments in (
        (job.move_to_delayed, (5,)),
        (job.move_to_wait, ()),
        (job.move_to_waiting_children, ()),
    ):
        with pytest.raises(InvalidOption, match="token"):
            do(method, *arguments, token=token)
    do(job.move_to_wait)


def test_only_a_running_job(do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis) -> None:
    queue.add("x")
    (job,) = hands.claim()
    redis_client.lrem("bull:q:active", 0, "1")
    with pytest.raises(JobNotInState, match="job 1 of queue q is not active"):
        do(job.move_to_wait)
    with pytest.raises(InvalidOption, match="when must be an aware datetime"):
        do(job.move_to_delayed, datetime(2026, 1, 1))
    redis_client.delete("bull:q:1", "bull:q:1:lock")
    with pytest.raises(JobNotFound):
        do(job.move_to_delayed, 1)


def test_a_rate_limit_that_holds_is_told(do: Do, queue: Queue, hands: Hands) -> None:
    queue.add("x")
    (job,) = hands.claim()
    do(queue.rate_limit, 60)
    do(job.move_to_wait)
    assert do(queue.get_job_state, "1") == "waiting"
