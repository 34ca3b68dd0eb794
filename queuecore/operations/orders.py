"""Ordering operations: planned, started, paused, resumed, aborted; from any process."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import router
from django.db.models import QuerySet
from django.utils import timezone

from .. import access, audit
from ..errors import InvalidOption, QueueCoreError
from ..matching import Filter, Tally, count
from ..models import AuditEntry, Operation
from ..queue import Queue
from ..wire.calls import operating
from ..wire.calls.base import NOW
from ..wire.calls.base import Operation as WireOperation
from ..wire.connections import get_connection
from .actions import known

#: The first so many failures are kept, and so many characters of a reason.
MOST_FAILURES, LONGEST_REASON = 100, 500

Status = Operation.Status
#: What is not over, and what a process works at.
OPEN = (Status.WAITING, Status.RUNNING, Status.PAUSED)
LIVE = (Status.WAITING, Status.RUNNING)


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation would do now: ``tally`` jobs; ``bound_ms``: later ones are not meant."""

    tally: Tally
    bound_ms: int


def plan(
    queue: Queue,
    action: str,
    filter: Filter,
    params: Mapping[str, Any] | None = None,
    *,
    seconds: float = 1.0,
) -> Plan:
    """Count what *action* would be done to, for at most about *seconds*; nothing is changed.

    Raises:
        InvalidOption: the action, its parameters or the state do not fit.
    """
    found = known(action, filter.state)
    checked = found.checked(params or {})
    bound = queue.connection.run(_now())
    tallies = [
        count(queue, meant(one, str(filter), bound), seconds=seconds)
        for one in found.stages(filter.state, checked)
    ]
    counted = Tally(*(sum(getattr(one, name) for one in tallies) for name in Tally.__slots__))
    return Plan(counted, bound)


def required(action: str, filter: Filter) -> tuple[str, ...]:
    """The permissions that an operation asks for, at its start and at every chunk."""
    reveals = ("view_payload",) if filter.reveals else ()
    return ("bulk", *known(action, filter.state).permissions, *reveals)


def start(
    *,
    actor: Any,
    action: str,
    alias: str,
    queue: str,
    filter: Filter,
    bound_ms: int,
    planned: int = 0,
    params: Mapping[str, Any] | None = None,
    reason: str = "",
    rate: int | None = None,
    ip: str = "",
    once: str | None = None,
) -> Operation:
    """Order *action* on all jobs of *queue* that *filter* fits, if not newer than *bound_ms*.

    It goes on record now and when it ends. A process that may run operations begins within a
    second.

    Args:
        actor: a Django user, whose permissions are asked for again at every chunk; or a text for
            anything else, such as ``"command line: root"``.
        bound_ms: of the server's clock, as :func:`plan` says.
        planned: how many jobs are expected, for the progress.
        params: see :class:`.Action`.
        rate: the most jobs a second.
        once: a key under which this happens one time only (:func:`queuecore.audit.record`).

    Raises:
        InvalidOption: something of it does not fit together.
        PermissionDenied: *actor* may not; that is on record, too.
        AlreadyDone: the key was used before.
    """
    found = known(action, filter.state)
    checked = found.checked(params or {})
    if rate is not None and rate < 1:
        raise InvalidOption("rate must be at least one job a second")
    if len(queue) > 500 or any(_unstorable(text) for text in (queue, str(filter))):
        raise InvalidOption("the name of the queue, or the filter, holds what no database stores")
    reason = reason[:LONGEST_REASON]
    target = f"state:{filter.state} {filter}".rstrip()
    record = audit.begin(
        actor=actor,
        action=action,
        ip=ip,
        alias=alias,
        queue=queue,
        target=target,
        params={**checked, "planned": planned, "until": bound_ms},
        reason=reason,
        once=once,
    )
    try:
        _require(actor, required(action, filter), alias, queue)
        now = timezone.now()
        named = isinstance(actor, str)
        made = rows().create(
            action=action,
            connection=alias,
            queue=queue,
            state=filter.state,
            query=str(filter),
            bound=bound_ms,
            params=checked,
            actor=(actor if named else actor.get_username())[:200],
            actor_id="" if named else str(actor.pk),
            reason=reason.replace("\x00", ""),
            record=record,
            rate=rate,
            planned=planned,
            created_at=now,
            updated_at=now,
        )
    except PermissionDenied as error:
        audit.end(record, AuditEntry.Outcome.DENIED, error=str(error))
        raise
    except BaseException as error:
        audit.end(record, AuditEntry.Outcome.FAILED, error=f"{type(error).__name__}: {error}")
        raise
    ring(alias)
    return made


def pause(operation: Operation) -> bool:
    """Let it rest after the present chunk; False if it is over, or rests already."""
    return _change(operation, LIVE, Status.PAUSED)


def resume(operation: Operation) -> bool:
    """Let it go on; False if it does not rest."""
    return _change(operation, (Status.PAUSED,), Status.WAITING)


def abort(operation: Operation, by: str = "") -> bool:
    """End it after the present chunk, *by* whom; what was done stays. False if it is over."""
    return _change(operation, OPEN, Status.ABORTED, error=by[:200])


def set_rate(operation: Operation, rate: int | None) -> bool:
    """Let it do at most *rate* jobs a second, None is as many as the server bears."""
    if rate is not None and rate < 1:
        raise InvalidOption("rate must be at least one job a second")
    return _change(operation, OPEN, rate=rate)


def meant(state: str, query: str, bound_ms: int) -> Filter:
    """The filter of a stage, for ever the same: what comes later does not fit.

    A stage is a state, or ``waiting-children/`` with what its grouped jobs would be elsewhere.
    """
    state, _, grouped = state.partition("/")
    filter = Filter.parse(state, query).pinned(bound_ms).until(bound_ms)
    return replace(filter, grouped=grouped) if grouped else filter


def rows() -> QuerySet[Operation]:
    """All operations, as the database has them that they are written to: a copy may lag behind."""
    return Operation.objects.using(router.db_for_write(Operation))


def ring(alias: str) -> None:
    """Wake whoever runs operations; if that fails, it looks by itself some seconds later."""
    connection = get_connection(alias)
    with contextlib.suppress(QueueCoreError):
        connection.run(operating.ring(connection.prefix))


def _change(
    operation: Operation, before: tuple[Status, ...], after: Status | None = None, **values: Any
) -> bool:
    if after is not None:
        values["status"] = after
    changed = (
        rows()
        .filter(pk=operation.pk, status__in=before)
        .update(**values, updated_at=timezone.now())
    )
    if changed:
        ring(operation.connection)
        operation.refresh_from_db(using=rows().db)
    return bool(changed)


def _require(actor: Any, permissions: tuple[str, ...], alias: str, queue: str) -> None:
    if not isinstance(actor, str):
        for permission in permissions:
            access.require(actor, permission, alias, queue)


def _unstorable(text: str) -> bool:
    return "\x00" in text or any("\ud800" <= one <= "\udfff" for one in text)


def _now() -> WireOperation[int]:
    now: int = yield NOW
    return now
