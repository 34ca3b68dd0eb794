"""Node's getters and ours agree on every job in every state, on running and paused queues."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from queuecore import Job, JobSpec, Queue
from tests.interop.node import Peer, Remote
from tests.interop.ours import working

STATES = (
    "waiting",
    "prioritized",
    "active",
    "delayed",
    "waiting-children",
    "completed",
    "failed",
)


async def work(job: Job) -> Any:
    if job.name == "bad":
        raise RuntimeError("bad luck")
    return {"n": job.data["n"]}


def add_by_node(queue: Remote, name: str, count: int, **options: Any) -> None:
    queue.addBulk([{"name": name, "data": {"n": n}, "opts": options} for n in range(count)])


def add_by_us(queue: Queue, name: str, count: int, **options: Any) -> None:
    if "delay" in options:
        options["delay"] /= 1000
    queue.add_bulk(JobSpec(name, {"n": n}, **options) for n in range(count))


@contextmanager
def filled(peer: Peer, by_node: bool) -> Iterator[tuple[Remote, Queue]]:
    """A queue with several jobs in every state; those that are active are so for the block."""
    theirs, ours = peer.queue("q"), Queue("q")
    events = peer.queue_events("q")

    def add(name: str, count: int, **options: Any) -> None:
        if by_node:
            add_by_node(theirs, name, count, **options)
        else:
            add_by_us(ours, name, count, **options)

    add("good", 7)
    add("bad", 4)
    # Who adds does not work: each side's jobs are run by the other.
    if by_node:
        with working("q", work, concurrency=3):
            events.wait_for("completed", 7)
            events.wait_for("failed", 4)
    else:
        once = peer.worker(
            "q",
            """async job => {
                if (job.name === 'bad') throw new Error('bad luck');
                return {n: job.data.n};
            }""",
            concurrency=3,
        )
        once.wait_for("completed", 7)
        once.wait_for("failed", 4)
        once.close()
    flow = peer.make("FlowProducer", [{"connection": peer.connection}])
    for _ in range(2):
        flow.add({"name": "parent", "queueName": "q", "data": {}, "children": [
            {"name": "child", "queueName": "other", "data": {}},
        ]})  # fmt: skip
    add("held", 3)
    holding = peer.worker("q", "async job => { await gate('states'); }", concurrency=3)
    holding.wait_for("active", 3)
    # Nobody takes what follows.
    theirs.setGlobalConcurrency(3)
    add("plain", 5)
    add("first", 2, lifo=True)
    for priority in (5, 1, 3, 1):
        add("dear", 1, priority=priority)
    for delay in (900_000, 100_000, 500_000):
        add("late", 2, delay=delay)
    yield theirs, ours
    peer.open("states")
    holding.wait_for("completed", 3)
    holding.close()


def node_state(peer: Peer, paused: bool, state: str) -> str:
    """What Node's getters call a state of ours."""
    if state == "waiting":
        return "paused" if paused and peer.major == 5 else "wait"
    return state


def seen_by_node(job: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": job["id"],
        "name": job["name"],
        "data": job["data"],
        "delay": job["delay"],
        "priority": job["priority"],
        "timestamp": job["timestamp"],
        "processed": job.get("processedOn"),
        "finished": job.get("finishedOn"),
        "made": job["attemptsMade"],
        "started": job["attemptsStarted"],
        "stalled": job["stalledCounter"],
        "result": job.get("returnvalue"),
        "reason": job.get("failedReason"),
        "traces": len(job.get("stacktrace") or []),
        "progress": job["progress"],
    }


def seen_by_us(job: Job) -> dict[str, Any]:
    def ms(moment: Any) -> int | None:
        return round(moment.timestamp() * 1000) if moment else None

    return {
        "id": job.id,
        "name": job.name,
        "data": job.data,
        "delay": round(job.delay * 1000),
        "priority": job.priority,
        "timestamp": ms(job.timestamp),
        "processed": ms(job.processed_on),
        "finished": ms(job.finished_on),
        "made": job.attempts_made,
        "started": job.attempts_started,
        "stalled": job.stalled_counter,
        "result": job.returnvalue,
        "reason": job.failed_reason,
        "traces": len(job.stacktrace),
        "progress": job.progress,
    }


RANGES = [(0, -1), (0, 0), (1, 2), (3, 100), (90, 99)]
ALL = {
    "waiting": 7,
    "prioritized": 4,
    "active": 3,
    "delayed": 6,
    "waiting-children": 2,
    "completed": 7,
    "failed": 4,
}


@pytest.mark.parametrize("by_node", [True, False], ids=["node adds", "we add"])
@pytest.mark.parametrize(
    "paused", [False, "node", "we"], ids=["running", "node paused", "we paused"]
)
def test_getters_agree(peer: Peer, by_node: bool, paused: bool | str) -> None:
    with filled(peer, by_node) as (theirs, ours):
        if paused == "node":
            theirs.pause()
        elif paused == "we":
            ours.pause()
        agree(peer, theirs, ours, bool(paused))
        if paused == "we":
            theirs.resume()
        elif paused == "node":
            ours.resume()
        agree(peer, theirs, ours, paused=False)


def agree(peer: Peer, theirs: Remote, ours: Queue, paused: bool) -> None:
    assert theirs.isPaused() == ours.is_paused() == paused
    assert ours.get_job_counts() == ALL
    names = [node_state(peer, paused, state) for state in STATES]
    assert [theirs.getJobCounts(*names)[name] for name in names] == [ALL[state] for state in STATES]
    assert theirs.count() == ours.count() == 7 + 4 + 6 + 2
    assert theirs.getCountsPerPriority([0, 1, 3, 5, 9]) == {
        str(priority): count
        for priority, count in ours.get_counts_per_priority([0, 1, 3, 5, 9]).items()
    }
    assert theirs.getGlobalConcurrency() == ours.get_global_concurrency() == 3
    for state, name in zip(STATES, names, strict=True):
        for first, last in RANGES:
            for ascending in (True, False):
                where = f"{state} {first} {last} ascending={ascending}"
                node = theirs.getJobs([name], first, last, ascending)
                us = ours.get_jobs(state, first, last, ascending)
                assert [seen_by_node(job) for job in node] == [seen_by_us(job) for job in us], where
        for job in ours.get_jobs(state):
            assert job.get_state() == ours.get_job_state(job.id) == state
            assert theirs.getJobState(job.id) == state
            assert theirs.job(job.id).getState() == state
    assert theirs.getJobState("nobody") == ours.get_job_state("nobody") == "unknown"
    assert theirs.getJob("nobody") is ours.get_job("nobody") is None


Getter = Callable[[Remote], list[dict[str, Any]]]


def test_named_getters_of_node_see_our_jobs(peer: Peer) -> None:
    with filled(peer, by_node=False) as (theirs, _):
        assert [job["name"] for job in theirs.getWaiting()] == ["first"] * 2 + ["plain"] * 5
        assert [job["priority"] for job in theirs.getPrioritized()] == [1, 1, 3, 5]
        assert [job["delay"] for job in theirs.getDelayed()] == [
            *(100_000, 100_000),
            *(500_000, 500_000),
            *(900_000, 900_000),
        ]
        assert [job["name"] for job in theirs.getActive()] == ["held"] * 3
        assert len(theirs.getCompleted()) == 7
        assert len(theirs.getFailed()) == 4
        assert len(theirs.getWaitingChildren()) == 2
