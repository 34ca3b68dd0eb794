"""A server that refuses: tried again at a pace, told once, and every result arrives in the end."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue, Worker
from tests import invariants
from tests.server.refusing import Refusing
from tests.server.working import finished, told, until, working
from tests.servers import Server

Front = Callable[[Refusing], None]


@pytest.fixture
def front(settings: Any) -> Front:
    """Makes a refusing server the connection ``front`` of this test."""

    def name(refusing: Refusing) -> None:
        connections = settings.QUEUECORE["CONNECTIONS"] | {"front": {"URL": refusing.url}}
        settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": connections}

    return name


ANSWERS = [
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "LOADING Valkey is loading the dataset in memory",
    "MISCONF Errors writing to the AOF file: No space left on device",
    "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "NOREPLICAS Not enough good replicas to write.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "NOAUTH Authentication required.",
    "NOPERM User x has no permissions to run the 'evalsha' command",
    "ERR something that nobody has met before",
    "WRONGTYPE Operation against a key holding the wrong kind of value",
]


class Gated:
    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.runs: Counter[str] = Counter()

    async def __call__(self, job: Job) -> None:
        self.runs[job.id] += 1
        await self.gate.wait()


async def test_results_wait_and_arrive(
    server: Server, redis_client: redis.Redis, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the error is: all side by side, each with a queue, a worker and a server of its own
    in front, as most of the time is waited."""
    names = [f"refused-{number:02}" for number in range(len(ANSWERS))]
    async with contextlib.AsyncExitStack() as stack:
        fronts = [stack.enter_context(Refusing(server)) for _ in names]
        urls = {name: {"URL": front.url} for name, front in zip(names, fronts, strict=True)}
        connections = settings.QUEUECORE["CONNECTIONS"] | urls
        settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": connections}
        gates = [Gated() for _ in names]
        workers = [
            await stack.enter_async_context(working(gated, name, connection=name, concurrency=4))
            for gated, name in zip(gates, names, strict=True)
        ]
        ends = await asyncio.gather(
            *map(wait_and_arrive, ANSWERS, names, fronts, gates, workers, [caplog] * len(names)),
            return_exceptions=True,
        )
    assert {answer: end for answer, end in zip(ANSWERS, ends, strict=True) if end} == {}
    for name, gated in zip(names, gates, strict=True):
        assert (len(gated.runs), set(gated.runs.values())) == (8, {1})
        invariants.check(redis_client, name, idle=True)


async def wait_and_arrive(
    answer: str,
    name: str,
    refusing: Refusing,
    gated: Gated,
    worker: Worker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Four jobs end while *answer* is all that the worker hears."""
    queue = Queue(name)
    await queue.aadd_bulk([JobSpec("x") for _ in range(8)])
    await until(lambda: worker.running == 4)
    refusing.answer = answer
    gated.gate.set()
    await until(lambda: worker.running == 0)
    begun = time.monotonic()
    await asyncio.sleep(1.5)
    counts = await queue.aget_job_counts()
    assert (counts["active"], counts["failed"], counts["completed"]) == (4, 0, 0)
    # Two lanes: some quick tries, then at most one a second each.
    in_all = [at for at in refusing.asked if at >= begun]
    assert 2 <= len(in_all) <= 16
    assert len([at for at in in_all if at >= begun + 0.75]) <= 4
    said = [one for one in told(caplog) if name in one]
    assert 1 <= len(said) <= 2, said
    assert answer.split(" ")[0] in " ".join(said)
    refusing.answer = None
    await finished(queue, 8)


@pytest.mark.parametrize("answer", ANSWERS[:2])
async def test_an_idle_worker_is_refused_at_a_pace(
    queue: Queue, server: Server, front: Front, answer: str
) -> None:
    gated = Gated()
    gated.gate.set()
    with Refusing(server) as refusing:
        front(refusing)
        refusing.answer = answer
        async with working(gated, connection="front"):
            await queue.aadd("x")
            await asyncio.sleep(1.5)
            assert 2 <= len(refusing.asked) <= 16
            refusing.answer = None
            await finished(queue, 1)


@pytest.mark.parametrize("code", ["READONLY", "MASTERDOWN", "NOAUTH", "NOPERM"])
async def test_a_new_connection_is_tried(
    queue: Queue, server: Server, front: Front, code: str
) -> None:
    """After a failover the address leads to the new primary, the old socket does not."""
    gated = Gated()
    with Refusing(server) as refusing:
        front(refusing)
        async with working(gated, connection="front") as worker:
            await queue.aadd("x")
            await until(lambda: worker.running == 1)
            refusing.forgive_new = True
            refusing.answer = f"{code} not here"
            gated.gate.set()
            await finished(queue, 1, 3)


async def test_stalled_checks_and_renewals_go_on_after_refusals(
    queue: Queue, server: Server, redis_client: redis.Redis, front: Front
) -> None:
    gated = Gated()
    with Refusing(server, "extend_locks") as refusing:
        front(refusing)
        short = {"lock_duration": 1.0, "stalled_interval": 0.3}
        async with working(gated, connection="front", **short) as worker:
            job = await queue.aadd("x")
            await until(lambda: worker.running == 1)
            refusing.answer = "BUSY somebody's script"
            await asyncio.sleep(0.5)
            assert len(refusing.asked) >= 1
            refusing.answer = None
            await asyncio.sleep(1.0)
            assert redis_client.pttl(f"bull:q:{job.id}:lock") > 0
            gated.gate.set()
            await finished(queue, 1)
    assert gated.runs == {job.id: 1}
