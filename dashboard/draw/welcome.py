"""The product's own chart, faint at the foot of the login page: a drawing, no queue's numbers."""

from __future__ import annotations

from functools import cache
from math import exp, sin
from random import Random

from django.utils.safestring import SafeString

from .markup import element

_POINTS, _HEIGHT = 97, 220


@cache
def backdrop() -> SafeString:
    """Draw it; always the same, so it says nothing about any system."""
    dice = Random(11)
    done, level = [], 70.0
    for index in range(_POINTS):
        level += 0.35 * (60 + index * 0.8 + 14 * sin(index / 9) - level) + dice.uniform(-9, 9)
        done.append(level)
    bad = [4 + 58 * exp(-(((i - 68) / 5) ** 2)) + dice.uniform(-1, 1) for i in range(_POINTS)]
    width = 1000 / (_POINTS - 1)

    def path(tops: list[float], *, closed: bool) -> str:
        line = "M" + " L".join(f"{i * width:.1f},{y:.1f}" for i, y in enumerate(tops))
        return f"{line} L1000,{_HEIGHT} L0,{_HEIGHT} Z" if closed else line

    bad_tops = [_HEIGHT - value for value in bad]
    hill = " L".join(f"{i / (_POINTS - 1):.4f},{y / _HEIGHT:.4f}" for i, y in enumerate(bad_tops))
    return element(
        "svg",
        [
            element("line", x1=0, x2="100%", y1=y + 0.5, y2=y + 0.5, class_="grid")
            for y in (10, 62, 114, 166)
        ],
        element(
            "clipPath",
            element("path", d=f"M{hill} L1,1 L0,1 Z"),
            id="backdrop-clip",
            clipPathUnits="objectBoundingBox",
        ),
        element(
            "svg",
            element("path", d=path(done, closed=True), class_="done-area"),
            element("path", d=path(done, closed=False), class_="done-line"),
            viewBox=f"0 0 1000 {_HEIGHT}",
            preserveAspectRatio="none",
            width="100%",
            height=_HEIGHT,
        ),
        element(
            "rect",
            width="100%",
            height=_HEIGHT,
            fill="url(#hatch)",
            clip_path="url(#backdrop-clip)",
        ),
        element(
            "svg",
            element("path", d=path(bad_tops, closed=False), class_="fail-line"),
            viewBox=f"0 0 1000 {_HEIGHT}",
            preserveAspectRatio="none",
            width="100%",
            height=_HEIGHT,
        ),
        class_="backdrop",
        width="100%",
        height=_HEIGHT,
        aria_hidden="true",
        focusable="false",
    )
