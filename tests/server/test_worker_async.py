"""Coroutine processors: side by side in one loop, each with its own context variables."""

import asyncio
from contextvars import ContextVar

import pytest
import redis

from queuecore import Job, JobSpec, Queue
from tests import invariants
from tests.server.working import fields, finished, until, working

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@pytest.mark.parity("Worker")
async def test_a_job_runs_and_its_result_is_kept(queue: Queue, redis_client: redis.Redis) -> None:
    seen: list[Job] = []

    async def work(job: Job) -> dict[str, int]:
        seen.append(job)
        return {"double": job.data["n"] * 2}

    job = await queue.aadd("double", {"n": 21})
    async with working(work, name="worker-1"):
        await finished(queue, 1)
    assert (seen[0].id, seen[0].name, seen[0].data) == (job.id, "double", {"n": 21})
    assert (await queue.aget_job(job.id)).returnvalue == {"double": 42}
    stored = await fields(queue, job.id)
    assert (stored["atm"], stored["ats"], stored["pb"]) == ("1", "1", "worker-1")
    assert "sa" not in stored
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity("Worker.name", "Job.processedBy", "Job.attemptsStarted")
async def test_what_the_processor_sees_of_its_own_run(queue: Queue) -> None:
    seen: dict[str, object] = {}

    async def work(job: Job) -> None:
        seen["started"] = job.attempts_started
        seen["made"] = job.attempts_made
        seen["since"] = job.processed_on
        seen["by"] = job.processed_by
        if job.attempts_made == 0:
            raise ValueError("once more")

    job = await queue.aadd("x", attempts=2)
    async with working(work, name="w"):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert seen == {"started": 2, "made": 1, "since": stored.processed_on, "by": "w"}


@pytest.mark.parity("Worker.concurrency")
async def test_as_many_at_a_time_as_the_concurrency_says(queue: Queue) -> None:
    running, most = 0, 0
    full = asyncio.Event()

    async def work(job: Job) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == 5:
            full.set()
        await full.wait()
        await asyncio.sleep(0.005)
        running -= 1

    await queue.aadd_bulk([JobSpec("x") for _ in range(23)])
    async with working(work, concurrency=5) as worker:
        await finished(queue, 20)
        full.set()
        await finished(queue, 23)
        assert worker.running == 0
    assert most == 5


async def test_one_at_a_time_keeps_the_order(queue: Queue) -> None:
    order: list[str] = []

    async def work(job: Job) -> None:
        order.append(job.id)
        await asyncio.sleep(0)

    jobs = await queue.aadd_bulk([JobSpec("x") for _ in range(50)])
    async with working(work, concurrency=1):
        await finished(queue, 50)
    assert order == [job.id for job in jobs]


async def test_context_variables_do_not_leak_into_the_next_job(queue: Queue) -> None:
    seen: list[str] = []

    async def work(job: Job) -> None:
        seen.append(tenant.get())
        tenant.set(f"tenant of {job.id}")
        await asyncio.sleep(0)
        assert tenant.get() == f"tenant of {job.id}"

    await queue.aadd_bulk([JobSpec("x") for _ in range(30)])
    async with working(work, concurrency=3):
        counts = await finished(queue, 30)
    assert seen == ["nobody"] * 30
    assert counts["completed"] == 30


async def test_a_job_added_to_an_idle_worker_runs_at_once(queue: Queue) -> None:
    async def work(job: Job) -> float:
        return asyncio.get_running_loop().time()

    async with working(work):
        await asyncio.sleep(0.2)  # the worker is idle and blocks on the marker
        added = asyncio.get_running_loop().time()
        job = await queue.aadd("x")
        await finished(queue, 1)
        assert (await queue.aget_job(job.id)).returnvalue - added < 0.5


async def test_a_delayed_job_runs_when_it_is_due(queue: Queue) -> None:
    async def work(job: Job) -> float:
        return asyncio.get_running_loop().time()

    async with working(work):
        await asyncio.sleep(0.1)
        added = asyncio.get_running_loop().time()
        far = await queue.aadd("far", delay=3600)
        job = await queue.aadd("x", delay=0.3)
        await finished(queue, 1)
        waited = (await queue.aget_job(job.id)).returnvalue - added
        assert 0.29 < waited < 0.8
        assert await queue.aget_job_state(far.id) == "delayed"


async def test_priorities_and_lifo_are_obeyed(queue: Queue) -> None:
    order: list[str] = []

    async def work(job: Job) -> None:
        order.append(job.name)

    await queue.aadd("low", priority=9)
    await queue.aadd("high", priority=1)
    await queue.aadd("plain")
    await queue.aadd("last in", lifo=True)
    async with working(work, concurrency=1):
        await finished(queue, 4)
    assert order == ["last in", "plain", "high", "low"]


async def test_one_coroutine_processor_serves_many_queues(queue: Queue) -> None:
    other = Queue("other")

    async def work(job: Job) -> str:
        return job.queue.name

    async with working(work), working(work, "other"):
        first, second = await queue.aadd("x"), await other.aadd("x")
        await finished(queue, 1)
        await finished(other, 1)
        assert (await queue.aget_job(first.id)).returnvalue == "q"
        assert (await other.aget_job(second.id)).returnvalue == "other"


async def test_thousands_of_jobs_that_end_together(queue: Queue, redis_client: redis.Redis) -> None:
    """More than one script call may carry."""
    count = 4500
    running = 0
    gate = asyncio.Event()

    async def work(job: Job) -> None:
        nonlocal running
        running += 1
        await gate.wait()

    await queue.aadd_bulk([JobSpec("x") for _ in range(count)])
    async with working(work, concurrency=count):
        await until(lambda: running == count, 20)
        gate.set()
        await finished(queue, count, 20)
    invariants.check(redis_client, "q", idle=True)
