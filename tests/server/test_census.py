"""Many queues read again and again: each count is right, and idle queues cost next to nothing."""

import random
from collections.abc import Callable, Iterator

import pytest
import redis

from queuecore import Queue, census, inspect
from queuecore.census import Census
from queuecore.inspect import Inspector
from queuecore.wire.calls.base import Command
from queuecore.wire.connections import get_connection
from tests.server.hands import Hands
from tests.servers import Server


@pytest.fixture
def counting(server: Server) -> Callable[[list[str]], dict]:
    """Counts queues with one census; what was found is kept."""
    kept = Census("default", "bull", 1_000.0)

    def count(names: list[str]) -> dict:
        found = get_connection().run(kept.count(names))
        kept.keep(found)
        return {name: dict(one.counts) for name, one in found.queues.items()}

    return count


def commands(client: redis.Redis, act: Callable[[], object]) -> int:
    """How many commands the server carried out meanwhile, those of scripts too."""
    client.config_resetstat()
    act()
    stats = client.info("commandstats")
    del stats["cmdstat_config|resetstat"]
    return sum(one["calls"] for one in stats.values())


def test_an_idle_queue_costs_a_command_for_each_state_that_holds_jobs(counting, redis_client):
    names = [f"q{number}" for number in range(100)]
    for name in names:
        Queue(name).add("send", {})
    first = commands(redis_client, lambda: counting(names))
    idle = commands(redis_client, lambda: counting(names))
    assert first > 20 * len(names)
    # Each batch of 50: the script, its look at all streams, and whether they are there.
    assert idle <= len(names) + 2 * 3

    Queue("q7").add("send", {})
    changed = commands(redis_client, lambda: counting(names))
    assert idle < changed < idle + 40
    assert counting(names)["q7"]["waiting"] == 2


def test_whatever_changes_a_count_is_seen_at_once(counting, redis_client):
    """With or without an event: compared with what a reading of everything says."""
    dice = random.Random(5)
    queue, other = Queue("emails"), Queue("reports")
    other.add("send", {})
    hands = Hands(queue, "w1")
    names = ["emails", "reports"]

    def act() -> Iterator[object]:
        """One step after the other; the census counts after each."""
        yield queue.add("send", {})
        yield queue.add("send", {}, priority=dice.randint(1, 9))
        yield queue.add("send", {}, delay=60_000)
        for job in hands.claim():
            yield (hands.complete if dice.random() < 0.5 else hands.fail)(job, "x")
        for job in queue.get_jobs(["waiting"])[:1]:
            yield job.change_priority(3)  # leaves no event
        for job in queue.get_jobs(["prioritized"])[:1]:
            yield job.change_priority(0)
        for job in queue.get_jobs(["failed"])[:1]:
            yield job.retry()
        yield redis_client.zpopmin("bull:emails:completed")  # as a clean does
        yield redis_client.rpop("bull:emails:wait")
        yield queue.clean(0, 1, "delayed")
        if dice.random() < 0.2:
            yield queue.drain()
        yield queue.pause()
        yield queue.add("send", {})
        yield queue.resume()

    for _ in range(12):
        for _ in act():
            found = counting(names)
            right = Inspector().snapshots(names)
            assert found == {name: dict(one.counts) for name, one in right.items()}
    assert counting(names) == {n: dict(s.counts) for n, s in Inspector().snapshots(names).items()}
    redis_client.flushall()
    assert set(counting(names)["reports"].values()) == {0}


@pytest.mark.parametrize("spoil", ["no stream", "empty stream", "wrong type", "rate limit"])
def test_a_queue_whose_changes_would_not_show_is_read_each_time(counting, redis_client, spoil):
    queue = Queue("emails")
    queue.add("send", {})
    if spoil == "no stream":
        redis_client.delete("bull:emails:events")
    elif spoil == "empty stream":
        redis_client.xtrim("bull:emails:events", maxlen=0, approximate=False)
    elif spoil == "wrong type":
        counting(["emails"])
        redis_client.delete("bull:emails:events")
        redis_client.set("bull:emails:events", "x")
    else:
        redis_client.hset("bull:emails:meta", mapping={"max": 1, "duration": 60_000})
        redis_client.set("bull:emails:limiter", 1, px=60_000)
    counting(["emails"])
    read = commands(redis_client, lambda: counting(["emails"]))
    assert read > 15
    redis_client.zadd("bull:emails:delayed", {"77": 1})
    assert counting(["emails"])["emails"]["delayed"] == 1


def test_what_leaves_no_trace_is_seen_when_the_turn_has_come(redis_client, monkeypatch):
    clock = [1_000.0]
    monkeypatch.setattr(census.time, "monotonic", lambda: clock[0])
    inspector, wants = Inspector(), inspect.Wants(census=["emails"])
    Queue("emails").add("send", {})
    inspector.read(wants)
    redis_client.hset("bull:emails:meta", "concurrency", 3)
    assert inspector.read(wants).queues["emails"].concurrency is None
    # Asked for by its name alone, it is read whole.
    assert inspector.read(inspect.Wants(queues=["emails"])).queues["emails"].concurrency == 3
    clock[0] += inspect.CENSUS_S
    assert inspector.read(wants).queues["emails"].concurrency == 3


def test_what_was_not_kept_is_counted_again(redis_client):
    """A second that could not be written is part of the next one."""
    queue, hands = Queue("emails"), Hands(Queue("emails"), "w1")
    kept = Census("default", "bull", 1_000.0)
    queue.add("send", {}, remove_on_complete=True)
    first = get_connection().run(kept.count(["emails"]))
    kept.keep(first)
    (job,) = hands.claim()
    hands.complete(job, "x")
    since = first.queues["emails"].at
    for _ in range(2):
        found = get_connection().run(kept.count(["emails"], since))
        assert found.queues["emails"].done == 1
    kept.keep(found)
    assert get_connection().run(kept.count(["emails"], since)).queues["emails"].done == 0


def test_a_million_keys_are_passed_in_a_bounded_time(server, redis_client, monkeypatch):
    """A queue that only another client wrote, behind many keys: steps and rests are counted.

    With every step taking a millisecond, the way to it is a tenth of the time busy, and then a
    hundredth.
    """
    clock, steps = [0.0], [0]
    monkeypatch.setattr(inspect, "_scans", {})
    monkeypatch.setattr(inspect.time, "monotonic", lambda: clock[0])
    keys = 1_000_000
    ends = -(-keys // inspect.STEP_KEYS)

    def step(prefix: str, cursor: str, count: int) -> Command:
        clock[0] += 0.001
        steps[0] += 1
        after = int(cursor) + 1
        last = after % ends == 0
        met = {"node-only"} if last else set()
        return Command(("ECHO", "x"), lambda _: ("0" if last else str(after), met))

    monkeypatch.setattr(inspect.inspecting, "scan_queues", step)
    inspector = Inspector()
    while not redis_client.smembers("qc:bull::queues"):
        _new, rest = inspector._run(inspector.explore(1.0))
        clock[0] += rest
    assert steps[0] == ends
    assert clock[0] < 10
    passed = clock[0]
    busy = steps[0]
    for _ in range(20):
        _new, rest = inspector._run(inspector.explore(1.0))
        assert rest >= 0.99
        clock[0] += rest
    assert (steps[0] - busy) * 0.001 / (clock[0] - passed) < 0.011
