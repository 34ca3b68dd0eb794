"""Series for charts and sparklines: the history of queues, cut to what a drawing shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from ..draw import backlog as levels
from ..draw import chart
from ..rates import age
from .state import LiveState, Patch, Viewer

#: Periods of a chart: seconds, seconds of one bucket, seconds between two labels of its axis.
#: While the history is younger than the shortest one, that begins where the history does.
PERIODS = {
    "15m": (900, 10, 180),
    "1h": (3_600, 60, 600),
    "6h": (21_600, 300, 3_600),
    "24h": (86_400, 900, 14_400),
    "7d": (604_800, 3_600, 86_400),
}
_SHORTEST, _LEAST = "15m", 120
_HOUR = (3_600, 120)  # what a sparkline shows once there is that much, and its step


def throughput(
    ids: Iterable[str], series: Callable[[str, int, int], list[float | None]], state: LiveState
) -> dict[str, Patch]:
    """The chart of done and failed jobs that *ids* ask for (``period:1h``), if they ask for one.

    *series* answers (metric, seconds, step), of one queue or of many.
    """
    if (asked := _asked(ids)) is None:
        return {}
    kind, period = asked
    first = next(iter(state.connections.values())).history
    seconds, step, ticks = _window(period, first)
    times = first.times(seconds, step)
    drawn = chart.Throughput(
        "throughput",
        times,
        _a_minute(series("done_rate", seconds, step), times, step, first.last_second),
        _a_minute(series("failed_rate", seconds, step), times, step, first.last_second),
        step,
        ticks,
    )
    make = chart.chart if kind == "period" else chart.table
    return {"throughput": Patch(html=make(drawn))}


def backlog(
    ids: Iterable[str], series: Callable[[str, int, int], list[float | None]], state: LiveState
) -> dict[str, Patch]:
    """The chart of what waits, of the period that *ids* ask for; see :func:`throughput`."""
    if (asked := _asked(ids)) is None:
        return {}
    kind, period = asked
    first = next(iter(state.connections.values())).history
    seconds, step, ticks = _window(period, first)
    drawn = levels.Backlog(
        "backlog",
        first.times(seconds, step),
        series("waiting", seconds, step),
        series("delayed", seconds, step),
        ticks,
    )
    make = levels.chart if kind == "period" else levels.table
    return {"backlog": Patch(html=make(drawn))}


def _asked(ids: Iterable[str]) -> tuple[str, str] | None:
    """What *ids* ask for: ``period`` (a chart) or ``table``, and of which period."""
    for id in ids:
        kind, colon, period = id.partition(":")
        if colon and kind in ("period", "table") and period in PERIODS:
            return kind, period
    return None


def _a_minute(
    values: list[float | None], times: list[int], step: int, now: int
) -> list[float | None]:
    """Jobs in each step as jobs a minute; the last step by what of it is over, once that tells."""
    scaled = [None if value is None else value * 60 / step for value in values]
    over = min(step, max(0.0, now - times[-1] / 1000))
    if values[-1] is not None:
        scaled[-1] = values[-1] * 60 / over if over >= step / 3 else None
    return scaled


def _window(period: str, history: Any) -> tuple[int, int, int]:
    """Return seconds, step and ticks of a chart; what is not measured yet is not drawn empty."""
    seconds, step, ticks = PERIODS[period]
    if period == _SHORTEST and age(history) < seconds:
        return _young(history, seconds, step), step, 60
    return seconds, step, ticks


def default_period(state: LiveState) -> str:
    """Return the period that a chart has unless one is asked for: the hour, once there is one."""
    oldest = max((age(one.history) for one in state.connections.values()), default=0.0)
    return _SHORTEST if oldest < 1_800 else "1h"


def spark(history: Any, metric: str, queue: str) -> list[float | None]:
    """The points of a sparkline: the last hour, or what there is of it."""
    seconds, step = _HOUR
    if age(history) < 900:
        step = 10 if age(history) < 300 else 30
        seconds = _young(history, 900, step)
    return _spark(history, metric, queue, seconds, step, history.last_second // 10)


@lru_cache(maxsize=4_096)
def _spark(
    history: Any, metric: str, queue: str, seconds: int, step: int, tenth: int
) -> list[float | None]:
    """The points, made once in ten seconds (``tenth``): a sparkline has no finer news."""
    return _measured(history.series(metric, queue=queue, seconds=seconds, step=step))


def last_hour(
    state: LiveState, names: dict[str, set[str] | None]
) -> tuple[dict[str, list[float | None]], dict[str, float] | None]:
    """The strip's sparklines, and its numbers an hour ago."""
    metrics = ("done_rate", "failed_rate", "waiting", "active")
    oldest = max(state.connections.values(), key=lambda one: age(one.history)).history
    if age(oldest) < 900:
        seconds = _young(oldest, 900, 10)
        return {metric: total(state, names, metric, seconds, 10) for metric in metrics}, None
    hour = {metric: total(state, names, metric, 3_600, 60) for metric in metrics}
    if age(oldest) < 3_600 or hour["waiting"][0] is None:
        return {metric: _measured(values) for metric, values in hour.items()}, None
    before = {metric: values[0] or 0.0 for metric, values in hour.items()}
    good, bad = (sum(v or 0 for v in hour[m][:5]) for m in ("done_rate", "failed_rate"))
    return hour, before | ({"share": bad / (good + bad)} if good + bad else {})


def total(
    state: LiveState, names: dict[str, set[str] | None], metric: str, seconds: int, step: int
) -> list[float | None]:
    """Add up one series over the connections, whose points may differ by one at the beginning."""
    lists = [
        connection.history.series(metric, names=names[alias], seconds=seconds, step=step)
        for alias, connection in state.connections.items()
        if names[alias] is None or names[alias]
    ]
    if not lists:
        return [None] * (seconds // step)
    total = lists[0]
    for other in lists[1:]:
        total = [add(a, b) for a, b in zip(total, other, strict=True)]
    return total


def shown_names(
    state: LiveState, viewer: Viewer, shown: Iterable[tuple[str, str]]
) -> dict[str, set[str] | None]:
    """The queues to add up, by connection; None is all of one, whose sums are kept ready."""
    if viewer.scope.patterns is None:
        return dict.fromkeys(state.connections)
    names: dict[str, set[str] | None] = {alias: set() for alias in state.connections}
    for alias, name in shown:
        names[alias].add(name)  # type: ignore[union-attr]
    return names


def add(one: float | None, other: float | None) -> float | None:
    return other if one is None else one if other is None else one + other


def _young(history: Any, most: int, step: int) -> int:
    """The age of a history in whole steps, at least two minutes."""
    return int(min(most, max(_LEAST, -(-age(history) // step) * step)))


def _measured(values: list[float | None]) -> list[float | None]:
    """The values from the first one that anybody measured on."""
    first = next((i for i, value in enumerate(values) if value is not None), 0)
    return values[min(first, max(0, len(values) - 8)) :]
