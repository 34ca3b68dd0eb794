"""Quantiles: how long jobs waited or ran over one period, on a scale of decades.

Half of them took no longer than p50, 95 of 100 no longer than p95. Where a run has a timeout, it is
a dashed line with its name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from . import frame
from .frame import DAY, LogScale, beginning, line, nothing, stretches, x
from .markup import element, join, phrase
from .values import DASH, duration, duration_text, exact, number
from .values import figures as figured

HEIGHT = 132
SHARES = ("p50", "p95", "p99")
# A change smaller than this is none: a percentile itself may be 5 % off.
_CHANGE = 0.15
# From here on a change is told as so many times.
_TIMES = 2.0


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Seconds by the time, oldest first; None where nothing ended.

    ``times``: start of each bucket in ms, ``step`` its length in seconds. ``points``: (p50, p95,
    p99) of each, ``counts`` how many jobs that is of. ``ticks``: the distance of the axis's labels
    in seconds. ``what`` and ``summary``: the chart's name, and a sentence about it.
    """

    id: str
    what: str
    summary: str
    times: Sequence[int]
    points: Sequence[tuple[float, float, float] | None]
    counts: Sequence[int]
    step: int
    ticks: int
    timeout: float | None = None


def chart(series: Quantiles) -> SafeString:
    """Draw the chart as one ``<div>`` with the series' id; its script finds the points in it."""
    known = [one for one in series.points if one is not None]
    values = [value for one in known for value in one]
    if series.timeout is not None and known:
        values.append(series.timeout)
    scale = LogScale.between(min(values, default=0.01), max(values, default=1.0), height=HEIGHT)
    points = [
        [at, count, *_pointed(point, scale)]
        for at, point, count in zip(series.times, series.points, series.counts, strict=True)
    ]
    return element(
        "div",
        scale.labels(),
        scale.plot(
            series.summary,
            scale.axis(series.times, series.ticks),
            _timeout(series, scale) if known else None,
            scale.paths([one for share in (2, 1, 0) for one in _lines(series, scale, share)]),
            [one for share in (2, 1, 0) for one in _dots(series, scale, share)],
        ),
        None if known else element("p", nothing(), class_="chart-empty"),
        id=series.id,
        class_="chart quantiles",
        data_quantiles=True,
        data_step=series.step,
        data_days=series.ticks >= DAY,
        data_points=json.dumps(points, separators=(",", ":")),
        data_word_jobs=_("Jobs"),
    )


def table(series: Quantiles) -> SafeString:
    """The same points as a table, newest first."""
    rows = [
        element(
            "tr",
            element("th", beginning(at, series.ticks), scope="row"),
            [element("td", duration(value), class_="num") for value in point],
            element("td", number(count), class_="num"),
        )
        for at, point, count in reversed(
            list(zip(series.times, series.points, series.counts, strict=True))
        )
        if point is not None
    ]
    heads = (_("From"), *SHARES, _("Jobs"))
    label = _("%(chart)s as a table") % {"chart": series.what}
    return frame.table(series.id, series.what, label, heads, rows)


def figures(id: str, values: Sequence[float | None]) -> SafeString:
    """The legend, with the figures of the whole period."""
    return element(
        "dl",
        [
            element(
                "div",
                element("dt", _swatch(name), name, title=_meaning(name)),
                element("dd", duration(value)),
            )
            for name, value in zip(SHARES, values, strict=True)
        ],
        id=id,
        class_="quantile-key",
    )


