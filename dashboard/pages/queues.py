"""Queues: one table of all of them, filtered by name and by what is wrong; grouped if wanted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from itertools import groupby
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template import Context, loader
from django.utils.translation import gettext as _

from queuecore import access

from .. import health
from ..draw.values import visible
from ..guard import guarded
from ..health import Health
from ..live.fragments import fragments
from ..live.state import Topic, read
from ..plans.many_queues import queue_key
from .overview import rows
from .shell import shell, show

_PAGE = 100  # rows; a socket watches no more at a time

_TABS: dict[str, Callable[[Health], bool]] = {
    "all": lambda queue: True,
    "attention": lambda queue: bool(queue.attention),
    "paused": lambda queue: bool(queue.snapshot.paused),
    "no-workers": lambda queue: queue.workers is not None and not queue.workers,
}

#: What a column is sorted by: the most first, turned round by a minus before its word; queues of
#: which it is not known are the last ones either way.
_COLUMNS: dict[str, Callable[[Health], float | None]] = {
    "waiting": lambda queue: queue.waiting,
    "active": lambda queue: queue.counts.get("active", 0),
    "delayed": lambda queue: queue.counts.get("delayed", 0),
    "failed": lambda queue: queue.counts.get("failed", 0),
    "in": lambda queue: queue.rate_in,
    "out": lambda queue: queue.rate_out,
    "share": lambda queue: queue.fail_share,
    "oldest": lambda queue: (
        -queue.snapshot.oldest_wait.timestamp() if queue.snapshot.oldest_wait else None
    ),
    "wait": lambda queue: queue.wait,
    "run": lambda queue: queue.run,
}
_SORTS = {"attention", "name", "-name", *_COLUMNS, *(f"-{one}" for one in _COLUMNS)}


def ordered(found: Iterable[Health], sort: str) -> list[Health]:
    """Put queues in the order that one of the words of the address names."""
    if sort == "attention":
        return sorted(found, key=lambda queue: queue.rank)
    by_name = sorted(found, key=lambda queue: (health.natural(queue.name.lower()), queue.alias))
    order, turned = sort.removeprefix("-"), sort.startswith("-")
    if order == "name":
        return by_name[::-1] if turned else by_name
    sign = 1 if turned else -1

    def place(queue: Health) -> tuple[bool, float]:
        value = _COLUMNS[order](queue)
        return value is None, sign * (value or 0)

    return sorted(by_name, key=place)


#: What parts the names of queues that belong together: the first of these, else of those.
DELIMITERS = ("./:", "-_")


def prefix_of(name: str) -> str:
    """The part of a queue's name before its first delimiter, with it; empty where it has none."""
    for marks in DELIMITERS:
        if at := next((index for index, one in enumerate(name) if one in marks), 0):
            return name[: at + 1]
    return ""


def grouped(found: list[Health]) -> list[Health]:
    """Put queues of one prefix together, the groups in the order of the first of each.

    Queues that share their prefix with no other one are a group, too.
    """
    order: dict[str, int] = {}
    counts = Counter(prefix_of(queue.name) for queue in found)
    for queue in found:
        order.setdefault(_group(queue, counts), len(order))
    return sorted(found, key=lambda queue: order[_group(queue, counts)])


def _group(queue: Health, counts: Mapping[str, int]) -> str:
    prefix = prefix_of(queue.name)
    return prefix if counts[prefix] > 1 else ""


def is_named(text: str, alias: str, *names: str) -> bool:
    """Whether one of *names* holds *text*; ``@alias`` before it means one connection."""
    wanted = text.lower()
    if wanted.startswith("@"):
        connection, _blank, wanted = wanted[1:].partition(" ")
        if connection != alias.lower():
            return False
    return any(wanted.strip() in name.lower() for name in names)


def _drawn(rows: Iterable[dict[str, Any]], *, several: bool, ticks: bool) -> list[str]:
    words = _("Tick the queue %(queue)s")
    drawn = []
    for row in rows:
        alias, name = row["alias"], row["name"]
        shown = visible(f"{alias} / {name}" if several else name)
        tick = (queue_key(alias, name), words % {"queue": shown}) if ticks else ("", "")
        drawn.append(
            _row(several, row["id"], alias, name, row["url"], tick, tuple(row["cells"].items()))
        )
    return drawn


@lru_cache(maxsize=2_000)
def _row(
    several: bool,
    id: str,
    alias: str,
    name: str,
    url: str,
    tick: tuple[str, str],
    cells: tuple[tuple[str, str], ...],
) -> str:
    """A row as HTML: made again only if a cell of it has changed."""
    row = {"id": id, "alias": alias, "name": name, "url": url, "cells": dict(cells)}
    found: Any = loader.get_template("queuecore_dashboard/queues/_row.html")
    values = {"row": row, "several": several, "tick": tick[0], "label": tick[1]}
    drawn: str = found.template.render(Context(values, use_l10n=False))
    return drawn


@guarded("GET")
def queues(request: HttpRequest) -> HttpResponse:
    """Show the queues that match, by attention unless another order is asked for."""
    seen = request.viewer  # type: ignore[attr-defined]
    topic = Topic("overview")
    state = read(topic)
    every = health.all_health(state, seen.allows)
    text = request.GET.get("q", "").strip()[:200]
    tab = request.GET.get("show", "all")
    tab = tab if tab in _TABS else "all"
    sort = request.GET.get("sort", "attention")
    sort = sort if sort in _SORTS else "attention"
    named = [queue for queue in every if is_named(text, queue.alias, queue.name)]
    found = ordered(filter(_TABS[tab], named), sort)
    group = request.GET.get("group") == "1"
    times = request.GET.get("times") == "1"
    counts = Counter(prefix_of(queue.name) for queue in found) if group else Counter()
    found = grouped(found) if group else found
    page = Paginator(found, _PAGE).get_page(request.GET.get("page"))
    ids = ["summary", *(f"{queue.alias}:{queue.name}" for queue in page)]
    live = fragments(state, topic, seen, ids)
    several = len(state.connections) > 1
    ticks = access.can(request.user, "pause_queue")
    context = {
        **shell(request, page="queues", title=_("Queues"), state=state),
        "topic": str(topic),
        "live": live,
        "groups": [
            (
                prefix,
                counts[prefix],
                _drawn(rows(list(some), live, seen.mount), several=several, ticks=ticks),
            )
            for prefix, some in groupby(
                page, key=lambda queue: _group(queue, counts) if group else ""
            )
        ],
        "grouped": group,
        "groupable": group or any(prefix_of(queue.name) for queue in every),
        "times": times,
        "more": ("&group=1" if group else "") + ("&times=1" if times else ""),
        "numbers": page,
        "q": text,
        "tab": tab,
        "sort": sort,
        "order": sort.removeprefix("-"),
        "turned": sort.startswith("-"),
        "may_pause": ticks,
        "tabs": [
            (key, word, sum(map(_TABS[key], named)))
            for key, word in (
                ("all", _("All")),
                ("attention", _("Attention")),
                ("paused", _("Paused")),
                ("no-workers", _("No workers")),
            )
        ],
        "states": [
            (name, live[f"total-{name}"].html)
            for name in (
                "active",
                "prioritized",
                "waiting",
                "waiting-children",
                "delayed",
                "failed",
            )
        ],
        "total": len(every),
    }
    return show(request, "queues/index.html", context)
