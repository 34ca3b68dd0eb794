"""The outbox's relay: moves the jobs that were added in transactions to Redis, each once.

One relay at a time has a queue's outbox, so that jobs arrive in the order of their rows; others
stand by, or move those of other queues. A turn takes the outbox, adds a batch, deletes its rows,
and forgets its tokens; the script that adds leaves a token for each job, and refuses whoever does
not have the outbox. So a relay may be cut off at any point: rows whose tokens are there are only
deleted by the next one. Why it is so: docs/decisions/0007-outbox.md.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import Error as DatabaseFault
from django.db import connections, reset_queries
from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone

from . import conf, entries, signals, transactions
from .errors import InvalidOption, OutboxTaken, QueueCoreError, ServerUnavailable
from .models import OutboxEntry, OutboxSource
from .queue import Queue
from .rests import Rests
from .wire.calls.adding import BATCH, NewJob
from .wire.calls.relaying import marks, settle_outbox, take_outbox
from .wire.connections import aliases

logger = logging.getLogger("queuecore.outbox")

#: How long an outbox stays taken after the last sign of its relay.
LEASE_MS = 5_000
#: The rows of a queue's first batch, about the bytes of a later one, batches of a turn, and rows
#: that are looked at to see which queues have any.
FIRST, BATCH_BYTES, TURN, PEEK = 50, 4 * 2**20, 20, 1_000
#: Rows that cannot be added are tried so often before they are set aside.
TRIES = 5
#: So many of those wait for their next try at most, more are set aside at once.
MOST_LATER = 200
LONGEST_REST_S, STRANGERS_S = 5.0, 60.0
_COLUMNS = ("pk", "job_id", "name", "data", "options", "timestamp", "version", "tries")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Backlog:
    """How an outbox is: rows that wait and that are set aside, the oldest one's age in seconds."""

    database: str
    waiting: int
    aside: int
    oldest: float | None


def backlog(using: str | None = None) -> list[Backlog]:
    """How the outboxes are (or that of the database *using*): one query each, for health checks."""
    found = []
    now = timezone.now()
    for database in [using] if using else transactions.outbox_databases():
        row = OutboxEntry._default_manager.using(database).aggregate(
            waiting=Count("pk", filter=Q(failed_at=None)),
            aside=Count("pk", filter=Q(failed_at__isnull=False)),
            first=Min("created_at", filter=Q(failed_at=None)),
        )
        oldest = None if row["first"] is None else max((now - row["first"]).total_seconds(), 0.0)
        found.append(Backlog(database, row["waiting"], row["aside"], oldest))
    return found


def relay_now(using: str | None = None) -> int:
    """Move every row that waits, in this thread, and return how many were added: for tests.

    Raises:
        ServerUnavailable, OutboxTaken, django.db.Error: rows that were not moved are kept.
    """
    relay = Relay([using] if using else None)
    for database in relay.databases():
        while relay.look(database):
            pass
    return relay.moved


def relay_first() -> None:
    """Move what waits before a burst, which would end before a relay had looked."""
    if conf.get_settings().outbox.poll is None:
        return
    try:
        relay_now()
    except (QueueCoreError, DatabaseFault) as error:
        logger.warning("the outbox is not moved before the burst: %s", error)


def retry(ids: Iterable[int] | None = None, using: str | None = None) -> int:
    """Let rows that were set aside (those with *ids*, or all) be tried again; how many."""
    return _aside(ids, using).update(failed_at=None, error="", tries=0)


def discard(ids: Iterable[int] | None = None, using: str | None = None) -> int:
    """Delete rows that were set aside (those with *ids*, or all): their jobs are given up."""
    return _aside(ids, using).delete()[0]


def _aside(ids: Iterable[int] | None, using: str | None) -> QuerySet[OutboxEntry]:
    database = using or transactions.outbox_databases()[0]
    rows = OutboxEntry._default_manager.using(database).filter(failed_at__isnull=False)
    return rows if ids is None else rows.filter(pk__in=list(ids))


