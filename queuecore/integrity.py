"""Whether queues are sound: what cannot be there is found, and put right where that is safe.

Nothing here is needed while every client keeps to BullMQ's scripts. Damage comes from keys that
were deleted by hand, evicted, or restored in part, and from old clients. A check looks at a
hundred ids a call, so that other clients never wait long, and changes nothing. A repair looks
again, in one script, at the moment at which it mends: a job that moved on meanwhile is left alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .connected import Connected
from .inspect import Inspector
from .wire.calls import mending
from .wire.calls.base import NOW, Command, Operation
from .wire.calls.mending import LISTS, SETS
from .wire.calls.removing import find_groups, texts
from .wire.calls.steering import is_paused
from .wire.keys import Keys

#: What may be found, in the order in which it is put right.
KINDS = (
    "twice",
    "ghost",
    "lock",
    "parts",
    "orphan",
    "unknown",
    "parent",
    "child",
    "group",
    "stalled",
    "marker",
    "overdue",
    "deduplication",
    "events",
    "paused",
)
#: What has no safe repair: somebody must look at it.
BY_HAND = frozenset({"unknown", "paused"})
#: Findings of one kind in one queue whose ids are kept; more are only counted.
KEPT = 10_000
# Parts of the report that one call of a repair may touch.
_BATCH = 50


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot be: *kind* is one of :data:`KINDS`.

    twice: *id* stands in several states; *detail* says where it will stay. ghost: an id in the
    state *detail* without a job. lock: locked, but not active. parts: keys of a job that is gone.
    orphan: a job in no state; *detail* is ``restored`` or ``deleted``. unknown: one of which nobody
    can tell what it should be. parent: waits for no child; child: for one that is gone. stalled:
    active without a lock. group: a job without its place in its group, or whose group has no turn;
    *detail* ``gone``: an id in a group that stands there no more; ``count``: *id* is a group of
    which more or fewer jobs run than is noted. deduplication: *id* is owned for good by a job that
    is gone.

    Once a queue, *detail* being how many: marker, overdue: jobs that nothing announces to workers.
    events: more than the stream may hold. paused: jobs in the list of a pause that is over.
    """

    queue: str
    kind: str
    id: str = ""
    detail: str = ""


@dataclass(slots=True)
class Report:
    """What a check of *queues* found: *counts* by (queue, kind), *findings* up to :data:`KEPT`.

    ``jobs`` and ``keys``: how many were looked at. ``whole``: nothing was left out for want of
    time. ``long_lists``: queues too long for what needs a walk through their lists.
    """

    alias: str
    queues: list[str]
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    jobs: int = 0
    keys: int = 0
    seconds: float = 0.0
    whole: bool = True
    long_lists: set[str] = field(default_factory=set)

    @property
    def total(self) -> int:
        """How much was found."""
        return sum(self.counts.values())

    @property
    def repairable(self) -> int:
        """How much of it a repair can put right."""
        return sum(count for (_, kind), count in self.counts.items() if kind not in BY_HAND)

    def kinds(self) -> dict[str, int]:
        """How much was found of each kind, over all queues, in the order of :data:`KINDS`."""
        found: Counter[str] = Counter()
        for (_, kind), count in self.counts.items():
            found[kind] += count
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def add(self, finding: Finding) -> None:
        key = (finding.queue, finding.kind)
        if self.counts[key] < KEPT:
            self.findings.append(finding)
        self.counts[key] += 1

    def ids(self, queue: str, kind: str) -> list[Finding]:
        """The findings of one kind in one queue."""
        return [one for one in self.findings if (one.queue, one.kind) == (queue, kind)]


@dataclass(slots=True)
class Mended:
    """What a repair did: how much of each kind, by (queue, kind), and the report before it.

    What the report has and this lacks had moved on by itself, or stands in a list too long to walk.
    """

    before: Report
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """How much was put right."""
        return sum(self.counts.values())

    def kinds(self) -> dict[str, int]:
        """How much of each kind was put right."""
        found: Counter[str] = Counter()
        for (_, kind), count in self.counts.items():
            found[kind] += count
        return {kind: found[kind] for kind in KINDS if found[kind]}


