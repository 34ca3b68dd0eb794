"""Processors that take several jobs at a time."""

import asyncio
import os
import re
import signal
import time
from typing import Any

import pytest
import redis

from queuecore import (
    Batch,
    DelayedError,
    FlowJob,
    FlowProducer,
    Group,
    GroupLimits,
    Job,
    JobSpec,
    Queue,
    WaitingChildrenError,
    processor,
)
from queuecore.errors import ConfigurationError, InvalidOption
from queuecore.processors import registry
from tests import invariants
from tests.server.processes import Start
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


@pytest.mark.parity("Pro, Worker(batch.size)")
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


@pytest.mark.parity("Pro, Worker(batch.minSize, batch.timeout)")
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


async def test_the_shortest_timeout_of_a_batch_ends_it(queue: Queue) -> None:
    async def stuck(jobs: list[Job]) -> None:
        await asyncio.Event().wait()

    async with working(stuck, batch=Batch(3, min_size=3, timeout=1)):
        jobs = await queue.aadd_bulk(
            [JobSpec("n"), JobSpec("n", timeout=0.1), JobSpec("n", timeout=60)]
        )
        await finished(queue, 3)
    for job in jobs:
        await job.arefresh()
    assert {job.failed_reason for job in jobs} == {"the job ran longer than its timeout of 0.1 s"}


@pytest.mark.parametrize("raises", [False, True])
async def test_one_of_a_batch_moves_itself(
    queue: Queue, redis_client: redis.Redis, raises: bool
) -> None:
    """It comes back alone; raised instead of returned, it is a failed try of the others."""

    async def some(jobs: list[Job]) -> list[Any]:
        SIZES.append(len(jobs))
        answers: list[Any] = []
        moved = False
        for job in jobs:
            if job.data == "later" and job.attempts_started == 1:
                await job.amove_to_delayed(0.05)
                answers.append(DelayedError())
                moved = True
            else:
                answers.append(job.data)
        if raises and moved:
            raise DelayedError
        return answers

    jobs = await queue.aadd_bulk([JobSpec("n", data, attempts=2) for data in (1, "later", 2)])
    async with working(some, batch=Batch(3, min_size=3, timeout=0.5)):
        await finished(queue, 3)
    for job in jobs:
        await job.arefresh()
    assert [job.returnvalue for job in jobs] == [1, "later", 2]
    assert [job.attempts_made for job in jobs] == ([2, 1, 2] if raises else [1, 1, 1])
    assert jobs[1].attempts_started == 2
    assert SIZES[0] == 3
    invariants.check(redis_client, "q", idle=True)


async def test_one_of_a_batch_waits_for_its_children(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async def some(jobs: list[Job]) -> list[Any]:
        answers: list[Any] = []
        for job in jobs:
            if job.name == "parent" and job.attempts_started == 1:
                await queue.aadd("child", 5, parent=job)
                assert await job.amove_to_waiting_children()
                answers.append(WaitingChildrenError())
            elif job.name == "parent":
                answers.append([*(await job.aget_children_values()).values()])
            else:
                answers.append(job.data)
        return answers

    jobs = await queue.aadd_bulk([JobSpec("n", 1), JobSpec("parent"), JobSpec("n", 2)])
    async with working(some, batch=Batch(3, min_size=3, timeout=0.2)):
        await finished(queue, 4)
    assert [await job.aresult(1) for job in jobs] == [1, [5], 2]
    invariants.check(redis_client, "q", idle=True)


async def test_an_expired_job_and_a_child_that_fails_in_a_batch(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async def some(jobs: list[Job]) -> list[Any]:
        SIZES.append(len(jobs))
        return [ValueError("bad") if job.name == "bad" else job.data for job in jobs]

    late = await queue.aadd("n", 1, expires=0.01)
    node = await FlowProducer().aadd(
        FlowJob(
            "parent",
            queue="q",
            data="over",
            children=[
                FlowJob("bad", queue="q", ignore_dependency_on_failure=True),
                FlowJob("good", queue="q", data=3),
            ],
        )
    )
    await asyncio.sleep(0.05)
    async with working(some, batch=Batch(2, min_size=2, timeout=0.3)):
        await finished(queue, 4)
    await late.arefresh()
    assert str(late.failed_reason).startswith("the job expired")
    assert SIZES == [2, 1]
    assert await node.job.aresult(1) == "over"
    invariants.check(redis_client, "q", idle=True)


async def test_a_batch_heeds_groups_and_priorities(queue: Queue, redis_client: redis.Redis) -> None:
    seen: list[list[str]] = []

    async def some(jobs: list[Job]) -> list[Any]:
        seen.append([job.data for job in jobs])
        await asyncio.sleep(0.01)
        return [ValueError("once") if job.attempts_made == 0 else job.data for job in jobs]

    await queue.apause()
    specs = [
        JobSpec("n", f"{group}{n}", group=Group(group), attempts=2)
        for n in range(6)
        for group in "abc"
    ]
    specs += [JobSpec("n", f"p{n}", priority=9 - n, attempts=2) for n in range(6)]
    jobs = await queue.aadd_bulk(specs)
    await queue.aresume()
    limits = GroupLimits(concurrency=1)
    async with working(some, batch=Batch(4, min_size=2, timeout=0.05), group=limits):
        await finished(queue, len(jobs), 20)
    assert [await job.aresult(1) for job in jobs] == [job.data for job in jobs]
    assert {job.attempts_made for job in [await queue.aget_job(one.id) for one in jobs]} == {2}
    for batch in seen:
        groups = [data[0] for data in batch if data[0] != "p"]
        assert len(groups) == len(set(groups)), batch
    ranked = [data for batch in seen for data in batch if data[0] == "p"]
    assert [*dict.fromkeys(ranked)] == ["p5", "p4", "p3", "p2", "p1", "p0"]
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.slow
def test_a_batch_whose_process_is_killed_comes_back_whole_and_uncounted(
    start: Start, redis_client: redis.Redis
) -> None:
    queue = Queue("batched")
    worker = start("batched", "--processes", "2", HEARTBEAT=0.1)
    worker.until(lambda: worker.said.count("works batched") == 2, 30)
    jobs = queue.add_bulk([JobSpec("x", n) for n in range(8)])
    pid = worker.until(lambda: redis_client.hget(f"bull:batched:{jobs[0].id}", "progress"))
    worker.until(lambda: queue.get_waiting_count() == 0)
    active = redis_client.lrange("bull:batched:active", 0, -1)
    os.kill(int(pid), signal.SIGKILL)
    worker.until(lambda: queue.get_completed_count() == 8, 30)
    again = set(
        re.findall(r"job (\d+) of batched was left by its worker and runs again", worker.said)
    )
    assert jobs[0].id in again <= {*active}
    for job in jobs:
        job.refresh()
        counted = (job.attempts_started, job.attempts_made, job.stalled_counter)
        assert counted == (1 + (job.id in again), 1, 0)
    assert len(again) >= 2
    worker.tell(signal.SIGTERM)
    assert worker.ends() == 0
    invariants.check(redis_client, "batched", idle=True, tolerance=1000)


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
