"""What no worker survives in its own process, fifty times each, in sandboxes."""

import asyncio
import gc
import time
from collections import defaultdict
from typing import Any

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.wire.connections import get_connection
from queuecore.worker.presence import resident
from tests import invariants
from tests.server import boxed
from tests.server.working import finished, until, working

pytestmark = pytest.mark.slow
TIMES = 50
# How each ends: what its failed reason holds.
ENDS = {
    "killed": "killed by SIGKILL",
    "segfault": "killed by SIGSEGV",
    "allocate": "MemoryError",
    "endless": "longer than its timeout",
    "unpicklable": "cannot be pickled",
    "not_json": "JSON",
}


@pytest.fixture(autouse=True)
def _environment(child_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in child_environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def queue(redis_client: redis.Redis) -> Queue:
    return Queue("q")


def sandboxed(**options: Any) -> Any:
    defaults = {"concurrency": 3, "sandbox_grace": 0.4, "sandbox_memory": 2 * 2**30}
    return working(boxed.work, sandbox=True, **{**defaults, **options})


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ENDS)
async def test_it_fails_its_job_and_touches_nothing_else(
    queue: Queue, redis_client: redis.Redis, name: str
) -> None:
    options = {"timeout": 0.3} if name == "endless" else {}
    begun = time.monotonic()
    async with sandboxed() as worker:
        await (await queue.aadd("echo", 0)).aresult(60)
        gc.collect()
        before = resident()
        jobs = await queue.aadd_bulk([JobSpec(name, **options) for _ in range(TIMES)])
        good = await queue.aadd_bulk([JobSpec("echo", n) for n in range(TIMES)])
        await finished(queue, 2 * TIMES + 1, 800)
        gc.collect()
        grown = resident() - before
        assert worker.is_running()
        assert worker.running == 0
    for job in (*jobs, *good):
        await job.arefresh()
    assert [job.returnvalue for job in good] == list(range(TIMES))
    assert all(job.stalled_counter == 0 for job in (*jobs, *good))
    wrong = {str(job.failed_reason) for job in jobs if ENDS[name] not in str(job.failed_reason)}
    assert not wrong
    assert grown < 20 * 2**20, f"{grown / 2**20:.1f} MB in {time.monotonic() - begun:.0f} s"
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.timeout(900)
async def test_an_endless_loop_is_cancelled_by_another_program(
    queue: Queue, redis_client: redis.Redis
) -> None:
    other, loop = Queue("q"), asyncio.get_running_loop()
    begun: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
    async with sandboxed(heartbeat=0.2) as worker:
        worker.on("progress", lambda job, progress: loop.call_soon_threadsafe(begun[job.id].set))
        jobs = await queue.aadd_bulk([JobSpec("endless") for _ in range(TIMES)])

        async def cancel(job: Any) -> None:
            await begun[job.id].wait()
            await until(lambda: other.acancel_job(job.id, "not wanted"), 800)

        await asyncio.gather(*(cancel(job) for job in jobs))
        await finished(queue, TIMES, 800)
        assert worker.is_running()
    for job in jobs:
        await job.arefresh()
    assert {job.failed_reason for job in jobs} == {"not wanted"}
    invariants.check(redis_client, "q", idle=True)
    await get_connection().aclose()


@pytest.mark.timeout(900)
async def test_a_hundred_megabytes_of_output_are_read_and_dropped(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async with sandboxed():
        await (await queue.aadd("echo", 0)).aresult(60)
        gc.collect()
        before = resident()
        jobs = await queue.aadd_bulk([JobSpec("shout", {"megabytes": 100}) for _ in range(TIMES)])
        await finished(queue, TIMES + 1, 800)
        gc.collect()
        assert resident() - before < 20 * 2**20
    assert [await job.aresult(1) for job in jobs] == [100] * TIMES
    invariants.check(redis_client, "q", idle=True)
