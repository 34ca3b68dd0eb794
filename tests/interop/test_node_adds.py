"""BullMQ's queue adds, our worker works; Node's own listeners see what they expect."""

import asyncio
import threading
import time
from collections import Counter
from typing import Any

import pytest
import redis

from queuecore import Job, Worker
from tests import invariants
from tests.interop.node import Peer, Remote
from tests.interop.ours import working


def result_of(n: int) -> Any:
    """What the processors return for the job with this number: every shape of JSON."""
    shapes = [n, str(n), {"n": n, "ü": [1, None, {}]}, [n, [], {}], None, True, n + 0.5, ""]
    return shapes[n % len(shapes)]


async def compute(job: Job) -> Any:
    return result_of(job.data["n"])


def compute_in_a_thread(job: Job) -> Any:
    time.sleep(0.0005)
    return result_of(job.data["n"])


def add_a_thousand(queue: Remote) -> None:
    """Plain, delayed, prioritized, LIFO and with own ids, 200 of each; data ``{"n": 0..999}``."""
    kinds: list[dict[str, Any]] = [{}, {"delay": 300}, {"priority": 3}, {"lifo": True}, {}]
    jobs = []
    for n in range(1000):
        options = dict(kinds[n % 5], attempts=1 + n % 3)
        if n % 5 == 4:
            options["jobId"] = f"own-{n}"
        jobs.append({"name": f"kind {n % 5}", "data": {"n": n}, "opts": options})
    queue.addBulk(jobs[:500])
    for job in jobs[500:600]:
        queue.add(job["name"], job["data"], job["opts"])
    queue.addBulk(jobs[600:])


def each_completed_with_its_result(queue: Remote, events: Remote) -> None:
    done = [args[0] for args in events.wait_for("completed", 1000)]
    number = {job["id"]: job["data"]["n"] for job in queue.getJobs(["completed"], 0, -1)}
    assert len(number) == 1000
    assert Counter(one["jobId"] for one in done) == Counter(dict.fromkeys(number, 1))
    for one in done:
        assert one["returnvalue"] == result_of(number[one["jobId"]])
        assert one["prev"] == "active"
    for job in queue.getJobs(["completed"], 0, -1):
        assert job["returnvalue"] == result_of(job["data"]["n"])
        assert (job["attemptsMade"], job["attemptsStarted"]) == (1, 1)
        assert job["timestamp"] <= job["processedOn"] + invariants.TOLERANCE
        assert job["processedOn"] <= job["finishedOn"]
    assert not events.of("failed")
    assert not events.of("stalled")
    assert events.of("drained")
    assert queue.getJobCounts("completed", "failed", "wait", "active", "delayed") == {
        "completed": 1000,
        "failed": 0,
        "wait": 0,
        "active": 0,
        "delayed": 0,
    }


@pytest.mark.parametrize("processor", [compute, compute_in_a_thread], ids=["async", "sync"])
@pytest.mark.parametrize("concurrency", [1, 25])
def test_a_thousand_jobs(
    peer: Peer, redis_client: redis.Redis, processor: Any, concurrency: int
) -> None:
    queue, events = peer.queue("mixed"), peer.queue_events("mixed")
    add_a_thousand(queue)
    with working("mixed", processor, concurrency=concurrency):
        events.wait_for("completed", 1000)
    each_completed_with_its_result(queue, events)
    counts = invariants.check(redis_client, "mixed")
    assert counts["completed"] == sum(counts.values()) == 1000


def test_our_worker_takes_nodes_jobs_in_nodes_order(peer: Peer) -> None:
    queue = peer.queue("order")
    plan: list[tuple[str, dict[str, Any]]] = [
        ("plain 1", {}),
        ("low", {"priority": 9}),
        ("plain 2", {}),
        ("high", {"priority": 1}),
        ("last in 1", {"lifo": True}),
        ("high again", {"priority": 1}),
        ("last in 2", {"lifo": True}),
        ("plain 3", {}),
    ]
    for name, options in plan:
        queue.add(name, {}, options)
    ran: list[str] = []
    events = peer.queue_events("order")

    async def note(job: Job) -> None:
        ran.append(job.name)

    with working("order", note, concurrency=1):
        events.wait_for("completed", len(plan))
    assert ran == [
        "last in 2",
        "last in 1",
        "plain 1",
        "plain 2",
        "plain 3",
        "high",
        "high again",
        "low",
    ]


def test_node_waits_until_our_worker_has_finished(peer: Peer) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    good, bad = queue.add("good", {}), queue.add("bad", {})

    async def work(job: Job) -> dict[str, str]:
        if job.name == "bad":
            raise ValueError("bad luck: ü")
        return {"answer": "yes"}

    with working("q", work):
        events.wait_for("completed")
        events.wait_for("failed")
    assert queue.job(good["id"]).isCompleted() is True
    assert queue.job(good["id"]).isFailed() is False
    failed = queue.getJob(bad["id"])
    assert queue.job(bad["id"]).isFailed() is True
    assert failed["failedReason"] == "bad luck: ü"
    assert len(failed["stacktrace"]) == 1
    assert "ValueError: bad luck: ü" in failed["stacktrace"][0]
    assert failed["finishedOn"] >= failed["processedOn"]
    assert events.of("failed")[0][0] == {
        "jobId": bad["id"],
        "failedReason": "bad luck: ü",
        "prev": "active",
    }
    assert events.of("retries-exhausted")[0][0] == {"jobId": bad["id"], "attemptsMade": "1"}


