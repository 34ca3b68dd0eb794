"""Calls what a class processor has beside ``process``: setup, teardown, and how a run ended.

Plain functions are called in one thread of their own, in order, where they may block and use the
ORM; coroutine functions in the event loop. Nothing that a hook raises touches a job.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..processors import Processor
from ..wire.calls.working import Outcome
from . import database
from .execute import Run

logger = logging.getLogger("queuecore.worker")

# What hooks that still wait or run get when the worker ends.
_PATIENCE = 5.0


class Hooks:
    """The hooks of all class processors of one worker."""

    def __init__(self, name: str, instances: Iterable[Processor]) -> None:
        self._loop = asyncio.get_running_loop()
        self._instances = list(instances)
        self._thread = ThreadPoolExecutor(1, f"queuecore-{name}-hooks")
        self._pending: set[asyncio.Future[Any]] = set()

    async def setup(self) -> None:
        """Call every ``setup``; what one raises is raised: the worker must not start."""
        for one in self._instances:
            await self._call(one.setup)

    def ended(self, run: Run, outcome: Outcome, value: Any) -> None:
        """Tell the processor of *run* that the server has taken its outcome."""
        assert run.entry is not None
        instance, job = run.entry.instance, run.job
        if instance is None:
            return
        if outcome.kind == "c" and _has(instance, "on_completed"):
            job._ended(outcome.attempts, b"returnvalue", outcome.value)
            self._tell(run, instance.on_completed, value)
        elif isinstance(value, BaseException) and _has(instance, "on_failed"):
            job._ended(outcome.attempts.rstrip("!"), b"failedReason", outcome.value)
            self._tell(run, instance.on_failed, value)

    async def close(self) -> None:
        """Let the hooks end that were called, then call every ``teardown``."""
        if self._pending:
            await asyncio.wait(self._pending, timeout=_PATIENCE)
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
            if self._instances:
                await self._loop.run_in_executor(self._thread, database.close_thread)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _tell(self, run: Run, hook: Callable[..., Any], value: Any) -> None:
        task = asyncio.ensure_future(self._call(hook, run.job, value))
        self._pending.add(task)

        def ended(task: asyncio.Future[Any]) -> None:
            self._pending.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                assert run.entry is not None
                logger.error(
                    "%s of %s failed for job %s",
                    hook.__name__, run.entry.where, run.job.id, exc_info=error,
                )  # fmt: skip

        task.add_done_callback(ended)

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        if inspect.iscoroutinefunction(hook):
            return hook(*arguments)
        return self._loop.run_in_executor(self._thread, _clean, hook, *arguments)


def _has(instance: Processor, name: str) -> bool:
    """Whether the class has a hook of its own: most have none, and cost nothing."""
    return getattr(type(instance), name) is not getattr(Processor, name)


def _clean(hook: Callable[..., Any], *arguments: Any) -> Any:
    return database.run_clean(lambda _: hook(*arguments), None)
