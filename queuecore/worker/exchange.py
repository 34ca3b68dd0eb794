"""Exchange: one lane of a worker, by which outcomes go to the server and claimed jobs come back."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import QueueCoreError, ServerUnavailable
from ..queue import Queue
from ..wire.calls.working import Claim, ClaimOptions, Outcome, finish_and_claim
from .complaints import Complaints
from .pace import Pace


class Exchange:
    """A socket and a receipt of its own; one call at a time."""

    def __init__(
        self, queue: Queue, lane: int, options: ClaimOptions, complaints: Complaints
    ) -> None:
        self._queue = queue
        self._receipt = queue.keys.receipt("call", options.worker, lane)
        self._options = options
        self._complaints = complaints
        self._link = queue.connection.link()
        self._pace = Pace()

    async def send(self, number: int, outcomes: Sequence[Outcome], want: int) -> Claim | None:
        """Send call *number* until it is answered: the same outcomes and claim each time.

        None if it was only to claim and the server certainly did nothing: a full server takes
        outcomes, which must not wait behind a claim.
        """
        connection, clock = self._queue.connection, self._queue.connection.clock
        certain = not outcomes
        while True:
            try:
                now = await connection.anow() if clock.stale else clock.now_ms()
                answer = await self._link.send(
                    finish_and_claim(
                        self._queue.keys, self._receipt, number, self._options, now, outcomes, want
                    )
                )
            except QueueCoreError as error:
                self._complaints.tell(error)
                certain = certain and isinstance(error, ServerUnavailable) and not error.sent
            else:
                self._complaints.server_answers()
                self._pace.reset()
                return answer
            await self._pace.wait()
            if certain:
                return None

    async def close(self) -> None:
        """Close the socket at once."""
        await self._link.close()
