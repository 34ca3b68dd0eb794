"""What waits for a socket: merged by id, held back by interval and window, never lost."""

import asyncio
import json

import pytest

from dashboard.live import outbox as outbox_module
from dashboard.live.outbox import WINDOW, Outbox, Stalled


@pytest.fixture
def outbox():
    return Outbox(lambda: 5_000)


def patches(**contents):
    return {name: json.dumps({"id": name, "text": text}) for name, text in contents.items()}


async def take(outbox, seconds=5.0):
    return json.loads(await asyncio.wait_for(outbox.next(), seconds))


async def nothing(outbox, seconds=0.1):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outbox.next(), seconds)


async def test_a_message_holds_what_changed_with_its_times(outbox):
    outbox.put("overview", 4_000, patches(a="1", b="2"))
    assert await take(outbox) == {
        "topic": "overview",
        "seq": 1,
        "at": 4_000,
        "now": 5_000,
        "patches": [{"id": "a", "text": "1"}, {"id": "b", "text": "2"}],
    }
    await nothing(outbox)


async def test_what_waits_is_merged_by_id_and_not_by_topic(outbox):
    outbox.put("overview", 1, patches(a="1", b="1"))
    outbox.put("overview", 2, patches(b="2", c="2"))
    outbox.put("queue:d:q", 2, patches(a="other"))
    first, second = await take(outbox), await take(outbox)
    assert {p["id"]: p["text"] for p in first["patches"]} == {"a": "1", "b": "2", "c": "2"}
    assert (first["at"], second["topic"]) == (2, "queue:d:q")
    assert [first["seq"], second["seq"]] == [1, 2]
    await nothing(outbox)


async def test_nothing_changed_is_no_message(outbox):
    outbox.put("overview", 1, {})
    await nothing(outbox)


async def test_a_dropped_topic_is_not_sent(outbox):
    outbox.put("overview", 1, patches(a="1"))
    outbox.put("queue:d:q", 1, patches(b="1"))
    outbox.drop("overview")
    assert (await take(outbox))["topic"] == "queue:d:q"
    outbox.put("overview", 1, patches(a="1"))
    outbox.drop()
    await nothing(outbox)


async def test_only_the_newest_status_is_sent_and_every_answer(outbox):
    outbox.status('{"n":1}')
    outbox.status('{"n":2}')
    outbox.say({"topic": "x", "gone": True})
    outbox.say({"topic": "y", "gone": True})
    assert [await take(outbox) for _ in range(3)] == [
        {"topic": "x", "gone": True},
        {"topic": "y", "gone": True},
        {"n": 2},
    ]
    await nothing(outbox)


async def test_news_wake_a_sleeper(outbox):
    waiting = asyncio.ensure_future(take(outbox))
    await asyncio.sleep(0.01)
    outbox.put("overview", 1, patches(a="1"))
    assert (await waiting)["patches"]


async def test_an_interval_lies_between_two_deliveries(outbox):
    outbox.interval = 0.3
    loop = asyncio.get_running_loop()
    outbox.put("overview", 1, patches(a="1"))
    outbox.put("queue:d:q", 1, patches(b="1"))
    begun = loop.time()
    await take(outbox)
    await take(outbox)
    assert loop.time() - begun < 0.2, "what belongs together goes out together"
    outbox.put("overview", 1, patches(a="2"))
    outbox.put("overview", 1, patches(a="3"))
    assert (await take(outbox))["patches"] == [{"id": "a", "text": "3"}]
    assert loop.time() - begun >= 0.29


async def test_a_reader_that_acknowledges_nothing_gets_a_window_and_loses_nothing(outbox):
    for number in range(WINDOW):
        outbox.put("overview", 1, patches(a=str(number)))
        await take(outbox)
    for number in range(1000):
        outbox.put("overview", 1, patches(**{"a": str(number), f"b{number % 5}": str(number)}))
    await nothing(outbox)
    outbox.acknowledge(WINDOW + 5)  # a number that was never sent says nothing
    await nothing(outbox)
    outbox.acknowledge(1)
    message = await take(outbox)
    assert {p["id"]: p["text"] for p in message["patches"]} == {
        "a": "999",
        **{f"b{n}": str(995 + n) for n in range(5)},
    }
    outbox.put("overview", 1, patches(a="x"))
    await nothing(outbox)


async def test_a_status_passes_a_full_window(outbox):
    for _ in range(WINDOW):
        outbox.put("overview", 1, patches(a="1"))
        await take(outbox)
    outbox.put("overview", 1, patches(a="2"))
    outbox.status('{"n":1}')
    assert await take(outbox) == {"n": 1}


async def test_who_acknowledges_nothing_for_too_long_is_stalled(outbox, monkeypatch):
    monkeypatch.setattr(outbox_module, "PATIENCE_S", 0.1)
    for _ in range(WINDOW):
        outbox.put("overview", 1, patches(a="1"))
        await take(outbox)
    await nothing(outbox, 0.3)  # nothing waits, so nobody is late
    outbox.put("overview", 1, patches(a="2"))
    with pytest.raises(Stalled):
        await asyncio.wait_for(outbox.next(), 5)
