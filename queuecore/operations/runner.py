"""Carries out operations: a chunk of each in turn, in the one process that holds the lock.

A chunk is some steps of up to 100 jobs, each one script that leaves a receipt, with a rest as long
as the step after each. What a chunk has done is written down before the next one begins; one that
was cut short is gone on with, not done again. Any process may run operations: web processes do from
their first request on, ``runworker`` beside its workers.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
import time
import uuid
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import DatabaseError, close_old_connections, connections
from django.db.models import DateTimeField, F, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from .. import access, audit
from ..errors import QueueCoreError, ServerUnavailable
from ..models import AuditEntry, Operation
from ..wire.calls import matching, operating
from ..wire.calls.operating import Done, Step
from ..wire.connections import aliases, get_connection
from ..wire.keys import Keys
from .actions import ACTIONS, Action
from .orders import LIVE, MOST_FAILURES, Status, meant, required, rows

logger = logging.getLogger("queuecore.operations")

_FAILED = AuditEntry.Outcome.FAILED
_OUTCOMES = {
    Status.DONE.value: AuditEntry.Outcome.DONE,
    Status.ABORTED.value: AuditEntry.Outcome.ABORTED,
}

#: Jobs and seconds of a chunk.
CHUNK, CHUNK_S = 1_000, 0.5
#: The rest after a step: as long as it took, but not as long as this process itself was kept
#: waiting for.
LONGEST_REST_S = 0.005
LEASE_MS = 15_000
#: How often the leader hears of news, others try to lead, and the table is looked through anyhow.
TICK_S, STANDBY_S, LOOK_S = 0.5, 5.0, 15.0
LONGEST_PAUSE_S = 5.0


class Runner:
    """Runs the operations of one connection for as long as :meth:`run` runs."""

    def __init__(self, alias: str = "default") -> None:
        self.alias = alias
        self.leads = False
        self._connection = get_connection(alias)
        self._token = uuid.uuid4().hex
        self._stopping = threading.Event()
        self._rung = -1
        self._look_at = 0.0
        self._open: dict[int, _Pace] = {}

    def run(self) -> None:
        """Run operations until :meth:`end`; an outage of server or database is waited out."""
        pause, told = TICK_S, False
        while not self._stopping.is_set():
            try:
                if not self._open or pause > TICK_S:
                    # Not while something runs: a connection a chunk is one too many.
                    close_old_connections()
                wait = self.step()
            except (QueueCoreError, DatabaseError) as error:
                # A server that is away is news only where something waits for it.
                if not told and (self._open or isinstance(error, DatabaseError)):
                    logger.warning("operations of %r pause: %s", self.alias, error)
                    told = True
                wait = pause = min(pause * 2, LONGEST_PAUSE_S)
                self._rung = -1
            except Exception:
                logger.exception("operations of %r pause", self.alias)
                wait = pause = LONGEST_PAUSE_S
                self._rung = -1
            else:
                pause, told = TICK_S, False
            self._stopping.wait(wait)
        self.let_go()
        connections.close_all()

    def end(self) -> None:
        """Have :meth:`run` end after the present step; may be called from any thread."""
        self._stopping.set()

    def step(self) -> float:
        """Do one chunk of each operation that is due, if this process leads; how long to wait then.

        Raises:
            ServerUnavailable, DatabaseError: nothing is lost; what was begun is gone on with.
        """
        prefix = self._connection.prefix
        keep = operating.keep_lead(prefix, self._token, LEASE_MS)
        self.leads, rung = self._connection.run(keep)
        if not self.leads:
            self._rung = -1
            return STANDBY_S
        if rung != self._rung or time.monotonic() >= self._look_at:
            self._look()
            self._rung = rung
        for pk, pace in list(self._open.items()):
            if self._stopping.is_set():
                break
            if pace.due <= time.monotonic():
                if not self._chunk(pk, pace):
                    self._open.pop(pk, None)
                if not self._connection.run(keep)[0]:
                    break
        soonest = min((pace.due for pace in self._open.values()), default=float("inf"))
        return min(max(soonest - time.monotonic(), 0.0), TICK_S)

    def _look(self) -> None:
        """See which operations there are to do; what has ended is closed by the next chunk."""
        found = rows().filter(connection=self.alias, ended_at=None)
        there = set(found.exclude(status=Status.PAUSED).order_by("pk").values_list("pk", flat=True))
        self._open = {pk: self._open.get(pk) or _Pace() for pk in sorted(there)}
        self._look_at = time.monotonic() + LOOK_S

    def _chunk(self, pk: int, pace: _Pace) -> bool:
        """Do the next chunk of an operation; whether there may be more to do."""
        now = timezone.now()
        first = Coalesce("started_at", Value(now), output_field=DateTimeField())
        rows().filter(pk=pk, status=Status.WAITING).update(
            status=Status.RUNNING, started_at=first, updated_at=now
        )
        operation = rows().filter(pk=pk, ended_at=None).first()
        if operation is None or operation.status == Status.PAUSED:
            return False
        if operation.status == Status.RUNNING:
            try:
                self._permit(operation)
                over = self._work(operation, pace)
            except (ServerUnavailable, DatabaseError):
                raise
            except PermissionDenied as error:
                self._settle(pk, Status.FAILED, str(error))
            except Exception as error:
                if not isinstance(error, QueueCoreError):
                    logger.exception("operation %d failed", pk)
                self._settle(pk, Status.FAILED, f"{type(error).__name__}: {error}")
            else:
                if over:
                    self._settle(pk, Status.DONE)
            operation.refresh_from_db()
        if operation.status in LIVE:
            return True
        if operation.status != Status.PAUSED:
            self._close(operation)
        return False

    def _permit(self, operation: Operation) -> None:
        """Ask again whether its author may.

        Raises:
            PermissionDenied: no longer.
        """
        if not operation.actor_id:
            return
        users = get_user_model()._default_manager
        try:
            user = users.filter(pk=operation.actor_id).first()
        except (ValueError, ValidationError):
            user = None
        if user is None:
            raise PermissionDenied(f"the account of {operation.actor} is gone")
        first = meant(operation.state, operation.query, operation.bound)
        for permission in required(operation.action, first):
            access.require(user, permission, operation.connection, operation.queue)

    def _work(self, operation: Operation, pace: _Pace) -> bool:
        """Carry out one chunk and write down where it ended; whether nothing is left to do."""
        run, keys = self._connection.run, Keys(self._connection.prefix, operation.queue)
        action = ACTIONS[operation.action]
        places = _places(action, operation)
        begun = time.monotonic()
        taken = run(operating.take_chunk(keys, str(operation.pk), self._token, operation.chunk))
        if operation.chunk == 0 and action.first is not None:
            run(action.first(keys, operation.params))
        stage, place = operation.stage, operation.place
        if taken is not None and taken.place:  # another process has begun this chunk
            stage, place = _read_place(taken.place)
        while taken is not None and stage < len(places):
            room = _room(operation, taken)
            if room == 0:  # the most that was asked for
                stage = len(places)
                break
            state, suffix = places[stage]
            asked = time.monotonic()
            search = meant(state, operation.query, operation.bound).search(operation.bound)
            most = min(action.batch, room, _share(operation))
            found = run(matching.match_slice(keys, suffix, search, place, most=most, falling=False))
            at = (stage, found.place) if found.more else (stage + 1, "")
            if found.ids:
                step = Step(
                    operation=str(operation.pk),
                    owner=self._token,
                    chunk=operation.chunk,
                    step=taken.step + 1,
                    place=f"{at[0]}~{at[1]}",
                    suffix=suffix,
                    ids=found.ids,
                    until_ms=operation.bound,
                    left=matching.left_of(found.place),
                )
                taken = run(action.work(keys, step, operation.params))
            stage, place = at
            took = time.monotonic() - asked
            if _handled(taken) >= _share(operation) or asked - begun > CHUNK_S:
                break
            if self._stopping.wait(min(took, LONGEST_REST_S)):
                break
        if taken is None:
            return False  # another process goes on with it: the row says where
        over = stage >= len(places)
        self._save(operation, taken, stage, place, pace)
        if over and action.last is not None:
            run(action.last(keys, operation.params, operation.done + taken.done))
        return over

    def _save(self, operation: Operation, done: Done, stage: int, place: str, pace: _Pace) -> None:
        handled = _handled(done)
        failures = [[_clean(one) for one in pair] for pair in done.failures]
        passed = pace.measure(handled, operation.rate)
        rows().filter(pk=operation.pk, chunk=operation.chunk).update(
            chunk=operation.chunk + 1,
            stage=stage,
            place=place,
            done=F("done") + done.done,
            skipped=F("skipped") + done.skipped,
            failed=F("failed") + done.failed,
            failures=(operation.failures + failures)[:MOST_FAILURES],
            speed=pace.speed,
            ran=F("ran") + passed,
            updated_at=timezone.now(),
        )
        pace.rest(handled, operation.rate)

    def _settle(self, pk: int, status: Status, error: str = "") -> None:
        """Say how it ended, unless somebody has paused or aborted it meanwhile."""
        rows().filter(pk=pk, status=Status.RUNNING).update(
            status=status, error=_clean(error)[:2000], updated_at=timezone.now()
        )

    def _close(self, operation: Operation) -> None:
        """Put the end of an operation on record."""
        facts: dict[str, Any] = {"count": operation.done, "operation": operation.pk}
        for name in ("skipped", "failed"):
            if value := getattr(operation, name):
                facts[name] = value
        if operation.error:
            # Of one that was aborted it is the name of who did.
            facts["by" if operation.status == Status.ABORTED else "error"] = operation.error
        audit.end(operation.record, _OUTCOMES.get(operation.status, _FAILED), **facts)
        rows().filter(pk=operation.pk).update(ended_at=timezone.now())
        keys = Keys(self._connection.prefix, operation.queue)
        self._connection.run(operating.drop_receipt(keys, str(operation.pk)))

    def let_go(self) -> None:
        """Leave the lead to others, after steps that were done without :meth:`run`."""
        if self.leads:
            self.leads = False
            try:
                self._connection.run(operating.keep_lead(self._connection.prefix, self._token, 0))
            except QueueCoreError:
                # The lock ends by itself in some seconds.
                logger.debug("the lock of the operations of %r was not released", self.alias)


class _Pace:
    """When the next chunk of an operation is due, and how fast it goes."""

    def __init__(self) -> None:
        self.due = 0.0
        self.speed = 0.0
        self._last = time.monotonic()

    def measure(self, handled: int, rate: int | None) -> float:
        """Take *handled* jobs into the speed; how many seconds they took.

        The speed is in jobs a second, the last seconds counting most. The rest that a limited rate
        asks for after them belongs to them, and is yet to come.
        """
        now, rest = time.monotonic(), handled / rate if rate else 0.0
        passed = max(now - self._last, 0.0) + rest
        latest = handled / max(passed, 0.001)
        self.speed = 0.8 * self.speed + 0.2 * latest if self.speed else latest
        self._last = now + rest
        return passed

    def rest(self, handled: int, rate: int | None) -> None:
        """Put off the next chunk so that no more than *rate* jobs go a second."""
        self.due = time.monotonic() + (handled / rate if rate else 0.0)


def _places(action: Action, operation: Operation) -> list[tuple[str, str]]:
    """The lists and sets that are walked through, with their states."""
    return [
        (state, suffix)
        for state in action.stages(operation.state, operation.params)
        for suffix in matching.PLACES[state.partition("/")[0]]
    ]


def _read_place(text: str) -> tuple[int, str]:
    stage, _, place = text.partition("~")
    return int(stage), place


def _room(operation: Operation, taken: Done) -> int:
    """How many jobs it may still be done to."""
    maximum = operation.params.get("maximum", 0)
    return max(maximum - operation.done - taken.done, 0) if maximum else CHUNK


def _share(operation: Operation) -> int:
    """Jobs of one chunk: what a limited rate allows in half a second."""
    return CHUNK if operation.rate is None else min(max(operation.rate // 2, 1), CHUNK)


def _handled(done: Done | None) -> int:
    return done.done + done.skipped + done.failed if done else 0


def _clean(text: str) -> str:
    """*text* as every database stores it."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


