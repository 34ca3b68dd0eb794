"""Keeps the locks of running jobs alive, from a thread and over a socket of its own.

Neither a blocked event loop nor a busy command connection costs a job its lock. A lock is renewed
until the server has acknowledged the job's outcome.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable

from ..errors import QueueCoreError
from ..wire.calls.working import HeldLock, extend_locks
from ..wire.connections import Connection
from ..wire.keys import Keys
from .execute import Run

logger = logging.getLogger("queuecore.worker")

_BATCH = 500
_FIRST_PAUSE = 0.05
#: The longest time between two tries to renew while the server is away.
LONGEST_PAUSE = 1.0
# What a call under way gets when the worker ends.
_PATIENCE = 1.0


class LockRenewer(threading.Thread):
    """Renews the locks of one worker's runs.

    Args:
        runs: gives the runs of now; called in this thread.
        token: gives a run's lock token.
        lost: called in this thread with a run whose job another worker holds.
        renewed: called in this thread with the ids of the jobs whose locks were renewed.
        look: called in this thread before each renewal.
    """

    def __init__(
        self,
        connection: Connection,
        keys: Keys,
        *,
        lock_duration: float,
        renew_after: float,
        runs: Callable[[], list[Run]],
        token: Callable[[Run], str],
        lost: Callable[[Run], None],
        renewed: Callable[[list[str]], None],
        look: Callable[[], None],
    ) -> None:
        super().__init__(name=f"queuecore-locks-{keys.name}", daemon=True)
        self._connection = connection.sibling()
        self._keys = keys
        self._duration = round(lock_duration * 1000)
        self._renew_after = renew_after
        self._runs = runs
        self._token = token
        self._lost = lost
        self._tell = renewed
        self._look = look
        self._renewed: dict[Run, float] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look every half renewal period; after an error again at once, with a short pause."""
        pause = _FIRST_PAUSE
        wait = self._renew_after / 2
        while not self._stopping.wait(wait):
            try:
                self._look()
                self._renew()
            except Exception as error:
                wait = random.uniform(_FIRST_PAUSE / 2, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                if isinstance(error, QueueCoreError):
                    logger.debug("renewing locks of %s failed: %s", self._keys.name, error)
                else:
                    # Whatever it is, without this thread every long job would run twice.
                    logger.exception("renewing locks of %s failed", self._keys.name)
            else:
                wait, pause = self._renew_after / 2, _FIRST_PAUSE
        self._connection.close()

    async def close(self) -> None:
        """End the thread; waits for it unless it hangs in a call."""
        self._stopping.set()
        deadline = time.monotonic() + _PATIENCE
        while self.is_alive() and time.monotonic() < deadline:  # noqa: ASYNC110 (a thread)
            await asyncio.sleep(0.002)

    def _renew(self) -> None:
        now = time.monotonic()
        runs = [run for run in self._runs() if not run.lost]
        renewed = {run: self._renewed.get(run, run.claimed) for run in runs}
        self._renewed = renewed
        due = [run for run, at in renewed.items() if now - at >= self._renew_after]
        for start in range(0, len(due), _BATCH):
            batch = due[start : start + _BATCH]
            locks = [
                HeldLock(run.job.id, self._token(run), run.starts, not run.confirmed)
                for run in batch
            ]
            answers = self._connection.run(extend_locks(self._keys, self._duration, locks))
            held = []
            for run, answer in zip(batch, answers, strict=True):
                if answer == 0:
                    self._lost(run)
                elif answer != 3:  # 3: it runs on, and is tried again with the next look
                    renewed[run] = now
                    held.append(run.job.id)
                    # 2: taken again, which writes no mark.
                    run.confirmed = run.confirmed or answer == 1
            if held:
                self._tell(held)
        if not runs:
            self._connection.close()
