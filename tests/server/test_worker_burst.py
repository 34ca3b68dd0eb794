"""Burst: the worker ends by itself once nothing is left to run now."""

import asyncio

import pytest
import redis

from queuecore import Backoff, Job, JobSpec, Queue, Worker
from queuecore.wire.connections import get_connection
from tests import invariants
from tests.server.working import finished, until, working


async def burst(processor: object, **options: object) -> None:
    """Run a worker in burst; it must end soon after its last job."""
    worker = Worker("q", processor, burst=True, **options)  # type: ignore[arg-type]
    async with asyncio.timeout(4):
        await worker.arun()
    await get_connection().aclose()


async def work(job: Job) -> None:
    await asyncio.sleep(0)


@pytest.mark.parametrize("concurrency", [1, 3, 10, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 150])
async def test_everything_that_waits_is_done(queue: Queue, count: int, concurrency: int) -> None:
    await queue.aadd_bulk([JobSpec("x") for _ in range(count)])
    await burst(work, concurrency=concurrency)
    counts = await queue.aget_job_counts()
    assert (counts["completed"], sum(counts.values())) == (count, count)


async def test_in_threads_too(queue: Queue) -> None:
    def work(job: Job) -> None:
        pass

    await queue.aadd_bulk([JobSpec("x") for _ in range(50)])
    await burst(work)
    assert (await queue.aget_job_counts())["completed"] == 50


async def test_retries_at_once_belong_to_it_and_later_ones_do_not(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async def failing(job: Job) -> None:
        raise ValueError("no")

    now = await queue.aadd("x", attempts=3)
    later = await queue.aadd("x", attempts=3, backoff=Backoff.fixed(60))
    far = await queue.aadd("x", delay=3600)
    await burst(failing)
    assert [await queue.aget_job_state(job.id) for job in (now, later, far)] == [
        "failed", "delayed", "delayed",
    ]  # fmt: skip
    invariants.check(redis_client, "q", idle=True)


async def test_jobs_that_jobs_add(queue: Queue) -> None:
    async def adding(job: Job) -> None:
        if job.data["left"]:
            await job.queue.aadd("x", {"left": job.data["left"] - 1})

    await queue.aadd("x", {"left": 20})
    await burst(adding)
    assert (await queue.aget_job_counts())["completed"] == 21


async def test_a_paused_queue_is_nothing_to_do(queue: Queue) -> None:
    await queue.aadd("x")
    await queue.apause()
    await burst(work)
    assert (await queue.aget_job_counts())["completed"] == 0


async def test_it_waits_for_its_turn(queue: Queue) -> None:
    """Another worker uses up the global concurrency; what waits is still to be done."""
    gate = asyncio.Event()

    async def slow(job: Job) -> None:
        await gate.wait()

    await queue.aset_global_concurrency(1)
    await queue.aadd("x")
    async with working(slow, concurrency=1) as other:
        await until(lambda: other.running == 1)
        await queue.aadd("x")
        closing = asyncio.create_task(other.close(5))  # takes no further one
        task = asyncio.create_task(burst(work))
        await asyncio.sleep(0.2)
        assert not task.done()
        gate.set()
        await closing
        await task
        await finished(queue, 2)


async def test_a_rate_limit_is_waited_for(queue: Queue, redis_client: redis.Redis) -> None:
    redis_client.hset("bull:q:meta", mapping={"max": 5, "duration": 200})
    await queue.aadd_bulk([JobSpec("x") for _ in range(12)])
    await burst(work)
    assert (await queue.aget_job_counts())["completed"] == 12


async def test_ghosts_do_not_keep_it(queue: Queue, redis_client: redis.Redis) -> None:
    redis_client.lpush("bull:q:wait", *(f"ghost-{n}" for n in range(30)))
    await queue.aadd_bulk([JobSpec("x") for _ in range(5)])
    await burst(work, concurrency=4)
    assert (await queue.aget_job_counts())["completed"] == 5
    assert redis_client.llen("bull:q:wait") == 0
