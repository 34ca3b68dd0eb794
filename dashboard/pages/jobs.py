"""Jobs: the list of one state, page by page, or what of it fits a filter."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import Queue, matching
from queuecore.inspect import Inspector
from queuecore.jsontext import harmless
from queuecore.matching import Filter, InvalidFilter

from .. import cookies, links
from ..conf import get_settings
from ..draw import payload, traces
from ..draw.states import STATES, label
from ..draw.values import exact, size
from ..guard import guarded
from ..live.fragments import fragments
from ..live.state import COUNTED_FROM, IDS, Topic, read
from .listing import FINISHED, Asked, Listing, listing
from .queue import connection_trail, judged
from .shell import shell, show

#: How long is counted at most how many jobs share the error that a page is full of.
_FOLD_SECONDS = 0.01
#: The longest word that the filter suggests.
_SUGGESTED = 80


@guarded("GET")
def jobs(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Show one page of one state."""
    seen = request.viewer  # type: ignore[attr-defined]
    base = read(Topic("queue", alias, queue))
    judged(base, alias, queue)
    counts = base.connections[alias].queues[queue].counts
    name = _state(request, counts)
    asked = Asked.parse(name, request.GET, payload=seen.payload)
    limit = _limit(asked)
    found = listing(alias, queue, asked, limit)
    topic = Topic("jobs", alias, queue, state=name)
    # What is new is counted from the first of them on.
    ids = list(dict.fromkeys([*found.newest, *(row.id for row in found.rows)]))
    connection = base.connections[alias]
    connection.rows.update({(queue, row.id): row for row in found.rows})
    live = fragments(base, topic, seen, ids)
    url = links.queue_url(seen.mount, alias, queue)
    trail = [
        *connection_trail(base, alias),
        (_("Queues"), f"{seen.mount}queues/"),
        (queue, url),
    ]
    words = shell(
        request,
        page="queues",
        title=_("Jobs"),
        trail=trail,
        state=base,
        alias=alias,
        queue=queue,
        document=" · ".join([label(name), queue, *(at for at, _url in trail[:-2])]),
        counted=(exact(counts.get(name, 0)), f"tab-{name}"),
    )
    hidden = cookies.hidden(request)
    cells: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for id, patch in live.items():
        row_id, _mark, cell = id.rpartition("~~")
        cells[row_id][cell] = patch.html
    same = _same_error(found.rows) if name == "failed" and seen.payload else None
    context = {
        **words,
        "topic": str(topic),
        "live": live,
        "alias": alias,
        "queue": queue,
        "queue_url": url,
        "jobs_url": links.jobs_url(seen.mount, alias, queue),
        "state": name,
        "state_word": label(name),
        "tabs": [(one, live[f"tab-{one}"].html, _tab(asked, one)) for one in STATES],
        "asked": asked,
        "may_see": seen.payload,
        "tokens": [(*_token(word), asked.without(word)) for word in asked.words],
        "bare_url": _tab(asked, name, filtered=False),
        "turned_url": asked.first(oldest=not asked.oldest) if name in FINISHED else "",
        "newest_url": asked.first(oldest=False),
        "found": found,
        "page_limit": limit,
        "rows": [_row(row, cells, seen, alias, queue, same) for row in found.rows],
        "of_that_id": _of_that_id(seen, alias, queue, asked, found),
        "orphans_of": found.orphans + len(found.rows),
        "integrity_url": _integrity_url(seen, alias, queue),
        "suggestions": _suggestions(name, found.rows, seen.payload),
        "columns": _columns(name, seen.payload, hidden),
        "not_offered": "" if name in _DETAILS else "detail",
        "hidden": hidden,
        "detail_word": _DETAILS.get(name) and _DETAILS[name](),
        "time_word": _TIME_WORDS[name](),
        "order_word": _order(name, asked.oldest),
        "can": _can(name),
        "all_urls": {one: _all_url(url, one, asked) for one in _can(name) if one != "cancel"},
        "folded": _folded(alias, queue, asked, same) if same else None,
    }
    return show(request, "jobs/index.html", context)


_DETAILS = {
    "active": lambda: _("Progress"),
    "delayed": lambda: _("Last error"),
    "failed": lambda: _("Error"),
    "prioritized": lambda: _("Priority"),
    "waiting-children": lambda: _("Waits for"),
}
_TIME_WORDS = {
    "waiting": lambda: _("Waits since"),
    "prioritized": lambda: _("Waits since"),
    "active": lambda: _("Started at"),
    "delayed": lambda: _("Due"),
    "waiting-children": lambda: _("Added at"),
    "completed": lambda: _("Completed at"),
    "failed": lambda: _("Failed at"),
}


def _columns(state: str, payload: bool, hidden: list[str]) -> list[tuple[str, str, bool]]:
    """The columns that may be left out: key, word, and whether it is shown."""
    words = {
        "data": _("Data"),
        "detail": _DETAILS[state]() if state in _DETAILS else "",
        "tries": _("Tries"),
        "waited": _("Waited"),
        "ran": _("Ran"),
        "worker": _("Worker"),
    }
    return [(key, word, key not in hidden) for key, word in words.items() if word]


