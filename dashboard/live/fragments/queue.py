"""One queue: its facts, states, limits, chart and workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from ... import health
from ...draw import job_panels, queue_cells, states, values
from ...draw.markup import element, join, phrase
from ..series import throughput
from ..state import LiveState, Patch, Topic, Viewer
from .base import Patches, cell


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    if topic.alias not in state.connections or not viewer.allows(topic.alias, topic.queue):
        return {}
    connection = state.connections[topic.alias]
    found = health.health(connection, topic.queue)
    if found is None:
        return {}
    patches = {
        "queue-badges": cell("queue-badges", queue_cells.badges(found.badges)),
        "queue-facts": Patch(
            html=element("dl", queue_cells.facts(found), id="queue-facts", class_="facts")
        ),
        "queue-limits": Patch(
            html=element("div", queue_cells.limits(found), id="queue-limits", class_="limits")
        ),
        "queue-pause-note": Patch(html=queue_cells.pause_note(found)),
        "queue-limited": Patch(
            html=element(
                "span",
                id="queue-limited",
                hidden=True,
                data_limited="yes" if found.snapshot.limiter_ttl_ms > 0 else "no",
            )
        ),
    }
    for name in states.STATES:
        count = found.counts.get(name, 0)
        body: Any = values.number(count)
        if name == "failed" and found.failing:
            body = element("span", body, class_="bad")
        patches[f"card-{name}"] = cell(f"card-{name}", body)
        patches[f"card-{name}-note"] = cell(f"card-{name}-note", _note(found, connection, name))
    patches |= throughput(
        ids,
        lambda metric, seconds, step: connection.history.series(
            metric, queue=topic.queue, seconds=seconds, step=step
        ),
        state,
    )
    if connection.workers is not None:
        rows = [worker for worker in connection.workers if worker.queue == topic.queue]
        patches["queue-workers"] = Patch(html=job_panels.workers(rows, state.at))
    return patches


def _note(queue: health.Health, connection: Any, name: str) -> Any:
    """The muted line of a state card: what makes its number mean something."""
    if name == "active" and queue.slots:
        return _("of %(count)s") % {"count": values.exact(queue.slots)}
    if name == "delayed" and queue.snapshot.next_delayed and queue.counts.get("delayed"):
        return phrase(
            _("next in %(time)s"), time=values.moment(queue.snapshot.next_delayed, "until")
        )
    if name in ("completed", "failed"):
        metric = "done_rate" if name == "completed" else "failed_rate"
        recent = connection.history.series(metric, queue=queue.name, seconds=900, step=60)[-5:]
        known = [value for value in recent if value is not None]
        if known and sum(known):
            return join([f"+{values.exact(sum(known) / len(known))}", element("u", "/min")])
    if name == "waiting" and queue.rate_in is not None and queue.rate_out is not None:
        change = round(queue.rate_in - queue.rate_out)
        if change:
            return join([values.figures(f"{change:+,}").replace("-", "−"), element("u", "/min")])
    return ""
