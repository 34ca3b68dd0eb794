"""Limits as Node keeps them and as we keep them; each over several processes of both at once."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue, RateLimit, RateLimitError
from queuecore.limits import declare
from tests import invariants
from tests.interop.dump import compare
from tests.interop.limited_worker import processes
from tests.interop.node import Peer, numbered
from tests.interop.ours import working
from tests.interop.sides import Ours, Side, Theirs

# Times lie in the middle of what the comparison rounds to.
DURATION = 65_000


def jobs(count: int, **options: Any) -> list[dict[str, Any]]:
    return [{"data": {"n": n}} | options for n in range(count)]


def claims(side: Side, count: int) -> list[str | None]:
    return [side.claim() for _ in range(count)]


def a_rate(side: Side) -> list[Any]:
    said: list[Any] = [side.rate(), side.ttl()]
    side.limit(3, DURATION)
    said += [side.rate(), side.ttl(), side.add(*jobs(5)), claims(side, 2), side.ttl()]
    said += [claims(side, 2), side.ttl(), side.ttl(2), side.ttl(4)]
    side.complete("1")
    return [*said, side.claim()]


def a_rate_that_is_lifted(side: Side) -> list[Any]:
    side.limit(2, DURATION)
    said: list[Any] = [side.add(*jobs(5)), claims(side, 3)]
    side.unlimit()
    said += [side.rate(), side.claim(), side.ttl()]
    return said


def a_rate_that_is_raised(side: Side) -> list[Any]:
    side.limit(1, DURATION)
    said: list[Any] = [side.add(*jobs(4)), claims(side, 2)]
    side.limit(3, DURATION * 2)
    return [*said, claims(side, 3), side.ttl(), side.rate()]


def a_window_that_is_ended(side: Side) -> list[Any]:
    side.limit(1, DURATION)
    said: list[Any] = [side.add(*jobs(3)), claims(side, 2), side.go_on(), side.go_on()]
    return [*said, side.claim(), side.ttl()]


def a_stop_by_hand(side: Side) -> list[Any]:
    side.limit(10, DURATION)
    said: list[Any] = [side.add(*jobs(3)), side.claim()]
    side.stop(25_000)
    said += [side.ttl(), side.claim(), side.ttl(5), side.go_on()]
    return [*said, side.claim(), side.ttl()]


def a_stop_that_nobody_heeds(side: Side) -> list[Any]:
    side.stop(25_000)
    return [side.ttl(), side.ttl(7), side.add(*jobs(2)), claims(side, 2), side.go_on()]


def a_rate_and_what_is_late_or_ranked(side: Side) -> list[Any]:
    side.limit(2, DURATION)
    early = {"timestamp": 1_700_000_000_000, "delay": 5000}
    said: list[Any] = [side.add(*jobs(1, **early), *jobs(1, priority=3), *jobs(1))]
    return [*said, claims(side, 3), side.ttl()]


def a_rate_and_failures(side: Side) -> list[Any]:
    side.limit(2, DURATION)
    said: list[Any] = [side.add(*jobs(3)), side.claim()]
    side.fail("1")
    side.retry("1", "failed")
    said += [claims(side, 2), side.ttl()]
    return said


def a_paused_rate(side: Side) -> list[Any]:
    side.limit(2, DURATION)
    side.add(*jobs(3))
    said: list[Any] = [side.claim()]
    side.pause()
    return [*said, side.claim(), side.ttl()]


def a_concurrency(side: Side) -> list[Any]:
    said: list[Any] = [side.narrowness(), side.is_maxed()]
    side.narrow(2)
    said += [side.narrowness(), side.add(*jobs(5)), claims(side, 3), side.is_maxed()]
    side.complete("1")
    said += [side.is_maxed(), side.claim(), side.is_maxed()]
    return said


def a_concurrency_that_is_lifted(side: Side) -> list[Any]:
    side.narrow(1)
    said: list[Any] = [side.add(*jobs(4)), claims(side, 2)]
    side.widen()
    return [*said, side.narrowness(), side.is_maxed(), claims(side, 2)]


def a_concurrency_below_what_runs(side: Side) -> list[Any]:
    side.add(*jobs(4))
    said: list[Any] = [claims(side, 3)]
    side.narrow(1)
    said.append(side.is_maxed())
    side.complete("1")
    said.append(side.claim())
    side.complete("2")
    said.append(side.claim())
    side.complete("3")
    return [*said, side.claim()]


def adds_while_maxed(side: Side) -> list[Any]:
    side.narrow(1)
    said: list[Any] = [side.add(*jobs(1)), side.claim()]
    said.append(side.add(*jobs(2), *jobs(1, priority=2), *jobs(1, lifo=True)))
    return [*said, side.claim()]


def a_slot_of_one_that_comes_back_later(side: Side) -> list[Any]:
    side.narrow(1)
    said: list[Any] = [side.add(*jobs(1, timestamp=1_700_000_000_000)), *claims(side, 2)]
    side.later("1", 1_000_000)
    said.append(side.is_maxed())
    side.promote("1")
    return said


def both(side: Side) -> list[Any]:
    side.narrow(2)
    side.limit(3, DURATION)
    said: list[Any] = [side.add(*jobs(6)), claims(side, 2), side.is_maxed()]
    side.complete("1")
    said.append(side.claim())
    side.complete("2")
    return [*said, side.is_maxed(), side.claim(), side.ttl()]


SCRIPTS: list[Callable[[Side], list[Any]]] = [
    a_rate,
    a_rate_that_is_lifted,
    a_rate_that_is_raised,
    a_window_that_is_ended,
    a_stop_by_hand,
    a_stop_that_nobody_heeds,
    a_rate_and_what_is_late_or_ranked,
    a_rate_and_failures,
    a_paused_rate,
    a_concurrency,
    a_concurrency_that_is_lifted,
    a_concurrency_below_what_runs,
    adds_while_maxed,
    a_slot_of_one_that_comes_back_later,
    both,
]


@pytest.mark.parity(
    "Queue.setGlobalConcurrency",
    "Queue.getGlobalConcurrency",
    "Queue.removeGlobalConcurrency",
    "Queue.isMaxed",
    "Queue.setGlobalRateLimit",
    "Queue.getGlobalRateLimit",
    "Queue.removeGlobalRateLimit",
    "Queue.rateLimit",
    "Queue.removeRateLimitKey",
    "Queue.getRateLimitTtl",
)
@pytest.mark.crosswise(batched=False)
@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_the_same_by_both(
    peer: Peer, redis_client: redis.Redis, script: Callable[[Side], list[Any]], batched: bool
) -> None:
    peer.queue("ours")  # a queue of the same version
    theirs = script(Theirs(peer, batched=batched))
    assert script(Ours(batched=batched)) == theirs
    compare(redis_client)


@pytest.mark.crosswise(batched=False)
@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
@pytest.mark.parametrize("lower", [False, True], ids=["of the worker", "beside the queue's"])
def test_the_same_with_a_limiter_of_the_worker(
    peer: Peer, redis_client: redis.Redis, lower: bool, batched: bool
) -> None:
    limiter = {"max": 2, "duration": DURATION}

    def script(side: Side) -> list[Any]:
        if lower:
            side.limit(3, 3 * DURATION)
        return [side.add(*jobs(5)), claims(side, 4), side.ttl(), side.ttl(2)]

    peer.queue("ours")
    theirs = script(Theirs(peer, batched=batched, limiter=limiter))
    assert script(Ours(batched=batched, limiter=limiter)) == theirs
    compare(redis_client)


# Both kinds of worker at once


def starts(client: redis.Redis, queue: str = "q") -> list[int]:
    """When jobs began, by the server's clock in ms."""
    return [
        int(entry.split("-")[0])
        for entry, fields in client.xrange(f"bull:{queue}:events")
        if fields["event"] == "active"
    ]


