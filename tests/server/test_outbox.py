"""The outbox: jobs that commit with a transaction of the database, and their way to Redis."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth.models import Group as Account
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections, transaction

from queuecore import Deduplication, Group, JobSpec, Keep, Queue, outbox
from queuecore.errors import (
    ConfigurationError,
    InvalidOption,
    NotSerializable,
    OutboxTaken,
    ServerUnavailable,
    SynchronousCall,
)
from queuecore.models import AuditEntry, OutboxEntry, OutboxSource
from queuecore.outbox import Relay, relay_now
from tests.machine import ROOT
from tests.server.processes import Start
from tests.servers import Server

pytestmark = pytest.mark.django_db(transaction=True)


class Cut(BaseException):
    """The process ends here."""


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Lets the next relay die just before it deletes rows, or just before it forgets them."""

    def arrange(moment: str) -> None:
        def die(*_: Any, **__: Any) -> Any:
            raise Cut

        if moment == "delete":
            monkeypatch.setattr("django.db.models.query.QuerySet.delete", die)
        else:
            real = outbox.settle_outbox

            def settle(*args: Any) -> Any:
                return die() if len(args) == 5 else real(*args)

            monkeypatch.setattr(outbox, "settle_outbox", settle)
        with pytest.raises(Cut):
            relay_now()
        monkeypatch.undo()

    return arrange


