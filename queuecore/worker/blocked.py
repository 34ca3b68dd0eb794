"""Notices a blocked event loop, from another thread, and names the job that blocks it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

from ..logs import about
from .execute import Run

logger = logging.getLogger("queuecore.worker")

# Shorter blocks are not worth a line, and on a busy machine not even the job's fault; in seconds.
TOLERATED = 1.0


class LoopWatch:
    """Asks the running event loop for a sign of life at each :meth:`look`.

    Args:
        runs: gives the runs of now; called in the looking thread.
    """

    def __init__(self, name: str, runs: Callable[[], list[Run]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._name = name
        self._runs = runs
        self._asked: float | None = None
        self._told = False

    def look(self) -> None:
        """Tell, once a block, if the loop owes a sign of life for too long."""
        if self._asked is None:
            self._asked, self._told = time.monotonic(), False
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._answer)
        elif not self._told and time.monotonic() - self._asked >= TOLERATED:
            self._told = True
            self._tell(time.monotonic() - self._asked)

    def _answer(self) -> None:
        self._asked = None

    def _tell(self, seconds: float) -> None:
        task = asyncio.current_task(self._loop)
        run = next((one for one in self._runs() if task is not None and one.task is task), None)
        if run is None:
            return  # of another worker in this loop, or none's fault
        logger.warning(
            "queue %s: job %s %r has blocked the event loop for %.1f s, at %s: all other jobs and "
            "results of this process wait. Make its processor a plain function, which runs in a "
            "thread, or await what it waits for",
            self._name, run.job.id, run.job.name, seconds, self._place(run), extra=about(run.job),
        )  # fmt: skip

    def _place(self, run: Run) -> str:
        """``file:line`` where it blocks, in the processor's own file if it is there."""
        frame = innermost = sys._current_frames().get(self._thread)
        assert run.entry is not None
        own = getattr(inspect.unwrap(run.entry.function), "__code__", None)
        while frame is not None and own is not None and frame.f_code.co_filename != own.co_filename:
            frame = frame.f_back
        return _at(frame or innermost)


def _at(frame: FrameType | None) -> str:
    if frame is None:
        return "an unknown place"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_name})"
