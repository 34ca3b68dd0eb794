"""``queuecore.testing``: jobs run in the test's thread, on its own server, as the test says."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.test import override_settings

from queuecore import Backoff, Batch, JobSpec, Processor, Queue, processor, signals
from queuecore.errors import ConfigurationError
from queuecore.processors import Registry
from queuecore.testing import (
    adrain,
    assert_enqueued,
    assert_not_enqueued,
    clock,
    drain,
    enqueued,
    flush,
    inline,
    private_server,
)
from tests.servers import Server

made_before = Queue("mail")


@pytest.fixture(autouse=True)
def ran(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A private server, no processors but those of the test, and what these have noted."""
    monkeypatch.setattr("queuecore.processors.registry", registry := Registry())
    monkeypatch.setattr("queuecore.discovery.registry", registry)
    monkeypatch.setattr("queuecore.discovery.apps.get_app_configs", list)
    with private_server():
        flush()
        yield []


def here(ran: list[Any]) -> bool:
    return all(one is threading.current_thread() for one in ran)


def test_everything_runs_in_the_thread_of_the_test(ran: list[Any]) -> None:
    @processor("mail", name="class")
    class Mails(Processor):
        def setup(self) -> None:
            ran.append(threading.current_thread())

        async def process(self, job: Any) -> int:
            ran.append(threading.current_thread())
            await job.aupdate_progress(7)
            return 1

        def on_completed(self, job: Any, result: Any) -> None:
            ran.append(threading.current_thread())

        def teardown(self) -> None:
            ran.append(threading.current_thread())

    def heard(sender: Any, **named: Any) -> None:
        ran.append(threading.current_thread())

    signals.job_completed.connect(heard)
    try:
        made_before.add("class")
        assert drain("mail").completed[0].returnvalue == 1
    finally:
        signals.job_completed.disconnect(heard)
    # A coroutine runs in a loop that this thread waits for.
    assert sum(one is threading.current_thread() for one in ran) == 4
    assert len(ran) == 5


@pytest.mark.django_db
def test_what_a_job_does_on_commit(ran: list[Any]) -> None:
    @processor("mail", name="first")
    def first(job: Any) -> None:
        with transaction.atomic():
            made_before.add_on_commit("second")
        transaction.on_commit(lambda: ran.append("later"))

    @processor("mail", name="second")
    def second(job: Any) -> None:
        ran.append("second")

    made_before.add("first")
    before = len(connection.run_on_commit)
    drain()
    assert sorted(ran) == ["later", "second"]
    assert len(connection.run_on_commit) == before


