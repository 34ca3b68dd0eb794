"""The worker's whole process tree is killed again and again while it works."""

import random
import signal
import statistics
import time
from collections import Counter
from contextlib import nullcontext

import pytest
import redis

from queuecore import JobSpec, Queue
from tests import invariants
from tests.chaos.fleet import Fleet, alive, send
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


# A kill is of a process that has ended so many runs since it began, or runs so many, and its
# outcomes are told within so many seconds.
AT_WORK, TOLD = 20, 1.0


@pytest.mark.parametrize(
    ("count", "kills"),
    [
        pytest.param(100_000, 200, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(2400)]),
        pytest.param(5_000, 6, id="few", marks=[pytest.mark.slow, pytest.mark.timeout(300)]),
    ],
)
def test_sigkill_of_one_process_of_four(
    server: Server,
    redis_client: redis.Redis,
    fleet: Fleet,
    ledger: Ledger,
    count: int,
    kills: int,
) -> None:
    """Locks hold for 30 s here, so that only the supervisor gives jobs back in time."""
    rng = random.Random()
    ids = add_jobs(count)
    killed: dict[int, float] = {}
    fleet._environment["QUEUECORE_TEST_PAUSE"] = "0.1"
    # A look at a hundred thousand jobs holds the server up for a second.
    looking = watched(server, "short", tolerance=1000) if count < 10_000 else nullcontext([])
    with looking as wrong:
        fleet.start("short", "--processes", "4", LOCK_DURATION=30, STALLED_INTERVAL=30)
        worked: Counter[int] = Counter()
        seen = ended = 0

        def look() -> list[int]:
            """Who is at work."""
            nonlocal seen, ended
            with ledger.path.open("rb") as file:
                file.seek(seen)
                *lines, rest = file.read().split(b"\n")
                seen = file.tell() - len(rest)
            ended += sum(line.startswith(b"end ") for line in lines)
            worked.update(int(line.split(b" ")[2]) for line in lines)
            return [pid for pid in worked if worked[pid] > AT_WORK and pid not in killed]

        for number in range(1, kills + 1):
            # Spread over all jobs, if the machine starts processes fast enough.
            due = count * 9 // 10 * number // (kills + 1)
            fleet.until(lambda due=due: look() and ended > due, 120)  # type: ignore[misc]
            pid = rng.choice(look())
            time.sleep(rng.random() * 0.02)
            assert alive(pid)
            killed[pid] = time.monotonic()
            send(pid, signal.SIGKILL)
        fleet.until(lambda: finished(redis_client, "short") == count, 600)
        code, _ = fleet.terminate(20)
    assert code == 0, fleet.said()
    assert wrong == []

    with redis.Redis.from_url(server.url, decode_responses=True, socket_timeout=120) as patient:
        counts = invariants.check(patient, "short", tolerance=1000)
        with patient.pipeline(transaction=False) as pipe:
            for id in ids:
                pipe.hmget(f"{Q}{id}", "name", "atm", "stc")
            rows = pipe.execute()
    assert counts["completed"] == sum(counts.values()) == count
    assert set(redis_client.zrange(f"{Q}completed", 0, -1)) == set(ids)
    runs = ledger.runs()
    assert set(runs) == set(ids)
    again, waits = 0, []
    for id, (name, made, stalls) in zip(ids, rows, strict=True):
        attempts = 2 if name == "second-try" else 1
        assert int(made) == attempts, id
        assert stalls is None, id
        # Each run too many follows one whose process was killed in it, or before it was told.
        lost = [
            run
            for run in runs[id]
            if run.pid in killed and (run.end is None or killed[run.pid] - run.end < TOLD)
        ]
        extra = len(runs[id]) - attempts
        assert 0 <= extra <= len(lost), id
        again += extra
        for run, after in zip(runs[id], runs[id][1:], strict=False):
            if run.pid in killed and run.end is None:
                waits.append(after.start - killed[run.pid])
    assert len(killed) == kills
    assert waits, "no kill met a job"
    waits.sort()
    middle, late = statistics.median(waits), waits[int(len(waits) * 0.99)]
    print(
        f"{count} jobs, {kills} kills, {again} runs again; {len(waits)} that were cut off began "
        f"anew after {middle:.3f} s (median), {late:.3f} s (p99), {waits[-1]:.3f} s (most)"
    )
    assert waits[-1] < 10, "as if locks had to run out"
