"""Checks and repairs beside Node's workers and producers: a queue of theirs is sound, too."""

import threading
from collections import Counter

import redis

from queuecore.integrity import Integrity, Mended
from tests import invariants
from tests.interop.node import Peer, numbered


def test_a_repair_without_pause_hurts_no_job_of_nodes(
    peer: Peer, redis_client: redis.Redis
) -> None:
    queue, events = peer.queue("q"), peer.queue_events("q")
    runs: list[Mended] = []
    over = threading.Event()

    def mend() -> None:
        while not over.is_set():
            runs.append(Integrity().repair(["q"]))

    thread = threading.Thread(target=mend)
    thread.start()
    try:
        # Every fifth fails once, every seventh is delayed, every third has a priority.
        worker = peer.worker(
            "q",
            "async job => { if (job.data.n % 5 === 0 && job.attemptsMade === 0) "
            "throw new Error('again'); return job.data.n }",
            concurrency=20,
        )
        for start in range(0, 1_000, 100):
            jobs = list(numbered(start + 100))[start:]
            for one in jobs:
                options = {"attempts": 2}
                n = one["data"]["n"]
                options |= {"delay": 20} if n % 7 == 0 else {"priority": 2} if n % 3 == 0 else {}
                one["opts"] = options
            queue.addBulk(jobs)
        done = [args[0]["jobId"] for args in events.wait_for("completed", 1_000)]
    finally:
        over.set()
        thread.join()
    worker.close()
    assert len(runs) > 3
    assert {kind for one in runs for kind in one.kinds()} <= {"marker", "overdue"}
    assert set(Counter(done).values()) == {1}
    assert not events.of("stalled")
    started = Counter(redis_client.hget(f"bull:q:{n}", "ats") for n in range(1, 1_001))
    assert started == {"1": 800, "2": 200}
    assert invariants.check(redis_client, "q")["completed"] == 1_000
    assert Integrity().check(["q"]).findings == []
