"""Processors that take several jobs at a time."""

import asyncio
import time
from typing import Any

import pytest
import redis

from queuecore import Batch, Job, JobSpec, Queue, processor
from queuecore.errors import ConfigurationError, InvalidOption
from queuecore.processors import registry
from tests import invariants
from tests.server.working import finished, until, working

SIZES: list[int] = []


@pytest.fixture(autouse=True)
def sizes() -> list[int]:
    SIZES.clear()
    return SIZES


async def double(jobs: list[Job]) -> list[Any]:
    SIZES.append(len(jobs))
    return [2 * job.data for job in jobs]


def double_in_a_thread(jobs: list[Job]) -> list[Any]:
    SIZES.append(len(jobs))
    return [2 * job.data for job in jobs]


@pytest.mark.parametrize("work", [double, double_in_a_thread])
async def test_each_job_of_a_batch_has_its_result(
    queue: Queue, redis_client: redis.Redis, work: Any
) -> None:
    jobs = await queue.aadd_bulk([JobSpec("n", n) for n in range(100)])
    async with working(work, concurrency=40, batch=Batch(10)):
        await finished(queue, 100)
    assert [await job.aresult(1) for job in jobs] == [2 * n for n in range(100)]
    assert sum(SIZES) == 100
    assert max(SIZES) == 10
    assert len(SIZES) < 30
    invariants.check(redis_client, "q", idle=True)


async def test_a_job_waits_for_others_no_longer_than_it_is_told(
    queue: Queue, sizes: list[int]
) -> None:
    async with working(double, batch=Batch(5, min_size=3, timeout=0.3)):
        begun = time.monotonic()
        job = await queue.aadd("n", 1)
        assert await job.aresult(4) == 2
        assert time.monotonic() - begun >= 0.3
        assert sizes == [1]
        begun = time.monotonic()
        await queue.aadd_bulk([JobSpec("n", n) for n in range(3)])
        await finished(queue, 4)
        assert sizes == [1, 3]


async def test_one_that_fails_does_not_fail_the_others(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async def some(jobs: list[Job]) -> list[Any]:
        return [ValueError("odd") if job.data % 2 else job.data for job in jobs]

    jobs = await queue.aadd_bulk([JobSpec("n", n, attempts=2) for n in range(10)])
    async with working(some, batch=Batch(10)):
        await finished(queue, 10)
    for job in jobs:
        await job.arefresh()
    assert [job.failed_reason for job in jobs] == [None, "odd"] * 5
    assert {job.attempts_made for job in jobs[1::2]} == {2}
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parametrize("answer", [7, [1], "text"])
async def test_what_is_no_answer_fails_all_of_them(queue: Queue, answer: Any) -> None:
    async def wrong(jobs: list[Job]) -> Any:
        return answer

    jobs = await queue.aadd_bulk([JobSpec("n", n, attempts=3) for n in range(4)])
    async with working(wrong, batch=Batch(2, min_size=2, timeout=1)):
        await finished(queue, 4)
    await jobs[0].arefresh()
    assert "returned" in str(jobs[0].failed_reason)
    assert jobs[0].attempts_made == 1


async def test_an_error_and_a_timeout_are_of_the_whole_batch(queue: Queue) -> None:
    async def stuck(jobs: list[Job]) -> None:
        if any(job.data for job in jobs):
            raise RuntimeError("all of us")
        await asyncio.Event().wait()

    async with working(stuck, batch=Batch(3, min_size=3, timeout=1), concurrency=6) as worker:
        worker.processors.default.timeout = 0.1  # type: ignore[union-attr]
        late = await queue.aadd_bulk([JobSpec("n", 0) for _ in range(3)])
        await finished(queue, 3)
        broken = await queue.aadd_bulk([JobSpec("n", 1) for _ in range(3)])
        await finished(queue, 6)
    for job in (*late, *broken):
        await job.arefresh()
    assert {job.failed_reason for job in late} == {"the job ran longer than its timeout of 0.1 s"}
    assert {job.failed_reason for job in broken} == {"all of us"}


async def test_one_job_of_a_batch_is_only_told_that_it_is_cancelled(queue: Queue) -> None:
    async def patient(jobs: list[Job]) -> list[Any]:
        while not any(job.cancelled for job in jobs):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return [job.cancelled or "went on" for job in jobs]

    jobs = await queue.aadd_bulk([JobSpec("n") for _ in range(2)])
    async with working(patient, batch=Batch(2, min_size=2, timeout=2)) as worker:
        await until(lambda: worker.running == 2)
        await until(lambda: worker.cancel_job(jobs[0].id, "not this one"))
        await finished(queue, 2)
    assert [await job.aresult(1) for job in jobs] == ["not this one", "went on"]


async def test_what_was_gathered_is_handed_back_when_the_worker_closes(
    queue: Queue, redis_client: redis.Redis
) -> None:
    jobs = await queue.aadd_bulk([JobSpec("n", n) for n in range(3)])
    async with working(double, batch=Batch(10, min_size=10, timeout=60), timeout=0) as worker:
        await until(lambda: worker.running == 3)
    assert await queue.aget_job_counts("waiting", "active") == {"waiting": 3, "active": 0}
    assert SIZES == []
    await jobs[0].arefresh()
    assert jobs[0].attempts_made == 0
    invariants.check(redis_client, "q")


def test_what_makes_no_batch_is_refused() -> None:
    for wrong in ({"size": 0}, {"size": 2, "min_size": 3}, {"size": 2, "min_size": 2}):
        with pytest.raises(InvalidOption):
            Batch(**wrong)
    with pytest.raises(ConfigurationError, match="one job at a time"):
        processor("batched", sandbox=True, batch=Batch(2))
    processor("batched", batch=Batch(2))(double)
    try:
        assert registry.queues["default", "batched"].default.batch == Batch(2)  # type: ignore[union-attr]
    finally:
        del registry.queues["default", "batched"]
