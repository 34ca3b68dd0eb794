"""Overview: what needs attention first, then how everything does."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from .. import health, links
from ..guard import guarded
from ..live.fragments import fragments
from ..live.state import Topic, read
from ..rates import age
from .periods import period_of
from .shell import shell, show

_ROWS = 10


@guarded("GET")
def overview(request: HttpRequest) -> HttpResponse:
    """Show every queue the viewer may see, the ten that need it most as rows."""
    seen = request.viewer  # type: ignore[attr-defined]
    topic = Topic("overview")
    state = read(topic)
    queues = sorted(health.all_health(state, seen.allows), key=lambda queue: queue.rank)
    period = period_of(request, state)
    ids = ["summary", "sparks", period.id, *(f"{q.alias}:{q.name}" for q in queues[:_ROWS])]
    live = fragments(state, topic, seen, ids)
    context = {
        **shell(request, page="overview", title=_("Overview"), state=state),
        "topic": str(topic),
        "live": live,
        "period": period,
        "several": len(state.connections) > 1,
        "old_enough": any(age(one.history) > 3_600 for one in state.connections.values()),
        "rows": [row(queue, live, seen.mount) for queue in queues[:_ROWS]],
        "total": len(queues),
    }
    return show(request, "overview.html", context)


def row(queue: health.Health, live: dict, mount: str) -> dict[str, object]:  # type: ignore[type-arg]
    """Return what a template needs for one queue's row: its cells are the live fragments."""
    prefix = links.dom_id("q", queue.alias, queue.name, "")
    return {
        "id": f"{queue.alias}:{queue.name}",
        "alias": queue.alias,
        "name": queue.name,
        "paused": queue.snapshot.paused,
        "url": links.queue_url(mount, queue.alias, queue.name),
        "jobs": links.jobs_url(mount, queue.alias, queue.name),
        "cells": {
            key.removeprefix(prefix): patch.html
            for key, patch in live.items()
            if key.startswith(prefix)
        },
    }
