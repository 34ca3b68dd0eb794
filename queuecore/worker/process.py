"""The worker process: one event loop, one worker a queue, signals and exit codes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Coroutine, Sequence
from typing import Any

from .tasks import end, guard, stop_signals
from .worker import Worker

logger = logging.getLogger("queuecore.worker")

# A second signal leaves no time to unwind, but the jobs are still handed back.
_AT_ONCE = 0.0


def run(
    workers: Sequence[Worker],
    *,
    shutdown_timeout: float | None = None,
    beside: Sequence[Coroutine[Any, Any, None]] = (),
    leave: bool = False,
) -> None:
    """Run *workers* until SIGTERM, SIGINT or SIGHUP, then shut them down gracefully.

    In another than the main thread, which gets no signals, until ``close`` of each is called.

    Args:
        shutdown_timeout: seconds running jobs get after the first signal; a second signal hands
            them back at once.
        beside: coroutines that run as long as the workers do (the history collector).
        leave: end the process, too: with code 0, or 1 and a traceback if a part of it died. What
            still runs of jobs that were handed back (threads, coroutines that will not be
            cancelled) is not waited for.

    Raises:
        Exception: what a part of a worker died of, so that the process ends with a code that
            makes its supervisor start it again.
    """

    async def main() -> None:
        guard(asyncio.get_running_loop())
        try:
            await _supervise(workers, shutdown_timeout, beside)
        except BaseException:
            if not leave:
                raise
            traceback.print_exc()
            _leave(1)
        if leave:
            _leave(0)

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


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

    if threading.current_thread() is threading.main_thread():
        for number in stop_signals():
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
        if everyone not in done:
            raise RuntimeError("a part of the process that runs beside the workers has ended")
    finally:
        await end(helpers)
        await asyncio.gather(*closing, return_exceptions=True)
        for connection in {one.queue.connection for one in workers}:
            await connection.aclose()  # its sockets belong to this loop, which ends here


def _leave(code: int) -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        # One may be closed, or a pipe that nobody reads any more: no reason for another code.
        with contextlib.suppress(AttributeError, OSError, ValueError):
            stream.flush()
    os._exit(code)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # the `speed` extra is not installed
        return None
    return uvloop.new_event_loop
