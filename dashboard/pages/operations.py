"""Operations: what runs on many jobs now and what has, and one of them with its failures."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.db.models import Case, IntegerField, Value, When
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import access, audit_log
from queuecore.errors import InvalidOption
from queuecore.inspect import aliases
from queuecore.models import Operation

from .. import links
from ..actions.base import answer
from ..actions.operations import find, permissions_of
from ..draw import audit_cells, operation_cells
from ..draw.filter_words import explained
from ..draw.values import exact
from ..guard import guarded
from ..live.fragments import Patches, fragments
from ..live.fragments.operations import number_of
from ..live.state import Topic, Viewer, read
from ..plans.operations import Order, operation_plan, rates
from .shell import shell, show

PAGE = 50
#: Rows that are looked through for a page, in a scope that hides most of them.
_DEEP = 1_000
#: Actions whose failures can be tried again one by one, and where.
_CELLS = ("status", "bar", "share", "done", "failed", "rate", "time")
_AGAIN = {"retry": "bulk/retry/", "promote": "bulk/promote/", "remove": "bulk/remove/"}


@guarded("GET")
def operations(request: HttpRequest) -> HttpResponse:
    """Show what runs first, then what has run, the newest first."""
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    before = number_of(request.GET.get("before", ""))
    found = _page(seen, before)
    rows, more = found[:PAGE], len(found) > PAGE
    over = [one.pk for one in rows if one.ended_at]
    ids = [str(one.pk) for one in rows]
    if before is None:
        ids.append(f"newer:{max((one.pk for one in rows), default=0)}")
    topic = Topic("operations")
    state = read(topic, ids)
    live = fragments(state, topic, seen, ids)
    rows = [one for one in rows if f"op-{one.pk}-status" in live]  # one may be gone just now
    running = sum(one.ended_at is None for one in rows)
    counted = (str(running), "rail-operations")
    context = {
        **shell(request, page="operations", title=_("Operations"), state=state, counted=counted),
        "topic": str(topic),
        "live": live,
        "newer": ids[-1] if before is None else "",
        "rows": [_row(one, seen, live) for one in rows],
        "running": running,
        "before": before,
        "next": min(over) if more and over else None,
        "several": len(aliases()) > 1,
    }
    return show(request, "operations/index.html", context)


@guarded("GET")
def operation(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one operation: how far it is, what it could not do, and what can be done about it."""
    found = find(request, pk)
    seen: Viewer = request.viewer  # type: ignore[attr-defined]
    topic = Topic("operation", id=str(pk))
    state = read(topic)
    url = links.queue_url(seen.mount, found.connection, found.queue)
    may = all(
        access.can(request.user, one, found.connection, found.queue)
        for one in permissions_of(found)
    )
    shut = not seen.payload and operation_cells.reveals(found)
    query = {"state": found.state} | ({"q": found.query} if found.query else {})
    context = {
        **shell(
            request,
            page="operations",
            title=operation_cells.word(found.action, found.state),
            trail=[(_("Operations"), f"{seen.mount}operations/")],
            state=state,
        ),
        "topic": str(topic),
        "live": fragments(state, topic, seen),
        "operation": found,
        "icon": operation_cells.ICONS.get(found.action, "play"),
        "filter": operation_cells.filter_words(found, seen.payload),
        "filter_url": "" if shut else f"{url}jobs/?{urlencode(query)}",
        "queue_url": url,
        "bound": operation_cells.at_ms(found.bound),
        "planned": exact(found.planned),
        "options": operation_cells.options(found),
        "failures": [
            {
                "id": job_id,
                "url": links.job_url(seen.mount, found.connection, found.queue, job_id),
                "why": operation_cells.why(code),
            }
            for job_id, code in found.failures
        ],
        "again_url": f"{url}{_AGAIN[found.action]}" if found.action in _AGAIN and may else "",
        "steer": f"{links.operation_url(seen.mount, pk)}" if may else "",
        "rates": rates(),
        "anew_url": _anew(found, seen) if may else "",
        "audit_url": f"{seen.mount}audit/{found.record}/" if seen.audit else "",
        "history": _history(found, seen) if seen.audit else None,
    }
    return show(request, "operations/show.html", context)


@guarded("GET")
def confirm(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask whether to start an operation: ``?action=retry&state=failed&q=name:send-*``."""
    try:
        order = Order.parse(request.GET)
    except InvalidOption as error:
        seen: Viewer = request.viewer  # type: ignore[attr-defined]
        back = links.jobs_url(seen.mount, alias, queue)
        return answer(request, "error", explained(error), back)
    return operation_plan(request, alias, queue, order)


def _page(seen: Viewer, before: int | None) -> list[Operation]:
    """One page and one more: on the first, what is not over comes first."""
    found = Operation.objects.defer("failures")
    if before is not None:
        found = found.filter(pk__lt=before).exclude(ended_at=None)
    over = Case(When(ended_at=None, then=Value(0)), default=Value(1), output_field=IntegerField())
    rows = found.order_by(over, "-pk")[:_DEEP]
    return [one for one in rows if seen.allows(one.connection, one.queue)][: PAGE + 1]


def _history(one: Operation, seen: Viewer) -> list[dict[str, Any]]:
    """How it was steered: paused, resumed, aborted, slowed down."""
    found = audit_log.entries(one.connection, one.queue, str(one.pk), limit=100)
    mine = [action for action in found if action.action.endswith("_operation")]  # no job of that id
    return audit_cells.history(mine[:20], seen.mount)


def _anew(one: Operation, seen: Viewer) -> str:
    """Where the same operation is asked for again; empty if what it did is not known any more."""
    try:
        return Order.of(one).url(seen.mount, one.connection, one.queue)
    except InvalidOption:
        return ""


def _row(one: Operation, seen: Viewer, live: Patches) -> dict[str, Any]:
    return {
        "id": one.pk,
        "url": links.operation_url(seen.mount, one.pk),
        "word": operation_cells.word(one.action, one.state),
        "icon": operation_cells.ICONS.get(one.action, "play"),
        "queue": one.queue,
        "queue_url": links.queue_url(seen.mount, one.connection, one.queue),
        "alias": one.connection,
        "filter": operation_cells.filter_words(one, seen.payload),
        "who": one.actor,
        "reason": one.reason,
        "planned": exact(one.planned),
        "at": one.created_at,
        "cells": {name: live[f"op-{one.pk}-{name}"].html for name in _CELLS},
    }
