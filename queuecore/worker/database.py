"""Database connections of running jobs: the only place of the worker that knows Django.

Sync processors run in threads of their own, each with its own connections, which are checked
before and after each job as Django does around a request. Async processors reach the ORM through
asgiref, which would send all of them through one thread: each running job borrows a context with
a thread of its own, and only a context that was used is cleaned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any

from asgiref.sync import SyncToAsync, ThreadSensitiveContext
from django.db import close_old_connections, connections, reset_queries


def run_clean(function: Callable[[Any], Any], job: Any) -> Any:
    """Call ``function(job)`` in this thread between two checks of its connections."""
    close_old_connections()
    try:
        return function(job)
    finally:
        clean()


def clean() -> None:
    """Close what is broken or too old of this thread's connections, and forget its queries.

    What stays open is tried before it is used again, with the first query of the next job, as
    ``CONN_HEALTH_CHECKS`` does in requests: a thread does not hear that its connection is gone, and
    a job must not fail of that.
    """
    close_old_connections()
    for one in connections.all(initialized_only=True):
        one.health_check_enabled = True  # type: ignore[attr-defined]
    reset_queries()


@contextmanager
def within(executor: Executor) -> Iterator[None]:
    """Let ``sync_to_async`` use the thread of *executor* in the running task, within the block."""
    context = ThreadSensitiveContext()
    SyncToAsync.context_to_thread_executor[context] = executor
    token = SyncToAsync.thread_sensitive_context.set(context)
    try:
        yield
    finally:
        SyncToAsync.thread_sensitive_context.reset(token)
        SyncToAsync.context_to_thread_executor.pop(context, None)


def close_thread() -> None:
    """Close all connections of this thread; called when it ends."""
    connections.close_all()


class Contexts:
    """Reusable thread contexts for async jobs, as many as run at once."""

    def __init__(self) -> None:
        self._free: list[ThreadSensitiveContext] = []

    def enter(self) -> ThreadSensitiveContext:
        """Borrow a context and make it the running task's; asgiref then uses its thread."""
        context = self._free.pop() if self._free else ThreadSensitiveContext()
        # A task has a context of its own, so the variable needs no reset.
        SyncToAsync.thread_sensitive_context.set(context)
        return context

    async def leave(self, context: ThreadSensitiveContext) -> None:
        """Clean the connections of its thread, if it ever had one, and give it back."""
        executor = SyncToAsync.context_to_thread_executor.get(context)
        if executor is not None:
            await _in(executor, clean)
        self._free.append(context)

    def used(self, context: ThreadSensitiveContext) -> bool:
        """Whether the job reached for a thread, so that :meth:`leave` has something to clean."""
        return context in SyncToAsync.context_to_thread_executor

    def give(self, context: ThreadSensitiveContext) -> None:
        """Give back a context that was not used."""
        self._free.append(context)

    async def close(self) -> None:
        """Close every context's connections and end its thread."""
        for context in self._free:
            executor = SyncToAsync.context_to_thread_executor.pop(context, None)
            if executor is not None:
                await _in(executor, close_thread)
                executor.shutdown(wait=False)
        self._free.clear()


async def _in(executor: Any, function: Callable[[], None]) -> None:
    import asyncio

    await asyncio.get_running_loop().run_in_executor(executor, function)
