"""One clock for every time that goes into a script: the server's, in whole milliseconds.

BullMQ's scripts take the time from the client, so that a client with a wrong clock promotes jobs
early or late for everybody. Ours is corrected by the server's own ``TIME``, at most
``REFRESH_SECONDS`` old, and forgotten on every reconnect. Tests replace it by :class:`FixedClock`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

REFRESH_SECONDS = 10.0
# An answer that took longer is not exact enough; so often the question is repeated at once.
TIGHT_SECONDS, TRIES = 0.002, 3
_ANY = (float("-inf"), float("inf"))


class Clock:
    """Server time as offset to this machine's monotonic clock: the wall clock may jump.

    An answer of ``TIME`` was true at some moment between question and answer, which bounds the
    offset from two sides. The first question may open a connection, and a busy event loop reads
    answers late: bounds that are too wide are narrowed by further questions.
    """

    def __init__(self) -> None:
        self._offset: float | None = None
        self._bounds = _ANY
        self._tries = 0
        self._measured: float | None = None

    @property
    def stale(self) -> bool:
        """Whether ``TIME`` should be asked before the next reading."""
        measured = self._measured
        if measured is None or time.monotonic() - measured > REFRESH_SECONDS:
            return True
        low, high = self._bounds
        return high - low > TIGHT_SECONDS and self._tries < TRIES

    def forget(self) -> None:
        """Ask again before the next reading: the connection, and so maybe the server, changed."""
        self._measured = None

    def set(self, server_seconds: float, asked: float, answered: float) -> None:
        """Take an answer of ``TIME``; *asked* and *answered*: monotonic seconds around it."""
        if self._measured is None or answered - self._measured > REFRESH_SECONDS:
            self._bounds, self._tries = _ANY, 0
        self._tries += 1
        low, high = server_seconds - answered, server_seconds - asked
        if max(low, self._bounds[0]) <= min(high, self._bounds[1]):
            # Else somebody has set the server's clock meanwhile.
            low, high = max(low, self._bounds[0]), min(high, self._bounds[1])
        self._bounds = low, high
        # No step without need: times of one process are compared with each other.
        offset = (low + high) / 2 if self._offset is None else self._offset
        self._offset = min(max(offset, low), high)
        self._measured = answered

    def now_ms(self) -> int:
        """The server's time in milliseconds since the epoch, by the last answer.

        Before any answer this machine's own clock is used.
        """
        if self._offset is None:
            return int(time.time() * 1000)
        return int((time.monotonic() + self._offset) * 1000)


# Makes the clock of a new connection; tests replace it.
make: Callable[[], Clock] = Clock


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
