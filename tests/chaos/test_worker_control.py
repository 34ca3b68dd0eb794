"""One worker steered while its server is away: what was asked for holds when it is back."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from queuecore import Job, JobSpec, Queue, Worker
from queuecore.errors import ServerUnavailable
from queuecore.worker import locks
from tests import invariants
from tests.server.working import until, working
from tests.servers import Server

Steer = Callable[[Worker], Coroutine[Any, Any, None]]


@pytest.fixture
def mortal(new_server: Callable[..., Server], connect: Callable[[Server], None]) -> Server:
    """A server to be killed and started again; the connection ``mortal``."""
    server = new_server(persist=True)
    connect(server)
    return server


def ended(server: Server) -> int:
    with server.client() as client:
        return client.zcard("bull:q:completed") + client.zcard("bull:q:failed")


async def start(server: Server) -> None:
    """In this thread: the server would end with another one."""
    server.start()


async def hold(job: Job) -> None:
    await asyncio.Event().wait()


async def work(job: Job) -> None:
    await asyncio.sleep(0.001)


async def test_a_pause_and_a_resume_while_it_is_away(mortal: Server) -> None:
    queue = Queue("q", connection="mortal")
    async with working(work, connection="mortal", drain_delay=60) as worker:
        await queue.aadd("before")
        await until(lambda: ended(mortal) == 1)
        mortal.kill()
        await asyncio.wait_for(worker.pause(), 5)  # nothing runs: there is nothing to wait for
        await start(mortal)
        await queue.aadd_bulk([JobSpec("n") for _ in range(3)])
        await asyncio.sleep(0.5)  # it could claim them by now
        assert ended(mortal) == 1
        mortal.kill()
        worker.resume()
        await start(mortal)
        await until(lambda: ended(mortal) == 4, 10)
    with mortal.client() as client:
        invariants.check(client, "q", tolerance=2_000)


async def test_a_job_is_cancelled_while_it_is_away(mortal: Server) -> None:
    """Its processor stops at once, and it fails with the reason, once, when that can be told."""
    queue = Queue("q", connection="mortal")
    told: list[str] = []
    async with working(hold, connection="mortal") as worker:
        worker.on("failed", lambda job, error: told.append(str(error)))
        job = await queue.aadd("n")
        await until(lambda: worker.running == 1)
        mortal.kill()
        assert worker.cancel_job(job.id, "too late")
        await until(lambda: worker.running == 0)
        assert not worker.cancel_job(job.id, "twice")
        await start(mortal)
        await until(lambda: ended(mortal) == 1, 10)
        await until(lambda: told)
    await job.arefresh()
    assert (job.failed_reason, told) == ("too late", ["too late"])


async def test_another_concurrency_while_it_is_away(mortal: Server) -> None:
    queue = Queue("q", connection="mortal")
    await queue.aadd_bulk([JobSpec("n") for _ in range(12)])
    async with working(hold, connection="mortal", concurrency=2) as worker:
        await until(lambda: worker.running == 2)
        mortal.kill()
        worker.concurrency = 6
        await start(mortal)
        await until(lambda: worker.running == 6, 10)
        mortal.kill()
        worker.concurrency = 1
        assert worker.cancel_all_jobs("enough") == 6
        await start(mortal)
        await until(lambda: ended(mortal) == 6, 10)
        await until(lambda: worker.running == 1)
        await asyncio.sleep(0.2)  # a second could be claimed by now
        assert worker.running == 1
        await worker.close(0)
    with mortal.client() as client:
        counts = invariants.check(client, "q", tolerance=2_000)
    assert (counts["failed"], counts["wait"]) == (6, 6)


async def test_hooks_are_told_once_over_restarts(mortal: Server) -> None:
    queue = Queue("q", connection="mortal")
    told: dict[str, list[str]] = {"active": [], "completed": []}
    errors: list[BaseException] = []
    async with working(work, connection="mortal", concurrency=3) as worker:
        worker.on("active", lambda job: told["active"].append(job.id))
        worker.on("completed", lambda job, result: told["completed"].append(job.id))
        worker.on("error", errors.append)
        added = 0
        for _ in range(3):
            await queue.aadd_bulk([JobSpec("n") for _ in range(60)])
            added += 60
            await until(lambda least=added - 40: len(told["completed"]) > least, 10)
            mortal.kill()
            await until(lambda: errors, 10)
            await start(mortal)
            await until(lambda all_=added: len(told["completed"]) == all_, 10)
    assert sorted(told["completed"]) == sorted(told["active"])
    assert len(set(told["completed"])) == added
    assert all(isinstance(error, ServerUnavailable) for error in errors)


@pytest.mark.parametrize(
    ("busy", "first"), [(False, ""), (False, "pause"), (True, "pause"), (True, "cancel")]
)
async def test_close_ends_in_time_while_it_is_away(mortal: Server, busy: bool, first: str) -> None:
    """No server to tell: its jobs stay locked until their locks end, and it says so."""
    queue = Queue("q", connection="mortal")
    async with working(hold, connection="mortal", drain_delay=60) as worker:
        if busy:
            await queue.aadd("n")
            await until(lambda: worker.running == 1)
        else:
            await until(lambda: waits(mortal))
        mortal.kill()
        if first == "pause":
            await worker.pause(do_not_wait_active=True)
        elif first == "cancel":
            worker.cancel_all_jobs()
        begun = time.monotonic()
        await worker.close(0.3)
        assert time.monotonic() - begun < 5
    mortal.start()
    with mortal.client() as client:
        counts = invariants.check(client, "q", tolerance=2_000)
    assert counts["active"] == sum(counts.values()) == int(busy)


def waits(server: Server) -> bool:
    with server.client() as client:
        return any(one["cmd"] == "bzpopmin" for one in client.client_list())


async def test_after_an_outage_renewals_go_before_the_look_for_stalled_jobs(
    mortal: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The renewal is about as late as it may be: no own job is taken for one of a dead worker."""
    renew, not_before = locks.LockRenewer._renew, 0.0

    def late(renewer: locks.LockRenewer) -> None:
        if time.monotonic() < not_before:
            raise ServerUnavailable("it is not tried yet", sent=False)
        renew(renewer)

    monkeypatch.setattr(locks.LockRenewer, "_renew", late)
    monkeypatch.setattr(locks, "LONGEST_PAUSE", locks._FIRST_PAUSE)
    runs: list[str] = []

    async def long(job: Job) -> None:
        runs.append(job.id)
        await asyncio.sleep(6)

    queue = Queue("q", connection="mortal")
    options = {"concurrency": 10, "lock_duration": 1.5, "stalled_interval": 0.5}
    async with working(long, connection="mortal", **options):
        await queue.aadd_bulk([JobSpec("n") for _ in range(10)])
        await until(lambda: len(runs) == 10)
        await asyncio.sleep(1)  # by then they are the suspects of the next look
        mortal.kill()
        not_before = float("inf")
        await asyncio.sleep(2.5)  # longer than any lock
        await start(mortal)
        not_before = time.monotonic() + 0.9
        await until(lambda: ended(mortal) >= 10, 15)
    assert len(runs) == 10
