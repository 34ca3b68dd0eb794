"""Statistics: how long jobs of a queue wait and run, how they end, and what fails alike.

Workers of ours count it in memory and tell it every few seconds, so it costs a job nothing on the
server, and is as old as that. Jobs that peers work, and that a program claims by hand, are not in
it. What is read is taken for hostile: what cannot be understood is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from .connected import Connected
from .handle import known_name
from .histogram import FIRST, LAST, Histogram
from .options import checked_whole
from .wire.calls import counting
from .wire.calls.base import NOW, Operation
from .wire.calls.counting import HOUR_MS, MINUTE_MS, MOST, QUARTER_MS
from .wire.keys import Keys
from .wire.readings import decoded, integer, moment

__all__ = ["Failure", "Figures", "Histogram", "Period", "Statistics", "prometheus"]

_MOST_NAME, _MOST_TEXT, _MOST_TRACE = 100, 2_000, 5_000
_MOST_ERRORS = 200
#: More names than workers count are not theirs.
_MOST_NAMES = 1_000
_MOST_DIGITS = 15
#: Bounds of what Prometheus gets: powers of two in ms, from 1 ms to about 70 minutes.
BOUNDS = range(23)


@dataclass(slots=True)
class Figures:
    """What became of runs. ``retried``: they failed and the job is tried again.

    ``wait``: from when a job could run first until it began, of its first run only. ``run``: how
    long its processor took, of every run.
    """

    completed: int = 0
    failed: int = 0
    retried: int = 0
    wait: Histogram = field(default_factory=Histogram)
    run: Histogram = field(default_factory=Histogram)

    @property
    def runs(self) -> int:
        """How many runs ended."""
        return self.completed + self.failed + self.retried

    def add(self, other: Figures) -> None:
        """Count what *other* counts, too."""
        self.completed += other.completed
        self.failed += other.failed
        self.retried += other.retried
        self.wait.add(other.wait)
        self.run.add(other.run)

    @classmethod
    def of(cls, several: Iterable[Figures]) -> Figures:
        """All of *several* together."""
        whole = cls()
        for one in several:
            whole.add(one)
        return whole


@dataclass(slots=True)
class Period:
    """What ended in a minute, a quarter of an hour or an hour that began at ``at``.

    ``names``: by job name; the empty one stands for those beyond the 50 that a worker counts each
    by itself. ``failures``: how often each kind of failure came, by :attr:`Failure.id`.
    """

    at: datetime
    names: dict[str, Figures]
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def whole(self) -> Figures:
        """All names together."""
        return Figures.of(self.names.values())


@dataclass(frozen=True, slots=True)
class Failure:
    """Failures of one kind, tries that were followed by another included.

    ``name``: the job's. ``kind``: the exception's class. ``message``: without what differs from job
    to job. ``frame``: ``module:function`` of the project in which it arose. ``job_id``, ``reason``,
    ``trace``: of the last one that a worker told.
    """

    id: str
    count: int
    first_seen: datetime | None
    last_seen: datetime | None
    name: str
    kind: str
    message: str
    frame: str
    job_id: str
    reason: str
    trace: str


class Statistics(Connected):
    """The statistics of one queue. Every method has an async twin, its name with an ``a``.

    All raise :class:`queuecore.errors.ServerUnavailable` while the server is away.

    Args:
        queue: the queue's name, whoever made it.
        alias: a key of ``QUEUECORE["CONNECTIONS"]``.

    Raises:
        InvalidOption: the name is no text, or empty.
        ConfigurationError: there is no such connection.
    """

    def __init__(self, queue: str, alias: str = "default") -> None:
        super().__init__(alias)
        self.queue = known_name(queue)
        self.keys = Keys(self.connection.prefix, self.queue)

    def minutes(self, last: int = 60) -> list[Period]:
        """The *last* minutes, at most 180, the oldest first; the last one still runs.

        Raises:
            InvalidOption: *last* is no whole number.
        """
        return self._run(self._periods("minute", MINUTE_MS, last))

    async def aminutes(self, last: int = 60) -> list[Period]:
        """See :meth:`minutes`."""
        return await self._arun(self._periods("minute", MINUTE_MS, last))

    def quarters(self, last: int = 24) -> list[Period]:
        """The *last* quarters of an hour, at most 100, the oldest first; the last one still runs.

        Raises:
            InvalidOption: *last* is no whole number.
        """
        return self._run(self._periods("quarter", QUARTER_MS, last))

    async def aquarters(self, last: int = 24) -> list[Period]:
        """See :meth:`quarters`."""
        return await self._arun(self._periods("quarter", QUARTER_MS, last))

    def hours(self, last: int = 24) -> list[Period]:
        """The *last* hours, at most 192, the oldest first; the last one still runs.

        Raises:
            InvalidOption: *last* is no whole number.
        """
        return self._run(self._periods("hour", HOUR_MS, last))

    async def ahours(self, last: int = 24) -> list[Period]:
        """See :meth:`hours`."""
        return await self._arun(self._periods("hour", HOUR_MS, last))

    def totals(self) -> dict[str, Figures]:
        """All that was ever counted, by job name; forgotten after 30 days without a run."""
        return self._run(self._totals())

    async def atotals(self) -> dict[str, Figures]:
        """See :meth:`totals`."""
        return await self._arun(self._totals())

    def failures(self, limit: int = 50) -> list[Failure]:
        """The kinds of failures of the last 7 days, at most 200, those seen last first.

        Raises:
            InvalidOption: *limit* is no whole number.
        """
        return self._run(self._failures(limit))

    async def afailures(self, limit: int = 50) -> list[Failure]:
        """See :meth:`failures`."""
        return await self._arun(self._failures(limit))

    def forget(self) -> None:
        """Delete all of it."""
        self._run(self._forget())

    async def aforget(self) -> None:
        """See :meth:`forget`."""
        await self._arun(self._forget())

    # The operations

    def _periods(self, kind: str, length: int, last: int) -> Operation[list[Period]]:
        most = min(checked_whole(last, "last"), MOST[kind])
        now = yield NOW
        numbers = [now // length - i for i in reversed(range(most))]
        read = yield from counting.get_counts(self.keys, [f"{kind}:{one}" for one in numbers])
        periods = []
        for number, flat in zip(numbers, read, strict=True):
            at = moment(number * length)
            assert at is not None
            periods.append(Period(at, read_names(flat), _kinds(flat)))
        return periods

    def _totals(self) -> Operation[dict[str, Figures]]:
        (flat,) = yield from counting.get_counts(self.keys, ["totals"])
        return read_names(flat)

    def _failures(self, limit: int) -> Operation[list[Failure]]:
        most = min(checked_whole(limit, "limit"), _MOST_ERRORS)
        if not most:
            return []
        read = yield from counting.get_errors(self.keys, most)
        return [one for id, last, raw in read if (one := read_failure(id, last, raw)) is not None]

    def _forget(self) -> Operation[None]:
        now = yield NOW
        yield from counting.forget(self.keys, now)


def prometheus(
    names: Mapping[str, Figures], labels: str, escaped: Callable[[str], str]
) -> list[str]:
    """Lines of Prometheus' text format: two histograms, and the runs by how they ended.

    *labels*: those that every line has, such as ``queue="emails"``.
    """
    lines: list[str] = []
    for part, told in (
        ("wait", "Time from when a job could run first until it began"),
        ("run", "Time that a run took"),
    ):
        metric = f"queuecore_job_{part}_seconds"
        lines += [f"# HELP {metric} {told}", f"# TYPE {metric} histogram"]
        for name, figures in names.items():
            histogram: Histogram = getattr(figures, part)
            whole = f'{labels}, name="{escaped(name)}"'
            for bound, count in zip(BOUNDS, histogram.up_to(BOUNDS), strict=True):
                lines.append(f'{metric}_bucket{{{whole}, le="{2**bound / 1000}"}} {count}')
            lines.append(f'{metric}_bucket{{{whole}, le="+Inf"}} {histogram.count}')
            lines.append(f"{metric}_sum{{{whole}}} {histogram.total!r}")
            lines.append(f"{metric}_count{{{whole}}} {histogram.count}")
    metric = "queuecore_job_runs_total"
    lines += [f"# HELP {metric} Runs by how they ended", f"# TYPE {metric} counter"]
    for name, figures in names.items():
        for outcome in ("completed", "failed", "retried"):
            whole = f'{labels}, name="{escaped(name)}", outcome="{outcome}"'
            lines.append(f"{metric}{{{whole}}} {getattr(figures, outcome)}")
    return lines


_COUNTS = {"c": "completed", "f": "failed", "r": "retried"}


def read_names(flat: list[bytes]) -> dict[str, Figures]:
    """Read a hash of counts: names and values, one after the other."""
    names: dict[str, Figures] = {}
    for raw, value in zip(flat[::2], flat[1::2], strict=False):
        field, separator, name = raw.decode("utf-8", "backslashreplace").partition(":")
        count = integer(value)
        if not separator or count is None or not 0 < count < 2**53 or field == "n":
            continue
        name = name[:_MOST_NAME]
        if name not in names and len(names) >= _MOST_NAMES:
            name = ""
        figures = names.get(name) or Figures()
        if _counted(figures, field, count):
            names[name] = figures
    return dict(sorted(names.items()))


def read_whole(flats: Iterable[list[bytes]]) -> Figures:
    """Read hashes of counts, all names together: much quicker than each by itself."""
    whole = Figures()
    counts = {"w": whole.wait.buckets, "r": whole.run.buckets}
    for flat in flats:
        for raw, value in zip(flat[::2], flat[1::2], strict=False):
            name, colon, _job = raw.partition(b":")
            if not colon or not value.isdigit() or len(value) > _MOST_DIGITS:
                continue
            kind, number = _what(name)
            if kind in counts:
                buckets = counts[kind]
                buckets[number] = buckets.get(number, 0) + int(value)
            elif kind:
                _counted(whole, kind, int(value))
    return whole


@lru_cache(1_000)
def _what(field: bytes) -> tuple[str, int]:
    """What a field counts: ``w`` or ``r`` with its bucket, or one of the others; empty for none."""
    text = field[:6].decode("utf-8", "replace")
    if text in _COUNTS or text in ("W", "R"):
        return text, 0
    number = integer(text[1:]) if len(text) < 6 else None
    if text[:1] in ("w", "r") and number is not None and FIRST <= number <= LAST:
        return text[0], number
    return "", 0


def _kinds(flat: list[bytes]) -> dict[str, int]:
    kinds: dict[str, int] = {}
    for raw, value in zip(flat[::2], flat[1::2], strict=False):
        if raw[:2] == b"e:" and len(kinds) < _MOST_NAMES:
            count = integer(value)
            if count is not None and 0 < count < 2**53:
                kinds[raw[2:].decode("utf-8", "backslashreplace")[:_MOST_NAME]] = count
    return kinds


def _counted(figures: Figures, field: str, count: int) -> bool:
    if (attribute := _COUNTS.get(field)) is not None:
        setattr(figures, attribute, getattr(figures, attribute) + count)
        return True
    if field in ("W", "R"):
        (figures.wait if field == "W" else figures.run).total += count / 1_000_000
        return True
    number = integer(field[1:]) if len(field) < 6 else None
    if field[:1] not in ("w", "r") or number is None or not FIRST <= number <= LAST:
        return False
    buckets = (figures.wait if field[0] == "w" else figures.run).buckets
    buckets[number] = buckets.get(number, 0) + count
    return True


def read_failure(id: str, last: int | None, raw: list[bytes | None]) -> Failure | None:
    """Read a kind of failure; None where it cannot be one."""
    count, first, what = raw
    told = decoded(what)
    if not isinstance(told, dict) or (number := integer(count)) is None or number < 1:
        return None

    def text(name: str, most: int) -> str:
        value: Any = told.get(name)
        return value[:most] if isinstance(value, str) else ""

    return Failure(
        id[:_MOST_NAME],
        number,
        moment(integer(first)),
        moment(last),
        text("name", _MOST_NAME),
        text("kind", _MOST_NAME),
        text("message", _MOST_TEXT),
        text("frame", _MOST_TEXT),
        text("job", _MOST_TEXT),
        text("reason", _MOST_TEXT),
        text("trace", _MOST_TRACE),
    )
