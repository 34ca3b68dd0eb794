"""A worker lets schedulers go on: before the run, once, whatever happens to its calls."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
import redis
from django.test import override_settings

from queuecore import DelayedError, Job, Queue, UnrecoverableError
from queuecore.wire.calls.working import move_stalled_jobs_to_wait
from queuecore.worker.advance import advance
from tests import invariants
from tests.server.hands import Hands
from tests.server.refusing import Refusing
from tests.server.working import finished, told, until, working
from tests.servers import Server
from tests.settings import QUEUECORE

R = "bull:q:repeat"


def due(client: redis.Redis, scheduler: str = "s") -> int:
    return int(client.zscore(R, scheduler))


async def noop(job: Job) -> None:
    pass


async def test_the_next_run_is_there_before_this_one_begins(
    queue: Queue, redis_client: redis.Redis
) -> None:
    seen: list[int] = []

    async def work(job: Job) -> None:
        seen.append(due(redis_client) - int(job.id.rpartition(":")[2]))

    await queue.aupsert_job_scheduler("s", every=3600)
    async with working(work):
        await finished(queue, 1)
    assert seen == [3_600_000]
    invariants.check(redis_client, "q")


async def test_other_jobs_are_not_asked_for(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def noted(queue: Any, job: Job) -> Any:
        asked.append(job.id)
        return advance(queue, job)

    monkeypatch.setattr("queuecore.worker.runs.advance", noted)
    for n in range(20):
        await queue.aadd("x", {"n": n})
    run = await queue.aupsert_job_scheduler("s", every=3600)
    async with working(noop):
        await finished(queue, 21)
    assert asked == [run.id]


@pytest.mark.parametrize(
    "error",
    [ValueError("broken"), UnrecoverableError("broken"), DelayedError("moved")],
    ids=["tried again", "failed", "moved"],
)
async def test_whatever_becomes_of_the_run(
    queue: Queue, redis_client: redis.Redis, error: Exception
) -> None:
    """Every start of the same run lets the scheduler go on once."""
    starts: list[str] = []

    async def work(job: Job) -> None:
        starts.append(job.id)
        if isinstance(error, DelayedError) and len(starts) < 3:
            await job.amove_to_delayed(0.01)
            raise error
        if not isinstance(error, DelayedError):
            raise error

    first = await queue.aupsert_job_scheduler("s", every=3600, opts={"attempts": 3})
    async with working(work):
        await finished(queue, 1)
    assert set(starts) == {first.id}
    assert len(starts) == (1 if isinstance(error, UnrecoverableError) else 3)
    assert redis_client.hget(f"{R}:s", "ic") == "2"
    assert (await queue.aget_job_counts())["delayed"] == 1


async def test_a_name_that_nobody_knows(queue: Queue, redis_client: redis.Redis) -> None:
    from queuecore.callables import entries_for
    from queuecore.processors import QueueProcessors

    known = QueueProcessors("default", "q", named={"known": entries_for(noop)[None]})
    await queue.aupsert_job_scheduler("s", every=3600, name="unknown")
    async with working(known, unknown_job_limit=0):
        await finished(queue, 1)
    assert redis_client.hget(f"{R}:s", "ic") == "2"


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        ({"pattern": "0 22-2 * * *"}, "runs backwards"),
        ({"pattern": "* * * * *", "tz": "Europe/Atlantis"}, "no time zone"),
    ],
)
async def test_what_only_a_peer_understands(
    queue: Queue,
    redis_client: redis.Redis,
    caplog: pytest.LogCaptureFixture,
    spoil: dict[str, str],
    text: str,
) -> None:
    """The run is done, the log tells why none follows, and an upsert sets it going again."""
    from queuecore.wire.codec import dumps

    job = await queue.aupsert_job_scheduler("s", pattern="* * * * *", immediately=True)
    opts = dumps({**job.opts, "repeat": {**spoil, "count": 1}})
    redis_client.hset(f"bull:q:{job.id}", "opts", opts)
    async with working(noop):
        await finished(queue, 1)
    (said,) = told(caplog)
    assert "is not followed by another" in said
    assert text in said
    assert (await queue.aget_job_counts())["delayed"] == 0
    await queue.aupsert_job_scheduler("s", pattern="0 0 1 1 *")
    assert (await queue.aget_job_counts())["delayed"] == 1


async def test_a_peers_pattern_that_leaves_the_minute_open(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """We refuse to write ``H``, and go on where a peer has written it."""
    from queuecore.wire.codec import dumps

    job = await queue.aupsert_job_scheduler("s", pattern="* * * * *", immediately=True)
    opts = dumps({**job.opts, "repeat": {"pattern": "H * * * *", "count": 1}})
    redis_client.hset(f"bull:q:{job.id}", "opts", opts)
    async with working(noop):
        await finished(queue, 1)
    assert told(caplog) == []
    (following,) = await queue.aget_jobs(["delayed"])
    assert following.opts["repeat"] == {"pattern": "H * * * *", "count": 2}


async def test_options_that_nobody_can_read(queue: Queue, redis_client: redis.Redis) -> None:
    """The record says when it runs."""
    for options in ({"every": 3600.0}, {"pattern": "0 0 1 1 *", "immediately": True}):
        redis_client.flushall()
        job = await queue.aupsert_job_scheduler("s", limit=9, **options)  # type: ignore[arg-type]
        redis_client.hset(f"bull:q:{job.id}", "opts", "{")
        async with working(noop):
            await finished(queue, 1)
        (delayed,) = redis_client.zrange("bull:q:delayed", 0, -1)
        following = await queue.aget_job(delayed)
        assert following is not None
        assert following.opts["repeat"]["count"] == 2
        assert following.opts["repeat"]["limit"] == 9


def explode(after: datetime, repeat: Any, name: str) -> datetime:
    raise ZeroDivisionError("in the project's calendar")


async def test_a_strategy_that_raises(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    await queue.aupsert_job_scheduler("s", pattern="0 0 1 1 *", immediately=True)
    with override_settings(QUEUECORE=QUEUECORE | {"REPEAT_STRATEGY": f"{__name__}.explode"}):
        async with working(noop):
            await finished(queue, 1)
    assert "in the project's calendar" in told(caplog)[0]


async def test_a_record_of_a_wrong_type(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The run is done all the same, after some tries."""
    await queue.aupsert_job_scheduler("s", every=3600)
    redis_client.delete(R)
    redis_client.set(R, "text")
    async with working(noop):
        await finished(queue, 1, timeout=15)
    assert any("is not followed by another" in said for said in told(caplog))


