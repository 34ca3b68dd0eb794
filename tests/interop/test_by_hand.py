"""Jobs that a program claims and ends itself, by a Worker of Node's or ours: the same keys."""

from typing import Any

import pytest
import redis

from queuecore import Job, Queue, Worker
from tests.interop.dump import compare
from tests.interop.node import Peer, Remote
from tests.interop.sides import in_our_words

TOKEN = "a token"

# What is done to the job that was claimed, and the options that it was added with.
ENDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "complete": (
        lambda q: q.job("1").moveToCompleted({"sum": 3}, TOKEN, False),
        lambda job: job.move_to_completed({"sum": 3}),
        {},
    ),
    "complete and keep nothing": (
        lambda q: q.job("1").moveToCompleted(None, TOKEN, False),
        lambda job: job.move_to_completed(),
        {"removeOnComplete": True},
    ),
    "fail": (
        lambda q: q.job("1").moveToFailed({"message": "boom", "stack": "boom"}, TOKEN, False),
        lambda job: job.move_to_failed("boom"),
        {},
    ),
    "fail and be tried again": (
        lambda q: q.job("1").moveToFailed({"message": "boom", "stack": "boom"}, TOKEN, False),
        lambda job: job.move_to_failed("boom"),
        {"attempts": 2},
    ),
    "put back": (
        lambda q: q.job("1").moveToWait(TOKEN),
        lambda job: job.move_to_wait(),
        {"priority": 2},
    ),
    "extend the lock": (
        lambda q: q.job("1").extendLock(TOKEN, 60_000),
        lambda job: job.extend_lock(60),
        {},
    ),
}


@pytest.mark.parity(
    "Worker.getNextJob",
    "Job.moveToCompleted",
    "Job.moveToFailed",
    "Job.moveToWait",
    "Job.extendLock",
)
@pytest.mark.parametrize("end", ENDS)
def test_by_hand(peer: Peer, redis_client: redis.Redis, end: str) -> None:
    theirs, ours, options = ENDS[end]
    claimed(peer, options)
    theirs(peer.queue("theirs"))
    ours(mine(options))
    redis_client.hdel("bull:ours:1", "sa")  # ours alone: the run has outlived a renewal
    compare(redis_client)


def claimed(peer: Peer, options: dict[str, Any]) -> Remote:
    """Node's job 1, claimed by hand."""
    peer.queue("theirs").add("job", {"n": 1}, options)
    peer.queue("ours")  # a queue of the same version
    worker = peer.make("Worker", ["theirs", None, {"connection": peer.connection}])
    assert worker.getNextJob(TOKEN, {"block": False})["id"] == "1"
    return worker


def mine(options: dict[str, Any]) -> Job:
    """Our job 1, claimed by hand."""
    Queue("ours").add("job", {"n": 1}, **in_our_words(options))
    job = Worker("ours", metrics_max_data_points=0).get_next_job(block=False)
    assert job is not None
    return job
