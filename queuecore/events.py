"""QueueEvents: the event stream of a queue, as typed events, in order; and its custom events."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import re
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import InvalidOption, ServerUnavailable
from .handle import Handle, known_id, known_name
from .options import Seconds, checked_whole, milliseconds
from .wire.calls.base import Command, Operation, pairs, text
from .wire.codec import dumps, loads
from .wire.connections import get_connection
from .wire.keys import Keys

logger = logging.getLogger("queuecore.events")

# BullMQ's own events, which nobody else may tell: its clients rely on their fields.
OWN = frozenset(
    {
        *("added", "waiting", "delayed", "active", "waiting-children", "completed", "failed"),
        *("retries-exhausted", "progress", "stalled", "drained", "removed", "cleaned", "paused"),
        *("resumed", "duplicated", "deduplicated", "debounced", "error"),
    }
)
# How long a server that is away is left alone between two tries; in seconds.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the stream.

    ``id``: its place in the stream, to resume from. ``event``: what happened (``completed``,
    ``waiting``, ...). ``job_id``: the job's id, or None for events of the queue. ``fields``: all
    other fields as BullMQ wrote them, text; the properties read them.
    """

    id: str
    event: str
    job_id: str | None
    fields: dict[str, str]

    @property
    def at(self) -> datetime:
        """When it was written, by the server's clock."""
        return datetime.fromtimestamp(int(self.id.partition("-")[0]) / 1000, UTC)

    @property
    def prev(self) -> str | None:
        """The state that the job left."""
        return self.fields.get("prev")

    @property
    def returnvalue(self) -> Any:
        """Of ``completed``: what the processor returned."""
        return self._json("returnvalue")

    @property
    def failed_reason(self) -> str | None:
        """Of ``failed``: why."""
        return self.fields.get("failedReason")

    @property
    def progress(self) -> Any:
        """Of ``progress``: how far the job is."""
        return self._json("data")

    @property
    def due(self) -> datetime | None:
        """Of ``delayed``: when the job is to run."""
        ms = self._number("delay")
        return None if ms is None else datetime.fromtimestamp(ms / 1000, UTC)

    @property
    def name(self) -> str | None:
        """Of ``added``: the job's name."""
        return self.fields.get("name")

    @property
    def attempts_made(self) -> int | None:
        """Of ``retries-exhausted``: how many tries it had."""
        return self._number("attemptsMade")

    @property
    def count(self) -> int | None:
        """Of ``cleaned``: how many jobs went."""
        return self._number("count")

    @property
    def deduplication_id(self) -> str | None:
        """Of ``deduplicated``: the id that both adds had."""
        return self.fields.get("deduplicationId")

    @property
    def deduplicated_job_id(self) -> str | None:
        """Of ``deduplicated``: the job that is not there, or not any more."""
        return self.fields.get("deduplicatedJobId")

    def _json(self, field: str) -> Any:
        try:
            return loads(self.fields[field].encode())
        except (KeyError, ValueError):
            return None

    def _number(self, field: str) -> int | None:
        try:
            return int(float(self.fields[field]))
        except (KeyError, ValueError, OverflowError):
            return None


