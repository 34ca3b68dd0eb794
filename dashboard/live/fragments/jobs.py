"""A list of jobs: the counts of its tabs, the rows on screen, how many are new."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from queuecore.inspect import JobRow

from ... import links
from ...draw import job_cells, minichart, states, values
from ..state import COUNTED_FROM, LiveState, Patch, Topic, Viewer
from .base import Patches, cell


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    if topic.alias not in state.connections or not viewer.allows(topic.alias, topic.queue):
        return {}
    connection = state.connections[topic.alias]
    patches: Patches = {}
    snapshot = connection.queues.get(topic.queue)
    if snapshot is not None:
        for name in states.STATES:
            count = values.number(snapshot.counts.get(name, 0))
            patches[f"tab-{name}"] = cell(f"tab-{name}", count)
    for job_id in ids:
        if (topic.queue, job_id) not in connection.rows:
            continue
        row = connection.rows[topic.queue, job_id]
        known = get_language(), get_current_timezone_name()
        patches |= _row(row, job_id, topic.state, viewer.payload, *known)
    ahead = (connection.newer.get((topic.queue, topic.state, id)) for id in ids[:COUNTED_FROM])
    newer = next((count for count in ahead if count is not None), 0)
    words = _("+%(count)s new") % {"count": "999+" if newer > 999 else newer} if newer > 0 else ""
    patches["jobs-newer"] = Patch(text=words)
    if topic.state in ("completed", "failed"):
        metric = "done_rate" if topic.state == "completed" else "failed_rate"
        series = connection.history.series(metric, queue=topic.queue, seconds=3_600, step=60)
        times = connection.history.times(3_600, 60)
        patches["jobs-chart"] = Patch(html=minichart.minichart(series, times, topic.state))
    return patches


@lru_cache(maxsize=2_000)
def _row(
    row: JobRow | None, job_id: str, state: str, payload: bool, language: str | None, zone: str
) -> Patches:
    """The cells of a job's row, drawn once while nothing of it changes; the last two are active."""
    cells = job_cells.gone(state) if row is None else job_cells.cells(row, state, payload=payload)
    ids = {name: links.dom_id("j", job_id, name) for name in cells}
    return {ids[name]: cell(ids[name], body) for name, body in cells.items()}
