"""Reading the record of :mod:`queuecore.audit`: each action once, with its result.

The newest comes first, and a page begins behind the number of the last one before (keyset paging),
so the millionth page costs what the first one costs and nothing shifts while entries arrive.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import router
from django.db.models import Exists, OuterRef, Q, QuerySet

from .access import Scope
from .models import AuditEntry, AuditHead

#: The outcome of an action whose result is not there: it runs now, or was cut short.
OPEN = "open"
OUTCOMES = (*AuditEntry.Outcome.values, OPEN)
#: What a verification is called on record.
VERIFY = "verify_audit"
#: The most actions on one page, and how many entries back the words of the filters are looked for.
MOST, RECENT = 200, 10_000


@dataclass(frozen=True, slots=True)
class Action:
    """One action on record. ``number`` is its intent's, ``cursor`` the number to page on from.

    ``outcome`` is done, failed, denied, or :data:`OPEN`. ``result`` says among others ``count``
    and ``error``. ``ended_at`` is None while there is no result.
    """

    record: str
    number: int
    cursor: int
    at: datetime
    ended_at: datetime | None
    actor: str
    actor_id: str
    ip: str
    action: str
    alias: str
    queue: str
    target: str
    params: dict[str, Any]
    reason: str
    outcome: str
    result: dict[str, Any]
    key_id: str

    @property
    def count(self) -> int | None:
        """How many jobs or keys it concerned, where it says so."""
        value = self.result.get("count")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    @property
    def error(self) -> str:
        """Why it failed or was refused; empty where it did not."""
        return str(self.result.get("error") or "")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which actions are wanted; what is empty does not matter.

    ``action`` and ``queue`` (with ``alias``) are exact, ``actor`` is the beginning of a name,
    ``target`` a part of one. ``since`` and ``until`` are the times between which it began.
    """

    actor: str = ""
    action: str = ""
    alias: str = ""
    queue: str = ""
    target: str = ""
    outcome: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def __bool__(self) -> bool:
        return self != Filter()

    def takes(self, entry: AuditEntry) -> bool:
        """Whether an entry that is at hand is wanted, its outcome left aside."""
        return (
            entry.actor.startswith(self.actor)
            and self.action in ("", entry.action)
            and self.alias in ("", entry.connection)
            and self.queue in ("", entry.queue)
            and self.target in entry.target
            and (self.since is None or entry.at >= self.since)
            and (self.until is None or entry.at < self.until)
        )


def entries(alias: str, queue: str, target: str = "", *, limit: int = 50) -> list[Action]:
    """What was done to one queue, or to one *target* in it (a job's id), the newest first.

    A job that was ticked among others is found too: their target is the JSON array of their ids.
    """
    found = _of(AuditEntry.Phase.INTENT).filter(connection=alias, queue=queue)
    if target:
        quoted = json.dumps(target, ensure_ascii=False)
        found = found.filter(Q(target=target) | Q(target__startswith="[", target__contains=quoted))
    return _actions(found.order_by("-number")[: _bounded(limit)])


def page(
    scope: Scope, wanted: Filter | None = None, *, before: int | None = None, limit: int = 50
) -> list[Action]:
    """At most *limit* actions that somebody of this *scope* may see, older than *before*.

    *before* is the :attr:`Action.cursor` of the last action shown. Actions on no queue (a whole
    connection, the groups) are for those who see all queues.
    """
    wanted = wanted or Filter()
    if wanted.outcome in AuditEntry.Outcome.values:
        found = _of(AuditEntry.Phase.RESULT).filter(outcome=wanted.outcome)
    else:
        found = _of(AuditEntry.Phase.INTENT)
    if wanted.outcome == OPEN:
        results = _of(AuditEntry.Phase.RESULT).filter(record=OuterRef("record"))
        found = found.filter(~Exists(results))
    found = _filtered(found, wanted).filter(inside(scope))
    shown: list[Action] = []
    most = _bounded(limit)
    while len(shown) < most:
        older = found if before is None else found.filter(number__lt=before)
        rows = _actions(older.order_by("-number")[:most])
        # A database may find more than is meant: SQLite's LIKE knows no case.
        shown += [one for one in rows if scope.allows(one.alias, one.queue)]
        if len(rows) < most:
            break
        before = rows[-1].cursor
    return shown[:most]


def last_verification() -> Action | None:
    """When the record was verified last, by page or command line, and what came of it."""
    found = _of(AuditEntry.Phase.RESULT).filter(action=VERIFY, outcome=AuditEntry.Outcome.DONE)
    return next(iter(_actions(found.order_by("-number")[:1])), None)


