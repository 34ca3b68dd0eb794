"""Our ``Queue`` adds, BullMQ's worker works: every kind of add, order, data and options."""

import asyncio
import random
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from queuecore import Backoff, JobSpec, Keep, Queue
from tests import invariants
from tests.interop.node import Peer

ECHO = "async job => [job.id, job.name, job.data]"


@pytest.mark.parity("Queue.add", "Queue.addBulk")
def test_a_thousand_jobs_of_every_kind(peer: Peer, redis_client: redis.Redis) -> None:
    queue = Queue("mixed")
    rng = random.Random(5)
    data: dict[str, dict[str, int]] = {}

    def keep(jobs: list[Any], first: int) -> None:
        for n, job in enumerate(jobs, first):
            assert job.id not in data
            data[job.id] = {"n": n}

    keep(queue.add_bulk(JobSpec("bulk", {"n": n}) for n in range(350)), 0)
    keep([queue.add("one", {"n": n}) for n in range(350, 450)], 350)
    keep(asyncio.run(_concurrently(queue, range(450, 550))), 450)
    keep(
        queue.add_bulk(
            JobSpec("late", {"n": n}, delay=rng.uniform(0.001, 1)) for n in range(550, 700)
        ),
        550,
    )
    keep(
        queue.add_bulk(
            JobSpec("dear", {"n": n}, priority=rng.randint(1, 2_097_151)) for n in range(700, 850)
        ),
        700,
    )
    keep(queue.add_bulk(JobSpec("quick", {"n": n}, lifo=True) for n in range(850, 900)), 850)
    owned = [JobSpec("own", {"n": n}, job_id=f"own-{n}") for n in range(900, 1000)]
    keep(queue.add_bulk(owned), 900)
    # The same ids again are answered like successes and change nothing.
    again = queue.add_bulk(JobSpec("other", {"n": -1}, job_id=f"own-{n}") for n in range(900, 1000))
    assert [job.id for job in again] == [f"own-{n}" for n in range(900, 1000)]
    invariants.check(redis_client, "mixed", idle=True)

    events = peer.queue_events("mixed")
    worker = peer.worker("mixed", ECHO, concurrency=20)
    done = [args[0] for args in events.wait_for("completed", 1000)]
    assert len({one["jobId"] for one in done}) == 1000
    for one in done:
        job_id, name, given = one["returnvalue"]
        assert (job_id, given) == (one["jobId"], data[one["jobId"]])
        assert name != "other"
    assert len(events.of("duplicated")) == 100
    assert not worker.of("failed")
    worker.close()
    counts = invariants.check(redis_client, "mixed")
    assert counts["completed"] == sum(counts.values()) == 1000


async def _concurrently(queue: Queue, numbers: range) -> list[Any]:
    return await asyncio.gather(*(queue.aadd("many", {"n": n}) for n in numbers))


@pytest.mark.parity("JobOptions.priority", "JobOptions.lifo")
def test_node_runs_our_jobs_in_our_order(peer: Peer) -> None:
    queue = Queue("order")
    plan = [
        ("plain 1", {}),
        ("low", {"priority": 9}),
        ("plain 2", {}),
        ("high", {"priority": 1}),
        ("last in 1", {"lifo": True}),
        ("high again", {"priority": 1}),
        ("last in 2", {"lifo": True}),
        ("plain 3", {}),
    ]
    queue.add_bulk(JobSpec(name, **options) for name, options in plan)
    worker = peer.worker("order", "async job => null")
    ran = [args[0]["name"] for args in worker.wait_for("completed", len(plan))]
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


DATA = [
    None,
    True,
    "",
    "Grüße, 世界 🎉 \u2028 </script> \\u0000 \x00",
    [],
    {},
    [[], {}, [{}]],
    {"a": {"b": {"c": [1, 2.5, -3e-7, 1e21, None, True]}}},
    9_007_199_254_740_991,
    -0.5,
    {"": "empty key", "ключ": 1},
    "x" * 100_000,
]


@pytest.mark.parametrize("batch", [False, True], ids=["one by one", "in bulk"])
def test_node_reads_our_data(peer: Peer, batch: bool) -> None:
    queue = Queue("data")
    if batch:
        jobs = queue.add_bulk(JobSpec("job", one) for one in DATA)
    else:
        jobs = [queue.add("job", one) for one in DATA]
    events = peer.queue_events("data")
    peer.worker("data", ECHO)
    results = {
        args[0]["jobId"]: args[0]["returnvalue"][2]
        for args in events.wait_for("completed", len(DATA))
    }
    # Nothing at all is an empty object, as in BullMQ.
    assert [results[job.id] for job in jobs] == [{}, *DATA[1:]]


@pytest.mark.parity(
    "JobOptions.attempts",
    "JobOptions.backoff",
    "JobOptions.removeOnComplete",
    "JobOptions.removeOnFail",
)
def test_node_reads_our_options(peer: Peer) -> None:
    when = datetime(2031, 2, 3, 4, 5, 6, 789_000, UTC)
    job = Queue("options").add(
        "job",
        {"user_id": 7},
        delay=86_400,
        priority=5,
        attempts=4,
        backoff=Backoff.exponential(1.5, jitter=0.25),
        job_id="own-id",
        lifo=True,
        remove_on_complete=Keep(count=100, age=3600, limit=50),
        remove_on_fail=False,
        keep_logs=20,
        stack_trace_limit=3,
        size_limit=1000,
        timestamp=when,
    )
    seen = peer.queue("options").getJob(job.id)
    assert seen["opts"] == {
        "attempts": 4,
        "backoff": {"type": "exponential", "delay": 1500, "jitter": 0.25},
        "delay": 86_400_000,
        "jobId": "own-id",
        "keepLogs": 20,
        "lifo": True,
        "priority": 5,
        "removeOnComplete": {"count": 100, "age": 3600, "limit": 50},
        "removeOnFail": False,
        "sizeLimit": 1000,
        "stackTraceLimit": 3,
        "timestamp": round(when.timestamp() * 1000),
    }
    assert (seen["id"], seen["name"], seen["data"]) == ("own-id", "job", {"user_id": 7})
    assert (seen["delay"], seen["priority"]) == (86_400_000, 5)
    assert seen["timestamp"] == round(when.timestamp() * 1000)
    assert (seen["attemptsMade"], seen["attemptsStarted"], seen["stalledCounter"]) == (0, 0, 0)


def test_an_idle_node_worker_wakes_for_our_adds(peer: Peer) -> None:
    worker = peer.worker("wake", "async job => null", drainDelay=60)
    queue = Queue("wake")
    for count, options in enumerate([{}, {"priority": 3}, {"delay": 0.2}, {"lifo": True}], 1):
        queue.add("job", **options)
        # Far below the 60 s after which it would look by itself.
        worker.wait_for("completed", count, timeout=5)
