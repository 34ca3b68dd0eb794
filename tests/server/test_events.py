"""QueueEvents: every event in order, resumed, filtered, typed; custom events; the server away."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from queuecore import Deduplication, Event, JobSpec, Queue, QueueEvents, QueueEventsProducer
from queuecore.errors import InvalidOption
from tests.server.conftest import Do
from tests.server.hands import Hands
from tests.servers import Server


def read(events: QueueEvents, count: int) -> list[Event]:
    """The next *count* events of a blocking iteration."""
    found: list[Event] = []
    if count:
        for event in events:
            found.append(event)
            if len(found) == count:
                break
    return found


def all_of(name: str = "q", **options: Any) -> QueueEvents:
    return QueueEvents(name, last_event_id="0-0", blocking_timeout=0.2, **options)


@pytest.mark.parity(
    "QueueEvents",
    "QueueEvents.lastEventId",
    "QueueEvents.on(active, added, completed, drained, waiting)",
)
def test_events_come_in_order_and_are_resumed(queue: Queue, hands: Hands) -> None:
    queue.add("n")
    (job,) = hands.claim()
    hands.complete(job, {"sum": 3})
    first = read(all_of(), 2)
    assert [one.event for one in first] == ["added", "waiting"]
    rest = read(QueueEvents("q", last_event_id=first[-1].id), 3)
    assert [one.event for one in rest] == ["active", "completed", "drained"]
    assert rest[1].returnvalue == {"sum": 3}
    assert rest[1].prev == "active"
    assert rest[2].job_id is None
    assert abs(rest[1].at - datetime.now(UTC)) < timedelta(seconds=60)


@pytest.mark.parity("QueueEvents")
async def test_the_async_iteration_gives_the_same(queue: Queue) -> None:
    await queue.aadd_bulk([JobSpec("n") for _ in range(3)])
    found = []
    async for event in all_of():
        found.append((event.event, event.job_id))
        if len(found) == 6:
            break
    assert found == [(name, id) for id in "123" for name in ("added", "waiting")]


@pytest.mark.parity("QueueEvents.waitUntilReady")
def test_what_happens_after_it_is_ready_is_given(queue: Queue) -> None:
    queue.add("before")
    events = QueueEvents("q")
    events.wait_until_ready()
    job = queue.add("after")
    (first,) = read(events, 1)
    assert (first.job_id, first.name) == (job.id, "after")
    assert events.last_event_id == first.id


async def test_the_same_in_an_event_loop(queue: Queue) -> None:
    await queue.aadd("before")
    events = QueueEvents("q")
    await events.await_until_ready()
    job = await queue.aadd("after")
    async for event in events:
        assert event.job_id == job.id
        break


@pytest.mark.parity("QueueEvents.on(event:jobId)")
def test_events_of_one_job_and_of_some_names(queue: Queue, hands: Hands) -> None:
    queue.add_bulk([JobSpec("n") for _ in range(3)])
    hands.complete_all(3)
    of_one = read(all_of(job_id="2"), 4)
    assert [one.event for one in of_one] == ["added", "waiting", "active", "completed"]
    ends = read(all_of(events=["completed", "failed"]), 3)
    assert [one.job_id for one in ends] == ["1", "2", "3"]
    (end,) = read(all_of(events=["completed"], job_id="3"), 1)
    assert end.returnvalue == "3"


@pytest.mark.parity("QueueEvents.on(cleaned, delayed, failed, progress)")
def test_what_the_events_say(queue: Queue, hands: Hands, redis_client: redis.Redis) -> None:
    queue.add("n", delay=3600)
    queue.add("n")
    hands.fail(hands.claim()[0], "boom")
    queue.update_job_progress("2", [1, 2])
    queue.clean(0, state="failed")
    found = {one.event: one for one in read(all_of(), 10)}
    due = found["delayed"].due
    assert due is not None
    assert abs(due - datetime.now(UTC) - timedelta(seconds=3600)) < timedelta(seconds=30)
    assert found["failed"].failed_reason == "boom"
    assert found["retries-exhausted"].attempts_made == 1
    assert found["progress"].progress == [1, 2]
    assert found["cleaned"].count == 1
    for spoilt in ({"event": "completed", "returnvalue": "{"}, {"event": "delayed", "delay": "x"}):
        redis_client.xadd("bull:q:events", spoilt)
    last = read(all_of(), 12)[-2:]
    assert (last[0].returnvalue, last[1].due) == (None, None)


@pytest.mark.parity("QueueEvents.on(deduplicated, duplicated, paused, removed, resumed)")
def test_what_else_happens_on_a_queue(queue: Queue) -> None:
    rule = Deduplication("d")
    queue.add("n", job_id="a", deduplication=rule)
    queue.add("n", job_id="b", deduplication=rule)
    queue.add("n", job_id="a")
    queue.pause()
    queue.resume()
    queue.remove("a")
    found = [one.event for one in read(all_of(), 7)]
    told = ["deduplicated", "duplicated", "paused", "resumed", "removed"]
    assert found == ["added", "waiting", *told]


def closing_in(seconds: float, events: QueueEvents) -> threading.Timer:
    timer = threading.Timer(seconds, events.close)
    timer.start()
    return timer


@pytest.mark.parity("QueueEvents.close")
def test_closing_ends_a_blocked_read_at_once(queue: Queue) -> None:
    events = QueueEvents("q", blocking_timeout=4)
    begun = time.monotonic()
    closing_in(0.2, events)
    assert list(events) == []
    assert time.monotonic() - begun < 2
    assert list(events) == []


async def test_closing_ends_an_async_read_at_once(queue: Queue) -> None:
    with QueueEvents("q", blocking_timeout=4) as events:
        asyncio.get_running_loop().call_later(0.2, events.close)
        begun = time.monotonic()
        assert [event async for event in events] == []
        assert time.monotonic() - begun < 2


@pytest.mark.parity("QueueEvents.blockingTimeout")
@pytest.mark.parametrize("blocking", [True, False])
def test_a_server_that_was_away_loses_no_event(
    new_server: Callable[..., Server],
    settings: Any,
    caplog: pytest.LogCaptureFixture,
    blocking: bool,
) -> None:
    server = new_server(persist=True)
    settings.QUEUECORE = {"CONNECTIONS": {"default": {"URL": server.url}}}
    queue, events = Queue("q"), QueueEvents("q", blocking_timeout=0.2)
    found: list[str | None] = []

    def follow() -> None:
        found.extend(event.name for event in events if event.event == "added")

    async def afollow() -> None:
        async for event in events:
            if event.event == "added":
                found.append(event.name)

    events.wait_until_ready()
    queue.add("one")
    thread = threading.Thread(target=follow if blocking else lambda: asyncio.run(afollow()))
    thread.start()
    _until(lambda: found == ["one"])
    server.kill()
    _until(lambda: "tried again" in caplog.text)
    server.start()
    queue.add("two")
    _until(lambda: found == ["one", "two"])
    events.close()
    thread.join(5)
    assert not thread.is_alive()
    assert "the server is back" in caplog.text


def _until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # between two looks


def test_what_can_be_no_filter() -> None:
    with pytest.raises(InvalidOption, match="list of names"):
        QueueEvents("q", events="completed")


@pytest.mark.parity("QueueEventsProducer.publishEvent")
def test_custom_events(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    producer = QueueEventsProducer("q")
    id = do(producer.publish_event, "shipped", job_id="7", carrier="post", parcels=2, to=["a"])
    (event,) = read(all_of(), 1)
    assert (event.id, event.event, event.job_id) == (id, "shipped", "7")
    assert event.fields == {"carrier": "post", "parcels": "2", "to": '["a"]'}
    for _ in range(300):
        redis_client.xadd("bull:q:events", {"event": "x"})
    do(producer.publish_event, "again", max_events=10)
    assert redis_client.xlen("bull:q:events") < 250


def test_the_queue_s_own_maximum_holds(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    redis_client.hset("bull:q:meta", "opts.maxLenEvents", 20)
    producer = QueueEventsProducer("q")
    for _ in range(300):
        redis_client.xadd("bull:q:events", {"event": "x"})
    do(producer.publish_event, "again")
    assert redis_client.xlen("bull:q:events") < 250


def test_events_of_bullmq_s_own_are_refused(queue: Queue, do: Do) -> None:
    producer = QueueEventsProducer("q")
    for name in ("completed", "progress", ""):
        with pytest.raises(InvalidOption):
            do(producer.publish_event, name)
    with pytest.raises(InvalidOption, match="its name"):
        do(producer.publish_event, "mine", event="other")
    assert not list(read(all_of(), 0))
