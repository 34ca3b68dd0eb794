"""Wear: lets a worker process end by itself after so many jobs, or with so much memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from .presence import resident
from .worker import Worker

logger = logging.getLogger("queuecore.worker")

_LOOK = 1.0
# What it runs is finished, as long as that takes; uvloop knows no infinity.
_AS_LONG_AS_IT_TAKES = 365 * 24 * 3600.0


async def watch(
    workers: Sequence[Worker],
    *,
    most_jobs: int | None,
    most_memory: int | None,
    ask: Callable[[str], Awaitable[None]] | None,
) -> None:
    """Drain and end *workers* once they are worn; never returns.

    Args:
        most_jobs: of all workers together.
        most_memory: resident bytes of this process.
        ask: called with the reason first; they work on until it returns.
    """
    while (why := _worn(workers, most_jobs, most_memory)) is None:  # noqa: ASYNC110 (figures)
        await asyncio.sleep(_LOOK)
    if ask is not None:
        await ask(why)
    logger.info("this process has worked enough, and ends with what it runs: %s", why)
    await asyncio.gather(*(one.close(_AS_LONG_AS_IT_TAKES) for one in workers))
    await asyncio.Event().wait()


def _worn(workers: Sequence[Worker], most_jobs: int | None, most_memory: int | None) -> str | None:
    done = sum(one._runs.completed + one._runs.failed for one in workers)
    if most_jobs is not None and done >= most_jobs:
        return f"{done} jobs"
    if most_memory is not None and (memory := resident()) >= most_memory:
        return f"{memory / 2**20:.0f} MB of memory"
    return None
