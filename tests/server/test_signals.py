"""Django's signals: sent once each, where receivers may work, and harmless to jobs."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Group

from queuecore import FlowJob, FlowProducer, Job, JobSpec, Queue, Worker, signals
from queuecore.signals import (
    job_added,
    job_completed,
    job_failed,
    job_stalled,
    job_started,
    worker_started,
    worker_stopped,
)
from tests.server.conftest import Do
from tests.server.working import finished, until, working

Connect = Callable[..., None]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """``connect(signal, receiver)`` until the test ends."""
    with ExitStack() as stack:

        def connect(signal: Any, receiver: Any) -> None:
            signal.connect(receiver, weak=False)
            stack.callback(signal.disconnect, receiver)

        yield connect


@pytest.fixture
def heard(connect: Connect) -> list[tuple[str, type, dict[str, Any]]]:
    """What is sent by any of them."""
    found: list[tuple[str, type, dict[str, Any]]] = []

    def receiver(signal: Any, sender: type, **named: Any) -> None:
        found.append((signal.name, sender, named))

    for one in vars(signals).values():
        if isinstance(one, signals.JobSignal):
            connect(one, receiver)
    return found


def test_whoever_adds_tells(do: Do, queue: Queue, heard: list[Any]) -> None:
    jobs = [do(queue.add, "one"), *do(queue.add_bulk, [JobSpec("two"), JobSpec("three")])]
    children = [FlowJob("child", queue="r"), FlowJob("child", queue="q")]
    tree = do(FlowProducer().add, FlowJob("top", queue="q", children=children))
    several = do(FlowProducer().add_bulk, [FlowJob("a", queue="q"), FlowJob("b", queue="r")])
    jobs += [tree.job, *(one.job for one in tree.children), *(one.job for one in several)]
    assert [name for name, _, _ in heard] == ["job_added"] * len(jobs)
    assert all(sender is Queue for _, sender, _ in heard)
    assert [named["job"] for _, _, named in heard] == jobs
    assert [named["queue"].name for _, _, named in heard] == [*"qqqqrqqr"]


async def test_concurrent_adds_tell_once_each(queue: Queue, heard: list[Any]) -> None:
    jobs = await asyncio.gather(*(queue.aadd("x", n) for n in range(50)))
    assert sorted(named["job"].id for _, _, named in heard) == sorted(job.id for job in jobs)


async def test_the_life_of_jobs_is_told(queue: Queue, heard: list[Any]) -> None:
    async def work(job: Job) -> str:
        if job.name == "bad":
            raise ValueError("no")
        return "fine"

    good = await queue.aadd("good")
    async with working(work, concurrency=1) as worker:
        await finished(queue, 1)
        bad = await queue.aadd("bad", attempts=2)
        await finished(queue, 2)
    told = [(name, named["job"].id) for name, _, named in heard if "job" in named]
    # The worker may be told of a job before its adder is.
    added = [one for one in told if one[0] == "job_added"]
    assert added == [("job_added", good.id), ("job_added", bad.id)]
    assert [one for one in told if one not in added] == [
        ("job_started", good.id),
        ("job_completed", good.id),
        ("job_started", bad.id),
        ("job_failed", bad.id),
        ("job_started", bad.id),
        ("job_failed", bad.id),
    ]
    completed = next(named for name, _, named in heard if name == "job_completed")
    assert (completed["result"], completed["job"].returnvalue) == ("fine", "fine")
    failed = [named for name, _, named in heard if name == "job_failed"]
    assert [one["will_retry"] for one in failed] == [True, False]
    assert [str(one["error"]) for one in failed] == ["no", "no"]
    assert [one["job"].attempts_made for one in failed] == [1, 2]
    workers = [
        (name, sender, named["worker"]) for name, sender, named in heard if "worker" in named
    ]
    assert workers == [("worker_started", Worker, worker), ("worker_stopped", Worker, worker)]


async def test_stalled_and_unknown_jobs_are_told(
    queue: Queue, redis_client: redis.Redis, heard: list[Any]
) -> None:
    async def work(job: Job) -> None: ...

    job = await queue.aadd("n")
    redis_client.rpoplpush("bull:q:wait", "bull:q:active")
    redis_client.sadd("bull:q:stalled", job.id)
    async with working(work):
        await finished(queue, 1)
    (stalled,) = [named for name, _, named in heard if name == "job_stalled"]
    assert (stalled["job_id"], stalled["queue"].name) == (job.id, "q")


@pytest.mark.django_db(transaction=True)
async def test_receivers_may_use_the_orm_or_await(queue: Queue, connect: Connect) -> None:
    threads: set[str] = set()
    loops: set[Any] = set()

    def store(sender: type, job: Job, **named: Any) -> None:
        threads.add(threading.current_thread().name)
        Group.objects.create(name=f"{job.name} {job.id}")
        job.log("stored")

    async def ask(sender: type, job: Job, **named: Any) -> None:
        loops.add(asyncio.get_running_loop())
        await job.alog("asked")
        await Group.objects.acreate(name=f"async {job.id}")

    async def work(job: Job) -> None: ...

    connect(job_completed, store)
    connect(job_completed, ask)
    jobs = await queue.aadd_bulk([JobSpec("x") for _ in range(3)])
    async with working(work):
        await finished(queue, 3)
    assert await Group.objects.acount() == 6
    assert threads == {"queuecore-q-hooks_0"}
    assert loops == {asyncio.get_running_loop()}
    for job in jobs:
        assert sorted((await job.aget_logs())[0]) == ["asked", "stored"]


async def test_what_receivers_raise_is_logged_and_harms_no_job(
    queue: Queue, connect: Connect, heard: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    def careless(**named: Any) -> None:
        raise LookupError("the receiver's own")

    async def careless_too(**named: Any) -> None:
        raise LookupError("the receiver's own")

    async def work(job: Job) -> int:
        return 1

    for signal in (job_added, job_started, job_completed, worker_started):
        connect(signal, careless)
        connect(signal, careless_too)
    job = await queue.aadd("x")
    async with working(work):
        assert await job.aresult(20) == 1
    said = [one.getMessage() for one in caplog.records if one.name == "queuecore.signals"]
    assert len(said) == 8
    assert f"receiver {__name__}.{careless.__qualname__} of job_added failed" in said
    assert not [one for one in caplog.records if one.name == "django.dispatch"]
    assert [one for one, _, _ in heard][-1] == "worker_stopped"


async def test_a_worker_that_nobody_listens_to_sends_nothing(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(job: Job) -> None: ...

    async def sent(*_: Any, **named: Any) -> None:
        pytest.fail("sent for nobody")

    for signal in (job_added, job_started, job_completed, job_failed, job_stalled, worker_stopped):
        monkeypatch.setattr(signal, "asend_robust", sent)
        assert not signal.heard
    await queue.aadd("x")
    async with working(work) as worker:
        await finished(queue, 1)
        assert worker._hooks.signals == {}
        await until(lambda: worker.running == 0)