class QueueEvents:
    """Iterates over a queue's events as they happen, with ``for`` or ``async for``.

    While the server is away the iteration waits and goes on behind the last event it gave; what
    happened meanwhile comes then. It ends after :meth:`close`.

    Args:
        name: the queue.
        connection: a connection alias.
        last_event_id: resume behind this event; None begins with what happens from now on.
        blocking_timeout: how long one read waits on the server.
        events: give only events of these names; None is all.
        job_id: give only events of this job.

    Raises:
        InvalidOption: name, event id or timeout can be none.

    Follows BullMQ's ``QueueEvents``; the stream keeps about 10,000 events by default.
    """

    def __init__(
        self,
        name: str,
        connection: str = "default",
        *,
        last_event_id: str | None = None,
        blocking_timeout: Seconds = 3,
        events: Iterable[str] | None = None,
        job_id: str | None = None,
    ) -> None:
        if last_event_id is not None and not _EVENT_ID.fullmatch(str(last_event_id)):
            raise InvalidOption(
                "last_event_id must be the id of an event, such as '1700000000000-0', or None, "
                f"not {last_event_id!r}"
            )
        if isinstance(events, str):
            raise InvalidOption(f"events must be a list of names, not the text {events!r}")
        self.name = known_name(name)
        self._events = None if events is None else frozenset(events)
        self._job = None if job_id is None else known_id(job_id)
        shared = get_connection(connection)
        # Sockets of its own, named as BullMQ names them.
        self._connection = shared.sibling(_client_name(shared.prefix, self.name))
        self._key = Keys(shared.prefix, self.name).events
        self._last = last_event_id
        # Under the socket's deadline for answers, which would otherwise end each quiet read.
        # None at all would be for ever.
        self._block = min(max(milliseconds(blocking_timeout, "blocking_timeout"), 1), 4000)
        self._closed = threading.Event()
        self._reads: set[tuple[asyncio.AbstractEventLoop, asyncio.Future[Any]]] = set()
        self._away = False

    def __repr__(self) -> str:
        return f"<QueueEvents of {self.name!r} behind {self._last}>"

    def __enter__(self) -> QueueEvents:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def last_event_id(self) -> str | None:
        """The id of the last event that was read, to resume from; None before the first read."""
        return self._last

    def wait_until_ready(self) -> None:
        """Let the iteration begin with what happens from now on (BullMQ ``waitUntilReady``).

        Without it, the iteration begins where it is begun.
        """
        if self._last is None:
            self._last = self._connection.run(self._newest())

    async def await_until_ready(self) -> None:
        """See :meth:`wait_until_ready`."""
        if self._last is None:
            self._last = await self._connection.arun(self._newest())

    def close(self) -> None:
        """End every iteration, at once; from any thread, and in an event loop too."""
        self._closed.set()
        self._connection.interrupt()
        for loop, read in list(self._reads):
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(read.cancel)

    def __iter__(self) -> Iterator[Event]:
        pause = _FIRST_PAUSE
        try:
            while not self._closed.is_set():
                try:
                    if self._last is None:
                        self._last = self._connection.run(self._newest())
                    events = self._connection.run(self._read())
                except ServerUnavailable as error:
                    if self._closed.wait(self._absent(error, pause)):
                        return
                    pause = min(pause * 2, _LONGEST_PAUSE)
                else:
                    pause = self._present()
                    yield from self._taken(events)
        finally:
            self._connection.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        pause = _FIRST_PAUSE
        try:
            while not self._closed.is_set():
                read = asyncio.ensure_future(self._aread(pause))
                mine = (asyncio.get_running_loop(), read)
                self._reads.add(mine)
                try:
                    await asyncio.wait([read])
                finally:
                    self._reads.discard(mine)
                    read.cancel()
                if read.cancelled():
                    return
                events = read.result()
                pause = _FIRST_PAUSE if events is not None else min(pause * 2, _LONGEST_PAUSE)
                for event in self._taken(events or []):
                    yield event
        finally:
            if not self._reads:
                await self._connection.aclose()

    async def _aread(self, pause: float) -> list[Event] | None:
        """What one read gives; None where the server was away."""
        try:
            await self.await_until_ready()
            events = await self._connection.arun(self._read())
        except ServerUnavailable as error:
            await asyncio.sleep(self._absent(error, pause))
            return None
        self._present()
        return events

    def _absent(self, error: ServerUnavailable, pause: float) -> float:
        if not self._away and not self._closed.is_set():
            self._away = True
            logger.warning("events of %s: %s; the read is tried again", self.name, error)
        return pause

    def _present(self) -> float:
        if self._away:
            self._away = False
            logger.warning("events of %s: the server is back", self.name)
        return _FIRST_PAUSE

    def _newest(self) -> Command[str]:
        """The id of the last event there is: ``$`` would miss what happens between two reads."""
        return Command(
            ("XREVRANGE", self._key, "+", "-", "COUNT", 1),
            lambda answer: text(answer[0][0]) if answer else "0-0",
        )

    def _read(self) -> Command[list[Event]]:
        last = self._last or "0-0"
        return Command(
            ("XREAD", "BLOCK", self._block, "COUNT", 1000, "STREAMS", self._key, last),
            _events,
            repeatable=False,  # the iteration itself tries again, unless it is closed
        )

    def _taken(self, events: list[Event]) -> Iterator[Event]:
        for event in events:
            if self._closed.is_set():
                return
            self._last = event.id
            if self._events is not None and event.event not in self._events:
                continue
            if self._job is None or event.job_id == self._job:
                yield event


