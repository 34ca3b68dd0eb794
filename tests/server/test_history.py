"""The collector and its history: counting, writing, taking over, charts."""

import asyncio
import json
import logging
import random
import subprocess
import sys
import time

import pytest

from queuecore import history
from queuecore.history import Collector, Figures, History, Record
from queuecore.wire.clock import FixedClock
from queuecore.wire.connections import get_connection

MINUTE = 1_700_000_100  # the beginning of five minutes
START = MINUTE + 1


@pytest.fixture(autouse=True)
def _nobody_has_looked_for_queues_yet(monkeypatch):
    monkeypatch.setattr("queuecore.inspect._scans", {})


@pytest.fixture
async def clock(server):
    """The server's time as the test says it, in whole seconds."""
    connection = get_connection()
    before = connection.clock
    connection.clock = FixedClock(START * 1000)
    yield connection.clock
    connection.clock = before
    await connection.aclose()


@pytest.fixture
def collector(clock):
    return Collector(history=History())


def finish(client, count, state="completed", queue="emails"):
    """Let jobs finish in a queue whose workers keep BullMQ's metrics."""
    client.hset(f"bull:{queue}:meta", "x", 1)
    client.hincrby(f"bull:{queue}:metrics:{state}", "count", count)


def records(client, kind="seconds"):
    return [json.loads(text) for text in client.lrange(f"qc:bull::{kind}", 0, -1)]


