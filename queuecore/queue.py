"""Queue: adds jobs to one queue, steers it and reads it.

A queue is a connection alias and a name. Every method that talks to the server exists twice,
``add`` and ``aadd``, from one implementation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Unpack
from uuid import uuid4
from weakref import WeakKeyDictionary

from . import conf
from .commits import Commits, listed
from .errors import InvalidOption
from .getters import Getters
from .groups import Groups
from .handle import WIRE_VERSION, known_name
from .job import Job
from .options import (
    JobOptions,
    JobSpec,
    checked_job_name,
    checked_queue_name,
    wire_options,
)
from .processors import payload_of
from .schedulers import Schedulers
from .signals import atell_added, job_added, tell_added
from .steering import Steering
from .telemetry import carrying, get_telemetry
from .wire import codec
from .wire.calls.adding import BATCH, NewJob, add_jobs
from .wire.calls.base import NOW, Operation
from .wire.connections import aliases, get_connection
from .wire.keys import SUFFIXES, Keys
from .wire.lanes import Lanes


class Queue(Commits, Steering, Getters, Schedulers, Groups):
    """One queue on one connection.

    Adding is here, the rest in :class:`Commits`, :class:`Steering`, :class:`Getters`,
    :class:`Schedulers` and :class:`Groups`.

    Args:
        name: the queue's name, not empty and without ``:`` (BullMQ's rule).
        connection: an alias of ``QUEUECORE["CONNECTIONS"]``.

    Raises:
        InvalidOption: the name is none.
        ConfigurationError: there is no such connection.
    """

    def __init__(self, name: str, connection: str = "default") -> None:
        self._begin(checked_queue_name(name), connection)

    @classmethod
    def existing(cls, name: str, connection: str = "default") -> Queue:
        """A queue that others made, whatever its name is: for reading and steering it.

        Raises:
            InvalidOption: the name is no text, or empty.
        """
        queue = cls.__new__(cls)
        queue._begin(known_name(name), connection)
        return queue

    @classmethod
    def _of_prefix(cls, name: str, prefix: str, connection: str) -> Queue:
        """A queue under a prefix that no connection has: for reading what stands there."""
        queue = cls.existing(name, connection)
        queue.keys = Keys(prefix, name)
        queue._lanes = Lanes(queue.keys)
        return queue

    def _sibling(self, key: str) -> tuple[Queue, str]:
        """The queue and the id of a job of the same server, by the job's key.

        Prefixes and ids may hold ``:``, names of queues do not: the prefix is one that is known.
        """
        known = [get_connection(alias) for alias in (self.alias, *aliases())]
        for one in sorted(known, key=lambda one: len(one.prefix), reverse=True):
            if key.startswith(f"{one.prefix}:"):
                name, _, id = key.removeprefix(f"{one.prefix}:").partition(":")
                if name and id and self.connection.shares_server(one):
                    return Queue.existing(name, one.alias), id
        rest, _, id = key.rpartition(":")
        prefix, _, name = rest.rpartition(":")
        return Queue._of_prefix(name or "?", prefix, self.alias), id

    def _begin(self, name: str, connection: str) -> None:
        super().__init__(name, connection)
        self._adders: WeakKeyDictionary[asyncio.AbstractEventLoop, _Adder] = WeakKeyDictionary()
        self._lanes = Lanes(self.keys)
        self._registered = False

    # Adding

    def add(self, name: str, data: Any = None, **options: Unpack[JobOptions]) -> Job:
        """Add one job and return it (BullMQ ``Queue.add``).

        A duplicate ``job_id`` returns the job of that id like a success. The add is sent again
        within a second if its answer is lost, without ever adding twice.

        Args:
            name: the job's name; it chooses the processor.
            data: the payload, anything JSON knows. Where the processor declares its type, it is
                that, as JSON or as an instance.
            options: see :class:`queuecore.options.JobOptions`.

        Raises:
            InvalidOption, NotSerializable, InvalidPayload: nothing was sent.
            ParentNotFound, ParentConflict, GroupMaxSizeExceeded: nothing was added.
            ServerUnavailable: the server was not reached within about a second.
        """
        if (telemetry := get_telemetry()) is None:
            (job,) = self._run(self._add([self._prepare(name, data, options)]))
            tell_added([job])
            return job
        with telemetry.adding("add", self.name, f"{self.name}.{name}", [name]) as span:
            (job,) = self._run(self._add([self._prepare(name, data, options, span.metadata)]))
            span.added([job.id])
        tell_added([job])
        return job

    async def aadd(self, name: str, data: Any = None, **options: Unpack[JobOptions]) -> Job:
        """Add one job; concurrent calls of one event loop share calls to the server."""
        if (telemetry := get_telemetry()) is None:
            job = await self._aadd(self._prepare(name, data, options))
            if job_added.heard:
                await atell_added([job])
            return job
        with telemetry.adding("add", self.name, f"{self.name}.{name}", [name]) as span:
            job = await self._aadd(self._prepare(name, data, options, span.metadata))
            span.added([job.id])
        await atell_added([job])
        return job

    async def _aadd(self, prepared: NewJob) -> Job:
        if prepared.parent is not None or (prepared.group and "maxSize" in prepared.group):
            # A parent that is gone, or a group that is full, is an error of this add alone.
            return (await self._arun(self._add([prepared])))[0]
        loop = asyncio.get_running_loop()
        adder = self._adders.get(loop)
        if adder is None:
            adder = self._adders[loop] = _Adder(self)
        return await adder.add(prepared)

    def add_bulk(self, jobs: Iterable[JobSpec]) -> list[Job]:
        """Add many jobs and return them, in order (BullMQ ``addBulk``).

        All are checked before the first is sent. They are added in batches of 500, each atomic.

        Raises:
            InvalidOption, NotSerializable: naming the job by its index; nothing was sent.
            ServerUnavailable: earlier batches may have been added.
        """
        if (telemetry := get_telemetry()) is None:
            added = self._run(self._add(self._prepare_bulk(jobs)))
            tell_added(added)
            return added
        jobs = listed(jobs)
        with telemetry.adding("addBulk", self.name, self.name, _names(jobs)) as span:
            added = self._run(self._add(self._prepare_bulk(jobs, span.metadata)))
            span.added([job.id for job in added])
        tell_added(added)
        return added

    async def aadd_bulk(self, jobs: Iterable[JobSpec]) -> list[Job]:
        """Add many jobs; see :meth:`add_bulk`."""
        if (telemetry := get_telemetry()) is None:
            added = await self._arun(self._add(self._prepare_bulk(jobs)))
            await atell_added(added)
            return added
        jobs = listed(jobs)
        with telemetry.adding("addBulk", self.name, self.name, _names(jobs)) as span:
            added = await self._arun(self._add(self._prepare_bulk(jobs, span.metadata)))
            span.added([job.id for job in added])
        await atell_added(added)
        return added

    def _prepare_bulk(self, jobs: Iterable[JobSpec], metadata: str | None = None) -> list[NewJob]:
        prepared = []
        for index, job in enumerate(listed(jobs)):
            if not isinstance(job, JobSpec):
                raise InvalidOption(
                    f"job {index} of {self.name!r} is of type {type(job).__name__}; "
                    "give JobSpec(name, data, **options)"
                )
            try:
                prepared.append(self._prepare(job.name, job.data, job.options, metadata))
                if "maxSize" in (prepared[-1].group or {}):
                    raise InvalidOption(
                        "a group's max_size is for single adds: what of a bulk is refused would be "
                        "hard to tell; leave it out"
                    )
            except ValueError as error:
                raise type(error)(f"job {index} of {self.name!r}: {error}") from error
        return prepared

    def _prepare(
        self, name: str, data: Any, options: JobOptions, metadata: str | None = None
    ) -> NewJob:
        """Check one job and encode it; everything that can be wrong is found here."""
        defaults = conf.get_settings().default_job_options
        if (parent := options.get("parent")) is not None:
            self._same_server(parent)
        merged: Mapping[str, Any] = {**defaults, **options} if defaults else options
        if metadata is not None:
            merged = carrying(merged, metadata)
        checked = wire_options(merged, SUFFIXES)
        encoded = codec.dumps({} if data is None else data)
        if (payload := payload_of(self.alias, self.name, name)) is not None:
            payload.read(encoded, name, self.name)
        if checked.size_limit is not None and len(encoded) > checked.size_limit:
            raise InvalidOption(
                f"data has {len(encoded)} bytes as JSON, more than its size_limit of "
                f"{checked.size_limit}; store it elsewhere and pass its key"
            )
        return NewJob(
            # A number of the queue's counter would say nothing about a group's order.
            checked.job_id or (str(uuid4()) if checked.group else ""),
            checked_job_name(name),
            encoded,
            checked.encoded,
            checked.timestamp_ms or 0,
            checked.delay_ms,
            checked.priority,
            checked.lifo,
            checked.deduplication,
            checked.parent,
            checked.group,
        )

    def _same_server(self, parent: object) -> None:
        connection = getattr(getattr(parent, "queue", None), "connection", None)
        if connection is not None and not self.connection.shares_server(connection):
            raise InvalidOption(
                f"the parent lies on the server of connection {connection.alias!r}, its child "
                f"would lie on that of {self.alias!r}: both must be on one server"
            )

    def _add(
        self, prepared: list[NewJob], marks: Sequence[dict[str, Any]] = ()
    ) -> Operation[list[Job]]:
        now = yield NOW
        if not self._registered:
            yield self._introduction()
            self._registered = True
        jobs: list[Job] = []
        for start in range(0, len(prepared), BATCH):
            batch = prepared[start : start + BATCH]
            for one in batch:
                one.timestamp = one.timestamp or now
            lane = self._lanes.take()
            try:
                ids = yield add_jobs(
                    self.keys,
                    lane.receipt,
                    lane.number,
                    WIRE_VERSION,
                    batch,
                    marks[start : start + BATCH],
                )
            finally:
                self._lanes.give(lane)
            jobs += [Job(self, id, one.fields()) for id, one in zip(ids, batch, strict=True)]
        return jobs


def _names(jobs: Iterable[Any]) -> list[str]:
    return [str(getattr(job, "name", "")) for job in jobs]


class _Adder:
    """Joins the concurrent ``aadd`` calls of one event loop into common calls to the server.

    What arrives while two calls are under way waits for the next one: batches grow by themselves
    and nobody waits for a batch to fill.
    """

    IN_FLIGHT = 2

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._waiting: list[tuple[NewJob, asyncio.Future[Job]]] = []
        self._senders: set[asyncio.Task[None]] = set()
        self._sending = 0
        self._scheduled = False

    async def add(self, prepared: NewJob) -> Job:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Job] = loop.create_future()
        self._waiting.append((prepared, future))
        if not self._scheduled and self._sending < self.IN_FLIGHT:
            self._scheduled = True
            # At the end of this turn of the loop, so that all of its callers are in the batch.
            loop.call_soon(self._start)
        return await future

    def _start(self) -> None:
        self._scheduled = False
        # Counted down where a sender decides to end, not in its callback: whoever adds in between
        # would count on one that looks no more, and wait for ever.
        self._sending += 1
        sender = asyncio.ensure_future(self._send())
        self._senders.add(sender)
        sender.add_done_callback(self._senders.discard)

    async def _send(self) -> None:
        try:
            while self._waiting:
                await self._send_batch()
        finally:
            self._sending -= 1

    async def _send_batch(self) -> None:
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        try:
            jobs = await self._queue._arun(self._queue._add([one for one, _ in batch]))
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), job in zip(batch, jobs, strict=True):
                if not future.done():
                    future.set_result(job)
