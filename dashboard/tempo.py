"""Tempo: how long the jobs of a queue wait and run, how they end, and what fails, by the time.

It is what workers of ours tell (:mod:`queuecore.statistics`), read at a calm pace, once for all who
look: what is over does not change any more, so of each period it is read once, and then only now
and then, for workers that could not tell it in time.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from queuecore.statistics import Failure, Figures, Period, Statistics

from .digest import PANELS
from .live.sources import Asked
from .live.state import Topic

#: Of each period that a chart may have: what is counted by which lengths of time, and how many.
SPANS: dict[str, tuple[str, int]] = {
    "15m": ("minute", 15),
    "1h": ("minute", 60),
    "6h": ("quarter", 24),
    "24h": ("quarter", 96),
    "7d": ("hour", 168),
}
#: The seconds of each length, and how many of them are read.
LENGTHS = {"minute": (60, 120), "quarter": (900, 96), "hour": (3_600, 168)}
#: Kinds of failures that are looked at.
MOST_FAILURES = 100
# Seconds after which what is over is read again; and the most queues that are remembered.
_AGAIN_S, _MOST = 120.0, 100


@dataclass(slots=True, eq=False)
class Tempo:
    """What is known of one queue: periods by their length, the oldest first, and failures.

    ``drawn``: what was made of it, for all who see the same.
    """

    periods: Mapping[str, Sequence[Period]]
    failures: Sequence[Failure]
    drawn: dict[Any, tuple[Any, Any]] = field(default_factory=dict)

    def last(self, span: str, back: int = 0) -> Sequence[Period]:
        """The periods of a span; with *back* those of the span before. Empty if it is not kept."""
        kind, count = SPANS[span]
        known = self.periods.get(kind, ())
        end = len(known) - count * back
        return known[end - count : end] if end >= count else ()


def figures(periods: Iterable[Period], name: str | None) -> Figures:
    """The figures of one name, or of all, over some periods."""
    if name is None:
        return Figures.of(one.whole for one in periods)
    return Figures.of(found for one in periods if (found := one.names.get(name)) is not None)


def by_name(periods: Iterable[Period]) -> dict[str, Figures]:
    """The figures of each name over some periods."""
    found: dict[str, Figures] = {}
    for period in periods:
        for name, one in period.names.items():
            found.setdefault(name, Figures()).add(one)
    return found


def failed(periods: Iterable[Period]) -> Counter[str]:
    """How often each kind of failure came in some periods, by its id."""
    found: Counter[str] = Counter()
    for period in periods:
        found.update(period.failures)
    return found


def look(alias: str, asked: Asked) -> dict[str, Tempo]:
    """Read the queues of *alias* whose pages are open."""
    found = {}
    for queue, kinds in _wanted(asked).items():
        told = Statistics(queue, alias)
        for kind in kinds:
            count = _count(alias, queue, kind)
            read = {"minute": told.minutes, "quarter": told.quarters, "hour": told.hours}[kind]
            _keep(alias, queue, kind, read(count))
        found[queue] = _tempo(alias, queue, kinds, told.failures(MOST_FAILURES))
    return found


async def alook(alias: str, asked: Asked) -> dict[str, Tempo]:
    """See :func:`look`."""
    found = {}
    for queue, kinds in _wanted(asked).items():
        told = Statistics(queue, alias)
        for kind in kinds:
            count = _count(alias, queue, kind)
            read = {"minute": told.aminutes, "quarter": told.aquarters, "hour": told.ahours}[kind]
            _keep(alias, queue, kind, await read(count))
        found[queue] = _tempo(alias, queue, kinds, await told.afailures(MOST_FAILURES))
    return found


def _wanted(asked: Iterable[tuple[Topic, Sequence[str]]]) -> dict[str, list[str]]:
    """The queues, each with the lengths of time that somebody sees of it."""
    found: dict[str, set[str]] = {}
    for topic, ids in asked:
        if PANELS in ids:
            spans = [span for one in ids if (span := one.partition(":")[2]) in SPANS]
            # A page that asks for no period will have one of those by the minute.
            kinds = {SPANS[span][0] for span in spans or ("1h",)}
            found.setdefault(topic.queue, set()).update(kinds)
    return {queue: sorted(found[queue]) for queue in sorted(found)}


@dataclass(slots=True)
class _Known:
    """What was read of one queue in one length of time: by its beginning."""

    periods: dict[float, Period] = field(default_factory=dict)
    whole_at: float = 0.0
    read_at: float = 0.0


_known: dict[tuple[str, str, str], _Known] = {}
_lock = threading.Lock()


def _count(alias: str, queue: str, kind: str) -> int:
    """How many periods must be read now: all, or those that may have changed."""
    known, now = _known.get((alias, queue, kind)), time.monotonic()
    length, most = LENGTHS[kind]
    if known is None or now - known.whole_at >= _AGAIN_S:
        return most
    # One more than have begun: workers tell of a period when it is over, too.
    return min(most, 3 + int((now - known.read_at) / length))


def _keep(alias: str, queue: str, kind: str, read: Sequence[Period]) -> None:
    key, most = (alias, queue, kind), LENGTHS[kind][1]
    with _lock:
        if key not in _known and len(_known) >= _MOST:
            _known.clear()
        known = _known.setdefault(key, _Known())
        known.read_at = time.monotonic()
        if len(read) >= most:
            known.whole_at, known.periods = known.read_at, {}
        known.periods |= {one.at.timestamp(): one for one in read}
        for at in sorted(known.periods)[:-most]:
            del known.periods[at]


def _tempo(alias: str, queue: str, kinds: Iterable[str], failures: Sequence[Failure]) -> Tempo:
    periods = {}
    with _lock:
        for kind in kinds:
            known = _known.get((alias, queue, kind), _Known()).periods
            periods[kind] = [known[at] for at in sorted(known)]
    return Tempo(periods, failures)
