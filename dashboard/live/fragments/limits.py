"""Named limits: what a queue's page tells of those that it shares with other queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext as _

from queuecore import Queue
from queuecore.limits import LimitInfo

from ... import health, links
from ...digest import PANELS
from ...draw import limit_cells
from ...draw.values import clipped
from ..sources import Asked, Source, register
from ..state import LiveState, Patch, Topic, Viewer
from .base import Patches

#: What is shown of a queue: its limits, as far as they were read.
KIND = "queue-named"
_PERIOD_S = 2.0


def _wanted(asked: Asked) -> list[str]:
    return sorted({topic.queue for topic, ids in asked if topic.kind == "job" or PANELS in ids})


def _read(alias: str, asked: Asked) -> dict[str, list[LimitInfo]]:
    return {queue: Queue.existing(queue, alias).get_limits() for queue in _wanted(asked)}


async def _aread(alias: str, asked: Asked) -> dict[str, list[LimitInfo]]:
    return {queue: await Queue.existing(queue, alias).aget_limits() for queue in _wanted(asked)}


for kind in ("queue", "job"):
    register(kind, Source(_PERIOD_S, _read, _aread, whole=False), name=KIND)


def limits_of(connection: Any, queue: str) -> Sequence[LimitInfo]:
    """The named limits of a queue."""
    found: Sequence[LimitInfo] = (connection.extra.get(KIND) or {}).get(queue, ())
    return found


def badges(connection: Any, found: health.Health) -> list[health.Badge]:
    """One for each of a queue's limits that keeps its jobs waiting."""
    return [
        health.Badge("warn", "limited", _("Limit %(name)s used up") % {"name": clipped(one.name)})
        for one in limits_of(connection, found.name)
        if found.waiting and (one.maxed or one.limited)
    ]


def panel(state: LiveState, topic: Topic, viewer: Viewer) -> Patches:
    """What the page of a queue shows of its named limits."""
    connection = state[topic.alias]
    if topic.queue not in (connection.extra.get(KIND) or {}):
        return {}

    def url(queue: str) -> str | None:
        if not viewer.allows(topic.alias, queue):
            return None
        return links.queue_url(viewer.mount, topic.alias, queue)

    found = limits_of(connection, topic.queue)
    return {"queue-named": Patch(html=limit_cells.panel(found, state.at, url))}
