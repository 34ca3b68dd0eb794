"""Workers: the fleet by host and process, and one worker."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import access
from queuecore.errors import ServerUnavailable

from .. import crew, links
from ..draw import worker_cells
from ..draw.values import visible
from ..guard import guarded
from ..live.fragments import fragments
from ..live.fragments.base import Patches
from ..live.fragments.workers import seen as seen_id
from ..live.state import Topic, read
from .queue import connection_trail
from .queues import is_named
from .shell import shell, show

_PAGE = 90  # rows; a socket watches a hundred ids at a time


@guarded("GET")
def workers(request: HttpRequest) -> HttpResponse:
    """Show all workers on queues that may be seen, in their processes, on their hosts."""
    seen = request.viewer  # type: ignore[attr-defined]
    topic = Topic("workers")
    state = read(topic)
    text = request.GET.get("q", "").strip()[:200]
    every = crew.members(state, seen)
    found = [one for one in every if _fits(one, text.lower())]
    page = Paginator(found, _PAGE).get_page(request.GET.get("page"))
    keys = [one.key for one in page]
    known = seen_id(every)
    live = fragments(state, topic, seen, [*keys, known])
    rest = crew.others(state, seen)
    context = {
        **shell(request, page="workers", title=_("Workers"), state=state),
        "topic": str(topic),
        "live": live,
        "hosts": _hosts(list(page), live, seen.mount),
        "numbers": page,
        "q": text,
        "total": len(every),
        "seen": known,
        "any": bool(every or rest.found),
        "known": any("workers" in one.extra for one in state.connections.values()),
        "several": len(state.connections) > 1,
        "may_order": access.can(request.user, "manage_workers"),
        "orders": f"{seen.mount}workers/",
    }
    return show(request, "workers/index.html", context)


@guarded("GET")
def worker(request: HttpRequest, worker: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Show one worker."""
    seen = request.viewer  # type: ignore[attr-defined]
    topic = Topic("worker", alias, id=worker)
    state = read(topic)
    connection = state[alias]
    if connection.error and "worker" not in connection.extra:
        raise ServerUnavailable(connection.error, sent=False)
    one = crew.member(state, seen, alias, worker)
    if one is None:
        raise Http404("no such worker: it has ended, or never was")
    queue = one.worker.queue
    trail = [*connection_trail(state, alias), (_("Workers"), f"{seen.mount}workers/")]
    words = shell(
        request,
        page="workers",
        title=f"{queue} {worker_cells.short(worker)}",
        trail=trail,
        state=state,
        alias=alias,
        queue=queue,
    )
    context = {
        **words,
        "topic": str(topic),
        "live": fragments(state, topic, seen, []),
        "queue": queue,
        "queue_url": links.queue_url(seen.mount, alias, queue),
        "short": worker_cells.short(worker),
        "name": one.worker.name,
        "key": one.key,
        "may_order": access.can(request.user, "manage_workers", alias, queue),
        "orders": f"{seen.mount}workers/",
    }
    return show(request, "workers/show.html", context)


def _fits(one: crew.Member, text: str) -> bool:
    process = one.process
    words = (one.worker.queue, one.worker.name, process.host, str(process.pid), one.worker.id)
    return is_named(text, one.alias, *words)


def _hosts(found: Sequence[crew.Member], live: Patches, mount: str) -> list[dict[str, Any]]:
    hosts = []
    for host, of_host in groupby(found, key=lambda one: one.process.host):
        units = []
        # What has no supervisor is a unit of its own.
        for (alias, fleet, _id), group in groupby(of_host, key=_unit):
            own = list(group)
            processes = [
                _process(list(mine), live, mount)
                for _key, mine in groupby(own, key=lambda one: (one.alias, one.process.id))
            ]
            place = own[0].process.place
            units.append(
                {
                    "alias": alias,
                    "key": f"{alias}:{fleet}" if fleet else "",
                    "pid": place.pid if place else 0,
                    "processes": processes,
                    "state": live[links.dom_id("wf", alias, fleet, "state")].html if fleet else "",
                    "facts": live[links.dom_id("wf", alias, fleet, "facts")].html if fleet else "",
                }
            )
        count = sum(len(one["processes"]) for one in units)
        hosts.append({"name": visible(host), "units": units, "count": count})
    return hosts


def _unit(one: crew.Member) -> tuple[str, str, str]:
    return one.alias, one.fleet, "" if one.fleet else one.process.id


def _process(own: Sequence[crew.Member], live: Patches, mount: str) -> dict[str, Any]:
    alias, process = own[0].alias, own[0].process
    return {
        "alias": alias,
        "pid": process.pid,
        "place": process.place,
        "key": f"{alias}:{process.id}",
        "health": live[links.dom_id("wp", alias, process.id, "health")].html,
        "facts": live[links.dom_id("wp", alias, process.id, "facts")].html,
        "rows": [_row(one, live, mount) for one in own],
    }


def _row(one: crew.Member, live: Patches, mount: str) -> dict[str, Any]:
    worker = one.worker
    names = ("state", "busy", "jobs", "done", "failed")
    base = links.connection_url(mount, one.alias)
    return {
        "key": one.key,
        "queue": worker.queue,
        "name": worker.name,
        "short": worker_cells.short(worker.id),
        "url": f"{base}workers/{links.encode(worker.id)}/",
        "cells": {name: live[links.dom_id("w", one.alias, worker.id, name)].html for name in names},
    }
