"""Failures of one kind in one line: what, where, how often and since when, and the jobs behind it.

A kind is what workers of ours take for one (:mod:`queuecore.statistics`); the same error in jobs of
several names is one line here, which names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore.jsontext import covered, harmless
from queuecore.statistics import Failure, Period

from .markup import element
from .sparkline import sparkline
from .values import exact, moment, number, visible

#: A kind is called new for so long.
NEW = timedelta(hours=1)
#: The most lines, and the most names in one.
MOST, _MOST_NAMES = 8, 3
# What stands in a message for what changes from job to job.
_PLACES = re.compile(r"<(?:uuid|email|time|address|hex|n)>")
_LEAST = 4  # characters by which jobs can be found


@dataclass(frozen=True, slots=True)
class Line:
    """Failures alike; ``counts``: how often in each bucket of the period, oldest first."""

    kind: str
    message: str
    frame: str
    names: Sequence[str]
    count: int
    counts: Sequence[int]
    first: datetime | None
    last: datetime | None
    text: str


def lines(
    failures: Iterable[Failure], periods: Sequence[Period], name: str | None = None
) -> list[Line]:
    """The kinds that came in *periods*, the most frequent first; only those of *name*."""
    alike: dict[tuple[str, str, str], list[Failure]] = {}
    for one in failures:
        if name is None or one.name == name:
            alike.setdefault((one.kind, one.message, one.frame), []).append(one)
    found = []
    for (kind, message, frame), some in alike.items():
        counts = [sum(period.failures.get(one.id, 0) for one in some) for period in periods]
        if not (count := sum(counts)):
            continue
        here = [one for one in some if any(one.id in period.failures for period in periods)]
        firsts = [one.first_seen for one in some if one.first_seen]
        lasts = [one.last_seen for one in some if one.last_seen]
        found.append(
            Line(
                kind=kind,
                message=message,
                frame=frame,
                names=sorted({one.name for one in here}),
                count=count,
                counts=counts,
                first=min(firsts, default=None),
                last=max(lasts, default=None),
                text=findable(some[0]),
            )
        )
    return sorted(found, key=lambda one: (-one.count, one.kind, one.message))


def findable(failure: Failure) -> str:
    """The longest part of the reason that all failures of its kind share; no secret is in it."""
    parts = [part.strip() for part in _PLACES.split(failure.message)]
    # A message is one line of at most 300 characters: what was cut, or joined, is not found again.
    fitting = [part for part in parts if len(part) >= _LEAST and part in failure.reason]
    text = harmless(max(fitting, key=len, default="")[:120]).rstrip("… ")
    return text if len(text) >= _LEAST else ""


def rows(found: Sequence[Line], link: Any, now: datetime) -> list[SafeString]:
    """The table's rows; ``link(name, text)`` is the list of failed jobs."""
    return [_row(one, link, now) for one in found[:MOST]]


def _row(one: Line, link: Any, now: datetime) -> SafeString:
    message = visible(covered(one.message))
    kind = visible(one.kind.rpartition(".")[2])
    only = one.names[0] if len(one.names) == 1 else ""
    what = element(
        "a",
        element("b", kind or _("Error")),
        " ",
        # BullMQ's reason of an error without a message is the error itself.
        element("span", message.removeprefix(f"{kind}: "), class_="muted"),
        href=link(only, one.text),
        title=visible(f"{one.kind}: {covered(one.message)}"),
    )
    where: list[Any] = [element("span", _names(one.names), class_="err-names")]
    if one.frame:
        where += [" · ", element("code", visible(one.frame))]
    new = one.first is not None and now - one.first < NEW
    badge = element("span", _("New"), class_="badge badge-bad") if new else None
    return element(
        "tr",
        element(
            "th", what, element("span", where, class_="err-where"), scope="row", class_="q-error"
        ),
        element("td", badge, class_="c-new"),
        element("td", sparkline(one.counts, bad=True), class_="c-trend"),
        element("td", number(one.count), class_="num strong"),
        element("td", moment(one.first, "age"), class_="num c-first"),
        element("td", moment(one.last, "age"), class_="num"),
    )


def _names(names: Sequence[str]) -> str:
    shown = [visible(name) or _("other names") for name in names[:_MOST_NAMES]]
    more = len(names) - len(shown)
    if more > 0:
        words = ngettext("and %(count)s more name", "and %(count)s more names", more)
        shown.append(words % {"count": exact(more)})
    return ", ".join(shown)