def note(id: str, now: float | None, before: float | None) -> SafeString:
    """What is new: p95 of the last minutes, and how that differs from the period before."""
    body: Any = None
    if now is not None:
        time = duration(now)
        change = now / before - 1 if before else 0.0
        share = f"{figured(f'{abs(change) * 100:,.0f}')} %"
        if change >= _TIMES:
            times = exact(round(change + 1))
            words = _("p95 is %(time)s now, %(times)s times that of the period before")
            body = phrase(words, time=time, times=times)
        elif change > _CHANGE:
            words = _("p95 is %(time)s now, %(share)s more than in the period before")
            body = phrase(words, time=time, share=share)
        elif change < -_CHANGE:
            words = _("p95 is %(time)s now, %(share)s less than in the period before")
            body = phrase(words, time=time, share=share)
        elif before:
            body = phrase(_("p95 is %(time)s now, as in the period before"), time=time)
        else:
            body = phrase(_("p95 is %(time)s now"), time=time)
        if change >= 1:
            body = element("span", body, class_="bad")
    return element("p", body, id=id, class_="quantile-note")


def sentence(what: str, values: Sequence[float | None], count: int) -> str:
    """The chart in words."""
    if not count or None in values:
        return _("%(chart)s: nothing measured in this period yet.") % {"chart": what}
    p50, p95, p99 = (duration_text(value or 0.0) for value in values)
    words = ngettext(
        "%(chart)s of %(count)s job: half up to %(p50)s, 95 %% up to %(p95)s, 99 %% up to %(p99)s.",
        "%(chart)s of %(count)s jobs: half up to %(p50)s, 95 %% up to %(p95)s,"
        " 99 %% up to %(p99)s.",
        count,
    )
    return words % {"chart": what, "count": exact(count), "p50": p50, "p95": p95, "p99": p99}


def _pointed(point: tuple[float, ...] | None, scale: LogScale) -> list[Any]:
    """Of a point where its marks stand, and what they say."""
    if point is None:
        return []
    return [
        [round(scale.y(value), 1) for value in point],
        [duration_text(value) for value in point],
    ]


def _meaning(name: str) -> str:
    return _("%(share)s %% of the jobs took no longer") % {"share": name[1:]}


def _swatch(name: str) -> SafeString:
    return element(
        "svg",
        element("line", x1=0, x2=12, y1=5, y2=5, class_=f"{name}-line"),
        width=12,
        height=10,
        aria_hidden="true",
        focusable="false",
    )


def _lines(series: Quantiles, scale: LogScale, share: int) -> list[SafeString]:
    count, name = len(series.times), SHARES[share]
    body = []
    for run in stretches(_values(series, share)):
        points = [(x(index, count), scale.y(value)) for index, value in run]
        partial = run[-1][0] == count - 1  # the last bucket is still filling
        solid = points[:-1] if partial else points
        if len(solid) > 1:
            body.append(element("path", d=line(solid), class_=f"{name}-line"))
        if partial:
            body.append(element("path", d=line(points[-2:]), class_=f"{name}-line dashed"))
    return body


def _dots(series: Quantiles, scale: LogScale, share: int) -> list[SafeString]:
    """Points that have no neighbour, of which no line can be made."""
    values, count = _values(series, share), len(series.times)
    alone = [
        (index, value)
        for index, value in enumerate(values)
        if value is not None
        and all(values[i] is None for i in (index - 1, index + 1) if 0 <= i < count)
    ]
    return [
        element(
            "circle",
            cx=f"{x(index, count) / 10:.2f}%",
            cy=f"{scale.y(value):.1f}",
            r=2,
            class_=f"{SHARES[share]}-dot",
        )
        for index, value in alone
    ]


def _values(series: Quantiles, share: int) -> list[float | None]:
    return [None if point is None else point[share] for point in series.points]


def _timeout(series: Quantiles, scale: LogScale) -> SafeString | None:
    if series.timeout is None:
        return None
    y = round(scale.y(series.timeout)) + 0.5
    words = _("Timeout of %(time)s") % {"time": duration_text(series.timeout)}
    return join(
        [
            element("line", x1=0, x2="100%", y1=y, y2=y, class_="timeout-line"),
            element("text", words, x=4, y=y - 4 if y > 16 else y + 12, class_="axis timeout-name"),
        ]
    )


def known(value: float | None) -> SafeString:
    """A percentile in a table."""
    return duration(value) if value is not None else element("span", DASH, class_="zero")
