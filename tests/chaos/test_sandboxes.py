"""What no worker survives in its own process, fifty times each, in sandboxes.

After each: nothing stands in active, the siblings have run once and were counted once, and the
worker has no more memory, descriptors or children than before.
"""

import asyncio
import contextlib
import gc
import logging
import os
import re
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue, Worker
from queuecore.wire.connections import get_connection
from queuecore.worker.presence import resident
from queuecore.worker.sandbox.child import Child
from tests import invariants
from tests.chaos.fleet import alive, tree
from tests.server import boxed
from tests.server.working import finished, until, working

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
TIMES = 50
# How many MB of memory it may have more after fifty times, whatever the allocator keeps.
MOST_MEMORY = 10
# How each ends: a pattern of its failed reason, and the job's options.
ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "killed": ("killed by SIGKILL", {}),
    "segfault": ("killed by SIGSEGV", {}),
    "leave": ("ended with exit code 7", {}),
    "allocate": ("MemoryError", {}),
    "endless": ("longer than its timeout", {"timeout": 0.3}),
    "deaf": ("longer than its timeout", {"timeout": 0.3}),
    "unpicklable": ("cannot be pickled", {}),
    "not_json": ("JSON", {}),
    "parent": ("ended with exit code 1", {}),
    "closed": ("longer than its timeout|ended with exit code 1", {"timeout": 0.3}),
    "other": ("closed its own socket", {}),
    "garbage": ("came on its own socket", {}),
}


@pytest.fixture(autouse=True)
def _environment(
    child_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "queuecore")  # what is told is kept until a test's end
    for name, value in child_environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def queue(redis_client: redis.Redis) -> Queue:
    return Queue("q")


@asynccontextmanager
async def sandboxed(**options: Any) -> AsyncIterator[Worker]:
    """A worker with sandboxes that has no more of anything at the end than at the beginning."""
    defaults = {"concurrency": 3, "sandbox_grace": 0.4, "sandbox_memory": 2 * 2**30}
    async with working(boxed.work, sandbox=True, **{**defaults, **options}) as worker:
        await asyncio.gather(*[(await worker.queue.aadd("echo", n)).aresult(60) for n in range(6)])
        await until(lambda: len(_sandboxes()) == 3, 60)
        gc.collect()
        memory, descriptors, begun = resident(), _descriptors(), time.monotonic()
        yield worker
        gc.collect()
        grown = (resident() - memory) / 2**20
        print(f"{grown:+.1f} MB in {time.monotonic() - begun:.0f} s")
        assert worker.is_running()
        assert worker.running == 0
        assert grown < MOST_MEMORY
        # At most three sandboxes, each with its socket, its output and its process.
        assert _descriptors() <= descriptors + 9
        assert len(_sandboxes()) <= 3
    assert _sandboxes() == []


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _sandboxes() -> list[int]:
    """The children that are sandboxes; one that has ended but was not waited for, too."""
    found = []
    for pid in tree(os.getpid())[1:]:
        with contextlib.suppress(OSError):
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
            found += [pid] if b"queuecore.sandbox" in line or not line else []
    return found


async def siblings(queue: Queue) -> list[Job]:
    """As many good jobs, between the bad ones."""
    return await queue.aadd_bulk([JobSpec("echo", n) for n in range(TIMES)])


async def check(client: redis.Redis, good: list[Job], bad: list[Job], ends: str) -> None:
    """Each job has run once, was counted once, and left nothing."""
    assert client.llen("bull:q:active") == 0
    assert client.keys("bull:q:*:lock") == []
    told = Counter(
        (fields["jobId"], fields["event"])
        for _, fields in client.xrange("bull:q:events")
        if fields["event"] in ("active", "completed", "failed", "stalled", "waiting")
        and fields.get("prev") != "waiting-children"
    )
    assert not [one for one in told if one[1] == "stalled"]
    for jobs, end in ((good, "completed"), (bad, ends)):
        for job in jobs:
            await job.arefresh()
            counted = (job.attempts_started, job.attempts_made, job.stalled_counter)
            assert counted == (1, 1, 0), job.id
            once = {name: told[job.id, name] for name in ("active", "completed", "failed")}
            assert once == {"active": 1, "completed": 0, "failed": 0} | {end: 1}, job.id
    assert [job.returnvalue for job in good] == [*range(TIMES)]
    invariants.check(client, "q", idle=True, tolerance=500)


