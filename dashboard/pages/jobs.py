"""Jobs: the list of one state, page by page, or what of it matches an id or a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore.inspect import Inspector

from .. import links
from ..conf import get_settings
from ..draw import payload
from ..draw.states import STATES, label
from ..draw.values import size
from ..guard import guarded
from ..live.fragments import fragments
from ..live.state import Topic, read
from .queue import connection_trail, judged
from .shell import shell, show

_CHUNK, _SEARCHED = 200, 5_000  # rows read at a time, and at most, for one filter


@dataclass(frozen=True, slots=True)
class Query:
    """What the bar above the list asks for: ``field`` id or name, empty for both."""

    field: str
    text: str

    @classmethod
    def parse(cls, written: str) -> Query:
        """Read ``id:17``, ``name:welcome`` or a bare text."""
        written = written.strip()[:300]
        field, colon, text = written.partition(":")
        if colon and field.lower() in ("id", "name"):
            return cls(field.lower(), text.strip())
        return cls("", written)

    def matches(self, row: Any) -> bool:
        """Whether the row's name holds the text, or its id is it."""
        if self.field == "id":
            return bool(row.id == self.text)
        named = self.text.lower() in row.name.lower()
        return named or (not self.field and row.id == self.text)


@dataclass(slots=True)
class Found:
    """Rows to show, and how they were found."""

    rows: list[Any]
    total: int
    offset: int = 0
    searched: int | None = None
    next: int | None = None
    previous: int | None = None
    orphans: int = 0


@guarded("GET")
def jobs(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Show one page of one state."""
    seen = request.viewer  # type: ignore[attr-defined]
    base = read(Topic("queue", alias, queue))
    judged(base, alias, queue)
    counts = base.connections[alias].queues[queue].counts
    name = _state(request, counts)
    query = Query.parse(request.GET.get("q", ""))
    offset = _number(request.GET.get("from", ""))
    inspector = Inspector(alias)
    limit = get_settings().page_size
    found = (
        _search(inspector, queue, name, query, offset, limit)
        if query.text
        else _page(inspector, queue, name, offset, limit)
    )
    topic = Topic("jobs", alias, queue, state=name)
    ids = [row.id for row in found.rows]
    connection = base.connections[alias]
    connection.rows.update({(queue, row.id): row for row in found.rows})
    live = fragments(base, topic, seen, ids)
    url = links.queue_url(seen.mount, alias, queue)
    words = shell(
        request,
        page="queues",
        title=_("Jobs"),
        trail=[
            *connection_trail(base, alias),
            (_("Queues"), f"{seen.mount}queues/"),
            (queue, url),
        ],
        state=base,
        alias=alias,
        queue=queue,
    )
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
        "tabs": [(one, live[f"tab-{one}"].html) for one in STATES],
        "q": request.GET.get("q", "").strip()[:300],
        "query": query,
        "found": found,
        "first": found.offset + 1 if found.rows else 0,
        "last": found.offset + len(found.rows),
        "rows": [_row(row, live, seen, alias, queue) for row in found.rows],
        "detail_word": _DETAILS.get(name) and _DETAILS[name](),
        "time_word": _TIME_WORDS[name](),
        "can": _can(name),
        "folded": _same_error(found.rows) if name == "failed" and seen.payload else None,
    }
    return show(request, "jobs/index.html", context)


_DETAILS = {
    "active": lambda: _("Progress"),
    "delayed": lambda: _("Last error"),
    "failed": lambda: _("Error"),
    "prioritized": lambda: _("Priority"),
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


def _can(state: str) -> list[str]:
    """The actions that fit the jobs of a state."""
    return {
        "failed": ["retry", "remove"],
        "completed": ["retry", "remove"],
        "delayed": ["promote", "remove"],
        "active": [],
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


def _page(inspector: Inspector, queue: str, state: str, offset: int, limit: int) -> Found:
    page = inspector.jobs(queue, state, offset=offset, limit=limit)
    if not page.rows and page.total and offset:
        offset = (page.total - 1) // limit * limit
        page = inspector.jobs(queue, state, offset=offset, limit=limit)
    after = offset + limit
    return Found(
        rows=list(page.rows),
        total=page.total,
        offset=offset,
        next=after if after < page.total else None,
        previous=max(0, offset - limit) if offset else None,
        orphans=len(page.orphans),
    )


def _search(
    inspector: Inspector, queue: str, state: str, query: Query, offset: int, limit: int
) -> Found:
    """Look through the list in slices, from *offset* on, and say how far it got."""
    found: list[Any] = []
    if query.field == "id" or (not query.field and not offset):
        exact = inspector.rows(queue, [query.text])[0]
        if exact is not None and exact.state == state:
            found.append(exact)
        if query.field == "id":
            return Found(found, total=len(found), searched=1)
    at, total = offset, 0
    while at - offset < _SEARCHED and len(found) <= limit:
        page = inspector.jobs(queue, state, offset=at, limit=_CHUNK)
        total = page.total
        known = {row.id for row in found}
        for place, row in enumerate(page.rows):
            if row.id not in known and query.matches(row):
                if len(found) == limit:
                    return Found(found, total, searched=at + place, next=at + place)
                found.append(row)
        at += _CHUNK
        if at >= total:
            return Found(found, total, searched=total)
    return Found(found, total, searched=at, next=at)


def _row(row: Any, live: Any, seen: Any, alias: str, queue: str) -> dict[str, Any]:
    prefix = links.dom_id("j", row.id, "")
    return {
        "id": row.id,
        "name": row.name,
        "url": links.job_url(seen.mount, alias, queue, row.id),
        "payload": _preview(row) if seen.payload else None,
        "cells": {
            key.removeprefix(prefix): patch.html
            for key, patch in live.items()
            if key.startswith(prefix)
        },
    }


def _preview(row: Any) -> Any:
    if row.data_preview:
        return payload.one_line(row.data_preview)
    return size(row.data_size) if row.data_size else ""


def _same_error(rows: list[Any]) -> tuple[str, int] | None:
    """The error that most of a page's jobs failed with, where it is nearly all of them."""
    if len(rows) < 5:
        return None
    reasons = [row.failed_reason for row in rows if row.failed_reason]
    if not reasons:
        return None
    most = max(set(reasons), key=reasons.count)
    count = reasons.count(most)
    return (most, count) if count >= 0.8 * len(rows) else None


def _number(text: str) -> int:
    return min(int(text), 10**12) if text.isascii() and text.isdigit() and len(text) < 13 else 0