def test_node_sees_progress_logs_and_new_data(peer: Peer) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    job = queue.add("job", {"old": True}, {"keepLogs": 2})
    release = threading.Event()

    def work(job: Job) -> None:
        for progress in (10, {"done": 3, "of": "ü"}, "half", True, [1]):
            job.update_progress(progress)
        for row in ("first", "second", "third: ü\nmore"):
            job.log(row)
        job.update_data({"new": [None]})
        release.wait(30)

    with working("q", work):
        told = [args[0]["data"] for args in events.wait_for("progress", 5)]
        assert told == [10, {"done": 3, "of": "ü"}, "half", True, [1]]
        # The last of it is done before the job waits; Node sees it while the job runs.
        deadline = time.monotonic() + 10
        while queue.getJob(job["id"])["data"] != {"new": [None]}:
            assert time.monotonic() < deadline
        running = queue.getJob(job["id"])
        assert running["progress"] == [1]
        assert queue.job(job["id"]).isActive() is True
        assert queue.getJobLogs(job["id"]) == {"logs": ["second", "third: ü\nmore"], "count": 2}
        release.set()
        events.wait_for("completed")


@pytest.mark.parametrize("name", ["", "mailer-1"])
def test_node_sees_our_worker(peer: Peer, name: str) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    queue.add("job", {})

    async def work(job: Job) -> None:
        return None

    with working("q", work, name=name):
        events.wait_for("completed")
        seen = queue.getWorkers()
        assert len(seen) == 1
        # "cQ==" is base64 of the queue's name.
        assert seen[0]["rawname"] == ("bull:cQ==:w:mailer-1" if name else "bull:cQ==")
    assert queue.getWorkers() == []
    assert queue.getJob("1").get("processedBy") == (name or None)


def test_an_idle_worker_of_ours_wakes_for_nodes_adds(peer: Peer) -> None:
    queue, events = peer.queue("wake"), peer.queue_events("wake")

    async def work(job: Job) -> None:
        return None

    with working("wake", work, drain_delay=60):
        kinds: list[dict[str, Any]] = [{}, {"priority": 3}, {"delay": 200}, {"lifo": True}]
        for count, options in enumerate(kinds, 1):
            queue.add("job", {}, options)
            # Far below the 60 s after which it would look by itself.
            events.wait_for("completed", count, timeout=5)


def test_retention_of_node_is_kept_by_our_worker(peer: Peer, redis_client: redis.Redis) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")

    async def work(job: Job) -> None:
        if job.name == "bad":
            raise RuntimeError("bad")

    keep = {"removeOnComplete": {"count": 3}, "removeOnFail": 2}
    gone = {"removeOnComplete": True, "removeOnFail": True}
    with working("q", work, concurrency=1):
        queue.addBulk([{"name": "good", "data": {}, "opts": keep} for _ in range(8)])
        queue.addBulk([{"name": "bad", "data": {}, "opts": keep} for _ in range(8)])
        queue.addBulk(
            [{"name": n, "data": {}, "opts": gone} for n in ("good", "bad", "good", "bad")]
        )
        events.wait_for("completed", 10)
        events.wait_for("failed", 10)
    counts = invariants.check(redis_client, "q")
    assert (counts["completed"], counts["failed"]) == (3, 2)
    assert [job["id"] for job in queue.getCompleted()] == ["8", "7", "6"]
    assert [job["id"] for job in queue.getFailed()] == ["16", "15"]


def test_metrics_are_counted_once(peer: Peer) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")

    async def work(job: Job) -> None:
        if job.name == "bad":
            raise RuntimeError("bad")

    queue.addBulk([{"name": "good", "data": {}} for _ in range(7)])
    queue.addBulk([{"name": "bad", "data": {}} for _ in range(3)])
    with working("q", work):
        events.wait_for("completed", 7)
        events.wait_for("failed", 3)
    assert queue.getMetrics("completed")["meta"]["count"] == 7
    assert queue.getMetrics("failed")["meta"]["count"] == 3


async def test_awaited_beside_other_tasks(peer: Peer) -> None:
    """``Worker(...).arun()`` in a loop that a test runs itself."""
    queue, events = peer.queue("q"), peer.queue_events("q")
    queue.addBulk([{"name": "job", "data": {"n": n}} for n in range(50)])
    worker = Worker("q", compute, concurrency=10)
    task = asyncio.create_task(worker.arun())
    done = await asyncio.to_thread(events.wait_for, "completed", 50)
    await worker.close()
    await task
    assert len(done) == 50
    await worker.queue.connection.aclose()
