"""Database connections of jobs: one a running job, checked around it, closed at the end."""

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.db.backends.sqlite3.base import DatabaseWrapper

from queuecore import Job, JobSpec, Queue
from tests.server.working import finished, until, working

pytestmark = pytest.mark.django_db(transaction=True)


class Opened:
    """The connections that were opened, with their threads."""

    def __init__(self) -> None:
        self.found: list[tuple[weakref.ref[BaseDatabaseWrapper], int]] = []

    def note(self, connection: BaseDatabaseWrapper, **_: Any) -> None:
        self.found.append((weakref.ref(connection), threading.get_ident()))

    @property
    def threads(self) -> set[int]:
        return {thread for _, thread in self.found}

    @property
    def open(self) -> int:
        return sum(
            (one := ref()) is not None and one.connection is not None for ref, _ in self.found
        )


@pytest.fixture
def opened() -> Iterator[Opened]:
    opened = Opened()
    connection_created.connect(opened.note)
    yield opened
    connection_created.disconnect(opened.note)


@pytest.fixture
def kept_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections outlive a job, as with CONN_MAX_AGE = None."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", None)


def function(act: Callable[[Job], Any]) -> Any:
    def work(job: Job) -> Any:
        return act(job)

    return work


def coroutine(act: Callable[[Job], Any]) -> Any:
    async def work(job: Job) -> Any:
        return await sync_to_async(act)(job)

    return work


KINDS = pytest.mark.parametrize("kind", [function, coroutine])


@KINDS
async def test_the_orm_works_in_a_job(queue: Queue, opened: Opened, kind: Any) -> None:
    def act(job: Job) -> int:
        with transaction.atomic():
            return int(Group.objects.create(name=f"group of {job.id}").pk)

    jobs = await queue.aadd_bulk([JobSpec("x") for _ in range(12)])
    async with working(kind(act), concurrency=3):
        counts = await finished(queue, 12)
    assert counts["completed"] == 12
    assert {one.name async for one in Group.objects.all()} == {f"group of {job.id}" for job in jobs}
    assert 1 <= len(opened.threads) <= 3 + 1  # and this test's own


async def test_the_async_orm_works_in_a_job(queue: Queue, opened: Opened) -> None:
    async def work(job: Job) -> int:
        group = await Group.objects.acreate(name=job.id)
        return (await Group.objects.aget(pk=group.pk)).pk

    await queue.aadd_bulk([JobSpec("x") for _ in range(12)])
    async with working(work, concurrency=3):
        counts = await finished(queue, 12)
    assert counts["completed"] == 12
    assert opened.open <= 1  # this test's own


@KINDS
async def test_running_jobs_have_a_connection_each(queue: Queue, opened: Opened, kind: Any) -> None:
    """In asgiref's default mode all coroutines would share one thread, and this would hang."""
    meeting = threading.Barrier(4, timeout=5)

    def act(job: Job) -> int:
        Group.objects.count()
        meeting.wait()
        return id(connection.connection)

    jobs = await queue.aadd_bulk([JobSpec("x") for _ in range(4)])
    async with working(kind(act), concurrency=4):
        counts = await finished(queue, 4)
    assert counts["completed"] == 4
    used = [(await queue.aget_job(job.id)).returnvalue for job in jobs]
    assert len(set(used)) == 4


@KINDS
async def test_a_connection_is_closed_after_each_job(
    queue: Queue, opened: Opened, kind: Any
) -> None:
    def act(job: Job) -> None:
        Group.objects.count()

    await queue.aadd_bulk([JobSpec("x") for _ in range(9)])
    async with working(kind(act), concurrency=3):
        await finished(queue, 9)
        assert opened.open == 0
    assert len(opened.found) == 9


@KINDS
async def test_a_connection_that_may_live_longer_is_used_again(
    queue: Queue, opened: Opened, kept_open: None, kind: Any
) -> None:
    def act(job: Job) -> None:
        Group.objects.count()

    await queue.aadd_bulk([JobSpec("x") for _ in range(30)])
    async with working(kind(act), concurrency=3):
        await finished(queue, 30)
        assert 1 <= opened.open <= 3
    assert len(opened.found) <= 3
    # But it ends with the worker.
    assert opened.open == 0


