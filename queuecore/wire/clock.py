"""One clock for every time that goes into a script: the server's, in whole milliseconds.

BullMQ's scripts take the time from the client, so that a client with a wrong clock promotes jobs
early or late for everybody. Ours is corrected by the server's own ``TIME``, at most
``REFRESH_SECONDS`` old, and forgotten on every reconnect. Tests replace it by :class:`FixedClock`.
"""

from __future__ import annotations

import time

REFRESH_SECONDS = 10.0


class Clock:
    """Server time as offset to this machine's monotonic clock, so that jumps of the wall do no harm."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._measured: float | None = None

    @property
    def stale(self) -> bool:
        """Whether ``TIME`` should be asked before the next reading."""
        measured = self._measured
        return measured is None or time.monotonic() - measured > REFRESH_SECONDS

    def forget(self) -> None:
        """Ask again before the next reading: the connection, and so maybe the server, changed."""
        self._measured = None

    def set(self, server_seconds: float, asked: float, answered: float) -> None:
        """Take an answer of ``TIME``; *asked* and *answered* are monotonic seconds around the call."""
        self._offset = server_seconds - (asked + answered) / 2
        self._measured = answered

    def now_ms(self) -> int:
        """The server's time in milliseconds since the epoch, by the last answer.

        Before any answer this machine's own clock is used.
        """
        if self._measured is None and self._offset == 0.0:
            return int(time.time() * 1000)
        return int((time.monotonic() + self._offset) * 1000)


class FixedClock(Clock):
    """A clock that stands still until :meth:`advance`: for tests."""

    def __init__(self, ms: int) -> None:
        super().__init__()
        self._ms = ms

    @property
    def stale(self) -> bool:
        return False

    def now_ms(self) -> int:
        return self._ms

    def advance(self, seconds: float) -> None:
        self._ms += int(seconds * 1000)
