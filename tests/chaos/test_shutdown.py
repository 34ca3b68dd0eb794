"""SIGTERM while jobs run: each is finished or handed back, in time, and no try is counted."""

import base64
import signal

import pytest
import redis

from queuecore import JobSpec, Queue
from tests import invariants
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger

K = "bull:long:"
GRACE = 2.0


@pytest.mark.parametrize("name", ["async", "threaded"])
def test_sigterm_during_fifty_running_jobs(
    redis_client: redis.Redis, fleet: Fleet, ledger: Ledger, name: str
) -> None:
    seconds = [0.5 if n % 2 else 60 for n in range(50)]
    queue = Queue("long")
    jobs = queue.add_bulk(JobSpec(name, {"seconds": one}) for one in seconds)
    fleet.start("long", CONCURRENCY=50, SHUTDOWN_TIMEOUT=GRACE)
    fleet.until(lambda: len(ledger.runs()) == 50, 20)
    more = queue.add_bulk(JobSpec(name, {"seconds": 0}) for _ in range(10))
    # The last fifty are claimed and run; the short ones still have most of their time to go.
    code, took = fleet.terminate(GRACE + 10)
    assert code == 0, fleet.said()
    assert took < GRACE + 1

    short = [job.id for job, one in zip(jobs, seconds, strict=True) if one < 1]
    long = [job.id for job, one in zip(jobs, seconds, strict=True) if one > 1]
    counts = invariants.check(redis_client, "long", idle=True)
    assert set(redis_client.zrange(f"{K}completed", 0, -1)) == set(short)
    assert counts["active"] == counts["failed"] == 0
    # What was handed back is next to run, in its old order.
    waiting = redis_client.lrange(f"{K}wait", 0, -1)[::-1]
    assert waiting[:25] == long
    assert waiting[25:] == [job.id for job in more]
    for id in long:
        assert redis_client.hmget(f"{K}{id}", "atm", "stc", "failedReason") == [None, None, None]
        assert redis_client.exists(f"{K}{id}:lock") == 0


def test_a_second_sigterm_hands_back_at_once(
    redis_client: redis.Redis, fleet: Fleet, ledger: Ledger
) -> None:
    jobs = Queue("long").add_bulk(JobSpec("async", {"seconds": 60}) for _ in range(5))
    fleet.start("long", SHUTDOWN_TIMEOUT=60)
    fleet.until(lambda: len(ledger.runs()) == 5, 20)
    fleet.tell(signal.SIGTERM)
    # Two signals at once would be one.
    fleet.until(lambda: "shutting down" in fleet.said(), 5)
    code, took = fleet.terminate(10)
    assert took < 2, fleet.said()
    counts = invariants.check(redis_client, "long", idle=True)
    assert counts["wait"] == len(jobs) == sum(counts.values())
    print(f"exit code {code} after {took:.2f} s")


def test_an_idle_worker_leaves_at_once(redis_client: redis.Redis, fleet: Fleet) -> None:
    fleet.start("long")
    blocked = f"bull:{base64.b64encode(b'long').decode()}"
    fleet.until(
        lambda: any(
            client["name"] == blocked and client["cmd"] == "bzpopmin"
            for client in redis_client.client_list()
        ),
        20,
    )
    code, took = fleet.terminate(10)
    assert (code, took < 1.5) == (0, True), (took, fleet.said())
