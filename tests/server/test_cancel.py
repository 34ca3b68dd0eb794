"""Timeouts, and a running job cancelled from anywhere: what each kind of processor makes of it."""

import asyncio
import time
from typing import Any

import pytest
import redis

from queuecore import Job, Processor, Queue, processor
from queuecore.errors import ConfigurationError, InvalidOption, JobCancelled, JobTimedOut
from queuecore.fleet import Fleet
from queuecore.processors import registry
from queuecore.wire.calls import attending
from queuecore.worker.presence import Presence
from tests import invariants
from tests.server import boxed
from tests.server.working import finished, until, working

FAST: dict[str, Any] = {"heartbeat": 0.1}


async def forever(job: Job) -> None:
    await asyncio.Event().wait()


def obedient(job: Job) -> None:
    while True:
        job.raise_if_cancelled()
        time.sleep(0.005)


def deaf(job: Job) -> str:
    time.sleep(0.5)
    return "done all the same"


async def _running(queue: Queue, job: Job) -> None:
    await until(lambda: queue.aget_active_count())
    await until(job.ais_active)


@pytest.mark.parametrize("work", [forever, obedient])
async def test_a_job_is_cancelled_through_the_server(
    queue: Queue, redis_client: redis.Redis, work: Any
) -> None:
    async with working(work, **FAST):
        job = await queue.aadd("n")
        await _running(queue, job)
        await until(lambda: queue.acancel_job(job.id, "no longer wanted"))
        await finished(queue, 1)
    await job.arefresh()
    assert job.failed_reason == "no longer wanted"
    invariants.check(redis_client, "q", idle=True)


