"""Flow: a job that waits for its children, in one or several queues, added all at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, TypeVar, Unpack
from uuid import uuid4

from .errors import InvalidOption, did_you_mean
from .handle import WIRE_VERSION, known_id
from .job import Job
from .options import JobOptions, checked_queue_name, checked_whole
from .queue import Queue
from .signals import atell_added, tell_added
from .telemetry import Adding, Telemetry, get_telemetry
from .wire.calls import flows
from .wire.calls.base import NOW, Call, Command, Operation
from .wire.calls.reading import get_job
from .wire.connections import Connection, get_connection

T = TypeVar("T")

# All are added in one step of the server, which takes about 15 microseconds a job.
MOST_JOBS = 20_000


class FlowJob:
    """One job of a flow: what ``Queue.add`` takes, its queue, and the children that it waits for.

    Args:
        name: the job's name.
        data: the payload.
        queue: the name of the job's queue.
        children: more of these; the job runs when all of them are done.
        connection: an alias, if not that of the producer: the same server, another prefix.
        options: see :class:`queuecore.options.JobOptions`; delay and priority of a parent count
            when its children are done.
    """

    __slots__ = ("children", "connection", "data", "name", "options", "queue")

    def __init__(
        self,
        name: str,
        data: Any = None,
        *,
        queue: str,
        children: Iterable[FlowJob] | None = None,
        connection: str | None = None,
        **options: Unpack[JobOptions],
    ) -> None:
        self.name = name
        self.data = data
        self.queue = queue
        self.children = _listed(children or ())
        self.connection = connection
        self.options = options

    def __repr__(self) -> str:
        return f"FlowJob({self.name!r}, queue={self.queue!r}, {len(self.children)} children)"


@dataclass(slots=True)
class JobNode:
    """A job of a flow and the nodes of its children."""

    job: Job
    children: list[JobNode] = field(default_factory=list)


@dataclass(slots=True)
class _Planned:
    """A node on its way to the server: where it stands, and what the server takes."""

    queue: Queue
    node: flows.Node
    children: list[_Planned] = field(default_factory=list)


class FlowProducer:
    """Adds flows: jobs that run when their children are done; each flow as a whole or not at all.

    ``add`` and ``add_bulk`` return nodes with ``job`` and ``children``. A job of no given id gets a
    UUID.

    Args:
        connection: an alias of ``QUEUECORE["CONNECTIONS"]``.

    Raises:
        ConfigurationError: there is no such connection.
    """

    def __init__(self, connection: str = "default") -> None:
        self.alias = connection
        self.connection: Connection = get_connection(connection)
        self._queues: dict[tuple[str, str], Queue] = {}

    def __repr__(self) -> str:
        return f"<FlowProducer on {self.alias!r}>"

    def add(
        self, flow: FlowJob, *, queues_options: Mapping[str, JobOptions] | None = None
    ) -> JobNode:
        """Add a flow, all of it or nothing (BullMQ ``FlowProducer.add``).

        Args:
            flow: its root; it may have a ``parent`` itself, its children have theirs.
            queues_options: options by queue name, for the jobs that say nothing else.

        Raises:
            InvalidOption, NotSerializable, InvalidPayload: naming the job by its place; nothing was
                sent.
            ParentNotFound, ParentConflict: nothing was added.
            ServerUnavailable: the server was not reached within about a second.
        """
        if (telemetry := get_telemetry()) is None:
            nodes = self._run(self._add([flow], queues_options))
        else:
            with _adding(telemetry, "addFlow", [flow]) as span:
                nodes = self._run(self._add([flow], queues_options, span.metadata))
                span.added([nodes[0].job.id])
        tell_added(_jobs(nodes))
        return nodes[0]

    async def aadd(
        self, flow: FlowJob, *, queues_options: Mapping[str, JobOptions] | None = None
    ) -> JobNode:
        """See :meth:`add`."""
        if (telemetry := get_telemetry()) is None:
            nodes = await self._arun(self._add([flow], queues_options))
        else:
            with _adding(telemetry, "addFlow", [flow]) as span:
                nodes = await self._arun(self._add([flow], queues_options, span.metadata))
                span.added([nodes[0].job.id])
        await atell_added(_jobs(nodes))
        return nodes[0]

    def add_bulk(
        self, flows: Iterable[FlowJob], *, queues_options: Mapping[str, JobOptions] | None = None
    ) -> list[JobNode]:
        """Add several flows, all of them or nothing (BullMQ ``FlowProducer.addBulk``)."""
        if (telemetry := get_telemetry()) is None:
            nodes = self._run(self._add(_listed(flows), queues_options))
        else:
            listed = _listed(flows)
            with _adding(telemetry, "addBulkFlows", listed) as span:
                nodes = self._run(self._add(listed, queues_options, span.metadata))
                span.added([node.job.id for node in nodes])
        tell_added(_jobs(nodes))
        return nodes

    async def aadd_bulk(
        self, flows: Iterable[FlowJob], *, queues_options: Mapping[str, JobOptions] | None = None
    ) -> list[JobNode]:
        """See :meth:`add_bulk`."""
        if (telemetry := get_telemetry()) is None:
            nodes = await self._arun(self._add(_listed(flows), queues_options))
        else:
            listed = _listed(flows)
            with _adding(telemetry, "addBulkFlows", listed) as span:
                nodes = await self._arun(self._add(listed, queues_options, span.metadata))
                span.added([node.job.id for node in nodes])
        await atell_added(_jobs(nodes))
        return nodes

    def get_flow(
        self, job_id: str, queue: str, *, depth: int = 10, max_children: int = 20
    ) -> JobNode | None:
        """A job with what stands below it, None if there is none (BullMQ ``getFlow``).

        Args:
            job_id, queue: the job at which to begin, and its queue.
            depth: how many generations to read, the job's own included.
            max_children: the most children of a job to read, of each kind (processed, unprocessed,
                failed, ignored).
        """
        return self._run(self._get_flow(job_id, queue, depth, max_children))

    async def aget_flow(
        self, job_id: str, queue: str, *, depth: int = 10, max_children: int = 20
    ) -> JobNode | None:
        """See :meth:`get_flow`."""
        return await self._arun(self._get_flow(job_id, queue, depth, max_children))

    def _run(self, operation: Operation[T]) -> T:
        return self.connection.run(operation)

    async def _arun(self, operation: Operation[T]) -> T:
        return await self.connection.arun(operation)

    # Adding

    def _add(
        self,
        roots: Sequence[FlowJob],
        queues_options: Mapping[str, JobOptions] | None,
        metadata: str | None = None,
    ) -> Operation[list[JobNode]]:
        options = _by_queue(queues_options)
        planned, all_of_them = self._plan(roots, options, metadata)
        names = {one.queue.name for one in all_of_them}
        if strange := [name for name in options if name not in names]:
            raise InvalidOption(
                f"queues_options names {strange[0]!r}, a queue in which no job of the flow "
                f"stands{did_you_mean(strange[0], names)}"
            )
        if not planned:
            return []
        now = yield NOW
        queues = {one.queue.keys.base: one.queue for one in all_of_them}
        unknown = [queue for queue in queues.values() if not queue._registered]
        if unknown:
            yield [command for one in unknown for command in one._introduction()]
            for queue in unknown:
                queue._registered = True
        for one in all_of_them:
            one.node.job.timestamp = one.node.job.timestamp or now
        lanes = planned[0].queue._lanes
        lane = lanes.take()
        try:
            owners = yield flows.add_flow(
                lane.receipt, lane.number, WIRE_VERSION, now, [one.node for one in all_of_them]
            )
        finally:
            lanes.give(lane)
        for index, id in owners.items():
            all_of_them[index].node.job.id = id
        return _nodes(planned, all_of_them)

    def _plan(
        self,
        roots: Sequence[FlowJob],
        queues_options: Mapping[str, JobOptions],
        metadata: str | None,
    ) -> tuple[list[_Planned], list[_Planned]]:
        """Check and encode every job; gives the roots, and all, generation by generation."""
        found: list[_Planned] = []
        keys: dict[str, str] = {}
        waiting: list[tuple[FlowJob, str, _Planned | None, frozenset[int]]] = [
            (root, f"flow {i}" if len(roots) > 1 else "the flow", None, frozenset())
            for i, root in enumerate(roots)
        ]
        while waiting:
            below: list[tuple[FlowJob, str, _Planned | None, frozenset[int]]] = []
            for job, place, parent, above in waiting:
                if not isinstance(job, FlowJob):
                    raise InvalidOption(
                        f"{place} is of type {type(job).__name__}; "
                        "give FlowJob(name, data, queue=..., children=[...])"
                    )
                if id(job) in above:
                    raise InvalidOption(f"{place}: {job!r} stands below itself")
                try:
                    one = self._prepare(job, parent, queues_options, metadata)
                except ValueError as error:
                    raise type(error)(f"{place}, job {job.name!r}: {error}") from error
                key = one.queue.keys.job(one.node.job.id)
                if key in keys:
                    raise InvalidOption(
                        f"{place} and {keys[key]} have the same queue {job.queue!r} and job_id "
                        f"{one.node.job.id!r}; a job stands in one place of one flow"
                    )
                keys[key] = place
                found.append(one)
                if parent is not None:
                    parent.children.append(one)
                if len(found) > MOST_JOBS:
                    raise InvalidOption(
                        f"more than {MOST_JOBS} jobs in one flow would hold the server up, which "
                        "adds them in one step: add a part of the children when the parent runs "
                        "(parent=job, then job.move_to_waiting_children())"
                    )
                if job.children:
                    path = above | {id(job)}
                    below += [
                        (child, f"{place}, child {i}", one, path)
                        for i, child in enumerate(_listed(job.children))
                    ]
            waiting = below
        return found[: len(roots)], found

    def _prepare(
        self,
        job: FlowJob,
        parent: _Planned | None,
        queues_options: Mapping[str, JobOptions],
        metadata: str | None,
    ) -> _Planned:
        defaults = queues_options.get(checked_queue_name(job.queue), {})
        options: JobOptions = {**defaults, **job.options}
        if parent is not None:
            if options.get("parent") is not None:
                raise InvalidOption("a child has the job above it as its parent; leave parent out")
            options["parent"] = {
                "id": parent.node.job.id,
                "queue": parent.queue.keys.qualified,
            }
        if options.get("deduplication") is not None and (parent is not None or job.children):
            raise InvalidOption(
                "a parent or a child has no deduplication: a job that stands for it would not be "
                "of this flow; give a job_id instead"
            )
        if options.get("group") is not None and job.children:
            raise InvalidOption(
                "a parent has no group: it waits for its children, not for a turn; give the group "
                "to the children"
            )
        queue = self._queue(job.queue, job.connection or self.alias)
        new = queue._prepare(job.name, job.data, options, metadata)
        if new.group is not None and "maxSize" in new.group:
            raise InvalidOption("a group's max_size is for single adds, not for jobs of a flow")
        new.id = new.id or str(uuid4())
        return _Planned(queue, flows.Node(queue.keys, new, bool(job.children)))

    def _queue(self, name: str, alias: str) -> Queue:
        try:
            return self._queues[alias, name]
        except (KeyError, TypeError):
            pass
        queue = Queue(name, alias)
        if not self.connection.shares_server(queue.connection):
            raise InvalidOption(
                f"connection {alias!r} is another server than {self.alias!r}: a flow stands on one"
            )
        self._queues[alias, name] = queue
        return queue

    # Reading

    def _get_flow(
        self, job_id: str, queue: str, depth: int, max_children: int
    ) -> Operation[JobNode | None]:
        depth, most = checked_whole(depth, "depth"), checked_whole(max_children, "max_children")
        start = Queue.existing(queue, self.alias)
        root: list[JobNode] = []
        wanted: list[tuple[Queue, str, list[JobNode]]] = [(start, known_id(job_id), root)]
        seen = {start.keys.job(known_id(job_id))}
        for left in range(max(depth, 1), 0, -1):
            below = []
            for begin in range(0, len(wanted), 100):
                some = wanted[begin : begin + 100]
                requests: list[Call[Any] | Command[Any]] = []
                for owner, id, _ in some:
                    requests.append(get_job(owner.keys, id))
                    if left > 1:
                        requests += flows.children_of(owner.keys.job(id), most)
                answers = iter((yield requests))
                for owner, id, nodes in some:
                    fields = next(answers)
                    children = [next(answers) for _ in range(4)] if left > 1 else []
                    if fields is None:
                        continue
                    node = JobNode(Job(owner, id, fields))
                    nodes.append(node)
                    for key in (key for one in children for key in one):
                        if key not in seen:
                            seen.add(key)
                            below.append((*owner._sibling(key), node.children))
            wanted = below
        return root[0] if root else None


def _adding(
    telemetry: Telemetry, operation: str, roots: Sequence[Any]
) -> AbstractContextManager[Adding]:
    queue = str(getattr(roots[0], "queue", "")) if len(roots) == 1 else ""
    names = [str(getattr(root, "name", "")) for root in roots]
    return telemetry.adding(operation, queue, queue, names)


def _by_queue(options: Any) -> Mapping[str, JobOptions]:
    """Check ``queues_options``: by the name of a queue, the keyword arguments of ``Queue.add``."""
    found = {} if options is None else options
    if not isinstance(found, Mapping) or not all(
        isinstance(one, Mapping) for one in found.values()
    ):
        raise InvalidOption(f"queues_options is like {{'queue': {{'attempts': 3}}}}, not {found!r}")
    return found


def _listed(jobs: Any) -> list[FlowJob]:
    if isinstance(jobs, FlowJob | str) or not isinstance(jobs, Iterable):
        raise InvalidOption(f"give a list of FlowJob(name, data, queue=...), not {jobs!r}")
    return list(jobs)


def _jobs(nodes: Iterable[JobNode]) -> Iterator[Job]:
    """The jobs of these nodes, each before its children."""
    waiting = deque(nodes)
    while waiting:
        node = waiting.popleft()
        yield node.job
        waiting.extend(node.children)


def _nodes(roots: Sequence[_Planned], found: Sequence[_Planned]) -> list[JobNode]:
    nodes = {
        id(one): JobNode(Job(one.queue, one.node.job.id, one.node.job.fields())) for one in found
    }
    for one in found:
        nodes[id(one)].children = [nodes[id(child)] for child in one.children]
    return [nodes[id(root)] for root in roots]
