"""Several queues in one process, several processes at one queue: each gets its share, in order."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from bench.fleet import QUEUES
from bench.fleet.idle import commands
from queuecore import Job, JobSpec, Queue
from queuecore.wire.clock import FixedClock
from queuecore.wire.connections import get_connection
from queuecore.worker.fetch import Marker
from tests.server.hands import Hands
from tests.server.processes import Start, Worker

APPS = ["tests.server.jobs.fair"]
# So many jobs of a busy queue may start while another queue's only one waits: ten claims of it.
FEW = 250


def keep_all_events(client: redis.Redis, *queues: str) -> None:
    for queue in queues:
        client.hset(f"bull:{queue}:meta", "opts.maxLenEvents", "10000000")


def starts(client: redis.Redis, queue: str, first: str = "-", last: str = "+") -> int:
    """How many jobs of *queue* started from one event's id to another's."""
    found = client.xrange(f"bull:{queue}:events", first, last)
    return sum(fields["event"] == "active" for _, fields in found)


def test_a_busy_queue_starves_no_other_of_its_process(
    start: Start, redis_client: redis.Redis
) -> None:
    """Coroutines, threads and sandboxes: both the busy and the rare."""
    rare = (("rare", "async"), ("rare", "threaded"), ("rare-boxed", "x"))
    keep_all_events(redis_client, "busy", "busy-boxed", "rare", "rare-boxed")
    names = ("async", "threaded", "async", "async", "threaded")
    Queue("busy").add_bulk([JobSpec(name) for _ in range(20_000) for name in names])
    Queue("busy-boxed").add_bulk([JobSpec("x") for _ in range(5_000)])
    worker = start("busy", "busy-boxed", "rare", "rare-boxed", apps=APPS)
    worker.until(lambda: redis_client.zcard("bull:busy-boxed:completed") > 10)
    for number in range(1, 11):
        for queue, name in rare:
            done = redis_client.zcard(f"bull:{queue}:completed")
            Queue(queue).add(name)
            worker.until(_more(redis_client, queue, done))
        assert starts(redis_client, "rare") == 2 * number
    left = [redis_client.llen(f"bull:{queue}:wait") for queue in ("busy", "busy-boxed")]
    worker.process.kill()
    assert all(left), "they were not busy to the end"
    waits = [
        starts(redis_client, "busy", first, last)
        for queue in ("rare", "rare-boxed")
        for first, last in _waits(redis_client, queue)
    ]
    assert len(waits) == 30
    assert max(waits) <= FEW, waits


def _more(client: redis.Redis, queue: str, done: int) -> Callable[[], bool]:
    return lambda: client.zcard(f"bull:{queue}:completed") > done


def _waits(client: redis.Redis, queue: str) -> Iterator[tuple[str, str]]:
    """The ids of the events by which each job of *queue* began to wait, and to run."""
    waiting: dict[str, str] = {}
    for id, fields in client.xrange(f"bull:{queue}:events"):
        if fields["event"] == "waiting":
            waiting[fields["jobId"]] = id
        elif fields["event"] == "active":
            yield waiting[fields["jobId"]], id


def test_no_job_starts_before_a_better_one_that_waits(
    start: Start, redis_client: redis.Redis
) -> None:
    """Whatever claims it, of three processes with 50 slots each."""
    keep_all_events(redis_client, "share")
    queue, luck = Queue("share"), random.Random(11)
    ranks: dict[str, int] = {}

    def add(count: int) -> None:
        options = [
            {
                "priority": luck.choice((0, 0, 1, 2, 5, 2_097_151)),
                "delay": luck.choice((0, 0, 0, 0.001, 0.05)),
            }
            for _ in range(count)
        ]
        jobs = queue.add_bulk([JobSpec("x", {"seconds": 0.01}, **one) for one in options])
        ranks.update((job.id, int(one["priority"])) for job, one in zip(jobs, options, strict=True))

    add(500)
    worker = start("share", "--processes", "3", "--concurrency", "50", apps=APPS)
    worker.until(lambda: redis_client.zcard("bull:share:completed"))
    while len(ranks) < 4_000:
        add(luck.randrange(1, 200))
    worker.until(lambda: redis_client.zcard("bull:share:completed") == len(ranks), 30)
    worker.process.terminate()

    waiting: Counter[int] = Counter()
    begun, longest = 0, 0
    for _, fields in redis_client.xrange("bull:share:events"):
        rank = ranks.get(fields.get("jobId", ""), 0)
        if fields["event"] == "waiting":
            waiting[rank] += 1
            longest = max(longest, waiting.total())
        elif fields["event"] == "active":
            assert waiting[rank] > 0
            assert rank == min(one for one, count in waiting.items() if count), (rank, waiting)
            waiting[rank] -= 1
            begun += 1
    assert begun == len(ranks)
    assert longest > 500, "nothing had to wait"
    assert worker.ends(30) == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_claim_takes_its_share_and_the_best(
    queue: Queue, redis_client: redis.Redis, seed: int
) -> None:
    """Half of what waits, what the free slots of the queue and its rate limit leave: no more."""
    luck = random.Random(seed)
    connection = get_connection()
    before, connection.clock = connection.clock, FixedClock(1_700_000_000_000)
    try:
        _claims(queue, redis_client, luck, connection.clock)
    finally:
        connection.clock = before


def _claims(queue: Queue, client: redis.Redis, luck: random.Random, clock: FixedClock) -> None:
    workers = [Hands(queue, f"w{number}") for number in range(3)]
    held: dict[str, list[Job]] = {one.name: [] for one in workers}
    claimed = 0
    for _ in range(300):
        for change, values in (
            ("concurrency", (None, 1, 7, 30, 100)),
            ("rate_limit", (None, 1, 5, 40)),
        ):
            if luck.random() < 0.1:
                _limit(queue, change, luck.choice(values))
        if luck.random() < 0.2:
            client.delete("bull:q:limiter")  # its time is over
        if luck.random() < 0.4:
            queue.add_bulk(
                [
                    JobSpec("x", priority=luck.choice((0, 0, 3, 9)), delay=luck.choice((0, 0, 5)))
                    for _ in range(luck.randrange(1, 60))
                ]
            )
        clock.advance(luck.randrange(3))
        worker = luck.choice(workers)
        mine = held[worker.name]
        done = [mine.pop() for _ in range(luck.randrange(len(mine) + 1))]
        want = luck.choice((1, 2, 5, 50, 200))
        room = _room(client, clock.now_ms(), len(done), want)
        jobs = worker.exchange(done, want)
        assert len(jobs) == room
        ranks = [job.priority for job in jobs]
        assert ranks == sorted(ranks)
        left = 0 if client.llen("bull:q:wait") else _best(client)
        assert not jobs or ranks[-1] <= left
        mine += jobs
        claimed += len(jobs)
    assert claimed > 200


def _limit(queue: Queue, change: str, most: int | None) -> None:
    if most is None:
        getattr(queue, f"remove_global_{change}")()
    elif change == "concurrency":
        queue.set_global_concurrency(most)
    else:
        queue.set_global_rate_limit(most, 60)


def _room(client: redis.Redis, now: int, done: int, want: int) -> int:
    """How many jobs a claim of *want* may take now, behind *done* that it finishes."""
    due = client.zcount("bull:q:delayed", "-inf", (now + 1) * 4096 - 1)
    there = client.llen("bull:q:wait") + client.zcard("bull:q:prioritized") + due
    room = min(want, there if want == 1 else -(-there // 2))
    limits: dict[str, str] = client.hgetall("bull:q:meta")
    if (most := limits.get("concurrency")) is not None:
        room = min(room, int(most) - (client.llen("bull:q:active") - done))
    if (most := limits.get("max")) is not None:
        room = min(room, int(most) - int(client.get("bull:q:limiter") or 0))
    return max(room, 0)


def _best(client: redis.Redis) -> int:
    """The best priority that waits."""
    found: list[tuple[Any, float]] = client.zrange("bull:q:prioritized", 0, 0, withscores=True)
    return int(found[0][1]) >> 32 if found else 2**31


def gini(shares: list[int]) -> float:
    """0 where all have the same, near 1 where one has all."""
    count, ranked = len(shares), sorted(shares)
    return sum(
        (2 * place - count - 1) * one for place, one in enumerate(ranked, 1)
    ) / (count * sum(ranked))  # fmt: skip


def test_idle_processes_share_what_comes(start: Start, redis_client: redis.Redis) -> None:
    worker = start("share", "--processes", "4", apps=APPS)
    _share(worker, redis_client, rounds=1)


@pytest.mark.slow
@pytest.mark.parametrize("supervised", [True, False])
def test_idle_processes_share_what_comes_each_time(
    start: Start, redis_client: redis.Redis, supervised: bool
) -> None:
    options = [["--processes", "4"]] if supervised else [[]] * 4
    workers = [start("share", *one, apps=APPS) for one in options]
    _share(workers[0], redis_client, rounds=10)


def _share(worker: Worker, client: redis.Redis, rounds: int) -> None:
    """Four processes of 25 slots, idle before: 2,000 short jobs; then few and many long ones."""
    queue = Queue("share")

    def idle() -> bool:
        waiting = [one for one in client.client_list() if "b" in one["flags"]]
        return len(waiting) == 4

    for _ in range(rounds):
        worker.until(idle, 30)
        client.flushall()
        jobs = queue.add_bulk([JobSpec("x", {"seconds": 0.02}) for _ in range(2_000)])
        worker.until(lambda: client.zcard("bull:share:completed") == 2_000)
        shares = Counter(client.hget(f"bull:share:{job.id}", "returnvalue") for job in jobs)
        assert len(shares) == 4
        assert gini(list(shares.values())) < 0.1, shares
        for count in (20, 100):
            worker.until(idle)
            client.flushall()
            queue.add_bulk([JobSpec("x", {"seconds": 0.5}) for _ in range(count)])
            worker.until(lambda count=count: client.zcard("bull:share:completed") == count)
            values = (client.hget(f"bull:share:{one + 1}", "returnvalue") for one in range(count))
            assert len(Counter(values)) == 4


async def test_a_wait_in_vain_is_followed_by_a_longer_one(queue: Queue) -> None:
    """Up to ten seconds: only a marker that was lost is found by it."""
    timeouts: list[float] = []

    class Listening(Marker):
        async def _pop(self, timeout: float) -> Any:
            timeouts.append(timeout)
            return None if len(timeouts) % 3 else [b"marker", b"0", b"0"]

    for delay, expected in (
        (0.01, [0.01, 0.02, 0.02, 0.01, 0.02]),
        (5, [5, 10, 10, 5, 10]),
        (7, [7, 10, 10, 7, 10]),
        (60, [60] * 5),
    ):
        timeouts.clear()
        marker = Listening(queue.connection, queue.keys, "", delay)
        taken = [await marker.wait(0) for _ in expected]
        assert timeouts == expected
        assert taken == [False, False, True, False, False]
        await marker.close()


@pytest.mark.slow
def test_an_idle_fleet_asks_for_little(start: Start, redis_client: redis.Redis) -> None:
    """Ten processes at ten queues: less than fifty commands a second."""
    worker = start("--processes", "10", apps=["bench.fleet"], DRAIN_DELAY=5)
    worker.until(lambda: redis_client.info("clients")["blocked_clients"] == 100, 60)
    for name in QUEUES:
        Queue(name).add("x", {"sent": 0})
    time.sleep(20)  # until all have waited in vain once
    sent, inner = commands(redis_client, 20)
    assert 20 < sent.total() / 20 < 50, sent
    assert inner > sent.total()
