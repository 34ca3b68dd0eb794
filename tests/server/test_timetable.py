"""Timetable: schedulers of many queues, and what became of their runs."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import redis

from queuecore import Queue
from queuecore.runs import Timing
from queuecore.timetable import MOST_TIMES, Place, Timetable
from queuecore.wire.clock import FixedClock
from queuecore.worker.advance import advance
from tests.server.conftest import Do
from tests.server.hands import Hands

NOON = 1_767_268_800_000  # 2026-01-01 12:00 UTC
MINUTE = 60_000
HOUR = 60 * MINUTE

Work = Callable[..., None]


@pytest.fixture
def clock(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> FixedClock:
    clock = FixedClock(NOON)
    monkeypatch.setattr(queue.connection, "clock", clock)
    return clock


@pytest.fixture
def work(queue: Queue, clock: FixedClock) -> Work:
    """Works off one run that lasts so many seconds, *late* seconds after the clock's time."""
    hands = Hands(queue)

    def one(lasts: float = 1, late: float = 0, fails: bool = False, ends: bool = True) -> None:
        clock.advance(late)
        (job,) = hands.claim()
        if job.repeat_job_key:
            queue.connection.run(advance(queue, job))
        if not ends:
            return
        clock.advance(lasts)
        if fails:
            hands.fail(job, "ValueError: no")
        else:
            hands.complete(job, None)
        clock.advance(-lasts - late)

    return one


def timing(do: Do, since: int = 0, id: str = "s") -> Timing:
    (found,) = do(Timetable().timings, [("q", id)], since)
    assert found is not None
    return found


