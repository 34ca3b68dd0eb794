"""Queue: one queue's facts, states, throughput, limits, workers and maintenance."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore.conf import get_settings as core_settings
from queuecore.errors import ServerUnavailable

from .. import cookies, health, links, tempo
from ..digest import PANELS
from ..draw import queue_cells
from ..draw.markup import element
from ..draw.states import STATES
from ..draw.values import visible
from ..guard import guarded, mount
from ..live.fragments import fragments
from ..live.fragments.limits import limits_of
from ..live.state import LiveState, Patch, Topic, read
from .periods import Period, asked_for, period_of
from .shell import shell, show

_PANELS = (
    *("queue-errors", "queue-names", "queue-names-of", "queue-schedulers", "queue-kept"),
    *("tempo-note", "wait-chart", "run-chart", "wait-figures", "run-figures"),
    *("wait-note", "run-note", "queue-groups", "queue-named"),
)


@guarded("GET")
def queue(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Show one queue."""
    seen = request.viewer  # type: ignore[attr-defined]
    topic = Topic("queue", alias, queue)
    state = read(topic, [PANELS, *asked_for(request)])
    found = judged(state, alias, queue)
    period = period_of(request, state)
    live = fragments(state, topic, seen, [PANELS, *period.ids])
    for id in _PANELS:  # what could not be read comes later, into its place
        live.setdefault(id, Patch(html=element("div", id=id)))
    words = shell(
        request,
        page="queues",
        title=queue,
        trail=[*connection_trail(state, alias), (_("Queues"), f"{seen.mount}queues/")],
        state=state,
        alias=alias,
        queue=queue,
    )
    url = links.queue_url(seen.mount, alias, queue)
    context = {
        **words,
        "topic": str(topic),
        "at": f"@{alias} " if len(state.connections) > 1 else "",
        "base": links.connection_url(seen.mount, alias),
        "live": live,
        "period": period,
        "job_names": _job_names(state, alias, queue, period),
        "alias": alias,
        "queue": queue,
        "paused": found.snapshot.paused,
        "cards": [
            {
                "state": name,
                "url": links.jobs_url(seen.mount, alias, queue, name),
                "number": live[f"card-{name}"].html,
                "note": live[f"card-{name}-note"].html,
            }
            for name in STATES
        ],
        "url": url,
        "jobs_url": links.jobs_url(seen.mount, alias, queue),
        "info": queue_cells.info(found, core_settings().connection(alias).prefix),
        "pin_value": f"{links.encode(alias)}!{links.encode(queue)}",
        "named_limits": [
            (visible(one.name), f"{url}confirm/limits/{links.encode(one.name)}/")
            for one in limits_of(state.connections[alias], queue)
        ],
        "sees_audit": seen.audit,
        "is_pinned": (alias, queue) in cookies.pins(request),
    }
    return show(request, "queues/show.html", context)


def _job_names(state: LiveState, alias: str, queue: str, period: Period) -> list[str]:
    """The names of jobs that the charts of times may be about."""
    found = (state.connections[alias].extra.get("tempo") or {}).get(queue)
    names = set(tempo.by_name(found.last(period.key))) if found else set()
    return sorted((names | {period.job}) - {""})


def judged(state: LiveState, alias: str, queue: str) -> health.Health:
    """Return the queue's health, or say what is wrong with asking for it.

    Raises:
        Http404: there is no such queue.
        ServerUnavailable: the connection is away, and nothing is known.
    """
    connection = state.connections.get(alias)
    if connection is None:
        raise Http404("no such connection")
    if connection.error and queue not in connection.queues:
        raise ServerUnavailable(connection.error, sent=False)
    found = health.health(connection, queue)
    if found is None or not (health.exists(found.snapshot) or found.workers):
        raise Http404("no such queue")
    return found


def queues_of(alias: str) -> str:
    """Return where the queues of one connection are listed."""
    return f"{mount()}queues/?{urlencode({'q': f'@{alias}'})}"


def connection_trail(state: LiveState, alias: str) -> list[tuple[str, str]]:
    """Return the breadcrumb's first part: the connection, where there are several."""
    return [(alias, queues_of(alias))] if len(state.connections) > 1 else []
