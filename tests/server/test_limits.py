"""Global concurrency, global and manual rate limits, the length of the event stream."""

import pytest
import redis

from queuecore import JobSpec, Queue, RateLimit
from queuecore.errors import InvalidOption
from tests.server.conftest import Do
from tests.server.hands import Hands


@pytest.mark.parity(
    "Queue.setGlobalConcurrency",
    "Queue.getGlobalConcurrency",
    "Queue.removeGlobalConcurrency",
    "Queue.isMaxed",
)
def test_global_concurrency(do: Do, queue: Queue, hands: Hands) -> None:
    assert do(queue.get_global_concurrency) is None
    assert not do(queue.is_maxed)
    do(queue.set_global_concurrency, 2)
    assert do(queue.get_global_concurrency) == 2
    queue.add_bulk([JobSpec("x")] * 8)
    running = hands.claim(5)
    assert len(running) == 2
    assert do(queue.is_maxed)
    hands.complete(running[0])
    assert not do(queue.is_maxed)
    do(queue.remove_global_concurrency)
    assert do(queue.get_global_concurrency) is None
    assert len(hands.claim(5)) == 5


@pytest.mark.parity(
    "Queue.setGlobalRateLimit", "Queue.getGlobalRateLimit", "Queue.removeGlobalRateLimit"
)
def test_a_global_rate_limit(do: Do, queue: Queue, hands: Hands) -> None:
    assert do(queue.get_global_rate_limit) is None
    do(queue.set_global_rate_limit, 3, 60)
    assert do(queue.get_global_rate_limit) == RateLimit(3, 60)
    assert do(queue.get_rate_limit_ttl) == 0.0
    queue.add_bulk([JobSpec("x")] * 8)
    assert len(hands.claim(8)) == 3
    assert 59 < do(queue.get_rate_limit_ttl) <= 60
    assert do(queue.get_rate_limit_ttl, 4) == 0.0
    assert 59 < do(queue.get_rate_limit_ttl, 3) <= 60
    assert do(queue.remove_rate_limit_key) is True
    assert do(queue.remove_rate_limit_key) is False
    assert len(hands.claim(8)) == 3
    do(queue.remove_global_rate_limit)
    assert do(queue.get_global_rate_limit) is None
    assert len(hands.claim(8)) == 2


@pytest.mark.parity("Queue.rateLimit", "Queue.removeRateLimitKey", "Queue.getRateLimitTtl")
def test_a_limit_by_hand(do: Do, queue: Queue, hands: Hands) -> None:
    do(queue.set_global_rate_limit, 100, 1)
    do(queue.add, "x")
    do(queue.rate_limit, 60)
    assert 59 < do(queue.get_rate_limit_ttl) <= 60
    assert hands.claim() == []
    do(queue.remove_rate_limit_key)
    assert len(hands.claim()) == 1


def test_without_any_maximum_the_running_limit_counts(do: Do, queue: Queue) -> None:
    assert do(queue.get_rate_limit_ttl) == 0.0
    do(queue.rate_limit, 60)
    assert 59 < do(queue.get_rate_limit_ttl) <= 60


@pytest.mark.parametrize(
    ("method", "arguments", "words"),
    [
        ("set_global_concurrency", (0,), "at least 1; to stop a queue, pause it"),
        ("set_global_concurrency", (-1,), "concurrency must be a whole number"),
        ("set_global_concurrency", ("2",), "concurrency must be a whole number"),
        ("set_global_rate_limit", (0, 1), "max=.* must be a whole number of at least 1"),
        ("set_global_rate_limit", (1, 0), "duration=.* must be at least a millisecond"),
        ("set_global_rate_limit", (1, -1), "duration=.* must be at least 0 seconds"),
        ("rate_limit", (0,), "duration must be at least a millisecond"),
        ("get_rate_limit_ttl", (-1,), "max_jobs must be a whole number"),
        ("trim_events", (-1,), "length must be a whole number"),
    ],
)
def test_limits_that_are_none(
    do: Do, queue: Queue, redis_client: redis.Redis, method: str, arguments: tuple, words: str
) -> None:
    with pytest.raises(InvalidOption, match=words):
        do(getattr(queue, method), *arguments)
    assert redis_client.keys("bull:q:*") == []


@pytest.mark.parity("Queue.trimEvents")
def test_events_are_trimmed(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    queue.add_bulk([JobSpec("x")] * 5)
    assert do(queue.trim_events, 0) == 10
    assert redis_client.xlen("bull:q:events") == 0
