"""The same jobs added by Node and by us: the same keys, fields and events."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from queuecore import Backoff, JobSpec, Keep, Queue
from tests.interop.dump import compare
from tests.interop.node import Peer, Remote

Theirs = Callable[[Remote], Any]
Ours = Callable[[Queue], Any]


ADDS: dict[str, tuple[Theirs, Ours]] = {
    "plain": (
        lambda q: q.add("job", {"n": 1, "deep": [1, 2.5, None, "ü"]}),
        lambda q: q.add("job", {"n": 1, "deep": [1, 2.5, None, "ü"]}),
    ),
    "three": (
        lambda q: [q.add("job", {"n": n}) for n in range(3)],
        lambda q: [q.add("job", {"n": n}) for n in range(3)],
    ),
    "in bulk": (
        lambda q: q.addBulk([{"name": "job", "data": {"n": n}} for n in range(7)]),
        lambda q: q.add_bulk(JobSpec("job", {"n": n}) for n in range(7)),
    ),
    "lifo": (
        lambda q: [q.add("job", {"n": n}, {"lifo": True} if n % 2 else {}) for n in range(4)],
        lambda q: [q.add("job", {"n": n}, lifo=n % 2 == 1) for n in range(4)],
    ),
    "prioritized": (
        lambda q: [q.add("job", {}, {"priority": p}) for p in (3, 1, 2_097_151, 3, 1)],
        lambda q: [q.add("job", {}, priority=p) for p in (3, 1, 2_097_151, 3, 1)],
    ),
    "delayed": (
        lambda q: q.add("job", {}, {"delay": 100_000}),
        lambda q: q.add("job", {}, delay=100),
    ),
    "delayed and prioritized": (
        lambda q: q.add("job", {}, {"delay": 100_000, "priority": 5}),
        lambda q: q.add("job", {}, delay=100, priority=5),
    ),
    "due in the same millisecond": (
        lambda q: q.addBulk(
            [{"name": "job", "data": {}, "opts": {"delay": 5000, "timestamp": 2e12}}] * 3
        ),
        lambda q: q.add_bulk(JobSpec("job", {}, delay=5, timestamp=at(2e12)) for _ in range(3)),
    ),
    "own id": (
        lambda q: q.add("job", {}, {"jobId": "own"}),
        lambda q: q.add("job", {}, job_id="own"),
    ),
    "own id twice": (
        lambda q: [q.add("job", {"n": n}, {"jobId": "own"}) for n in range(2)],
        lambda q: [q.add("job", {"n": n}, job_id="own") for n in range(2)],
    ),
    "own id of three parts": (
        lambda q: q.add("job", {}, {"jobId": "a:b:c"}),
        lambda q: q.add("job", {}, job_id="a:b:c"),
    ),
    "numbers go on behind an own id": (
        lambda q: [q.add("job", {}), q.add("job", {}, {"jobId": "own"}), q.add("job", {})],
        lambda q: [q.add("job", {}), q.add("job", {}, job_id="own"), q.add("job", {})],
    ),
    "tries and backoff": (
        lambda q: [
            q.add("job", {}, {"attempts": 3, "backoff": 1000}),
            q.add("job", {}, {"attempts": 3, "backoff": {"type": "fixed", "delay": 1000}}),
            q.add(
                "job",
                {},
                {"attempts": 9, "backoff": {"type": "exponential", "delay": 50, "jitter": 0.5}},
            ),
            q.add("job", {}, {"attempts": 2, "backoff": {"type": "mine", "delay": 0}}),
        ],
        lambda q: [
            q.add("job", {}, attempts=3, backoff=1),
            q.add("job", {}, attempts=3, backoff=Backoff.fixed(1)),
            q.add("job", {}, attempts=9, backoff=Backoff.exponential(0.05, jitter=0.5)),
            q.add("job", {}, attempts=2, backoff=Backoff.custom("mine")),
        ],
    ),
    "retention": (
        lambda q: [
            q.add("job", {}, {"removeOnComplete": True, "removeOnFail": 5}),
            q.add("job", {}, {"removeOnComplete": {"age": 60, "count": 9}, "removeOnFail": False}),
            q.add("job", {}, {"removeOnComplete": {"age": 60, "limit": 9}}),
        ],
        lambda q: [
            q.add("job", {}, remove_on_complete=True, remove_on_fail=5),
            q.add("job", {}, remove_on_complete=Keep(age=60, count=9), remove_on_fail=False),
            q.add("job", {}, remove_on_complete=Keep(age=60, limit=9)),
        ],
    ),
    "limits": (
        lambda q: q.add("job", {}, {"keepLogs": 3, "stackTraceLimit": 0, "sizeLimit": 99}),
        lambda q: q.add("job", {}, keep_logs=3, stack_trace_limit=0, size_limit=99),
    ),
}


def at(ms: float) -> datetime:
    """The time of day that Node writes as ``ms``."""
    return datetime.fromtimestamp(ms / 1000, UTC)


@pytest.mark.parametrize("scenario", ADDS)
def test_adding(peer: Peer, redis_client: redis.Redis, scenario: str) -> None:
    theirs, ours = ADDS[scenario]
    theirs(peer.queue("theirs"))
    ours(Queue("ours"))
    compare(redis_client)