# Refusals


@pytest.fixture
def front(settings: Any) -> Callable[[Refusing], None]:
    """Makes a refusing server the connection ``front`` of this test."""

    def name(refusing: Refusing) -> None:
        connections = settings.QUEUECORE["CONNECTIONS"] | {"front": {"URL": refusing.url}}
        settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": connections}

    return name


async def test_a_server_that_refuses_the_next_run(
    queue: Queue, server: Server, front: Callable[[Refusing], None], redis_client: redis.Redis
) -> None:
    """The run waits until its successor is stored; closing meanwhile hands it back."""
    runs: list[str] = []

    async def work(job: Job) -> None:
        runs.append(job.id)

    first = await queue.aupsert_job_scheduler("s", every=3600)
    with Refusing(server, "advance_job_scheduler") as refusing:
        front(refusing)
        refusing.answer = "OOM command not allowed when used memory > 'maxmemory'."
        async with working(work, connection="front", timeout=0.2):
            await until(lambda: len(refusing.asked) >= 3)
            assert runs == []
            assert await queue.aget_job_state(first.id) == "active"
        assert await queue.aget_job_state(first.id) == "waiting"
        async with working(work, connection="front"):
            await until(lambda: len(refusing.asked) >= 5)
            refusing.answer = None
            await finished(queue, 1)
    assert runs == [first.id]
    assert redis_client.hget(f"{R}:s", "ic") == "2"


async def test_a_run_that_kills_its_workers_fails_and_the_next_one_comes(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    """Else it would go round for ever; its successor was added at its first start."""
    job = await queue.aupsert_job_scheduler("s", every=3600)
    claimed = await asyncio.to_thread(hands.claim)
    assert [one.id for one in claimed] == [job.id]
    redis_client.delete(f"bull:q:{job.id}:lock")
    redis_client.hset(f"bull:q:{job.id}", "sa", -4)
    redis_client.sadd("bull:q:stalled", job.id)
    _, failing = await queue.connection.arun(move_stalled_jobs_to_wait(queue.keys, 1, 1, 1))
    assert failing == [job.id]
    async with working(noop):
        await finished(queue, 1)
    assert await queue.aget_job_state(job.id) == "failed"
    assert (await queue.aget_job_counts())["delayed"] == 1


def test_a_storm_of_upserts(server: Server, redis_client: redis.Redis) -> None:
    """Every process of a deployment upserts at once, with different specs, while workers run."""
    specs: list[dict[str, Any]] = [
        {"every": 0.05},
        {"every": 0.07},
        {"pattern": "* * * * * *", "tz": "UTC"},
        {"every": 0.05, "data": {"n": 1}, "opts": {"priority": 3}},
    ]

    def upsert(n: int) -> None:
        queue = Queue("q")
        for turn in range(60):
            queue.upsert_job_scheduler("s", **specs[(n + turn) % len(specs)])

    async def storm() -> None:
        async with working(noop):
            with ThreadPoolExecutor(4) as pool:
                loop = asyncio.get_running_loop()
                await asyncio.gather(*(loop.run_in_executor(pool, upsert, n) for n in range(4)))
            await Queue("q").aupsert_job_scheduler("s", every=3600, data={"last": True})

            async def idle() -> bool:
                counts = await Queue("q").aget_job_counts("waiting", "prioritized", "active")
                return not any(counts.values())

            # A run that is claimed just as the worker closes is handed back beside its successor.
            await until(idle)

    asyncio.run(storm())
    pending = [
        id
        for id in (
            *redis_client.lrange("bull:q:wait", 0, -1),
            *redis_client.zrange("bull:q:delayed", 0, -1),
            *redis_client.zrange("bull:q:prioritized", 0, -1),
        )
        if id.startswith("repeat:s:")
    ]
    assert pending == [f"repeat:s:{due(redis_client)}"]
    scheduler = Queue("q").get_job_scheduler("s")
    assert scheduler is not None
    assert (scheduler.every, scheduler.data) == (3600, {"last": True})
    added = Counter(
        fields["jobId"]
        for _, fields in redis_client.xrange("bull:q:events")
        if fields["event"] == "completed"
    )
    assert set(added.values()) <= {1}
    # Five threads wait for each other between asking for the time and sending it.
    invariants.check(redis_client, "q", tolerance=1000)
