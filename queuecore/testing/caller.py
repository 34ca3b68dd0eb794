"""A worker whose functions, coroutines and hooks run in the thread of the test.

The worker itself is the real one and lives in a helper thread; what is the project's own is handed
to the thread that waits for it: there it sees the transaction that the test has open.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor as Pool
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import Any

from asgiref.sync import async_to_sync
from django.db import connections

from ..callables import Entry
from ..options import Batch
from ..processors import QueueProcessors
from ..worker import Worker
from ..worker.execute import Executor, Run
from ..worker.hooks import Hooks

Work = tuple["Future[Any]", Callable[..., Any], tuple[Any, ...]]


class Caller(Pool):
    """Runs what others submit in the thread that calls :meth:`serve`."""

    def __init__(self) -> None:
        self._inbox: SimpleQueue[Work | None] = SimpleQueue()

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Let ``function(*args)`` be called by the thread that serves."""
        future: Future[Any] = Future()
        self._inbox.put((future, partial(function, **kwargs), args))
        return future

    def serve(self) -> None:
        """Call what is submitted, until :meth:`stop`."""
        while (work := self._inbox.get()) is not None:
            future, function, arguments = work
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = function(*arguments)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

    def stop(self) -> None:
        """Let :meth:`serve` return."""
        self._inbox.put(None)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing: it serves the next worker, too."""


class _Executor(Executor):
    """Begins runs in the thread of the caller."""

    def __init__(self, caller: Caller, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._caller = caller

    def start(self, run: Run) -> None:
        self._time(run)
        self._given += 1
        self._caller.submit(self._perform, run, _call)


class _Hooks(Hooks):
    """Calls hooks in the thread of the caller, coroutine functions too."""

    def _call(self, hook: Callable[..., Any], *arguments: Any) -> Any:
        return self._loop.run_in_executor(self._thread, plainly(hook), *arguments)

    # The thread is the test's: its database connections and queries stay as they are.

    async def _end_thread(self) -> None:
        pass

    def _tidy(self) -> None:
        pass


def work(caller: Caller, processors: QueueProcessors, listen: Callable[[Worker], None]) -> None:
    """Work the queue of *processors* until nothing is left to run now.

    *listen* gets the worker before it begins.
    """

    class InCaller(Worker):
        _executor_class = partial(_Executor, caller)
        _hooks_class = partial(_Hooks, thread=caller)

    prepared, concurrency = _prepared(processors)
    worker = InCaller(
        processors.queue,
        prepared,
        connection=processors.alias,
        concurrency=concurrency,
        burst=True,
        # Nobody else works here, and who debugs a job may take all day.
        lock_duration=24 * 3600,
        skip_stalled_check=True,
        heartbeat=None,
        statistics=None,
        unknown_job_limit=0,
        shutdown_timeout=0,
    )
    listen(worker)
    problems: list[BaseException] = []
    thread = threading.Thread(target=_live, args=(worker, caller, problems), daemon=True)
    thread.start()
    try:
        caller.serve()
    except BaseException:  # Ctrl-C
        stop(worker)
        raise
    thread.join()
    if problems:
        raise problems[0]


def stop(worker: Worker) -> None:
    """Let *worker* give back what it holds and end; from any thread."""
    with contextlib.suppress(RuntimeError):
        asyncio.run_coroutine_threadsafe(worker.close(0), worker._loop)


def _live(worker: Worker, caller: Caller, problems: list[BaseException]) -> None:
    async def main() -> None:
        try:
            await worker.arun()
        finally:
            await worker.queue.connection.aclose()

    try:
        asyncio.run(main())
    except BaseException as error:
        problems.append(error)
    finally:
        caller.stop()


def _prepared(processors: QueueProcessors) -> tuple[QueueProcessors, int]:
    """*processors* without what makes a test wait, and how many jobs at once.

    One job at a time, in their order; batches are filled as far as there are jobs.
    """
    entries = processors.entries()
    size = max((one.batch.size for one in entries if one.batch is not None), default=1)
    prepared = replace(
        processors,
        named={name: _unpatient(entry) for name, entry in processors.named.items()},
        default=processors.default and _unpatient(processors.default),
        concurrency=None,
        limiter=None,
        limits=None,
        group=None,
        sandbox=None,
    )
    return prepared, size


def _unpatient(entry: Entry) -> Entry:
    return entry if entry.batch is None else replace(entry, batch=Batch(entry.batch.size))


def plainly(function: Callable[..., Any]) -> Callable[..., Any]:
    """*function* as a plain one: a coroutine is awaited in an event loop of this thread."""
    target = function
    while isinstance(target, partial):
        target = target.func
    call = target if inspect.isroutine(target) else type(target).__call__
    return async_to_sync(function) if inspect.iscoroutinefunction(call) else function


def _call(function: Callable[..., Any], given: Any) -> Any:
    """Call a processor; what it wants to do after a commit is done, as in a worker.

    In a ``TestCase`` the test's own transaction is around everything and never commits.
    """
    with _committing():
        return plainly(function)(given)


@contextlib.contextmanager
def _committing() -> Iterator[None]:
    before = {
        one.alias: len(one.run_on_commit)
        for one in connections.all(initialized_only=True)
        if one.in_atomic_block
    }
    try:
        yield
    finally:
        for alias, count in before.items():
            connection = connections[alias]
            while len(connection.run_on_commit) > count:
                _, callback, *_ = connection.run_on_commit.pop(count)
                callback()
