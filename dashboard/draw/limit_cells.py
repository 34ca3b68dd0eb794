"""What is shown of the named limits that a queue shares with others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore.limits import LimitInfo

from .group_cells import limit_words
from .markup import element, join, phrase
from .queue_cells import meter
from .values import clipped, exact, moment

#: So many queues of a limit are named.
_QUEUES = 12


def panel(
    limits: Sequence[LimitInfo], at: datetime, url: Callable[[str], str | None]
) -> SafeString:
    """The limits that a queue belongs to; *url*: where a queue stands, None if it is not seen."""
    if not limits:
        return element("div", id="queue-named", hidden=True)
    return element("div", [_one(limit, at, url) for limit in limits], id="queue-named")


def _one(limit: LimitInfo, at: datetime, url: Callable[[str], str | None]) -> SafeString:
    body: list[Any] = [
        element("p", phrase(_("Named limit %(name)s"), name=element("b", clipped(limit.name, 60))))
    ]
    if limit.concurrency is not None:
        body.append(meter(_("Jobs at once"), limit.running, limit.concurrency, "active"))
        if limit.maxed:
            body.append(element("p", _("Every slot is busy."), class_="note"))
    if limit.rate is not None:
        used = limit.started if limit.ttl > 0 else 0
        body.append(meter(_("Started in the window"), used, limit.rate.max, "accent"))
        words = limit_words(None, limit.rate.max, round(_seconds(limit.rate.duration) * 1000))
        note: Any = words
        if limit.ttl > 0:
            time = moment(_end(at, limit.ttl), "until")
            note = phrase(_("%(limit)s; the window resets in %(time)s"), limit=words, time=time)
        body.append(element("p", note, class_="note"))
    if limit.concurrency is None and limit.rate is None:
        body.append(element("p", _("It allows everything now."), class_="note"))
    body.append(_queues(limit, url))
    if limit.concurrency_by_hand or limit.rate_by_hand:
        says = declared(limit)
        words = (
            _("Set by hand; the settings say: %(limits)s.") % {"limits": says}
            if says
            else _("Set by hand; the settings say no limit.")
        )
        body.append(element("p", words, class_="note"))
    return element("div", body, class_="limits named-limit")


def declared(limit: LimitInfo) -> str:
    """What the settings say of a limit; empty where that is nothing."""
    rate = limit.declared_rate
    return limit_words(
        limit.declared_concurrency,
        rate.max if rate else None,
        round(_seconds(rate.duration) * 1000) if rate else None,
    )


def _queues(limit: LimitInfo, url: Callable[[str], str | None]) -> SafeString:
    """Its queues with what runs of each; those that are out of scope are not told of."""
    shown: list[Any] = []
    known = [(one, href) for one in limit.queues if (href := url(one.name)) is not None]
    for one, href in known[:_QUEUES]:
        link = element("a", clipped(one.name, 60), href=href)
        words = ngettext("%(count)s runs", "%(count)s run", one.running)
        facts = words % {"count": exact(one.running)}
        if one.waits:
            facts = _("%(running)s, waits for its turn") % {"running": facts}
        shown.append(element("li", link, " ", element("span", facts, class_="muted")))
    if (more := len(known) - len(shown)) > 0:
        words = ngettext("and %(count)s other queue", "and %(count)s other queues", more)
        shown.append(element("li", words % {"count": exact(more)}, class_="muted"))
    return join([element("ul", shown, class_="named-queues")])


def _end(at: datetime, seconds: float) -> datetime:
    """When a window ends, to the second, so that it is drawn once."""
    return (at + timedelta(seconds=seconds + 0.5)).replace(microsecond=0)


def _seconds(duration: Any) -> float:
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)
