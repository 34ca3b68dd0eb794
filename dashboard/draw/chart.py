"""The throughput chart: failed on the baseline, completed stacked on it, drawn by the server.

The outer SVG has no viewBox, so text keeps its size at any width; the paths lie in an inner one
that stretches. That needs neither an inline style nor a script.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .markup import element, join
from .values import DASH, exact, figures, moment, number, percent

HEIGHT, AXIS, LABELS = 212, 28, 44
_LINES = 3
_TOP = 8  # room for half the uppermost label
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
    top = _ceiling(series)
    summary = _summary(series)
    points = [
        [at, _round(done), _round(failed)]
        for at, done, failed in zip(series.times, series.completed, series.failed, strict=True)
    ]
    return element(
        "div",
        _labels(top),
        element(
            "svg",
            element("title", summary),
            _grid(),
            element("g", axis(series.times, series.ticks), class_="axis"),
            _hatch(series, top),
            _paths(series, top),
            class_="plot",
            width="100%",
            height=HEIGHT + AXIS,
            role="img",
            aria_label=summary,
        ),
        element("p", _("Nothing measured in this period yet."), class_="chart-empty")
        if series.empty
        else None,
        id=series.id,
        class_="chart",
        data_chart=True,
        data_step=series.step,
        data_top=f"{top:g}",
        data_points=json.dumps(points, separators=(",", ":")),
        data_word_completed=_("Completed"),
        data_word_failed=_("Failed"),
        data_word_rate=_("Failure rate"),
    )


def table(series: Throughput) -> SafeString:
    """The same points as a table, newest first, for whoever reads better in numbers."""
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
                element("th", moment(_datetime(at)), scope="row"),
                element("td", number(_round(done)), class_="num"),
                element("td", number(_round(failed)), class_="num"),
                element("td", percent((failed or 0) / total if total else None), class_="num"),
            )
        )
    head = element(
        "tr",
        [
            element("th", word, scope="col", class_=None if index == 0 else "num")
            for index, word in enumerate(
                (_("From"), _("Completed"), _("Failed"), _("Failure rate"))
            )
        ],
    )
    return element(
        "div",
        element(
            "table",
            element("caption", _("Jobs per minute"), class_="sr"),
            element("thead", head),
            element("tbody", rows),
            class_="table chart-table",
        ),
        None if rows else element("p", _("Nothing measured in this period yet."), class_="empty"),
        id=series.id,
        class_="scroll chart-scroll",
        tabindex="0",
        role="region",
        aria_label=_("Throughput as a table"),
    )


def _ceiling(series: Throughput) -> float:
    """The axis's end: three round steps that hold the highest point."""
    highest = max(
        (
            (done or 0) + (bad or 0)
            for done, bad in zip(series.completed, series.failed, strict=True)
        ),
        default=0,
    )
    step = 1.0
    while True:
        for factor in (1, 2, 4, 5):
            if _LINES * step * factor >= highest * 1.02:
                return _LINES * step * factor
        step *= 10


def _y(value: float, top: float) -> float:
    return _TOP + (HEIGHT - _TOP) * (1 - value / top)


def _labels(top: float) -> SafeString:
    texts = [
        element(
            "text", tick(top * line / _LINES), x=LABELS - 8, y=_y(line, _LINES) + 4, class_="end"
        )
        for line in range(_LINES + 1)
    ]
    return element(
        "svg", texts, class_="labels axis", width=LABELS, height=HEIGHT + AXIS, aria_hidden="true"
    )


def tick(value: float) -> str:
    """A label of the axis: ``800``, ``1.2k``, ``6k``, ``2M``."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return figures(f"{value / size:g}") + unit
    return figures(f"{value:g}")


def _grid() -> list[SafeString]:
    return [
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


def axis(times: Sequence[int], ticks: int, y: int = HEIGHT + 20) -> list[SafeString]:
    """Labels at round local times; the page's script rewrites them in the reader's own zone."""
    if len(times) < 2:
        return []
    first, last = times[0], times[-1]
    start = timezone.localtime(_datetime(first))
    at = start.replace(hour=0, minute=0, second=0, microsecond=0)
    labels = []
    while at <= start + timedelta(milliseconds=last - first):
        share = (at.timestamp() * 1000 - first) / (last - first)
        if 0.02 <= share <= 0.98:
            labels.append(
                element(
                    "text",
                    date_format(at, "H:i"),
                    x=f"{share * 100:.2f}%",
                    y=y,
                    class_="mid",
                    data_at=at.isoformat(),
                )
            )
        at += timedelta(seconds=ticks)
    return labels


def _tops(series: Throughput) -> list[float | None]:
    return [
        None if done is None and bad is None else (done or 0) + (bad or 0)
        for done, bad in zip(series.completed, series.failed, strict=True)
    ]


def _paths(series: Throughput, top: float) -> SafeString:
    body: list[SafeString] = []
    count = len(series.times)
    for name, values in (("done", _tops(series)), ("fail", _drawn(series, top))):
        for run in _runs(values):
            line = [(_x(index, count), _y(value, top)) for index, value in run]
            closing = f"L{line[-1][0]:.1f},{HEIGHT} L{line[0][0]:.1f},{HEIGHT} Z"
            dashed = series.partial and run[-1][0] == count - 1 and len(line) > 1
            solid = line[:-1] if dashed else line
            if name == "done":
                body.append(element("path", d=f"{_line(line)} {closing}", class_="done-area"))
            if len(solid) > 1:
                body.append(element("path", d=_line(solid), class_=f"{name}-line"))
            if dashed:
                body.append(element("path", d=_line(line[-2:]), class_=f"{name}-line dashed"))
    return element(
        "svg",
        body,
        viewBox=f"0 0 1000 {HEIGHT}",
        preserveAspectRatio="none",
        width="100%",
        height=HEIGHT,
        class_="paths",
        aria_hidden="true",
    )


def _hatch(series: Throughput, top: float) -> SafeString | None:
    """The failed area: hatched in pixels of the screen, so clipped rather than stretched."""
    count = len(series.times)
    shapes = []
    for run in _runs(_drawn(series, top)):
        corners = [(_x(i, count) / 1000, _y(value, top) / HEIGHT) for i, value in run]
        corners += [(corners[-1][0], 1.0), (corners[0][0], 1.0)]
        shapes.append("M" + " L".join(f"{x:.4f},{y:.4f}" for x, y in corners) + " Z")
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


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    runs: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is not None:
            runs[-1].append((index, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def _line(points: list[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _x(index: int, count: int) -> float:
    return 1000 * index / max(1, count - 1)


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


def _datetime(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
