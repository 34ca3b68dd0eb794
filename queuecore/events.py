"""QueueEvents: the event stream of a queue, as typed events, in order."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from .errors import InvalidOption
from .handle import known_name
from .options import Seconds, milliseconds
from .wire.calls.base import Command, pairs, text
from .wire.connections import get_connection
from .wire.keys import Keys


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the stream.

    ``id``: its place in the stream, to resume from. ``event``: what happened (``completed``,
    ``waiting``, ...). ``job_id``: the job's id, or None for events of the queue. ``fields``: all
    other fields as BullMQ wrote them, text.
    """

    id: str
    event: str
    job_id: str | None
    fields: dict[str, str]


class QueueEvents:
    """Iterates over a queue's events as they happen, with ``for`` or ``async for``.

    Args:
        name: the queue.
        connection: a connection alias.
        last_event_id: resume behind this event; None begins with what happens from now on.
        blocking_timeout: how long one read waits on the server.

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
    ) -> None:
        if last_event_id is not None and not _EVENT_ID.fullmatch(str(last_event_id)):
            raise InvalidOption(
                "last_event_id must be the id of an event, such as '1700000000000-0', or None, "
                f"not {last_event_id!r}"
            )
        self.name = known_name(name)
        self._connection = get_connection(connection)
        self._key = Keys(self._connection.prefix, self.name).events
        self._last = last_event_id
        # Under the socket's deadline for answers, which would otherwise end each quiet read.
        # None at all would be for ever.
        self._block = min(max(milliseconds(blocking_timeout, "blocking_timeout"), 1), 4000)

    def __iter__(self) -> Iterator[Event]:
        if self._last is None:
            self._last = self._connection.run(self._newest())
        while True:
            yield from self._taken(self._connection.run(self._read()))

    async def __aiter__(self) -> AsyncIterator[Event]:
        if self._last is None:
            self._last = await self._connection.arun(self._newest())
        while True:
            for event in self._taken(await self._connection.arun(self._read())):
                yield event

    def _newest(self) -> Command[str]:
        """The id of the last event there is: ``$`` would miss what happens between two reads."""
        return Command(
            ("XREVRANGE", self._key, "+", "-", "COUNT", 1),
            lambda answer: text(answer[0][0]) if answer else "0-0",
        )

    def _read(self) -> Command[list[Event]]:
        last = self._last or "0-0"
        return Command(
            ("XREAD", "BLOCK", self._block, "COUNT", 1000, "STREAMS", self._key, last), _events
        )

    def _taken(self, events: list[Event]) -> Iterator[Event]:
        for event in events:
            self._last = event.id
            yield event


_EVENT_ID = re.compile(r"\d{1,20}(-\d{1,20})?", re.ASCII)


def _events(answer: Any) -> list[Event]:
    if not answer:
        return []
    events = []
    for id, flat in answer[0][1]:
        fields = pairs(flat)
        name = fields.pop("event", "")
        events.append(Event(text(id), name, fields.pop("jobId", None), fields))
    return events
