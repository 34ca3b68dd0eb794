"""Waits, while the worker is idle, until something may be ready to be claimed."""

from __future__ import annotations

import base64
from typing import Any

from ..wire.calls.base import Command
from ..wire.connections import Connection
from ..wire.keys import Keys
from ..wire.link import Link

# The longest wait for a delayed job that is known, as in BullMQ: its clock may be wrong.
LONGEST_WAIT = 10.0
SHORTEST_WAIT = 0.002
_MARGIN = 3.0


class Marker:
    """The blocking socket of one worker, named so that BullMQ's ``getWorkers`` sees it."""

    def __init__(self, connection: Connection, keys: Keys, name: str, drain_delay: float) -> None:
        encoded = base64.b64encode(keys.name.encode()).decode()
        suffix = f":w:{name}" if name else ""
        # The server takes no spaces in a client's name.
        client = f"{keys.prefix}:{encoded}{suffix}".replace(" ", "_")
        self._link: Link = connection.link(client)
        self._clock = connection.clock
        self._key = keys.marker
        self._drain_delay = drain_delay

    async def wait(self, next_due: int) -> bool:
        """Block until the marker says that something may be ready, or the wait is over.

        *next_due* is the time (ms) of the next delayed job, 0 if none is known. Returns whether a
        marker was taken from other idle workers, who may have to be told.

        Raises:
            ServerUnavailable: the socket is closed; the next wait opens it again.
        """
        while True:
            timeout = self._timeout(next_due)
            answer: Any = await self._link.send(
                Command(("BZPOPMIN", self._key, f"{timeout:.3f}")), timeout=timeout + _MARGIN
            )
            if not answer:
                return False
            score = _score(answer[2])
            if score <= self._clock.now_ms():
                return score == 0
            next_due = score if not next_due else min(score, next_due)

    async def put(self) -> None:
        """Put the marker back: this worker took it but has no room."""
        await self._link.send(Command(("ZADD", self._key, 0, "0")))

    async def open(self) -> None:
        """Connect, so that peers see the worker from its start."""
        await self._link.open()

    async def close(self) -> None:
        await self._link.close()

    def _timeout(self, next_due: int) -> float:
        if not next_due:
            return self._drain_delay
        seconds = (next_due - self._clock.now_ms()) / 1000
        return min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)


def _score(value: Any) -> int:
    try:
        return int(float(value))
    except (ValueError, OverflowError):
        return 0
