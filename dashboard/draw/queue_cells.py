"""What is shown of one queue, cell by cell; the same for tables, cards and live patches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from ..health import Badge, Health, pause_words
from .icons import icon
from .markup import element, join, phrase
from .sparkline import sparkline
from .statebar import statebar
from .states import state_icon
from .values import DASH, duration, exact, figures, moment, number, percent, visible


def cells(queue: Health, out: list[float | None] | None) -> dict[str, SafeString]:
    """Return every cell of a queue's row; ``out``: its rate lately, where that is drawn."""
    counts = queue.counts
    drawn = {} if out is None else {"spark": sparkline(out, bad=queue.drain.kind == "never")}
    return drawn | {
        "badges": badges(queue.badges),
        "bar": statebar(counts),
        "waiting": number(queue.waiting),
        "active": number(counts.get("active", 0)),
        "delayed": number(counts.get("delayed", 0)),
        "failed": failed(counts.get("failed", 0), queue),
        "in": number(queue.rate_in),
        "out": number(queue.rate_out),
        "share": share(queue),
        "oldest": moment(queue.snapshot.oldest_wait, "age"),
        "drain": drain(queue),
        "wait": duration(queue.wait),
        "run": duration(queue.run),
        "busy": percent(queue.busy),
        "workers": workers(queue),
        "mark": mark(queue),
    }


def badges(shown: tuple[Badge, ...]) -> SafeString:
    """Draw a queue's badges: icon and word, in the colour of what they say."""
    return join(
        element("span", icon(one.icon, 14), one.text, class_=f"badge badge-{one.level}")
        for one in shown
    )


def failed(count: int, queue: Health) -> SafeString:
    """The number of failed jobs, red while the queue fails."""
    body = number(count)
    return element("span", body, class_="bad") if count and queue.failing else body


def share(queue: Health) -> SafeString:
    """The share of failed jobs, red while it is unusual."""
    body = percent(queue.fail_share)
    return element("b", body, class_="bad") if queue.failing else body


def drain(queue: Health) -> SafeString:
    """When the queue will be empty, or the word that says why that is no time."""
    kind = queue.drain.kind
    if kind == "estimate":
        return duration(queue.drain.seconds)
    if kind == "growing":
        growth = exact(queue.drain.growth or 0)
        words = _("Growing +%(count)s") % {"count": growth}
        return element(
            "span", icon("up", 14), words, element("u", _("/min")), class_="bad with-icon"
        )
    if kind == "never":
        return element("span", _("Never"), class_="bad")
    word, look = {
        "paused": (_("Paused"), "muted"),
        "idle": (_("Idle"), "zero"),
        "keeping-up": (_("Keeping up"), "zero"),
        "unknown": (DASH, "zero"),
    }[kind]
    return element("span", word, class_=look)


def workers(queue: Health) -> SafeString:
    """How many workers of which language listen."""
    if queue.workers is None:
        return element("span", _("Unknown"), class_="zero", title=_("The server does not say."))
    if not queue.workers:
        if queue.abandoned:
            words = [icon("no-workers", 14), _("None")]
            return element("span", words, class_="bad with-icon")
        if queue.counts.get("active", 0):
            words = _("Jobs run; which worker runs them is not known yet.")
            return element("span", DASH, class_="zero", title=words)
        return element("span", _("None"), class_="zero")
    return crew(queue.workers)


def crew(found: Mapping[str, int]) -> SafeString:
    """Draw ``Py 2  Node 4``."""
    return join(
        element(
            "span",
            element("span", visible(language) or _("other"), class_="lang"),
            count,
            class_="crew num",
        )
        for language, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))
    )


def mark(queue: Health) -> SafeString:
    """The icon before a pinned queue's name: what is wrong, else that it runs or rests."""
    if queue.failing:
        return state_icon("failed", named=True)
    if queue.snapshot.paused:
        return state_icon("paused", named=True)
    if queue.counts.get("active", 0):
        return state_icon("active", named=True)
    return state_icon("waiting", named=True)