class Relay:
    """Moves the rows of some databases (by default all that have an outbox) to Redis.

    ``moved``: jobs that were added.
    """

    def __init__(self, databases: Sequence[str] | None = None) -> None:
        self.moved = 0
        self._databases = databases
        # Who has an outbox. It is this relay's for good: what it sent before an outage and arrives
        # late is told from what it sends by the number of its lane.
        self._holder = uuid.uuid4().hex
        self._queues: dict[tuple[str, str], Queue] = {}
        self._sources: dict[str, str] = {}
        self._full: dict[str, list[tuple[str, str]]] = {}
        self._rests = Rests(LONGEST_REST_S)
        self._later: dict[tuple[str, int], float] = {}
        self._strangers: dict[str, float] = {}
        self._stopping = threading.Event()
        self._woken = threading.Event()

    def databases(self) -> Sequence[str]:
        """The aliases of the databases that it looks into."""
        named = self._databases or transactions.outbox_databases()
        return [one for one in named if "dummy" not in connections[one].settings_dict["ENGINE"]]

    def run(self, poll: float) -> None:
        """Move rows until :meth:`end`, looking every *poll* seconds, and after commits of this
        process; an outage of a server or a database is waited out."""
        transactions.wake.add(self._woken.set)
        try:
            while not self._stopping.is_set():
                moved = [self._patiently(database) for database in self.databases()]
                reset_queries()
                if not any(moved):
                    self._woken.wait(poll)
                    self._woken.clear()
        finally:
            transactions.wake.discard(self._woken.set)
            connections.close_all()

    def end(self) -> None:
        """Have :meth:`run` end after the present batch; may be called from any thread."""
        self._stopping.set()
        self._woken.set()

    def _patiently(self, database: str) -> int:
        """Look into one database, unless that failed lately; a fault is told once."""
        if self._rests.holds(database):
            return 0
        try:
            moved = self.look(database, patient=True)
            self._warn_of_strangers(database)
        except DatabaseFault as error:
            if self._rests.begin(database):
                logger.warning(
                    "the outbox of the database %r cannot be read, what is in it waits: %s (if "
                    "its table is missing: manage.py migrate queuecore --database %s)",
                    database, error, database,
                )  # fmt: skip
            connections[database].close()
        except Exception:
            self._rests.begin(database)
            logger.exception("the relay of the outbox of %r pauses", database)
            connections[database].close()
        else:
            if (seconds := self._rests.end(database)) is not None:
                logger.info("the outbox of %r is read again after %.0f s", database, seconds)
            return moved
        return 0

    def look(self, database: str, *, patient: bool = False) -> int:
        """Give each queue that has rows in *database* a turn; how many rows were dealt with.

        Raises:
            ServerUnavailable, OutboxTaken, django.db.Error: unless it is *patient*.
        """
        rows = self._waiting(database)
        # Those of which more is left than a turn takes: others come first, however far behind.
        full = self._full.pop(database, [])
        for alias, name in full:
            rows = rows.exclude(connection=alias, queue=name)
        peek = rows.order_by("pk").values_list("connection", "queue")[:PEEK]
        found = dict.fromkeys([*peek, *full])
        if found:
            self._register(database)
        dealt = 0
        for alias, name in found:
            if self._stopping.is_set() or self._rests.holds("server", alias):
                continue
            try:
                dealt += self._turn(database, alias, name)
            except OutboxTaken:
                if not patient:
                    raise
                self._rests.begin(database, alias, name, longest=1.0)
            except ServerUnavailable as error:
                if not patient:
                    raise
                if self._rests.begin("server", alias):
                    logger.warning("jobs wait in the outbox for connection %r: %s", alias, error)
            else:
                self._rests.end(database, alias, name)
                if (seconds := self._rests.end("server", alias)) is not None:
                    logger.info(
                        "jobs of the outbox are added again on connection %r after %.0f s",
                        alias, seconds,
                    )  # fmt: skip
        return dealt

    def _waiting(self, database: str) -> QuerySet[OutboxEntry]:
        """The rows that may be moved now. Those of a newer version are left to newer relays."""
        now = time.monotonic()
        self._later = {key: due for key, due in self._later.items() if due > now}
        usable = [one for one in aliases() if not self._rests.holds("server", one)]
        rows = OutboxEntry._default_manager.using(database).filter(
            failed_at=None, version__lte=entries.VERSION, connection__in=usable
        )
        if later := [pk for where, pk in self._later if where == database]:
            rows = rows.exclude(pk__in=later)
        for where, *queue in self._rests.held():
            if where == database and len(queue) == 2:
                rows = rows.exclude(connection=queue[0], queue=queue[1])
        return rows

    def _register(self, database: str) -> None:
        """Learn the outbox's name, which is in the database itself; made by the first relay.

        It is written each time: a read-only replica must not pass for an outbox.
        """
        source, now = OutboxSource._default_manager.using(database), timezone.now()
        name = self._sources.get(database)
        if name is None or not source.filter(pk=1, name=name).update(relayed_at=now):
            row, made = source.get_or_create(
                pk=1, defaults={"name": uuid.uuid4().hex, "relayed_at": now}
            )
            if not made:
                source.filter(pk=1).update(relayed_at=now)
            self._sources[database] = row.name

    def _turn(self, database: str, alias: str, name: str) -> int:
        """Move up to some batches of one queue's rows; how many rows were dealt with."""
        if (queue := self._queues.get((alias, name))) is None:
            queue = self._queues[alias, name] = Queue.existing(name, alias)
        keys, run, source = queue.keys, queue.connection.run, self._sources[database]
        tokens = run(take_outbox(keys, source, self._holder, LEASE_MS))
        if tokens is None:
            raise OutboxTaken(f"another relay moves the rows of queue {name!r}")
        if tokens and (gone := self._without_row(database, tokens)):
            run(settle_outbox(keys, source, self._holder, LEASE_MS, gone))
        dealt, size = 0, FIRST
        for _ in range(TURN):
            rows = self._waiting(database).filter(connection=alias, queue=name).order_by("pk")
            batch: list[Row] = list(rows.values(*_COLUMNS)[:size])
            if batch:
                self._move(database, queue, batch)
                dealt += len(batch)
            if len(batch) < size or self._stopping.is_set():
                break
            mean = sum(len(row["data"]) + len(row["options"]) for row in batch) // len(batch)
            size = min(max(BATCH_BYTES // (mean + 1), 1), BATCH)
        else:
            self._full.setdefault(database, []).append((alias, name))
        # Not where something has failed: it is taken again, by the same holder or after a while.
        run(settle_outbox(keys, source, self._holder, 0))
        return dealt

    def _without_row(self, database: str, tokens: list[str]) -> list[str]:
        """Which *tokens* have no row any more: a relay was cut off after it had deleted them.

        Nobody else deletes or adds them meanwhile, since this relay has the outbox.
        """
        by_id = {int(token.partition(":")[0]): token for token in tokens}
        rows = OutboxEntry._default_manager.using(database).filter(pk__in=list(by_id))
        there = set(rows.values_list("pk", flat=True))
        return [token for pk, token in by_id.items() if pk not in there]

    def _move(self, database: str, queue: Queue, batch: list[Row]) -> None:
        ready: list[tuple[Row, NewJob]] = []
        for row in batch:
            try:
                ready.append((row, entries.read(row)))
            except InvalidOption as error:
                self._set_aside(database, queue, row, error)
        if ready:
            self._add(database, queue, ready)

    def _add(self, database: str, queue: Queue, ready: list[tuple[Row, NewJob]]) -> None:
        """Add jobs, delete their rows and forget them; where one cannot be added, one by one."""
        tokens = [f"{row['pk']}:{row['job_id']}" for row, _ in ready]
        source = self._sources[database]
        try:
            added = queue.connection.run(
                queue._add([job for _, job in ready], marks(source, self._holder, tokens))
            )
        except (ServerUnavailable, OutboxTaken):
            raise
        except Exception as error:
            if len(ready) > 1:
                for one in ready:
                    self._add(database, queue, [one])
            else:
                self._put_off(database, queue, ready[0][0], error)
            return
        rows = OutboxEntry._default_manager.using(database)
        rows.filter(pk__in=[row["pk"] for row, _ in ready]).delete()
        self.moved += len(ready)
        signals.tell_added(added)
        held = settle_outbox(queue.keys, source, self._holder, LEASE_MS, tokens)
        if not queue.connection.run(held):
            raise OutboxTaken(f"another relay moves the rows of queue {queue.name!r} by now")

    def _put_off(self, database: str, queue: Queue, row: Row, error: Exception) -> None:
        """Try a row again later, while others pass it: its parent may come. Or set it aside."""
        tries = row["tries"] + 1
        if tries >= TRIES or len(self._later) >= MOST_LATER:
            self._set_aside(database, queue, row, error)
            return
        self._rows(database, row).update(tries=tries, error=_clean(error))
        self._later[database, row["pk"]] = time.monotonic() + 2 ** (tries - 1)

    def _set_aside(self, database: str, queue: Queue, row: Row, error: Exception) -> None:
        self._rows(database, row).update(
            failed_at=timezone.now(), error=_clean(error), tries=row["tries"] + 1
        )
        logger.error(
            "job %s %r of queue %r is set aside in the outbox of %r (row %d): %s; see manage.py "
            "outbox", row["job_id"], row["name"], queue.name, database, row["pk"], error,
        )  # fmt: skip

    def _rows(self, database: str, row: Row) -> QuerySet[OutboxEntry]:
        return OutboxEntry._default_manager.using(database).filter(pk=row["pk"], failed_at=None)

    def _warn_of_strangers(self, database: str) -> None:
        """Tell once of rows that only others can move: for a connection that is unknown here."""
        now = time.monotonic()
        if self._strangers.get(database, 0.0) > now:
            return
        self._strangers[database] = now + STRANGERS_S
        known = Q(connection__in=aliases(), version__lte=entries.VERSION)
        rows = OutboxEntry._default_manager.using(database).filter(failed_at=None).exclude(known)
        if (row := rows.order_by("pk").first()) is not None:
            logger.warning(
                "the outbox of %r has jobs that this process cannot add, the first for queue %r on "
                "connection %r (row %d, version %d): a process with other settings or a newer "
                "version must run", database, row.queue, row.connection, row.pk, row.version,
            )  # fmt: skip


def _clean(error: Exception) -> str:
    """The text of an error as every database stores it."""
    text = f"{type(error).__name__}: {error}"
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")[:2000]


async def beside() -> None:
    """Relay in a thread until cancelled: what ``runworker`` does; nothing if ``POLL`` is None."""
    poll = conf.get_settings().outbox.poll
    if poll is None:
        await asyncio.Event().wait()
        return
    relay = Relay()
    thread = threading.Thread(target=relay.run, args=(poll,), name="queuecore-outbox", daemon=True)
    thread.start()
    try:
        await asyncio.Event().wait()
    finally:
        relay.end()
        await asyncio.to_thread(thread.join, 2)
