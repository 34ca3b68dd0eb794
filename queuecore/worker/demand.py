"""Demand: how many jobs a worker would claim now, and who is woken when that changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from .execute import Run

LANES = 2
# The most outcomes, and the most claims, of one call: some milliseconds of the server's time.
BATCH = 200


class Demand:
    """The slots of one worker, and what keeps it from filling them.

    ``concurrency``: slots. ``busy``: those that run a job. ``reserved``: those that wait for a
    claim under way. ``in_flight``: calls under way. ``closing``, ``paused``: nothing is claimed.
    """

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.busy = self.reserved = self.in_flight = 0
        self.closing = self.paused = False
        # Something may be ready to be claimed: set by the marker, and by a claim that was filled.
        self.hungry = True
        # The marker was taken, and no claim has been sent for it yet.
        self.marked = False
        # When (ms) the next delayed job is due; 0 if none is known.
        self.next_due = 0
        # A run that may kill this process: nothing is claimed, and nothing begins, beside it.
        self.suspect: Run | None = None
        # Runs while the queue's rate limit holds: nothing is claimed before it is over.
        self._limit: asyncio.TimerHandle | None = None
        self._idle_lanes: list[asyncio.Future[None]] = []
        self._changed: asyncio.Event | None = None

    def begin(self) -> None:
        """Work in the event loop that runs."""
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()

    def end(self) -> None:
        """Wait for no rate limit any more."""
        if self._limit is not None:
            self._limit.cancel()

    # What is wanted

    @property
    def free(self) -> int:
        """Slots that neither run a job nor wait for one that is being claimed."""
        return self.concurrency - self.busy - self.reserved

    def may_claim(self) -> bool:
        """Whether there is room, and nothing is in the way."""
        if self.paused:
            return False
        return self.free > 0 and self.suspect is None and self._limit is None

    def reserve(self, calling: bool) -> int:
        """How many jobs this lane claims now: free slots, at most its half of all.

        A call that is made anyway (*calling*) always claims; one only to claim needs a sign that
        something is ready.
        """
        if self.closing or self.paused or self.suspect is not None:
            return 0
        if not (calling or self.hungry):
            return 0
        if self._limit is not None:
            return 0
        want = min(self.free, -(-self.concurrency // LANES), BATCH)
        if want <= 0:
            return 0
        # Spent when the call is sent, not when it is answered: a sign that comes while a call is
        # under way is for the next one.
        self.hungry = self.marked = False
        self.reserved += want
        return want

    @property
    def limited(self) -> bool:
        """Whether a rate limit of the queue holds."""
        return self._limit is not None

    def limit(self, seconds: float) -> None:
        """Claim nothing for so long, whatever was said before."""
        if self._limit is not None:
            self._limit.cancel()
        self._limit = self._loop.call_later(seconds, self._limit_over)

    def _limit_over(self) -> None:
        """A timer of its own: whoever blocks on the marker meanwhile would sleep through it."""
        self._limit = None
        self.hungry = True
        self.touch()

    # Who waits

    async def idle(self) -> None:
        """Let a lane sleep until it is woken."""
        if self.marked and self._changed is not None:
            self._changed.set()  # this lane was woken for the marker, and may not claim any more
        future = self._loop.create_future()
        self._idle_lanes.append(future)
        await future

    def change(self) -> Awaitable[Any]:
        """What to await until something may have changed for those who look for work.

        From this call on, not only from the await on: `wait_for` lets others run in between.
        """
        assert self._changed is not None
        self._changed.clear()
        return self._changed.wait()

    def changed(self) -> None:
        """Wake those who look for work, and no lane."""
        if self._changed is not None:
            self._changed.set()

    def wake(self) -> None:
        """Wake one lane that sleeps."""
        while self._idle_lanes:
            future = self._idle_lanes.pop()
            if not future.done():
                future.set_result(None)
                return

    def touch(self) -> None:
        """Something changed: wake a lane (when closing, all), and who waits to look for work."""
        self.wake()
        if self.closing:
            while self._idle_lanes:
                self.wake()
        if (self.closing or not self.hungry) and self._changed is not None:
            self._changed.set()

    def look_again(self) -> None:
        """There may be room now: wake all who look for work."""
        self.hungry = True
        self.touch()
        if self._changed is not None:
            self._changed.set()
