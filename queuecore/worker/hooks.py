"""Calls what wants to know what happens in a worker: methods of class processors, and listeners.

Plain functions are called in one thread of their own, in order, where they may block and use the
ORM; coroutine functions in the event loop. Nothing that a hook raises touches a job.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..job import Job
from ..processors import Processor, where
from ..wire.calls.working import Outcome
from . import database
from .execute import Run

logger = logging.getLogger("queuecore.worker")

# BullMQ's events of a worker, in snake_case; a class processor hears `x` by its method `on_x`.
EVENTS = (
    "active", "completed", "failed", "progress", "stalled", "locks_renewed",
    "lock_renewal_failed", "error", "drained", "ready", "paused", "resumed", "closing", "closed",
)  # fmt: skip
# What hooks that still wait or run get when the worker ends.
_PATIENCE = 5.0


class Hooks:
    """The hooks of one worker: those of its class processors, and its *listeners* by event."""

    def __init__(
        self,
        name: str,
        instances: Iterable[Processor],
        listeners: Mapping[str, Sequence[Callable[..., Any]]],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._instances = list(instances)
        self.listeners = listeners
        self._thread = ThreadPoolExecutor(1, f"queuecore-{name}-hooks")
        self._pending: set[asyncio.Future[Any]] = set()

    async def setup(self) -> None:
        """Call every ``setup``; what one raises is raised: the worker must not start."""
        for one in self._instances:
            await self._call(one.setup)

    def started(self, run: Run) -> None:
        """Tell that the processor of *run* begins."""
        self._of_job("active", run)

    def progressed(self, run: Run, progress: Any) -> None:
        """Tell that the processor of *run* has set its progress."""
        self._of_job("progress", run, progress)

    def ended(self, run: Run, outcome: Outcome, value: Any) -> None:
        """Tell that the server has taken the outcome of *run*."""
        if outcome.kind == "c":
            for hook in (hooks := self._wanted("completed", run)):
                if hook is hooks[0]:
                    run.job._ended(outcome.attempts, b"returnvalue", outcome.value)
                self._tell(hook, run.job, value)
        elif isinstance(value, BaseException):
            for hook in (hooks := self._wanted("failed", run)):
                if hook is hooks[0]:
                    attempts = outcome.attempts.rstrip("!")
                    run.job._ended(attempts, b"failedReason", outcome.value)
                self._tell(hook, run.job, value)

    def tell(self, event: str, *arguments: Any) -> None:
        """Tell every class processor and listener of *event*, which is none of one job."""
        for instance in self._instances:
            if _has(instance, f"on_{event}"):
                self._tell(getattr(instance, f"on_{event}"), *arguments)
        for listener in self.listeners.get(event, ()):
            self._tell(listener, *arguments)

    async def close(self) -> None:
        """Let the hooks end that were called, then call every ``teardown``."""
        await self._settle()
        if self._pending:
            logger.error(
                "%d hooks had not ended %g s after the worker's last job and are given up",
                len(self._pending), _PATIENCE,
            )  # fmt: skip
        else:
            for one in self._instances:
                try:
                    await self._call(one.teardown)
                except BaseException:
                    logger.exception("teardown of %s failed", type(one).__qualname__)
            self.tell("closed")
            await self._settle()
            if self._instances or self.listeners:
                await self._loop.run_in_executor(self._thread, database.close_thread)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _settle(self) -> None:
        if self._pending:
            await asyncio.wait(self._pending, timeout=_PATIENCE)

    def _of_job(self, event: str, run: Run, *arguments: Any) -> None:
        for hook in self._wanted(event, run):
            self._tell(hook, run.job, *arguments)

    def _wanted(self, event: str, run: Run) -> list[Callable[..., Any]]:
        """The hooks of the job's own processor, and the worker's."""
        instance = run.entry.instance if run.entry is not None else None
        if instance is None and not self.listeners:
            return _NONE
        own = [getattr(instance, f"on_{event}")] if _has(instance, f"on_{event}") else []
        return [*own, *self.listeners.get(event, ())]

    def _tell(self, hook: Callable[..., Any], *arguments: Any) -> None:
        task = asyncio.ensure_future(self._call(hook, *arguments))
        self._pending.add(task)

        def ended(task: asyncio.Future[Any]) -> None:
            self._pending.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                job = arguments[0] if arguments and isinstance(arguments[0], Job) else None
                owner = type(hook.__self__) if inspect.ismethod(hook) else None
                name = getattr(hook, "__name__", "a listener")
                about = f" for job {job.id}" if job is not None else ""
                logger.error("%s of %s failed%s", name, where(owner or hook), about, exc_info=error)

        task.add_done_callback(ended)

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        if inspect.iscoroutinefunction(hook):
            return hook(*arguments)
        return self._loop.run_in_executor(self._thread, _clean, hook, *arguments)


_NONE: list[Callable[..., Any]] = []


def _has(instance: Processor | None, name: str) -> bool:
    """Whether the class has a hook of its own: most have none, and cost nothing."""
    there = getattr(type(instance), name, None) if instance is not None else None
    return there is not None and there is not getattr(Processor, name, None)


def _clean(hook: Callable[..., Any], *arguments: Any) -> Any:
    return database.run_clean(lambda _: hook(*arguments), None)
