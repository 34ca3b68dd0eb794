"""Statistics: what workers count of their runs, told every few seconds and read by whoever asks."""

import asyncio
import time
from collections import Counter
from typing import Any

import pytest
import redis
from prometheus_client import parser

from queuecore import Job, JobSpec, Queue
from queuecore.errors import InvalidOption, JobCancelled, ServerUnavailable
from queuecore.histogram import ERROR
from queuecore.pulse import Pulse, Pulses
from queuecore.statistics import Figures, Statistics, read_whole
from queuecore.wire.calls import counting
from queuecore.wire.calls.base import Command
from queuecore.worker import statistics as counted
from tests import invariants
from tests.server import boxed
from tests.server.conftest import Do
from tests.server.working import fields, finished, until, working

PAUSE = 0.03


async def work(job: Job) -> None:
    if job.name == "slow":
        await asyncio.sleep(PAUSE)
    if job.name == "bad":
        raise ValueError(f"no user {job.data['n']}")


def looked_up(*, attempts: int = 1) -> list[JobSpec]:
    return [
        *[JobSpec("slow") for _ in range(4)],
        *[JobSpec("quick") for _ in range(20)],
        *[JobSpec("bad", {"n": n}, attempts=attempts) for n in range(5)],
    ]


async def test_outcomes_and_times_by_name(queue: Queue, redis_client: redis.Redis) -> None:
    await queue.aadd_bulk(looked_up(attempts=2))
    async with working(work, concurrency=4):
        await finished(queue, 29)
    names = await Statistics("q").atotals()
    assert list(names) == ["bad", "quick", "slow"]
    told = {name: (one.completed, one.failed, one.retried) for name, one in names.items()}
    assert told == {"slow": (4, 0, 0), "quick": (20, 0, 0), "bad": (0, 5, 5)}
    assert (names["bad"].wait.count, names["bad"].run.count) == (5, 10)
    slow = names["slow"].run
    assert slow.count == 4
    assert slow.p50 is not None
    assert slow.p50 >= PAUSE * (1 - ERROR)
    assert slow.total >= 4 * PAUSE * 0.999
    # Minute, quarter, hour and totals say the same, even where a minute has passed meanwhile.
    minutes = Figures.of(one.whole for one in await Statistics("q").aminutes(3))
    quarters = Figures.of(one.whole for one in await Statistics("q").aquarters(2))
    hours = Figures.of(one.whole for one in await Statistics("q").ahours(2))
    assert minutes == quarters == hours == Figures.of(names.values())
    invariants.check(redis_client, "q", idle=True)


async def test_the_wait_is_that_from_when_a_job_could_run(
    queue: Queue, redis_client: redis.Redis
) -> None:
    await queue.aadd("waited")
    await queue.aadd("delayed", delay=0.2)
    await asyncio.sleep(0.3)  # the wait that is measured
    async with working(work):
        await finished(queue, 2)
    names = await Statistics("q").atotals()
    for id, delay in (("1", 0), ("2", 200)):
        job = await fields(queue, id)
        wait = int(job["processedOn"]) - int(job["timestamp"]) - delay
        assert round(names[job["name"]].wait.total * 1000) == wait
        assert wait >= 300 - delay


async def test_many_workers_merge(queue: Queue, redis_client: redis.Redis) -> None:
    await queue.aadd_bulk([JobSpec("quick") for _ in range(60)])
    async with working(work, concurrency=2, statistics=0.1), working(work, concurrency=2):
        await finished(queue, 60)
    assert len(redis_client.keys("qc:bull:q:counted:*")) == 2
    (whole,) = (await Statistics("q").atotals()).values()
    assert (whole.completed, whole.run.count, whole.wait.count) == (60, 60, 60)