class Integrity(Connected):
    """Checks and repairs the queues of one connection; every method has an ``a`` twin.

    Args:
        alias: a key of ``QUEUECORE["CONNECTIONS"]``.

    Raises:
        ConfigurationError: there is no such connection.
    """

    def check(self, queues: Sequence[str] | None = None, *, seconds: float | None = None) -> Report:
        """Look at *queues*, or at all there are; changes nothing.

        With *seconds*, nothing new is begun after that time: the report then is not ``whole``.
        """
        names = Inspector(self.alias).discover() if queues is None else list(queues)
        return self._run(self._check(names, seconds))

    async def acheck(
        self, queues: Sequence[str] | None = None, *, seconds: float | None = None
    ) -> Report:
        """See :meth:`check`."""
        names = await Inspector(self.alias).adiscover() if queues is None else list(queues)
        return await self._arun(self._check(names, seconds))

    def repair(
        self,
        queues: Sequence[str] | None = None,
        *,
        kinds: Sequence[str] = KINDS,
        seconds: float | None = None,
    ) -> Mended:
        """Check *queues* and put right what is of these *kinds*; may be called again and again.

        Raises:
            ValueError: there is no such kind.
        """
        _known(kinds)
        names = Inspector(self.alias).discover() if queues is None else list(queues)
        return self._run(self._repair(names, kinds, seconds))

    async def arepair(
        self,
        queues: Sequence[str] | None = None,
        *,
        kinds: Sequence[str] = KINDS,
        seconds: float | None = None,
    ) -> Mended:
        """See :meth:`repair`."""
        _known(kinds)
        names = await Inspector(self.alias).adiscover() if queues is None else list(queues)
        return await self._arun(self._repair(names, kinds, seconds))

    def trim_events(self, queue: str) -> int:
        """Shorten the event stream of *queue* to what it may hold; how many events went."""
        return self._run(self._trim(Keys(self.connection.prefix, queue)))

    async def atrim_events(self, queue: str) -> int:
        """See :meth:`trim_events`."""
        return await self._arun(self._trim(Keys(self.connection.prefix, queue)))

    # Checking

    def _check(self, names: list[str], seconds: float | None) -> Operation[Report]:
        return (yield from _Check(self, names, seconds).run())

    def _keys(self, queue: str) -> Keys:
        return Keys(self.connection.prefix, queue)

    # Repairing

    def _repair(
        self, names: list[str], kinds: Sequence[str], seconds: float | None
    ) -> Operation[Mended]:
        report = yield from _Check(self, names, seconds).run()
        mended = Mended(report)
        for kind in (one for one in KINDS if one in kinds and one not in BY_HAND):
            for queue in names:
                found = report.ids(queue, kind)
                if found:
                    count = yield from self._mend(self._keys(queue), kind, found)
                    mended.counts[queue, kind] += count
        mended.counts = +mended.counts
        return mended

    def _mend(self, keys: Keys, kind: str, found: list[Finding]) -> Operation[int]:
        now = yield NOW
        if kind == "events":
            return int((yield from self._trim(keys)) > 0)
        if kind in ("marker", "overdue"):
            ready, overdue = yield mending.mend_markers(keys, now, False)
            return int((ready if kind == "marker" else overdue) > 0)
        ids = list(dict.fromkeys(one.id for one in found))
        if kind == "group":
            return (yield from self._mend_groups(keys, now, found))
        if kind == "ghost":
            count = 0
            for state in dict.fromkeys(one.detail for one in found):
                here = [one.id for one in found if one.detail == state]
                for some in (yield from _slices(keys, here)):
                    count += len((yield mending.mend_ghosts(keys, state, some)) or ())
            return count
        make: Callable[[list[str]], Any] = {
            "twice": lambda some: mending.mend_twice(keys, some, False),
            "lock": lambda some: mending.mend_locks(keys, some, False),
            "parts": lambda some: mending.mend_orphans(keys, now, some, False),
            "orphan": lambda some: mending.mend_orphans(keys, now, some, False),
            "parent": lambda some: mending.mend_parents(keys, now, some),
            "child": lambda some: mending.mend_parents(keys, now, some),
            "stalled": lambda some: mending.mend_stalled(keys, some),
            "deduplication": lambda some: mending.mend_deduplication(keys, some, False),
        }[kind]
        most = mending.PARENTS if kind in ("parent", "child") else _BATCH
        count = 0
        for some in (yield from _slices(keys, ids, most)):
            count += len((yield make(some)) or ())
        return count

    def _mend_groups(self, keys: Keys, now: int, found: list[Finding]) -> Operation[int]:
        placeless = [one.id for one in found if not one.detail]
        count = 0
        for some in _batches(placeless, _BATCH):
            count += len((yield mending.mend_grouped(keys, now, some)) or ())
        if any(one.detail == "gone" for one in found):
            for place, group in (yield from _groups(keys)):
                first = 0
                while True:
                    seen, gone = yield mending.mend_group(keys, place, group, False, first)
                    count += len(gone)
                    first += seen - len(gone)
                    if seen < mending.SLICE:
                        break
        if any(one.detail == "count" for one in found):
            count += len((yield mending.mend_group_counts(keys, False)) or ())
        return count

    def _trim(self, keys: Keys) -> Operation[int]:
        length, most = yield mending.event_figures(keys)
        most = mending.MOST_EVENTS if most is None else most
        trimmed = 0
        while length - trimmed > most + mending.SLACK:
            gone = yield mending.trim(keys, most)
            if not gone:
                break
            trimmed += gone
        return trimmed


