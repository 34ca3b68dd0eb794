"""Acts by one side as the other side sees them while both work; both workers at once."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue, QueueEvents
from queuecore.errors import JobIsLocked
from tests import invariants
from tests.interop.node import Peer, PeerError, Remote, numbered
from tests.interop.ours import working


def test_both_kinds_of_worker_share_one_queue(peer: Peer, redis_client: redis.Redis) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    count = 2000

    async def work(job: Job) -> str:
        return f"ours {job.data['n']}"

    queue.pause()
    queue.addBulk(list(numbered(count // 2)))
    Queue("q").add_bulk(JobSpec("job", {"n": n}) for n in range(count // 2, count))
    worker = peer.worker("q", "async job => `node ${job.data.n}`", concurrency=10)
    with working("q", work, concurrency=10):
        Queue("q").resume()
        done = [args[0] for args in events.wait_for("completed", count)]
    worker.close()
    assert len({one["jobId"] for one in done}) == count
    by = Counter(one["returnvalue"].split()[0] for one in done)
    assert set(by) == {"ours", "node"}, by
    assert {int(one["returnvalue"].split()[1]) for one in done} == set(range(count))
    assert not events.of("stalled")
    counts = invariants.check(redis_client, "q")
    assert counts["completed"] == sum(counts.values()) == count
    assert {redis_client.hget(f"bull:q:{n}", "ats") for n in range(1, count + 1)} == {"1"}


def test_a_worker_of_nodes_runs_what_has_expired_for_ours(
    peer: Peer, redis_client: redis.Redis
) -> None:
    """It does not know the option: whoever gets the job decides."""
    jobs = Queue("q").add_bulk([JobSpec("job", {"n": n}, expires=0.01) for n in range(2)])
    events = peer.queue_events("q")
    limiter = {"max": 1, "duration": 60_000}
    worker = peer.worker("q", "async job => `node ${job.data.n}`", limiter=limiter)
    events.wait_for("completed")
    worker.close()
    redis_client.delete("bull:q:limiter")
    with working("q", never):
        events.wait_for("failed")
    for job in jobs:
        job.refresh()
    assert [job.returnvalue for job in jobs] == ["node 0", None]
    assert str(jobs[1].failed_reason).startswith("the job expired")
    invariants.check(redis_client, "q")


async def never(job: Job) -> None:
    raise AssertionError("ran")


def test_our_worker_heeds_nodes_global_concurrency(peer: Peer, redis_client: redis.Redis) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    queue.setGlobalConcurrency(3)
    queue.addBulk(list(numbered(60)))
    seen: list[int] = []

    async def work(job: Job) -> None:
        seen.append(redis_client.llen("bull:q:active"))
        await asyncio.sleep(0.003)

    with working("q", work, concurrency=10):
        events.wait_for("completed", 60)
    assert max(seen) == 3


def test_nodes_worker_heeds_our_global_concurrency(peer: Peer, redis_client: redis.Redis) -> None:
    queue = Queue("q")
    queue.set_global_concurrency(3)
    queue.add_bulk(JobSpec("job", {"n": n}) for n in range(60))
    worker = peer.worker("q", "() => new Promise(done => setTimeout(done, 5))", concurrency=10)
    seen: list[int] = []

    def done() -> bool:
        seen.append(redis_client.llen("bull:q:active"))
        return len(worker.of("completed")) == 60

    until(done)
    assert max(seen) == 3


def test_a_global_rate_limit_binds_our_worker(peer: Peer, redis_client: redis.Redis) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    queue.setGlobalRateLimit(10, 500)
    queue.addBulk(list(numbered(30)))

    async def work(job: Job) -> None:
        return None

    with working("q", work, concurrency=20):
        events.wait_for("completed", 30)
    starts = [
        int(entry.split("-")[0])
        for entry, fields in redis_client.xrange("bull:q:events")
        if fields["event"] == "active"
    ]
    # Ten in a window of 500 ms, from its first start on.
    assert starts[10] - starts[0] >= 495
    assert starts[20] - starts[10] >= 495
    assert starts[29] - starts[0] < 5000


@pytest.mark.parametrize("holder", ["ours", "node"])
def test_a_running_job_is_not_removed_by_the_other(peer: Peer, holder: str) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    job = queue.add("job", {})
    if holder == "node":
        peer.worker("q", "async job => { await gate('held'); }")
        events.wait_for("active")
        with pytest.raises(JobIsLocked):
            Queue("q").remove(job["id"])
        peer.open("held")
    else:
        release = threading.Event()

        def hold(job: Job) -> None:
            release.wait(30)

        with working("q", hold):
            events.wait_for("active")
            with pytest.raises(PeerError, match="locked"):
                queue.job(job["id"]).remove()
            assert queue.clean(0, 0, "active") == []
            release.set()
            events.wait_for("completed")
    events.wait_for("completed")
    assert not events.of("removed")


def test_our_events_follow_what_node_does(peer: Peer) -> None:
    """Our ``QueueEvents`` reads what Node's queue and worker write, in order."""
    queue = peer.queue("q")
    worker = peer.worker(
        "q",
        """async job => {
            await job.updateProgress({half: true});
            if (job.name === 'bad') throw new Error('bad luck');
            return ['fine'];
        }""",
    )
    queue.add("good", {})
    queue.add("bad", {})
    worker.wait_for("completed")
    worker.wait_for("failed")
    worker.close()
    queue.add("late", {}, {"delay": 60_000})
    queue.job("3").promote()
    queue.pause()
    queue.resume()
    queue.job("3").remove()
    seen: list[tuple[str, str | None]] = []
    for event in QueueEvents("q", last_event_id="0-0"):
        seen.append((event.event, event.job_id))
        if event.event == "completed":
            assert event.fields["returnvalue"] == '["fine"]'
        if event.event == "removed":
            break
    assert [name for name, job_id in seen if job_id == "1"] == [
        *("added", "waiting", "active", "progress", "completed"),
    ]
    assert [name for name, job_id in seen if job_id == "2"][:5] == [
        *("added", "waiting", "active", "progress", "failed"),
    ]
    assert [name for name, job_id in seen if job_id == "3"] == [
        *("added", "delayed", "waiting", "removed"),
    ]
    assert [name for name, job_id in seen if job_id is None and name != "drained"] == [
        *("paused", "resumed"),
    ]


