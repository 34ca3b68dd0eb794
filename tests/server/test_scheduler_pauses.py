"""Schedulers paused and resumed, changed, and run by hand: our own, beside what peers know."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import redis

from queuecore import Queue
from queuecore.errors import InvalidOption, SchedulerNotFound
from queuecore.wire.clock import FixedClock
from queuecore.worker.advance import advance
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands

NOON = 1_767_268_800_000  # 2026-01-01 12:00 UTC
HOUR = 3_600_000


@pytest.fixture
def clock(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> FixedClock:
    clock = FixedClock(NOON)
    monkeypatch.setattr(queue.connection, "clock", clock)
    return clock


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


def nothing_left(client: redis.Redis) -> bool:
    """Whether only the memory of pauses and runs by hand is left of what is ours."""
    return {key for key in client.keys("qc:bull:q:*") if ":add:" not in key} <= {
        "qc:bull:q:scheduler-pauses",
        "qc:bull:q:hand-runs",
    }


def test_a_pause_hides_it_from_peers_and_keeps_it(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    do(queue.upsert_job_scheduler, "s", every=3600, name="sum", data={"n": 1}, limit=9)
    clock.advance(1)
    do(queue.upsert_job_scheduler, "s", pattern="30 * * * *", name="sum", data={"n": 1}, limit=9)
    before = do(queue.get_job_scheduler, "s")
    assert do(queue.pause_job_scheduler, "s") is True
    assert do(queue.pause_job_scheduler, "s") is True  # as a repeated call does
    assert do(queue.get_job_scheduler, "s") is None
    assert do(queue.get_job_schedulers) == []
    assert not any(redis_client.exists(f"bull:q:repeat{more}") for more in ("", ":s"))
    assert do(queue.get_job_counts)["delayed"] == 0
    (paused,) = do(queue.get_paused_job_schedulers)
    assert paused.paused_at == at(clock.now_ms())
    assert (paused.key, paused.next, paused.pattern, paused.limit, paused.data) == (
        "s",
        before.next,
        "30 * * * *",
        9,
        {"n": 1},
    )
    invariants.check(redis_client, "q")


def test_resuming_goes_on_with_the_first_moment_after_now(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    options = {"attempts": 4, "priority": 3}
    do(queue.upsert_job_scheduler, "s", pattern="30 * * * *", data=[1], opts=options)
    redis_client.hset("bull:q:repeat:s", "ic", 7)
    do(queue.pause_job_scheduler, "s")
    clock.advance(5 * 3600)
    job = do(queue.resume_job_scheduler, "s")
    assert job.id == f"repeat:s:{NOON + 5 * HOUR + HOUR // 2}"
    assert (job.data, job.opts["attempts"], job.priority) == ([1], 4, 3)
    found = do(queue.get_job_scheduler, "s")
    assert (found.iteration_count, found.data, found.next) == (7, [1], at(NOON + 11 * HOUR // 2))
    assert do(queue.get_paused_job_schedulers) == []
    assert redis_client.hget("qc:bull:q:scheduler-pauses", "s") == f"{NOON}:{NOON + 5 * HOUR}"
    assert nothing_left(redis_client)
    invariants.check(redis_client, "q")


@pytest.mark.parametrize("offset", [None, 600])
def test_every_keeps_its_beat(do: Do, queue: Queue, clock: FixedClock, offset: int | None) -> None:
    clock.advance(7)
    first = do(queue.upsert_job_scheduler, "s", every=3600, offset=offset)
    due = int(first.id.rpartition(":")[2])
    do(queue.pause_job_scheduler, "s")
    clock.advance(2 * 3600)
    job = do(queue.resume_job_scheduler, "s")
    again = int(job.id.rpartition(":")[2])
    assert again > clock.now_ms()
    assert again - due in (2 * HOUR, 3 * HOUR)
    assert do(queue.get_job_scheduler, "s").every == 3600


def test_a_limit_goes_on_counting(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    job = do(queue.upsert_job_scheduler, "s", every=3600, limit=3)
    hands = Hands(queue)
    for _ in range(2):
        (run,) = hands.claim()
        queue.connection.run(advance(queue, run))
        hands.complete(run, None)
        clock.advance(3600)
    do(queue.pause_job_scheduler, "s")
    job = do(queue.resume_job_scheduler, "s")
    assert job.opts["repeat"]["count"] == 3
    clock.advance(3600)
    (run,) = hands.claim()
    assert queue.connection.run(advance(queue, run)) is None  # the limit is reached


def test_what_cannot_go_on(do: Do, queue: Queue, clock: FixedClock) -> None:
    with pytest.raises(SchedulerNotFound):
        do(queue.resume_job_scheduler, "s")
    assert do(queue.pause_job_scheduler, "s") is False
    do(queue.upsert_job_scheduler, "s", every=60, end_date=at(NOON + HOUR))
    do(queue.pause_job_scheduler, "s")
    clock.advance(2 * 3600)
    with pytest.raises(InvalidOption, match="end_date"):
        do(queue.resume_job_scheduler, "s")
    assert len(do(queue.get_paused_job_schedulers)) == 1


def test_a_run_that_is_ready_is_the_last_one(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    do(queue.upsert_job_scheduler, "s", every=3600)
    do(queue.pause_job_scheduler, "s")
    (run,) = Hands(queue).claim()
    assert queue.connection.run(advance(queue, run)) is None
    assert do(queue.get_job_schedulers_count) == 0


def test_an_upsert_ends_a_pause(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    do(queue.upsert_job_scheduler, "s", pattern="0 * * * *")
    redis_client.hset("bull:q:repeat:s", "ic", 5)
    do(queue.pause_job_scheduler, "s")
    do(queue.upsert_job_scheduler, "s", pattern="10 * * * *")
    assert do(queue.get_paused_job_schedulers) == []
    assert do(queue.get_job_scheduler, "s").iteration_count == 5
    assert nothing_left(redis_client)


@pytest.mark.parametrize("end", ["remove", "obliterate"])
def test_removing_one_that_is_paused(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis, end: str
) -> None:
    do(queue.upsert_job_scheduler, "s", pattern="0 * * * *")
    do(queue.run_job_scheduler, "s")
    do(queue.pause_job_scheduler, "s")
    if end == "remove":
        assert do(queue.remove_job_scheduler, "s") is True
        assert do(queue.remove_job_scheduler, "s") is False
    else:
        do(queue.obliterate, force=True)
    assert do(queue.get_paused_job_schedulers) == []
    assert nothing_left(redis_client)


def test_run_now_leaves_the_schedule_alone(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    dedup = {"deduplication": {"id": "once"}}
    do(
        queue.upsert_job_scheduler,
        "s",
        pattern="0 * * * *",
        name="sum",
        data={"n": 1},
        opts={"attempts": 3, "priority": 2},
    )
    opts = json.loads(redis_client.hget("bull:q:repeat:s", "opts"))
    redis_client.hset("bull:q:repeat:s", "opts", json.dumps(opts | dedup))  # as Node may
    before = do(queue.get_job_scheduler, "s")
    jobs = [do(queue.run_job_scheduler, "s") for _ in range(2)]
    assert len({job.id for job in jobs}) == 2
    for job in jobs:
        assert (job.name, job.data, job.priority, job.opts["attempts"]) == ("sum", {"n": 1}, 2, 3)
        assert job.repeat_job_key is None
        assert do(job.get_state) == "prioritized"
    assert do(queue.get_job_scheduler, "s") == before
    do(queue.pause_job_scheduler, "s")
    assert do(queue.run_job_scheduler, "s").data == {"n": 1}
    with pytest.raises(SchedulerNotFound):
        do(queue.run_job_scheduler, "nobody")
    invariants.check(redis_client, "q")


def test_changing_when_it_runs_keeps_what_it_runs(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    do(queue.upsert_job_scheduler, "s", every=60, name="sum", data={"n": 1}, opts={"attempts": 3})
    before = redis_client.hmget("bull:q:repeat:s", "name", "data", "opts")
    job = do(queue.change_job_scheduler, "s", pattern="5 * * * *", tz="Asia/Tokyo", limit=4)
    assert (job.name, job.data) == ("sum", {"n": 1})
    assert timedelta(seconds=job.delay) == timedelta(minutes=5)
    found = do(queue.get_job_scheduler, "s")
    assert (found.pattern, found.every, found.tz, found.limit) == (
        "5 * * * *",
        None,
        "Asia/Tokyo",
        4,
    )
    assert redis_client.hmget("bull:q:repeat:s", "name", "data", "opts") == before
    with pytest.raises(InvalidOption):
        do(queue.change_job_scheduler, "s", pattern="61 * * * *")
    with pytest.raises(SchedulerNotFound):
        do(queue.change_job_scheduler, "nobody", every=60)


def test_repeatable_jobs_of_bullmq_5(
    do: Do, queue: Queue, clock: FixedClock, redis_client: redis.Redis
) -> None:
    key = "sum::::60000"
    redis_client.zadd("bull:q:repeat", {key: NOON + HOUR})
    for refused in (queue.pause_job_scheduler, queue.change_job_scheduler):
        more = {} if refused == queue.pause_job_scheduler else {"every": 60}
        with pytest.raises(InvalidOption, match="migrate_repeatable_jobs"):
            do(refused, key, **more)
    assert redis_client.zscore("bull:q:repeat", key) == NOON + HOUR
    assert do(queue.run_job_scheduler, key).name == "sum"