@pytest.fixture
def lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease that is over at once, as after some seconds."""
    monkeypatch.setattr(outbox, "LEASE_MS", 0)


def ids(queue: Queue) -> list[str]:
    return [job.id for job in queue.get_jobs(["waiting"], asc=True)]


def test_the_job_commits_with_the_transaction(queue: Queue) -> None:
    with transaction.atomic():
        account = Account.objects.create(name="ann")
        id = queue.add_in_transaction(
            "welcome", {"user": account.pk}, attempts=3, remove_on_complete=Keep(count=5)
        )
        assert queue.count() == 0
    assert relay_now() == 1
    (job,) = queue.get_jobs(["waiting"])
    assert (job.id, job.name, job.data) == (id, "welcome", {"user": account.pk})
    assert job.opts == {"attempts": 3, "removeOnComplete": {"count": 5}}
    assert not OutboxEntry.objects.exists()


def test_it_rolls_back_with_it(queue: Queue) -> None:
    with transaction.atomic():
        queue.add_in_transaction("x")
        queue.add_bulk_in_transaction([JobSpec("x"), JobSpec("y")])
        transaction.set_rollback(True)
    assert relay_now() == 0
    assert queue.count() == 0


def test_outside_of_a_transaction_it_is_one_of_its_own(queue: Queue) -> None:
    id = queue.add_in_transaction("x", job_id="welcome-7")
    relay_now()
    assert [id] == ids(queue) == ["welcome-7"]


def test_jobs_arrive_in_the_order_of_their_adding(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FIRST", 2)
    first = [queue.add_in_transaction("x") for _ in range(3)]
    more = queue.add_bulk_in_transaction(JobSpec("x") for _ in range(8))
    assert relay_now() == 11
    assert ids(queue) == first + more


def test_every_option_comes_through(queue: Queue) -> None:
    parent = queue.add("parent", delay=3600)
    add = queue.add_in_transaction
    plain = {
        "delayed": add("x", delay=3600),
        "first": add("x", lifo=True),
        "prioritized": add("x", priority=4),
        "grouped": add("x", group=Group("tenant", priority=2)),
        "once": add("x", deduplication=Deduplication("7", ttl=60)),
        "child": add("x", parent=parent, fail_parent_on_failure=True),
    }
    again = add("x", deduplication=Deduplication("7", ttl=60))
    relay_now()
    jobs = {name: queue.get_job(id) for name, id in plain.items()}
    states = {name: job.get_state() for name, job in jobs.items() if job}
    assert states == {
        "delayed": "delayed",
        "first": "waiting",
        "prioritized": "prioritized",
        "grouped": "waiting-children",
        "once": "waiting",
        "child": "waiting",
    }
    assert jobs["grouped"] and jobs["grouped"].gid == "tenant"  # noqa: PT018
    family = {"id": parent.id, "queueKey": "bull:q", "fpof": True}
    assert jobs["child"] and jobs["child"].parent == family  # noqa: PT018
    assert queue.get_job(again) is None  # another stands for it


def test_time_counts_from_the_adding(queue: Queue) -> None:
    queue.add_in_transaction("x", delay=3600)
    OutboxEntry.objects.update(timestamp=1_000_000)
    relay_now()
    (job,) = queue.get_jobs(["delayed"])
    assert job.timestamp.timestamp() == 1000
    assert job.delay == 3600


def test_what_is_wrong_is_told_at_once(queue: Queue) -> None:
    for data, options, error in (
        (b"", {}, NotSerializable),
        ({}, {"delay": -1}, InvalidOption),
        ({}, {"group": Group("g", max_size=2)}, InvalidOption),
        ({}, {"job_id": "a\0b"}, InvalidOption),
    ):
        with pytest.raises(error):
            queue.add_in_transaction("x", data, **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="job 1"):
        queue.add_bulk_in_transaction([JobSpec("x"), JobSpec("y", priority=-1)])
    assert not OutboxEntry.objects.exists()


def test_a_database_that_nobody_looks_into_is_refused(queue: Queue) -> None:
    with pytest.raises(ConfigurationError, match=r"\['OUTBOX'\]\['DATABASES'\]"):
        queue.add_in_transaction("x", using="orders")


@pytest.fixture
def orders(settings: Any, tmp_path: Path) -> Iterator[str]:
    """The alias of a second database with an outbox."""
    own = connections["default"].settings_dict | {"NAME": str(tmp_path / "orders.sqlite3")}
    # Open before it is known: Django's tests let nobody open one that they do not name.
    connections["orders"] = type(connections["default"])(own, "orders")
    connections["orders"].ensure_connection()
    settings.DATABASES["orders"] = own
    with connections["orders"].schema_editor() as editor:
        editor.create_model(OutboxEntry)
        editor.create_model(OutboxSource)
    settings.QUEUECORE = settings.QUEUECORE | {"OUTBOX": {"DATABASES": ["default", "orders"]}}
    yield "orders"
    connections["orders"].close()
    del settings.DATABASES["orders"], connections["orders"]


def test_several_databases(queue: Queue, orders: str) -> None:
    with transaction.atomic(using=orders):
        with pytest.raises(InvalidOption, match="using='orders'"):
            queue.add_in_transaction("x")
        mine = queue.add_in_transaction("x", using=orders)
        other = queue.add_in_transaction("y", using="default")
        transaction.set_rollback(True, using=orders)
    assert mine
    assert relay_now() == 1
    assert ids(queue) == [other]
    last = queue.add_in_transaction("z", using=orders)
    assert [(one.database, one.waiting) for one in outbox.backlog()] == [
        ("default", 0),
        (orders, 1),
    ]
    assert relay_now() == 1
    assert ids(queue) == [other, last]
    names = {OutboxSource.objects.using(one).get().name for one in ("default", orders)}
    assert len(names) == 2


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"DATABASES": "default"}, "must be a list"),
        ({"DATABASES": ["defualt"]}, "did you mean 'default'"),
        ({"POLL": 0}, r"\['POLL'\] must be at least"),
        ({"PAUSE": 1}, "unknown key 'PAUSE'"),
    ],
)
def test_what_is_wrong_in_the_settings_is_named(
    queue: Queue, settings: Any, wrong: dict[str, Any], told: str
) -> None:
    settings.QUEUECORE = settings.QUEUECORE | {"OUTBOX": wrong}
    with pytest.raises(ConfigurationError, match=told):
        relay_now()


def test_runworker_moves_jobs_and_works_them(queue: Queue, start: Start) -> None:
    worker = start("quick")
    id = Queue("quick").add_in_transaction("x")
    worker.until(lambda: (job := Queue("quick").get_job(id)) and job.get_state() == "completed")
    worker.tell(signal.SIGTERM)
    assert worker.ends() == 0


def test_the_command_moves_jobs_until_it_is_told_to_stop(
    queue: Queue, child_environment: dict[str, str]
) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), "outbox", "--relay"]
    relay = subprocess.Popen(command, env=child_environment, stderr=subprocess.PIPE, text=True)
    try:
        queue.add_in_transaction("x")
        wait_until(lambda: queue.count() == 1)
        relay.terminate()
        _, said = relay.communicate(timeout=30)
    finally:
        relay.kill()
    assert relay.returncode == 0, said
    assert "the outbox of 'default' is moved to Redis" in said


def test_the_command_shows_and_mends(queue: Queue, capsys: pytest.CaptureFixture[str]) -> None:
    queue.add_in_transaction("bad", job_id="job-1")
    OutboxEntry.objects.update(options="no JSON")
    relay_now()
    queue.add_in_transaction("good")
    row = OutboxEntry.objects.exclude(failed_at=None).get()
    call_command("outbox")
    said = capsys.readouterr().out
    assert "default: 1 wait, the oldest for" in said
    assert "1 are set aside" in said
    assert f"{row.pk}  q  'bad'  'job-1'  'InvalidOption: " in said
    call_command("outbox", "--json")
    (told,) = json.loads(capsys.readouterr().out)
    assert (told["waiting"], told["aside"], told["rows"][0]["pk"]) == (1, 1, row.pk)
    call_command("outbox", "--retry", str(row.pk))
    assert "1 rows are tried again" in capsys.readouterr().out
    relay_now()
    call_command("outbox", "--discard", str(row.pk))
    assert not OutboxEntry.objects.exists()
    told = AuditEntry.objects.filter(phase="result").order_by("number")
    assert [(one.action, one.queue, one.target) for one in told] == [
        ("retry_outbox", "q", '["job-1"]'),
        ("remove_outbox", "q", '["job-1"]'),
    ]
    for given in (("--retry", str(row.pk)), ("--discard", str(row.pk), str(row.pk + 1))):
        missing = len(given) - 1
        with pytest.raises(CommandError, match=f"{missing} of the rows .* not set aside"):
            call_command("outbox", *given)
    with pytest.raises(CommandError, match="no relay looks into"):
        call_command("outbox", "--database", "orders")


async def test_coroutines_are_told_what_to_do(queue: Queue) -> None:
    for method in (queue.add_in_transaction, queue.add_on_commit):
        with pytest.raises(SynchronousCall, match="sync_to_async"):
            method("x")


def test_an_absent_server_does_not_matter_to_the_transaction(
    new_server: Callable[..., Server], settings: Any
) -> None:
    server = new_server(persist=True)
    known = settings.QUEUECORE["CONNECTIONS"]
    settings.QUEUECORE = settings.QUEUECORE | {
        "CONNECTIONS": known | {"mortal": {"URL": server.url}}
    }
    queue = Queue("q", connection="mortal")
    server.kill()
    added = [queue.add_in_transaction("x") for _ in range(3)]
    with pytest.raises(ServerUnavailable):
        relay_now()
    assert [one.waiting for one in outbox.backlog()] == [3]
    server.start()
    assert relay_now() == 3
    assert ids(queue) == added


@pytest.mark.parametrize("moment", ["delete", "forget"])
@pytest.mark.usefixtures("lease")
def test_a_relay_that_is_cut_off_adds_nothing_twice(
    queue: Queue, redis_client: redis.Redis, cut: Callable[[str], None], moment: str
) -> None:
    added = [queue.add_in_transaction("x") for _ in range(3)]
    cut(moment)
    # Though the jobs are done with and gone.
    assert ids(queue) == added
    for id in added:
        queue.remove(id)
    assert OutboxEntry.objects.count() == (3 if moment == "delete" else 0)
    last = queue.add_in_transaction("last")
    relay_now()
    assert ids(queue) == [last]
    assert not OutboxEntry.objects.exists()
    assert redis_client.keys("qc:*:outbox:*") == []


def test_one_relay_at_a_time_has_a_queue(queue: Queue) -> None:
    """The other is refused, and takes over where the first is gone for too long."""
    queue.add_in_transaction("x")
    first, second = Relay(), Relay()
    first._register("default")
    source = OutboxSource.objects.get().name
    run = queue.connection.run
    assert run(outbox.take_outbox(queue.keys, source, first._holder, 5000)) == []
    with pytest.raises(OutboxTaken):
        second.look("default")
    assert queue.count() == 0
    first._queues["default", "q"] = queue
    assert first.look("default") == 1
    assert (first.moved, queue.count()) == (1, 1)


@pytest.mark.usefixtures("lease")
def test_a_relay_that_was_frozen_adds_nothing_when_it_goes_on(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read its rows; another moves them, and their jobs are done, before it sends them."""
    queue.add_in_transaction("x")
    frozen = Relay()
    real = frozen._move

    def thaw(database: str, where: Queue, batch: list[Any]) -> None:
        assert relay_now() == 1
        queue.drain()
        real(database, where, batch)

    monkeypatch.setattr(frozen, "_move", thaw)
    with pytest.raises(OutboxTaken):
        frozen.look("default")
    assert queue.count() == 0


