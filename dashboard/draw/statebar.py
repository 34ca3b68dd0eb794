"""The state bar: how many jobs of which state, in one 8-pixel bar.

Its length grows with the logarithm of the number of jobs, so that a queue of ten and one of a
million both show; its parts are shares. Completed jobs are not part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import log10

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .markup import element
from .states import label
from .values import exact

WIDTH, HEIGHT = 152, 8
ORDER = ("active", "prioritized", "waiting", "waiting-children", "delayed", "failed")
_DECADES = 4.1  # about 12,600 jobs fill the bar
_LEAST, _GAP = 3, 1


def statebar(counts: Mapping[str, int]) -> SafeString:
    """Draw the bar; its text alternative lists the counts."""
    shown = [(state, counts.get(state, 0)) for state in ORDER if counts.get(state, 0)]
    total = sum(count for _state, count in shown)
    body = [element("rect", width=WIDTH, height=HEIGHT, rx=2, class_="bar-rest")]
    x = 0.0
    for state, width in _widths(shown, total):
        body.append(
            element(
                "rect",
                x=f"{x:.1f}",
                width=f"{width:.1f}",
                height=HEIGHT,
                rx=1.5,
                class_=f"fill-{state}",
                fill="url(#hatch)" if state == "failed" else None,
            )
        )
        x += width + _GAP
    text = ", ".join(f"{label(state)} {exact(count)}" for state, count in shown)
    return element(
        "svg",
        element("title", text or _("No jobs")),
        body,
        class_="statebar",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        aria_label=text or _("No jobs"),
    )


def _widths(shown: list[tuple[str, int]], total: int) -> list[tuple[str, float]]:
    if not total:
        return []
    # One job is short but seen; log10(1) would be nothing.
    length = WIDTH * min(1.0, max(log10(total + 1), 0.25) / _DECADES)
    length = max(length, len(shown) * (_LEAST + _GAP))
    room = length - _GAP * (len(shown) - 1)
    widths = {state: max(_LEAST, room * count / total) for state, count in shown}
    excess = sum(widths.values()) - room
    large = sum(width for width in widths.values() if width > _LEAST) or 1.0
    return [
        (state, width - excess * width / large if width > _LEAST else width)
        for state, width in widths.items()
    ]
