"""The same act done by Node and by us on two equal queues: the same keys, fields and events.

Node fills both queues; then one act is done to each, spelled in Node's words and in ours. Every act
is tried on a running and on a paused queue (in the layout of the peer's version).
"""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import Queue
from tests.interop.dump import compare
from tests.interop.node import Peer, Remote, numbered

Act = tuple[Callable[[Remote], Any], Callable[[Queue], Any]]

# What `fill` makes.
COMPLETED, FAILED, WAITING, PRIORITIZED, DELAYED = "2", "5", "8", "10", "13"

ACTS: dict[str, Act] = {
    "pause": (lambda q: q.pause(), lambda q: q.pause()),
    "resume": (lambda q: q.resume(), lambda q: q.resume()),
    "pause and resume": (
        lambda q: [q.pause(), q.resume()],
        lambda q: [q.pause(), q.resume()],
    ),
    "add": (
        lambda q: q.addBulk(list(numbered(3))),
        lambda q: [q.add("job", {"n": n}) for n in range(3)],
    ),
    "add before all": (
        lambda q: q.add("job", {}, {"lifo": True}),
        lambda q: q.add("job", {}, lifo=True),
    ),
    "add with a priority": (
        lambda q: q.add("job", {}, {"priority": 1}),
        lambda q: q.add("job", {}, priority=1),
    ),
    "add delayed": (
        lambda q: q.add("job", {}, {"delay": 5000}),
        lambda q: q.add("job", {}, delay=5),
    ),
    "promote": (lambda q: q.job("12").promote(), lambda q: q.get_job("12").promote()),
    "promote a prioritized one": (
        lambda q: q.job("13").promote(),
        lambda q: q.get_job("13").promote(),
    ),
    "promote all": (lambda q: q.promoteJobs(), lambda q: q.promote_jobs()),
    "retry a failed one": (lambda q: q.job("5").retry(), lambda q: q.get_job("5").retry()),
    "retry a failed one from scratch": (
        lambda q: q.job("5").retry(
            "failed", {"resetAttemptsMade": True, "resetAttemptsStarted": True}
        ),
        lambda q: q.get_job("5").retry(
            "failed", reset_attempts_made=True, reset_attempts_started=True
        ),
    ),
    "retry a completed one": (
        lambda q: q.job("2").retry("completed"),
        lambda q: q.get_job("2").retry("completed"),
    ),
    "retry all failed": (lambda q: q.retryJobs(), lambda q: q.retry_jobs()),
    "retry all completed": (
        lambda q: q.retryJobs({"state": "completed"}),
        lambda q: q.retry_jobs("completed"),
    ),
    "change the delay": (
        lambda q: q.job("12").changeDelay(7_000_000),
        lambda q: q.get_job("12").change_delay(7_000),
    ),
    "give a priority": (
        lambda q: q.job("8").changePriority({"priority": 4}),
        lambda q: q.get_job("8").change_priority(4),
    ),
    "give a priority, first of it": (
        lambda q: q.job("8").changePriority({"priority": 3, "lifo": True}),
        lambda q: q.get_job("8").change_priority(3, lifo=True),
    ),
    "change the priority": (
        lambda q: q.job("10").changePriority({"priority": 9}),
        lambda q: q.get_job("10").change_priority(9),
    ),
    "take the priority away": (
        lambda q: q.job("10").changePriority({"priority": 0}),
        lambda q: q.get_job("10").change_priority(0),
    ),
    "take the priority away, first of all": (
        lambda q: q.job("10").changePriority({"priority": 0, "lifo": True}),
        lambda q: q.get_job("10").change_priority(0, lifo=True),
    ),
    "change the priority of a delayed one": (
        lambda q: q.job("12").changePriority({"priority": 9}),
        lambda q: q.get_job("12").change_priority(9),
    ),
    "change the priority of a finished one": (
        lambda q: q.job("2").changePriority({"priority": 9}),
        lambda q: q.get_job("2").change_priority(9),
    ),
    **{
        f"remove {what}": (
            lambda q, id=id: q.job(id).remove(),
            lambda q, id=id: q.get_job(id).remove(),
        )
        for what, id in (
            ("a completed one", "2"),
            ("a failed one", "5"),
            ("a waiting one", "8"),
            ("a prioritized one", "10"),
            ("a delayed one", "12"),
        )
    },
    "remove by id": (lambda q: q.remove("8"), lambda q: q.remove("8")),
    "remove what is not there": (lambda q: q.remove("99"), lambda q: q.remove("99")),
    **{
        f"clean {state}, at most {limit}": (
            lambda q, state=state, limit=limit: q.clean(0, limit, state),
            lambda q, state=state, limit=limit: q.clean(0, limit, state),
        )
        for state in ("completed", "failed", "waiting", "prioritized", "delayed")
        for limit in (0, 1)
    },
    "clean what is old": (
        lambda q: q.clean(60_000, 0, "completed"),
        lambda q: q.clean(60, 0, "completed"),
    ),
    "drain": (lambda q: q.drain(), lambda q: q.drain()),
    "drain with the delayed": (lambda q: q.drain(True), lambda q: q.drain(delayed=True)),
    "update the data": (
        lambda q: q.job("8").updateData({"new": ["ü", None]}),
        lambda q: q.get_job("8").update_data({"new": ["ü", None]}),
    ),
    "report progress": (
        lambda q: [q.job("8").updateProgress(one) for one in (50, {"done": 3}, "text", True)],
        lambda q: [q.get_job("8").update_progress(one) for one in (50, {"done": 3}, "text", True)],
    ),
    "log": (
        lambda q: [q.job("8").log(row) for row in ("a", "ü\nb", "")],
        lambda q: [q.get_job("8").log(row) for row in ("a", "ü\nb", "")],
    ),
    "log more than is kept": (
        lambda q: [q.job("9").log(str(n)) for n in range(5)],
        lambda q: [q.get_job("9").log(str(n)) for n in range(5)],
    ),
    "clear the log": (
        lambda q: q.job("2").clearLogs(),
        lambda q: q.get_job("2").clear_logs(),
    ),
    "clear the log but for a row": (
        lambda q: q.job("2").clearLogs(1),
        lambda q: q.get_job("2").clear_logs(1),
    ),
    "limit the concurrency": (
        lambda q: q.setGlobalConcurrency(3),
        lambda q: q.set_global_concurrency(3),
    ),
    "free the concurrency": (
        lambda q: [q.setGlobalConcurrency(3), q.removeGlobalConcurrency()],
        lambda q: [q.set_global_concurrency(3), q.remove_global_concurrency()],
    ),
    "limit the rate": (
        lambda q: q.setGlobalRateLimit(10, 1500),
        lambda q: q.set_global_rate_limit(10, 1.5),
    ),
    "free the rate": (
        lambda q: [q.setGlobalRateLimit(10, 1500), q.removeGlobalRateLimit()],
        lambda q: [q.set_global_rate_limit(10, 1.5), q.remove_global_rate_limit()],
    ),
}

