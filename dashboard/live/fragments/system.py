"""The System page: a server's figures, what is wrong with it, its slow calls, queues' memory."""

from __future__ import annotations

from collections.abc import Sequence

from queuecore.vitals import Vitals, avitals, vitals

from ...draw import system_cells as draw
from ...draw.markup import element
from ..sources import Asked, Source, register
from ..state import LiveState, Patch, Topic, Viewer, facts_of
from .base import Patches

PERIOD_S = 5.0


def read(alias: str, asked: Asked) -> Vitals:
    """Look at the server."""
    return vitals(alias, facts_of(alias).names)


async def aread(alias: str, asked: Asked) -> Vitals:
    """See :func:`read`."""
    return await avitals(alias, facts_of(alias).names)


register("system", Source(PERIOD_S, read, aread))


def patches(state: LiveState, topic: Topic, viewer: Viewer, ids: Sequence[str]) -> Patches:
    if topic.alias not in state.connections or viewer.scope.patterns is not None:
        return {}
    from ..hub import sockets_open
    from ..outbox import COUNTS

    connection = state.connections[topic.alias]
    found: Vitals | None = connection.extra.get("system")
    if found is None:
        return {}
    latest = connection.history.latest_at
    at = connection.read_at
    lag_s = (at - latest).total_seconds() if at and latest else None
    made = {
        f"sys-{name}": Patch(html=element("div", body, id=f"sys-{name}", class_="kpi"))
        for name, body in draw.strip(found).items()
    }
    made["sys-look"] = Patch(html=draw.judgements(draw.judge(found, lag_s)))
    made["sys-slow"] = Patch(html=draw.slow(found.slow))
    made["sys-queues"] = Patch(html=draw.queues(found, list(connection.queues), viewer.mount))
    for name, body in {
        "store": draw.persistence(found),
        "room": draw.memory(found),
        "copies": draw.replication(found),
        "space": draw.keyspace(found),
        "collector": draw.collector(found, latest, lag_s),
        "process": draw.process(sockets_open(), dict(COUNTS)),
    }.items():
        id = f"sys-{name}"
        made[id] = Patch(html=element("dl", body, id=id, class_="fact-list"))
    return made
