"""What every queue of a connection did lately, read from the history in one walk for all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

JUST, MINUTE, WINDOW, GROWTH, DAY = 15, 60, 600, 300, 86_400


@dataclass(frozen=True, slots=True)
class Rates:
    """Sums over the last seconds, minute, ten minutes and day, and the levels five minutes ago.

    ``sums``: by seconds, then by queue: (completed, failed). ``measured``: how many of those
    seconds anybody measured. ``before``: the figures of each queue ``span`` seconds ago.
    """

    sums: Mapping[int, Mapping[str, tuple[float, float]]]
    measured: Mapping[int, float]
    before: Mapping[str, Any]
    span: int

    def a_minute(self, name: str) -> float | None:
        """Jobs that ended a minute, over the last one; None where nobody measured it."""
        if not self.measured[MINUTE]:
            return None
        return sum(self.sums[MINUTE].get(name, (0, 0))) * MINUTE / self.measured[MINUTE]

    def ended(self, name: str, seconds: int) -> tuple[float, float]:
        """(completed, failed) in the last *seconds*."""
        return self.sums[seconds].get(name, (0.0, 0.0))

    def growth(self, name: str, counts: Mapping[str, int]) -> float | None:
        """How many more unfinished jobs there are a minute; None where that is not known."""
        before = self.before.get(name)
        if before is None or not self.span:
            return None
        now: float = sum(
            counts.get(one, 0) for one in ("waiting", "prioritized", "active", "delayed")
        )
        then: float = before.waiting + before.active + before.delayed
        return (now - then) * MINUTE / self.span


def rates_of(connection: Any) -> Rates:
    """Read the history of a :class:`.live.state.ConnectionState` once for all its queues."""
    history = connection.history
    day = _day(history, history.last_minute)
    # A history younger than five minutes is compared with what it has, half a minute at least.
    before, span = next(
        ((found, span) for span in (GROWTH, 120, 60, 30) if (found := history.ago(span))), ({}, 0)
    )
    short = {seconds: history.sums(seconds) for seconds in (JUST, MINUTE, WINDOW)}
    return Rates(
        sums={**short, DAY: day[0]},
        measured={MINUTE: history.measured(MINUTE), WINDOW: history.measured(WINDOW), DAY: day[1]},
        before=before,
        span=span,
    )


@lru_cache(maxsize=64)
def _day(history: Any, minute: int) -> tuple[Mapping[str, tuple[float, float]], float]:
    """The day's sums, walked through once for each *minute* that was added to it."""
    return history.sums(DAY), history.measured(DAY)


def age(history: Any) -> float:
    """Return how many seconds ago a history began; 0 while there is none."""
    started: datetime | None = history.started_at
    latest: datetime | None = history.latest_at
    return (latest - started).total_seconds() if started and latest else 0.0
