"""The list "Needs attention": what is wrong, on what evidence, since when, and where to go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore.mutes import Mute

from .. import links
from ..health import Attention, permission_of
from .icons import icon
from .markup import element, phrase
from .sparkline import sparkline
from .values import exact, moment, visible

_COLOURS = {"paused": "paused", "stuck": "warn", "growing": "bad", "memory": "warn"}


def rows(
    items: Sequence[Attention],
    most: int,
    failed: Mapping[tuple[str, str], int],
    sparks: Mapping[tuple[str, str], Sequence[float | None]],
    mount: str,
) -> SafeString:
    """Draw the first *most* items, with links only: what acts is asked for on the next page."""
    if not items:
        body: Any = element(
            "li", icon("check"), element("span", _("Nothing needs attention.")), class_="calm"
        )
        return element("ul", body, id="attention", class_="attention", data_live_hold=True)
    further = None
    if len(items) > most:
        count = len(items) - most
        words = ngettext("%(count)s more queue", "%(count)s more queues", count) % {"count": count}
        link = element("a", words, href=f"{mount}queues/?show=attention", class_="more")
        further = element("li", link, class_="calm")
    return element(
        "ul",
        [_row(item, failed, sparks, mount) for item in items[:most]],
        further,
        id="attention",
        class_="attention",
        data_live_hold=True,
    )


def _row(
    item: Attention,
    failed: Mapping[tuple[str, str], int],
    sparks: Mapping[tuple[str, str], Sequence[float | None]],
    mount: str,
) -> SafeString:
    key = (item.alias, item.queue)
    level = "bad" if item.bad else _COLOURS.get(item.kind, "warn")
    if item.queue:
        there = item.alias == links.DEFAULT
        where: SafeString = element(
            "a",
            None if there else element("small", f"{visible(item.alias)} / "),
            visible(item.queue),
            href=links.queue_url(mount, *key),
            class_="att-name",
            title=visible(item.queue if there else f"{item.alias} / {item.queue}"),
        )
    elif item.kind == "fleet":
        workers = f"{mount}workers/?{urlencode({'q': item.target})}"
        where = element("a", visible(item.target), href=workers, class_="att-name")
    else:
        where = element("span", visible(item.alias), class_="att-name")
    sentence = [
        element("span", item.what, class_="att-what"),
        " ",
        element("span", item.why, class_="att-why") if item.why else None,
    ]
    return element(
        "li",
        element("span", icon("pause" if item.kind == "paused" else item.kind), class_=f"t-{level}"),
        where,
        element("span", sentence, class_="att-text"),
        sparkline(sparks.get(key, ()), bad=item.bad and item.kind != "scheduler"),
        element("span", moment(item.since, "age") if item.since else None, class_="att-age num"),
        element("span", _actions(item, failed.get(key, 0), mount), class_="att-go"),
        element("span", _mute(item, mount), class_="att-mute"),
        element("span", icon("right"), class_="att-chevron", aria_hidden="true"),
    )


def _actions(item: Attention, failed: int, mount: str) -> list[SafeString]:
    """The fitting ways on. Links alone, which whoever may not act simply cannot follow further."""
    if item.kind == "fleet":
        return [element("a", _("View workers"), href=f"{mount}workers/", class_="btn btn-28")]
    if not item.queue:
        return []
    key = (item.alias, item.queue)
    queue = links.queue_url(mount, *key)
    found = []
    if item.kind == "failing":
        words = ngettext("View %(count)s failed", "View %(count)s failed", failed)
        jobs = links.jobs_url(mount, *key, "failed")
        found.append(element("a", words % {"count": exact(failed)}, href=jobs, class_="btn btn-28"))
    if item.kind == "failing":
        found.append(_asks(_("Pause"), "pause", f"{queue}confirm/pause/"))
    if item.kind == "new-error":
        found.append(
            element("a", _("View errors"), href=f"{queue}#errors-title", class_="btn btn-28")
        )
    if item.kind == "paused":
        found.append(_asks(_("Resume"), "play", f"{queue}confirm/resume/"))
    if item.kind == "scheduler":
        url = links.scheduler_url(mount, *key, item.target)
        found.append(element("a", _("View scheduler"), href=url, class_="btn btn-28"))
        found.append(_asks(_("Run now"), "play", f"{url}confirm/run/", "manage_schedulers"))
    if item.kind in ("no-workers", "stuck", "growing"):
        jobs = links.jobs_url(mount, *key, "waiting")
        found.append(element("a", _("View jobs"), href=jobs, class_="btn btn-28"))
    return found


def muted(found: Sequence[tuple[Attention, Mute]], mount: str) -> SafeString:
    """What is muted, by whom and until when, each with the way to see it again."""
    rows = []
    for item, mute in found:
        queue = links.queue_url(mount, item.alias, item.queue)
        until: Any = _("until it ends")
        if mute.until is not None:
            until = phrase(_("for %(time)s more"), time=moment(mute.until, "until"))
        by = _("muted by %(user)s") % {"user": visible(mute.by)}
        said = [by, " ", until, f" · {visible(mute.reason)}" if mute.reason else None]
        link = element(
            "a",
            icon("unmute", 14),
            _("Unmute"),
            href=f"{queue}confirm/unmute/?{_subject(item)}",
            class_="btn btn-28",
            data_dialog=True,
            data_needs=permission_of(item.kind),
        )
        rows.append(
            element(
                "li",
                element("span", icon("mute"), class_="t-paused"),
                element("a", visible(item.queue), href=queue, class_="att-name"),
                element(
                    "span",
                    element("span", item.what, class_="att-what"),
                    " ",
                    element("span", said, class_="att-by"),
                    class_="att-text",
                ),
                element("span", link, class_="att-go"),
            )
        )
    return element("ul", rows, id="muted", class_="muted-lines", data_live_hold=True)


def _mute(item: Attention, mount: str) -> SafeString | None:
    if not item.mutable:
        return None
    queue = links.queue_url(mount, item.alias, item.queue)
    return element(
        "a",
        icon("mute"),
        href=f"{queue}confirm/mute/?{_subject(item)}",
        class_="icon-link",
        title=_("Mute"),
        aria_label=_("Mute this line of %(queue)s") % {"queue": visible(item.queue)},
        data_dialog=True,
        data_needs=permission_of(item.kind),
    )


def _subject(item: Attention) -> str:
    return urlencode({"kind": item.kind} | ({"target": item.target} if item.target else {}))


def _asks(word: str, name: str, href: str, needs: str = "pause_queue") -> SafeString:
    return element(
        "a",
        icon(name, 14),
        word,
        href=href,
        class_="btn btn-28",
        data_dialog=True,
        data_needs=needs,
    )
