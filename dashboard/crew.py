"""The fleet as somebody may see it: workers of queues in scope, other peers, lost jobs.

A process shows only those of its workers that the viewer may see, and none at all if there is none.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from queuecore.fleet import (
    Fleet,
    FleetProcess,
    FleetReading,
    FleetWorker,
    LostJob,
    WorkerInfo,
    connections_of,
    peers_of,
)

from .live.state import LiveState, Topic, Viewer, facts_of

#: Connections of ours are told from those of peers by the ids that their processes name; so long
#: after a process has ended the server may still list them, in an answer that is kept for a while.
_REMEMBER_S = 30.0
#: Queues whose active jobs are looked at for their locks.
_MOST_QUEUES = 500


@dataclass(frozen=True, slots=True)
class Member:
    """One worker of ours in its process. ``key`` names it among all connections."""

    alias: str
    process: FleetProcess
    worker: FleetWorker

    @property
    def key(self) -> str:
        return f"{self.alias}:{self.worker.id}"


@dataclass(frozen=True, slots=True)
class Look:
    """What was read of a connection's fleet; ``ours``: connections known to be of our workers."""

    fleet: FleetReading
    ours: Collection[int]


@dataclass(frozen=True, slots=True)
class Others:
    """Workers that do not tell of themselves, as the servers list them by their connections.

    ``unknown``: connections whose server does not answer, or does not let us list its clients.
    """

    found: Sequence[tuple[str, WorkerInfo]]
    unknown: Sequence[str] = field(default_factory=list)


def look(alias: str, asked: Iterable[tuple[Topic, Sequence[str]]]) -> Look:
    """Read the fleet of *alias*."""
    return _seen(alias, Fleet(alias).look(_queues(alias), _wanted(asked)))


async def alook(alias: str, asked: Iterable[tuple[Topic, Sequence[str]]]) -> Look:
    """See :func:`look`."""
    return _seen(alias, await Fleet(alias).alook(_queues(alias), _wanted(asked)))


def members(state: LiveState, viewer: Viewer, kind: str = "workers") -> list[Member]:
    """Every worker of ours that may be seen, by host, process and queue."""
    found = [
        Member(alias, process, worker)
        for alias, seen in _looks(state, kind)
        for process in seen.fleet.processes
        for worker in process.workers
        if viewer.allows(alias, worker.queue)
    ]
    return sorted(found, key=_order)


def member(state: LiveState, viewer: Viewer, alias: str, id: str) -> Member | None:
    """One worker by its id, if it is there and may be seen."""
    every = members(state, viewer, "worker")
    return next((one for one in every if (one.alias, one.worker.id) == (alias, id)), None)


def others(state: LiveState, viewer: Viewer) -> Others:
    """Workers of Node and of other libraries on queues that may be seen."""
    looks = dict(_looks(state, "workers"))
    found, unknown = [], []
    for alias, connection in state.connections.items():
        seen, listed = looks.get(alias), connection.workers
        if seen is None or listed is None:
            unknown.append(alias)
            continue
        for one in peers_of(listed, seen.ours) or ():
            if viewer.allows(alias, one.queue):
                found.append((alias, one))
    found.sort(key=lambda pair: (pair[1].queue, pair[0], pair[1].name, -pair[1].age_s))
    return Others(found, unknown)


def lost_jobs(state: LiveState, viewer: Viewer) -> list[tuple[str, LostJob]]:
    """Jobs whose worker died, or let them go, in queues that may be seen."""
    return [
        (alias, one)
        for alias, seen in _looks(state, "workers")
        for one in seen.fleet.lost_jobs
        if viewer.allows(alias, one.queue)
    ]


def _looks(state: LiveState, kind: str) -> list[tuple[str, Look]]:
    found = []
    for alias, connection in state.connections.items():
        value = connection.extra.get(kind)
        if isinstance(value, Look):
            found.append((alias, value))
    return found


def _order(one: Member) -> Any:
    process = one.process
    return (process.host, process.pid, process.id, one.alias, one.worker.queue, one.worker.id)


def _queues(alias: str) -> list[str]:
    return facts_of(alias).names[:_MOST_QUEUES]


def _wanted(asked: Iterable[tuple[Topic, Sequence[str]]]) -> list[str]:
    return [topic.id for topic, _ in asked if topic.kind == "worker"]


_known: dict[str, dict[int, float]] = {}


def _seen(alias: str, reading: FleetReading) -> Look:
    now = time.monotonic()
    known = _known.setdefault(alias, {})
    known |= dict.fromkeys(connections_of(reading.processes), now + _REMEMBER_S)
    for id in [id for id, until in list(known.items()) if until < now]:
        known.pop(id, None)
    return Look(reading, frozenset(known))
