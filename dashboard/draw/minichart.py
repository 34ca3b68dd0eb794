"""The small bar chart over a job list: how many jobs ended a minute, over the last hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from .markup import element
from .values import exact

_HEIGHT, _LABELS = 28, 18


def minichart(counts: Sequence[float | None], times: Sequence[int], state: str) -> SafeString:
    """Draw the bars as ``<div id="jobs-chart">``; the last bar, still filling, is dashed."""
    highest = max((value for value in counts if value is not None), default=0) or 0
    slot = 100 / max(1, len(counts))
    word = _("Failed per minute") if state == "failed" else _("Completed per minute")
    bars = []
    for index, value in enumerate(counts):
        if not value:
            continue
        tall = max(2.0, _HEIGHT * value / highest)
        x, width, y = f"{index * slot + 0.1:.2f}%", f"{slot - 0.2:.2f}%", _HEIGHT - tall
        last = index == len(counts) - 1
        bars.append(
            element(
                "rect",
                x=x,
                width=width,
                y=f"{y:.1f}",
                height=f"{tall:.1f}",
                class_="mini-open" if last else "mini-bar",
            )
        )
        if not last:
            bars.append(
                element("rect", x=x, width=width, y=f"{y:.1f}", height=1.5, class_="mini-top")
            )
    axis = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        if len(times) > 1:
            at = datetime.fromtimestamp((times[0] + share * (times[-1] - times[0])) / 1000, UTC)
            axis.append(
                element(
                    "text",
                    date_format(timezone.localtime(at), "H:i"),
                    x=f"{share * 100:.0f}%",
                    y=_HEIGHT + 14,
                    class_="" if share == 0 else "end" if share == 1 else "mid",
                    data_at=at.isoformat(),
                )
            )
    head = [element("span", word), element("span", exact(highest), class_="num")]
    svg = element(
        "svg",
        element("line", x1=0, x2="100%", y1=_HEIGHT - 0.5, y2=_HEIGHT - 0.5, class_="base"),
        bars,
        element("g", axis, class_="axis"),
        width="100%",
        height=_HEIGHT + _LABELS,
        role="img",
        aria_label=_("%(word)s over the last hour, at most %(most)s")
        % {"word": word, "most": exact(highest)},
    )
    return element(
        "div",
        element("div", head, class_="mini-head"),
        svg,
        id="jobs-chart",
        class_=f"mini mini-{state}",
    )