@pytest.mark.django_db
def test_queries_are_counted(django_assert_num_queries: Any) -> None:
    @processor("mail")
    def ask(job: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    made_before.add_bulk([JobSpec("one"), JobSpec("two")])
    with django_assert_num_queries(2):
        drain()


def test_inline_runs_what_jobs_add(ran: list[Any]) -> None:
    @processor("mail")
    def count(job: Any) -> int:
        ran.append(job.data)
        if job.data["left"]:
            made_before.add("count", {"left": job.data["left"] - 1, "pair": (1, 2)})
        return len(ran)

    with inline():
        job = made_before.add("count", {"left": 2})
        later = made_before.add("count", {"left": 0}, delay=3600)
        assert job.get_state() == "completed"
        assert (job.returnvalue, later.returnvalue) == (1, None)
        assert ran[1] == {"left": 1, "pair": [1, 2]}
        clock.advance(hours=1)
    later.refresh()
    assert later.returnvalue == 4
    made_before.add("count", {"left": 0})
    assert len(ran) == 4  # no more inline


def test_inline_tries_again_and_raises(ran: list[Any]) -> None:
    @processor("mail")
    def fail(job: Any) -> None:
        ran.append(job.attempts_made)
        raise KeyError("not there")

    with inline(), pytest.raises(KeyError, match="not there"):
        made_before.add("x", attempts=3, backoff=Backoff.fixed(60))
    with inline(raise_errors=False):
        job = made_before.add("x", attempts=2)
    assert ran == [0, 1, 2, 0, 1]
    assert (job.get_state(), job.failed_reason) == ("failed", "KeyError: 'not there'")


async def test_async(ran: list[Any]) -> None:
    @processor("mail")
    async def add(job: Any) -> int:
        if not ran:
            ran.append(1)
            await made_before.aadd("again")
        return 5

    job = await made_before.aadd("x")
    assert (await adrain()).runs == 2
    assert await job.aresult(timeout=30) == 5
    with inline():
        job = await made_before.aadd("x")
        assert job.returnvalue == 5


def test_batches_and_limits_do_not_wait(ran: list[Any]) -> None:
    from queuecore import RateLimit

    @processor("mail", batch=Batch(10, min_size=10, timeout=3600), limiter=RateLimit(1, 3600))
    def many(jobs: list[Any]) -> None:
        ran.append(len(jobs))

    made_before.add_bulk([JobSpec("x")] * 3)
    assert drain().runs == sum(ran) == 3


def test_a_name_that_nobody_takes(ran: list[Any]) -> None:
    @processor("mail", name="known")
    def known(job: Any) -> None: ...

    made_before.add("unknown")
    with pytest.raises(Exception, match="takes jobs named 'unknown'"):
        drain()
    with pytest.raises(ConfigurationError, match="did you mean 'mail'"):
        drain("mial")


def test_a_job_that_adds_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queuecore.testing.draining.MOST_RUNS", 20)

    @processor("mail")
    def again(job: Any) -> None:
        made_before.add("again")

    made_before.add("again")
    with pytest.raises(ConfigurationError, match="does one add itself"):
        drain()


def test_what_is_enqueued() -> None:
    made_before.add("welcome", {"user": 7, "mails": [1]}, delay=60, priority=2)
    job = assert_enqueued("mail", "welcome", {"user": 7}, delay=60, priority=2)
    assert job.data == {"user": 7, "mails": [1]}
    assert [one.id for one in enqueued()] == [job.id]
    assert_not_enqueued("mail", "bye")
    for wrong in ({"data": {"user": 8}}, {"delay": 61}, {"name": "bye"}, {"count": 2}):
        with pytest.raises(AssertionError, match="'welcome' with"):
            assert_enqueued("mail", **wrong)
    with pytest.raises(AssertionError, match="is enqueued: <Job"):
        assert_not_enqueued("mail", "welcome")


def test_every_connection_leads_to_the_private_server() -> None:
    named = {"default": {"URL": "redis://127.0.0.1:1/0"}, "b": {"URL": "redis://127.0.0.1:1/1"}}
    with override_settings(QUEUECORE={"CONNECTIONS": named}):
        other = Queue("mail", connection="b")
        other.add("x")
        made_before.add("y")
        assert [one.name for one in other.get_waiting()] == ["x"]
        assert [one.name for one in made_before.get_waiting()] == ["y"]
        flush()
        assert enqueued() == []
        assert other.get_waiting() == []


def test_the_servers_of_the_settings_are_left_alone(server: Server) -> None:
    made_before.add("x")
    with server.client() as client:
        assert client.keys("*") == []


def test_a_day_passes(ran: list[Any]) -> None:
    @processor("mail")
    def note(job: Any) -> None:
        ran.append(clock.now())

    with clock.at("2027-01-01T00:00+00:00"):
        made_before.upsert_job_scheduler("s", every=6 * 3600, name="x")
        made_before.add("x", delay=3600)
        drain(over=timedelta(hours=23))
        assert clock.now().isoformat() == "2027-01-01T23:00:00+00:00"
    assert [one.hour for one in ran] == [0, 1, 6, 12, 18]


def test_without_a_private_server() -> None:
    assert settings.configured
    from queuecore.testing import server

    server.end()
    try:
        for wrong in (drain, flush, enqueued):
            with pytest.raises(ConfigurationError, match="QueueCoreTestMixin"):
                wrong()
    finally:
        server.begin()
