"""Processors that move their own job: the try is not counted, the next claim is another run."""

import asyncio
import logging
import threading
from typing import Any

import pytest
import redis

from queuecore import DelayedError, Job, Queue, WaitingError
from tests import invariants
from tests.server.working import finished, told, until, working


async def postpone(job: Job, wait: float) -> None:
    await job.amove_to_delayed(wait)
    raise DelayedError


async def put_back(job: Job, wait: float) -> None:
    await job.amove_to_wait()
    raise WaitingError


def postpone_in_a_thread(job: Job, wait: float) -> None:
    job.move_to_delayed(wait)
    raise DelayedError


def put_back_in_a_thread(job: Job, wait: float) -> None:
    job.move_to_wait()
    raise WaitingError


MOVES = [postpone, put_back, postpone_in_a_thread, put_back_in_a_thread]


@pytest.mark.parametrize("move", MOVES)
async def test_a_moved_job_comes_back_uncounted(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture, move: Any
) -> None:
    job = await queue.aadd("x")

    async def work(job: Job) -> str:
        if job.attempts_started < 4:
            await move(job, 0.02)
        return "done"

    def work_in_a_thread(job: Job) -> str:
        if job.attempts_started < 4:
            move(job, 0.02)
        return "done"

    async with working(work if asyncio.iscoroutinefunction(move) else work_in_a_thread):
        await finished(queue, 1)
    stored = await queue.aget_job(job.id)
    assert (stored.returnvalue, stored.attempts_made, stored.attempts_started) == ("done", 1, 4)
    assert told(caplog, logging.WARNING) == []
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parametrize("delay", [True, False])
async def test_it_is_claimed_again_before_its_processor_has_returned(
    queue: Queue, caplog: pytest.LogCaptureFixture, delay: bool
) -> None:
    """Nobody took its lock away: nothing is told, and nothing is cancelled."""
    job = await queue.aadd("x")
    again, unwound = asyncio.Event(), []

    async def work(job: Job) -> str:
        if job.attempts_started == 2:
            again.set()
            return "second"
        await (job.amove_to_delayed(0) if delay else job.amove_to_wait())
        await again.wait()
        await asyncio.sleep(0.05)
        unwound.append(job.id)
        raise DelayedError

    async with working(work):
        await finished(queue, 1)
        await until(lambda: unwound)
    stored = await queue.aget_job(job.id)
    assert (stored.returnvalue, stored.attempts_made, stored.attempts_started) == ("second", 1, 2)
    assert told(caplog, logging.WARNING) == []


async def test_a_thread_moves_its_job_again_and_again(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker hears of the next claim before the thread hears of its own move."""
    await queue.aadd("x")
    done = threading.Event()

    def work(job: Job) -> None:
        if job.attempts_started < 100:
            job.move_to_delayed(0)
            raise DelayedError
        done.set()

    async with working(work):
        await finished(queue, 1)
    assert done.is_set()
    assert told(caplog, logging.WARNING) == []


async def test_a_move_that_fails_leaves_the_job_to_its_worker(queue: Queue) -> None:
    job = await queue.aadd("x")

    async def work(job: Job) -> str:
        with pytest.raises(ValueError, match="when must be"):
            await job.amove_to_delayed(-1)
        with pytest.raises(Exception, match="locked by another worker"):
            await job.amove_to_wait("another's token")
        assert job.token
        if job.attempts_started == 1:
            await postpone(job, 0.02)
        return "done"

    async with working(work):
        await finished(queue, 1)
    assert (await queue.aget_job(job.id)).returnvalue == "done"
