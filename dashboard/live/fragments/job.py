"""One job: its state, story, attempts, result, log."""

from __future__ import annotations

from collections.abc import Sequence

from ...draw import job_cells, job_panels, states, values
from ...draw import logs as log_marks
from ...draw.markup import element
from ..state import LiveState, Patch, Topic, Viewer
from .base import Patches, cell


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
    patches = {
        "job-state": Patch(
            html=element(
                "span",
                job_cells.chip(states.seen_as(row)),
                id="job-state",
                class_=f"chip chip-{row.state}",
                data_state=row.state,
            )
        ),
        "job-story": Patch(html=job_panels.story_panel(row, state.at)),
        "job-tries": cell("job-tries", job_panels.attempts(row)),
        "job-worker": cell("job-worker", job_panels.worker(row)),
        "job-progress": cell("job-progress", job_cells.progress(row.progress) or values.DASH),
        "job-times": Patch(
            html=element("dl", job_cells.times(row), id="job-times", class_="fact-list")
        ),
        "job-traces-count": Patch(text=str(len(job.stacktrace) or "")),
    }
    if viewer.payload:
        patches["job-error"] = Patch(html=job_panels.error_panel(job))
        patches["job-result"] = Patch(html=job_panels.result_panel(job))
        logs = connection.logs.get(key)
        if logs is not None:
            patches["job-log-note"] = Patch(html=log_marks.note(logs))
            patches |= {id: Patch(html=html) for id, html in log_marks.blocks(logs).items()}
            patches["job-logs-count"] = Patch(text=values.exact(logs.total) if logs.total else "")
    return patches
