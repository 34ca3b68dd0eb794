"""``manage.py runworker`` beside BullMQ for Node."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests import invariants
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.interop.node import Peer


@pytest.fixture
def fleet(child_environment: dict[str, str], tmp_path: Path) -> Iterator[Fleet]:
    """The worker processes of tests/chaos: their processors return ``{"n": n}``."""
    ledger = Ledger(tmp_path / "ledger")
    fleet = Fleet(child_environment, ledger, tmp_path / "log")
    yield fleet
    fleet.close()
    ledger.close()


def a_thousand() -> list[dict[str, Any]]:
    kinds: list[tuple[str, dict[str, Any]]] = [
        ("async", {}),
        ("threaded", {}),
        ("async", {"priority": 3}),
        ("second-try", {"attempts": 3}),
        ("second-try", {"attempts": 3, "backoff": 50}),
        ("async", {"delay": 200}),
        ("threaded", {"lifo": True}),
        ("async", {"jobId": "own"}),
    ]
    jobs = []
    for n in range(1000):
        name, options = kinds[n % 8]
        if "jobId" in options:
            options = {"jobId": f"own-{n}"}
        jobs.append({"name": name, "data": {"n": n}, "opts": options})
    return jobs


@pytest.mark.parametrize("first", ["worker", "jobs"], ids=["worker first", "jobs first"])
def test_a_thousand_jobs_of_node(
    peer: Peer, redis_client: redis.Redis, fleet: Fleet, first: str
) -> None:
    queue, events = peer.queue("short"), peer.queue_events("short")
    if first == "worker":
        fleet.start("short")
        fleet.until(lambda: queue.getWorkers(), 20)
    queue.addBulk(a_thousand())
    if first == "jobs":
        fleet.start("short")
    fleet.until(lambda: len(events.of("completed")) >= 1000, 60)
    done = [args[0] for args in events.of("completed")]
    jobs = {job["id"]: job for job in queue.getJobs(["completed"], 0, -1)}
    assert Counter(one["jobId"] for one in done) == Counter(dict.fromkeys(jobs, 1))
    assert len(jobs) == 1000
    for one in done:
        job = jobs[one["jobId"]]
        assert one["returnvalue"] == job["returnvalue"] == {"n": job["data"]["n"]}
        assert job["attemptsMade"] == (2 if job["name"] == "second-try" else 1)
    assert not events.of("failed")
    assert not events.of("stalled")
    code, _ = fleet.terminate(10)
    assert code == 0, fleet.said()
    assert queue.getWorkers() == []
    counts = invariants.check(redis_client, "short")
    assert counts["completed"] == sum(counts.values()) == 1000


def test_a_burst_ends_by_itself(peer: Peer, redis_client: redis.Redis, fleet: Fleet) -> None:
    queue = peer.queue("short")
    queue.addBulk([{"name": "async", "data": {"n": n}} for n in range(200)])
    fleet.start("short", "--burst")
    assert fleet.wait(30) == 0, fleet.said()
    counts = invariants.check(redis_client, "short")
    assert counts["completed"] == sum(counts.values()) == 200
