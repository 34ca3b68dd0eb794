"""Schedulers: made, changed, read, removed, let go on; and what makes no sense is refused."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
import redis
from django.test import override_settings

from queuecore import Queue
from queuecore.errors import (
    ConfigurationError,
    InvalidOption,
    NotSerializable,
    PendingSchedulerRun,
    SchedulerBusy,
)
from queuecore.schedulers import JobScheduler
from queuecore.wire.clock import FixedClock
from queuecore.worker.advance import advance
from tests import invariants
from tests.server.conftest import Do
from tests.settings import QUEUECORE

NOON = 1_767_268_800_000  # 2026-01-01 12:00 UTC
HOUR = 3_600_000


@pytest.fixture
def clock(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> FixedClock:
    clock = FixedClock(NOON)
    monkeypatch.setattr(queue.connection, "clock", clock)
    return clock


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def waiting_run(client: redis.Redis, scheduler: str) -> str:
    return f"repeat:{scheduler}:{int(client.zscore('bull:q:repeat', scheduler))}"


# Making and reading


@pytest.mark.parity("Queue.upsertJobScheduler")
def test_every(do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis) -> None:
    job = do(queue.upsert_job_scheduler, "s", every=3600, name="sum", data={"n": 1})
    assert (job.id, job.name, job.data) == (f"repeat:s:{NOON}", "sum", {"n": 1})
    assert job.repeat_job_key == "s"
    assert do(queue.get_job, job.id).opts == job.opts
    assert do(queue.get_job_scheduler, "s") == JobScheduler(
        key="s",
        name="sum",
        next=at(NOON),
        every=3600,
        iteration_count=1,
        data={"n": 1},
        offset=None,
    )
    assert redis_client.sismember("qc:bull::queues", "q")


@pytest.mark.parity("Queue.upsertJobScheduler")
def test_a_pattern(do: Do, queue: Queue, clock: FixedClock) -> None:
    options = {"attempts": 3, "priority": 2, "remove_on_complete": 5}
    start, end = at(NOON + HOUR), at(NOON + 1000 * HOUR)
    job = do(
        queue.upsert_job_scheduler,
        "s",
        pattern="30 8 * * *",
        tz="Europe/Berlin",
        limit=7,
        start_date=start,
        end_date=end,
        opts=options,
    )
    due = datetime(2026, 1, 2, 7, 30, tzinfo=UTC)
    assert job.id == f"repeat:s:{int(due.timestamp() * 1000)}"
    assert (job.name, job.priority) == ("s", 2)
    assert timedelta(seconds=job.delay) == due - at(NOON)
    found = do(queue.get_job_scheduler, "s")
    assert (found.next, found.pattern, found.tz, found.limit) == (
        due,
        "30 8 * * *",
        "Europe/Berlin",
        7,
    )
    assert (found.start_date, found.end_date) == (start, end)
    assert found.opts == {"attempts": 3, "priority": 2, "removeOnComplete": 5}


def test_a_pattern_is_meant_in_the_projects_zone(queue: Queue, clock: FixedClock) -> None:
    with override_settings(TIME_ZONE="Asia/Kathmandu"):
        queue.upsert_job_scheduler("s", pattern="0 8 * * *")
    found = queue.get_job_scheduler("s")
    assert found is not None
    assert found.tz == "Asia/Kathmandu"
    assert found.next == datetime(2026, 1, 2, 2, 15, tzinfo=UTC)


def test_an_upsert_keeps_one_run_and_the_count(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    for n in range(3):
        do(queue.upsert_job_scheduler, "s", every=60 * (n + 1), data={"n": n})
        clock.advance(1)
    for n in range(3):
        do(queue.upsert_job_scheduler, "s", pattern=f"{n} * * * *")
    assert do(queue.get_job_counts)["delayed"] == 1
    assert do(queue.get_job_counts)["waiting"] == 0
    assert do(queue.get_job_scheduler, "s").iteration_count == 1
    invariants.check(redis_client, "q")


def test_the_list(do: Do, queue: Queue, clock: FixedClock) -> None:
    assert do(queue.get_job_schedulers) == []
    assert do(queue.get_job_scheduler, "s0") is None
    for n in range(5):
        do(queue.upsert_job_scheduler, f"s{n}", pattern=f"{n + 1} * * * *")
    assert do(queue.get_job_schedulers_count) == 5
    keys = [one.key for one in do(queue.get_job_schedulers)]
    assert keys == ["s4", "s3", "s2", "s1", "s0"]
    assert [one.key for one in do(queue.get_job_schedulers, asc=True)] == keys[::-1]
    assert [one.key for one in do(queue.get_job_schedulers, 1, 2)] == ["s3", "s2"]


def test_what_stands_oddly_is_read(queue: Queue, redis_client: redis.Redis) -> None:
    redis_client.zadd("bull:q:repeat", {"bare": 5, "odd": 7, "wrong": 8, "far": 1e300})
    redis_client.hset("bull:q:repeat:odd", mapping={"ic": "x", "every": "y", "data": "{", "tz": ""})
    redis_client.set("bull:q:repeat:wrong", "text")
    redis_client.hset("bull:q:repeat:far", mapping={"ic": 1, "endDate": "1e400"})
    found = {one.key: one for one in queue.get_job_schedulers()}
    assert found.keys() == {"odd", "far"}
    assert found["odd"] == JobScheduler(key="odd", name="", next=at(7))
    assert found["far"].next is None
    assert queue.get_job_scheduler("bare") is None


def test_removing(do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis) -> None:
    do(queue.upsert_job_scheduler, "s", pattern="0 * * * *")
    job_id = waiting_run(redis_client, "s")
    with pytest.raises(PendingSchedulerRun):
        do(queue.remove, job_id)
    assert do(queue.remove_job_scheduler, "s") is True
    assert do(queue.remove_job_scheduler, "s") is False
    assert do(queue.get_job, job_id) is None
    assert not redis_client.exists("bull:q:repeat", "bull:q:repeat:s")


@pytest.mark.parity("Queue.defaultJobOptions")
def test_default_job_options_reach_the_runs(queue: Queue) -> None:
    defaults = {"attempts": 4, "remove_on_complete": True, "delay": 7}
    with override_settings(QUEUECORE=QUEUECORE | {"DEFAULT_JOB_OPTIONS": defaults}):
        job = queue.upsert_job_scheduler("s", every=60, opts={"attempts": 2})
        found = queue.get_job_scheduler("s")
    assert found is not None
    assert found.opts == {"attempts": 2, "removeOnComplete": True}
    assert job.opts["attempts"] == 2
    assert job.delay == 0


# What makes no sense

TOMORROW = datetime.now(UTC) + timedelta(days=1)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "either a pattern or every"),
        ({"pattern": "* * * * *", "every": 60}, "not both"),
        ({"pattern": "nonsense"}, "has 1 fields"),
        ({"pattern": "0 22-2 * * *"}, "runs backwards"),
        ({"pattern": "0 0 30 2 *"}, "never comes"),
        ({"pattern": ["* * * * *"]}, "must be a cron pattern"),
        ({"pattern": "0 0 1 1 *", "end_date": TOMORROW}, "never comes before its end_date"),
        ({"every": 0}, "at least a millisecond"),
        ({"every": 0.0001}, "at least a millisecond"),
        ({"every": -5}, "at least 0 seconds"),
        ({"every": float("nan")}, "at least 0 seconds"),
        ({"every": "60"}, "seconds or a timedelta"),
        ({"every": True}, "seconds or a timedelta"),
        ({"pattern": "* * * * *", "tz": "Europe/Atlantis"}, "no time zone"),
        ({"pattern": "* * * * *", "tz": 7}, "name of a time zone"),
        ({"every": 60, "limit": 0}, "limit must be at least 1"),
        ({"every": 60, "limit": 1.5}, "whole number"),
        ({"every": 60, "offset": 60}, "less than that"),
        ({"pattern": "* * * * *", "offset": 5}, "offset belongs to every"),
        ({"every": 60, "start_date": datetime(2040, 1, 1)}, "aware datetime"),
        ({"every": 60, "end_date": "2040-01-01"}, "aware datetime"),
        ({"every": 60, "end_date": at(5)}, "must lie in the future"),
        (
            {"every": 60, "start_date": TOMORROW, "end_date": TOMORROW - timedelta(hours=1)},
            "after start_date",
        ),
        ({"pattern": "* * * * *", "immediately": True, "start_date": TOMORROW}, "exclude"),
        ({"every": 60, "name": ""}, "name of a job"),
        ({"every": 60, "opts": {"job_id": "mine"}}, "job_id is no option"),
        ({"every": 60, "opts": {"delay": 5}}, "delay is no option"),
        ({"every": 60, "opts": {"prio": 5}}, "no job option 'prio'"),
        ({"every": 60, "opts": ["attempts"]}, "must be a dict"),
        ({"every": 60, "opts": {"size_limit": 3}, "data": "long text"}, "size_limit"),
    ],
)
def test_nonsense_is_refused(
    do: Do, queue: Queue, redis_client: redis.Redis, arguments: dict[str, Any], text: str
) -> None:
    with pytest.raises(InvalidOption, match=text):
        do(queue.upsert_job_scheduler, "s", **arguments)
    assert redis_client.keys("bull:*") == []


@pytest.mark.parametrize("id", ["", "a:b", None, 7, "\ud800"])
def test_no_id(do: Do, queue: Queue, id: Any) -> None:
    with pytest.raises(InvalidOption):
        do(queue.upsert_job_scheduler, id, every=60)


def test_data_that_is_no_json(do: Do, queue: Queue) -> None:
    with pytest.raises(NotSerializable):
        do(queue.upsert_job_scheduler, "s", every=60, data={"n": float("nan")})


# Going on


def test_the_next_run(queue: Queue, clock: FixedClock, redis_client: redis.Redis) -> None:
    first = queue.upsert_job_scheduler("s", every=3600, data={"n": 1}, opts={"attempts": 2})
    clock.advance(5)
    following = queue._run(advance(queue, first))
    assert following == f"repeat:s:{NOON + HOUR}"
    job = queue.get_job(following)
    assert job is not None
    assert (job.data, job.opts["attempts"], job.opts["repeat"]["count"]) == ({"n": 1}, 2, 2)
    assert job.delay == 3595
    assert redis_client.hget("bull:q:repeat:s", "ic") == "2"
    # Once for all: neither a retry of it nor another worker adds a further one.
    before = redis_client.hgetall("bull:q:repeat:s"), redis_client.xlen("bull:q:events")
    for _ in range(3):
        assert queue._run(advance(queue, first)) is None
    assert before == (redis_client.hgetall("bull:q:repeat:s"), redis_client.xlen("bull:q:events"))


def test_missed_runs_are_not_made_up_for(queue: Queue, clock: FixedClock) -> None:
    first = queue.upsert_job_scheduler("s", every=60)
    clock.advance(60 * 10 + 7)
    assert queue._run(advance(queue, first)) == f"repeat:s:{NOON + 11 * 60_000}"


def test_limit_and_end(queue: Queue, clock: FixedClock) -> None:
    job = queue.upsert_job_scheduler("s", every=60, limit=3)
    made = [job.id]
    while (following := queue._run(advance(queue, job))) is not None:
        found = queue.get_job(following)
        assert found is not None
        job = found
        made.append(following)
        clock.advance(60)
    assert len(made) == 3
    scheduler = queue.get_job_scheduler("s")
    assert scheduler is not None  # as BullMQ: it stays, and makes no runs
    assert scheduler.iteration_count == 3

    job = queue.upsert_job_scheduler("e", pattern="* * * * *", end_date=at(clock.now_ms() + 90_000))
    clock.advance(60)
    assert queue._run(advance(queue, job)) is None


def test_a_moment_that_is_taken(queue: Queue, clock: FixedClock, redis_client: redis.Redis) -> None:
    """A run that was promoted and has finished before its time keeps its moment."""
    for pattern in ("0 * * * *", None):
        redis_client.flushall()
        options: dict[str, Any] = {"pattern": pattern} if pattern else {"every": 3600}
        redis_client.hset(f"bull:q:repeat:s:{NOON + HOUR}", "timestamp", 1)
        job = queue.upsert_job_scheduler("s", **options, start_date=at(NOON + 1))
        due = NOON + 2 * HOUR if pattern else NOON + 1
        assert job.id == f"repeat:s:{due}"
        redis_client.hset(f"bull:q:repeat:s:{due + HOUR}", "timestamp", 1)
        assert queue._run(advance(queue, job)) == f"repeat:s:{due + 2 * HOUR}"


def test_no_moment_is_free(queue: Queue, clock: FixedClock, redis_client: redis.Redis) -> None:
    for n in range(40):
        redis_client.hset(f"bull:q:repeat:s:{NOON + n * HOUR}", "timestamp", 1)
    for options in ({"every": 3600}, {"pattern": "0 * * * *"}):
        with pytest.raises(SchedulerBusy, match="jobs already of all its next 32 runs"):
            queue.upsert_job_scheduler("s", **options)  # type: ignore[arg-type]
    assert not redis_client.exists("bull:q:repeat", "bull:q:repeat:s")


def test_a_full_server_changes_nothing(
    queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    job = queue.upsert_job_scheduler("s", every=60)
    before = {key: redis_client.dump(key) for key in redis_client.keys("bull:*")}
    redis_client.config_set("maxmemory", "1")
    try:
        with pytest.raises(Exception, match="OOM"):
            queue._run(advance(queue, job))
        with pytest.raises(Exception, match="OOM"):
            queue.upsert_job_scheduler("s", every=90)
    finally:
        redis_client.config_set("maxmemory", "0")
    assert {key: redis_client.dump(key) for key in redis_client.keys("bull:*")} == before


# Summer and winter time, for a year


@pytest.mark.parametrize(
    "tz",
    [
        "Europe/Berlin",
        pytest.param("America/New_York", marks=pytest.mark.slow),
        pytest.param("America/Santiago", marks=pytest.mark.slow),
    ],
)
def test_a_year_with_its_two_nights(
    queue: Queue, clock: FixedClock, redis_client: redis.Redis, tz: str
) -> None:
    """Every pattern goes on by its own runs for a year: none twice, none missed."""
    from zoneinfo import ZoneInfo

    zone = ZoneInfo(tz)
    patterns = {
        "half-past-two": ("30 2 * * *", {(2, 30)}),
        "midnight": ("0 0 * * *", {(0, 0)}),
        "quarter-past-one": ("15 1 * * *", {(1, 15)}),
        "nightly": ("*/30 23,0-3 * * *", {(h, m) for h in (23, 0, 1, 2, 3) for m in (0, 30)}),
    }
    for id, (pattern, times) in patterns.items():
        queue.upsert_job_scheduler(id, pattern=pattern, tz=tz)
        runs: list[datetime] = []
        last = clock.now_ms() + 365 * 24 * HOUR
        while (job_id := waiting_run(redis_client, id)) and int(job_id.split(":")[2]) < last:
            job = queue.get_job(job_id)
            assert job is not None
            runs.append(at(int(job_id.split(":")[2])).astimezone(zone))
            clock._ms = int(job_id.split(":")[2]) + 3
            assert queue._run(advance(queue, job))
            redis_client.zrem("bull:q:delayed", job_id)
        assert len(set(runs)) == len(runs)
        by_day: dict[Any, set[tuple[int, int]]] = {}
        for run in runs:
            seen = by_day.setdefault(run.date(), set())
            assert (run.hour, run.minute) not in seen, f"{id}: {run} twice"
            seen.add((run.hour, run.minute))
        days = sorted(by_day)[1:-1]
        assert len(days) >= 362
        changes = 0
        for day in days:
            start = datetime(day.year, day.month, day.day, tzinfo=zone)
            offsets = {(start + timedelta(hours=h)).utcoffset() for h in (-1, 6)}
            if by_day[day] != times:
                # Only where clocks skip an hour may runs come later, and then no fewer of them
                # than there are different real moments.
                assert len(offsets) == 2, (id, day, by_day[day])
                expected = {
                    start.replace(hour=h, minute=m).astimezone(UTC).astimezone(zone)
                    for h, m in times
                }
                assert by_day[day] == {
                    (one.hour, one.minute) for one in expected if one.date() == day
                }
            changes += len(offsets) == 2
        assert changes == 2
        clock._ms = NOON


def test_every_hour_is_every_real_hour(
    queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    clock._ms = 1_792_882_800_000  # 2026-10-24 23:00 in Berlin, before the hour that comes twice
    queue.upsert_job_scheduler("s", pattern="0 * * * *", tz="Europe/Berlin")
    moments = []
    for _ in range(8):
        job_id = waiting_run(redis_client, "s")
        moments.append(int(job_id.split(":")[2]))
        clock._ms = moments[-1]
        job = queue.get_job(job_id)
        assert job is not None
        queue._run(advance(queue, job))
    assert {b - a for a, b in pairwise(moments)} == {HOUR}


# A strategy of the project's own


def weekly(after: datetime, repeat: Any, name: str) -> Any:
    if repeat["pattern"] == "weekly":
        return after + timedelta(days=7)
    if repeat["pattern"] == "wrong":
        return after
    return None


STRATEGY = QUEUECORE | {"REPEAT_STRATEGY": f"{__name__}.weekly"}


@pytest.mark.parity("Queue.repeatStrategy")
def test_an_own_strategy(queue: Queue, clock: FixedClock) -> None:
    with override_settings(QUEUECORE=STRATEGY):
        job = queue.upsert_job_scheduler("s", pattern="weekly")
        assert job.id == f"repeat:s:{NOON + 7 * 24 * HOUR}"
        assert queue._run(advance(queue, job)) == f"repeat:s:{NOON + 14 * 24 * HOUR}"
        with pytest.raises(InvalidOption, match="never comes"):
            queue.upsert_job_scheduler("s", pattern="other")
        with pytest.raises(InvalidOption, match="does not lie after"):
            queue.upsert_job_scheduler("s", pattern="wrong")


def test_a_strategy_that_is_not_there(queue: Queue) -> None:
    missing = QUEUECORE | {"REPEAT_STRATEGY": "nowhere.at_all"}
    with (
        override_settings(QUEUECORE=missing),
        pytest.raises(ConfigurationError, match="REPEAT_STRATEGY"),
    ):
        queue.upsert_job_scheduler("s", pattern="weekly")


# Repeatable jobs of BullMQ 5


def raw_ids(key: str, name: str) -> str:
    inner = hashlib.md5(key.encode()).hexdigest()
    return hashlib.md5(f"{name}{inner}".encode()).hexdigest()


@pytest.mark.parity(
    "Queue.getRepeatableJobs", "Queue.removeRepeatable", "Queue.removeRepeatableByKey"
)
def test_old_keys_are_shown_migrated_and_removed(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    """Before 5.10 the key itself said everything, and runs had a hash of it in their ids."""
    key = "mail:::Europe/Berlin:0 8 * * *"
    due = NOON + 24 * HOUR
    run = f"repeat:{raw_ids(key, 'mail')}:{due}"
    repeat = {"pattern": "0 8 * * *", "tz": "Europe/Berlin", "limit": 9, "count": 4}
    opts = {"repeat": repeat, "attempts": 3, "jobId": run, "delay": 5, "prevMillis": due}
    fields = {"name": "mail", "data": '{"n":1}', "opts": json.dumps(opts), "timestamp": NOON}
    fields["rjk"] = key
    for name in (key, f"mail::{NOON - 5}::0 8 * * *"):  # the second one's end is reached
        redis_client.zadd("bull:q:repeat", {name: due})
    redis_client.hset(f"bull:q:{run}", mapping=fields)
    redis_client.zadd("bull:q:delayed", {run: due * 4096})

    shown = {one.key: one for one in do(queue.get_job_schedulers)}
    assert shown[key] == JobScheduler(
        key=key, name="mail", next=at(due), pattern="0 8 * * *", tz="Europe/Berlin", legacy=True
    )
    (made,) = do(queue.migrate_repeatable_jobs)
    assert made == hashlib.md5(key.encode()).hexdigest()
    found = do(queue.get_job_scheduler, made)
    assert (found.data, found.opts, found.legacy) == ({"n": 1}, {"attempts": 3}, False)
    assert (found.pattern, found.tz, found.limit) == ("0 8 * * *", "Europe/Berlin", 9)
    assert redis_client.zrange("bull:q:delayed", 0, -1) == [waiting_run(redis_client, made)]
    job = do(queue.get_job, waiting_run(redis_client, made))
    assert job.opts["repeat"]["count"] == 4
    assert do(queue.migrate_repeatable_jobs) == []
    assert do(queue.remove_job_scheduler, f"mail::{NOON - 5}::0 8 * * *") is True
    assert do(queue.get_job_schedulers_count) == 1
