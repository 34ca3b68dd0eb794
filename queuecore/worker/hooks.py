"""Calls what wants to know what happens in a worker: methods of class processors, and listeners.

Plain functions are called in one thread of their own, in order, where they may block and use the
ORM; coroutine functions in the event loop. Nothing that a hook raises touches a job.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import signals
from ..callables import Processor, where
from ..job import Job
from ..processors import QueueProcessors
from ..signals import JobSignal
from ..wire.calls.working import Outcome
from . import database
from .execute import Run

if TYPE_CHECKING:
    from .worker import Worker

logger = logging.getLogger("queuecore.worker")

# BullMQ's events of a worker, in snake_case; a class processor hears `x` by its method `on_x`.
EVENTS = (
    "active", "completed", "failed", "progress", "stalled", "locks_renewed",
    "lock_renewal_failed", "error", "drained", "ready", "paused", "resumed", "closing", "closed",
)  # fmt: skip
# What hooks that still wait or run get when the worker ends.
_PATIENCE = 5.0


class Hooks:
    """The hooks of one worker: those of its class processors, its *listeners* by event,
    and the receivers of Django's signals."""

    def __init__(
        self,
        worker: Worker,
        listeners: Mapping[str, Sequence[Callable[..., Any]]],
        thread: Executor | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._worker = worker
        self._queue = queue = worker.queue
        self._instances: list[Processor] = []
        self.listeners = listeners
        # Those that somebody listens to, as of now: nobody else pays for it.
        self.signals = signals.heard()
        self._thread = thread or ThreadPoolExecutor(1, f"queuecore-{queue.name}-hooks")
        self._pending: set[asyncio.Future[Any]] = set()

    @property
    def heard(self) -> bool:
        """Whether anybody may want to know what becomes of jobs; asked a job, so it is quick."""
        return bool(self._instances or self.listeners or self.signals)

    async def setup(self, processors: QueueProcessors) -> QueueProcessors:
        """Make the classes of *processors* and call every ``setup``; the processors with them.

        What one raises is raised: the worker must not start.
        """
        made = processors
        if any(one.owner is not None for one in processors.entries()):
            made = await self._call(processors.bound)
        self._instances = made.instances()
        for one in self._instances:
            await self._call(one.setup)
        return made

    def started(self, run: Run) -> None:
        """Tell that the processor of *run* begins."""
        self._of_job("active", run)
        if "active" in self.signals:
            self._signal("active", job=run.job)

    def progressed(self, run: Run, progress: Any) -> None:
        """Tell that the processor of *run* has set its progress."""
        self._of_job("progress", run, progress)

    def ended(self, run: Run, outcome: Outcome, value: Any) -> None:
        """Tell that the server has taken the outcome of *run*."""
        if outcome.kind == "c":
            hooks, heard = self._wanted("completed", run), "completed" in self.signals
            if hooks or heard:
                run.job._ended(outcome.attempts, b"returnvalue", outcome.value)
            for hook in hooks:
                self._tell(hook, run.job, value)
            if heard:
                self._signal("completed", job=run.job, result=value)
        elif isinstance(value, BaseException):
            hooks, heard = self._wanted("failed", run), "failed" in self.signals
            if hooks or heard:
                attempts = outcome.attempts.rstrip("!")
                run.job._ended(attempts, b"failedReason", outcome.value)
            for hook in hooks:
                self._tell(hook, run.job, value)
            if heard:
                self._signal("failed", job=run.job, error=value, will_retry=outcome.kind != "f")

    def tell(self, event: str, *arguments: Any) -> None:
        """Tell every class processor and listener of *event*, which is none of one job."""
        for instance in self._instances:
            if _has(instance, f"on_{event}"):
                self._tell(getattr(instance, f"on_{event}"), *arguments)
        for listener in self.listeners.get(event, ()):
            self._tell(listener, *arguments)
        if event in self.signals:
            if event == "stalled":
                self._signal(event, job_id=arguments[0])
            else:
                self._keep(self._send(self.signals[event], type(self._worker), worker=self._worker))

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
            if self._instances or self.listeners or self.signals:
                await self._end_thread()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _end_thread(self) -> None:
        await self._loop.run_in_executor(self._thread, database.close_thread)

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
        task = self._keep(self._call(hook, *arguments))

        def ended(task: asyncio.Future[Any]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                job = arguments[0] if arguments and isinstance(arguments[0], Job) else None
                owner = type(hook.__self__) if inspect.ismethod(hook) else None
                name = getattr(hook, "__name__", "a listener")
                about = f" for job {job.id}" if job is not None else ""
                logger.error("%s of %s failed%s", name, where(owner or hook), about, exc_info=error)

        task.add_done_callback(ended)

    def _keep(self, call: Any) -> asyncio.Future[Any]:
        """Let *call* run beside the jobs; the end of the worker waits for it."""
        task: asyncio.Future[Any] = asyncio.ensure_future(call)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        return task

    def _signal(self, event: str, **named: Any) -> None:
        queue = self._queue
        self._keep(self._send(self.signals[event], type(queue), queue=queue, **named))

    async def _send(self, signal: JobSignal, sender: type, **named: Any) -> None:
        # In the thread of the hooks, and in its order.
        if not signal.awaits:
            await self._call(partial(signal.send_robust, sender, **named))
            return
        self._tidy()
        with database.within(self._thread):
            await signal.asend_robust(sender, **named)
        self._tidy()

    def _tidy(self) -> None:
        """Clean the thread's database connections, between what it does now and what follows."""
        self._keep(self._loop.run_in_executor(self._thread, database.clean))

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
