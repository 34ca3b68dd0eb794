"""Looks for jobs whose worker died, and lets them run again: a running worker, or a thread."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable

from ..errors import QueueCoreError
from ..wire.calls.base import NOW, Command, Operation
from ..wire.calls.working import move_stalled_jobs_to_wait
from ..wire.connections import Connection
from ..wire.keys import Keys
from .locks import LONGEST_PAUSE

#: Locks that ran out while the server was away are taken again by those who still run their jobs:
#: a look for stalled jobs that came first would take those for a dead worker's, and run them twice.
RENEWALS_FIRST = LONGEST_PAUSE * 1.5

logger = logging.getLogger("queuecore.worker")


async def watch(
    connection: Connection,
    keys: Keys,
    interval: float,
    max_stalled: int,
    tell: Callable[[str], None],
) -> None:
    """Check now and every *interval* seconds, for ever; one worker of all does each check.

    *tell* is called with the id of each job that was recovered.
    """
    away = False
    while True:
        try:
            if away:
                await connection.arun(Command(("PING",)))
                away = False
                await asyncio.sleep(RENEWALS_FIRST)
            recovered, failing = await connection.arun(_check(keys, interval, max_stalled))
        except QueueCoreError as error:
            logger.debug("the stalled check of %s failed: %s", keys.name, error)
            away = True
            await asyncio.sleep(random.uniform(0.05, min(2.0, interval)))
            continue
        report(keys, recovered, failing)
        for id in recovered:
            tell(id)
        await asyncio.sleep(_pause(interval))


class StalledChecks(threading.Thread):
    """The same checks, for a program that has no running worker (``startStalledCheckTimer``)."""

    def __init__(
        self, connection: Connection, keys: Keys, interval: float, max_stalled: int
    ) -> None:
        super().__init__(name=f"queuecore-stalled-{keys.name}", daemon=True)
        self._connection = connection.sibling()
        self._keys = keys
        self._interval = interval
        self._max_stalled = max_stalled
        self._stopping = threading.Event()

    def run(self) -> None:
        """Check now and every interval, until :meth:`stop`."""
        wait, away = 0.0, False
        while not self._stopping.wait(wait):
            try:
                if away:
                    self._connection.run(Command(("PING",)))
                    away, wait = False, RENEWALS_FIRST
                    continue
                report(
                    self._keys,
                    *self._connection.run(_check(self._keys, self._interval, self._max_stalled)),
                )
                wait = _pause(self._interval)
            except QueueCoreError as error:
                logger.debug("the stalled check of %s failed: %s", self._keys.name, error)
                away = True
                wait = random.uniform(0.05, min(2.0, self._interval))
        self._connection.close()

    def stop(self) -> None:
        """End the thread with its present check."""
        self._stopping.set()


def report(keys: Keys, recovered: list[str], failing: list[str]) -> None:
    """Log what became of jobs whose worker is dead."""
    for id in recovered:
        verdict = "fails now" if id in failing else "runs again"
        logger.warning(
            "job %s of %s was left by its worker and %s",
            id, keys.name, verdict, extra={"queue": keys.name, "job_id": id},
        )  # fmt: skip


def _pause(interval: float) -> float:
    """Until the next check.

    Not earlier, since the server would refuse it and a whole interval were lost; a little later at
    times, so that the check does not hang on one of the workers.
    """
    return interval * random.uniform(1, 1.05)


def _check(keys: Keys, interval: float, max_stalled: int) -> Operation[tuple[list[str], list[str]]]:
    now = yield NOW
    answer: tuple[list[str], list[str]] = yield move_stalled_jobs_to_wait(
        keys, now, round(interval * 1000), max_stalled
    )
    return answer
