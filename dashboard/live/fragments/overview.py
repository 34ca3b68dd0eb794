"""Overview and Queues: attention, the strip of numbers, the chart, rows of queues, pins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language, ngettext

from ... import health, links, notices
from ...draw import attention, kpis, queue_cells, values
from ...draw.markup import element
from ..series import add, last_hour, shown_names, spark, throughput, total
from ..sources import Source, register
from ..state import LiveState, Patch, Topic, Viewer
from . import operations
from .base import Patches, cell

_MOST_ATTENTION = 10

register(
    "overview",
    Source(notices.MUTES_S, notices.look, notices.alook, whole=False),
    name="notices",
)


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    wanted = set(ids)
    whole, sparks = "summary" in wanted, "sparks" in wanted
    patches: Patches = {}
    shown = [
        (alias, name)
        for alias, connection in state.connections.items()
        for name in connection.queues
        if viewer.allows(alias, name)
    ]
    patches["rail-queues"] = Patch(text=values.exact(len(shown)))  # the shell counts, too
    queues = health.all_health(
        state, lambda a, q: viewer.allows(a, q) and (whole or f"{a}:{q}" in wanted)
    )
    if whole:
        patches |= _summary(state, viewer, queues)
    names = shown_names(state, viewer, shown)
    patches |= operations.running(state, viewer, panel=whole)
    patches |= throughput(ids, lambda *ask: total(state, names, *ask), state)
    for queue in queues:
        if f"{queue.alias}:{queue.name}" in wanted:
            patches |= _queue_row(state, queue, sparks)
    return patches


def _summary(state: LiveState, viewer: Viewer, queues: list[health.Health]) -> Patches:
    # The server belongs to nobody's queue: it is spoken of to those who see every queue.
    whole = state.connections if viewer.scope.patterns is None else ()
    items = health.needs_attention(state, queues, whole, viewer.allows)
    sparks = {
        (item.alias, item.queue): spark(
            state.connections[item.alias].history,
            "failed" if item.kind in ("failing", "new-error") else "waiting",
            item.queue,
        )
        for item in items[:_MOST_ATTENTION]
        if item.queue
    }
    failed = {(queue.alias, queue.name): queue.counts.get("failed", 0) for queue in queues}
    names = shown_names(state, viewer, [(queue.alias, queue.name) for queue in queues])
    recent, before = last_hour(state, names)
    patches = {
        f"kpi-{name}": Patch(html=element("div", cell, id=f"kpi-{name}", class_="kpi"))
        for name, cell in kpis.strip(queues, recent, before).items()
    }
    patches["attention"] = Patch(
        html=attention.rows(items, _MOST_ATTENTION, failed, sparks, viewer.mount)
    )
    folded = health.muted(queues)
    words = ngettext("%(count)s muted", "%(count)s muted", len(folded)) % {"count": len(folded)}
    patches["muted-count"] = Patch(text=words if folded else "")
    patches["muted"] = Patch(html=attention.muted(folded, viewer.mount))
    patches["attention-count"] = Patch(text=str(len(items)) if items else "")
    crews = [queue.workers for queue in queues if queue.workers is not None]
    head = ngettext("%(count)s queue", "%(count)s queues", len(queues)) % {
        "count": values.exact(len(queues))
    }
    if crews:
        count = sum(sum(crew.values()) for crew in crews)
        words = ngettext("%(count)s worker", "%(count)s workers", count)
        head += " · " + words % {"count": values.exact(count)}
    patches["overview-head"] = Patch(text=head)
    for state_name in (*health.SHOWN,):
        total = sum(queue.counts.get(state_name, 0) for queue in queues)
        patches[f"total-{state_name}"] = cell(f"total-{state_name}", values.number(total))
    return patches


def _queue_row(state: LiveState, queue: health.Health, sparks: bool) -> Patches:
    history = state.connections[queue.alias].history
    points = None
    if sparks:
        ended = (spark(history, metric, queue.name) for metric in ("done_rate", "failed_rate"))
        points = [add(done, bad) for done, bad in zip(*ended, strict=True)]
    # Drawn again only if what is known of the queue differs; when that was read shows in no cell.
    read = replace(queue.snapshot, at=_ANY, event_id="")
    drawn_of = (replace(queue, snapshot=read), points)
    key = (get_language(), get_current_timezone_name(), queue.alias, queue.name, sparks)
    known = _rows.get(key)
    if known is None or known[0] != drawn_of:
        if len(_rows) >= _ROWS:
            _rows.clear()
        known = _rows[key] = (drawn_of, _draw_row(queue, points))
    return known[1]


_ANY = datetime(1970, 1, 1, tzinfo=UTC)
#: What each row was drawn of, and its patches; most queues do not change from second to second.
_ROWS = 10_000
_rows: dict[tuple[str | None, str, str, str, bool], tuple[tuple[Any, Any], Patches]] = {}


def _draw_row(queue: health.Health, points: list[float | None] | None) -> Patches:
    patches = {}
    for name, body in queue_cells.cells(queue, points).items():
        id = links.dom_id("q", queue.alias, queue.name, name)
        patches[id] = cell(id, body)
    pin = links.dom_id("pin", queue.alias, queue.name)
    patches[pin] = cell(pin, values.number(queue.waiting))
    marked = links.dom_id("pin", queue.alias, queue.name, "mark")
    patches[marked] = cell(marked, queue_cells.mark(queue))
    return patches
