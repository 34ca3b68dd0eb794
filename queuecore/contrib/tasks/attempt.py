"""Attempt: one run of a task by a worker, and the processors that make one of a job."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.dispatch import Signal
from django.utils import timezone

from ...callables import Entry, where
from ...errors import (
    DelayedError,
    JobCancelled,
    NotSerializable,
    QueueCoreError,
    UnrecoverableError,
    WaitingChildrenError,
    WaitingError,
)
from ...job import Job
from ...wire.calls.base import Operation
from ...wire.calls.tries import add_try, get_tries
from ...worker.finish import is_rate_limit, trace
from .framework import (
    Task,
    TaskResult,
    TaskResultStatus,
    is_heard,
    normalize_json,
    task_finished,
    task_started,
)
from .result import Tries, arguments, error_of, result_of
from .task import QueueCoreContext

if TYPE_CHECKING:
    from .backend import QueueCoreBackend

logger = logging.getLogger("queuecore.worker")

#: Where an error carries what its task's function has said: the seconds to wait, or None.
WAIT = "_queuecore_wait"
# By these a run says that it was none: its job has been moved, or comes back by itself.
_NO_ATTEMPT = (DelayedError, WaitingError, WaitingChildrenError)


def entry_of(backend: QueueCoreBackend, task: Task[Any, Any]) -> Entry:
    """The processor of the jobs of *task*."""

    def work(job: Job) -> Any:
        attempt = Attempt(backend, task, job)
        attempt.begin(job.queue._run(attempt.tries()))
        attempt.tell(task_started)
        try:
            value = attempt.succeeded(task.call(*attempt.args, **attempt.kwargs))
        except BaseException as error:
            if attempt.failed(error):
                attempt.tell(task_finished)
            else:
                with contextlib.suppress(QueueCoreError):
                    job.queue._run(attempt.noted())
            raise
        attempt.tell(task_finished)
        return value

    async def awork(job: Job) -> Any:
        attempt = Attempt(backend, task, job)
        attempt.begin(await job.queue._arun(attempt.tries()))
        await attempt.atell(task_started)
        try:
            value = attempt.succeeded(await task.acall(*attempt.args, **attempt.kwargs))
        except BaseException as error:
            if attempt.failed(error):
                await attempt.atell(task_finished)
            else:
                with contextlib.suppress(QueueCoreError):
                    await job.queue._arun(attempt.noted())
            raise
        await attempt.atell(task_finished)
        return value

    is_async = iscoroutinefunction(task.func)
    return Entry(function=awork if is_async else work, is_async=is_async, where=where(task.func))


def refusing(text: str) -> Entry:
    """A processor of jobs that must not be run: they fail for good, with this text."""

    def refuse(job: Job) -> None:
        raise UnrecoverableError(text)

    return Entry(function=refuse, is_async=False, where=__name__)


class Attempt:
    """One try of a task: its arguments, and its result as far as it is known."""

    def __init__(self, backend: QueueCoreBackend, task: Task[Any, Any], job: Job) -> None:
        self._sender = type(backend)
        self._backend = backend
        self._task = task
        self._job = job

    def tries(self) -> Operation[Tries]:
        """Read the earlier tries, if there were any."""
        if not self._job.attempts_made:
            return []
        try:
            found: Tries = yield get_tries(self._job.queue.keys, self._job.id)
        except QueueCoreError:
            return []  # nobody's work is to fail for it
        return found

    def begin(self, tries: Tries) -> None:
        """Take the arguments from the job.

        Raises:
            UnrecoverableError: its data are none.
        """
        found = arguments(self._job.data)
        if found is None:
            raise UnrecoverableError(
                f"the data of a job of the task {self._job.name} must be "
                '{"args": [...], "kwargs": {...}}, each of which may be left out'
            )
        self.result: TaskResult[Any, Any] = result_of(
            self._backend, self._task, self._job, "active", tries
        )
        args, self.kwargs = found
        self.args = args
        if self._task.takes_context:
            self.args = [QueueCoreContext(task_result=self.result, job=self._job), *args]

    def tell(self, signal: Signal) -> None:
        """Send *signal*; what a receiver raises is logged, and touches no task."""
        signal.send_robust(self._sender, task_result=self.result)

    async def atell(self, signal: Signal) -> None:
        """See :meth:`tell`: in the job's own thread, where receivers may use the database.

        Not by ``asend_robust``, which loses the error that is being handled on Django 5.2.
        """
        if is_heard(signal) or self.result.status == TaskResultStatus.FAILED:
            await sync_to_async(self.tell)(signal)
        else:  # a line of the log; that of a failure may be a mail
            self.tell(signal)

    def succeeded(self, value: Any) -> Any:
        """Note what the task has returned, and give it as JSON knows it.

        Raises:
            TypeError, ValueError: it does not.
        """
        try:
            written = normalize_json(value)
        except (TypeError, ValueError):
            self._give_up()  # a further try would repeat what was done, only to end here, too
            raise
        self._set(
            status=TaskResultStatus.SUCCESSFUL, finished_at=timezone.now(), _return_value=written
        )
        return written

    def failed(self, error: BaseException) -> bool:
        """Note what the task has raised; whether that was its end."""
        cancelled = self._job.cancelled is not None
        if isinstance(error, _NO_ATTEMPT) or is_rate_limit(error):
            self._began = None
            return False
        if isinstance(error, asyncio.CancelledError | GeneratorExit) and not cancelled:
            self._began = None
            return False  # the worker stops, or another one has the job
        told = JobCancelled(self._job.cancelled or "") if cancelled else error
        self.result.errors.append(error_of(told, trace(error)))
        final = isinstance(error, UnrecoverableError | NotSerializable) or self._is_last(error)
        self._set(
            status=TaskResultStatus.FAILED if final else TaskResultStatus.READY,
            finished_at=timezone.now() if final else None,
        )
        self._began = None if final else self._job.processed_on
        return final

    def noted(self) -> Operation[None]:
        """Note this try for the result of the job, which another try follows."""
        if self._began is not None:
            began = round(self._began.timestamp() * 1000)
            worker = self.result.worker_ids[-1]
            yield from add_try(self._job.queue.keys, self._job.id, began, worker)

    def _is_last(self, error: BaseException) -> bool:
        attempts = self._job.opts.get("attempts")
        if not isinstance(attempts, int) or self._job.attempts_made + 1 >= attempts:
            return True
        backoff = getattr(self._task, "backoff", None)
        if not callable(backoff):
            return False
        try:
            wait = said(backoff, error, self.result)
        except Exception:  # the task's own error comes first
            logger.exception("the backoff of %s failed, so it is not tried again", self._job.name)
            wait = None
        if wait is None:
            self._give_up()
        return wait is None

    def _give_up(self) -> None:
        # In this worker's own copy, by which it decides whether another try follows.
        self._job.opts["attempts"] = self._job.attempts_made + 1

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self.result, name, value)


def said(backoff: Callable[..., Any], error: BaseException, result: Any) -> Any:
    """What a task's function says of *error*, which is asked once: the seconds to wait, or None."""
    if not hasattr(error, WAIT):
        wait = backoff(error, result)
        with contextlib.suppress(AttributeError):  # a class with slots
            setattr(error, WAIT, wait)
        return wait
    return getattr(error, WAIT)
