"""A sparkline: the last hours of one number in 96 x 24 pixels."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.safestring import SafeString

from .markup import element

WIDTH, HEIGHT = 96, 24
_MARGIN = 3  # room for the end dot and for the line's own width


def sparkline(values: Sequence[float | None], *, bad: bool = False) -> SafeString:
    """Draw *values*, oldest first; None is a gap. Red only where ``bad``.

    It is decoration (``aria-hidden``): the number it belongs to stands beside it as text.
    """
    points = _points(values)
    body = []
    for run in _runs(points):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
        area = f"M{run[0][0]:.1f},{HEIGHT} L{line.replace(' ', ' L')} L{run[-1][0]:.1f},{HEIGHT} Z"
        body.append(element("path", d=area, class_="spark-area"))
        body.append(element("polyline", points=line, class_="spark-line"))
    if body and points[-1] is not None:
        x, y = points[-1]
        body.append(element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2, class_="spark-dot"))
    return element(
        "svg",
        body,
        class_="spark bad" if bad else "spark",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        aria_hidden="true",
        focusable="false",
    )


def _points(values: Sequence[float | None]) -> list[tuple[float, float] | None]:
    known = [value for value in values if value is not None]
    if not known:
        return []
    low, high = min(known), max(known)
    # A constant lies low when it is zero, else in the middle: both look like "nothing happens".
    span = (high - low) or 1.0
    step = (WIDTH - 2 * _MARGIN) / max(1, len(values) - 1)

    def place(value: float) -> float:
        if high == low:
            return HEIGHT - _MARGIN if high == 0 else HEIGHT / 2
        return HEIGHT - _MARGIN - (value - low) / span * (HEIGHT - 2 * _MARGIN)

    return [
        None if value is None else (_MARGIN + index * step, place(value))
        for index, value in enumerate(values)
    ]


def _runs(points: list[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is not None:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]
