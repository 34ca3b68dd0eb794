"""Frame: what charts over time stand in: the scale with its lines and labels, and their table.

The outer SVG of a chart has no viewBox, so text keeps its size at any width; the paths lie in an
inner one that stretches. That needs neither an inline style nor a script.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import log10

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .markup import element
from .values import dated, figures, moment, units

AXIS, LABELS = 28, 44
DAY = 86_400
_TOP = 8  # room for half the uppermost label


@dataclass(frozen=True, slots=True)
class Scale:
    """A vertical scale of ``height`` pixels from 0 to ``top``, with so many ``lines`` above 0."""

    height: int
    lines: int
    top: float

    @classmethod
    def holding(
        cls, highest: float, *, height: int, lines: int, factors: Sequence[int] = (1, 2, 5)
    ) -> Scale:
        """The scale of round steps (*factors* of a power of ten) that holds the *highest* point."""
        step = 1.0
        while True:
            for factor in factors:
                if lines * step * factor >= highest * 1.02:
                    return cls(height, lines, lines * step * factor)
            step *= 10

    def y(self, value: float) -> float:
        """Where *value* stands, in pixels from above."""
        return _TOP + (self.height - _TOP) * (1 - value / self.top)

    def labels(self) -> SafeString:
        """The labels at its left, an SVG of their own."""
        texts = [
            element("text", self._label(line), x=LABELS - 8, y=self._y(line) + 4, class_="end")
            for line in range(self.lines + 1)
        ]
        height = self.height + AXIS
        return element(
            "svg", texts, class_="labels axis", width=LABELS, height=height, aria_hidden="true"
        )

    def grid(self) -> list[SafeString]:
        """Its lines."""
        return [
            element(
                "line",
                x1=0,
                x2="100%",
                y1=round(self._y(line)) + 0.5,
                y2=round(self._y(line)) + 0.5,
                class_="base" if line == 0 else "grid",
            )
            for line in range(self.lines + 1)
        ]

    def paths(self, *paths: SafeString | list[SafeString]) -> SafeString:
        """The inner SVG, 1000 wide, that holds *paths*."""
        return element(
            "svg",
            *paths,
            viewBox=f"0 0 1000 {self.height}",
            preserveAspectRatio="none",
            width="100%",
            height=self.height,
            class_="paths",
            aria_hidden="true",
        )

    def plot(self, summary: str, *parts: SafeString | list[SafeString] | None) -> SafeString:
        """The SVG of the chart itself, which *summary* tells in words."""
        return element(
            "svg",
            element("title", summary),
            self.grid(),
            *parts,
            class_="plot",
            width="100%",
            height=self.height + AXIS,
            role="img",
            aria_label=summary,
        )

    def axis(self, times: Sequence[int], ticks: int) -> SafeString:
        """Labels at round local times; the page's script rewrites them in the reader's own zone.

        Args:
            times: ms.
            ticks: their distance in seconds.
        """
        return element("g", _times(times, ticks, self.height + 20), class_="axis")

    def _at(self, line: int) -> float:
        return self.top * line / self.lines

    def _y(self, line: int) -> float:
        return self.y(self._at(line))

    def _label(self, line: int) -> str:
        return tick(self._at(line))


@dataclass(frozen=True, slots=True)
class LogScale(Scale):
    """A scale of seconds on which ten times as long is one step; ``steps`` are its lines."""

    steps: tuple[float, ...] = ()

    @classmethod
    def between(cls, least: float, most: float, *, height: int) -> LogScale:
        """The scale that holds the times from *least* to *most*, with at most five lines."""
        low = max((i for i, one in enumerate(_STEPS) if one <= least), default=0)
        high = min((i for i, one in enumerate(_STEPS) if one >= most), default=len(_STEPS) - 1)
        if high == low:
            low, high = max(low - 1, 0), high or 1
        every = 1 if high - low < 5 else 2
        steps = _STEPS[low : high + 1 : every]
        if steps[-1] < _STEPS[high]:
            steps = (*steps, _STEPS[min(low + every * len(steps), len(_STEPS) - 1)])
        return cls(height, len(steps) - 1, steps[-1], steps)

    def y(self, value: float) -> float:
        """Where *value* stands, in pixels from above; what is shorter stands on the lowest line."""
        low, high = log10(self.steps[0]), log10(self.steps[-1])
        share = (log10(max(value, self.steps[0])) - low) / (high - low)
        return _TOP + (self.height - _TOP) * (1 - min(share, 1.0))

    def _at(self, line: int) -> float:
        return self.steps[line]

    def _label(self, line: int) -> str:
        return span(self.steps[line])


# About ten times as long each, in round units.
_STEPS = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1, 10, 60, 600, 3_600, 36_000, 4 * DAY, 40 * DAY)


def span(seconds: float) -> str:
    """A round time as a label: ``10 ms``, ``1 s``, ``10 m``."""
    if seconds < 1:
        return figures(f"{seconds * 1000:g}") + " ms"
    day, hour, minute, second = units().split()
    for size, unit in ((DAY, day), (3_600, hour), (60, minute)):
        if seconds >= size:
            return figures(f"{seconds / size:g}") + f" {unit}"
    return figures(f"{seconds:g}") + f" {second}"


def _times(times: Sequence[int], ticks: int, y: int) -> list[SafeString]:
    if len(times) < 2:
        return []
    first, last = times[0], times[-1]
    start = timezone.localtime(at_ms(first))
    at = start.replace(hour=0, minute=0, second=0, microsecond=0)
    labels = []
    while at <= start + timedelta(milliseconds=last - first):
        share = (at.timestamp() * 1000 - first) / (last - first)
        if 0.02 <= share <= 0.98:
            labels.append(
                element(
                    "text",
                    dated(at, "j M") if ticks >= DAY else date_format(at, "H:i"),
                    x=f"{share * 100:.2f}%",
                    y=y,
                    class_="mid",
                    data_at=at.isoformat(),
                    data_day=ticks >= DAY,
                )
            )
        at += timedelta(seconds=ticks)
    return labels


def tick(value: float) -> str:
    """A label of the axis: ``800``, ``1.2k``, ``6k``, ``2M``."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return figures(f"{value / size:g}") + unit
    return figures(f"{value:g}")


