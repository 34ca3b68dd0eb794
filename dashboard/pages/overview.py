"""Overview: what needs attention first, then how everything does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from .. import health, links
from ..guard import guarded
from ..health import Health
from ..live.fragments import fragments
from ..live.state import Patch, Topic, read
from ..rates import age
from .periods import asked_for, period_of
from .shell import shell, show

_ROWS = 10


@guarded("GET")
def overview(request: HttpRequest) -> HttpResponse:
    """Show every queue the viewer may see, the ten that need it most as rows."""
    seen = request.viewer  # type: ignore[attr-defined]
    topic = Topic("overview")
    state = read(topic, asked_for(request))
    queues = sorted(health.all_health(state, seen.allows), key=lambda queue: queue.rank)
    period = period_of(request, state)
    ids = ["summary", "sparks", period.id, *(f"{q.alias}:{q.name}" for q in queues[:_ROWS])]
    live = fragments(state, topic, seen, ids)
    counted = (live["attention-count"].text or "", "attention-count")
    context = {
        **shell(request, page="overview", title=_("Overview"), state=state, counted=counted),
        "topic": str(topic),
        "live": live,
        "period": period,
        "several": len(state.connections) > 1,
        "old_enough": any(age(one.history) > 3_600 for one in state.connections.values()),
        "rows": rows(queues[:_ROWS], live, seen.mount),
        "total": len(queues),
    }
    return show(request, "overview.html", context)


def rows(
    queues: Iterable[Health], live: Mapping[str, Patch], mount: str
) -> list[dict[str, object]]:
    """Return what a template needs for the queues' rows: their cells are the live fragments."""
    cells: defaultdict[str, dict[str, str | None]] = defaultdict(dict)
    for id, patch in live.items():
        row, _mark, name = id.rpartition("~~")
        cells[row][name] = patch.html
    return [
        {
            "id": f"{queue.alias}:{queue.name}",
            "alias": queue.alias,
            "name": queue.name,
            "paused": queue.snapshot.paused,
            "url": links.queue_url(mount, queue.alias, queue.name),
            "jobs": links.jobs_url(mount, queue.alias, queue.name),
            "cells": cells[links.dom_id("q", queue.alias, queue.name)],
        }
        for queue in queues
    ]