def _suggestions(state: str, rows: list[Any], payload: bool) -> list[tuple[str, str, str, bool]]:
    """What the filter offers: what is typed, how it looks, what it means, and if it is whole."""
    words = [
        ("name:", "name:send-*", _("name, with * at an end"), False),
        ("id:", "id:17", _("this very job"), False),
        ("attempts>", "attempts>2", _("attempts made"), False),
        ("priority:", "priority:1..5", _("priority, from and to"), False),
        ("age>", "age>1h", _("added longer ago: s m h d w"), False),
        ("ended<", "ended<30m", _("finished since then"), False),
        ("scheduler:", "scheduler:nightly", _("made by this scheduler"), False),
    ]
    if payload:
        words.append(("error:", 'error:"timed out"', _("part of the last error"), False))
    here = _("on this page")
    names = Counter(row.name for row in rows)
    found = [Filter(state, name=name) for name, _count in names.most_common(6) if name]
    schedulers = Counter(row.scheduler_id for row in rows if row.scheduler_id)
    found += [Filter(state, scheduler=one) for one, _count in schedulers.most_common(3)]
    if payload:
        errors = Counter(traces.split(row.failed_reason)[0] for row in rows if row.failed_reason)
        found += [Filter(state, error=one) for one, _count in errors.most_common(4) if one]
    for filter in found:
        text = str(filter)
        if len(text) <= _SUGGESTED and "\n" not in text:
            words.append((text, text, here, True))
    return words


def _limit(asked: Asked) -> int:
    size = get_settings().page_size
    # Beside those on the page the newest of the list are watched.
    first = asked == Asked(asked.filter) and asked.filter.everything
    return size if first else min(size, IDS - COUNTED_FROM)


def _order(state: str, oldest: bool) -> str:
    if state in FINISHED:
        return _("oldest first") if oldest else _("newest first")
    return {
        "active": _("started longest ago first"),
        "delayed": _("due first at first"),
        "waiting-children": _("oldest first"),
    }.get(state, _("next to run first"))


def _can(state: str) -> list[str]:
    """The actions that fit the jobs of a state."""
    return {
        "failed": ["retry", "remove"],
        "completed": ["retry", "remove"],
        "delayed": ["promote", "remove"],
        "active": ["cancel"],
    }.get(state, ["remove"])


def _state(request: HttpRequest, counts: Any) -> str:
    asked = request.GET.get("state", "")
    if asked in STATES:
        return asked
    # What an operator comes for, else what there is.
    for name in ("failed", "active", "waiting", "prioritized", "delayed", "completed"):
        if counts.get(name, 0):
            return name
    return "waiting"


def _tab(asked: Asked, state: str, *, filtered: bool = True) -> str:
    pairs = [("state", state)]
    if filtered:
        pairs += [("q", word) for word in asked.words]
    return f"?{urlencode(pairs)}"


def _token(word: str) -> tuple[str, str, str]:
    """A word of the filter: whole, its name with the sign, its value."""
    parts = re.fullmatch(r"([a-z]+(?::|<|>))(.*)", word, re.DOTALL)
    return (word, *parts.groups()) if parts else (word, "", word)  # type: ignore[return-value]


def _all_url(queue_url: str, action: str, asked: Asked) -> str:
    """Where one is asked whether to do *action* to all jobs that fit."""
    pairs = [("action", action), ("state", asked.filter.state)]
    if not asked.filter.everything:
        pairs.append(("q", str(asked.filter)))
    return f"{queue_url}operations/confirm/?{urlencode(pairs)}"


def _integrity_url(seen: Any, alias: str, queue: str) -> str:
    url = links.system_url(seen.mount, alias)
    return f"{url}integrity/?{urlencode({'queue': queue})}"


def _of_that_id(
    seen: Any, alias: str, queue: str, asked: Asked, found: Listing
) -> dict[str, str] | None:
    """The job whose id is all that was typed, where the list does not show it."""
    wanted = asked.filter.id or asked.filter.name.strip("*")
    if len(asked.words) != 1 or not wanted or any(row.id == wanted for row in found.rows):
        return None
    row = Inspector(alias).rows(queue, [wanted])[0]
    if row is None:
        return None
    url = links.job_url(seen.mount, alias, queue, row.id)
    return {"id": row.id, "url": url, "state": row.state}


def _row(
    row: Any, cells: Any, seen: Any, alias: str, queue: str, same: str | None
) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "url": links.job_url(seen.mount, alias, queue, row.id),
        "payload": _preview(row) if seen.payload else None,
        "same": same is not None and row.failed_reason == same,
        "cells": cells[links.dom_id("j", row.id)],
    }


def _preview(row: Any) -> Any:
    if row.data_preview:
        return payload.one_line(row.data_preview)
    return size(row.data_size) if row.data_size else ""


def _same_error(rows: list[Any]) -> str | None:
    """The error that most of a page's jobs failed with, where it is nearly all of them."""
    if len(rows) < 5:
        return None
    reasons = [row.failed_reason for row in rows if row.failed_reason]
    if not reasons:
        return None
    most: str = max(set(reasons), key=reasons.count)
    return most if reasons.count(most) >= 0.8 * len(rows) else None


def _folded(alias: str, queue: str, asked: Asked, error: str) -> dict[str, Any] | None:
    """How many of all have that error, as far as was looked, and where only those are shown."""
    if asked.filter.error:
        return None
    lines = error.splitlines() or [""]
    text = re.sub(r'(["\\])', r"\\\1", harmless(lines[0][:120].rstrip("… ")))
    try:
        filter = Filter.parse(asked.filter.state, f'{asked.filter} error:"{text}"')
    except InvalidFilter:
        return None
    if not text:
        return None
    tally = matching.count(Queue.existing(queue, alias), filter, seconds=_FOLD_SECONDS)
    return {
        "error": error,
        "count": tally.count,
        "looked": tally.looked,
        "total": tally.total,
        "complete": tally.complete,
        "url": asked.also(f'error:"{text}"'),
    }
