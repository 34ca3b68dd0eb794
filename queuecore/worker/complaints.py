"""What the server refuses, and when it is away: told clearly, and not too often."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from ..errors import QueueCoreError, ServerRefused, ServerUnavailable
from ..queue import Queue
from ..wire.calls.working import wrong_types

logger = logging.getLogger("queuecore.worker")

# The same error is not told again for so long; in seconds.
SILENCE = 30.0
_MOST = 50


class Complaints:
    """The errors of one worker. ``tasks``: what still runs, to be ended with the worker.

    *listener* is called with each error that is told.
    """

    def __init__(self, queue: Queue, listener: Callable[[QueueCoreError], None]) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._queue = queue
        self._listener = listener
        self._told: dict[str, float] = {}
        self._away_since: float | None = None

    def tell(self, error: QueueCoreError) -> None:
        """Log *error*, which passes by itself or by an operator's hand; nothing is lost by it.

        An absence of the server is told once, anything else again after ``SILENCE``.
        """
        if isinstance(error, ServerRefused) or not isinstance(error, ServerUnavailable):
            self._refused(error)
            return
        self._queue.connection.clock.forget()
        if self._away_since is None:
            self._away_since = time.monotonic()
            self._log(logging.ERROR, "%s; it is tried again", error)
            self._listener(error)

    def server_answers(self) -> None:
        """The server has answered: log it if it was away."""
        if self._away_since is not None:
            down, self._away_since = time.monotonic() - self._away_since, None
            self._log(logging.WARNING, "the server is back after %.1f s", down)

    def _refused(self, error: QueueCoreError) -> None:
        text, now = str(error), time.monotonic()
        if now - self._told.get(text, float("-inf")) < SILENCE:
            return
        if len(self._told) >= _MOST:
            self._told.clear()
        self._told[text] = now
        self._log(logging.ERROR, "%s; it is tried again", text)
        self._listener(error)
        if "WRONGTYPE" in text:
            task = asyncio.create_task(self._explain())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    async def _explain(self) -> None:
        """Name the key of a wrong type, which the server does not."""
        with contextlib.suppress(QueueCoreError):
            for key, kind, right in await self._queue.connection.arun(
                wrong_types(self._queue.keys)
            ):
                self._log(
                    logging.ERROR,
                    "the key %s is a %s, but must be a %s: somebody wrote to it; rename or "
                    "delete it",
                    *(key, kind, right),
                )

    def _log(self, level: int, text: str, *values: Any) -> None:
        queue = self._queue
        fields = {"queue": queue.name, "connection": queue.alias}
        logger.log(level, f"queue %s: {text}", queue.name, *values, extra=fields)
