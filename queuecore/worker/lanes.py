"""Lanes: the calls of a worker, by which outcomes go to the server and claimed jobs come back.

Two lanes take turns: while the server works on one lane's call, Python runs the jobs of the
other's answer. A call carries every outcome that piled up since the last one and claims as many
jobs as there are free slots, so that batches grow under load and nothing waits for a batch to
fill. With one slot this is BullMQ's finish-and-fetch. A worker with free slots and nothing to
claim blocks on the marker.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from ..errors import QueueCoreError
from ..queue import Queue
from ..wire.calls.working import Claim, ClaimOptions, hand_back
from .complaints import Complaints
from .demand import LANES, Demand
from .exchange import Exchange
from .fetch import Marker
from .pace import Pace
from .runs import Runs

logger = logging.getLogger("queuecore.worker")

# Where others use up the global concurrency, they are looked at again after so long, since not
# every client tells when it frees a slot. In seconds.
_MAXED = 1.0


class Lanes:
    """Takes jobs from the server to *runs*, and their outcomes back, as *demand* says.

    *done* ends all of it; with *burst* it is set once nothing is left to run. *longest_limit*: a
    limited queue is looked at again after so many seconds at the latest, since the limit may be
    lifted. *ready*: nothing is claimed before.
    """

    def __init__(
        self,
        queue: Queue,
        options: ClaimOptions,
        demand: Demand,
        runs: Runs,
        marker: Marker,
        complaints: Complaints,
        tell: Callable[..., None],
        done: asyncio.Event,
        *,
        longest_limit: float,
        burst: bool,
        ready: asyncio.Event,
    ) -> None:
        self._queue = queue
        self._options = options
        self._demand = demand
        self._runs = runs
        self._marker = marker
        self._complaints = complaints
        self._tell = tell
        self._done = done
        self._longest_limit = longest_limit
        self._burst = burst
        self._ready = ready
        # Of the last call. One counter over all lanes: a token names one claim of one worker.
        self._number = 0
        # Whether the last claim found nothing; `drained` is told once.
        self._drained = False

    async def run(self, number: int) -> None:
        """Be lane *number*: send call after call, until the worker has closed.

        Each takes every outcome there is, and claims for the free slots.
        """
        demand, runs = self._demand, self._runs
        exchange = Exchange(self._queue, number, self._options, self._complaints)
        try:
            await self._ready.wait()
            while not self._ending():
                outcomes = runs.take_outcomes()
                want = demand.reserve(bool(outcomes))
                if not outcomes and not want:
                    if demand.closing and not runs and not demand.in_flight:
                        demand.touch()
                        return
                    await demand.idle()
                    continue
                if runs.outcomes or (demand.hungry and demand.free > 0):
                    demand.wake()
                demand.in_flight += 1
                self._number = call = self._number + 1
                try:
                    sent = [outcome for _, outcome, _ in outcomes]
                    claim = await exchange.send(call, sent, want)
                finally:
                    demand.in_flight -= 1
                    demand.reserved -= want
                if claim is None:
                    demand.hungry = True
                    continue
                runs.acknowledged(outcomes, claim)
                self._take(call, claim, want)
                if demand.closing:
                    demand.touch()
        finally:
            await exchange.close()

    def _take(self, number: int, claim: Claim, want: int) -> None:
        """Start what a call claimed, and learn from it whether to claim again."""
        demand, runs = self._demand, self._runs
        for claimed in claim.jobs:
            runs.start(number, claimed, claim.begun)
        if claim.limit_ttl:
            demand.limit(min(claim.limit_ttl / 1000, self._longest_limit))
        if want:
            got = len(claim.jobs)
            # Filled: there may be more. Not filled although there is more: another's turn, and
            # the marker, which every claim sets, calls us back. Otherwise there is nothing.
            if got == want:
                demand.hungry = True
            if not got and not self._drained and not claim.limit_ttl:
                self._tell("drained")
            self._drained = not got
            demand.next_due = claim.next_due
            if claim.maxed:
                again = self._queue.connection.clock.now_ms() + round(_MAXED * 1000)
                demand.next_due = min(claim.next_due or again, again)
            if not demand.hungry:
                demand.changed()
            empty = not got and not claim.more and not claim.limit_ttl
            if self._burst and empty and not runs and not demand.in_flight:
                self._done.set()

    async def wait_for_work(self) -> None:
        """Block on the marker whenever there are free slots and nothing to claim."""
        demand = self._demand
        pace = Pace()
        while not demand.closing and not self._ending():
            try:
                if demand.marked and not demand.may_claim():
                    # Taken, but a limit or a pause came, or the slots are full: another's turn.
                    demand.marked = False
                    await self._marker.put()
                # Not while a claim is under way: its answer tells until when to wait.
                if demand.hungry or demand.reserved or not demand.may_claim():
                    await demand.change()
                    continue
                demand.marked = await self._marker.wait(demand.next_due)
                if demand.marked and not demand.may_claim():
                    continue
                pace.reset()
            except QueueCoreError as error:
                self._complaints.tell(error)
                await pace.wait()
            if self._ending():
                return
            demand.next_due = 0
            demand.hungry = True
            demand.touch()

    def _ending(self) -> bool:
        """Whether ``arun`` is over; asked because connecting can swallow a cancellation."""
        return self._done.is_set()

    async def hand_back(self, held: int) -> None:
        """Give the jobs of this worker back, which holds *held*; its lanes claim no more."""
        if self._number == 0:
            return
        # Even if nothing is held: a call may still be under way, and closed lanes make it claim
        # nothing; what one has claimed whose answer never came is handed back, too.
        try:
            back = await self._queue.connection.arun(
                hand_back(self._queue.keys, self._options.worker, LANES)
            )
        except QueueCoreError as error:
            if not held:
                return
            logger.error(
                "queue %s: %d running jobs could not be handed back and stay locked for up to "
                "%g s: %s",
                self._queue.name, held, self._options.lock_duration / 1000, error,
                extra={"queue": self._queue.name},
            )  # fmt: skip
        else:
            if back:
                logger.info(
                    "queue %s: handed back %d running jobs",
                    self._queue.name, len(back), extra={"queue": self._queue.name},
                )  # fmt: skip
