"""Groups: the list of a queue's groups, and the page of one with its jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import access, audit_log
from queuecore.inspect import GroupRow, Inspector

from .. import links
from ..draw import audit_cells, group_cells, payload
from ..draw.values import clipped, size
from ..guard import guarded
from ..live.fragments import fragments
from ..live.fragments.groups import Look, look
from ..live.state import ID_LENGTH, LiveState, Patch, Topic, Viewer, read
from .queue import connection_trail, judged
from .shell import shell, show

#: Rows on a page; a socket watches no more than a hundred.
_PAGE = 50
_SORTS = ("waiting", "active", "delayed", "turn", "id")
#: What can be done to a group, as it is on record.
ACTIONS = ("pause_group", "resume_group", "group_limits", "stop_group", "lift_group", "empty_group")
#: The parts of a group's jobs, and the state in which a queue's list has them.
_PARTS = {"waiting": "waiting-children", "delayed": "waiting-children", "active": "active"}


@guarded("GET")
def groups(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Show the groups of a queue that match, those with most waiting first."""
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    state = read(Topic("queue", alias, queue))
    judged(state, alias, queue)
    text = request.GET.get("q", "").strip()[:200]
    tab = request.GET.get("show", "all")
    tab = tab if tab in (*group_cells.WAITING, *group_cells.OTHERS) else "all"
    sort = request.GET.get("sort", "waiting")
    sort = sort if sort in _SORTS else "waiting"
    number = max(_whole(request.GET.get("page", "")), 1)
    found = Inspector(alias).groups(
        queue,
        sort=sort,
        statuses=() if tab == "all" else (tab,),
        search=text,
        offset=(number - 1) * _PAGE,
        limit=_PAGE,
    )
    ids = [row.id for row in found.rows]
    known: dict[str, GroupRow | None] = {row.id: row for row in found.rows}
    state[alias].extra["groups"] = {queue: Look(state.at, found.counts, by_id=known)}
    topic = Topic("groups", alias, queue)
    live = fragments(state, topic, seen, ids)
    cells = _cells(live)
    url = links.groups_url(seen.mount, alias, queue)
    asked = {"show": tab, "sort": sort, "q": text}
    context = {
        **_frame(request, state, alias, queue, _("Groups")),
        "topic": str(topic),
        "live": live,
        "url": url,
        "rows": [
            {
                "id": id,
                "name": clipped(id, 200),
                "live": len(id) <= ID_LENGTH,
                "url": f"{url}{links.encode(id)}/",
                "cells": cells[links.dom_id("g", id)],
            }
            for id in ids
        ],
        "q": text,
        "tab": tab,
        "sort": sort,
        "tabs": [
            (key, word, live[f"groups-{key}"].html, _url(asked, show=key))
            for key, word in (
                ("all", _("All")),
                *((one, group_cells.label(one)) for one in group_cells.WAITING),
                *(
                    (one, group_cells.label(one))
                    for one in group_cells.OTHERS
                    if found.counts.get(one) or tab == one
                ),
            )
        ],
        "sorts": {one: _url(asked, sort=one) for one in _SORTS},
        "bare_url": _url(asked, q=""),
        "total": sum(found.counts.values()),
        "matches": found.total,
        "first": found.offset + 1,
        "last": found.offset + len(ids),
        "previous": _url(asked, page=number - 1) if number > 1 else "",
        "next": _url(asked, page=number + 1) if found.offset + len(ids) < found.total else "",
    }
    return show(request, "groups/index.html", context)


