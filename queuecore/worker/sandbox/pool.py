"""Pool: the sandboxes of one worker, some of them warm before a job comes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from ...errors import SandboxBroken
from ...queue import Queue
from ..execute import Run
from .child import Child, Spec

logger = logging.getLogger("queuecore.worker")

# Between two starts while they fail; in seconds.
_PACE = 1.0


class Pool:
    """Gives each job a sandbox that no other job uses meanwhile.

    Args:
        size: how many there may be.
        most_jobs: a sandbox is replaced after so many; None keeps it.
    """

    def __init__(
        self, spec: Spec, queue: Queue, size: Callable[[], int], most_jobs: int | None
    ) -> None:
        self._spec = spec
        self._queue = queue
        self._size = size
        self._most_jobs = most_jobs
        self._loop = asyncio.get_running_loop()
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._waiting: deque[asyncio.Future[Child]] = deque()
        self._starting = 0
        self._failed_at: float | None = None
        self._closing = False
        self._starts: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.Task[None]] = set()
        self._grow()

    async def work(self, run: Run, begun: Callable[[], None]) -> Any:
        """Run one job in a sandbox; what its processor returned.

        Args:
            begun: called when there is one, from when on the job's time counts.

        Raises:
            SandboxBroken: none can be started.
            SandboxDied, Exception: see :meth:`Child.work`.
        """
        child = await self._borrow()
        run.pid = child.pid
        begun()
        try:
            return await child.work(run)
        finally:
            self._give_back(child)

    async def close(self) -> None:
        """End every sandbox; those that still run a job are killed."""
        self._closing = True
        for child in self._busy:
            child.kill()
        children = [*self._idle, *self._busy]
        self._idle.clear()
        for child in children:
            self._aside(child.end(), self._ends)
        for task in self._starts:
            task.cancel()
        while tasks := [*self._starts, *self._ends]:
            await asyncio.wait(tasks)

    async def _borrow(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if not child.dead:
                self._busy.add(child)
                self._grow()
                return child
        wanted: asyncio.Future[Child] = self._loop.create_future()
        self._waiting.append(wanted)
        self._grow()
        try:
            return await wanted
        except asyncio.CancelledError:
            if wanted.done() and not wanted.cancelled() and wanted.exception() is None:
                self._give_back(wanted.result())
            raise

    def _give_back(self, child: Child) -> None:
        self._busy.discard(child)
        worn = self._most_jobs is not None and child.jobs >= self._most_jobs
        if child.dead or worn or self._closing or len(self._busy) + len(self._idle) >= self._size():
            self._aside(child.end(), self._ends)
        else:
            self._hand_out(child)
        self._grow()

    def _hand_out(self, child: Child) -> None:
        while self._waiting:
            wanted = self._waiting.popleft()
            if not wanted.done():
                self._busy.add(child)
                wanted.set_result(child)
                return
        self._idle.append(child)

    def _grow(self) -> None:
        """Start sandboxes for the jobs that wait, and one more for the next."""
        if self._closing:
            return
        self._idle = [child for child in self._idle if not child.dead]
        waiting = sum(not wanted.done() for wanted in self._waiting)
        room = self._size() - len(self._idle) - len(self._busy) - self._starting
        lacking = waiting + 1 - len(self._idle) - self._starting
        if self._failed_at is not None:
            lacking = min(lacking, 1 - self._starting, waiting)  # one by one, and none in advance
        for _ in range(min(room, lacking)):
            self._starting += 1
            self._aside(self._start(), self._starts)

    async def _start(self) -> None:
        child = Child(self._spec, self._queue)
        try:
            if self._failed_at is not None:
                await asyncio.sleep(self._failed_at + _PACE - self._loop.time())
            await child.begin()
        except Exception as error:  # descriptors may have run out: nobody shall wait for ever
            broken = error if isinstance(error, SandboxBroken) else SandboxBroken(repr(error))
            self._failed_at = self._loop.time()
            logger.error("queue %s: %s", self._spec.queue, broken)
            for wanted in self._waiting:
                if not wanted.done():
                    wanted.set_exception(broken)
            self._waiting.clear()
            # Not here: this is cancelled when the worker closes, the end of a process is not.
            self._aside(child.end(), self._ends)
        except asyncio.CancelledError:
            self._aside(child.end(), self._ends)
            raise
        else:
            self._failed_at = None
            self._hand_out(child)
        finally:
            self._starting -= 1
        self._grow()

    def _aside(self, coroutine: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        task = self._loop.create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
