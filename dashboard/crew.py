"""The fleet as somebody may see it: workers of queues in scope, other peers, lost jobs.

A process shows only those of its workers that the viewer may see, and none at all if there is none.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from queuecore.fleet import (
    Fleet,
    FleetProcess,
    FleetReading,
    FleetSupervisor,
    FleetWorker,
    LostJob,
    PeerJob,
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

    @property
    def fleet(self) -> str:
        """The id of the fleet that its process belongs to, empty without one."""
        return self.process.place.fleet if self.process.place else ""


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

    found: Sequence[Peer]
    unknown: Sequence[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Peer:
    """A worker that does not tell of itself, as far as it is known.

    ``jobs``: the longest that it runs, of ``busy`` in all. None: several such workers without a
    name share the queue, which has ``shared`` jobs of theirs, and nobody can say whose is which.
    """

    alias: str
    info: WorkerInfo
    jobs: Sequence[PeerJob]
    busy: int | None
    shared: int = 0


def look(alias: str, asked: Iterable[tuple[Topic, Sequence[str]]]) -> Look:
    """Read the fleet of *alias*."""
    return _seen(alias, Fleet(alias).look(_queues(alias), _wanted(asked), _shared(alias)))


async def alook(alias: str, asked: Iterable[tuple[Topic, Sequence[str]]]) -> Look:
    """See :func:`look`."""
    found = await Fleet(alias).alook(_queues(alias), _wanted(asked), _shared(alias))
    return _seen(alias, found)


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


def supervisors(
    state: LiveState, viewer: Viewer, kind: str = "workers"
) -> list[tuple[str, FleetSupervisor]]:
    """Supervisors of fleets, each with its connection, that work any queue that may be seen."""
    return [
        (alias, one)
        for alias, seen in _looks(state, kind)
        for one in seen.fleet.supervisors
        if may_see(viewer, alias, one)
    ]


def may_see(viewer: Viewer, alias: str, one: FleetSupervisor) -> bool:
    """Whether a viewer sees a fleet: it works a queue in scope."""
    return any(viewer.allows(alias, queue) for queue in one.queues)


def others(state: LiveState, viewer: Viewer) -> Others:
    """Workers of Node and of other libraries on queues that may be seen."""
    looks = dict(_looks(state, "workers"))
    found: list[Peer] = []
    unknown = []
    for alias, connection in state.connections.items():
        seen, listed = looks.get(alias), connection.workers
        if seen is None or listed is None:
            unknown.append(alias)
            continue
        crowds: defaultdict[str, list[WorkerInfo]] = defaultdict(list)
        for one in peers_of(listed, seen.ours) or ():
            if viewer.allows(alias, one.queue):
                crowds[one.queue].append(one)
        for crowd in crowds.values():
            found += _peers(alias, seen.fleet, crowd)
    found.sort(key=lambda one: (one.info.queue, one.alias, one.info.name, -one.info.age_s))
    return Others(found, unknown)


def _peers(alias: str, fleet: FleetReading, crowd: Sequence[WorkerInfo]) -> Iterator[Peer]:
    """The peers of one queue, each with the jobs that can only be its own.

    A worker with a name writes it on its jobs. What bears none belongs to those without one.
    """
    held = fleet.peer_jobs.get(crowd[0].queue)
    jobs, count = (held.jobs, held.count) if held else ((), 0)
    whole = count == len(jobs)
    names = Counter(one.name for one in crowd)
    rest = [job for job in jobs if job.processed_by not in names or not job.processed_by]
    for one in crowd:
        if len(crowd) == 1:
            yield Peer(alias, one, jobs, count)
        elif one.name and names[one.name] == 1 and whole:
            own = [job for job in jobs if job.processed_by == one.name]
            yield Peer(alias, one, own, len(own))
        elif not one.name and names[""] == 1 and whole:
            yield Peer(alias, one, rest, len(rest))
        else:
            yield Peer(alias, one, (), None, count)


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
    place = process.place
    # Those of a fleet stand together, in their places; one that is recycled beside its follower.
    fleet = (place.pid, place.fleet, place.number) if place else (process.pid, "", 0)
    of_process = (process.host, *fleet, process.pid, process.id)
    return (*of_process, one.alias, one.worker.queue, one.worker.id)


def _queues(alias: str) -> list[str]:
    return facts_of(alias).names[:_MOST_QUEUES]


def _shared(alias: str) -> list[str]:
    """Queues on which workers wait that are not known to be ours."""
    ours = _known.get(alias, {})
    listed = facts_of(alias).workers or ()
    return list({one.queue: None for one in listed if one.client_id not in ours})[:_MOST_QUEUES]


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
