"""The record of everything that people do to queues; it can be added to, and nothing else.

Each action writes two entries: an intent before it begins and a result when it ended, however it
ended, so that an action cut short still stands on record. Every entry carries an HMAC over itself
and the entry before. :func:`verify` therefore finds an entry that was changed, added, taken out or
moved; that the *end* of the record was cut off it finds with an anchor kept elsewhere
(``manage.py verify_audit --export``, or the log lines of ``queuecore.audit``).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, OperationalError, router, transaction
from django.db.models import F
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import salted_hmac

from . import conf
from .audit_log import entries
from .errors import ConfigurationError, QueueCoreError
from .models import AuditEntry, AuditHead

__all__ = [
    "AlreadyDone",
    "Anchor",
    "InTransaction",
    "Problem",
    "Record",
    "Verification",
    "arecord",
    "check_audit_keys",
    "client_ip",
    "entries",
    "facts_of",
    "head",
    "record",
    "signing_key",
    "verify",
]

logger = logging.getLogger("queuecore.audit")

TARGET_LENGTH = 2_000
TEXT_LENGTH = 16_000
#: How often an entry is tried again when the database would not let two writers queue up.
_TRIES = 5

# What goes into an entry's code. Empty fields are left out, so that a field which a later version
# adds changes nothing for the entries that are there.
_SIGNED = (
    "previous",
    "number",
    "at",
    "phase",
    "record",
    "once",
    "actor",
    "actor_id",
    "ip",
    "action",
    "connection",
    "queue",
    "target",
    "params",
    "reason",
    "outcome",
    "result",
    "key_id",
)

# What the result of an action says again.
_SAME = (
    *("record", "actor", "actor_id", "ip", "action"),
    *("connection", "queue", "target", "params", "reason"),
)


class InTransaction(QueueCoreError, RuntimeError):
    """An action was to be recorded inside a transaction, whose end could wipe the record out."""


class AlreadyDone(QueueCoreError):
    """The action of this key was begun before; ``entry`` is its result, None while it runs."""

    def __init__(self, entry: AuditEntry | None) -> None:
        super().__init__("This action was carried out already; it is not done a second time.")
        self.entry = entry


class Record:
    """One action that is being recorded; what :func:`record` gives to its block."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.id: str = fields["record"]
        self._fields = fields
        self._facts: dict[str, Any] = {}
        self._outcome: AuditEntry.Outcome = AuditEntry.Outcome.DONE

    def result(self, **facts: Any) -> None:
        """Add *facts*, such as ``count=3``, to what the result entry will say."""
        self._facts.update(facts)

    def fail(self, reason: str) -> None:
        """Say that the action failed, where no exception says it."""
        self._outcome = AuditEntry.Outcome.FAILED
        self._facts["error"] = reason

    def deny(self, reason: str) -> None:
        """Say that the action was refused, where no PermissionDenied says it."""
        self._outcome = AuditEntry.Outcome.DENIED
        self._facts["error"] = reason

    def _begin(self) -> None:
        _append({**self._fields, "phase": AuditEntry.Phase.INTENT})

    def _end(self, error: BaseException | None) -> None:
        if isinstance(error, PermissionDenied):
            self.deny(str(error))
        elif error is not None:
            self.fail(f"{type(error).__name__}: {error}")
        try:
            _append(
                {
                    **self._fields,
                    "once": None,
                    "phase": AuditEntry.Phase.RESULT,
                    "outcome": self._outcome,
                    "result": _json(self._facts),
                }
            )
        except Exception:
            # The intent stands, and the block's own error is the more important one.
            logger.exception("the result of audit record %s could not be written", self.id)
            if error is None:
                raise


@contextmanager
def record(
    *,
    actor: Any,
    action: str,
    ip: str = "",
    alias: str = "",
    queue: str = "",
    target: str = "",
    params: Mapping[str, Any] | None = None,
    reason: str = "",
    once: str | None = None,
) -> Iterator[Record]:
    """Record the action that the block carries out.

    *actor* is a Django user, or a text for anything else (``"command line: root"``). *target* says
    what is acted upon inside the queue: a job's id, a filter. *params* are stored as JSON, so they
    must hold no secret. With *once*, at most 100 characters, the same text works one time only.

    The intent is stored before the block starts; if that fails, the block does not run. A
    PermissionDenied in the block is stored as ``denied``, every other exception as ``failed``, and
    is raised again, with ``on_record`` set.

    Raises:
        InTransaction: the calling code has an open transaction.
        AlreadyDone: an action with the same *once* was begun before.
    """
    entry = _new(actor, action, ip, alias, queue, target, params, reason, once)
    entry._begin()
    try:
        yield entry
    except BaseException as error:
        entry._end(error)
        error.on_record = True  # type: ignore[attr-defined]
        raise
    entry._end(None)


