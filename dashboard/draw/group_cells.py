"""What is shown of a queue's groups: in its panel, in their list, on one's own page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext

from queuecore.fleet import FleetWorker
from queuecore.inspect import GroupRow

from .. import links
from .icons import icon
from .markup import element, join, phrase
from .states import state_icon
from .values import DASH, clipped, exact, figures, moment, number

#: The statuses of groups in which something waits; the others follow only where there are such.
WAITING = ("waiting", "limited", "maxed", "paused")
OTHERS = ("active", "delayed", "idle")
#: The most characters of an id in a line.
_ID = 60


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the workers of a queue allow each group; ``differ``: they do not say the same."""

    concurrency: int | None = None
    max: int | None = None
    duration_ms: int | None = None
    differ: bool = False


def allowed(workers: Iterable[FleetWorker]) -> Allowed:
    """Read what each worker says of its groups: concurrency, starts and milliseconds."""
    said = {one.group for one in workers}
    if len(said) > 1:
        return Allowed(differ=True)
    parts = next(iter(said), "").split(",")
    figures = [int(one) if one.isascii() and one.isdigit() else None for one in parts]
    return Allowed(*figures) if len(figures) == 3 else Allowed()


def nothing(group: str) -> GroupRow:
    """A group of which nothing is known: no job, no limit, no pause."""
    return GroupRow(group, "gone", 0, 0, 0, None, None, None, 0, None)


def label(status: str) -> str:
    """The word of a status."""
    return {
        "waiting": pgettext("status of a group", "Waiting"),
        "limited": pgettext("status of a group", "At its rate limit"),
        "maxed": pgettext("status of a group", "At its concurrency"),
        "paused": pgettext("status of a group", "Paused"),
        "active": pgettext("status of a group", "Running"),
        "delayed": pgettext("status of a group", "Delayed"),
        "idle": pgettext("status of a group", "Idle"),
        "gone": pgettext("status of a group", "Empty"),
    }.get(status, status)


def mark(status: str) -> SafeString:
    """The icon of a status."""
    if status in ("limited", "maxed"):
        return icon("limited", 16)
    return state_icon(status if status in ("waiting", "paused", "active", "delayed") else "gone")


def state(row: GroupRow | None) -> SafeString:
    """Icon and word; what buttons of the page fit is told by the attributes."""
    status = shown_status(row) if row else "gone"
    return element(
        "span",
        mark(status),
        label(status),
        class_=f"gstate gstate-{status}",
        data_group=status,
        data_limited="yes" if row and row.limit_ttl_ms > 0 else "no",
    )


def shown_status(row: GroupRow) -> str:
    """Its status; one that is held back waits in turn until the next claim notices."""
    held = row.status == "waiting" and row.limit_ttl_ms > 0
    return "limited" if held else row.status


def cells(row: GroupRow | None, says: Allowed, at: datetime) -> dict[str, SafeString]:
    """Every live cell of a group's row."""
    if row is None:
        dash = element("span", DASH, class_="zero")
        names = ("waiting", "active", "delayed", "limits", "left")
        return {"status": state(None), **dict.fromkeys(names, dash)}
    return {
        "status": state(row),
        "waiting": number(row.waiting),
        "active": running(row, says),
        "delayed": number(row.delayed),
        "limits": own(row),
        "left": left(row, at),
    }


def running(row: GroupRow, says: Allowed) -> SafeString:
    """How many run, and how many may: as the group says itself, else as workers say."""
    most = row.concurrency or says.concurrency
    if not most:
        return number(row.active)
    body = join([exact(row.active), element("u", f"/{exact(most)}")])
    return element("span", body, class_=None if row.active else "zero")


def own(row: GroupRow) -> SafeString:
    """The limits of this group alone."""
    words = limit_words(row.concurrency, row.limit_max, row.limit_duration_ms)
    return element("span", words) if words else element("span", DASH, class_="zero")


def limit_words(concurrency: int | None, most: int | None, duration_ms: int | None) -> str:
    """``2 at once, 100 per 60 s``; empty without a limit."""
    parts = []
    if concurrency:
        words = ngettext("%(count)s at once", "%(count)s at once", concurrency)
        parts.append(words % {"count": exact(concurrency)})
    if most and duration_ms:
        words = ngettext("%(count)s per %(seconds)s s", "%(count)s per %(seconds)s s", most)
        seconds = figures(f"{duration_ms / 1000:,.10g}")
        parts.append(words % {"count": exact(most), "seconds": seconds})
    return ", ".join(parts)


def left(row: GroupRow, at: datetime) -> SafeString:
    """Until when a rate limit holds."""
    return moment(until(row, at), "until")


def until(row: GroupRow, at: datetime) -> datetime | None:
    """When the limit that holds now ends, to the second, so that it is drawn once."""
    if row.limit_ttl_ms <= 0:
        return None
    end = at + timedelta(milliseconds=row.limit_ttl_ms)
    return (end + timedelta(milliseconds=500)).replace(microsecond=0)


def counts_line(counts: Mapping[str, int]) -> SafeString:
    """``200 waiting · 3 at their rate limit``: those that there are."""
    words = {
        "waiting": ngettext("%(count)s waiting", "%(count)s waiting", counts.get("waiting", 0)),
        "limited": ngettext(
            "%(count)s at its rate limit",
            "%(count)s at their rate limit",
            counts.get("limited", 0),
        ),
        "maxed": ngettext(
            "%(count)s at its concurrency",
            "%(count)s at their concurrency",
            counts.get("maxed", 0),
        ),
        "paused": ngettext("%(count)s paused", "%(count)s paused", counts.get("paused", 0)),
    }
    shown = [
        words[status] % {"count": exact(counts[status])} for status in WAITING if counts.get(status)
    ]
    return element("span", " · ".join(shown))


