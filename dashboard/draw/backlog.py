"""The backlog chart: how many jobs waited, and how many were delayed, over one period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from . import frame
from .frame import Scale, beginning, line, nothing, stretches, x
from .markup import element
from .values import exact, number

HEIGHT = 104


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
    highest = max((value or 0 for value in (*series.waiting, *series.delayed)), default=0)
    scale = Scale.holding(highest, height=HEIGHT, lines=2)
    known = any(value is not None for value in series.waiting)
    return element(
        "div",
        scale.labels(),
        scale.plot(
            _summary(series),
            scale.axis(series.times, series.ticks),
            scale.paths(
                _area(series.waiting, scale, "waiting"),
                _area(series.delayed, scale, "delayed", filled=False),
            ),
        ),
        None if known else element("p", nothing(), class_="chart-empty"),
        id=series.id,
        class_="chart backlog",
    )


def table(series: Backlog) -> SafeString:
    """The same points as a table, newest first."""
    points = list(zip(series.times, series.waiting, series.delayed, strict=True))
    rows = [
        element(
            "tr",
            element("th", beginning(at, series.ticks), scope="row"),
            element("td", number(waiting), class_="num"),
            element("td", number(delayed), class_="num"),
        )
        for at, waiting, delayed in reversed(points)
        if waiting is not None or delayed is not None
    ]
    return frame.table(
        series.id,
        _("Jobs that waited"),
        _("Backlog as a table"),
        (_("From"), _("Waiting"), _("Delayed")),
        rows,
    )


def _area(
    values: Sequence[float | None], scale: Scale, state: str, *, filled: bool = True
) -> list[SafeString]:
    """A line for each stretch that was measured, with the area under it where *filled*."""
    body = []
    for run in stretches(values) if any(values) else ():
        points = [(x(index, len(values)), scale.y(value)) for index, value in run]
        if filled:
            closing = f"L{points[-1][0]:.1f},{HEIGHT} L{points[0][0]:.1f},{HEIGHT} Z"
            body.append(element("path", d=f"{line(points)} {closing}", class_=f"{state}-area"))
        body.append(element("path", d=line(points), class_=f"{state}-line"))
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