@asynccontextmanager
async def arecord(
    *,
    actor: Any,
    action: str,
    ip: str = "",
    alias: str = "",
    queue: str = "",
    target: str = "",
    params: Mapping[str, Any] | None = None,
    reason: str = "",
    once: str | None = None,
) -> AsyncIterator[Record]:
    """Like :func:`record`, for async code."""
    entry = _new(actor, action, ip, alias, queue, target, params, reason, once)
    await sync_to_async(entry._begin)()
    try:
        yield entry
    except BaseException as error:
        await sync_to_async(entry._end)(error)
        error.on_record = True  # type: ignore[attr-defined]
        raise
    await sync_to_async(entry._end)(None)


def begin(
    *,
    actor: Any,
    action: str,
    ip: str = "",
    alias: str = "",
    queue: str = "",
    target: str = "",
    params: Mapping[str, Any] | None = None,
    reason: str = "",
    once: str | None = None,
) -> str:
    """Record an intent whose result comes later, perhaps from another process; its id for it.

    See :func:`record`; :func:`end` writes the result.
    """
    entry = _new(actor, action, ip, alias, queue, target, params, reason, once)
    entry._begin()
    return entry.id


def end(record: str, outcome: AuditEntry.Outcome, **facts: Any) -> None:
    """Record the result of the action that :func:`begin` gave the id *record*, unless it has one.

    Raises:
        LookupError: there is no such intent.
        InTransaction: the calling code has an open transaction.
    """
    # The head of the record belongs to one database: what is written is read there, too.
    entries = AuditEntry.objects.using(router.db_for_write(AuditEntry)).filter(record=record)
    intent = entries.filter(phase=AuditEntry.Phase.INTENT).first()
    if intent is None:
        raise LookupError(f"no audit entry begins the record {record!r}")
    if entries.filter(phase=AuditEntry.Phase.RESULT).exists():
        return
    same = {name: getattr(intent, name) for name in _SAME}
    phase = AuditEntry.Phase.RESULT
    _append({**same, "phase": phase, "outcome": outcome, "result": _json(facts)})


def client_ip(request: HttpRequest) -> str:
    """The address a request came from, as the server in front of Django gives it."""
    return str(request.META.get("REMOTE_ADDR") or "")


def _new(
    actor: Any,
    action: str,
    ip: str,
    alias: str,
    queue: str,
    target: str,
    params: Mapping[str, Any] | None,
    reason: str,
    once: str | None,
) -> Record:
    if once is not None and not 0 < len(once) <= 100:
        raise ValueError("once must be a text of 1 to 100 characters")
    named = isinstance(actor, str)
    return Record(
        {
            "record": uuid.uuid4().hex,
            "once": once,
            "actor": _clean(actor if named else actor.get_username() or "anonymous", 200),
            "actor_id": "" if named or actor.pk is None else _clean(str(actor.pk), 64),
            "ip": _clean(ip, 64),
            "action": _clean(action, 64),
            "connection": _clean(alias, 200),
            "queue": _clean(queue, 500),
            "target": _clean(target, TARGET_LENGTH),
            "params": _json(params or {}),
            "reason": _clean(reason, TARGET_LENGTH),
        }
    )


def _clean(text: str, length: int) -> str:
    """*text* as every database stores it: no NUL, no lone surrogate, at most *length* long."""
    text = text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")
    return text if len(text) <= length else text[: length - 1] + "…"


