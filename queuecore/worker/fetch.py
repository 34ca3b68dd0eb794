"""Waits, while the worker is idle, until something may be ready to be claimed."""

from __future__ import annotations

import base64
import contextlib
import re
from typing import Any

from ..errors import QueueCoreError, ServerUnavailable
from ..wire.calls.base import Command, text
from ..wire.connections import Connection
from ..wire.keys import Keys
from ..wire.link import Link

# The longest wait, as in BullMQ: for a delayed job that is known (its clock may be wrong), and for
# any job after a wait in vain.
LONGEST_WAIT = 10.0
SHORTEST_WAIT = 0.002
_MARGIN = 3.0
# A user without the right to ask gets None, and is not unblocked.
_CLIENT_ID: Command[int | None] = Command(("CLIENT", "ID"), tolerant=True)


class Marker:
    """The blocking socket of one worker, named so that BullMQ's ``getWorkers`` sees it."""

    def __init__(self, connection: Connection, keys: Keys, name: str, drain_delay: float) -> None:
        encoded = base64.b64encode(keys.name.encode()).decode()
        suffix = f":w:{name}" if name else ""
        # The server takes only visible ASCII letters in a client's name.
        client = re.sub(r"[^!-~]", "_", f"{keys.prefix}:{encoded}{suffix}")
        self._connection = connection
        self._link: Link = connection.link(client)
        self._client_id: int | None = None
        self._clock = connection.clock
        # Jobs of groups have a marker of their own, so that no other client is woken for them.
        self._keys = (keys.marker, keys.own_marker)
        self._taken = keys.marker
        self._drain_delay = drain_delay
        # Whether the last wait was in vain.
        self._quiet = False

    @property
    def client_id(self) -> int | None:
        """The socket's id in the server's list of clients, once it is known."""
        return self._client_id

    async def wait(self, next_due: int) -> bool:
        """Block until the marker says that something may be ready, or the wait is over.

        *next_due* is the time (ms) of the next delayed job, 0 if none is known. Returns whether a
        marker was taken from other idle workers, who may have to be told.

        Raises:
            ServerUnavailable: the socket is closed; the next wait opens it again.
        """
        while True:
            answer = await self._pop(self._timeout(next_due))
            self._quiet = not answer
            if not answer:
                return False
            self._taken = text(answer[0])
            score = _score(answer[2])
            if score <= self._clock.now_ms():
                return score == 0
            next_due = score if not next_due else min(score, next_due)

    async def put(self) -> None:
        """Put the marker back: this worker took it but has no room."""
        await self._link.send(Command(("ZADD", self._taken, 0, "0")))

    async def close(self) -> None:
        """Close the socket and end the server's waiting on it.

        The server notices a closed socket late, and would give the next marker to nobody.
        """
        await self._link.close()
        if self._client_id is not None:
            unblock: Command[Any] = Command(("CLIENT", "UNBLOCK", self._client_id), tolerant=True)
            with contextlib.suppress(QueueCoreError):
                await self._connection.arun(unblock)

    async def _pop(self, timeout: float) -> Any:
        try:
            if self._client_id is None:
                self._client_id = await self._link.send(_CLIENT_ID)
            pop: Command[Any] = Command(("BZPOPMIN", *self._keys, f"{timeout:.3f}"))
            return await self._link.send(pop, timeout=timeout + _MARGIN)
        except ServerUnavailable:
            self._client_id = None
            raise

    def _timeout(self, next_due: int) -> float:
        if not next_due:
            # Only a marker that got lost is found earlier by a shorter wait.
            return max(self._drain_delay, min(2 * self._drain_delay * self._quiet, LONGEST_WAIT))
        seconds = (next_due - self._clock.now_ms()) / 1000
        return min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)


def _score(value: Any) -> int:
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return 0
