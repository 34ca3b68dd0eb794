"""State in, patches out: every live value of every page, made once for a class of viewers.

Pages render their live values from these functions too, so a first render and a later patch never
differ. Fragments hold data only: no form, no button, no token, and times as ``<time datetime>``.
One module a kind of topic. The ids that may be asked for with ``overview`` and ``queue``:
``summary`` (attention and the strip of numbers), ``period:1h`` or ``table:1h`` (the chart),
``<alias>:<queue>`` (a queue's row; with a sparkline if ``sparks``); with ``jobs`` those of the jobs
on screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.utils import translation

from ..state import LiveState, Topic, Viewer
from . import (
    audit,
    groups,
    job,
    jobs,
    operations,
    overview,
    queue,
    schedulers,
    system,
    worker,
    workers,
)
from .base import Patches

__all__ = ["Patches", "fragments"]

_MAKERS: dict[str, Callable[[LiveState, Topic, Viewer, Sequence[str]], Patches]] = {
    "overview": overview.patches,
    "queue": queue.patches,
    "jobs": jobs.patches,
    "job": job.patches,
    "groups": groups.patches,
    "group": groups.one,
    "audit": audit.patches,
    "system": system.patches,
    "schedulers": schedulers.patches,
    "scheduler": schedulers.one,
    "workers": workers.patches,
    "worker": worker.patches,
    "operations": operations.patches,
    "operation": operations.one,
}


def fragments(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str] = ()) -> Patches:
    """Return the patches of *topic* for *viewer*; what is not known is left out."""
    make = _MAKERS.get(topic.kind)
    if make is None:
        return {}
    with translation.override(viewer.language):
        return make(state, topic, viewer, ids)