async def test_failures_of_one_kind_are_one(queue: Queue, redis_client: redis.Redis) -> None:
    async def fail(job: Job) -> None:
        if job.name == "key":
            raise KeyError("x")
        if job.name == "stopped":
            raise JobCancelled("the customer withdrew")  # no fault, so it is of no kind
        raise ValueError(f"no user {job.data}")

    await queue.aadd_bulk([JobSpec("a", n, attempts=2) for n in range(10)])
    await queue.aadd_bulk([JobSpec("key"), JobSpec("b", 7), JobSpec("stopped")])
    async with working(fail):
        await finished(queue, 13)
    found = {(one.name, one.kind, one.message): one for one in await Statistics("q").afailures()}
    assert {key: one.count for key, one in found.items()} == {
        ("a", "ValueError", "no user <n>"): 20,
        ("b", "ValueError", "no user <n>"): 1,
        ("key", "KeyError", "KeyError: 'x'"): 1,
    }
    one = found["a", "ValueError", "no user <n>"]
    assert one.frame.endswith("test_failures_of_one_kind_are_one.<locals>.fail")
    assert one.reason.startswith("no user ")
    assert "ValueError: no user" in one.trace
    assert one.first_seen is not None
    assert one.last_seen is not None
    assert one.first_seen <= one.last_seen
    assert (await queue.aget_job(one.job_id)).failed_reason == one.reason  # type: ignore[union-attr]
    assert len(await Statistics("q").afailures(2)) == 2
    # How often each came is told by the time, too.
    told = Statistics("q")
    counts = {one.id: one.count for one in found.values()}
    for periods in (await told.aminutes(3), await told.aquarters(2), await told.ahours(2)):
        whole: Counter[str] = Counter()
        for period in periods:
            whole.update(period.failures)
        assert whole == counts


async def test_kinds_of_failures_are_bounded(queue: Queue, redis_client: redis.Redis) -> None:
    for number in range(250):
        call = counting.count_runs(
            queue.keys, "w", number + 1, 1, 10**12 + number, {},
            [(f"{number:016x}", 1, 10**12, 10**12 + number, b'{"name": "a"}')],
        )  # fmt: skip
        assert await queue.connection.arun(call) == 1
    assert redis_client.zcard("qc:bull:q:sightings") == 200
    assert redis_client.hlen("qc:bull:q:errors") == 600
    assert (await Statistics("q").afailures(1))[0].id == f"{249:016x}"
    # What was not seen for 7 days goes.
    later = 10**12 + 8 * 24 * 3600 * 1000
    one = [("f" * 16, 1, later, later, b"{}")]
    call = counting.count_runs(queue.keys, "w", 251, 1, later, {}, one)
    await queue.connection.arun(call)
    assert redis_client.zrange("qc:bull:q:sightings", 0, -1) == ["f" * 16]
    assert redis_client.hlen("qc:bull:q:errors") == 3