class _Check:
    """One check of some queues, from their first state to the last key."""

    def __init__(self, owner: Integrity, names: list[str], seconds: float | None) -> None:
        self._owner = owner
        self._prefix = owner.connection.prefix
        self._report = Report(owner.alias, names)
        self._begun = time.monotonic()
        self._until = None if seconds is None else self._begun + seconds
        # Which ids were met in the lists of each queue.
        self._listed: dict[str, set[str]] = {}

    def run(self) -> Operation[Report]:
        for name in self._report.queues:
            if self._over():
                break
            yield from self._queue(name)
        if not self._over():
            yield from self._keyspace()
        self._report.seconds = time.monotonic() - self._begun
        return self._report

    def _over(self) -> bool:
        if self._until is not None and time.monotonic() > self._until:
            self._report.whole = False
        return not self._report.whole

    def _queue(self, name: str) -> Operation[None]:
        keys = Keys(self._prefix, name)
        listed = self._listed[name] = set()
        twice: dict[str, None] = {}
        # From where jobs go to where they come from: one that moves on meanwhile is met once.
        for state in ("active", "wait", "paused", *SETS):
            first = 0
            while not self._over():
                seen = yield mending.check_state(keys, state, first)
                self._report.jobs += seen.seen
                if state in LISTS:
                    twice |= dict.fromkeys(one for one in seen.ids if one in listed)
                    listed.update(seen.ids)
                for kind, job_id in seen.found:
                    if kind == "twice":
                        twice[job_id] = None
                    else:
                        detail = state if kind == "ghost" else ""
                        self._report.add(Finding(name, kind, job_id, detail))
                if not seen.seen or (state != "waiting-children" and seen.seen < mending.SLICE):
                    break
                first += seen.seen
        for some in (yield from _slices(keys, list(twice))):
            stays = yield mending.mend_twice(keys, some, True)
            if stays is None:
                self._report.long_lists.add(name)
                break
            for state, job_id in stays:
                self._report.add(Finding(name, "twice", job_id, state))
        yield from self._groups(keys)
        yield from self._figures(keys)

    def _groups(self, keys: Keys) -> Operation[None]:
        if not (yield Command(("EXISTS", keys.grouped))):
            return
        for place, group in (yield from _groups(keys)):
            first, seen = 0, mending.SLICE
            while seen == mending.SLICE and not self._over():
                seen, gone = yield mending.mend_group(keys, place, group, True, first)
                for job_id in gone:
                    self._report.add(Finding(keys.name, "group", job_id, "gone"))
                first += seen
        for group in (yield mending.mend_group_counts(keys, True)) or ():
            self._report.add(Finding(keys.name, "group", group, "count"))

    def _figures(self, keys: Keys) -> Operation[None]:
        now = yield NOW
        length, most = yield mending.event_figures(keys)
        over = length - (mending.MOST_EVENTS if most is None else most)
        if over > mending.SLACK:
            self._report.add(Finding(keys.name, "events", "", str(over)))
        # A worker takes the marker away a moment before it takes a job: twice is no moment.
        ready, overdue = yield mending.mend_markers(keys, now, True)
        if ready or overdue:
            yield mending.lengths(keys)
            again = yield mending.mend_markers(keys, now, True)
            if ready and again[0]:
                self._report.add(Finding(keys.name, "marker", "", str(again[0])))
            if overdue and again[1]:
                self._report.add(Finding(keys.name, "overdue", "", str(again[1])))
        _, left, _ = yield mending.lengths(keys)
        if left and not (yield is_paused(keys)):
            self._report.add(Finding(keys.name, "paused", "", str(left)))

    def _keyspace(self) -> Operation[None]:
        wanted = set(self._report.queues)
        cursor = ""
        while cursor != "0" and not self._over():
            cursor, found = yield mending.scan(self._prefix, cursor or "0")
            self._report.keys += len(found)
            rests: dict[str, list[str]] = {}
            for key in found:
                queue, colon, rest = key[len(self._prefix) + 1 :].partition(":")
                if colon and queue in wanted:
                    rests.setdefault(queue, []).append(rest)
            for queue, some in rests.items():
                yield from self._look_at_keys(Keys(self._prefix, queue), some)

    def _look_at_keys(self, keys: Keys, rests: list[str]) -> Operation[None]:
        listed = self._listed.get(keys.name, set())
        ids = dict.fromkeys(one for rest in rests for one in mending.candidates(rest))
        unlisted = [one for one in ids if one and one not in listed]
        loose: list[tuple[str, str]] = []
        for some in _batches(unlisted, mending.SLICE):
            loose += yield mending.check_keys(keys, some)
        now = yield NOW
        locks = [job_id for kind, job_id in loose if kind == "lock"]
        for some in (yield from _slices(keys, locks)):
            for job_id in (yield mending.mend_locks(keys, some, True)) or ():
                self._report.add(Finding(keys.name, "lock", job_id))
        others = {job_id: kind for kind, job_id in loose if kind != "lock"}
        for some in (yield from _slices(keys, list(others))):
            outcome = yield mending.mend_orphans(keys, now, some, True)
            if outcome is None:
                self._report.long_lists.add(keys.name)
                break
            for how, job_id in outcome:
                kind = "unknown" if how == "kept" else others[job_id]
                self._report.add(Finding(keys.name, kind, job_id, how))
        owned = [rest[3:] for rest in rests if rest.startswith("de:")]
        for some in _batches(owned, mending.SLICE):
            for one in (yield mending.mend_deduplication(keys, some, True)) or ():
                self._report.add(Finding(keys.name, "deduplication", one))


def _groups(keys: Keys) -> Operation[list[tuple[str, str]]]:
    """Where grouped jobs of a queue stand under our keys: (``group`` or ``group-later``, id)."""
    if not (yield Command(("EXISTS", keys.grouped))):
        return []
    waiting = yield from find_groups(keys)
    later = yield Command(("ZRANGE", keys.qc("group-delayed"), 0, -1), texts)
    return [*(("group", one) for one in waiting), *(("group-later", one) for one in later)]


def _slices(keys: Keys, ids: Sequence[str], most: int = _BATCH) -> Operation[list[list[str]]]:
    """*ids* in pieces, each so small that its walks through the queue's lists are short."""
    if not ids:
        return []
    length = sum((yield mending.lengths(keys)))
    return list(_batches(ids, max(1, min(most, mending.STEPS // (length + 1)))))


def _batches(ids: Sequence[str], most: int) -> Iterator[list[str]]:
    for start in range(0, len(ids), most):
        yield list(ids[start : start + most])


def _known(kinds: Sequence[str]) -> None:
    for kind in kinds:
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is no kind of finding: use {', '.join(KINDS)}")
