"""One job: its state, story, attempts, result, log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from queuecore.fleet import Cancellation, Fleet, FleetJob, FleetProcess
from queuecore.inspect import Inspector, JobRow

from ... import health, links
from ...draw import holds, job_cells, job_panels, run_cells, states, values
from ...draw import logs as log_marks
from ...draw.markup import element
from ..sources import Source, register
from ..state import LiveState, Patch, Topic, Viewer
from . import limits
from .base import Patches, cell

#: A run that a worker tells of is this one, if it began so near to what the job says.
_SAME = timedelta(seconds=2)
_Asked = Iterable[tuple[Topic, Sequence[str]]]


def _cancellations(alias: str, asked: _Asked) -> dict[tuple[str, str], Cancellation]:
    return Fleet(alias).cancellations([(topic.queue, topic.id) for topic, _ids in asked])


async def _acancellations(alias: str, asked: _Asked) -> dict[tuple[str, str], Cancellation]:
    return await Fleet(alias).acancellations([(topic.queue, topic.id) for topic, _ids in asked])


# As often as the job itself is read.
register("job", Source(1.0, _cancellations, _acancellations, whole=False))


def _places(alias: str, asked: _Asked) -> dict[tuple[str, str], int | None]:
    inspector = Inspector(alias)
    found = {}
    for topic, _ids in asked:
        (row,) = inspector.rows(topic.queue, [topic.id])
        if row is not None and states.seen_as(row) == states.IN_GROUP:
            place = inspector.place_in_group(topic.queue, row.group, row.id)
            found[topic.queue, row.id] = place
    return found


async def _aplaces(alias: str, asked: _Asked) -> dict[tuple[str, str], int | None]:
    inspector = Inspector(alias)
    found = {}
    for topic, _ids in asked:
        (row,) = await inspector.arows(topic.queue, [topic.id])
        if row is not None and states.seen_as(row) == states.IN_GROUP:
            place = await inspector.aplace_in_group(topic.queue, row.group, row.id)
            found[topic.queue, row.id] = place
    return found


register("job", Source(5.0, _places, _aplaces, whole=False), name="job-place")


def _acts_as(row: JobRow) -> str:
    """The state by which the page's buttons go: a job that is due later in its group is delayed."""
    return "delayed" if states.seen_as(row) == states.IN_GROUP and row.delay_ms else row.state


def run_of(connection: Any, queue: str, row: Any) -> tuple[FleetProcess | None, FleetJob | None]:
    """The present run of a job as its worker tells of it, and that worker's process."""
    crew = connection.crews.get(queue)
    if crew is None or row.state != "active" or row.processed_on is None:
        return None, None
    for process, worker in crew.members:
        for run in worker.jobs if process.health != "lost" else ():
            if run.id == row.id and run.since and abs(run.since - row.processed_on) < _SAME:
                return process, run
    return None, None


def _held(connection: Any, queue: str) -> str:
    """What keeps workers from the queue's jobs; empty where nothing does, or nothing is known."""
    found = health.health(connection, queue)
    return holds.hold(found, limits.limits_of(connection, queue)) if found else ""


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    if topic.alias not in state.connections or not viewer.allows(topic.alias, topic.queue):
        return {}
    connection = state.connections[topic.alias]
    key = (topic.queue, topic.id)
    if key not in connection.jobs:
        return {}
    job = connection.jobs[key]
    if job is None:  # it was removed, or its retention ended
        chip = element(
            "span", job_cells.chip("gone"), id="job-state", class_="chip", data_state="gone"
        )
        return {"job-state": Patch(html=chip), "job-story": Patch(html=job_panels.gone_panel())}
    row = job.row
    process, run = run_of(connection, topic.queue, row)
    wish = (connection.extra.get("job") or {}).get(key)
    patches = {
        "job-state": Patch(
            html=element(
                "span",
                job_cells.chip(states.seen_as(row)),
                id="job-state",
                class_=f"chip chip-{row.state}",
                data_state=_acts_as(row),
            )
        ),
        "job-cancel": Patch(html=run_cells.cancellation(wish, run)),
        "job-run": Patch(html=run_cells.facts(row, state.at, process, run)),
        "job-story": Patch(
            html=job_panels.story_panel(
                row, state.at, run_cells.deadline(row, run), _held(connection, topic.queue)
            )
        ),
        "job-tries": cell("job-tries", job_panels.attempts(row)),
        "job-worker": cell("job-worker", job_panels.worker(row)),
        "job-progress": cell("job-progress", job_cells.progress(row.progress) or values.DASH),
        "job-times": Patch(
            html=element("dl", job_cells.times(row), id="job-times", class_="fact-list")
        ),
        "job-traces-count": Patch(text=str(len(job.stacktrace) or "")),
    }
    if row.group:
        place = (connection.extra.get("job-place") or {}).get(key)
        url = links.group_url(viewer.mount, topic.alias, topic.queue, row.group)
        patches["job-group"] = cell("job-group", job_panels.group(row, url, place))
    if viewer.payload:
        patches["job-error"] = Patch(html=job_panels.error_panel(job))
        patches["job-result"] = Patch(html=job_panels.result_panel(job))
        logs = connection.logs.get(key)
        if logs is not None:
            patches["job-log-note"] = Patch(html=log_marks.note(logs))
            patches |= {id: Patch(html=html) for id, html in log_marks.blocks(logs).items()}
            patches["job-logs-count"] = Patch(text=values.exact(logs.total) if logs.total else "")
    return patches
