"""Looks for jobs whose worker died, and lets them run again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable

from ..errors import QueueCoreError
from ..wire.calls.base import NOW, Operation
from ..wire.calls.working import move_stalled_jobs_to_wait
from ..wire.connections import Connection
from ..wire.keys import Keys

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
    while True:
        try:
            recovered, failing = await connection.arun(_check(keys, interval, max_stalled))
        except QueueCoreError as error:
            logger.debug("the stalled check of %s failed: %s", keys.name, error)
            await asyncio.sleep(random.uniform(0.05, min(2.0, interval)))
            continue
        for id in recovered:
            verdict = "fails now" if id in failing else "runs again"
            logger.warning("job %s of %s was left by its worker and %s", id, keys.name, verdict)
            tell(id)
        # Not earlier, since the server would refuse it and a whole interval were lost; a little
        # later at times, so that the check does not hang on one of the workers.
        await asyncio.sleep(interval * random.uniform(1, 1.05))


def _check(keys: Keys, interval: float, max_stalled: int) -> Operation[tuple[list[str], list[str]]]:
    now = yield NOW
    answer: tuple[list[str], list[str]] = yield move_stalled_jobs_to_wait(
        keys, now, round(interval * 1000), max_stalled
    )
    return answer