def test_several_relays_at_once(queue: Queue) -> None:
    other = Queue("other")
    expected = [
        where.add_in_transaction("x", {"n": n}) for n in range(40) for where in (queue, other)
    ]
    relays = [Relay() for _ in range(2)]
    threads = [threading.Thread(target=one.run, args=(0.02,)) for one in relays]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: not OutboxEntry.objects.exists())
    finally:
        for relay in relays:
            relay.end()
        for thread in threads:
            thread.join()
    assert ids(queue) == expected[::2]
    assert ids(other) == expected[1::2]
    assert sum(one.moved for one in relays) == 80


def test_a_long_queue_does_not_hold_up_another(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"FIRST": 2, "TURN": 1, "PEEK": 3}.items():
        monkeypatch.setattr(outbox, name, value)
    long = queue.add_bulk_in_transaction(JobSpec("x") for _ in range(6))
    other = Queue("other")
    other.add_in_transaction("x")
    relay = Relay()
    assert (relay.look("default"), other.count()) == (2, 0)
    assert (relay.look("default"), other.count()) == (3, 1)
    relay_now()
    assert ids(queue) == long


def test_a_commit_of_the_same_process_wakes_the_relay(queue: Queue) -> None:
    relay = Relay()
    thread = threading.Thread(target=relay.run, args=(3600,))
    thread.start()
    try:
        wait_until(lambda: relay._woken.set in outbox.transactions.wake)
        with transaction.atomic():
            queue.add_in_transaction("x")
        wait_until(lambda: queue.count() == 1)
    finally:
        relay.end()
        thread.join()