def facts(queue: Health) -> SafeString:
    """The line under a queue's name."""
    snapshot = queue.snapshot
    shown: list[tuple[str, Any]] = [
        (_("In"), [number(queue.rate_in), element("u", _("/min"))]),
        (_("Out"), [number(queue.rate_out), element("u", _("/min"))]),
        (_("Failed jobs"), share(queue)),
        (_("Oldest wait"), moment(snapshot.oldest_wait, "age")),
        (_("Drains in"), drain(queue)),
        (_("Workers"), workers(queue)),
    ]
    if queue.busy is not None:
        shown.append((_("Busy"), percent(queue.busy)))
    return join(
        element("div", element("dt", word), element("dd", body, class_="num"))
        for word, body in shown
    )


def pause_note(queue: Health) -> SafeString:
    """Why the queue is paused, since when and until when; empty while it is not."""
    snapshot = queue.snapshot
    if not snapshot.paused:
        return element("div", id="queue-pause-note", data_paused="no", hidden=True)
    pause = snapshot.pause
    if pause and pause.since:
        head: Any = phrase(_("Paused for %(time)s"), time=moment(pause.since, "age"))
    else:
        head = _("Paused")
    words: list[Any] = [element("b", head)]
    if said := pause_words(pause):
        words += [" ", element("span", said)]
    if pause and pause.until:
        rest = phrase(_("Goes on in %(time)s"), time=moment(pause.until, "until"))
        words += [" ", element("span", rest)]
    return element(
        "div",
        icon("pause"),
        element("p", words),
        id="queue-pause-note",
        class_="notice notice-paused",
        data_paused="yes",
    )


def limits(queue: Health) -> SafeString:
    """The limits set for the whole queue, each with how much of it is used."""
    snapshot, active = queue.snapshot, queue.counts.get("active", 0)
    body: list[object] = []
    if snapshot.concurrency:
        body.append(meter(_("Global concurrency"), active, snapshot.concurrency, "active"))
        if active >= snapshot.concurrency and queue.waiting:
            body.append(element("p", _("Every slot is busy."), class_="note"))
    if snapshot.limit_max:
        seconds = (snapshot.limit_duration_ms or 0) / 1000
        words = _("%(count)s jobs per %(seconds)s s") % {
            "count": exact(snapshot.limit_max),
            "seconds": figures(f"{seconds:g}"),
        }
        row = [element("span", _("Rate limit")), element("b", words, class_="num")]
        body.append(element("div", row, class_="limit-row"))
    if snapshot.limiter_ttl_ms and snapshot.limiter_ttl_ms > 0:
        words = _("The window is used or open; it resets within %(time)s s.") % {
            "time": exact(-(-snapshot.limiter_ttl_ms // 1000))
        }
        body.append(element("p", words, class_="note"))
    if not body:
        body.append(element("p", _("No global limit is set."), class_="note"))
    return join(body)


def info(queue: Health, prefix: str) -> SafeString:
    """What the queue says about itself."""
    snapshot = queue.snapshot
    shown: list[tuple[str, Any]] = [
        (_("Connection"), visible(queue.alias)),
        (_("Prefix"), element("code", visible(prefix))),
        (_("Made by"), _maker(snapshot.version)),
        (_("Completed so far"), number(snapshot.completed_total)),
        (_("Failed so far"), number(snapshot.failed_total)),
        (_("Next delayed"), moment(snapshot.next_delayed, "until")),
    ]
    return join(element("div", element("dt", word), element("dd", body)) for word, body in shown)


def _maker(version: str) -> str:
    """``bullmq:6.7.0`` as the library that wrote it, and the language it is known to be of."""
    name, colon, number = version.partition(":")
    known = {"bullmq": "Node", "queuecore": "Python"}
    words = visible(f"{name} {number}" if colon else version)
    return f"{known[name]}, {words}" if name in known else words or DASH


def meter(word: str, used: int, most: int, kind: str) -> SafeString:
    """A line with a word and ``3/10``, and a bar of it below."""
    width = 100 * min(1.0, used / most)
    bar = element(
        "svg",
        element("rect", width="100%", height=6, rx=3, class_="bar-rest"),
        element("rect", width=f"{width:.1f}%", height=6, rx=3, class_=f"fill-{kind}"),
        width="100%",
        height=6,
        class_="meter",
        aria_hidden="true",
    )
    figure = [element("b", exact(used)), f"/{exact(most)}"]
    row = [element("span", word), element("span", figure, class_="num")]
    return join([element("div", row, class_="limit-row"), bar])
