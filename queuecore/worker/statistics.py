"""Statistics: what a worker counts of its runs in memory, and adds to the server now and then.

Nothing is asked of the server for a job: every few seconds one pipeline takes all that was
counted. What could not be sent is kept and sent later; a pipeline of unknown fate is sent again
under the same numbers, which the server counts once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ..errors import JobCancelled, QueueCoreError, ScriptError
from ..histogram import bucket
from ..job import Job
from ..queue import Queue
from ..wire.calls import counting
from ..wire.calls.base import Call, Operation
from ..wire.calls.counting import MINUTE_MS
from ..wire.calls.working import Outcome
from .execute import Run
from .fingerprints import MOST_NAME, fingerprint, sample

logger = logging.getLogger("queuecore.worker")

#: Job names that one worker counts each by itself; further ones are counted together.
MOST_NAMES = 50
#: Minutes and kinds of failures that are kept while the server is away.
MOST_MINUTES, MOST_ERRORS = 60, 100
# Three years of ms: what waits longer was not added when it says.
_LONGEST = 10**11
# Runs of a name whose times are counted together: in bulk that costs a third.
_FOLDED = 1000
# Of a second, so that many short times are alike.
_TICKS = 10_000_000
# How often what a script refuses is tried, and what the last flush gets when the worker ends.
_TRIES = 3
_PATIENCE = 1.5


@dataclass(slots=True, eq=False)
class _Name:
    """What was counted of one job name in one minute; sums in microseconds."""

    completed: int = 0
    failed: int = 0
    retried: int = 0
    waited: int = 0
    ran: int = 0
    waits: dict[int, int] = field(default_factory=dict)
    runs: dict[int, int] = field(default_factory=dict)
    # What is not counted yet: seconds that runs took, and when jobs were claimed and added, as
    # the server tells it.
    took: list[float] = field(default_factory=list)
    claimed: list[bytes] = field(default_factory=list)
    added: list[bytes] = field(default_factory=list)

    def fold(self) -> None:
        """Count the times."""
        took, self.took = self.took, []
        pairs = zip(self.claimed, self.added, strict=True)
        self.claimed, self.added = [], []
        self.ran += int(sum(took) * 1_000_000)
        ticks = map(int, map(float(_TICKS).__mul__, took))
        for number, count in Counter(map(_bucket_of, ticks)).items():
            self.runs[number] = self.runs.get(number, 0) + count
        # Jobs are claimed by the batch, and often added so: most have the times of others.
        for (claimed, added), count in Counter(pairs).items():
            wait = _between(claimed, added)
            self.waited += wait * 1000 * count
            number = bucket(wait)
            self.waits[number] = self.waits.get(number, 0) + count

    def fields(self) -> dict[str, int]:
        """As the server keeps it; `n` comes first and always."""
        self.fold()
        counts = {
            "n": self.completed + self.failed + self.retried,
            "c": self.completed,
            "f": self.failed,
            "r": self.retried,
            "W": self.waited,
            "R": self.ran,
        }
        counts |= {f"w{number}": count for number, count in self.waits.items()}
        counts |= {f"r{number}": count for number, count in self.runs.items()}
        return {name: count for name, count in counts.items() if count}

    def add(self, other: _Name) -> None:
        """Count what *other* counts, too."""
        self.fold()
        other.fold()
        for name in ("completed", "failed", "retried", "waited", "ran"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for ours, theirs in ((self.waits, other.waits), (self.runs, other.runs)):
            for number, count in theirs.items():
                ours[number] = ours.get(number, 0) + count


@dataclass(slots=True)
class _Failure:
    """Failures of one kind since the last flush; times in ms."""

    what: bytes
    first: int
    last: int
    count: int = 0


class Statistics:
    """Counts the runs of one worker, and flushes them every so many seconds."""

    def __init__(self, queue: Queue, worker: str, every: float) -> None:
        self._queue = queue
        self._worker = worker
        self._every = every
        self._names: dict[bytes, str] = {}
        self._minutes: dict[int, dict[str, _Name]] = {}
        # Those of the minute that runs, by the name's bytes, and when it is over.
        self._present: dict[bytes, _Name] = {}
        self._until = 0
        self._errors: dict[str, _Failure] = {}
        self._sending: list[Call[int]] = []
        self._flushing = asyncio.Lock()
        self._number = 0
        self._tries = 0

    # Counting, a job: this is the worker's hot path

    def ended(self, reports: Iterable[tuple[Run, Outcome, Any]], now: int) -> None:
        """Count runs whose outcomes the server has taken at *now* (ms)."""
        if now >= self._until:
            self._present, self._until = {}, (now // MINUTE_MS + 1) * MINUTE_MS
        present, last, one, touched = self._present, None, None, []
        for run, outcome, value in reports:
            kind = outcome.kind
            fields = run.job._fields
            raw = fields.get(b"name", b"")
            if one is None or raw != last:
                if kind not in "cfrd":
                    continue  # put back: it was no run
                last, one = raw, present.get(raw) or self._find(raw, now)
                touched.append(one)
                add_took, add_added, add_claimed = (
                    one.took.append, one.added.append, one.claimed.append,
                )  # fmt: skip
            if kind == "c":
                one.completed += 1
            elif kind == "f":
                one.failed += 1
            elif kind in "rd":
                one.retried += 1
            else:
                continue
            if took := run.took:
                add_took(took)
                if run.starts <= 1:
                    added = fields.get(b"timestamp", b"")
                    add_added(_due(run.job, added) if "delay" in run.job.opts else added)
                    add_claimed(fields.get(b"processedOn", b""))
            if kind != "c" and isinstance(value, BaseException):
                self._failed(run, self._known(raw), str(outcome.value), value, now)
        for one in touched:
            if len(one.took) >= _FOLDED:
                one.fold()

    def _find(self, raw: bytes, now: int) -> _Name:
        """Where runs of a name are counted now."""
        minute = now // MINUTE_MS
        names = self._minutes.get(minute)
        if names is None:
            names = self._minute(minute)
        name = self._known(raw)
        if (one := names.get(name)) is None:
            one = names[name] = _Name()
        if name:
            self._present[raw] = one
        return one

    def _known(self, raw: bytes) -> str:
        if (known := self._names.get(raw)) is not None:
            return known
        name = raw.decode("utf-8", "backslashreplace")[:MOST_NAME]
        if len(self._names) >= MOST_NAMES:
            return ""  # of so many names, most are of one job each
        self._names[raw] = name
        return name

    def _minute(self, minute: int) -> dict[str, _Name]:
        while len(self._minutes) >= MOST_MINUTES:
            oldest, following, *_ = sorted(self._minutes)
            _merge(self._minutes[following], self._minutes.pop(oldest))
        return self._minutes.setdefault(minute, {})

    def _failed(self, run: Run, name: str, reason: str, error: BaseException, now: int) -> None:
        if isinstance(error, JobCancelled):
            return  # somebody's wish, in their own words: no fault, and each would be a new kind
        try:
            id, *parts = fingerprint(name, error, reason)
            if (found := self._errors.get(id)) is None:
                if len(self._errors) >= MOST_ERRORS:
                    return  # the counts by name still tell of it
                what = sample(name, run.job.id, error, reason, *parts)
                found = self._errors[id] = _Failure(what, now, now)
        except Exception:  # the error's own code, which may do anything
            return
        found.count += 1
        found.last = now

    # Flushing

    async def run(self) -> None:
        """Flush every few seconds, for ever."""
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.flush()
            except Exception:
                # Whatever it is: jobs must not end because they cannot be counted.
                logger.exception("queue %s: statistics were not told", self._queue.name)

    async def close(self) -> None:
        """Flush what is left, for as long as a closing worker has patience."""
        deadline = time.monotonic() + _PATIENCE
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self.flush()
                # What was counted while an earlier pipeline was under way.
                while (self._minutes or self._errors) and time.monotonic() < deadline:
                    if not await self.flush():
                        break

    async def flush(self) -> bool:
        """Send what was counted; whether the server has taken it."""
        async with self._flushing:
            if not self._sending:
                self._sending, self._tries = self._taken(), 0
            if not self._sending:
                return True
            try:
                await self._queue.connection.arun(_together(self._sending))
            except QueueCoreError as error:
                self._tries += isinstance(error, ScriptError)
                if self._tries < _TRIES:
                    return False
                logger.warning(
                    "queue %s: statistics of some seconds are lost, the server does not take "
                    "them: %s",
                    self._queue.name, error,
                )  # fmt: skip
            self._sending = []
            return True

    def _taken(self) -> list[Call[int]]:
        """What was counted so far as calls, each small enough; it is counted no more here."""
        now = self._queue.connection.clock.now_ms()
        minutes, self._minutes, self._until = self._minutes, {}, 0
        failures, self._errors = self._errors, {}
        errors = [(id, one.count, one.first, one.last, one.what) for id, one in failures.items()]
        calls: list[Call[int]] = []

        def call(minute: int, names: dict[str, dict[str, int]]) -> None:
            nonlocal errors
            self._number += 1
            calls.append(
                counting.count_runs(
                    self._queue.keys, self._worker, self._number, minute, now, names, errors
                )
            )
            errors = []

        # The newest first: that is the minute to which failures are counted.
        for minute in sorted(minutes, reverse=True):
            some: dict[str, dict[str, int]] = {}
            size = 0
            for name, one in minutes[minute].items():
                fields = one.fields()
                if some and size + len(fields) > counting.BATCH:
                    call(minute, some)
                    some, size = {}, 0
                some[name] = fields
                size += len(fields)
            if some:
                call(minute, some)
        return calls


@lru_cache(16_384)
def _bucket_of(ticks: int) -> int:
    return bucket(ticks * 1000 / _TICKS)


def _due(job: Job, added: bytes) -> bytes:
    """When a delayed job could run first."""
    delay = job.opts.get("delay")
    try:
        return b"%d" % (int(added) + delay) if type(delay) is int else added
    except ValueError:
        return added


def _between(claimed: bytes, added: bytes) -> int:
    """The ms from when a job could run first until it was claimed."""
    try:
        return min(max(int(claimed) - int(added), 0), _LONGEST)
    except ValueError:  # whoever added it may have written anything
        return 0


def _merge(names: dict[str, _Name], others: dict[str, _Name]) -> None:
    for name, one in others.items():
        names.setdefault(name, _Name()).add(one)


def _together(calls: list[Call[int]]) -> Operation[None]:
    yield list(calls)