_threads: list[_Thread] = []
_lock = threading.Lock()


def ensure_running() -> None:
    """Run operations in threads of this process, for all connections; cheap to call again.

    The threads end with the process and give up their locks then.
    """
    if _threads and _threads[0].pid == os.getpid():
        return
    with _lock:
        if not _threads or _threads[0].pid != os.getpid():
            _threads[:] = [_Thread(alias) for alias in aliases()]
            for thread in _threads:
                thread.start()


def stop() -> None:
    """End what :func:`ensure_running` began."""
    with _lock:
        threads = [one for one in _threads if one.pid == os.getpid()]
        _threads.clear()
    for thread in threads:
        thread.end()


async def beside(alias: str) -> None:
    """Run the operations of *alias* in a thread until cancelled: what ``runworker`` does."""
    thread = _Thread(alias)
    thread.start()
    try:
        await asyncio.Event().wait()
    finally:
        thread.runner.end()
        await asyncio.to_thread(thread.end)


class _Thread(threading.Thread):
    def __init__(self, alias: str) -> None:
        super().__init__(name=f"queuecore-operations-{alias}", daemon=True)
        self.pid = os.getpid()
        self.runner = Runner(alias)
        atexit.register(self.end)

    def run(self) -> None:
        self.runner.run()

    def end(self) -> None:
        """Have it end, and wait a moment for it to give up its lock."""
        atexit.unregister(self.end)
        self.runner.end()
        if self.is_alive():
            self.join(2)