@guarded("GET")
def group(request: HttpRequest, queue: str, group: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Show one group: what it may do, what keeps it, and its jobs."""
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    state = read(Topic("queue", alias, queue))
    judged(state, alias, queue)
    found = look(alias, queue, [group])
    row = found.by_id[group] or group_cells.nothing(group)
    state[alias].extra["group"] = {queue: found}
    part = request.GET.get("state", "")
    if part not in _PARTS:
        part = next((one for one in _PARTS if getattr(row, one)), "waiting")
    offset = min(_whole(request.GET.get("from", "")), 10**9)
    page = Inspector(alias).group_jobs(queue, group, part, offset=offset, limit=_PAGE)
    state[alias].rows.update({(queue, job.id): job for job in page.rows})
    topic = Topic("group", alias, queue, id=group)
    of_jobs = Topic("jobs", alias, queue, state=_PARTS[part])
    live = fragments(state, topic, seen)
    cells = _cells(fragments(state, of_jobs, seen, [job.id for job in page.rows]))
    url = links.group_url(seen.mount, alias, queue, group)
    context = {
        **_frame(request, state, alias, queue, clipped(group), below=True),
        "topic": str(topic),
        "jobs_topic": str(of_jobs),
        "live": live,
        "id": group,
        "url": url,
        "queue_url": links.queue_url(seen.mount, alias, queue),
        "part": part,
        "history": _history(request, alias, queue, group),
        "tabs": [
            (key, word, live[f"group-{key}"].html, f"?state={key}")
            for key, word in (
                ("waiting", group_cells.label("waiting")),
                ("delayed", group_cells.label("delayed")),
                ("active", group_cells.label("active")),
            )
        ],
        "time_word": {
            "waiting": _("Added at"),
            "delayed": _("Due"),
            "active": _("Started at"),
        }[part],
        "rows": [
            {
                "id": job.id,
                "name": job.name,
                "url": links.job_url(seen.mount, alias, queue, job.id),
                "data": _preview(job) if seen.payload else None,
                "due": job.due,
                "cells": cells[links.dom_id("j", job.id)],
            }
            for job in page.rows
        ],
        "total": page.total,
        "first": page.offset + 1,
        "last": page.offset + len(page.rows) + len(page.orphans),
        "previous": f"?state={part}&from={max(offset - _PAGE, 0)}" if offset else "",
        "next": f"?state={part}&from={offset + _PAGE}" if offset + _PAGE < page.total else "",
    }
    return show(request, "groups/show.html", context)


def _history(
    request: HttpRequest, alias: str, queue: str, group: str
) -> list[dict[str, Any]] | None:
    """What people did to the group, for those who may see the record."""
    if not access.can(request.user, "view_audit", alias, queue):
        return None
    found = audit_log.entries(alias, queue, group, limit=20)
    mount = request.viewer.mount  # type: ignore[attr-defined]
    # A job or a scheduler may bear the same id.
    return audit_cells.history([one for one in found if one.action in ACTIONS][:10], mount)


def _frame(
    request: HttpRequest,
    state: LiveState,
    alias: str,
    queue: str,
    title: str,
    *,
    below: bool = False,
) -> dict[str, Any]:
    """The frame of both pages: the queue and, below it, the list stand in the breadcrumb."""
    mount = request.viewer.mount  # type: ignore[attr-defined]
    trail = [
        *connection_trail(state, alias),
        (_("Queues"), f"{mount}queues/"),
        (queue, links.queue_url(mount, alias, queue)),
    ]
    if below:
        trail.append((_("Groups"), links.groups_url(mount, alias, queue)))
    words = shell(
        request,
        page="queues",
        title=title,
        trail=trail,
        state=state,
        alias=alias,
        queue=queue,
    )
    return {**words, "alias": alias, "queue": queue}


def _cells(live: Mapping[str, Patch]) -> Mapping[str, dict[str, Any]]:
    """The cells of rows: by the id of the row, then by their names."""
    found: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for key, patch in live.items():
        row, _mark, name = key.rpartition("~~")
        found[row][name] = patch.html
    return found


def _url(asked: dict[str, str], **changes: Any) -> str:
    values = {**asked, **changes}
    usual = {"show": "all", "sort": "waiting", "q": "", "page": 1}
    kept = {key: value for key, value in values.items() if value != usual[key]}
    return f"?{urlencode(kept)}"


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0


def _preview(row: Any) -> Any:
    if row.data_preview:
        return payload.one_line(row.data_preview)
    return size(row.data_size) if row.data_size else ""
