"""Fleet: the processes that work the queues of a connection, and what they are told from afar.

Ours say every few seconds how they are; of peers (Node and others) the server knows the connection
alone. Orders are cooperative: a process hears them with its next heartbeat, within two seconds
unless it was given another, and says in its record that it did. No process is ever killed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from .connected import Connected
from .wire.attendance import (
    Cancellation,
    FleetJob,
    FleetMinute,
    FleetProcess,
    FleetSeat,
    FleetSupervisor,
    FleetWorker,
    Holder,
    Order,
    Verb,
)
from .wire.calls import attending, cancelling, inspecting
from .wire.calls.base import Operation
from .wire.keys import Keys
from .wire.readings import LostJob, PeerJob, PeerJobs, WorkerInfo

__all__ = [
    "Cancellation",
    "Fleet",
    "FleetJob",
    "FleetMinute",
    "FleetProcess",
    "FleetReading",
    "FleetSeat",
    "FleetSupervisor",
    "FleetWorker",
    "Holder",
    "LostJob",
    "PeerJob",
    "PeerJobs",
    "Sent",
    "WorkerInfo",
    "connections_of",
    "peers_of",
]


@dataclass(frozen=True, slots=True)
class Sent:
    """Orders that were sent: ``workers`` whose processes will hear them, ``missing`` that won't.

    Missing are those that have ended, or whose process is lost. ``orders``: the id of the order by
    process.
    """

    verb: Verb
    workers: tuple[str, ...]
    missing: tuple[str, ...]
    orders: dict[str, str]


@dataclass(frozen=True, slots=True)
class FleetReading:
    """What :meth:`Fleet.look` has read; ``minutes`` by worker, ``peer_jobs`` by queue."""

    processes: list[FleetProcess]
    lost_jobs: list[LostJob]
    minutes: dict[str, list[FleetMinute]]
    peer_jobs: dict[str, PeerJobs]
    supervisors: list[FleetSupervisor] = field(default_factory=list)


class Fleet(Connected):
    """The workers of one connection. Every method has an async twin, its name with an ``a``.

    All raise :class:`queuecore.errors.ServerUnavailable` while the server is away.

    Args:
        alias: a key of ``QUEUECORE["CONNECTIONS"]``.

    Raises:
        ConfigurationError: there is no such connection.
    """

    def processes(self) -> list[FleetProcess]:
        """The processes of ours that were heard of in the last 15 minutes, by host and process id.

        At most 1,000, those heard last.
        """
        return self._run(self._read())

    async def aprocesses(self) -> list[FleetProcess]:
        """See :meth:`processes`."""
        return await self._arun(self._read())

    def workers(self) -> list[FleetWorker]:
        """The workers of :meth:`processes`: one for each queue that a process works."""
        return self._run(self._workers())

    async def aworkers(self) -> list[FleetWorker]:
        """See :meth:`workers`."""
        return await self._arun(self._workers())

    def supervisors(self) -> list[FleetSupervisor]:
        """Those of fleets, ``runworker --processes``, by host and process id; at most 200."""
        return self._run(self._supervisors())

    async def asupervisors(self) -> list[FleetSupervisor]:
        """See :meth:`supervisors`."""
        return await self._arun(self._supervisors())

    def peers(self) -> list[WorkerInfo] | None:
        """The connections of other workers, Node's above all; None where the server tells nobody.

        One costly command for the server (CLIENT LIST): ask at most every 10 seconds.
        """
        return self._run(self._peers())

    async def apeers(self) -> list[WorkerInfo] | None:
        """See :meth:`peers`."""
        return await self._arun(self._peers())

    def minutes(self, worker: str) -> list[FleetMinute]:
        """The last minutes of a worker, at most 60, the oldest first; empty for an unknown one."""
        return self._run(self._minutes_of(worker))

    async def aminutes(self, worker: str) -> list[FleetMinute]:
        """See :meth:`minutes`."""
        return await self._arun(self._minutes_of(worker))

    def lost_jobs(self, queues: Sequence[str]) -> list[LostJob]:
        """Jobs of *queues* that are active without a lock: their worker has died, or let them go.

        The stalled check of any worker of the queue recovers them. Looks at the 200 of a queue that
        run longest, and returns at most 20 of each.
        """
        return self._run(self._lost_jobs(queues))

    async def alost_jobs(self, queues: Sequence[str]) -> list[LostJob]:
        """See :meth:`lost_jobs`."""
        return await self._arun(self._lost_jobs(queues))

    def peer_jobs(self, queues: Sequence[str]) -> dict[str, PeerJobs]:
        """What workers of other libraries run of each of *queues*, as their locks say.

        Looks at the 200 of a queue that run longest, and returns at most 20 of each.
        """
        return self._run(self._peer_jobs(queues))

    async def apeer_jobs(self, queues: Sequence[str]) -> dict[str, PeerJobs]:
        """See :meth:`peer_jobs`."""
        return await self._arun(self._peer_jobs(queues))

    def holders(self, queue: str, jobs: Sequence[str]) -> dict[str, Holder]:
        """Who runs each of *jobs* (ids) of *queue*, as far as it is known."""
        return self._run(cancelling.get_holders(Keys(self.connection.prefix, queue), jobs))

    async def aholders(self, queue: str, jobs: Sequence[str]) -> dict[str, Holder]:
        """See :meth:`holders`."""
        return await self._arun(cancelling.get_holders(Keys(self.connection.prefix, queue), jobs))

    def cancellations(self, jobs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Cancellation]:
        """What came of the wish to cancel *jobs* (queue and id); those that nobody cancelled lack.

        A wish is forgotten with the run that it was about.
        """
        return self._run(self._cancellations(jobs))

    async def acancellations(
        self, jobs: Sequence[tuple[str, str]]
    ) -> dict[tuple[str, str], Cancellation]:
        """See :meth:`cancellations`."""
        return await self._arun(self._cancellations(jobs))

    def look(
        self, queues: Sequence[str] = (), minutes: Sequence[str] = (), peers: Sequence[str] = ()
    ) -> FleetReading:
        """:meth:`processes` and more in one go.

        Args:
            queues: of which the lost jobs are wanted.
            minutes: workers whose last minutes are.
            peers: queues of which the jobs are that other libraries' workers run.
        """
        return self._run(self._look(queues, minutes, peers))

    async def alook(
        self, queues: Sequence[str] = (), minutes: Sequence[str] = (), peers: Sequence[str] = ()
    ) -> FleetReading:
        """See :meth:`look`."""
        return await self._arun(self._look(queues, minutes, peers))

    def pause(self, *workers: str) -> Sent:
        """Let *workers* (ids) claim nothing more; what they run goes on."""
        return self._run(self._order("pause", workers))

    async def apause(self, *workers: str) -> Sent:
        """See :meth:`pause`."""
        return await self._arun(self._order("pause", workers))

    def resume(self, *workers: str) -> Sent:
        """Let *workers* (ids) that were paused claim jobs again."""
        return self._run(self._order("resume", workers))

    async def aresume(self, *workers: str) -> Sent:
        """See :meth:`resume`."""
        return await self._arun(self._order("resume", workers))

    def drain(self, *workers: str) -> Sent:
        """Let *workers* (ids) claim nothing more, finish what they run, and end; irrevocably.

        A ``runworker`` whose last worker has ended ends with exit code 0; whether it is started
        again is up to its supervisor.
        """
        return self._run(self._order("drain", workers))

    async def adrain(self, *workers: str) -> Sent:
        """See :meth:`drain`."""
        return await self._arun(self._order("drain", workers))

    def confirmed(self, sent: Sent) -> bool:
        """Whether every process has carried out *sent*, or has ended since."""
        return self._run(self._confirmed(sent))

    async def aconfirmed(self, sent: Sent) -> bool:
        """See :meth:`confirmed`."""
        return await self._arun(self._confirmed(sent))

    # The operations: one implementation for both twins

    def _read(self) -> Operation[list[FleetProcess]]:
        found = yield from attending.get_processes(self.connection.prefix)
        return sorted(found, key=lambda one: (one.host, one.pid, one.id))

    def _look(
        self, queues: Sequence[str], minutes: Sequence[str], peers: Sequence[str]
    ) -> Operation[FleetReading]:
        processes = yield from self._read()
        lost = yield from self._lost_jobs(queues)
        recent = yield from self._minutes(processes, minutes)
        held = yield from self._peer_jobs(peers)
        supervisors = yield from self._supervisors()
        return FleetReading(processes, lost, recent, held, supervisors)

    def _supervisors(self) -> Operation[list[FleetSupervisor]]:
        found = yield from attending.get_fleets(self.connection.prefix)
        return sorted(found, key=lambda one: (one.host, one.pid, one.id))

    def _minutes(
        self, processes: Sequence[FleetProcess], workers: Sequence[str]
    ) -> Operation[dict[str, list[FleetMinute]]]:
        homes = {worker.id: process.id for process in processes for worker in process.workers}
        found = {}
        for worker in dict.fromkeys(workers):
            if (home := homes.get(worker)) is not None:
                prefix = self.connection.prefix
                found[worker] = yield from attending.get_recent(prefix, home, worker)
        return found

    def _minutes_of(self, worker: str) -> Operation[list[FleetMinute]]:
        processes = yield from self._read()
        found = yield from self._minutes(processes, [worker])
        return found.get(worker, [])

    def _lost_jobs(self, queues: Sequence[str]) -> Operation[list[LostJob]]:
        keys = [Keys(self.connection.prefix, name) for name in dict.fromkeys(queues)]
        found: list[LostJob] = []
        for start in range(0, len(keys), _PIPELINE):
            some = keys[start : start + _PIPELINE]
            for one in (yield [inspecting.get_lost_jobs(each) for each in some]):
                found += one
        return found

    def _peer_jobs(self, queues: Sequence[str]) -> Operation[dict[str, PeerJobs]]:
        keys = [Keys(self.connection.prefix, name) for name in dict.fromkeys(queues)]
        found: dict[str, PeerJobs] = {}
        for start in range(0, len(keys), _PIPELINE):
            some = keys[start : start + _PIPELINE]
            for one in (yield [inspecting.get_peer_jobs(each) for each in some]):
                found[one.queue] = one
        return found

    def _cancellations(
        self, jobs: Sequence[tuple[str, str]]
    ) -> Operation[dict[tuple[str, str], Cancellation]]:
        found: dict[tuple[str, str], Cancellation] = {}
        for queue in dict.fromkeys(queue for queue, _job in jobs):
            ids = [job for name, job in jobs if name == queue]
            keys = Keys(self.connection.prefix, queue)
            some = yield from cancelling.get_cancellations(keys, ids)
            found |= {(queue, job): one for job, one in some.items()}
        return found

    def _workers(self) -> Operation[list[FleetWorker]]:
        processes = yield from self._read()
        return [worker for process in processes for worker in process.workers]

    def _peers(self) -> Operation[list[WorkerInfo] | None]:
        listed = yield inspecting.get_workers(self.connection.prefix)
        processes = yield from self._read()
        return peers_of(listed, connections_of(processes))

    def _order(self, verb: Verb, workers: Sequence[str]) -> Operation[Sent]:
        processes = yield from self._read()
        wanted = dict.fromkeys(workers)
        reached: list[str] = []
        orders: dict[str, str] = {}
        for process in processes:
            own = tuple(one.id for one in process.workers if one.id in wanted)
            if own and process.health != "lost":
                order = Order(uuid4().hex, verb, own)
                yield from attending.give(self.connection.prefix, process.id, order)
                orders[process.id] = order.id
                reached += own
        missing = tuple(one for one in wanted if one not in reached)
        return Sent(verb, tuple(reached), missing, orders)

    def _confirmed(self, sent: Sent) -> Operation[bool]:
        processes = yield from self._read()
        answers = {one.id: one.answers for one in processes}
        return all(
            process not in answers or order in answers[process]
            for process, order in sent.orders.items()
        )


# Requests in one pipeline.
_PIPELINE = 100


def connections_of(processes: Iterable[FleetProcess]) -> set[int]:
    """The server's ids of the connections on which workers of *processes* wait."""
    return {worker.client_id for process in processes for worker in process.workers}


def peers_of(listed: Iterable[WorkerInfo] | None, ours: Collection[int]) -> list[WorkerInfo] | None:
    """Those of the *listed* connections that are not *ours*, by their ids.

    A server that was started again counts anew: where it tells a connection's library, another one
    than ours is a peer's, whatever its number.
    """
    if listed is None:
        return None
    return [
        one
        for one in listed
        if one.client_id not in ours or not (one.library or "redis-py").startswith("redis-py")
    ]