def of_records(records: Iterable[str]) -> list[Action]:
    """The actions of these records, the newest first, at most :data:`MOST`."""
    wanted = list(records)[:MOST]
    if not wanted:
        return []
    intents = _of(AuditEntry.Phase.INTENT).filter(record__in=wanted)
    return _actions(intents.order_by("-number"))


def entries_of(record: str) -> list[AuditEntry]:
    """The entries of one record as they stand: its intent, and its result if there is one."""
    return list(_entries().filter(record=record).order_by("number")[:10])


def latest(limit: int = 1_000) -> list[AuditEntry]:
    """The newest entries, of intents and results alike, the newest first."""
    return list(_entries().order_by("-number")[:limit])


def words(scope: Scope) -> tuple[list[str], list[str]]:
    """The actions and the people among the last entries, for the choices of a filter."""
    head = AuditHead.objects.using(_using()).filter(pk=1).first()
    recent = _entries().filter(inside(scope), number__gt=(head.number if head else 0) - RECENT)
    pairs = set(recent.order_by().values_list("action", "actor").distinct())
    return sorted({action for action, _ in pairs}), sorted({actor for _, actor in pairs})


def _using() -> str:
    return str(router.db_for_read(AuditEntry))


def _entries() -> QuerySet[AuditEntry]:
    return AuditEntry.objects.using(_using())


def _of(phase: str) -> QuerySet[AuditEntry]:
    return _entries().filter(phase=phase)


def _bounded(limit: int) -> int:
    return min(max(limit, 1), MOST)


def _filtered(found: QuerySet[AuditEntry], wanted: Filter) -> QuerySet[AuditEntry]:
    exact = {"action": wanted.action, "connection": wanted.alias, "queue": wanted.queue}
    given: dict[str, Any] = {name: value for name, value in exact.items() if value}
    given |= {"actor__startswith": wanted.actor} if wanted.actor else {}
    given |= {"target__contains": wanted.target} if wanted.target else {}
    given |= {"at__gte": wanted.since} if wanted.since else {}
    given |= {"at__lt": wanted.until} if wanted.until else {}
    return found.filter(**given)


def inside(scope: Scope) -> Q:
    """A condition for entries that somebody of this scope may see, as the database can say it.

    :meth:`Scope.allows` has the last word.
    """
    if scope.patterns is None:
        return Q()
    inside = Q(pk=0)  # no entry
    for alias, queue in scope.patterns:
        inside |= _like("connection", alias) & _like("queue", queue) & ~Q(queue="")
    return inside


def _like(name: str, pattern: str) -> Q:
    """Whether the column *name* fits a pattern of a scope; most are a name or a beginning."""
    bare = pattern.rstrip("*")
    if "*" in bare or "?" in bare:
        return Q((f"{name}__regex", _regex(pattern)))
    if bare == pattern:
        return Q((name, pattern))
    return Q((f"{name}__startswith", bare)) if bare else Q()


def _regex(pattern: str) -> str:
    special = {"*": r"(.|\n)*", "?": r"(.|\n)"}
    return "^" + "".join(special.get(one) or re.escape(one) for one in pattern) + "$"


def _actions(rows: Iterable[AuditEntry]) -> list[Action]:
    """Each row with the other half of its action."""
    halves = list(rows)
    others: dict[tuple[str, str], AuditEntry] = {}
    for other in _entries().filter(record__in={one.record for one in halves}).order_by("number"):
        others.setdefault((other.record, other.phase), other)
    return [
        _action(
            one.number,
            others.get((one.record, AuditEntry.Phase.INTENT), one),
            others.get((one.record, AuditEntry.Phase.RESULT)),
        )
        for one in halves
    ]


def _action(cursor: int, intent: AuditEntry, result: AuditEntry | None) -> Action:
    return Action(
        record=intent.record,
        number=intent.number,
        cursor=cursor,
        at=intent.at,
        ended_at=result.at if result else None,
        actor=intent.actor,
        actor_id=intent.actor_id,
        ip=intent.ip,
        action=intent.action,
        alias=intent.connection,
        queue=intent.queue,
        target=intent.target,
        params=_dict(intent.params),
        reason=intent.reason,
        outcome=result.outcome if result else OPEN,
        result=_dict(result.result) if result else {},
        key_id=intent.key_id,
    )


def _dict(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None  # somebody wrote into the table; `verify` says so
    return value if isinstance(value, dict) else {"text": text}
