"""The list "Needs attention": what is wrong, on what evidence, since when, and where to go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from .. import links
from ..health import Attention
from .icons import icon
from .markup import element
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
        where: SafeString = element(
            "a", visible(item.queue), href=links.queue_url(mount, *key), class_="att-name"
        )
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
        sparkline(sparks.get(key, ()), bad=item.bad),
        element("span", moment(item.since, "age") if item.since else None, class_="att-age num"),
        element("span", _actions(item, failed.get(key, 0), mount), class_="att-go"),
        element("span", icon("right"), class_="att-chevron", aria_hidden="true"),
    )


def _actions(item: Attention, failed: int, mount: str) -> list[SafeString]:
    """The fitting ways on. Links alone, which whoever may not act simply cannot follow further."""
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
    if item.kind == "paused":
        found.append(_asks(_("Resume"), "play", f"{queue}confirm/resume/"))
    if item.kind in ("no-workers", "stuck", "growing"):
        jobs = links.jobs_url(mount, *key, "waiting")
        found.append(element("a", _("View jobs"), href=jobs, class_="btn btn-28"))
    return found


def _asks(word: str, name: str, href: str) -> SafeString:
    return element(
        "a",
        icon(name, 14),
        word,
        href=href,
        class_="btn btn-28",
        data_dialog=True,
        data_needs="pause_queue",
    )