def _json(values: Mapping[str, Any]) -> str:
    # default=str: an odd value must not stop an action's result from being recorded.
    text = json.dumps(values, ensure_ascii=False, default=str, sort_keys=True)
    if len(text) > TEXT_LENGTH:
        text = json.dumps({"cut": text[: TEXT_LENGTH // 2]}, ensure_ascii=False)
    return _clean(text, TEXT_LENGTH + 100)


def _append(fields: dict[str, Any]) -> AuditEntry:
    using = router.db_for_write(AuditEntry)
    pause = 0.02
    for tries_left in reversed(range(_TRIES)):
        try:
            entry = _append_once(fields, using)
        except (OperationalError, IntegrityError):
            if once := fields.get("once"):
                _refuse_twice(once, using)
            if not tries_left:
                raise
        else:
            logger.info("audit entry %d %s", entry.number, entry.mac)
            return entry
        time.sleep(pause * random.uniform(0.5, 1.5))
        pause *= 2
    raise AssertionError("unreachable")


def _append_once(fields: dict[str, Any], using: str) -> AuditEntry:
    try:
        block = transaction.atomic(using=using, durable=True)
        block.__enter__()
    except RuntimeError as error:
        raise InTransaction(
            "audit.record() was called inside a transaction, whose rollback would take the record "
            "with it. Call it outside: with ATOMIC_REQUESTS, mark the view with "
            "@transaction.non_atomic_requests."
        ) from error
    # From here on as `with block:`; entering it alone must not catch the body's RuntimeErrors.
    try:
        entry = _chained(fields, using)
    except BaseException as error:
        block.__exit__(type(error), error, error.__traceback__)
        raise
    block.__exit__(None, None, None)
    return entry


def _chained(fields: dict[str, Any], using: str) -> AuditEntry:
    # Writing first takes the lock that other writers wait for: a row's on Postgres, the whole
    # database's on SQLite, where reading first and writing then would fail half way.
    heads = AuditHead.objects.using(using).filter(pk=1)
    if not heads.update(number=F("number") + 1):
        last = AuditEntry.objects.using(using).order_by("-number").first()
        AuditHead.objects.using(using).create(
            pk=1, number=(last.number if last else 0) + 1, mac=last.mac if last else ""
        )
    head = heads.get()
    key_id, key = signing_key()
    entry = AuditEntry(
        **fields, number=head.number, previous=head.mac, at=timezone.now(), key_id=key_id
    )
    entry.mac = _mac(entry, key)
    entry.save(using=using, force_insert=True)
    heads.update(mac=entry.mac)
    return entry


def _refuse_twice(once: str, using: str) -> None:
    rows = AuditEntry.objects.using(using)
    first = rows.filter(once=once).first()
    if first is not None:
        results = rows.filter(record=first.record, phase=AuditEntry.Phase.RESULT)
        raise AlreadyDone(results.first())


def _mac(entry: AuditEntry, key: bytes) -> str:
    values = {name: value for name in _SIGNED if (value := getattr(entry, name)) not in ("", None)}
    at = entry.at
    values["at"] = (at.astimezone(UTC) if timezone.is_aware(at) else at).isoformat()
    text = json.dumps(values, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def signing_key() -> tuple[str, bytes]:
    """Id and secret of the key that signs now: the first of ``QUEUECORE["AUDIT_KEYS"]``.

    Without that setting the key is made from ``SECRET_KEY``, and its id holds a fingerprint.
    """
    return next(iter(_keys().items()))


def _keys() -> dict[str, bytes]:
    """All known keys, the signing one first: AUDIT_KEYS, then those made of Django's secrets."""
    known = {key_id: secret.encode() for key_id, secret in conf.get_settings().audit_keys.items()}
    for secret in (django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS):
        made = salted_hmac("queuecore.audit", "key", secret=secret, algorithm="sha256")
        mark = salted_hmac("queuecore.audit", "id", secret=secret, algorithm="sha256")
        known.setdefault(f"secret-key-{mark.hexdigest()[:8]}", made.digest())
    return known


@dataclass(frozen=True, slots=True)
class Anchor:
    """A point of the chain, kept outside the database: what came before it cannot be cut off."""

    number: int
    mac: str

    def __str__(self) -> str:
        return f"{self.number}:{self.mac}"

    @classmethod
    def parse(cls, text: str) -> Anchor:
        """Read ``number:mac``. Raises ValueError."""
        number, colon, mac = text.strip().partition(":")
        if not (colon and number.isdigit() and len(mac) == 64):
            raise ValueError(f"{text.strip()[:80]!r} is no anchor: write number:code")
        return cls(int(number), mac)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing :func:`verify` found: the number of the entry and what is wrong with it."""

    number: int
    text: str


@dataclass(slots=True)
class Verification:
    """What :func:`verify` found. ``unfinished`` are records whose result is missing.

    ``first``: the number of the first entry that was looked at, 0 if there is none.
    """

    entries: int = 0
    first: int = 0
    problems: list[Problem] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    anchor: Anchor | None = None

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong; an unfinished record is no sign of tampering."""
        return not self.problems

    def add(self, number: int, text: str) -> None:
        self.problems.append(Problem(number, text))


def verify(
    anchors: Iterator[Anchor] | list[Anchor] | tuple[Anchor, ...] = (), *, last: int | None = None
) -> Verification:
    """Walk the record and compare it with itself, its head and *anchors*.

    With *last*, only so many of its last entries (and those that the anchors name): what a page
    can do while somebody waits.
    """
    using = router.db_for_read(AuditEntry)
    rows = AuditEntry.objects.using(using).order_by("number")
    wanted: dict[int, set[str]] = {}
    for anchor in anchors:
        wanted.setdefault(anchor.number, set()).add(anchor.mac)
    found = Verification()
    keys = _keys()
    open_records: dict[str, None] = {}
    strays: dict[str, int] = {}
    number, mac = 0, ""
    # The head first: entries that arrive during the walk lie behind it.
    head = AuditHead.objects.using(using).filter(pk=1).first()
    if last is not None and head is not None:
        before = rows.filter(number=head.number - last).first()
        if before is not None:
            number, mac = before.number, before.mac
            for entry in rows.filter(number__in=wanted, number__lte=number):
                _compare(found, entry, wanted)
    start = number
    for entry in rows.filter(number__gt=start).iterator(chunk_size=1000):
        found.entries += 1
        found.first = found.first or entry.number
        if entry.number != number + 1:
            found.add(entry.number, _gap(number, entry.number))
        elif entry.previous != mac:
            found.add(entry.number, "does not follow the entry before: one of both was exchanged")
        _check_code(found, entry, keys)
        _compare(found, entry, wanted)
        if entry.phase == AuditEntry.Phase.INTENT:
            open_records[entry.record] = None
        elif entry.record in open_records:
            del open_records[entry.record]
        else:
            strays[entry.record] = entry.number
        if head is not None and entry.number == head.number and entry.mac != head.mac:
            found.add(entry.number, "is not the entry on which the chain's head stands")
        number, mac = entry.number, entry.mac
    begun = rows.filter(number__lte=start, phase=AuditEntry.Phase.INTENT, record__in=strays)
    for record in strays.keys() - set(begun.values_list("record", flat=True)):
        found.add(strays[record], "is a result without an intent")
    found.unfinished = list(open_records)
    if head is None and number:
        found.add(number, "is the last entry, but the chain's head is missing")
    elif head is not None and number < head.number:
        found.add(number, f"is the last entry, but the chain's head stands at {head.number}")
    for cut in sorted(wanted):
        found.add(cut, "is known by an anchor, but is not in the record: its end was cut off")
    found.anchor = Anchor(number, mac) if number else None
    found.problems.sort(key=lambda problem: problem.number)
    return found


def _check_code(found: Verification, entry: AuditEntry, keys: dict[str, bytes]) -> None:
    key = keys.get(entry.key_id)
    if key is None:
        found.add(
            entry.number,
            f"was signed with the key {entry.key_id!r}, which is not known: add it to "
            "QUEUECORE['AUDIT_KEYS'] (or the old SECRET_KEY to SECRET_KEY_FALLBACKS)",
        )
    elif not hmac.compare_digest(_mac(entry, key), entry.mac):
        found.add(entry.number, "was changed, or was not written by this site")


def _compare(found: Verification, entry: AuditEntry, wanted: dict[int, set[str]]) -> None:
    for mac in wanted.pop(entry.number, ()):
        if mac != entry.mac:
            found.add(entry.number, "is another entry than the anchor says")


def head() -> Anchor | None:
    """The record's end as an anchor; None while nothing is on record."""
    row = AuditHead.objects.using(router.db_for_read(AuditHead)).filter(pk=1).first()
    return Anchor(row.number, row.mac) if row is not None and row.mac else None


def facts_of(found: Verification) -> dict[str, Any]:
    """What the record of a verification says about it."""
    return {
        "intact": found.intact,
        "entries": found.entries,
        "first": found.first,
        "last": found.anchor.number if found.anchor else 0,
        "problems": [f"{one.number} {one.text}" for one in found.problems[:20]],
        "count": len(found.problems),
    }


def _gap(before: int, after: int) -> str:
    if after == before:
        return "stands there twice"
    missing = (
        f"entry {before + 1} is" if after == before + 2 else f"{before + 1} to {after - 1} are"
    )
    return f"follows entry {before}: {missing} missing"


def check_audit_keys(**kwargs: Any) -> list[CheckMessage]:
    """Deploy check: the audit should have keys of its own (registered by the app's config)."""
    try:
        if conf.get_settings().audit_keys:
            return []
    except ConfigurationError:
        return []  # E001 says so
    return [
        CheckWarning(
            "The audit log is signed with a key made from SECRET_KEY.",
            hint=(
                "Set QUEUECORE['AUDIT_KEYS'] = {'2026': '<a long random text>'}: whoever rotates "
                "SECRET_KEY then keeps a record that can be verified, and whoever knows SECRET_KEY "
                "cannot rewrite it. The first key signs; keep older ones in the dict."
            ),
            id="queuecore.W101",
        )
    ]