def windows(begun: list[int], duration: int) -> list[int]:
    """How many jobs began in each window, which opens with the first start after the last one."""
    counts: list[int] = []
    opened = 0
    for at in begun:
        # The server ends a window within the millisecond, and its clock stands still in a script.
        if not counts or at - opened >= duration - 1:
            opened = at
            counts.append(0)
        counts[-1] += 1
    return counts


def most_active(client: redis.Redis) -> int:
    """The most jobs that were active at a time, by the events."""
    active = most = 0
    for _, fields in client.xrange("bull:q:events"):
        active += {"active": 1, "completed": -1, "failed": -1}.get(fields["event"], 0)
        most = max(most, active)
    return most


def workers_of(client: redis.Redis, count: int) -> Counter[str]:
    names = (client.hget(f"bull:q:{n}", "pb") for n in range(1, count + 1))
    return Counter(str(name) for name in names)


def until(what: Callable[[], object], timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # between two looks; the deadline ends it


NODE = "node"
QUICK = "async job => null"


@pytest.mark.parity("Worker.limiter")
@pytest.mark.crosswise(whose="the queue's")
@pytest.mark.parametrize("whose", ["the queue's", "the workers'"])
def test_a_rate_over_four_processes(
    peer: Peer, redis_client: redis.Redis, child_environment: dict[str, str], whose: str
) -> None:
    """Three of ours, which claim in batches, and one of Node's: each window has its maximum."""
    count, most, duration = 300, 25, 200
    queue = Queue("q")
    queue.add_bulk(JobSpec("job", {"n": n}) for n in range(count))
    mine: dict[str, Any] = {"concurrency": 20}
    theirs: dict[str, Any] = {"concurrency": 20}
    if whose == "the queue's":
        queue.set_global_rate_limit(most, duration / 1000)
    else:
        mine["limiter"] = [most, duration / 1000]
        theirs["limiter"] = {"max": most, "duration": duration}
    queue.pause()
    with processes(3, "q", child_environment, **mine):
        peer.worker("q", QUICK, name=NODE, **theirs)
        until(lambda: len(peer.queue("q").getWorkers()) == 4)
        queue.resume()
        until(lambda: redis_client.zcard("bull:q:completed") == count)
    begun = starts(redis_client)
    assert len(begun) == count
    found = windows(begun, duration)
    assert max(found) == most, found
    # No window is left out: twelve of 200 ms, each entered at once.
    assert begun[-1] - begun[0] < 1.5 * duration * count / most, found
    assert len(workers_of(redis_client, count)) >= 3, workers_of(redis_client, count)
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.crosswise(most=1)
@pytest.mark.parametrize("most", [1, 5])
def test_a_concurrency_over_four_processes(
    peer: Peer, redis_client: redis.Redis, child_environment: dict[str, str], most: int
) -> None:
    count = 400 if most == 5 else 100
    queue = Queue("q")
    queue.set_global_concurrency(most)
    queue.add_bulk(JobSpec("job", {"n": n}) for n in range(count))
    queue.pause()
    with processes(3, "q", child_environment, 0.004, concurrency=10):
        slow = "() => new Promise(done => setTimeout(done, 4))"
        peer.worker("q", slow, name=NODE, concurrency=10)
        until(lambda: len(peer.queue("q").getWorkers()) == 4)
        queue.resume()
        until(lambda: redis_client.zcard("bull:q:completed") == count)
    assert most_active(redis_client) == most
    begun = starts(redis_client)
    # 4 ms each, and what it takes to go on: nobody ever slept while a slot was free.
    assert begun[-1] - begun[0] < count / most * 40, workers_of(redis_client, count)
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.crosswise
def test_a_rate_and_a_concurrency_over_four_processes(
    peer: Peer, redis_client: redis.Redis, child_environment: dict[str, str]
) -> None:
    count, most, duration = 120, 20, 250
    queue = Queue("q")
    queue.set_global_concurrency(3)
    queue.set_global_rate_limit(most, duration / 1000)
    queue.add_bulk(JobSpec("job", {"n": n}) for n in range(count))
    queue.pause()
    with processes(3, "q", child_environment, 0.003, concurrency=10):
        slow = "() => new Promise(done => setTimeout(done, 3))"
        peer.worker("q", slow, name=NODE, concurrency=10)
        until(lambda: len(peer.queue("q").getWorkers()) == 4)
        queue.resume()
        until(lambda: redis_client.zcard("bull:q:completed") == count)
    assert most_active(redis_client) == 3
    found = windows(starts(redis_client), duration)
    assert max(found) <= most, found
    assert len(found) <= 10, found
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parametrize("who", ["node", "ours"])
def test_a_stop_by_hand_holds_both(peer: Peer, redis_client: redis.Redis, who: str) -> None:
    """And ends for both by itself."""
    theirs, mine = peer.queue("q"), Queue("q")
    mine.set_global_rate_limit(1000, 1)

    async def work(job: Job) -> None:
        return None

    with working("q", work, name="ours"):
        worker = peer.worker("q", QUICK, name=NODE)
        mine.add("first")
        until(lambda: redis_client.zcard("bull:q:completed") == 1)
        stopped = redis_client.time()
        if who == "node":
            theirs.rateLimit(700)
        else:
            mine.rate_limit(0.7)
        mine.add_bulk(JobSpec("job") for _ in range(40))
        until(lambda: redis_client.zcard("bull:q:completed") == 41, 5)
        worker.close()
    waited = starts(redis_client)[1] - (stopped[0] * 1000 + stopped[1] // 1000)
    assert 699 <= waited < 1500


def test_an_error_of_nodes_holds_our_worker(peer: Peer, redis_client: redis.Redis) -> None:
    """A rate limit error of a Node processor, on a queue with a rate limit."""
    mine, events = Queue("q"), peer.queue_events("q")
    mine.set_global_rate_limit(1000, 1)

    async def work(job: Job) -> None:
        return None

    peer.worker(
        "q",
        """async job => {
            if (job.attemptsStarted > 1) return;
            await gate('stopped');
            throw bullmq.Worker.RateLimitError();
        }""",
    )
    mine.add("job")
    events.wait_for("active")
    with working("q", work):
        seconds, micros = redis_client.time()
        mine.rate_limit(0.6)
        peer.open("stopped")
        events.wait_for("completed", timeout=5)
    begun = starts(redis_client)
    assert 599 <= begun[1] - (seconds * 1000 + micros // 1000) < 1500
    stored = redis_client.hgetall("bull:q:1")
    assert (stored["ats"], stored["atm"]) == ("2", "1")


@pytest.mark.parity("Worker.RateLimitError")
@pytest.mark.parametrize("maximum", [True, False], ids=["a maximum", "no maximum"])
def test_an_error_of_ours_and_nodes_worker(
    peer: Peer, redis_client: redis.Redis, maximum: bool
) -> None:
    """With a maximum it holds Node's worker, too; without one Node's takes over what we left."""
    mine, events = Queue("q"), peer.queue_events("q")
    if maximum:
        mine.set_global_rate_limit(1000, 1)
    tries: list[float] = []

    async def work(job: Job) -> None:
        tries.append(time.monotonic())
        await job.queue.arate_limit(0.8)
        raise RateLimitError

    with working("q", work, concurrency=1):
        until(lambda: redis_client.client_list())
        mine.add("job")
        until(lambda: tries)
        peer.worker("q", QUICK, name=NODE, drainDelay=60)
        events.wait_for("completed", timeout=10 if maximum else 3)
    if not maximum:
        begun = starts(redis_client)
        assert len(tries) == 1
        assert begun[-1] - begun[0] < 750
    assert redis_client.hget("bull:q:1", "pb") == NODE


# A slot becomes free on one side while the other waits


def test_node_frees_a_slot_and_does_not_take_it(peer: Peer, redis_client: redis.Redis) -> None:
    """A paused Node worker ends its job and tells nobody; ours has found the queue full before."""
    mine, events = Queue("q"), peer.queue_events("q")
    mine.set_global_concurrency(1)
    ran: list[str] = []

    async def work(job: Job) -> None:
        ran.append(job.id)

    worker = peer.worker("q", "async job => { await gate('held'); }")
    mine.add("one")
    events.wait_for("active")
    with working("q", work, drain_delay=60):
        mine.add("two")
        redis_client.zadd("bull:q:marker", {"0": 0})
        until(lambda: not redis_client.exists("bull:q:marker"))
        worker.pause(True)
        peer.open("held")
        until(lambda: ran == ["2"], 3)


def test_we_free_a_slot_and_do_not_take_it(peer: Peer, redis_client: redis.Redis) -> None:
    """Node's worker has found the queue full, and waits for a minute unless it is told."""
    mine, events = Queue("q"), peer.queue_events("q")
    mine.set_global_concurrency(1)
    release = threading.Event()

    def hold(job: Job) -> None:
        release.wait(20)

    with working("q", hold) as ours:
        mine.add("one")
        events.wait_for("active")
        peer.worker("q", QUICK, drainDelay=60)
        mine.add("two")
        redis_client.zadd("bull:q:marker", {"0": 0})
        until(lambda: not redis_client.exists("bull:q:marker"))
        ours._closing = True  # it finishes what it runs, and claims nothing more
        release.set()
        events.wait_for("completed", 2, timeout=3)


def test_we_put_a_job_off_and_node_takes_the_slot(peer: Peer, redis_client: redis.Redis) -> None:
    mine, events = Queue("q"), peer.queue_events("q")
    mine.set_global_concurrency(1)
    mine.add("one")
    side = Ours(batched=False, queue="q")
    assert side.claim() == "1"
    peer.worker("q", QUICK, drainDelay=60)
    mine.add("two")
    redis_client.zadd("bull:q:marker", {"0": 0})
    until(lambda: not redis_client.exists("bull:q:marker"))
    side.later("1", 60_000)
    events.wait_for("completed", timeout=3)


@pytest.mark.parametrize("first", ["node", "ours"])
def test_what_one_leaves_for_its_limit_the_other_takes(
    peer: Peer, redis_client: redis.Redis, first: str
) -> None:
    """A worker that is limited for itself takes the marker, but must not keep it."""
    mine, events = Queue("q"), peer.queue_events("q")

    async def work(job: Job) -> None:
        return None

    if first == "ours":
        with working("q", work, limiter=RateLimit(1, 60), drain_delay=60):
            mine.add("one")
            events.wait_for("completed")
            peer.worker("q", QUICK, name=NODE, drainDelay=60)
            until(lambda: len(peer.queue("q").getWorkers()) == 2)
            mine.add("two")
            events.wait_for("completed", 2, timeout=10)
        assert redis_client.hget("bull:q:2", "pb") == NODE
    else:
        limiter = {"max": 1, "duration": 60_000}
        peer.worker("q", QUICK, name=NODE, limiter=limiter, drainDelay=60)
        mine.add("one")
        events.wait_for("completed")
        with working("q", work, name="ours"):
            until(lambda: len(peer.queue("q").getWorkers()) == 2)
            mine.add("two")
            # Node keeps the marker: our worker looks by itself.
            events.wait_for("completed", 2, timeout=7)
        assert redis_client.hget("bull:q:2", "pb") == "ours"


def test_every_window_goes_on_by_itself(peer: Peer, redis_client: redis.Redis) -> None:
    """Thirty short windows, both sides waiting for each: a lost wake-up would cost seconds."""
    mine, events = Queue("q"), peer.queue_events("q")
    mine.set_global_rate_limit(2, 0.06)

    async def work(job: Job) -> None:
        await asyncio.sleep(0.001)

    peer.worker("q", QUICK, name=NODE, drainDelay=60)
    with working("q", work, name="ours", drain_delay=60):
        peer.queue("q").addBulk(list(numbered(60)))
        events.wait_for("completed", 60, timeout=10)
    begun = starts(redis_client)
    found = windows(begun, 60)
    assert max(found) <= 2, found
    assert begun[-1] - begun[0] < 4000, found


def test_a_named_limit_counts_what_node_runs(
    peer: Peer, redis_client: redis.Redis, settings: Any
) -> None:
    """Node does not obey it; ours wait for what it runs."""
    settings.QUEUECORE = settings.QUEUECORE | {"LIMITS": {"api": {"CONCURRENCY": 2}}}
    theirs, mine = Queue("theirs"), Queue("q")
    theirs.connection.run(declare(theirs.keys, ["api"]))
    theirs.add_bulk([JobSpec("n")] * 3)
    events = peer.queue_events("theirs")
    running = "async () => { await new Promise((end) => setTimeout(end, 1500)); }"
    peer.worker("theirs", running, concurrency=3)
    until(lambda: redis_client.llen("bull:theirs:active") == 3)
    mine.add_bulk([JobSpec("n")] * 4)

    async def work(job: Job) -> int:
        return int(redis_client.llen("bull:theirs:active"))

    with working("q", work, limits=["api"]):
        until(lambda: redis_client.hlen("qc:bull::limit:api:waiting"))
        events.wait_for("completed", 3, timeout=10)
        until(lambda: redis_client.zcard("bull:q:completed") == 4)
    assert {job.returnvalue for job in mine.get_completed()} <= {0, 1}
