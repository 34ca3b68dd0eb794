"""Many groups, worked by processes of ours beside a worker of Node's on the same queue.

What held is read from the event stream: who started when tells order, shares and limits.
"""

from collections import Counter, defaultdict

import pytest
import redis

from queuecore import Group, JobSpec, Queue
from tests import invariants
from tests.chaos.conftest import fleet, ledger  # noqa: F401
from tests.chaos.fleet import Fleet
from tests.interop.node import Peer

# Of all groups at once, as the processor says; the rate is of single ones.
AT_ONCE, MAX, DURATION_MS = 3, 5, 300
SINGLE, RATED = {"g0", "g1", "g2"}, {"g3", "g4", "g5"}
PAUSED, RANKED, LATE, FAILING = "g6", "g7", "g8", "g9"


@pytest.mark.parametrize(
    ("count", "groups", "plain", "processes"),
    [
        pytest.param(1_500, 30, 300, 2, id="small"),
        pytest.param(
            10_000,
            200,
            2_000,
            4,
            id="10,000 jobs",
            marks=[pytest.mark.slow, pytest.mark.timeout(600)],
        ),
    ],
)
def test_many_groups_beside_node(
    six: Peer,
    redis_client: redis.Redis,
    fleet: Fleet,  # noqa: F811
    count: int,
    groups: int,
    plain: int,
    processes: int,
) -> None:
    queue, theirs = Queue("crowd"), six.queue("crowd")
    queue.set_max_events(20 * (count + plain))
    for group in SINGLE:
        queue.set_group_concurrency(group, 1)
    for group in RATED:
        queue.set_group_rate_limit(group, MAX, DURATION_MS / 1000)
    queue.pause_group(PAUSED)
    # The last group has as many jobs more as five others together.
    each = count // (groups + 5)
    names = [f"g{n % groups}" for n in range(each * groups)]
    names += [f"g{groups - 1}"] * (count - len(names))
    group_of: dict[str, str] = {}
    data: dict[str, int] = {}
    rank: dict[str, int] = {}
    for start in range(0, count, 1000):
        specs = []
        for n, name in list(enumerate(names))[start : start + 1000]:
            priority = n // groups % 3 if name == RANKED else 0
            options = {"delay": 0.3 if n % 2 else 0.1} if name == LATE else {}
            if name == FAILING:
                options = {"attempts": 2, "backoff": 0.05 if n % 4 else 0}
            specs.append(
                JobSpec(
                    "n",
                    {"n": n, "fails": name == FAILING},
                    group=Group(name, priority=priority),
                    **options,  # type: ignore[arg-type]
                )
            )
        for job in queue.add_bulk(specs):
            group_of[job.id], data[job.id] = str(job.gid), job.data["n"]
            rank[job.id] = job.opts["group"].get("priority", 0)
    queue.add_bulk(JobSpec("n", {"n": n}) for n in range(plain // 2))
    assert theirs.getWaitingChildrenCount() == count

    # Node works ungrouped jobs, cleans up and empties the queue while ours run.
    paused = queue.get_group_jobs(PAUSED)
    removed = [job.id for job in paused[:3]]
    worker = six.worker("crowd", "async () => 'node'", concurrency=10)
    fleet.start("crowd", "--processes", str(processes))
    fleet.until(lambda: redis_client.zcard("bull:crowd:completed") > plain, 60)
    assert theirs.removeOrphanedJobs() == 0
    for id in removed:
        assert theirs.remove(id) == 1
    more = queue.add_bulk(JobSpec("n", {"n": n}) for n in range(plain // 2, plain))
    assert theirs.removeOrphanedJobs() == 0
    fleet.until(
        lambda: all(redis_client.zscore("bull:crowd:completed", one.id) for one in more), 60
    )
    theirs.drain(True)

    held = len(paused) - len(removed)
    whole = count + plain - len(removed)
    fleet.until(lambda: redis_client.zcard("bull:crowd:completed") == whole - held, 120)
    assert queue.get_group_jobs_count(PAUSED) == len(paused)  # those removed, until they are met
    (told,) = [one for one in queue.get_groups() if one.id == PAUSED]
    assert (told.status, told.active) == ("paused", 0)
    before = redis_client.xlen("bull:crowd:events")
    queue.resume_group(PAUSED)
    fleet.until(lambda: redis_client.zcard("bull:crowd:completed") == whole, 60)
    worker.close()
    code, _ = fleet.terminate(10)
    assert code == 0, fleet.said()
    counts = invariants.check(redis_client, "crowd")
    assert counts["completed"] == sum(counts.values()) == whole
    assert queue.get_groups() == []

    # Node ran ungrouped ones alone, and each job ran as often as it had to.
    by: dict[str, Counter[str]] = defaultdict(Counter)
    for id in redis_client.zrange("bull:crowd:completed", 0, -1):
        row = redis_client.hmget(f"bull:crowd:{id}", "returnvalue", "ats", "stc")
        by["grouped" if id in group_of else "plain"][row[0]] += 1
        assert row[1:] == ["2" if group_of.get(id) == FAILING else "1", None]
    assert by["grouped"] == {'"ours"': count - len(removed)}
    assert by["plain"]['"node"'] > 0, by

    # Order, limits and shares.
    running: Counter[str] = Counter()
    runs: set[str] = set()
    most: Counter[str] = Counter()
    starts: dict[str, list[tuple[int, str]]] = defaultdict(list)
    turns: list[str] = []
    entries = redis_client.xrange("bull:crowd:events")
    assert len(entries) > before
    for at, (when, entry) in enumerate(entries):
        id = entry.get("jobId", "")
        group = group_of.get(id)
        if group is None:
            continue
        if entry["event"] == "active":
            runs.add(id)
            running[group] += 1
            most[group] = max(most[group], running[group])
            starts[group].append((int(when.partition("-")[0]), id))
            turns.append(group)
            assert group != PAUSED or at >= before, "a job of the paused group ran"
        elif id in runs and entry["event"] in ("completed", "delayed", "waiting"):
            runs.remove(id)
            running[group] -= 1
    assert not runs
    assert max(most.values()) == AT_ONCE
    assert all(most[group] == 1 for group in SINGLE)
    for group, some in starts.items():
        if group not in (LATE, FAILING):
            ran = [(rank[id], data[id]) for _, id in some]
            assert ran == sorted(ran), f"{group} ran out of order"
    for group in RATED:
        opened, counted = 0, 0
        for when, _ in starts[group]:
            if when >= opened + DURATION_MS:
                opened, counted = when, 0
            counted += 1
            assert counted <= MAX, f"{group} started {counted} within {DURATION_MS} ms"

    # As long as all of them have jobs waiting, those without limits of their own get equal shares.
    equal = {f"g{n}" for n in range(10, groups)} | {RANKED}
    some = [group for group in turns if group in equal][: len(equal) * each * 2 // 3]
    share = Counter(some)
    mean = len(some) / len(equal)
    assert all(abs(share[group] - mean) <= max(mean / 10, 2) for group in equal), share
    print(
        f"{whole} jobs, {dict(by['plain'])}, shares {min(share.values())} to {max(share.values())}"
    )