async def test_a_sandbox_is_killed_through_the_server(
    queue: Queue, child_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in child_environment.items():
        monkeypatch.setenv(name, value)
    async with working(boxed.work, sandbox=True, sandbox_grace=0.2, **FAST):
        job = await queue.aadd("endless")
        await _running(queue, job)
        await until(lambda: queue.acancel_job(job.id, "stop"))
        await finished(queue, 1, 20)
    await job.arefresh()
    assert job.failed_reason == "stop"


async def test_a_cancelled_try_is_followed_by_the_next(queue: Queue) -> None:
    async def once(job: Job) -> str:
        if job.attempts_made == 0:
            await asyncio.Event().wait()
        return "then"

    async with working(once, **FAST):
        job = await queue.aadd("n", attempts=2)
        await _running(queue, job)
        await until(lambda: queue.acancel_job(job.id))
        assert await job.aresult(4) == "then"


async def test_only_a_job_that_runs_by_a_worker_of_ours_can_be_cancelled(
    queue: Queue, redis_client: redis.Redis
) -> None:
    job = await queue.aadd("n")
    assert not await queue.acancel_job(job.id)
    assert not await queue.acancel_job("no such")
    redis_client.set(queue.keys.lock(job.id), "a token of Node's")
    assert not await queue.acancel_job(job.id)
    with pytest.raises(InvalidOption, match="500 characters"):
        await queue.acancel_job(job.id, "x" * 501)
    with pytest.raises(InvalidOption, match="job ids must be a list of texts, not '4711'"):
        await queue.acancel_jobs("4711", "one job, not four")


async def test_an_order_that_comes_late_leaves_the_next_run_alone(queue: Queue) -> None:
    async with working(forever, **FAST) as worker:
        job = await queue.aadd("n")
        await _running(queue, job)
        run = worker._runs.get(job.id)
        assert run is not None
        run.number += 1  # as if the job had been claimed again since
        await until(lambda: queue.acancel_job(job.id))
        await asyncio.sleep(0.3)
        assert worker.running == 1
        run.number -= 1
        worker.cancel_job(job.id)
        await finished(queue, 1)


@pytest.mark.parametrize("work", [forever, obedient])
async def test_a_job_has_its_processors_timeout(
    queue: Queue, redis_client: redis.Redis, work: Any
) -> None:
    failed: list[BaseException] = []
    async with working(work) as worker:
        worker.processors.default.timeout = 0.1  # type: ignore[union-attr]
        worker.on("failed", lambda job, error: failed.append(error))
        job = await queue.aadd("n")
        await finished(queue, 1)
    await job.arefresh()
    assert job.failed_reason == "the job ran longer than its timeout of 0.1 s"
    assert [type(one) for one in failed] == [JobTimedOut]
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity("Pro, Worker(ttl)")
async def test_a_jobs_own_timeout_comes_before_its_processors(queue: Queue) -> None:
    async def short(job: Job) -> str:
        await asyncio.sleep(0.1)
        return "in time"

    async with working(short) as worker:
        worker.processors.default.timeout = 0.02  # type: ignore[union-attr]
        patient = await queue.aadd("n", timeout=5)
        assert await patient.aresult(4) == "in time"
        hasty = await queue.aadd("n")
        await finished(queue, 2)
    await hasty.arefresh()
    assert "0.02 s" in str(hasty.failed_reason)


async def test_a_thread_that_does_not_ask_goes_on_and_is_told_of(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    async with working(deaf):
        job = await queue.aadd("n", timeout=0.05)
        assert await job.aresult(4) == "done all the same"
    assert any("in a thread, which can't be ended" in one.message for one in caplog.records)


async def test_a_timed_out_try_is_followed_by_the_next(queue: Queue) -> None:
    async def once(job: Job) -> str:
        if job.attempts_made == 0:
            await asyncio.Event().wait()
        return "then"

    async with working(once):
        job = await queue.aadd("n", attempts=2, timeout=0.05)
        assert await job.aresult(4) == "then"


def test_a_timeout_is_registered_with_its_processor() -> None:
    @processor("timed", name="a", timeout=1.5)
    def one(job: Job) -> None:
        raise JobCancelled

    @processor("timed")
    class Other(Processor):
        def process(self, job: Job) -> None:
            return None

    try:
        found = registry.queues["default", "timed"]
        assert found.named["a"].timeout == 1.5
        assert found.default is not None
        assert found.default.timeout is None
    finally:
        del registry.queues["default", "timed"]
    for wrong in (0, -1, "long"):
        with pytest.raises(ConfigurationError, match="timeout"):
            processor("timed", timeout=wrong)  # type: ignore[arg-type]


def test_a_jobs_timeout_is_some_time() -> None:
    for wrong in (0, -1, "long"):
        with pytest.raises(InvalidOption, match="timeout"):
            Queue("q").add("n", timeout=wrong)  # type: ignore[arg-type]


async def test_a_job_that_was_not_started_in_time_fails_without_running(
    queue: Queue, redis_client: redis.Redis
) -> None:
    ran: list[str] = []

    async def work(job: Job) -> None:
        ran.append(job.name)
        if job.name == "tried" and job.attempts_made == 0:
            await asyncio.sleep(1.1)
            raise ValueError

    late = await queue.aadd("late", expires=0.05, attempts=3)
    await queue.aadd("early", expires=3600)
    await queue.aadd("delayed", delay=1.5, expires=1.4)
    await queue.aadd("tried", expires=1, attempts=2, lifo=True)
    await asyncio.sleep(0.15)
    async with working(work):
        await finished(queue, 4)
    assert sorted(ran) == ["delayed", "early", "tried", "tried"]
    await late.arefresh()
    assert str(late.failed_reason).startswith("the job expired 0.")
    assert await late.aget_state() == "failed"
    assert late.attempts_made == 1
    invariants.check(redis_client, "q", idle=True)


async def test_it_is_known_who_runs_a_job_and_what_came_of_cancelling_it(queue: Queue) -> None:
    fleet, of_job = Fleet(), ("q", "one")
    awake = asyncio.Event()

    async def stubborn(job: Job) -> str:
        while True:
            try:
                await awake.wait()
                return "after all"
            except asyncio.CancelledError:
                pass

    await queue.aadd("n", job_id="one", timeout=60)
    async with working(stubborn, heartbeat=0.5) as worker:
        await until(lambda: _told(worker))
        holder = (await fleet.aholders("q", ["one", "no such"]))["one"]
        assert holder.reached
        assert holder.worker is not None
        assert holder.worker.id == worker.id
        run = holder.run
        assert run is not None
        assert (run.kind, run.timeout_s, run.batch, run.pid) == ("coroutine", 60.0, 0, 0)
        assert run.until is not None
        assert not (await fleet.aholders("q", ["no such"]))["no such"].token
        assert not await fleet.acancellations([of_job])
        # Two at a time: an order may be about several runs.
        assert await queue.acancel_jobs(["one", "no such"], "enough", "ada") == ["one"]
        asked = (await fleet.acancellations([of_job, ("q", "no such")]))[of_job]
        assert (asked.state, asked.by, asked.reason) == ("asked", "ada", "enough")
        await until(lambda: _state(fleet, of_job, "told"))
        awake.set()
        await finished(queue, 1)
        assert not await fleet.acancellations([of_job])  # the run that it was about has ended


async def test_a_wish_that_nobody_heard_or_that_came_too_late_is_told_as_such(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet, of_job = Fleet(), ("q", "one")
    awake = asyncio.Event()

    async def patient(job: Job) -> None:
        await awake.wait()

    await queue.aadd("n", job_id="one")
    async with working(patient, **FAST) as worker:
        await until(lambda: _told(worker))
        with monkeypatch.context() as deaf:
            deaf.setattr(Presence, "_obey", lambda self, order: None)
            deaf.setattr(attending, "ORDER_MS", 50)
            assert await queue.acancel_job("one")
            await until(lambda: _state(fleet, of_job, "missed"))
        run = worker._runs.get("one")
        assert run is not None
        run.number += 1
        assert await queue.acancel_job("one")
        await until(lambda: _state(fleet, of_job, "missed"))
        run.number -= 1
        awake.set()
        await finished(queue, 1)
        await until(lambda: _state(fleet, of_job, "late"))


async def _told(worker: Any) -> bool:
    """Whether the worker has told of its job."""
    return any(one.busy for one in await Fleet().aworkers() if one.id == worker.id)


async def _state(fleet: Fleet, job: tuple[str, str], state: str) -> bool:
    found = (await fleet.acancellations([job])).get(job)
    return found is not None and found.state == state
