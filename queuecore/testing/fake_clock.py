"""The clock of tests: the time by which delays, schedulers and expiries are counted.

It shows this machine's time, as ``time.time()`` has it, so that time-machine and freezegun move it
with everything else. :meth:`FakeClock.at` and :meth:`FakeClock.advance` set it alone; it stands
still then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from ..options import Seconds, milliseconds
from ..wire.clock import Clock


class FakeClock(Clock):
    """The one clock of all connections in a test; :data:`queuecore.testing.clock` is it."""

    def __init__(self) -> None:
        super().__init__()
        self._fixed: int | None = None
        # Told that the time was moved forward, so that what is due may run.
        self._moved: Callable[[int], None] | None = None

    def now(self) -> datetime:
        """The time of the queues."""
        return datetime.fromtimestamp(self.now_ms() / 1000, UTC)

    @contextmanager
    def at(self, when: datetime | str) -> Iterator[FakeClock]:
        """Stand still at *when* (an aware datetime, or ISO text with its zone) for a block.

        Raises:
            ValueError: it has no time zone.
        """
        moment = datetime.fromisoformat(when) if isinstance(when, str) else when
        if moment.tzinfo is None:
            raise ValueError(
                f"{moment.isoformat()} has no time zone: write {moment.isoformat()}+00:00, or give "
                "an aware datetime"
            )
        before = self._fixed
        self._fixed = round(moment.timestamp() * 1000)
        try:
            yield self
        finally:
            self._fixed = before

    def advance(
        self, duration: Seconds = 0, *, days: float = 0, hours: float = 0, minutes: float = 0
    ) -> None:
        """Move on by *duration* (seconds or a timedelta) and stand still there.

        Inline mode runs what comes due on the way, in its order; else :func:`drain` does later.
        """
        more = timedelta(days=days, hours=hours, minutes=minutes)
        end = self.now_ms() + milliseconds(duration, "duration") + milliseconds(more, "duration")
        if self._moved is not None:
            self._moved(end)
        self.stand(end)

    def stand(self, ms: int) -> None:
        """Stand still at *ms* since the epoch."""
        self._fixed = ms

    def reset(self) -> None:
        """Show this machine's time again."""
        self._fixed = None

    # What the wire asks

    @property
    def stale(self) -> bool:
        """Never: no server is asked."""
        return False

    def forget(self) -> None:
        """Nothing was learnt from a server."""

    def now_ms(self) -> int:
        """The time in milliseconds since the epoch."""
        return int(time.time() * 1000) if self._fixed is None else self._fixed


#: The clock of this test process.
clock = FakeClock()
