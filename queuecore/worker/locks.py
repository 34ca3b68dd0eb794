"""Keeps the locks of running jobs alive, from a thread and over a socket of its own.

Neither a blocked event loop nor a busy command connection costs a job its lock. A lock is renewed
until the server has acknowledged the job's outcome.
"""

from __future__ import annotations

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


class LockRenewer(threading.Thread):
    """Renews the locks of one worker's runs.

    Args:
        runs: gives the runs of now; called in this thread.
        token: gives a run's lock token.
        lost: called in this thread with a run whose job another worker holds.
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
    ) -> None:
        super().__init__(name=f"queuecore-locks-{keys.name}", daemon=True)
        self._connection = connection.sibling()
        self._keys = keys
        self._duration = round(lock_duration * 1000)
        self._renew_after = renew_after
        self._runs = runs
        self._token = token
        self._lost = lost
        self._renewed: dict[Run, float] = {}
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look every half renewal period; after an error again at once, with a short pause."""
        pause = 0.05
        wait = self._renew_after / 2
        while not self._stopping.wait(wait):
            try:
                self._renew()
            except QueueCoreError as error:
                wait = random.uniform(0.02, pause)
                pause = min(pause * 2, 1.0)
                logger.debug("renewing locks of %s failed: %s", self._keys.name, error)
            else:
                wait, pause = self._renew_after / 2, 0.05

    def stop(self) -> None:
        """End the thread; does not wait for it."""
        self._stopping.set()

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
            for run, answer in zip(batch, answers, strict=True):
                if answer:
                    renewed[run] = now
                    # 2: taken again, which writes no mark.
                    run.confirmed = run.confirmed or answer == 1
                else:
                    self._lost(run)
        if not self._stopping.is_set() and not runs:
            self._connection.close()
