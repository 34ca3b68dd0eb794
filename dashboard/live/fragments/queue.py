"""One queue: its facts, states, limits, chart, workers, and what its newest jobs say.

With the id ``panels`` the digest of its newest jobs is read, which other pages do not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from queuecore.fleet import peers_of

from ... import digest, health, links
from ...draw import queue_cells, queue_panels, states, values
from ...draw.icons import icon
from ...draw.markup import element, join, phrase
from ..series import backlog, throughput
from ..sources import Source, register
from ..state import LiveState, Patch, Topic, Viewer
from . import groups, limits, tempo
from .base import Patches, cell

register("queue", Source(10.0, digest.look, digest.alook, whole=False))


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    if topic.alias not in state.connections or not viewer.allows(topic.alias, topic.queue):
        return {}
    connection = state.connections[topic.alias]
    found = health.health(connection, topic.queue)
    if found is None:
        return {}
    patches = {
        "queue-gone": _gone(found, connection),
        "queue-badges": cell(
            "queue-badges", queue_cells.badges((*found.badges, *limits.badges(connection, found)))
        ),
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

    def series(metric: str, seconds: int, step: int) -> list[float | None]:
        found: list[float | None] = connection.history.series(
            metric, queue=topic.queue, seconds=seconds, step=step
        )
        return found

    patches |= throughput(ids, series, state)
    patches |= backlog(ids, series, state)
    patches |= groups.panel(connection, topic.queue, viewer.mount)
    patches |= limits.panel(state, topic, viewer)
    if digest.PANELS in ids:
        patches |= _panels(state, topic, viewer)
        patches |= tempo.patches(state, topic, viewer, ids)
    return patches


def _panels(state: LiveState, topic: Topic, viewer: Viewer) -> Patches:
    connection, mount = state.connections[topic.alias], viewer.mount
    crew = connection.crews.get(topic.queue)
    others = peers_of(connection.workers, connection.ours)
    if others is not None:
        others = [worker for worker in others if worker.queue == topic.queue]
    members = crew.members if crew else []
    patches = {
        "queue-workers": Patch(
            html=queue_panels.workers(members, others, state.at, mount, topic.alias)
        )
    }
    found = (connection.extra.get("queue") or {}).get(topic.queue)
    if found is None:
        return patches
    jobs = links.jobs_url(mount, topic.alias, topic.queue)
    patches |= {
        "queue-errors": Patch(
            html=queue_panels.errors(found, (), jobs, viewer.payload, state.at, others=True)
        ),
        "queue-errors-of": Patch(text=queue_panels.looked_at(found)),
        "queue-names": Patch(html=queue_panels.names(found, jobs)),
        "queue-names-of": cell("queue-names-of", queue_panels.names_since(found)),
        "queue-schedulers": Patch(
            html=queue_panels.schedulers(found, mount, topic.alias, topic.queue)
        ),
        "queue-kept": Patch(
            html=element("dl", queue_panels.kept(found), id="queue-kept", class_="fact-list")
        ),
    }
    return patches


def _gone(found: health.Health, connection: Any) -> Patch:
    """What is said on top once the queue is gone while its page is open."""
    gone = not connection.error and not health.exists(found.snapshot) and not found.workers
    if not gone:
        return Patch(html=element("div", id="queue-gone", data_gone="no", hidden=True))
    words = _("This queue is gone: it was obliterated, or its keys were deleted.")
    hint = _("It is there again as soon as a job is added. Until then nothing can be shown of it.")
    return Patch(
        html=element(
            "div",
            icon("warning"),
            element("p", element("b", words), " ", hint),
            id="queue-gone",
            class_="notice",
            data_gone="yes",
        )
    )


def _note(queue: health.Health, connection: Any, name: str) -> Any:
    """The muted line of a state card: what makes its number mean something."""
    if name == "active" and queue.slots:
        return _("of %(count)s") % {"count": values.exact(queue.slots)}
    if name == "delayed" and queue.snapshot.next_delayed and queue.counts.get("delayed"):
        return phrase(
            _("next in %(time)s"), time=values.moment(queue.snapshot.next_delayed, "until")
        )
    if name == "waiting-children" and queue.counts.get(name):
        return groups.count_words(connection, queue.name)
    if name in ("completed", "failed"):
        metric = "done_rate" if name == "completed" else "failed_rate"
        recent = connection.history.series(metric, queue=queue.name, seconds=900, step=60)[-5:]
        known = [value for value in recent if value is not None]
        if known and sum(known):
            return join([f"+{values.exact(sum(known) / len(known))}", element("u", _("/min"))])
    if name == "waiting" and queue.rate_in is not None and queue.rate_out is not None:
        change = round(queue.rate_in - queue.rate_out)
        if change:
            return join([values.figures(f"{change:+,}").replace("-", "−"), element("u", _("/min"))])
    return ""
