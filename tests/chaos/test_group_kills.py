"""Processes are killed again and again while grouped jobs run: none is lost, no group is stuck.

What order survives: a job starts for the first time after those before it in its group have; in a
group of one at a time also after they have ended, since a dead worker's job holds its place.
"""

import random
import time
from collections import defaultdict

import pytest
import redis

from queuecore import Group, JobSpec, Queue
from queuecore.fleet import Fleet as Presence
from tests import invariants
from tests.chaos.fleet import Fleet, alive, send, signal
from tests.chaos.ledger import Ledger
from tests.chaos.watch import finished, watched
from tests.servers import Server

GROUPS = 20
#: Groups of one job at a time; the others run as many as the processor says.
SINGLE = 10
BASE = "bull:crowd:"


def add_jobs(count: int) -> dict[str, tuple[str, int]]:
    """So many jobs; group and number of each by its id."""
    queue = Queue("crowd")
    queue.set_max_events(20 * count)
    for n in range(SINGLE):
        queue.set_group_concurrency(f"g{n}", 1)
    jobs = queue.add_bulk(
        JobSpec("n", {"n": n, "seconds": 0.01}, group=Group(f"g{n % GROUPS}")) for n in range(count)
    )
    return {job.id: (str(job.gid), job.data["n"]) for job in jobs}


def working(fleet: Fleet) -> list[int]:
    """The processes of the supervisor that are alive and have told of themselves."""
    there = set(fleet.pids()[1:])
    return [one.pid for one in Presence().processes() if one.pid in there and alive(one.pid)]


def check_whole(client: redis.Redis, jobs: dict[str, tuple[str, int]]) -> None:
    """All have completed once, nothing is left, and what order can survive has."""
    queue = Queue("crowd")
    counts = invariants.check(client, "crowd")
    assert counts["completed"] == sum(counts.values()) == len(jobs)
    assert queue.get_groups() == []
    assert [queue.get_group_active_count(f"g{n}") for n in range(GROUPS)] == [0] * GROUPS
    started: dict[str, dict[int, None]] = defaultdict(dict)
    ended: dict[str, list[int]] = defaultdict(list)
    for _, entry in client.xrange(f"{BASE}events"):
        group, n = jobs.get(entry.get("jobId", ""), ("", 0))
        if entry["event"] == "active":
            started[group].setdefault(n)
        elif entry["event"] == "completed":
            ended[group].append(n)
    assert sum(map(len, ended.values())) == len(jobs)
    for group in ended:
        assert list(started[group]) == sorted(started[group]), group
    for n in range(SINGLE):
        assert ended[f"g{n}"] == sorted(ended[f"g{n}"]), f"g{n}"


@pytest.mark.parametrize(
    ("count", "kills"),
    [
        pytest.param(400, 2, id="small"),
        pytest.param(
            10_000, 30, id="10,000 jobs", marks=[pytest.mark.slow, pytest.mark.timeout(600)]
        ),
    ],
)
def test_sigkill_of_all_processes_while_groups_run(
    server: Server,
    redis_client: redis.Redis,
    fleet: Fleet,
    ledger: Ledger,
    count: int,
    kills: int,
) -> None:
    rng = random.Random()
    jobs = add_jobs(count)
    moments = sorted(rng.sample(range(count // 50, count * 9 // 10), kills))
    met = 0
    with watched(server, "crowd") as wrong:
        for moment in moments:
            further = max(moment, ledger.ends())
            fleet.start("crowd")
            fleet.until(lambda far=further: ledger.ends() > far, 60)  # type: ignore[misc]
            time.sleep(rng.random() * 0.02)
            fleet.kill()
            left = set(redis_client.lrange(f"{BASE}active", 0, -1))
            # Right afterwards, too, as many of a group are noted to run as stand in `active`.
            assert set(redis_client.hkeys("qc:bull:crowd:group-active")) == left
            met += bool(left)
        fleet.start("crowd")
        fleet.until(lambda: finished(redis_client, "crowd") == count, 120)
        code, _ = fleet.terminate(10)
    assert code == 0, fleet.said()
    assert wrong == []
    assert met > 0
    check_whole(redis_client, jobs)


@pytest.mark.parametrize(
    ("count", "kills"),
    [
        pytest.param(400, 2, id="small"),
        pytest.param(
            10_000, 30, id="10,000 jobs", marks=[pytest.mark.slow, pytest.mark.timeout(600)]
        ),
    ],
)
def test_the_jobs_of_a_killed_process_are_back_in_their_groups_at_once(
    redis_client: redis.Redis, fleet: Fleet, ledger: Ledger, count: int, kills: int
) -> None:
    """Locks last for longer than the test may: only the supervisor can give the jobs back."""
    rng = random.Random()
    jobs = add_jobs(count)
    killed = []
    fleet.start("crowd", "--processes", "2", LOCK_DURATION=600, STALLED_INTERVAL=600, HEARTBEAT=0.1)
    for moment in sorted(rng.sample(range(count // 50, count * 9 // 10), kills)):
        fleet.until(lambda far=moment: ledger.ends() > far, 60)  # type: ignore[misc]
        if children := working(fleet):
            killed.append(rng.choice(children))
            send(killed[-1], signal.SIGKILL)
    fleet.until(lambda: finished(redis_client, "crowd") == count, 120)
    fleet.until(lambda: len(working(fleet)) == 2, 60)  # the last one that was killed is replaced
    code, _ = fleet.terminate(10)
    assert code == 0, fleet.said()
    assert len(set(killed)) > kills / 2
    again = [id for id, runs in ledger.runs().items() if len(runs) > 1]
    assert again, "no kill met a job that ran"
    check_whole(redis_client, jobs)