@pytest.mark.parametrize("name", ENDS)
async def test_it_fails_its_job_and_touches_nothing_else(
    queue: Queue, redis_client: redis.Redis, name: str
) -> None:
    reason, options = ENDS[name]
    async with sandboxed():
        specs = [spec for n in range(TIMES) for spec in (JobSpec(name, **options), ("echo", n))]
        jobs = await queue.aadd_bulk(
            [JobSpec(*spec) if isinstance(spec, tuple) else spec for spec in specs]
        )
        await finished(queue, 2 * TIMES + 6, 800)
    bad, good = jobs[::2], jobs[1::2]
    await check(redis_client, good, bad, "failed")
    assert not {
        str(job.failed_reason) for job in bad if not re.search(reason, str(job.failed_reason))
    }
    if name == "parent":
        assert not [pid for job in bad for pid in job.progress if alive(pid)]


async def test_an_endless_loop_is_cancelled_by_another_program(
    queue: Queue, redis_client: redis.Redis
) -> None:
    other, loop = Queue("q"), asyncio.get_running_loop()
    begun: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
    async with sandboxed(heartbeat=0.2) as worker:
        worker.on("progress", lambda job, progress: loop.call_soon_threadsafe(begun[job.id].set))
        bad = await queue.aadd_bulk([JobSpec("endless") for _ in range(TIMES)])
        good = await siblings(queue)

        async def cancel(job: Any) -> None:
            await begun[job.id].wait()
            await until(lambda: other.acancel_job(job.id, "not wanted"), 800)

        await asyncio.gather(*(cancel(job) for job in bad))
        await finished(queue, 2 * TIMES + 6, 800)
    await check(redis_client, good, bad, "failed")
    assert {job.failed_reason for job in bad} == {"not wanted"}
    await get_connection().aclose()


async def test_a_hundred_megabytes_of_output_are_read_and_dropped(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async with sandboxed():
        loud = await queue.aadd_bulk([JobSpec("shout", {"megabytes": 100}) for _ in range(TIMES)])
        good = await siblings(queue)
        await finished(queue, 2 * TIMES + 6, 800)
    await check(redis_client, good, loud, "completed")
    assert [job.returnvalue for job in loud] == [100] * TIMES
    assert {(await job.aget_logs())[1] for job in loud} == {201}


async def test_a_syntax_error_at_import_fails_its_job_and_starts_no_storm(
    queue: Queue,
    redis_client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "broken_chaos_box.py").write_text("def work(job):\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import broken_chaos_box  # type: ignore[import-not-found]

    (tmp_path / "broken_chaos_box.py").write_text("def work(job)\n    return 1\n")
    starts: list[float] = []
    begin = Child.begin

    async def counted(self: Child) -> None:
        starts.extend([time.monotonic()] if self._spec.queue == "broken" else [])
        await begin(self)

    monkeypatch.setattr(Child, "begin", counted)
    broken = Queue("broken")
    async with (
        sandboxed(),
        working(broken_chaos_box.work, "broken", sandbox=True, concurrency=3) as worker,
    ):
        good = await siblings(queue)
        bad = []
        for n in range(TIMES):
            bad.append(await broken.aadd("n"))
            await finished(broken, n + 1, 60)
        await finished(queue, TIMES + 6, 60)
        assert worker.is_running()
        assert worker.running == 0
    await check(redis_client, good, [], "")
    invariants.check(redis_client, "broken", idle=True)
    for job in bad:
        await job.arefresh()
        assert (job.attempts_started, job.attempts_made, job.stalled_counter) == (1, 1, 0)
        assert "SyntaxError" in str(job.failed_reason)
        assert "broken_chaos_box.py" in str(job.failed_reason)
    assert TIMES <= len(starts) <= TIMES + 2
    # Once it has failed, no more than one a second.
    paces = [later - one for one, later in pairwise(starts[2:])]
    assert min(paces) >= 0.9