# Where BullMQ 5 does otherwise than 6, and we do as 6 does.
SIX_ONLY = {
    "retry a failed one": "5 forgets the priority of a job that is retried",
    "retry a failed one from scratch": "the same",
}
SIX_ONLY_PAUSED = {
    "clean waiting, at most 0": "5 has another word for what waits in a paused queue",
    "clean waiting, at most 1": "the same",
}


def fill(peer: Peer, name: str) -> None:
    """Jobs: 1-3 completed, 4-6 failed, 7-9 wait, 10-11 wait prioritized, 12-13 late."""
    queue = peer.queue(name)
    queue.addBulk([{"name": "good", "data": {"n": n}} for n in range(3)])
    queue.addBulk([{"name": "bad", "data": {}, "opts": o} for o in ({}, {"priority": 2}, {})])
    worker = peer.worker(
        name,
        """async job => {
            await job.log('first');
            await job.log('second');
            // No two finish in the same millisecond: their order would be by chance.
            await new Promise(resolve => setTimeout(resolve, 3));
            if (job.name === 'bad') throw new Error('broken');
            return {n: job.data.n};
        }""",
    )
    worker.wait_for("completed", 3)
    worker.wait_for("failed", 3)
    worker.close()
    queue.addBulk(
        [
            {"name": "plain", "data": {}},
            {"name": "plain", "data": {}},
            {"name": "plain", "data": {}, "opts": {"keepLogs": 2}},
            {"name": "dear", "data": {}, "opts": {"priority": 3}},
            {"name": "dear", "data": {}, "opts": {"priority": 3}},
            {"name": "late", "data": {}, "opts": {"delay": 1_000_000}},
            {"name": "late", "data": {}, "opts": {"delay": 2_000_000, "priority": 7}},
        ]
    )


@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
@pytest.mark.parametrize("act", ACTS)
def test_acting(peer: Peer, redis_client: redis.Redis, act: str, paused: bool) -> None:
    if peer.major == 5 and act in (SIX_ONLY | SIX_ONLY_PAUSED if paused else SIX_ONLY):
        return
    for name in ("theirs", "ours"):
        fill(peer, name)
        if paused:
            peer.queue(name).pause()
    compare(redis_client)
    theirs, ours = ACTS[act]
    theirs(peer.queue("theirs"))
    ours(Queue("ours"))
    compare(redis_client)


@pytest.mark.parametrize("force", [False, True])
def test_obliterating(peer: Peer, redis_client: redis.Redis, force: bool) -> None:
    fill(peer, "theirs")
    fill(peer, "ours")
    peer.queue("theirs").obliterate({"force": force})
    Queue("ours").obliterate(force=force)
    left = {key.split(":", 2)[2] for key in redis_client.keys("bull:theirs:*")}
    assert {key.split(":", 2)[2] for key in redis_client.keys("bull:ours:*")} <= left