def test_a_row_that_can_never_be_added_is_set_aside(queue: Queue, caplog: Any) -> None:
    added = [queue.add_in_transaction("x") for _ in range(5)]
    row = OutboxEntry.objects.order_by("pk")
    OutboxEntry.objects.filter(pk=row[1].pk).update(options='{"opts": {}, "colour": 1}')
    OutboxEntry.objects.filter(pk=row[3].pk).update(options="no JSON")
    assert relay_now() == 3
    assert ids(queue) == [added[0], added[2], added[4]]
    strange, broken = OutboxEntry.objects.order_by("pk")
    assert "'colour'" in strange.error
    assert "no JSON" in broken.error
    assert caplog.text.count("is set aside") == 2
    (told,) = outbox.backlog()
    assert (told.waiting, told.aside, told.oldest) == (0, 2, None)
    OutboxEntry.objects.filter(pk=strange.pk).update(options='{"opts": {"attempts": 0}}')
    assert outbox.retry([strange.pk]) == 1
    assert relay_now() == 1
    assert outbox.discard() == 1
    assert not OutboxEntry.objects.exists()


def test_what_the_server_refuses_is_tried_again_and_then_set_aside(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent may yet come; others pass meanwhile."""
    queue.add_in_transaction("child", parent={"id": "late", "queue": "bull:q"})
    queue.add_in_transaction("orphan", parent={"id": "never", "queue": "bull:q"})
    passing = queue.add_in_transaction("x")
    relay = Relay()
    relay.look("default")
    assert ids(queue) == [passing]
    queue.add("parent", job_id="late", delay=3600)
    for _ in range(outbox.TRIES - 1):
        relay._later.clear()
        relay.look("default")
    assert [job.name for job in queue.get_jobs(["waiting"], asc=True)] == ["x", "child"]
    (row,) = OutboxEntry.objects.all()
    assert row.failed_at is not None
    assert "does not exist" in row.error


def test_rows_of_a_newer_version_are_left_to_newer_relays(queue: Queue, caplog: Any) -> None:
    queue.add_in_transaction("x")
    OutboxEntry.objects.update(version=9)
    relay = Relay()
    assert relay._patiently("default") == 0
    assert "newer version" in caplog.text
    assert OutboxEntry.objects.get().failed_at is None


def test_times_without_zones(queue: Queue, settings: Any) -> None:
    settings.USE_TZ = False
    queue.add_in_transaction("x", delay=3600)
    (told,) = outbox.backlog()
    assert told.oldest is not None
    assert told.oldest < 3600
    assert relay_now() == 1


def test_a_database_that_fails_is_waited_for(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    queue.add_in_transaction("x")
    relay = Relay()
    real = relay.look

    def look(database: str, **_: Any) -> int:
        raise DatabaseError("the database system is starting up")

    monkeypatch.setattr(relay, "look", look)
    relay._patiently("default")
    assert "starting up" in caplog.text
    assert connection.connection is None
    monkeypatch.setattr(relay, "look", real)
    relay._rests._until.clear()
    assert relay._patiently("default") == 1


def wait_until(what: Callable[[], object]) -> None:
    done = threading.Event()
    for _ in range(3000):
        if what():
            return
        done.wait(0.01)
    raise AssertionError("not within 30 s")