def test_places(do: Do, queue: Queue, clock: FixedClock) -> None:
    other = Queue("other")
    queue.upsert_job_scheduler("late", pattern="0 18 * * *")
    queue.upsert_job_scheduler("soon", every=60, offset=30)
    other.upsert_job_scheduler("between", pattern="0 13 * * *")
    other.upsert_job_scheduler("paused", pattern="0 13 * * *")
    other.pause_job_scheduler("paused")
    assert do(Timetable().places, ["q", "other", "nothing"]) == [
        Place("q", "soon", NOON + MINUTE // 2),
        Place("other", "between", NOON + HOUR),
        Place("q", "late", NOON + 6 * HOUR),
        Place("other", "paused", 0, NOON),
    ]
    # A peer that makes it anew ends the pause, even if it does not know.
    other.connection.run(_as_node(other, "paused"))
    (again,) = [one for one in do(Timetable().places, ["other"]) if one.id == "paused"]
    assert again.paused is None


def _as_node(queue: Queue, id: str):
    from queuecore.wire.calls.base import Command

    yield Command(("ZADD", queue.keys.repeat, NOON, id))


def test_runs_that_are_kept(do: Do, queue: Queue, clock: FixedClock, work: Work) -> None:
    queue.upsert_job_scheduler("s", pattern="*/30 * * * *", name="sum")
    for late, lasts, fails in ((0.2, 5, False), (0.4, 60, True), (0.3, 7, False)):
        clock.advance(1800)
        work(lasts, late, fails)
    found = timing(do)
    assert [(run.state, run.number) for run in found.runs] == [
        ("delayed", 4),
        ("completed", 3),
        ("failed", 2),
        ("completed", 1),
    ]
    assert found.pending is found.runs[0]
    last = found.last
    assert last is not None
    assert last is found.runs[1]
    assert (last.due, last.drift, last.lasted(found.now)) == (NOON + 90 * MINUTE, 300, 7000)
    assert (last.name, last.worker) == ("sum", "")
    assert found.runs[2].error == "ValueError: no"
    assert found.drift == 300
    assert found.missed() == []
    assert not found.late
    assert not found.over
    assert found.overlaps() == []


def test_every(do: Do, queue: Queue, clock: FixedClock, work: Work) -> None:
    queue.upsert_job_scheduler("s", every=600)
    for _ in range(4):
        work()
        clock.advance(600)
    found = timing(do)
    assert [run.number for run in found.runs] == [5, 4, 3, 2, 1]
    assert found.runs[-1].due == NOON
    assert found.missed() == []


def test_what_was_missed(do: Do, queue: Queue, clock: FixedClock, work: Work) -> None:
    queue.upsert_job_scheduler("s", pattern="0 * * * *")
    clock.advance(3600)
    work()
    # Nobody works from 14:00 to 17:20.
    clock.advance(4 * 3600 + 1200)
    found = timing(do)
    assert found.late
    hours = [NOON + hour * HOUR for hour in (2, 3, 4, 5)]
    assert found.missed() == hours
    work()
    found = timing(do)
    assert not found.late
    # The one of 14:00 came late; those after it never came.
    assert found.missed() == hours[1:]
    assert found.missed(since=NOON + 4 * HOUR) == hours[2:]
    # Where a run lacks, nothing is known.
    queue.get_job(f"repeat:s:{hours[0]}").remove()
    assert timing(do).missed() == []


def test_every_that_was_missed(do: Do, queue: Queue, clock: FixedClock, work: Work) -> None:
    queue.upsert_job_scheduler("s", every=600)
    work()
    clock.advance(600)
    clock.advance(1900)
    work()  # the one of 12:10, at 12:41:40
    found = timing(do)
    assert found.missed() == [NOON + n * 10 * MINUTE for n in (2, 3, 4)]


def test_a_pause_misses_nothing(do: Do, queue: Queue, clock: FixedClock, work: Work) -> None:
    queue.upsert_job_scheduler("s", pattern="0 * * * *")
    clock.advance(3600)
    work()
    clock.advance(1)
    queue.pause_job_scheduler("s")
    clock.advance(5 * 3600)
    paused = timing(do)
    assert paused.scheduler.paused_at is not None
    assert paused.due is None
    assert not paused.late
    assert paused.missed() == []
    assert [run.number for run in paused.runs] == [1]
    queue.resume_job_scheduler("s")
    clock.advance(3600)
    work()
    assert timing(do).missed() == []


def test_a_new_schedule_is_no_proof_of_the_past(
    do: Do, queue: Queue, clock: FixedClock, work: Work
) -> None:
    queue.upsert_job_scheduler("s", pattern="0 * * * *")
    clock.advance(3600)
    work()
    queue.upsert_job_scheduler("s", pattern="*/5 * * * *")
    clock.advance(300)
    work()
    assert timing(do).missed() == []
    # The run of the earlier schedule is found where one scheduler is looked at.
    queue.upsert_job_scheduler("s", pattern="7 * * * *")
    assert NOON + HOUR not in {run.due for run in timing(do).runs}
    whole = do(Timetable().timing, "q", "s")
    assert {NOON + HOUR, NOON + HOUR + 5 * MINUTE} <= {run.due for run in whole.runs}


def test_overlaps(do: Do, queue: Queue, clock: FixedClock, work: Work) -> None:
    queue.upsert_job_scheduler("s", every=600)
    work(lasts=900)
    clock.advance(600)
    work(lasts=10)
    found = timing(do)
    ((long, short),) = found.overlaps()
    assert (long.due, short.due) == (NOON, NOON + 10 * MINUTE)
    assert found.overlaps(since=NOON + HOUR) == []
    # One that runs still overlaps with the next one.
    clock.advance(600)
    work(ends=False)
    assert len(timing(do).overlaps()) == 1
    clock.advance(600)
    work(ends=False)
    assert len(timing(do).overlaps()) == 2


def test_runs_by_hand(do: Do, queue: Queue, clock: FixedClock, work: Work) -> None:
    queue.upsert_job_scheduler("s", pattern="0 * * * *")
    queue.upsert_job_scheduler("other", pattern="0 * * * *")
    job = queue.run_job_scheduler("s")
    found = timing(do)
    assert [(run.id, run.by_hand, run.state) for run in found.runs if run.by_hand] == [
        (job.id, True, "waiting")
    ]
    work()
    last = timing(do).last
    assert last is not None
    assert last.by_hand
    assert last.drift is None
    assert not any(run.by_hand for run in timing(do, id="other").runs)


def test_it_is_bounded(do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis) -> None:
    queue.upsert_job_scheduler("s", every=1)
    before = redis_client.info("commandstats")["cmdstat_hmget"]["calls"]
    timing(do)
    after = redis_client.info("commandstats")["cmdstat_hmget"]["calls"]
    assert after - before <= MOST_TIMES + 5


def test_over(do: Do, queue: Queue, clock: FixedClock, work: Work) -> None:
    queue.upsert_job_scheduler("s", every=600, limit=1)
    assert not timing(do).over
    work()
    clock.advance(3600)
    for _ in range(2):
        found = timing(do)
        assert found.over
        assert (found.late, found.stuck, found.missed()) == (False, False, [])
        queue.clean(0, 100, "completed")  # also where the last run is not kept
    queue.upsert_job_scheduler("s", every=600, end_date=at(clock.now_ms() + 15 * MINUTE))
    for _ in range(2):
        clock.advance(600)
        work()
    clock.advance(3600)
    assert timing(do).over


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def test_one_that_stands_still(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    queue.upsert_job_scheduler("s", every=600)
    hands = Hands(queue)
    (run,) = hands.claim()  # by a worker that cannot add the next one
    clock.advance(70)
    assert timing(do).stuck
    hands.complete(run, None)
    assert timing(do).stuck
    redis_client.delete(f"bull:q:{run.id}")
    found = timing(do)
    assert found.stuck
    assert (found.late, found.missed()) == (False, [])
    queue.upsert_job_scheduler("s", every=600)
    assert not timing(do).stuck


def test_what_means_nothing_here(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    redis_client.zadd("bull:q:repeat", {"s": NOON, "bare": NOON, "w": NOON})
    redis_client.hset("bull:q:repeat:s", mapping={"pattern": "61 * * * *", "ic": 1, "name": "x"})
    redis_client.set("bull:q:repeat:w", "no hash")
    assert not timing(do).readable
    assert timing(do, id="bare").scheduler.pattern is None
    assert timing(do, id="w").runs == []
    assert do(Timetable().timings, [("q", "gone"), ("none", "s")]) == [None, None]


def test_the_template(do: Do, queue: Queue, clock: FixedClock) -> None:
    queue.upsert_job_scheduler("s", every=60, data={"n": 1}, opts={"attempts": 3})
    for _ in range(2):
        found = do(Timetable().template, "q", "s")
        assert (found.data, found.data_size, found.opts) == ('{"n":1}', 7, '{"attempts":3}')
        queue.pause_job_scheduler("s")
    assert do(Timetable().template, "q", "none") is None
    queue.upsert_job_scheduler("large", every=60, data="x" * 1_100_000)
    large = do(Timetable().template, "q", "large")
    assert (large.data, large.data_size) == ("", 1_100_002)


def test_times_are_datetimes_at_the_edge(do: Do, queue: Queue, clock: FixedClock) -> None:
    queue.upsert_job_scheduler("s", pattern="0 * * * *")
    assert timing(do).scheduler.next == datetime(2026, 1, 1, 13, tzinfo=UTC)
