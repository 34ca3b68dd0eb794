"""Several workers and one marker: what one takes or leaves, another must not wait for."""

import asyncio
import base64

import pytest
import redis

from queuecore import Job, JobSpec, Queue
from tests.server.working import finished, until, working

BLOCKED = f"bull:{base64.b64encode(b'q').decode()}"


def blocked(client: redis.Redis) -> int:
    """How many workers wait for the marker."""
    return sum(
        one["name"].startswith(BLOCKED) and one["cmd"] == "bzpopmin" and "b" in one["flags"]
        for one in client.client_list()
    )


async def work(job: Job) -> None:
    pass


async def test_a_worker_that_ends_leaves_the_marker_to_the_others(
    queue: Queue, redis_client: redis.Redis
) -> None:
    for _ in range(5):
        async with working(work):
            await until(lambda: blocked(redis_client) == 1)
            async with working(work):
                await until(lambda: blocked(redis_client) == 2)
            # The first, which has waited longest, has ended; nothing of it takes the marker.
        assert blocked(redis_client) == 0
        await queue.aadd("x")
        assert redis_client.zrange("bull:q:marker", 0, -1) == ["0"]
        async with working(work):
            await finished(queue, 1)
        redis_client.flushall()


async def test_the_marker_of_a_delayed_job_survives_the_worker_that_took_it(
    queue: Queue, redis_client: redis.Redis
) -> None:
    for _ in range(5):
        async with working(work):
            await until(lambda: blocked(redis_client) == 1)
            await queue.aadd("x", delay=3600)
            await until(lambda: not redis_client.exists("bull:q:marker"))
        assert [one for one, _ in redis_client.zrange("bull:q:marker", 0, -1, withscores=True)] == [
            "1"
        ]
        redis_client.flushall()


@pytest.mark.parametrize("workers", [2, 4])
async def test_every_idle_worker_gets_its_share(queue: Queue, workers: int) -> None:
    """A claim takes half of what waits, and each claim wakes the next worker."""
    by: list[str] = []
    gate = asyncio.Event()

    async def share(job: Job) -> None:
        by.append(str(job.processed_by))
        await gate.wait()

    async with asyncio.timeout(10):
        stack = [working(share, name=f"w{n}", concurrency=20) for n in range(workers)]
        for one in stack:
            await one.__aenter__()
        await queue.aadd_bulk([JobSpec("x") for _ in range(16)])
        await until(lambda: len(by) == 16)
        gate.set()
        for one in stack:
            await one.__aexit__(None, None, None)
    assert len(set(by)) == workers, by


async def test_a_worker_takes_over_when_another_is_full(queue: Queue) -> None:
    gate = asyncio.Event()
    ran: list[str] = []

    async def slow(job: Job) -> None:
        ran.append(str(job.processed_by))
        await gate.wait()

    async with working(slow, name="a", concurrency=1), working(slow, name="b", concurrency=1):
        for _ in range(2):
            await queue.aadd("x")
        await until(lambda: len(ran) == 2)
        assert sorted(ran) == ["a", "b"]
        gate.set()
        await finished(queue, 2)


async def test_jobs_added_one_by_one_never_wait(queue: Queue) -> None:
    """Each add races with a worker that is about to fall asleep."""
    async with working(work, concurrency=2), working(work, concurrency=2):
        for n in range(1, 101):
            await queue.aadd("x")
            if n % 10 == 0:
                await finished(queue, n, 2)


async def test_a_worker_named_in_any_letters(queue: Queue, redis_client: redis.Redis) -> None:
    job = await queue.aadd("x")
    async with working(work, name="wörker 1\n"):
        await finished(queue, 1)
        await until(lambda: blocked(redis_client) == 1)
        names = [one["name"] for one in redis_client.client_list()]
        assert f"{BLOCKED}:w:w_rker_1_" in names
    assert (await queue.aget_job(job.id)).processed_by == "wörker 1\n"


@pytest.mark.parametrize("why", ["a pause", "a limit", "closing"])
async def test_a_marker_that_is_not_followed_by_a_claim_goes_on(
    queue: Queue, redis_client: redis.Redis, why: str
) -> None:
    """The worker has just taken it when it is paused, limited or closed."""

    async def elsewhere(job: Job) -> None:
        ran.append(job.id)

    ran: list[str] = []
    async with working(work, drain_delay=60) as first:
        await until(lambda: blocked(redis_client) == 1)
        loop, take = asyncio.get_running_loop(), first._marker.wait

        def stop() -> None:
            if why == "a pause":
                first._demand.paused = True
            elif why == "closing":
                closing.append(loop.create_task(first.close()))
            else:
                first._demand.limit(60)

        async def take_and_stop(next_due: int) -> bool:
            taken = await take(next_due)
            if armed:
                loop.call_soon(stop)  # before any lane is told
            return taken

        armed: list[bool] = []
        closing: list[asyncio.Task[None]] = []
        first._marker.wait = take_and_stop  # type: ignore[method-assign]
        await queue.aadd("x")  # ends the wait that is under way
        await finished(queue, 1)
        await until(lambda: blocked(redis_client) == 1)
        async with working(elsewhere, drain_delay=60):
            await until(lambda: blocked(redis_client) == 2)
            armed.append(True)
            await queue.aadd("x")
            await finished(queue, 2, 3)
    assert ran == ["2"]
