"""Runs: what became of a scheduler's runs, as far as they are kept: late, missed, overlapping.

A run's id says when it was due, and its options which number it has. Two runs with consecutive
numbers have none between them: what was due between was missed, for certain. Where a number lacks,
the run was removed, and nothing is claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from statistics import median
from typing import TYPE_CHECKING

from .errors import InvalidOption
from .fires import past

if TYPE_CHECKING:
    from .authors import Author
    from .schedulers import JobScheduler

#: A run that is due for so many ms and has not begun is late.
LATE_MS = 60_000
#: The last runs that a page shows.
LAST = 20
# Between the start of a run and the next one's adding.
_GRACE_MS = 5_000
_MOST_MISSED = 200


@dataclass(frozen=True, slots=True)
class Run:
    """One run that is kept; times in ms, None for what has not happened.

    ``due``: when it was to run; None for one by hand. ``number``: which of the scheduler's runs
    it is, since the last upsert. ``state`` as of any job. ``attempts``: made so far. ``error``: the
    last one's beginning. ``worker``: who ran it.
    """

    id: str
    due: int | None
    number: int | None
    state: str
    name: str
    added: int | None
    began: int | None
    ended: int | None
    attempts: int
    started: int
    error: str
    worker: str

    @property
    def by_hand(self) -> bool:
        """Whether somebody asked for it."""
        return self.due is None

    @property
    def finished(self) -> bool:
        """Whether it completed or failed for good."""
        return self.state in ("completed", "failed")

    @property
    def drift(self) -> int | None:
        """How long after its time it began (ms); not known of one that was tried again."""
        if self.due is None or self.began is None or self.started > 1 or self.began < self.due:
            return None
        return self.began - self.due

    def lasted(self, now: int) -> int | None:
        """How long it ran, or runs by now (ms)."""
        if self.began is None:
            return None
        if self.state == "active":
            return max(0, now - self.began)
        return None if self.ended is None else max(0, self.ended - self.began)


@dataclass(frozen=True)
class Timing:
    """One scheduler with its runs, read at the server's time *now* (ms).

    ``runs``: those that are kept, the latest first, the one that waits among them. ``pause``: from
    when to when it was paused last. ``readable``: whether its pattern means something here.
    ``author``: who made it by hand or changed it; None for one as a program has defined it.
    """

    queue: str
    scheduler: JobScheduler
    runs: Sequence[Run]
    now: int
    pause: tuple[int, int] | None = None
    readable: bool = True
    author: Author | None = None

    @property
    def due(self) -> int | None:
        """When it runs next (ms); None while it is paused."""
        at = self.scheduler.next
        if at is None or self.scheduler.paused_at is not None:
            return None
        return round(at.timestamp() * 1000)

    @cached_property
    def pending(self) -> Run | None:
        """The run that waits."""
        due = self.due
        return next((run for run in self.runs if due is not None and run.due == due), None)

    @cached_property
    def begun(self) -> list[Run]:
        """The runs that began, the latest first."""
        found = [run for run in self.runs if run.began is not None]
        return sorted(found, key=lambda run: run.began or 0, reverse=True)

    @property
    def last(self) -> Run | None:
        """The run that began last."""
        return next(iter(self.begun), None)

    @property
    def late(self) -> bool:
        """Whether its next run should have begun, and still waits."""
        pending = self.pending
        return self._overdue and pending is not None and pending.began is None

    @property
    def over(self) -> bool:
        """Whether it makes no more runs: its limit or its end is reached."""
        due, pending = self.due, self.pending
        if due is None or (pending is not None and pending.began is None):
            return False
        limit, end = self.scheduler.limit, self.scheduler.end_date
        if limit is not None:
            # Where the last run is not kept, it has ended: one that waits is always there.
            return pending is None or (pending.number or 0) >= limit
        return end is not None and end.timestamp() * 1000 < self.now

    @property
    def stuck(self) -> bool:
        """Whether it stands still: its run has begun, or is gone, and none was added after it.

        A peer's pattern that the worker could not read does that, and a run deleted by hand.
        """
        if not self._overdue or self.over or self.scheduler.legacy:
            return False
        pending = self.pending
        return pending is None or (
            pending.began is not None and pending.began < self.now - _GRACE_MS
        )

    @property
    def _overdue(self) -> bool:
        due = self.due
        return due is not None and due < self.now - LATE_MS

    @property
    def drift(self) -> int | None:
        """How long after its time a run begins (ms), the median of the last ones."""
        known = [run.drift for run in self.begun[:LAST] if run.drift is not None]
        return round(median(known)) if known else None

    def missed(self, since: int = 0) -> list[int]:
        """When it was due and no run came, from *since* on, in order."""
        return [at for at in self._missed if at >= since]

    @cached_property
    def _missed(self) -> list[int]:
        numbered = [run for run in self.runs if run.due is not None and run.number is not None]
        numbered.sort(key=lambda run: run.due or 0)
        found: set[int] = set()
        for one, other in pairwise(numbered):
            if other.number == (one.number or 0) + 1:
                found |= self._between(one.due or 0, other.due or 0)
        if self.late and self.due is not None:
            found |= {self.due, *self._between(self.due, self.now)}
        begin, end = self.pause or (0, 0)
        return sorted(at for at in found if not begin <= at <= end)

    def overlaps(self, since: int = 0) -> list[tuple[Run, Run]]:
        """Runs that began before the one before them had ended, and that one; from *since* on."""
        running: Run | None = None
        found = []
        for run in reversed(self.begun):
            until = self._until(running) if running else 0
            if running is not None and (run.began or 0) < until and until >= since:
                found.append((running, run))
            if running is None or self._until(run) >= until:
                running = run
        return found

    def _until(self, run: Run) -> int:
        if run.state == "active":
            return self.now + 1
        return (run.began or 0) + (run.lasted(self.now) or 0)

    def _between(self, start: int, end: int) -> set[int]:
        """The moments after *start* and before *end*; of very many, the last ones."""
        repeat = self.scheduler.repeat
        if repeat.every:
            # After a run that came late, the beat may begin elsewhere: half of it makes no run.
            moments = range(start + repeat.every, end - repeat.every // 2, repeat.every)
            return set(moments[-_MOST_MISSED:])
        try:
            found = islice(past(repeat, end, None), _MOST_MISSED)
            return {at for at in found if at > start}
        except InvalidOption:
            return set()
