"""The worker process: one event loop, one worker a queue, signals and exit codes."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

from .worker import Worker

logger = logging.getLogger("queuecore.worker")

# A second signal leaves no time to unwind, but the jobs are still handed back.
_AT_ONCE = 0.0


def run(
    workers: Sequence[Worker],
    *,
    shutdown_timeout: float | None = None,
    beside: Sequence[Coroutine[Any, Any, None]] = (),
) -> None:
    """Run *workers* in this process until SIGTERM or SIGINT, then shut them down gracefully.

    Args:
        shutdown_timeout: seconds running jobs get after the first signal; a second signal hands
            them back at once.
        beside: coroutines that run as long as the workers do (the history collector).

    Raises:
        Exception: what a part of a worker died of, so that the process ends with a code that
            makes its supervisor start it again.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_supervise(workers, shutdown_timeout, beside))


async def _supervise(
    workers: Sequence[Worker],
    shutdown_timeout: float | None,
    beside: Sequence[Coroutine[Any, Any, None]],
) -> None:
    loop = asyncio.get_running_loop()
    tasks = [asyncio.create_task(worker.arun()) for worker in workers]
    helpers = [asyncio.create_task(one) for one in beside]
    closing: list[asyncio.Task[None]] = []

    def on_signal(name: str) -> None:
        timeout = _AT_ONCE if closing else shutdown_timeout
        logger.info("%s: %s", name, "handing back at once" if closing else "shutting down")
        closing.extend(asyncio.create_task(one.close(timeout)) for one in workers)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, signal.Signals(number).name)
    try:
        # Whatever dies of a fault takes the process with it; what else runs is handed back first.
        everyone: asyncio.Future[list[None]] = asyncio.gather(*tasks)
        watched: list[asyncio.Future[Any]] = [everyone, *helpers]
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if not everyone.done() or everyone.exception() is not None:
            await asyncio.gather(*(one.close(_AT_ONCE) for one in workers))
            await asyncio.gather(*tasks, return_exceptions=True)
        for one in done:
            one.result()
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, *closing, return_exceptions=True)
        for connection in {one.queue.connection for one in workers}:
            await connection.aclose()  # its sockets belong to this loop, which ends here


def leave(code: int) -> None:
    """End the process now: threads of jobs that were handed back must not hold it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # the `speed` extra is not installed
        return None
    return uvloop.new_event_loop