async def test_names_are_bounded_in_the_worker_and_on_the_server(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await queue.aadd_bulk([JobSpec(f"order-{n}") for n in range(counted.MOST_NAMES + 30)])
    async with working(work, concurrency=1):
        await finished(queue, counted.MOST_NAMES + 30, 10)
    names = await Statistics("q").atotals()
    assert len(names) == counted.MOST_NAMES + 1
    assert names[""].completed == 30
    # A hash that is full takes new names together; those that it has go on.
    redis_client.hset("qc:bull:q:totals", mapping={f"x:{n}": 1 for n in range(4001)})
    fields = {"n": 1, "c": 1}
    call = counting.count_runs(queue.keys, "w", 1, 1, 10**12, {"order-1": fields, "new": fields})
    await queue.connection.arun(call)
    names = await Statistics("q").atotals()
    assert (names["order-1"].completed, names[""].completed) == (2, 31)
    assert "new" not in names


async def test_nothing_is_sent_for_a_job(queue: Queue, redis_client: redis.Redis) -> None:
    """As many commands, scripts and their insides included, for 400 jobs as for 40."""

    async def commands(jobs: int, **options: Any) -> dict[str, int]:
        await queue.aadd_bulk([JobSpec("quick") for _ in range(jobs)])
        redis_client.config_resetstat()
        options["metrics_max_data_points"] = 0  # which are counted by the finish script
        async with working(work, concurrency=10, **options):
            await until(lambda: _done(queue))
            before = redis_client.info("commandstats")
            assert _hincrby(redis_client) == 0
        after = redis_client.info("commandstats")
        return {"working": _calls(before), "closing": _calls(after) - _calls(before)}

    few = await commands(40, statistics=60)
    many = await commands(400, statistics=60)
    # At the end three hashes of some fields each, for any number of jobs.
    assert 0 < _hincrby(redis_client) <= 4 * 60
    assert abs(many["closing"] - few["closing"]) < 3 * 60
    without = await commands(400, statistics=None)
    assert _hincrby(redis_client) == 0
    # Claims differ by how the jobs fell into batches; a command a job would be 400 more.
    assert many["working"] < without["working"] + 200


async def _done(queue: Queue) -> bool:
    counts = await queue.aget_job_counts()
    return counts["waiting"] + counts["active"] == 0


def _calls(stats: Any) -> int:
    return sum(one["calls"] for one in stats.values())


def _hincrby(redis_client: redis.Redis) -> int:
    return redis_client.info("commandstats").get("cmdstat_hincrby", {}).get("calls", 0)


async def test_an_outage_loses_nothing_and_counts_nothing_twice(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    carried_out = 0

    async with working(work, statistics=0.1) as worker:
        told = worker._statistics
        assert told is not None
        real = worker.queue.connection.arun

        async def flaky(operation: Any) -> Any:
            nonlocal carried_out
            if getattr(operation, "__name__", "") != "_together":
                return await real(operation)
            carried_out += 1
            if carried_out % 2:
                await real(operation)  # carried out, and the answer lost
            raise ServerUnavailable("the answer was lost")

        monkeypatch.setattr(worker.queue.connection, "arun", flaky)
        await queue.aadd_bulk(looked_up())
        await finished(queue, 29)
        await until(lambda: carried_out >= 3)
        await queue.aadd_bulk(looked_up())
        await finished(queue, 58)
        await until(lambda: carried_out >= 6)
        monkeypatch.undo()
    names = await Statistics("q").atotals()
    assert {name: one.runs for name, one in names.items()} == {"slow": 8, "quick": 40, "bad": 10}
    assert failures_of(await Statistics("q").afailures()) == {"no user <n>": 10}


def failures_of(found: Any) -> dict[str, int]:
    return {one.message: one.count for one in found}


async def test_what_cannot_be_sent_is_kept_within_bounds(queue: Queue) -> None:
    told = counted.Statistics(queue, "w", 5)
    one = counted._Name(completed=1, runs={7: 1}, ran=2000)
    for minute in range(100):
        told._minute(minute).setdefault("a", counted._Name()).add(one)
    assert len(told._minutes) == counted.MOST_MINUTES
    whole = counted._Name()
    for names in told._minutes.values():
        whole.add(names["a"])
    assert (whole.completed, whole.runs, whole.ran) == (100, {7: 100}, 200_000)


async def test_they_can_be_switched_off(queue: Queue, redis_client: redis.Redis) -> None:
    await queue.aadd("quick")
    async with working(work, statistics=None):
        await finished(queue, 1)
    assert not [key for key in redis_client.keys("qc:bull:q:*") if "counted" in key]
    assert await Statistics("q").atotals() == {}


async def test_put_back_runs_are_not_counted(queue: Queue, redis_client: redis.Redis) -> None:
    async def hang(job: Job) -> None:
        await asyncio.sleep(60)

    await queue.aadd("quick")
    async with working(hang, timeout=0):
        await until(queue.aget_active_count)
    assert await Statistics("q").atotals() == {}


async def test_all_of_it_expires(queue: Queue, redis_client: redis.Redis) -> None:
    await queue.aadd_bulk(looked_up())
    async with working(work):
        await finished(queue, 29)
    ours = [
        key
        for key in redis_client.keys("qc:bull:q:*")
        if key.split(":")[3] in (
            "counted", "minute", "quarter", "hour", "totals", "errors", "sightings",
        )
    ]  # fmt: skip
    assert len(ours) >= 7
    assert all(redis_client.pttl(key) > 0 for key in ours)


def test_reading_nothing(queue: Queue, do: Do) -> None:
    told = Statistics("q")
    assert do(told.totals) == {}
    assert do(told.failures) == []
    assert [len(do(one)) for one in (told.minutes, told.quarters, told.hours)] == [60, 24, 24]
    assert [len(do(one, 10**6)) for one in (told.minutes, told.quarters)] == [180, 100]
    assert do(told.minutes, 0) == []
    ages = [time.time() - one.at.timestamp() for one in do(told.minutes, 2)]
    assert ages[0] > 60 > ages[1] > -1
    with pytest.raises(InvalidOption, match="last must be a whole number"):
        do(told.minutes, -1)


def test_forgetting(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    now = int(time.time() * 1000)
    names = {"a": {"n": 1, "c": 1}}
    what = [("f" * 16, 1, now, now, b'{"name": "a"}')]
    call = counting.count_runs(queue.keys, "w", 1, now // 60_000, now, names, what)
    redis_client.set("qc:bull:q:pause", "another's")
    queue._run(call)
    told = Statistics("q")
    do(told.forget)
    assert sorted(redis_client.keys("qc:bull:q:*")) == ["qc:bull:q:counted:w", "qc:bull:q:pause"]
    assert do(told.totals) == {}


HOSTILE = {
    "c:a": "5",
    "no separator": "1",
    ":": "1",
    "": "1",
    "c:<script>": "-3",
    "c:b": "9" * 40,
    "f:b": "nan",
    "r:b": "1e400",
    "w999:b": "1",
    "w:b": "1",
    "r-:b": "1",
    "w١:b": "1",
    "zz:b": "3",
    "r7:\x00\x1b[31m‮": "2",
    "c:" + "long" * 10_000: "1",
    "R:a": "2000000",
    "e:": "many",
    "e:\x1b[31m": "-1",
    "r70:a": "1",
}


def raw_hash(key: str) -> Command[list[bytes]]:
    return Command(("HGETALL", key), list)


def test_hostile_records_are_harmless(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    redis_client.hset("qc:bull:q:totals", mapping=HOSTILE)
    redis_client.hset("qc:bull:q:totals", b"c:\xff\xfe", b"1")
    names = do(Statistics("q").totals)
    assert (names["a"].completed, names["a"].run.total, names["a"].run.count) == (5, 2.0, 1)
    assert names["\\xff\\xfe"].completed == 1
    assert all(len(name) <= 100 for name in names)
    assert "<script>" not in names
    text = queue.export_prometheus_metrics(statistics=True)
    assert "nan" not in text
    # All names together are what the names are, of the same records.
    flat = queue.connection.run(raw_hash("qc:bull:q:totals"))
    assert read_whole([flat]) == Figures.of(names.values())
    redis_client.zadd("qc:bull:q:sightings", {"a": 1e18, "b": -5, "c": 1e12, "d": 2e12})
    redis_client.hset(
        "qc:bull:q:errors",
        mapping={
            "a:what": "[" * 100_000, "a:count": "1",
            "b:what": "7", "b:count": "1",
            "c:what": '{"name": 7, "reason": "\\ud800", "trace": [1]}', "c:count": "2",
            "d:what": "{}", "d:count": "many",
        },
    )  # fmt: skip
    (one,) = do(Statistics("q").failures)
    assert (one.id, one.count, one.name, one.reason, one.trace) == ("c", 2, "", "�", "")
    assert one.first_seen is None


@pytest.mark.parametrize("key", ["totals", "errors", "sightings", "minute"])
async def test_keys_of_other_types_disturb_no_worker(
    queue: Queue, redis_client: redis.Redis, key: str
) -> None:
    if key == "minute":
        minute = int(time.time() // 60)
        for n in range(3):
            redis_client.set(f"qc:bull:q:minute:{minute + n}", "x")
    else:
        redis_client.set(f"qc:bull:q:{key}", "x")
    await queue.aadd_bulk(looked_up())
    async with working(work, statistics=0.1):
        await finished(queue, 29)
    told = Statistics("q")
    whole = Figures.of(one.whole for one in await told.ahours(2))
    assert whole.runs == 29
    if key == "totals":
        assert await told.atotals() == {}
    if key in ("errors", "sightings"):
        assert await told.afailures() == []
    assert redis_client.type(f"qc:bull:q:{key}") in ("string", "none")


async def test_a_large_hash_is_not_read(queue: Queue, redis_client: redis.Redis) -> None:
    mapping = {f"c:{n}": 1 for n in range(counting.MOST_FIELDS + 1)}
    redis_client.hset("qc:bull:q:totals", mapping=mapping)
    assert await Statistics("q").atotals() == {}


def samples(text: str) -> dict[str, float]:
    """The rows of Prometheus' text, by the row."""
    rows = [row for row in text.splitlines() if not row.startswith("#")]
    return {row.rpartition(" ")[0]: float(row.rpartition(" ")[2]) for row in rows}


@pytest.mark.parity("Queue.exportPrometheusMetrics")
async def test_prometheus_gets_histograms(queue: Queue, redis_client: redis.Redis) -> None:
    await queue.aadd_bulk([*looked_up(), JobSpec('a"b\\c\n')])
    async with working(work):
        await finished(queue, 30)
    text = await queue.aexport_prometheus_metrics({"host": "a"}, statistics=True)
    plain = await queue.aexport_prometheus_metrics({"host": "a"})
    assert text.startswith(plain)
    rows = samples(text)
    assert len(rows) == sum(not row.startswith("#") for row in text.splitlines())
    labels = 'queue="q", host="a", name="slow"'
    run = "queuecore_job_run_seconds"
    buckets = [
        value for row, value in rows.items() if row.startswith(f"{run}_bucket{{{labels}, le=")
    ]
    assert buckets == sorted(buckets)
    assert len(buckets) == 24
    assert rows[f'{run}_bucket{{{labels}, le="0.016"}}'] == 0
    assert rows[f'{run}_bucket{{{labels}, le="+Inf"}}'] == rows[f"{run}_count{{{labels}}}"] == 4
    assert rows[f"{run}_sum{{{labels}}}"] >= 4 * PAUSE * 0.999
    bad = 'queuecore_job_runs_total{queue="q", host="a", name="bad", outcome="failed"}'
    assert rows[bad] == 5
    assert 'name="a\\"b\\\\c\\n"' in text


def test_prometheus_client_reads_it(queue: Queue, redis_client: redis.Redis) -> None:
    names = {"a": {"n": 3, "c": 3, "R": 9_000_000, "r70": 2, "r77": 1}}
    now = int(time.time() * 1000)
    queue._run(counting.count_runs(queue.keys, "w", 1, now // 60_000, now, names))
    text = queue.export_prometheus_metrics(statistics=True)
    families = {one.name: one for one in parser.text_string_to_metric_families(text + "\n")}
    assert {"queuecore_job_run_seconds", "queuecore_job_wait_seconds"} <= set(families)
    histogram = families["queuecore_job_run_seconds"]
    assert histogram.type == "histogram"
    found = {
        (one.name.rpartition("_")[2], one.labels.get("le")): one.value for one in histogram.samples
    }
    assert (found["bucket", "1.024"], found["bucket", "2.048"], found["sum", None]) == (2, 3, 9)


@pytest.mark.parametrize("kind", ["sync", "sandbox"])
async def test_threads_and_sandboxes_are_counted_too(
    queue: Queue, redis_client: redis.Redis, kind: str
) -> None:
    await queue.aadd("x")
    if kind == "sync":

        def fail(job: Job) -> None:
            raise ValueError("no user 5")

        async with working(fail):
            await finished(queue, 1)
    else:
        async with working(boxed.fail, sandbox=True, timeout=10):
            await finished(queue, 1, 20)
    (figures,) = (await Statistics("q").atotals()).values()
    assert (figures.failed, figures.run.count) == (1, 1)
    (one,) = await Statistics("q").afailures()
    assert one.count == 1
    assert one.frame.rpartition(":")[2].endswith("fail")


@pytest.mark.parametrize("timestamp", ["", "x", "-" + "9" * 300, "9" * 300, "1e5", "9" * 5000])
async def test_a_job_may_say_anything_of_its_times(
    queue: Queue, redis_client: redis.Redis, timestamp: str
) -> None:
    job = await queue.aadd("quick")
    redis_client.hset(f"bull:q:{job.id}", mapping={"timestamp": timestamp})
    await queue.aadd("quick")
    async with working(work):
        await finished(queue, 2)
    (one,) = (await Statistics("q").atotals()).values()
    assert (one.completed, one.wait.count) == (2, 2)
    assert 0 <= one.wait.total <= 10**8 + 10


def test_the_pulse_of_many_queues_tells_of_the_present_and_of_new_errors(
    queue: Queue, redis_client: redis.Redis, do: Do
) -> None:
    now = round(time.time() * 1000)
    names = {"a": {"n": 9, "c": 9, "r70": 9, "w35": 8}}
    hour = 3_600_000
    errors = [
        ("new", 7, now - 60_000, now, b'{"name": "a", "kind": "Odd"}'),
        ("newer", 9, now - 50_000, now, b'{"name": "b", "kind": "Odder"}'),
        ("old", 700, now - 2 * hour, now, b"{}"),
        ("rare", 2, now - 60_000, now, b"{}"),
        ("over", 50, now - hour // 2, now - 900_000, b"{}"),
    ]
    call = counting.count_runs(queue.keys, "w", 1, now // 60_000, now, names, errors)
    queue._run(call)
    old = counting.count_runs(queue.keys, "w", 2, now // 60_000 - 31, now, {"z": {"n": 1, "c": 1}})
    queue._run(old)
    redis_client.set("qc:bull:odd:sightings", "no such type")
    pulses = do(Pulses().of, ["q", "odd", "none"])
    figures = pulses["q"].figures
    assert (figures.completed, figures.run.count, figures.wait.count) == (9, 9, 8)
    assert [(one.kind, one.name, one.count) for one in pulses["q"].fresh] == [
        ("Odder", "b", 9),
        ("Odd", "a", 7),
    ]
    assert pulses["odd"] == pulses["none"] == Pulse()
