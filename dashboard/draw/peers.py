"""The last jobs of one name beside each other: a bar each, as long as it ran, this one outlined."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore.histogram import bucket
from queuecore.statistics import Figures

from .markup import element
from .states import label, state_icon
from .values import duration, duration_text, exact, moment, visible
from .values import figures as figured

_WIDE, _HIGH, _GAP = 6, 40, 2
# A run that took longer than this share of its peers is worth a word.
_LONG = 0.9


def strip(peers: Sequence[Any], this: str, url: Callable[[str], str]) -> SafeString | None:
    """The bars, oldest at the left; failed ones hatched. Each leads to its job."""
    if not peers:
        return None
    longest = max((one.ran_ms or 0 for one in peers), default=0) or 1
    bars = []
    for place, one in enumerate(reversed(peers)):
        # The square root keeps a short run visible beside one a hundred times as long.
        high = 4 + round((_HIGH - 4) * math.sqrt((one.ran_ms or 0) / longest))
        x = place * (_WIDE + _GAP) + 2
        mine = one.id == this
        words = f"{visible(one.id)}: {label(one.state)}"
        if one.ran_ms is not None:
            words += f", {duration_text(one.ran_ms / 1000)}"
        bar = [
            element("title", words),
            element("rect", x=x, y=0, width=_WIDE, height=_HIGH + 4, class_="peer-hit"),
            element(
                "rect",
                x=x,
                y=_HIGH + 2 - high,
                width=_WIDE,
                height=high,
                rx=1,
                class_=f"peer-{one.state}",
            ),
        ]
        if mine:
            bar.append(
                element(
                    "rect",
                    x=x - 2,
                    y=_HIGH - high,
                    width=_WIDE + 4,
                    height=high + 4,
                    rx=2,
                    class_="peer-this",
                )
            )
        bars.append(
            element("g", bar) if mine else element("a", bar, href=url(one.id), tabindex="-1")
        )
    wide = len(peers) * (_WIDE + _GAP) + 4
    return element(
        "svg",
        bars,
        class_="peer-strip",
        width=wide,
        height=_HIGH + 5,
        viewBox=f"0 0 {wide} {_HIGH + 5}",
        role="group",
        aria_label=sentence(peers, this),
    )


def sentence(peers: Sequence[Any], this: str) -> str:
    """How many of them failed, how long one of them runs, and where this job is among them."""
    failed = sum(one.state == "failed" for one in peers)
    times = sorted(one.ran_ms for one in peers if one.ran_ms is not None)
    words = [
        ngettext("%(count)s of %(all)s failed.", "%(count)s of %(all)s failed.", failed)
        % {"count": failed, "all": len(peers)}
    ]
    if times:
        words.append(
            _("Half of them ran up to %(median)s, the longest %(longest)s.")
            % {
                "median": duration_text(times[len(times) // 2] / 1000),
                "longest": duration_text(times[-1] / 1000),
            }
        )
    words.append(
        _("The outlined one is this job.")
        if any(one.id == this for one in peers)
        else _("This job is not among them.")
    )
    return " ".join(words)


def times(figures: Figures, ran: float | None) -> str:
    """How long jobs of the name run and wait by what workers counted in a day; and this run.

    Args:
        ran: how long this job ran, in seconds, if it did.
    """
    run, wait = figures.run, figures.wait
    if run.p50 is None or run.p95 is None:
        return ""
    words = [
        ngettext(
            "%(count)s run in the last 24 hours: half took up to %(p50)s, 95 %% up to %(p95)s.",
            "%(count)s runs in the last 24 hours: half took up to %(p50)s, 95 %% up to %(p95)s.",
            run.count,
        )
        % {
            "count": exact(run.count),
            "p50": duration_text(run.p50),
            "p95": duration_text(run.p95),
        }
    ]
    if wait.p50 is not None and wait.p95 is not None:
        words.append(
            _("Half of them waited up to %(p50)s before, 95 %% up to %(p95)s.")
            % {"p50": duration_text(wait.p50), "p95": duration_text(wait.p95)}
        )
    if ran is not None:
        here = bucket(ran * 1000)
        shorter = sum(count for number, count in run.buckets.items() if number < here) / run.count
        if shorter >= _LONG:
            share = figured(f"{min(shorter, 0.999) * 100:.1f}")
            words.append(_("This one took longer than %(share)s %% of them.") % {"share": share})
    return " ".join(words)


def rows(peers: Sequence[Any], this: str, url: Callable[[str], str]) -> list[SafeString]:
    """The same as rows of a table, the newest first."""
    longest = max((one.ran_ms or 0 for one in peers), default=0) or 1
    found = []
    for one in peers:
        share = 100 * (one.ran_ms or 0) / longest
        bar = element(
            "svg",
            element("rect", width=f"{max(share, 1):.1f}%", height=8, class_=f"peer-{one.state}"),
            width="100%",
            height=8,
            class_="peer-bar",
            aria_hidden="true",
        )
        name = visible(one.id)
        found.append(
            element(
                "tr",
                element("td", state_icon(one.state, named=True)),
                element(
                    "th",
                    element("span", name, " ", element("small", _("this job")))
                    if one.id == this
                    else element("a", name, href=url(one.id)),
                    scope="row",
                    class_="mono",
                ),
                element("td", bar, class_="c-peer-bar"),
                element(
                    "td",
                    duration(None if one.ran_ms is None else one.ran_ms / 1000),
                    class_="num",
                ),
                element("td", one.attempts_made or "", class_="num c-peer-tries"),
                element("td", moment(one.finished_on), class_="num"),
                class_="this" if one.id == this else None,
                aria_current="true" if one.id == this else None,
            )
        )
    return found