def panel(look: Any, says: Allowed, url: str) -> SafeString:
    """The groups of a queue with most waiting, for its page; hidden where it has none."""
    total = sum(look.counts.values()) if look else 0
    if not total:
        return element("div", id="queue-groups", data_groups="no", hidden=True)
    body: list[Any] = [
        element(
            "div",
            element("span", _("Groups")),
            element("b", exact(total), class_="num"),
            class_="limit-row",
        ),
        element("p", counts_line(look.counts), class_="note"),
        each(says),
        element("ul", [_line(row, look.at, says, url) for row in look.rows], class_="group-lines"),
    ]
    return element("div", body, id="queue-groups", class_="limits", data_groups="yes")


def each(says: Allowed) -> SafeString | None:
    """What workers allow every group that has no limits of its own."""
    if says.differ:
        words = _("The workers do not agree on what each group may do: give all of them the same.")
        return element("p", icon("warning", 14), element("span", words), class_="note with-icon")
    words = limit_words(says.concurrency, says.max, says.duration_ms)
    if not words:
        return None
    return element("p", _("Each, as workers say: %(limits)s") % {"limits": words}, class_="note")


def _line(row: GroupRow, at: datetime, says: Allowed, url: str) -> SafeString:
    waiting = ngettext("%(count)s waiting", "%(count)s waiting", row.waiting)
    facts: list[Any] = [element("span", waiting % {"count": exact(row.waiting)})]
    if row.delayed:
        words = ngettext("%(count)s delayed", "%(count)s delayed", row.delayed)
        facts.append(element("span", words % {"count": exact(row.delayed)}))
    if (status := shown_status(row)) != "waiting":
        facts.append(element("span", label(status), class_=f"gstate-{status}"))
    if row.limit_ttl_ms > 0:
        facts.append(phrase(_("goes on in %(time)s"), time=left(row, at)))
    if words := limit_words(None, row.limit_max, row.limit_duration_ms):
        facts.append(element("span", words))
    most = row.concurrency or says.concurrency
    return element(
        "li",
        element(
            "a",
            clipped(row.id, _ID),
            href=f"{url}{links.encode(row.id)}/",
            title=clipped(row.id, 300),
        ),
        _bar(row.active, most) if most else element("span"),
        element("b", _of(row.active, most), class_="num"),
        element("p", _apart(facts), class_="note"),
    )


def _bar(used: int, most: int) -> SafeString:
    return element(
        "svg",
        element("rect", width="100%", height=6, rx=3, class_="bar-rest"),
        element(
            "rect",
            width=f"{100 * min(1.0, used / most):.0f}%",
            height=6,
            rx=3,
            class_="fill-active",
        ),
        width=60,
        height=6,
        class_="meter",
        aria_hidden="true",
    )


def _of(used: int, most: int | None) -> list[Any]:
    words = ngettext("%(count)s runs", "%(count)s run", used) % {"count": exact(used)}
    shown = f"{exact(used)}/{exact(most)}" if most else exact(used)
    return [element("span", shown, title=words, class_=None if used else "zero")]


def _apart(facts: list[Any]) -> list[Any]:
    spaced: list[Any] = []
    for one in facts:
        spaced += [" · ", one] if spaced else [one]
    return spaced


def facts(row: GroupRow, says: Allowed, at: datetime) -> SafeString:
    """What is known of one group, for its page."""
    concurrency = exact(row.concurrency) if row.concurrency else _inherited(says.concurrency)
    if row.limit_max:
        rate: Any = limit_words(None, row.limit_max, row.limit_duration_ms)
    else:
        rate = _inherited(limit_words(None, says.max, says.duration_ms))
    shown: list[tuple[str, Any]] = [
        (_("Waiting"), number(row.waiting)),
        (_("Running"), number(row.active)),
        (_("Delayed"), number(row.delayed)),
        (_("Next due"), moment(row.next_due, "until")),
        (_("Jobs at once"), concurrency),
        (_("Rate limit"), rate),
        (_("Held back for"), left(row, at)),
    ]
    return element(
        "dl",
        [
            element("div", element("dt", word), element("dd", body, class_="num"))
            for word, body in shown
        ],
        id="group-facts",
        class_="fact-list",
    )


def _inherited(value: int | str | None) -> SafeString:
    if not value:
        return element("span", _("no limit"), class_="muted")
    shown = exact(value) if isinstance(value, int) else value
    return element("span", _("%(limit)s, as workers say") % {"limit": shown}, class_="muted")


def note(row: GroupRow | None, at: datetime) -> SafeString:
    """What keeps a group from going on, in a sentence; empty where nothing does."""
    end = until(row, at) if row else None
    if row is None:
        words: Any = _("Nothing waits or runs in this group, and it has no limits of its own.")
    elif row.status == "paused":
        words = _("This group is paused: workers take no further job of it until it is resumed.")
    elif end is not None:
        words = phrase(
            _("A rate limit holds this group back; it goes on in %(time)s."),
            time=moment(end, "until"),
        )
    elif row.status == "maxed":
        words = _("As many of its jobs run as may: the next one starts when one of them ends.")
    else:
        return element("div", id="group-note", hidden=True)
    kind = "paused" if row and row.status == "paused" else row.status if row else "gone"
    return element(
        "div",
        icon({"paused": "pause", "gone": "info"}.get(kind, "limited")),
        element("p", words),
        id="group-note",
        class_="notice notice-paused",
    )
