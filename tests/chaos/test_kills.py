"""The worker's whole process tree is killed again and again while it works."""

import random
import time
from collections import Counter

import pytest
import redis

from queuecore import JobSpec, Queue
from tests import invariants
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.chaos.settings import WORKER
from tests.chaos.watch import finished, watched
from tests.servers import Server

Q = "bull:short:"


def add_jobs(count: int) -> list[str]:
    """So many jobs of several kinds; their ids."""
    kinds: list[tuple[str, dict[str, object]]] = [
        ("async", {}),
        ("async", {}),
        ("threaded", {}),
        ("async", {"priority": 5}),
        ("second-try", {"attempts": 5}),
        ("second-try", {"attempts": 5, "backoff": 0.1}),
        ("async", {"delay": 0.5}),
        ("threaded", {"lifo": True}),
    ]
    specs = [(name, n, options) for n in range(count) for name, options in [kinds[n % 8]]]
    jobs = Queue("short").add_bulk(JobSpec(name, {"n": n}, **o) for name, n, o in specs)
    return [job.id for job in jobs]


@pytest.mark.parametrize(
    ("count", "kills"),
    [
        pytest.param(2_000, 4, id="small"),
        pytest.param(
            10_000, 20, id="10,000 jobs", marks=[pytest.mark.slow, pytest.mark.timeout(600)]
        ),
    ],
)
def test_sigkill_of_the_worker(
    server: Server,
    redis_client: redis.Redis,
    fleet: Fleet,
    ledger: Ledger,
    count: int,
    kills: int,
) -> None:
    rng = random.Random()
    ids = add_jobs(count)
    # At moments between the first job and the last but some, whatever the machine's speed is.
    moments = sorted(rng.sample(range(count // 50, count * 9 // 10), kills))
    in_flight: list[set[str]] = []
    with watched(server, "short") as wrong:
        for _ in range(2 * kills):
            # The one before may have come further than this moment: this one must work, too.
            further = max(moments[len(in_flight)], ledger.ends())
            fleet.start("short")
            fleet.until(lambda far=further: ledger.ends() > far, 60)  # type: ignore[misc]
            time.sleep(rng.random() * 0.02)
            killed = fleet.kill()
            active = redis_client.lrange(f"{Q}active", 0, -1)
            runs = ledger.runs()
            # What this process was working at: the rest was left by those before it, or was
            # claimed but had not begun.
            met = {id for id in active if id in runs and runs[id][-1].pid in killed}
            if met:
                # Else it came between two jobs that ran alone, was no fault, and does not count.
                in_flight.append(met)
            if len(in_flight) == kills:
                break
        fleet.start("short")
        fleet.until(lambda: finished(redis_client, "short") == count, 60)
        code, _ = fleet.terminate(10)
    assert code == 0, fleet.said()
    assert wrong == []

    counts = invariants.check(redis_client, "short")
    assert counts["completed"] == sum(counts.values()) == count
    assert set(redis_client.zrange(f"{Q}completed", 0, -1)) == set(ids)
    # The faults were real: so many kills met jobs that ran, or had run and were being reported.
    sizes = [len(one) for one in in_flight]
    assert len(sizes) == kills
    assert max(sizes) <= 2 * WORKER["CONCURRENCY"]

    # A run too many is explained: its job was in flight at a kill, once for each such run.
    runs = ledger.runs()
    chances = Counter(id for one in in_flight for id in one)
    assert set(runs) == set(ids)
    again = 0
    for id in ids:
        row = redis_client.hmget(f"{Q}{id}", "name", "ats", "atm", "returnvalue")
        attempts = 2 if row[0] == "second-try" else 1
        extra = len(runs[id]) - attempts
        again += max(extra, 0)
        assert extra <= chances[id], f"{id} ran {len(runs[id])} times, in flight {chances[id]}"
        assert int(row[1]) >= len(runs[id])
        assert int(row[2]) == attempts
    done = Counter(
        fields["jobId"]
        for _, fields in redis_client.xrange(f"{Q}events")
        if fields["event"] == "completed"
    )
    assert set(done.values()) <= {1}
    print(f"{count} jobs, {kills} kills, {sum(sizes)} in flight, {again} runs again")
