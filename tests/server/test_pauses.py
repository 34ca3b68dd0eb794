"""Why a queue is paused, and until when: told to those who look, and kept by the collector."""

from datetime import UTC, datetime, timedelta

import pytest
import redis

from queuecore import Queue, pauses
from queuecore.errors import InvalidOption
from queuecore.history import Collector, History
from queuecore.inspect import Inspector
from queuecore.wire.clock import FixedClock
from queuecore.wire.connections import get_connection
from tests.server.conftest import Do

START = 1_700_000_101


@pytest.fixture(autouse=True)
def _nobody_has_looked_for_queues_yet(monkeypatch):
    monkeypatch.setattr("queuecore.inspect._scans", {})
    monkeypatch.setattr(pauses, "_noted", {})


@pytest.fixture
async def clock(server):
    connection = get_connection()
    before = connection.clock
    connection.clock = FixedClock(START * 1000)
    yield connection.clock
    connection.clock = before
    await connection.aclose()


def snapshot():
    return Inspector().snapshots(["q"])["q"]


def at(seconds):
    return datetime.fromtimestamp(START + seconds, UTC)


def test_a_pause_says_why(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    do(queue.pause, reason="the relay is away", by="ada", resume_at=until)
    found = snapshot().pause
    assert (found.reason, found.by) == ("the relay is away", "ada")
    assert abs(found.until - until) < timedelta(milliseconds=1)
    assert abs(found.since - datetime.now(UTC)) < timedelta(seconds=20)
    do(queue.resume)
    assert snapshot().pause is None
    assert not redis_client.exists("qc:bull:q:pause")


def test_the_last_pause_counts(queue: Queue) -> None:
    queue.pause(reason="first", resume_at=datetime.now(UTC) + timedelta(hours=1))
    queue.pause(reason="second")
    assert snapshot().pause.reason == "second"
    assert snapshot().pause.until is None


def test_a_pause_of_a_peer_says_nothing(queue: Queue, redis_client: redis.Redis) -> None:
    redis_client.hset("bull:q:meta", "paused", "1")
    assert snapshot().paused
    assert snapshot().pause is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": "x" * 501},
        {"by": 7},
        {"resume_at": datetime(2001, 1, 1, tzinfo=UTC)},
        {"resume_at": datetime(2101, 1, 1)},
    ],
)
def test_what_is_no_pause_is_refused_before_anything_happens(queue: Queue, wrong: dict) -> None:
    queue.add("x")
    with pytest.raises(InvalidOption):
        queue.pause(**wrong)
    assert not queue.is_paused()


@pytest.mark.parametrize("note", [{"reason": b"\xff" * 3000}, {"until": "never"}, {"x": "y"}])
def test_a_spoilt_note_is_no_trouble(queue: Queue, redis_client: redis.Redis, note: dict) -> None:
    queue.pause()
    redis_client.delete("qc:bull:q:pause")
    redis_client.hset("qc:bull:q:pause", mapping=note)
    assert snapshot().pause.until is None


async def test_a_queue_goes_on_when_its_time_has_come(clock, queue: Queue) -> None:
    collector = Collector(history=History())
    await queue.aadd("x")
    await queue.apause(resume_at=at(10))
    for second in (1, 5, 9):
        clock.advance(START + second - clock.now_ms() / 1000)
        await collector.tick()
        assert await queue.ais_paused()
    clock.advance(START + 10 - clock.now_ms() / 1000)
    await collector.tick()
    assert not await queue.ais_paused()


async def test_a_longer_pause_is_kept_though_the_shorter_was_due(clock, queue: Queue) -> None:
    await queue.aadd("x")
    await queue.apause(resume_at=at(10))
    old = await Inspector().asnapshots(["q"])
    await queue.apause(resume_at=at(60))
    clock.advance(START + 11 - clock.now_ms() / 1000)
    stale = {"q": old["q"]}
    await pauses.resume_due("default", stale, History())
    assert await queue.ais_paused()


async def test_a_note_goes_with_the_pause_that_a_peer_ended(
    clock, queue: Queue, redis_client: redis.Redis
) -> None:
    collector = Collector(history=History())
    await queue.aadd("x")
    await queue.apause(reason="mine")
    clock.advance(1)
    await collector.tick()
    redis_client.hdel("bull:q:meta", "paused")  # as Node's resume does
    redis_client.xadd("bull:q:events", {"event": "resumed"})
    clock.advance(1)
    await collector.tick()
    assert not redis_client.exists("qc:bull:q:pause")
    redis_client.hset("bull:q:meta", "paused", "1")
    assert (await Inspector().asnapshots(["q"]))["q"].pause is None