@pytest.mark.parametrize("worked_by", ["node", "ours"])
def test_our_result_waits_for_either(peer: Peer, worked_by: str) -> None:
    queue = Queue("q")

    async def work(job: Job) -> dict[str, Any]:
        return {"got": job.data}

    if worked_by == "node":
        peer.worker("q", "async job => ({got: job.data})")
        assert queue.add("job", [1, "ü"]).result(timeout=10) == {"got": [1, "ü"]}
    else:
        with working("q", work):
            assert queue.add("job", [1, "ü"]).result(timeout=10) == {"got": [1, "ü"]}


def test_node_waits_for_a_job_of_our_worker(peer: Peer) -> None:
    """``job.waitUntilFinished(queueEvents)`` of Node, which listens to our worker's events."""
    queue, events = peer.queue("q"), peer.queue_events("q")
    answers: list[Any] = []
    job = queue.add("job", {"n": 1})

    async def work(job: Job) -> dict[str, Any]:
        return {"n": job.data["n"] + 1}

    thread = threading.Thread(
        target=lambda: answers.append(queue.job(job["id"]).waitUntilFinished(events))
    )
    thread.start()
    with working("q", work):
        thread.join(20)
    assert answers == [{"n": 2}]


def until(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # between two looks; the deadline ends it


@pytest.mark.parametrize("who", ["node", "ours"])
def test_pausing_stops_both_kinds_of_worker(
    peer: Peer, redis_client: redis.Redis, who: str
) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    mine = Queue("q")

    async def work(job: Job) -> None:
        return None

    peer.worker("q", "async job => null", concurrency=5)
    with working("q", work, concurrency=5):
        queue.addBulk(list(numbered(50)))
        events.wait_for("completed", 50)
        if who == "node":
            queue.pause()
        else:
            mine.pause()
        # Workers that idle, and such that look again because of a due job: none may take one.
        mine.add_bulk(JobSpec("job", {"n": n}) for n in range(20))
        queue.add("late", {}, {"delay": 1})
        queue.add("late", {}, {"delay": 300})
        until(lambda: mine.get_job_counts("delayed")["delayed"] == 0 or paused_long_enough(queue))
        assert redis_client.zcard("bull:q:completed") == 50
        assert redis_client.llen("bull:q:active") == 0
        invariants.check(redis_client, "q")
        if who == "node":
            mine.resume()
        else:
            queue.resume()
        events.wait_for("completed", 72)
    invariants.check(redis_client, "q")


def paused_long_enough(queue: Any) -> bool:
    """A due job stays delayed while nobody fetches: half a second is longer than either waits."""
    late = queue.getDelayed()
    return bool(late) and all(
        time.time() * 1000 > job["timestamp"] + job["delay"] + 500 for job in late
    )


@pytest.mark.parametrize("first", ["ours", "node"])
@pytest.mark.parametrize("second", ["ours", "node"])
def test_one_marker_wakes_one_worker_after_the_other(peer: Peer, first: str, second: str) -> None:
    """Jobs added at once set one marker; who takes a job sets it again for the next idle one."""
    events = peer.queue_events("q")
    release = threading.Event()

    def hold(job: Job) -> None:
        release.wait(30)

    with ExitStack() as both:
        for kind in (first, second):
            if kind == "ours":
                both.enter_context(working("q", hold, concurrency=1, drain_delay=60))
            else:
                peer.worker("q", "async job => { await gate('both'); }", drainDelay=60)
        queue = peer.queue("q")
        until(lambda: blocked(queue) == 2)
        Queue("q").add_bulk([JobSpec("one"), JobSpec("two")])
        events.wait_for("active", 2, timeout=5)
        release.set()
        peer.open("both")
        events.wait_for("completed", 2)


def blocked(queue: Remote) -> int:
    """How many workers wait for the marker."""
    return sum(1 for worker in queue.getWorkers() if worker["cmd"] == "bzpopmin")