class QueueEventsProducer(Handle):
    """Writes events of your own into a queue's stream (BullMQ's ``QueueEventsProducer``).

    Args:
        name: the queue.
        connection: a connection alias.
    """

    def __init__(self, name: str, connection: str = "default") -> None:
        super().__init__(known_name(name), connection)

    def publish_event(
        self,
        event_name: str,
        /,
        *,
        job_id: str | None = None,
        max_events: int | None = None,
        **fields: Any,
    ) -> str:
        """Tell everybody who reads the queue's events; the event's id.

        Args:
            event_name: none of BullMQ's own.
            job_id: the job that it is about.
            max_events: shorten the stream to about so many; None is the queue's own maximum
                (BullMQ's producer shortens it to 1,000).
            fields: text as it is, anything else as JSON.

        Raises:
            InvalidOption, NotSerializable: nothing was sent.
        """
        return self._run(self._publish(event_name, job_id, max_events, fields))

    async def apublish_event(
        self,
        event_name: str,
        /,
        *,
        job_id: str | None = None,
        max_events: int | None = None,
        **fields: Any,
    ) -> str:
        """See :meth:`publish_event`."""
        return await self._arun(self._publish(event_name, job_id, max_events, fields))

    def _publish(
        self, name: str, job_id: str | None, most: int | None, fields: dict[str, Any]
    ) -> Operation[str]:
        name = known_name(name)
        if name in OWN:
            raise InvalidOption(
                f"{name!r} is an event of BullMQ's own, whose readers rely on its fields; "
                "choose another name"
            )
        if "event" in fields:
            raise InvalidOption("an event has no field 'event': that is its name")
        words: list[str | bytes | int] = ["event", name]
        if job_id is not None:
            words += ["jobId", known_id(job_id)]
        for field, value in fields.items():
            words += [field, value if isinstance(value, str) else dumps(value, f"field {field!r}")]
        if most is None:
            told = yield Command(("HGET", self.keys.meta, "opts.maxLenEvents"))
            most = int(told) if told and told.isdigit() else 10_000
        most = checked_whole(most, "max_events")
        add: Command[str] = Command(
            ("XADD", self.keys.events, "MAXLEN", "~", most, "*", *words), text, repeatable=False
        )
        id: str = yield add
        return id


_EVENT_ID = re.compile(r"\d{1,20}(-\d{1,20})?", re.ASCII)


def _client_name(prefix: str, queue: str) -> str:
    encoded = base64.b64encode(queue.encode()).decode()
    # The server takes only visible ASCII letters in a client's name.
    return re.sub(r"[^!-~]", "_", f"{prefix}:{encoded}:qe")


def _events(answer: Any) -> list[Event]:
    if not answer:
        return []
    events = []
    for id, flat in answer[0][1]:
        fields = pairs(flat)
        name = fields.pop("event", "")
        events.append(Event(text(id), name, fields.pop("jobId", None), fields))
    return events
