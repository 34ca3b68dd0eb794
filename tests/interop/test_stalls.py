"""Jobs of a worker that died are recovered by the other kind; control of locks is shared."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from queuecore import Job, Queue
from tests import invariants
from tests.interop.node import Peer
from tests.interop.ours import working
from tests.interop.workers import child_worker
from tests.servers import Server

K = "bull:q:"
# As short as both sides allow: a job is found at the second check after its lock has run out.
NODE_LOCKS = {"lockDuration": 800, "stalledInterval": 300}
OUR_LOCKS = {"lock_duration": 0.8, "stalled_interval": 0.3}


@pytest.fixture
def mortal(node: Path, bullmq: Path, server: Server) -> Iterator[Peer]:
    """A Node process of its own, to be killed."""
    peer = Peer(node, bullmq)
    peer.connection = {"path": str(server.socket)}
    yield peer
    peer.end()


async def work(job: Job) -> str:
    return "ours"


def test_jobs_of_a_killed_node_worker_are_run_by_ours(
    mortal: Peer, peer: Peer, redis_client: redis.Redis
) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    jobs = queue.addBulk([{"name": "job", "data": {}} for _ in range(5)])
    worker = mortal.worker("q", "async job => gate('never')", concurrency=5, **NODE_LOCKS)
    worker.wait_for("active", 5)
    mortal.kill()
    assert redis_client.llen(f"{K}active") == 5
    with working("q", work, **OUR_LOCKS):
        events.wait_for("completed", 5)
    assert {args[0]["jobId"] for args in events.of("stalled")} == {job["id"] for job in jobs}
    for job in jobs:
        seen = queue.getJob(job["id"])
        assert (seen["returnvalue"], seen["attemptsMade"], seen["attemptsStarted"]) == (
            "ours",
            1,
            2,
        )
    invariants.check(redis_client, "q")


def test_jobs_of_a_killed_worker_of_ours_are_run_by_node(
    peer: Peer, redis_client: redis.Redis, child_environment: dict[str, str]
) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    jobs = [Queue("q").add("job") for _ in range(5)]
    with child_worker("q", child_environment, **OUR_LOCKS) as pid:
        events.wait_for("active", 5)
        os.kill(pid, signal.SIGKILL)
    assert redis_client.llen(f"{K}active") == 5
    worker = peer.worker("q", "async job => 'node'", concurrency=5, **NODE_LOCKS)
    worker.wait_for("completed", 5)
    assert {args[0]["jobId"] for args in events.wait_for("stalled", 5)} == {job.id for job in jobs}
    for job in jobs:
        seen = queue.getJob(job.id)
        assert (seen["returnvalue"], seen["attemptsMade"], seen["attemptsStarted"]) == (
            "node",
            1,
            2,
        )
    worker.close()
    invariants.check(redis_client, "q")


@pytest.mark.crosswise
def test_running_jobs_of_one_are_left_alone_by_the_other(peer: Peer) -> None:
    """Both check for stalls all the time; nobody takes a job whose lock is renewed."""
    queue, events = peer.queue("q"), peer.queue_events("q")
    queue.addBulk([{"name": "job", "data": {}} for _ in range(4)])
    holding = peer.worker(
        "q", "async job => { await gate('stalls'); return 'node'; }", concurrency=2, **NODE_LOCKS
    )
    holding.wait_for("active", 2)

    def long(job: Job) -> str:
        time.sleep(2.5)  # three times the lock
        return "ours"

    with working("q", long, concurrency=2, **OUR_LOCKS):
        events.wait_for("active", 4)
        events.wait_for("completed", 2)
        peer.open("stalls")
        events.wait_for("completed", 4)
    assert not events.of("stalled")
    assert sorted(job["returnvalue"] for job in queue.getCompleted()) == ["node"] * 2 + ["ours"] * 2
    assert {job["attemptsStarted"] for job in queue.getCompleted()} == {1}


def test_a_job_that_stalled_too_often_at_node_is_failed_by_us(
    peer: Peer, redis_client: redis.Redis
) -> None:
    """Node's check only marks it (``defa``); who activates it fails it without running it."""
    queue, events = peer.queue("q"), peer.queue_events("q")
    job = queue.add("job", {}, {"attempts": 5})
    redis_client.hset(f"{K}{job['id']}", "defa", "job stalled more than allowable limit")
    ran: list[str] = []

    async def note(job: Job) -> None:
        ran.append(job.id)

    with working("q", note):
        failed = events.wait_for("failed")
    assert failed[0][0]["failedReason"] == "job stalled more than allowable limit"
    assert ran == []
    assert queue.job(job["id"]).isFailed() is True
    assert redis_client.hexists(f"{K}{job['id']}", "defa") is False
    invariants.check(redis_client, "q")


