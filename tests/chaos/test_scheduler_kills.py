"""Schedulers of one second whose workers are killed all the while: no run twice, none missed
without a reason."""

import json
import random
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
import redis

from queuecore import Queue
from tests import invariants
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.chaos.settings import WORKER

Q = "bull:beat:"
EVERY = 1000  # ms
# Until a job of a dead worker is given to another, at most.
RECOVERY = round((WORKER["LOCK_DURATION"] + 2 * WORKER["STALLED_INTERVAL"]) * 1000)
# How late a run may be on a busy machine.
SLACK = 900


@dataclass(slots=True)
class Kill:
    """One SIGKILL: server time in ms before and after it, and what was active then."""

    begun: int
    over: int
    active: set[str]


def now_ms(client: redis.Redis) -> int:
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000


@pytest.mark.parametrize(
    ("schedulers", "seconds"),
    [
        pytest.param(15, 12, id="small"),
        pytest.param(
            50, 120, id="50 for two minutes", marks=[pytest.mark.slow, pytest.mark.timeout(400)]
        ),
    ],
)
def test_sigkill_of_workers_of_schedulers(
    redis_client: redis.Redis,
    child_environment: dict[str, str],
    ledger: Ledger,
    tmp_path: Path,
    schedulers: int,
    seconds: int,
) -> None:
    rng = random.Random()
    redis_client.hset(f"{Q}meta", "opts.maxLenEvents", 1_000_000)  # every `added` is counted
    queue = Queue("beat")
    for n in range(schedulers):
        queue.upsert_job_scheduler(f"s{n}", every=EVERY / 1000, data={"n": n})

    fleets = [Fleet(child_environment, ledger, tmp_path / f"log{n}") for n in range(2)]
    kills: list[Kill] = []
    alive: list[tuple[int, int]] = []  # from when to when each worker worked

    def kill(which: int) -> None:
        begun = now_ms(redis_client)
        held = set(redis_client.lrange(f"{Q}active", 0, -1))
        pids = fleets[which].kill()
        held |= set(redis_client.lrange(f"{Q}active", 0, -1))
        kills.append(Kill(begun, now_ms(redis_client), held))
        first = first_run(ledger, pids)
        if first is not None:
            alive.append((first, begun))

    try:
        for which in range(2):
            fleets[which].start("beat")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(rng.uniform(1.5, 3.5))
            if rng.random() < 0.7:
                # In the middle of the runs of this second, at any step of them.
                ends = ledger.ends()
                fleets[0].until(lambda ends=ends: ledger.ends() > ends, 30)  # type: ignore[misc]
                time.sleep(rng.random() * 0.03)
            # Mostly one, whose part the other takes over; now and then both.
            for which in rng.choice([[0], [1], [0], [1], [0, 1]]):
                kill(which)
                fleets[which].start("beat")
        for fleet in fleets:
            fleet.until(lambda fleet=fleet: first_run(ledger, fleet.pids()), 30)  # type: ignore[misc]
        fleets[0].until(lambda: alive_again(redis_client, schedulers), 30)
        stopped = now_ms(redis_client)
        for fleet in fleets:
            first = first_run(ledger, fleet.pids())
            assert first is not None
            alive.append((first, stopped))
            code, _ = fleet.terminate(15)
            assert code == 0, fleet.said()
    finally:
        for fleet in fleets:
            fleet.close()

    invariants.check(redis_client, "beat")
    assert queue.get_job_schedulers_count() == schedulers
    for scheduler in queue.get_job_schedulers():
        assert scheduler.next is not None
        pending = f"repeat:{scheduler.key}:{round(scheduler.next.timestamp() * 1000)}"
        assert queue.get_job_state(pending) in ("delayed", "waiting"), pending
    check_runs(redis_client, ledger, kills)
    check_moments(redis_client, schedulers, seconds, kills, alive)


def first_run(ledger: Ledger, pids: list[int]) -> int | None:
    """When (server ms) one of the processes began its first job; None if it began none."""
    shift = time.time() - time.monotonic()
    starts = [run.start for runs in ledger.runs().values() for run in runs if run.pid in set(pids)]
    return round((min(starts) + shift) * 1000) if starts else None


def alive_again(client: redis.Redis, schedulers: int) -> bool:
    """Whether every scheduler's next run lies ahead: all have been picked up again."""
    return client.zcount(f"{Q}repeat", now_ms(client), "+inf") == schedulers


def check_runs(client: redis.Redis, ledger: Ledger, kills: list[Kill]) -> None:
    """Each run was made once, and done again only where its worker was killed with it."""
    added = Counter(
        fields["jobId"] for _, fields in client.xrange(f"{Q}events") if fields["event"] == "added"
    )
    assert set(added.values()) == {1}
    completed = Counter(
        fields["jobId"]
        for _, fields in client.xrange(f"{Q}events")
        if fields["event"] == "completed"
    )
    assert set(completed.values()) == {1}
    held = Counter(id for one in kills for id in one.active)
    again = 0
    for id, runs in ledger.runs().items():
        extra = len(runs) - 1
        again += extra
        assert extra <= held[id], f"{id} ran {len(runs)} times, held at {held[id]} kills"
    print(f"{len(added)} runs made, {len(kills)} kills, {again} done again")
    assert sum(held.values()) > 0 or len(kills) < 10


def check_moments(
    client: redis.Redis,
    schedulers: int,
    seconds: int,
    kills: list[Kill],
    alive: list[tuple[int, int]],
) -> None:
    """Whatever moment a scheduler missed has a reason."""
    made: dict[str, list[int]] = defaultdict(list)
    for key in client.scan_iter(f"{Q}repeat:*:*", count=1000):
        scheduler, moment, *lock = key.split(":")[3:]
        if not lock:
            made[scheduler].append(int(moment))
    assert len(made) == schedulers
    held: dict[str, list[Kill]] = defaultdict(list)
    for kill in kills:
        for id in kill.active:
            held[id].append(kill)
    nobody = missed_by_death = 0
    for scheduler, moments in made.items():
        moments.sort()
        for before, after in pairwise(moments):
            assert (after - before) % EVERY == 0
            missed = (after - before) // EVERY - 1
            if not missed:
                continue
            # The run was made when the one before it was started.
            advanced = int(client.hget(f"{Q}repeat:{scheduler}:{after}", "timestamp"))
            dead = without_worker(before, advanced, alive)
            deaths = [
                kill
                for kill in held[f"repeat:{scheduler}:{before}"]
                if before <= kill.over and kill.begun <= advanced
            ]
            reason = (
                f"{scheduler}: {missed} missed after {before}, made {advanced - before} ms later"
            )
            assert dead or deaths, reason
            most = EVERY + SLACK + dead + len(deaths) * RECOVERY
            assert advanced - before <= most, f"{reason}; {dead} ms nobody, {len(deaths)} deaths"
            if deaths:
                missed_by_death += missed
            else:
                nobody += missed
    total = sum(map(len, made.values()))
    print(f"{total} moments, missed: {nobody} without a worker, {missed_by_death} held by the dead")
    # Most moments had their run, whatever happened.
    assert total > schedulers * seconds / 2
    assert all(len(moments) > seconds / 4 for moments in made.values()), json.dumps(made)


def without_worker(begin: int, end: int, alive: list[tuple[int, int]]) -> int:
    """For how many ms between two moments no worker was there."""
    dead, at = 0, begin
    for first, last in sorted(alive):
        if first > at:
            dead += min(first, end) - min(at, end)
        at = max(at, last)
    return dead + max(end - max(at, begin), 0)