async def end(task):
    """Cancel until it has ended: connecting can swallow a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.1)
    assert task.cancelled()


async def pass_seconds(collector, clock, count=1):
    for _ in range(count):
        clock.advance(1)
        await collector.tick()


async def test_counts_and_finished_jobs_become_a_series(collector, clock, redis_client):
    finish(redis_client, 0)
    await collector.tick()
    for number in (3, 0, 5):
        finish(redis_client, number)
        finish(redis_client, number // 3, "failed")
        redis_client.lpush("bull:emails:wait", "x")
        await pass_seconds(collector, clock)
    past = collector.history
    assert past.series("done_rate", seconds=5) == [None, 0, 3, 0, 5]
    assert past.series("failed_rate", seconds=5) == [None, 0, 1, 0, 1]
    assert past.series("waiting", "emails", seconds=5) == [None, 0, 1, 2, 3]
    assert past.rate("done_rate", seconds=2) == 3
    assert past.rate("done_rate") == 3
    assert past.times(5)[-1] == (START + 2) * 1000
    assert past.started_at.timestamp() == START - 1


async def test_a_queue_without_metrics_is_counted_by_its_events(collector, clock, redis_client):
    redis_client.hset("bull:emails:meta", "x", 1)
    redis_client.xadd("bull:emails:events", {"event": "completed", "jobId": "0"})
    await collector.tick()
    for number in range(4):
        redis_client.xadd("bull:emails:events", {"event": "completed", "jobId": str(number)})
    redis_client.xadd("bull:emails:events", {"event": "failed", "jobId": "9"})
    await pass_seconds(collector, clock)
    assert collector.history.series("done_rate", seconds=2) == [0, 4]
    assert collector.history.series("failed_rate", seconds=2) == [0, 1]


async def test_metrics_that_begin_hold_what_finished_since(collector, clock, redis_client):
    redis_client.hset("bull:emails:meta", "x", 1)
    await collector.tick()
    finish(redis_client, 7)
    await pass_seconds(collector, clock)
    assert collector.history.series("done_rate", seconds=2) == [0, 7]


async def test_what_finished_before_anybody_counted_is_no_rate(collector, clock, redis_client):
    finish(redis_client, 1_000_000)
    await collector.tick()
    collector._names_until = 0
    finish(redis_client, 1_000_000, queue="found later")
    await pass_seconds(collector, clock)
    assert collector.history.series("done_rate", seconds=2) == [0, 0]


async def test_metrics_that_begin_anew_are_no_negative_rate(collector, clock, redis_client):
    finish(redis_client, 100)
    await collector.tick()
    redis_client.delete("bull:emails:metrics:completed")
    finish(redis_client, 2)
    await pass_seconds(collector, clock)
    finish(redis_client, 3)
    await pass_seconds(collector, clock)
    assert collector.history.series("done_rate", seconds=3) == [0, 0, 3]


async def test_only_queues_that_changed_are_written_and_all_once_a_minute(
    collector, clock, redis_client
):
    for number in range(20):
        finish(redis_client, 1, queue=f"q{number}")
    await collector.tick()
    finish(redis_client, 1, queue="q7")
    await pass_seconds(collector, clock, 60)
    written = records(redis_client)
    assert [len(one["q"]) for one in written] == [0, 20, *[0] * 57, 1, 20]
    assert [one["f"] for one in written] == [0, 1, *[0] * 58, 1]


async def test_the_lists_keep_their_lengths_and_go_away_by_themselves(
    collector, clock, redis_client, monkeypatch
):
    from queuecore.wire.calls import keeping

    monkeypatch.setattr(keeping, "SECONDS", 5)
    finish(redis_client, 1)
    await pass_seconds(collector, clock, 9)
    assert len(records(redis_client)) == 5
    assert 170_000 < redis_client.ttl("qc:bull::seconds") <= 172_800
    assert 0 < redis_client.pttl("qc:bull::collector") <= 5000


async def test_minutes_add_up(collector, clock, redis_client):
    finish(redis_client, 0)
    await collector.tick()
    for _ in range(3 * 60):
        finish(redis_client, 2)
        redis_client.lpush("bull:emails:wait", "x")
        await pass_seconds(collector, clock)
    minutes = records(redis_client, "minutes")
    assert [one["t"] for one in minutes] == [MINUTE + 180, MINUTE + 120, MINUTE + 60]
    assert [one["q"]["emails"][4] for one in minutes] == [120, 120, 118]
    past = collector.history
    assert past.series("done_rate", seconds=3600, step=60)[-4:] == [118, 120, 120, 2]
    assert past.series("waiting", "emails", seconds=3600, step=60)[-4:] == [59, 119, 179, 180]
    assert past.series("done_rate", seconds=3600, step=300)[-2:] == [None, 360]


async def test_quarters_are_made_of_the_minutes_whoever_leads(collector, clock, redis_client):
    async def pass_quarter(who):
        for _ in range(30):
            finish(redis_client, 10)
            clock.advance(30)
            await who.tick()

    finish(redis_client, 0)
    await collector.tick()
    await pass_quarter(collector)
    assert collector.history.last_minute == MINUTE + 900
    assert records(redis_client, "quarters") == []
    redis_client.delete("qc:bull::collector")  # it died before it came to the quarter
    other = Collector(history=History())
    clock.advance(1)
    await other.tick()
    await collector.tick()
    assert (collector.leads, other.leads) == (False, True)
    clock.advance(1)
    other._last_quarter = 0  # as if the answer to the call that stored it had been lost
    await other.tick()
    assert other.leads
    (quarter,) = records(redis_client, "quarters")
    assert (quarter["t"], quarter["n"], quarter["f"]) == (MINUTE + 900, 900, 1)
    # The last second before its end belongs to the next one.
    assert quarter["q"] == {"emails": [0, 0, 0, 0, 300, 0, -1, -1]}

    await pass_quarter(other)
    clock.advance(2 * 900)  # nobody counts
    for _ in range(2):
        await pass_quarter(other)
    ends = [one["t"] for one in records(redis_client, "quarters")]
    assert ends == [MINUTE + 900 * number for number in (5, 2, 1)]
    assert 690_000 < redis_client.ttl("qc:bull::quarters") <= 691_200
    past = History()
    await past.arefresh(quarters=True)
    week = past.series("done_rate", "emails", seconds=604_800, step=900)
    assert week[:-7] == [None] * (672 - 7)
    assert [value is None for value in week[-7:]] == [False, False, True, True, False, False, False]
    assert sum(value or 0 for value in week) == sum(
        value or 0 for value in past.series("done_rate", seconds=86_400, step=900)
    )
    assert past.times(604_800, 3_600)[-1] // 1000 == past._now() // 3_600 * 3_600


async def test_the_week_is_read_only_when_asked_for_and_then_what_is_new(
    collector, clock, redis_client, monkeypatch
):
    from queuecore.wire.calls import keeping

    async def quarter(number):
        figures = {"emails": Figures(number, done=number)}
        text = Record(MINUTE + 900 * number, 900, True, figures).encode()
        await get_connection().arun(keeping.keep_history("bull", "me", 9_000, quarter=text))

    def read():
        found = redis_client.info("commandstats").get("cmdstat_lrange", {"calls": 0})["calls"]
        redis_client.config_resetstat()
        return found

    monkeypatch.setattr(keeping, "QUARTERS", 3)
    for number in (1, 2, 3, 4, 4, 3):
        await quarter(number)
    assert [one["t"] for one in records(redis_client, "quarters")] == [
        MINUTE + 900 * number for number in (4, 3, 2)
    ]
    clock.advance(4 * 900 + 5)
    past = History()
    read()
    await past.arefresh()
    assert read() == 2
    assert past.series("waiting", seconds=604_800, step=900) == [None] * 672
    for _ in range(3):
        await past.arefresh(quarters=True)
    assert read() == 1
    assert past.series("waiting", seconds=604_800, step=900)[-5:] == [None, 2, 3, 4, None]
    await quarter(5)
    clock.advance(900)
    past._asked_quarters = float("-inf")
    await past.arefresh(quarters=True)
    assert past.series("done_rate", seconds=604_800, step=900)[-5:] == [2, 3, 4, 5, None]
    redis_client.delete("qc:bull::quarters")
    redis_client.lpush("qc:bull::quarters", "x", '{"t":"x","n":900,"f":1,"q":{}}')
    copy = History()
    await copy.arefresh(quarters=True)
    assert copy.series("waiting", seconds=604_800, step=900) == [None] * 672


async def test_quarters_say_what_the_minutes_say(clock, server):
    luck = random.Random(3)
    past, shown = History(), {name: [] for name in ("a", "b", "c", "still")}
    held = {}
    for number in range(1, 24 * 60):
        full, at = number % 30 == 1, MINUTE + 60 * number
        named = {name for name in shown if full or (name != "still" and luck.random() < 0.05)}
        if number > 700:
            named.discard("c")
        figures = {name: Figures(luck.randint(0, 9), done=luck.randint(0, 1)) for name in named}
        held = figures if full else held | figures
        past._minutes.add(Record(at, 60, full, figures))
        for name, values in shown.items():
            done = figures[name].done if name in figures else 0
            values.append((held.get(name, Figures()).waiting, done))
    copy, last, lengths = History(), MINUTE, []
    while record := past.next_quarter(last):
        assert record.at == last + 900
        last = record.at
        copy._quarters.add(record)
        lengths.append(len(record.queues))
    assert last == MINUTE + 95 * 900
    assert min(lengths) < 3, "a queue in which nothing changed is named"
    clock.advance(last - START + 1)
    for name, values in shown.items():
        quarters = [values[15 * index : 15 * index + 15] for index in range(95)]
        waiting = copy.series("waiting", name, seconds=604_800, step=900)
        assert waiting[-96:-1] == [minutes[-1][0] for minutes in quarters]
        done = copy.series("done_rate", name, seconds=604_800, step=900)
        assert done[-96:-1] == [sum(one[1] for one in minutes) for minutes in quarters]


async def test_the_minute_that_is_not_over_comes_from_the_seconds(collector, clock, redis_client):
    finish(redis_client, 0)
    await collector.tick()
    for _ in range(90):
        finish(redis_client, 1)
        await pass_seconds(collector, clock)
    assert collector.history.series("done_rate", seconds=3600, step=60)[-2:] == [59, 31]


async def test_another_process_reads_the_same(collector, clock, redis_client):
    for number in range(130):
        finish(redis_client, number % 7)
        if number % 3:
            finish(redis_client, 1, queue="reports")
        await pass_seconds(collector, clock)
    copy = History()
    await copy.arefresh()
    for queue in (None, "emails", "reports"):
        for seconds, step in ((900, 1), (120, 10), (3600, 60)):
            asked = ("done_rate", queue, None, seconds, step)
            assert copy.series(*asked) == collector.history.series(*asked)
    version = copy.version
    await copy.arefresh()
    assert copy.version == version, "it asked again within a second"
    copy._asked = 0
    await pass_seconds(collector, clock)
    await copy.arefresh()
    assert copy.version == version + 1
    assert copy.figures == collector.history.figures


async def test_a_copy_that_begins_in_the_middle_does_not_guess(collector, clock, redis_client):
    finish(redis_client, 1)
    finish(redis_client, 1, queue="still")
    await pass_seconds(collector, clock, 10)
    redis_client.ltrim("qc:bull::seconds", 0, 4)
    finish(redis_client, 4)
    await pass_seconds(collector, clock)
    copy = History()
    await copy.arefresh()
    assert copy.series("done_rate", "emails", seconds=3) == [None, None, 4]
    assert copy.series("done_rate", "still", seconds=3) == [None, None, None]
    assert copy.series("done_rate", seconds=3) == [None, None, None]
    await pass_seconds(collector, clock, 60)
    copy._asked = 0
    await copy.arefresh()
    assert copy.series("done_rate", "still", seconds=3) == [0, 0, 0]


async def test_the_sum_of_some_queues(collector, clock, redis_client):
    for queue in ("a", "b", "c"):
        finish(redis_client, 0, queue=queue)
    await collector.tick()
    for number, queue in enumerate(("a", "b", "c")):
        finish(redis_client, 10**number, queue=queue)
    await pass_seconds(collector, clock)
    past = collector.history
    assert past.series("done_rate", names={"a", "c"}, seconds=1) == [101]
    assert past.series("done_rate", names=set(), seconds=1) == [0]
    assert past.rate("done_rate", names={"b"}, seconds=1) == 0
    await pass_seconds(collector, clock)
    assert past.rate("done_rate", names={"b"}, seconds=1) == 10


async def test_all_queues_at_once(collector, clock, redis_client):
    finish(redis_client, 0)
    finish(redis_client, 0, queue="b")
    await collector.tick()
    for number in range(1, 6):
        finish(redis_client, number)
        finish(redis_client, 1, "failed", queue="b")
        redis_client.lpush("bull:b:wait", "x")
        await pass_seconds(collector, clock)
    past = collector.history
    assert past.sums(3) == {"emails": (12, 0), "b": (0, 3)}
    assert past.sums(900) == {"emails": (15, 0), "b": (0, 5)}
    assert (past.measured(3), past.measured(900)) == (3, 6)
    assert past.ago(2)["b"].waiting == 3
    assert past.ago(0)["b"].waiting == 5
    assert past.ago(6) == {}
    await pass_seconds(collector, clock, 60)
    assert past.sums(3600) == {"emails": (15, 0), "b": (0, 5)}
    assert past.measured(3600) == 60


async def test_any_window_says_what_a_walk_through_everything_says(clock, server):
    """Series begin in the middle of the records; nothing may depend on where."""
    luck = random.Random(7)
    past, shown = History(), {name: [] for name in ("a", "b", "c")}
    held = {}
    for second in range(1, 1100):
        full = second % 60 == 1
        named = shown if full else luck.sample(sorted(shown), luck.randint(0, 2))
        figures = {name: Figures(luck.randint(0, 9), 0, 0, 0, luck.randint(0, 5)) for name in named}
        if full and second > 500:
            figures.pop("c")
        held = figures if full else held | figures
        past.add(Record(START + second, 1, full, figures))
        for name, values in shown.items():
            values.append(
                (held.get(name, Figures()).waiting, getattr(figures.get(name), "done", 0))
            )
    clock.advance(1099)
    for seconds in (1, 7, 60, 500, 900):
        for name, values in shown.items():
            waiting, done = zip(*values[-seconds:], strict=True)
            assert past.series("waiting", name, seconds=seconds) == list(waiting)
            assert past.series("done_rate", name, seconds=seconds) == list(done)
        sums = [sum(row[0] for row in rows) for rows in zip(*shown.values(), strict=True)]
        assert past.series("waiting", names={"a", "b", "c"}, seconds=seconds) == sums[-seconds:]
        assert past.series("waiting", seconds=seconds) == sums[-seconds:]


async def test_a_queue_that_is_gone_leaves_the_sum(collector, clock, redis_client):
    for queue in ("a", "b"):
        finish(redis_client, 0, queue=queue)
        redis_client.lpush(f"bull:{queue}:wait", "x", "y")
    await collector.tick()
    redis_client.delete("bull:b:meta", "bull:b:wait")
    collector._names_until = 0
    await pass_seconds(collector, clock)
    assert collector.history.series("waiting", seconds=2) == [4, 2]


async def test_a_late_tick_is_spread_over_its_seconds(collector, clock, redis_client):
    finish(redis_client, 0)
    await collector.tick()
    finish(redis_client, 12)
    clock.advance(4)
    await collector.tick()
    assert collector.history.series("done_rate", seconds=5) == [0, 3, 3, 3, 3]
    assert collector.history.rate("done_rate", seconds=4) == 9


async def test_after_a_long_silence_nothing_is_invented(collector, clock, redis_client):
    finish(redis_client, 0)
    await collector.tick()
    finish(redis_client, 10_000)
    clock.advance(300)
    await collector.tick()
    past = collector.history
    assert past.series("done_rate", seconds=300, step=100) == [None, None, 0]
    assert past.series("done_rate", seconds=3)[-1] == 0


async def test_a_late_tick_over_the_end_of_a_minute_is_shared(collector, clock, redis_client):
    finish(redis_client, 0)
    await pass_seconds(collector, clock, 57)
    finish(redis_client, 40)
    clock.advance(4)
    await collector.tick()
    (minute,) = records(redis_client, "minutes")
    assert (minute["t"], minute["q"]["emails"][4]) == (MINUTE + 60, 20)
    assert collector.history.series("done_rate", seconds=3600, step=60)[-2:] == [20, 20]


async def test_within_one_second_nothing_is_counted_twice(collector, clock, redis_client):
    finish(redis_client, 0)
    await collector.tick()
    finish(redis_client, 5)
    await collector.tick()
    await collector.tick()
    assert len(records(redis_client)) == 1
    await pass_seconds(collector, clock)
    assert collector.history.series("done_rate", seconds=2) == [0, 5]


async def test_one_leads_and_another_takes_over_without_a_loss(collector, clock, redis_client):
    finish(redis_client, 0)
    other = Collector(history=History())
    await collector.tick()
    await other.tick()
    assert (collector.leads, other.leads) == (True, False)
    for _ in range(3):
        finish(redis_client, 1)
        await pass_seconds(collector, clock)
    assert len(records(redis_client)) == 4
    redis_client.delete("qc:bull::collector")  # as when the leader's machine died
    finish(redis_client, 6)
    clock.advance(3)
    await other.tick()
    assert other.leads
    assert other.history.series("done_rate", seconds=7) == [0, 1, 1, 1, 2, 2, 2]
    await pass_seconds(collector, clock)
    assert not collector.leads
    assert len(records(redis_client)) == 5


async def test_it_runs_by_itself_and_lets_go_in_the_end(server, redis_client):
    finish(redis_client, 0)
    collector = Collector(history=History())
    task = asyncio.ensure_future(collector.run())
    deadline = time.monotonic() + 20
    while len(records(redis_client)) < 3:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    assert redis_client.exists("qc:bull::collector")
    await end(task)
    assert not redis_client.exists("qc:bull::collector")
    assert [one["n"] for one in records(redis_client)] == [1, 1, 1]
    await get_connection().aclose()


async def test_an_outage_is_waited_out(new_server, settings, caplog):
    server = new_server(persist=True)
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": {"default": {"URL": server.url}}}
    with server.client() as client:
        finish(client, 0)
        collector = Collector(history=History())
        task = asyncio.ensure_future(collector.run())
        deadline = time.monotonic() + 60

        async def until(count):
            while collector.history.version < count:
                assert time.monotonic() < deadline
                assert not task.done()
                await asyncio.sleep(0.05)

        await until(2)
        server.kill()
        while "pauses" not in caplog.text:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)
        server.start()
        await until(collector.history.version + 2)
    assert [r.levelno for r in caplog.records if r.name == "queuecore.history"] == [logging.WARNING]
    await end(task)
    await get_connection().aclose()


async def test_a_mistake_costs_a_while_and_does_not_end_it(
    server, redis_client, monkeypatch, caplog
):
    from queuecore.history import collector as module

    monkeypatch.setattr(module, "LONGEST_PAUSE_S", 0.1)
    finish(redis_client, 0)
    collector = Collector(history=History())
    good = collector._census.count
    monkeypatch.setattr(collector._census, "count", lambda *args, **options: 1 / 0)
    task = asyncio.ensure_future(collector.run())
    deadline = time.monotonic() + 20
    while "missed a second" not in caplog.text:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    collector._census.count = good
    while not records(redis_client):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    await end(task)
    await get_connection().aclose()


async def test_listeners_are_told_and_cannot_stop_it(collector, clock, redis_client, monkeypatch):
    monkeypatch.setattr(history.collector, "_listeners", [])
    heard = []

    @history.register
    def broken(alias, snapshots, past):
        raise RuntimeError("mine")

    @history.register
    async def good(alias, snapshots, past):
        heard.append((alias, snapshots["emails"].counts["waiting"], past.last_second))

    history.register(good)
    finish(redis_client, 0)
    await collector.tick()
    assert heard == [("default", 0, START)]


async def test_garbage_in_the_lists_is_passed_over(collector, clock, redis_client):
    finish(redis_client, 3)
    await collector.tick()
    garbage = ["", "x", "[]", "{}", '{"t":"x","n":1,"f":0,"q":{}}', "[" * 100_000]
    garbage += ['{"t":1,"n":1,"f":1,"q":{"emails":["x"]}}', '{"t":9e999,"n":1,"f":1,"q":{}}']
    redis_client.lpush("qc:bull::seconds", *garbage)
    redis_client.set("qc:bull::minutes", "no list")
    copy = History()
    await copy.arefresh()
    assert copy.figures["emails"].done_total == 3


@pytest.mark.parametrize(
    "asked",
    [
        {"metric": "done"},
        {"metric": "waiting", "step": 7},
        {"metric": "waiting", "seconds": 3600, "step": 30},
        {"metric": "waiting", "step": 0},
        {"metric": "waiting", "seconds": 604_800, "step": 60},
    ],
)
def test_a_wrong_question_is_an_error(server, asked):
    with pytest.raises(ValueError, match=r"metric|steps"):
        History().series(**asked)


def test_an_empty_history_has_nothing_to_say(server):
    past = History()
    assert (past.started_at, past.latest_at) == (None, None)
    assert past.series("waiting", seconds=3) == [None, None, None]
    assert past.rate("done_rate") == 0


def test_a_record_survives_the_way_to_redis():
    record = Record(START, 2, True, {"ä": Figures(1, 2, 3, 4, 5, 6, 7, 8)})
    assert Record.decode(record.encode()) == record


THREAD = """
import django, time
django.setup()
from queuecore import history
history.ensure_running()
history.ensure_running()
deadline = time.monotonic() + 30
while history.history_of().version < 2:
    assert time.monotonic() < deadline
    time.sleep(0.05)
import threading
print(sum(thread.name == "queuecore-history" for thread in threading.enumerate()))
"""


def test_a_web_process_collects_in_one_thread_and_lets_go_when_it_ends(
    server, redis_client, child_environment
):
    finish(redis_client, 0)
    done = subprocess.run(
        [sys.executable, "-c", THREAD],
        env=child_environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
    assert len(records(redis_client)) >= 2
    assert not redis_client.exists("qc:bull::collector")