@pytest.mark.crosswise
def test_a_job_that_stalled_too_often_with_us_is_failed_by_node(
    peer: Peer, redis_client: redis.Redis, child_environment: dict[str, str]
) -> None:
    """Our check counts a confirmed run's stall in ``stc``, as Node's does."""
    events = peer.queue_events("q")
    job = Queue("q").add("job")
    for times in (1, 2):
        with child_worker("q", child_environment, **OUR_LOCKS) as pid:
            events.wait_for("active", times)
            # Confirmed: the lock was renewed once, so that the run counts.
            deadline = time.monotonic() + 10
            while redis_client.hget(f"{K}{job.id}", "sa") != str(times):
                assert time.monotonic() < deadline
                time.sleep(0.01)  # between two looks; the deadline ends it
            os.kill(pid, signal.SIGKILL)
        queue = Queue("q")
        queue.pause()
        with working("q", work, **OUR_LOCKS):
            events.wait_for("stalled", times)
        assert redis_client.hget(f"{K}{job.id}", "stc") == str(times)
        if times == 1:
            queue.resume()
    assert redis_client.hexists(f"{K}{job.id}", "defa") is True
    worker = peer.worker("q", "async job => 'node'")
    Queue("q").resume()
    worker.wait_for("failed")
    failed = events.wait_for("failed")
    assert failed[0][0]["failedReason"] == "job stalled more than allowable limit"
    assert not events.of("completed")


def test_nodes_finish_is_refused_after_we_took_the_job_over(
    peer: Peer, redis_client: redis.Redis
) -> None:
    """A frozen worker's late result changes nothing: the lock is another's by then."""
    queue, events = peer.queue("q"), peer.queue_events("q")
    job = queue.add("job", {})
    worker = peer.worker("q", "async job => { await gate('late'); return 'node'; }")
    worker.wait_for("active")
    # What a freeze longer than the lock does.
    redis_client.set(f"{K}{job['id']}:lock", "another's", px=60_000)
    peer.open("late")
    error = worker.wait_for("error")[0][0]
    assert "Lock mismatch" in error["message"] or "lock" in error["message"].lower()
    assert not events.of("completed")
    assert queue.job(job["id"]).isActive() is True
    worker.events.clear()


def test_our_finish_is_refused_after_node_took_the_job_over(
    peer: Peer, redis_client: redis.Redis
) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    job = queue.add("job", {})

    def slow(job: Job) -> str:
        redis_client.set(f"{K}{job.id}:lock", "another's", px=60_000)
        return "ours"

    with working("q", slow):
        events.wait_for("active")
        other = queue.add("other", {})
        # The next finish proves that the first was answered, too.
        deadline = time.monotonic() + 10
        while queue.job(other["id"]).getState() == "waiting":
            assert time.monotonic() < deadline
    assert not [args for args in events.of("completed") if args[0]["jobId"] == job["id"]]
    assert queue.job(job["id"]).isActive() is True
    assert redis_client.get(f"{K}{job['id']}:lock") == "another's"
