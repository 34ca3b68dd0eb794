"""Retries with backoff, shared by workers of both kinds; and retries asked for by hand."""

import time
from typing import Any

import pytest
import redis

from queuecore import Backoff, Job, Queue, UnrecoverableError
from tests import invariants
from tests.interop.node import Peer
from tests.interop.ours import working

K = "bull:q:"

# Fails its first two attempts, whoever runs them.
NODE_WORK = """async job => {
    if (job.attemptsMade < 2) throw new Error(`node ${job.attemptsMade}`);
    return 'node';
}"""


async def work(job: Job) -> str:
    if job.attempts_made < 2:
        raise RuntimeError(f"ours {job.attempts_made}")
    return "ours"


BACKOFFS: dict[str, tuple[dict[str, Any], dict[str, Any], list[int]]] = {
    "none": ({}, {}, [0, 0]),
    "fixed": ({"backoff": 150}, {"backoff": 0.15}, [150, 150]),
    "exponential": (
        {"backoff": {"type": "exponential", "delay": 120}},
        {"backoff": Backoff.exponential(0.12)},
        [120, 240],
    ),
}


@pytest.mark.parametrize("by_node", [True, False], ids=["node adds", "we add"])
@pytest.mark.parametrize("backoff", BACKOFFS)
def test_backoff_is_kept_by_both(
    peer: Peer, redis_client: redis.Redis, backoff: str, by_node: bool
) -> None:
    node, ours, waits = BACKOFFS[backoff]
    queue, events = peer.queue("q"), peer.queue_events("q")
    if by_node:
        job_id = queue.add("job", {}, {"attempts": 3} | node)["id"]
        with working("q", work):
            events.wait_for("completed")
    else:
        job_id = Queue("q").add("job", attempts=3, **ours).id
        worker = peer.worker("q", NODE_WORK)
        worker.wait_for("completed")
        worker.close()
    job = queue.getJob(job_id)
    assert (job["attemptsMade"], job["attemptsStarted"]) == (3, 3)
    assert len(job["stacktrace"]) == 2
    due = [int(args[0]["delay"]) for args in events.of("delayed")]
    assert len(due) == sum(1 for wait in waits if wait)
    starts = started(redis_client, job_id)
    for wait, first, second in zip(waits, starts, starts[1:], strict=False):
        assert wait <= second - first + 2 < wait + 1000
    assert not events.of("failed")
    invariants.check(redis_client, "q")


def started(client: redis.Redis, job_id: str) -> list[int]:
    """When the job became active, by the server's clock (ms)."""
    return [
        int(entry.split("-")[0])
        for entry, fields in client.xrange(f"{K}events")
        if fields["event"] == "active" and fields["jobId"] == job_id
    ]


def test_one_job_fails_at_node_and_completes_with_us(peer: Peer) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    job = queue.add("job", {}, {"attempts": 3, "backoff": 300})
    worker = peer.worker("q", NODE_WORK)
    events.wait_for("delayed")
    worker.close()
    with working("q", work):
        events.wait_for("completed")
    seen = queue.getJob(job["id"])
    assert (seen["attemptsMade"], seen["returnvalue"]) == (3, "ours")
    assert "node 0" in seen["stacktrace"][0]
    assert "ours 1" in seen["stacktrace"][1]


def test_one_job_fails_with_us_and_completes_at_node(peer: Peer) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    job = Queue("q").add("job", attempts=3, backoff=0.3)
    with working("q", work):
        events.wait_for("delayed")
    peer.worker("q", NODE_WORK)
    events.wait_for("completed")
    seen = queue.getJob(job.id)
    assert (seen["attemptsMade"], seen["returnvalue"]) == (3, "node")
    assert "ours 0" in seen["stacktrace"][0]
    assert "node 1" in seen["stacktrace"][1]


def test_all_attempts_are_used_up(peer: Peer, redis_client: redis.Redis) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    job = queue.add("job", {}, {"attempts": 4, "stackTraceLimit": 2})

    async def fail(job: Job) -> None:
        raise RuntimeError(f"attempt {job.attempts_made + 1}")

    with working("q", fail):
        events.wait_for("failed")
    seen = queue.getJob(job["id"])
    assert (seen["attemptsMade"], seen["failedReason"]) == (4, "attempt 4")
    assert ["attempt 3" in seen["stacktrace"][0], "attempt 4" in seen["stacktrace"][1]] == [
        True
    ] * 2
    assert [args[0]["attemptsMade"] for args in events.of("retries-exhausted")] == ["4"]
    assert len(events.of("failed")) == 1
    invariants.check(redis_client, "q")


def test_an_unrecoverable_error_is_final(peer: Peer) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    job = queue.add("job", {}, {"attempts": 4})

    async def fail(job: Job) -> None:
        raise UnrecoverableError("no hope")

    with working("q", fail):
        events.wait_for("failed")
    seen = queue.getJob(job["id"])
    assert (seen["attemptsMade"], seen["failedReason"]) == (1, "no hope")
    assert not events.of("retries-exhausted")


def test_jitter_stays_in_its_range(peer: Peer, redis_client: redis.Redis) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    backoff = {"type": "fixed", "delay": 400, "jitter": 0.5}
    queue.addBulk([{"name": "j", "data": {}, "opts": {"attempts": 2, "backoff": backoff}}] * 30)

    async def once(job: Job) -> None:
        if job.attempts_made == 0:
            raise RuntimeError("once")

    with working("q", once, concurrency=30):
        events.wait_for("completed", 30)
    waits = [b - a for n in range(1, 31) for a, b in [started(redis_client, str(n))]]
    assert min(waits) >= 198
    assert max(waits) < 1400
    assert max(waits) - min(waits) > 20


@pytest.mark.parametrize("state", ["failed", "completed"])
@pytest.mark.parametrize("by_node", [True, False], ids=["node retries", "we retry"])
def test_a_retry_by_hand_is_worked_by_the_other(
    peer: Peer, redis_client: redis.Redis, state: str, by_node: bool
) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    ours = Queue("q")
    first, second = ours.add("one"), ours.add("two")
    broken = state == "failed"

    async def maybe(job: Job) -> str:
        if broken:
            raise RuntimeError("broken")
        return "ours"

    def node_work(word: str) -> None:
        worker = peer.worker("q", f"async job => {word}")
        worker.wait_for("completed" if "throw" not in word else "failed", 2)
        worker.close()

    if by_node:
        node_work("{ throw new Error('broken') }" if broken else "'node'")
        queue.job(first.id).retry(state)
        queue.retryJobs({"state": state})
        broken = False
        with working("q", maybe):
            wait_until_finished(ours, "completed", 2, "ours")
    else:
        with working("q", maybe):
            events.wait_for(state, 2)
        ours.get_job(first.id).retry(state)
        assert ours.retry_jobs(state) == 1
        node_work("'node'")
        wait_until_finished(ours, "completed", 2, "node")
    for id in (first.id, second.id):
        job = queue.getJob(id)
        assert (job["attemptsMade"], job["attemptsStarted"]) == (2, 2)
    invariants.check(redis_client, "q")


def wait_until_finished(queue: Queue, state: str, count: int, result: str) -> None:
    deadline = time.monotonic() + 20
    while [job.returnvalue for job in queue.get_jobs(state)] != [result] * count:
        assert time.monotonic() < deadline, queue.get_job_counts()
        time.sleep(0.01)  # between two looks; the deadline ends it