def stretches(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The parts of *values* that were measured, as (index, value); a lone point is no line."""
    found: list[list[tuple[int, float]]] = [[]]
    for index, value in enumerate(values):
        if value is not None:
            found[-1].append((index, value))
        elif found[-1]:
            found.append([])
    return [one for one in found if len(one) > 1]


def x(index: int, count: int) -> float:
    """Where the point *index* of *count* stands, of 1000."""
    return 1000 * index / max(1, count - 1)


def line(points: Iterable[tuple[float, float]]) -> str:
    """The path along *points*."""
    return "M" + " L".join(f"{x:.1f},{y:.1f}" for x, y in points)


def at_ms(ms: int) -> datetime:
    """The moment of *ms* since 1970."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def beginning(ms: int, ticks: int) -> SafeString:
    """When a row of the table begins: with the date where the axis has days."""
    return moment(at_ms(ms), "date" if ticks >= DAY else "clock")


def table(
    id: str, caption: str, label: str, heads: Sequence[str], rows: Sequence[SafeString]
) -> SafeString:
    """The points of a chart as a table, for whoever reads better in numbers.

    Args:
        heads: the words above the columns; all but the first are of numbers.
        label: the name of the region in which the table scrolls.
    """
    head = [
        element("th", word, scope="col", class_=None if index == 0 else "num")
        for index, word in enumerate(heads)
    ]
    return element(
        "div",
        element(
            "table",
            element("caption", caption, class_="sr"),
            element("thead", element("tr", head)),
            element("tbody", list(rows)),
            class_="table chart-table",
        ),
        None if rows else element("p", nothing(), class_="empty"),
        id=id,
        class_="scroll chart-scroll",
        tabindex="0",
        role="region",
        aria_label=label,
    )


def nothing() -> str:
    """What a chart says that has nothing to show."""
    return _("Nothing measured in this period yet.")
