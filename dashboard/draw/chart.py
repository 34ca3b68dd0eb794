"""The throughput chart: failed on the baseline, completed stacked on it, drawn by the server."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from . import frame
from .frame import DAY, Scale, beginning, line, nothing, stretches, x
from .markup import element, join
from .values import DASH, exact, number, percent

HEIGHT = 212
_FAINT = 0.012  # failures below this share of the axis are not drawn: normal gets nothing


@dataclass(frozen=True, slots=True)
class Throughput:
    """Jobs per minute over one period, oldest bucket first; None where nobody measured.

    ``times``: start of each bucket in ms. ``step``: its length in seconds. ``ticks``: the distance
    of the time axis's labels in seconds. ``partial``: the last bucket is still filling.
    """

    id: str
    times: Sequence[int]
    completed: Sequence[float | None]
    failed: Sequence[float | None]
    step: int
    ticks: int
    partial: bool = True

    @property
    def empty(self) -> bool:
        """Whether nobody measured anything yet."""
        return all(value is None for value in self.completed)


def chart(series: Throughput) -> SafeString:
    """Draw the chart as one ``<div>`` with the series' id; its script finds the points in it."""
    highest = max((value or 0 for value in _tops(series)), default=0)
    scale = Scale.holding(highest, height=HEIGHT, lines=3, factors=(1, 2, 4, 5))
    points = [
        [at, _round(done), _round(failed)]
        for at, done, failed in zip(series.times, series.completed, series.failed, strict=True)
    ]
    return element(
        "div",
        scale.labels(),
        scale.plot(
            _summary(series),
            scale.axis(series.times, series.ticks),
            _hatch(series, scale),
            _paths(series, scale),
        ),
        element("p", nothing(), class_="chart-empty") if series.empty else None,
        id=series.id,
        class_="chart",
        data_chart=True,
        data_step=series.step,
        data_days=series.ticks >= DAY,
        data_top=f"{scale.top:g}",
        data_points=json.dumps(points, separators=(",", ":")),
        data_word_completed=_("Completed"),
        data_word_failed=_("Failed"),
        data_word_rate=_("Failure rate"),
    )


def table(series: Throughput) -> SafeString:
    """The same points as a table, newest first."""
    rows = []
    for at, done, failed in reversed(
        list(zip(series.times, series.completed, series.failed, strict=True))
    ):
        if done is None and failed is None:
            continue
        total = (done or 0) + (failed or 0)
        rows.append(
            element(
                "tr",
                element("th", beginning(at, series.ticks), scope="row"),
                element("td", number(_round(done)), class_="num"),
                element("td", number(_round(failed)), class_="num"),
                element("td", percent((failed or 0) / total if total else None), class_="num"),
            )
        )
    return frame.table(
        series.id,
        _("Jobs per minute"),
        _("Throughput as a table"),
        (_("From"), _("Completed"), _("Failed"), _("Failure rate")),
        rows,
    )


def _tops(series: Throughput) -> list[float | None]:
    return [
        None if done is None and bad is None else (done or 0) + (bad or 0)
        for done, bad in zip(series.completed, series.failed, strict=True)
    ]


def _paths(series: Throughput, scale: Scale) -> SafeString:
    body: list[SafeString] = []
    count = len(series.times)
    for name, values in (("done", _tops(series)), ("fail", _drawn(series, scale.top))):
        for run in stretches(values):
            points = [(x(index, count), scale.y(value)) for index, value in run]
            closing = f"L{points[-1][0]:.1f},{HEIGHT} L{points[0][0]:.1f},{HEIGHT} Z"
            dashed = series.partial and run[-1][0] == count - 1 and len(points) > 1
            solid = points[:-1] if dashed else points
            if name == "done":
                body.append(element("path", d=f"{line(points)} {closing}", class_="done-area"))
            if len(solid) > 1:
                body.append(element("path", d=line(solid), class_=f"{name}-line"))
            if dashed:
                body.append(element("path", d=line(points[-2:]), class_=f"{name}-line dashed"))
    return scale.paths(body)


def _hatch(series: Throughput, scale: Scale) -> SafeString | None:
    """The failed area: hatched in pixels of the screen, so clipped rather than stretched."""
    count = len(series.times)
    shapes = []
    for run in stretches(_drawn(series, scale.top)):
        corners = [(x(i, count) / 1000, scale.y(value) / HEIGHT) for i, value in run]
        corners += [(corners[-1][0], 1.0), (corners[0][0], 1.0)]
        shapes.append("M" + " L".join(f"{left:.4f},{down:.4f}" for left, down in corners) + " Z")
    if not shapes:
        return None
    name = f"{series.id}-clip"
    return join(
        [
            element(
                "clipPath",
                element("path", d=" ".join(shapes)),
                id=name,
                clipPathUnits="objectBoundingBox",
            ),
            element(
                "rect",
                width="100%",
                height=HEIGHT,
                fill="url(#hatch)",
                clip_path=f"url(#{name})",
                class_="fail-area",
            ),
        ]
    )


def _drawn(series: Throughput, top: float) -> list[float | None]:
    """The failed values worth drawing, each kept hill with its feet on the baseline."""
    drawn: list[float | None] = [
        value if value is not None and value > top * _FAINT else None for value in series.failed
    ]
    feet = list(drawn)
    for index, value in enumerate(drawn):
        if value is None:
            continue
        for side in (index - 1, index + 1):
            if 0 <= side < len(drawn) and drawn[side] is None:
                feet[side] = 0.0
    return feet


def _summary(series: Throughput) -> str:
    done = [value for value in series.completed if value is not None]
    bad = [value for value in series.failed if value is not None]
    if not done and not bad:
        return _("Throughput: nothing measured in this period yet.")
    return _(
        "Throughput: on average %(done)s jobs per minute completed, %(failed)s failed;"
        " at most %(most)s."
    ) % {
        "done": exact(sum(done) / len(done)) if done else DASH,
        "failed": exact(sum(bad) / len(bad)) if bad else DASH,
        "most": exact(max((value for value in _tops(series) if value is not None), default=0)),
    }


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
