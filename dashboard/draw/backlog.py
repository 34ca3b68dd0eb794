"""The backlog chart: how many jobs waited, and how many were delayed, over one period.

Drawn like the throughput above it: the outer SVG has no viewBox, so that text keeps its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .chart import axis, tick
from .markup import element
from .values import exact, moment, number

HEIGHT, AXIS, LABELS = 104, 28, 44
_LINES, _TOP = 2, 8


@dataclass(frozen=True, slots=True)
class Backlog:
    """Jobs at the end of each bucket, oldest first; None where nobody measured.

    ``times``: start of each bucket in ms. ``ticks``: the distance of the time axis's labels in
    seconds.
    """

    id: str
    times: Sequence[int]
    waiting: Sequence[float | None]
    delayed: Sequence[float | None]
    ticks: int


def chart(series: Backlog) -> SafeString:
    """Draw the chart as one ``<div>`` with the series' id."""
    top = _ceiling(series)
    summary = _summary(series)
    known = any(value is not None for value in series.waiting)
    labels = [
        element(
            "text", tick(top * line / _LINES), x=LABELS - 8, y=_y(line, _LINES) + 4, class_="end"
        )
        for line in range(_LINES + 1)
    ]
    grid = [
        element(
            "line",
            x1=0,
            x2="100%",
            y1=round(_y(line, _LINES)) + 0.5,
            y2=round(_y(line, _LINES)) + 0.5,
            class_="base" if line == 0 else "grid",
        )
        for line in range(_LINES + 1)
    ]
    height = HEIGHT + AXIS
    return element(
        "div",
        element(
            "svg", labels, class_="labels axis", width=LABELS, height=height, aria_hidden="true"
        ),
        element(
            "svg",
            element("title", summary),
            grid,
            element("g", axis(series.times, series.ticks, HEIGHT + 20), class_="axis"),
            element(
                "svg",
                _area(series.waiting, top, "waiting"),
                _area(series.delayed, top, "delayed", filled=False),
                viewBox=f"0 0 1000 {HEIGHT}",
                preserveAspectRatio="none",
                width="100%",
                height=HEIGHT,
                class_="paths",
                aria_hidden="true",
            ),
            class_="plot",
            width="100%",
            height=height,
            role="img",
            aria_label=summary,
        ),
        None
        if known
        else element("p", _("Nothing measured in this period yet."), class_="chart-empty"),
        id=series.id,
        class_="chart backlog",
    )


def table(series: Backlog) -> SafeString:
    """The same points as a table, newest first."""
    points = list(zip(series.times, series.waiting, series.delayed, strict=True))
    rows = [
        element(
            "tr",
            element("th", moment(datetime.fromtimestamp(at / 1000, UTC)), scope="row"),
            element("td", number(waiting), class_="num"),
            element("td", number(delayed), class_="num"),
        )
        for at, waiting, delayed in reversed(points)
        if waiting is not None or delayed is not None
    ]
    head = element(
        "tr",
        element("th", _("From"), scope="col"),
        element("th", _("Waiting"), scope="col", class_="num"),
        element("th", _("Delayed"), scope="col", class_="num"),
    )
    return element(
        "div",
        element(
            "table",
            element("caption", _("Jobs that waited"), class_="sr"),
            element("thead", head),
            element("tbody", rows),
            class_="table chart-table",
        ),
        None if rows else element("p", _("Nothing measured in this period yet."), class_="empty"),
        id=series.id,
        class_="scroll chart-scroll",
        tabindex="0",
        role="region",
        aria_label=_("Backlog as a table"),
    )


def _ceiling(series: Backlog) -> float:
    highest = max((value or 0 for value in (*series.waiting, *series.delayed)), default=0)
    step = 1.0
    while True:
        for factor in (1, 2, 5):
            if _LINES * step * factor >= highest * 1.02:
                return _LINES * step * factor
        step *= 10


def _y(value: float, top: float) -> float:
    return _TOP + (HEIGHT - _TOP) * (1 - value / top)


def _area(
    values: Sequence[float | None], top: float, state: str, *, filled: bool = True
) -> list[SafeString]:
    """A line for each stretch that was measured, with the area under it where *filled*."""
    if not any(values):
        return []
    runs: list[list[tuple[float, float]]] = [[]]
    for index, value in enumerate(values):
        if value is not None:
            runs[-1].append((1000 * index / max(1, len(values) - 1), _y(value, top)))
        elif runs[-1]:
            runs.append([])
    body = []
    for run in runs:
        if len(run) < 2:
            continue
        line = "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in run)
        if filled:
            closed = f"{line} L{run[-1][0]:.1f},{HEIGHT} L{run[0][0]:.1f},{HEIGHT} Z"
            body.append(element("path", d=closed, class_=f"{state}-area"))
        body.append(element("path", d=line, class_=f"{state}-line"))
    return body


def _summary(series: Backlog) -> str:
    known = [value for value in series.waiting if value is not None]
    if not known:
        return _("Backlog: nothing measured in this period yet.")
    return _("Backlog: %(now)s jobs wait now; at most %(most)s, at least %(least)s.") % {
        "now": exact(known[-1]),
        "most": exact(max(known)),
        "least": exact(min(known)),
    }