@KINDS
async def test_a_broken_connection_is_replaced(
    queue: Queue, opened: Opened, kept_open: None, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_usable(wrapper: BaseDatabaseWrapper) -> bool:
        try:
            wrapper.connection.execute("SELECT 1")
        except Exception:
            return False
        return True

    # SQLite's always says yes; other databases' ask, as this one.
    monkeypatch.setattr(DatabaseWrapper, "is_usable", is_usable)

    def act(job: Job) -> str:
        Group.objects.count()
        if job.name == "break":
            connection.connection.close()  # as a database that restarts
            Group.objects.count()
        return "fine"

    first = await queue.aadd("break")
    second = await queue.aadd("x")
    async with working(kind(act), concurrency=1):
        await finished(queue, 2)
    assert "closed" in (await queue.aget_job(first.id)).failed_reason
    assert (await queue.aget_job(second.id)).returnvalue == "fine"


@KINDS
async def test_a_connection_that_was_lost_between_two_jobs_is_replaced(
    queue: Queue, opened: Opened, kept_open: None, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job fails of it, though the project does not ask for health checks."""

    def is_usable(wrapper: BaseDatabaseWrapper) -> bool:
        try:
            wrapper.connection.execute("SELECT 1")
        except Exception:
            return False
        return True

    monkeypatch.setattr(DatabaseWrapper, "is_usable", is_usable)
    used = []

    def act(job: Job) -> None:
        Group.objects.count()
        used.append(connection.connection)

    await queue.aadd("x")
    async with working(kind(act), concurrency=1):
        await finished(queue, 1)
        used[0].close()  # as a database that restarts
        await queue.aadd("x")
        counts = await finished(queue, 2)
    assert counts["completed"] == 2
    assert len(set(map(id, used))) == 2


@KINDS
async def test_a_transaction_that_was_left_open_does_not_reach_the_next_job(
    queue: Queue, kept_open: None, kind: Any
) -> None:
    def act(job: Job) -> bool:
        if job.name == "leave":
            connection.set_autocommit(False)
            Group.objects.create(name="never committed")
        return connection.get_autocommit()

    await queue.aadd("leave")
    job = await queue.aadd("x")
    async with working(kind(act), concurrency=1):
        await finished(queue, 2)
    assert (await queue.aget_job(job.id)).returnvalue is True
    assert not await Group.objects.aexists()


@KINDS
async def test_logged_queries_do_not_pile_up(
    queue: Queue, kept_open: None, settings: Any, kind: Any
) -> None:
    settings.DEBUG = True

    def act(job: Job) -> int:
        before = len(connection.queries)
        Group.objects.count()
        return before

    await queue.aadd_bulk([JobSpec("x") for _ in range(5)])
    async with working(kind(act), concurrency=1):
        await finished(queue, 5)
    assert [job.returnvalue for job in await queue.aget_jobs(["completed"])] == [0] * 5


async def test_a_job_without_the_database_opens_none(queue: Queue, opened: Opened) -> None:
    async def work(job: Job) -> None:
        await asyncio.sleep(0)

    threads = threading.active_count()
    await queue.aadd_bulk([JobSpec("x") for _ in range(50)])
    async with working(work, concurrency=10):
        await finished(queue, 50)
        # Only the one that renews locks, and the hooks' if there are any.
        assert threading.active_count() <= threads + 2
    assert opened.found == []


async def test_a_job_whose_lock_is_lost_while_it_uses_the_database(
    queue: Queue, opened: Opened, redis_client: Any
) -> None:
    """The cancellation comes while the connection is cleaned, or before; the slot is free again."""

    async def work(job: Job) -> None:
        await Group.objects.acount()
        if job.name == "long":
            await asyncio.sleep(60)

    options = {"concurrency": 1, "lock_duration": 0.4, "stalled_interval": 30}
    job = await queue.aadd("long")
    async with working(work, **options) as worker:
        await until(lambda: worker.running == 1)
        redis_client.set(f"bull:q:{job.id}:lock", "another")
        await until(lambda: worker.running == 0)
        await queue.aadd("x")
        await finished(queue, 1)
    assert opened.open == 0
