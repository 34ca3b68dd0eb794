"""QueueCoreBackend: enqueues tasks of Django's framework as jobs, and reads their results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any

from asgiref.sync import AsyncToSync, SyncToAsync, sync_to_async
from django.core.checks import CheckMessage, Error
from django.db import connections
from django.utils import timezone

from ... import conf, transactions
from ...errors import ConfigurationError, InvalidOption, SynchronousCall, did_you_mean
from ...job import Job
from ...options import Backoff, checked_queue_name
from ...queue import Queue
from ...wire.calls.tries import get_told
from ...wire.connections import get_connection
from .framework import (
    TASK_MAX_PRIORITY,
    BaseTaskBackend,
    InvalidTask,
    Task,
    TaskResult,
    TaskResultDoesNotExist,
    TaskResultStatus,
    is_heard,
    task_enqueued,
)
from .names import find_task, is_ours
from .result import at, result_id, result_of
from .task import QueueCoreTask, check_retries

#: The type of backoff of a task whose own function says how long to wait.
BACKOFF = "django.tasks"
# The framework's ids have less than 64 characters; 96 random bits of it are the job's.
_ID_BYTES = 12
_LONGEST_QUEUE = 63 - 1 - 2 * _ID_BYTES

_OPTIONS = (
    "CONNECTION",
    "PRIORITY",
    "ENQUEUE_ON_COMMIT",
    "OUTBOX",
    "DATABASE",
    "CONCURRENCY",
    "MODULES",
)
_QUEUES: dict[tuple[str, str], Queue] = {}


class QueueCoreBackend(BaseTaskBackend):
    """Tasks as jobs of BullMQ's format: name is the task's path, data its arguments.

    ``OPTIONS``, each of which may be left out:

    ``CONNECTION``: an alias of ``QUEUECORE["CONNECTIONS"]``. ``PRIORITY``: False serves tasks in
    the order they came, which costs the server less. ``ENQUEUE_ON_COMMIT``: False enqueues at once
    within a transaction. ``OUTBOX``: True writes a row of the outbox in the transaction instead, so
    that no task is lost. ``DATABASE``: the database whose transaction that is.
    ``CONCURRENCY``: tasks of a queue that a worker process runs at a time. ``MODULES``: packages
    with tasks besides the project's apps.

    A thread has a backend of its own, and a module that declares tasks makes one when it is
    imported: so it holds nothing, and asks nobody.
    """

    task_class = QueueCoreTask
    supports_defer = True
    supports_async_task = True
    supports_get_result = True

    def __init__(self, alias: str, params: Mapping[str, Any]) -> None:
        super().__init__(alias, dict(params))
        self.connection = self.options.get("CONNECTION", "default")
        self.database = self.options.get("DATABASE", "default")
        modules = self.options.get("MODULES", ())
        self.modules = () if isinstance(modules, str) else tuple(modules)

    @property
    def has_outbox(self) -> bool:
        """Whether tasks are written into the outbox."""
        return bool(self.options.get("OUTBOX", False))

    @property
    def supports_priority(self) -> bool:  # type: ignore[override]
        """Whether tasks are served by their priority."""
        return bool(self.options.get("PRIORITY", True))

    def validate_task(self, task: Task[Any, Any]) -> None:
        """See to it that *task* can be a job.

        Raises:
            InvalidTask: it cannot.
        """
        super().validate_task(task)
        if wrong := _wrong_queue(task.queue_name):
            raise InvalidTask(wrong)
        if isinstance(task, QueueCoreTask):
            check_retries(task.max_attempts, task.backoff)

    # Enqueueing

    def enqueue(
        self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult[Any, Any]:
        """Add the job of *task*; within a transaction, once it has committed.

        Raises:
            InvalidTask: it cannot be run by a worker.
            TypeError, NotSerializable: an argument is nothing that JSON knows.
            ServerUnavailable: the server was not reached.
        """
        if asyncio._get_running_loop() is not None:
            raise SynchronousCall(
                f"enqueue() blocks, and an event loop runs in this thread: await "
                f"{task.name}.aenqueue(...)"
            )
        result = self._checked(task, args, kwargs)
        if self.has_outbox:
            self._write(result)
        elif not self._waits(result):
            self._enqueued(result, self._add(result).timestamp)
        return result

    async def aenqueue(
        self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult[Any, Any]:
        """See :meth:`enqueue`."""
        result = self._checked(task, args, kwargs)
        if self.has_outbox:
            await sync_to_async(self._write)(result)
            return result
        if _has_thread() and await sync_to_async(self._waits)(result):
            return result
        queue, options = self._queue(task), self._job_options(result)
        job = await queue.aadd(task.module_path, _data(result), **options)
        if is_heard(task_enqueued):
            _take(result, job.timestamp)
            await task_enqueued.asend_robust(type(self), task_result=result)
        else:  # not for a line of the log through the thread that all tasks share
            self._enqueued(result, job.timestamp)
        return result

    def _checked(
        self, task: Task[Any, Any], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> TaskResult[Any, Any]:
        """The result that *task* will have, when everything is right that can be wrong."""
        self.validate_task(task)
        self._check_path(task)
        try:
            result: TaskResult[Any, Any] = TaskResult(
                task=task,
                id=result_id(task.queue_name, token_hex(_ID_BYTES)),
                status=TaskResultStatus.READY,
                enqueued_at=None,
                started_at=None,
                last_attempted_at=None,
                finished_at=None,
                args=list(args),
                kwargs=dict(kwargs),
                backend=self.alias,
                errors=[],
                worker_ids=[],
            )
        except TypeError as error:
            raise TypeError(
                f"{error}; the arguments of a task are written as JSON: of an object of the "
                "database pass the key (obj.pk)"
            ) from error
        return result

    def _check_path(self, task: Task[Any, Any]) -> None:
        """Refuse a task that no worker would find by its path."""
        path, module = task.module_path, task.func.__module__
        found = find_task(path, self.modules)
        if found is None:
            raise InvalidTask(
                f"{path} is no task for a worker: @task must stand at the function itself, whose "
                "name is the task's"
            )
        if not is_ours(module, self.modules):
            raise InvalidTask(
                f"a worker imports tasks from the project's own packages alone, and {module} is in "
                "none of them: add it to INSTALLED_APPS, or name it in OPTIONS['MODULES'] of "
                f"TASKS[{self.alias!r}]"
            )
        backoff = getattr(task, "backoff", None)
        if callable(backoff) and getattr(found, "backoff", None) is not backoff:
            raise InvalidTask(
                f"the worker asks the function of {path} itself how long to wait: give it to "
                "@task(backoff=...) and not to using()"
            )

    def _waits(self, result: TaskResult[Any, Any]) -> bool:
        """Whether a transaction runs in this thread; then *result* is enqueued when it commits."""
        if not self.options.get("ENQUEUE_ON_COMMIT", True):
            return False
        if not connections[self.database].in_atomic_block:
            return False
        # What the job cannot be is found now, and not in the commit.
        self._queue(result.task)._prepare(
            result.task.module_path, _data(result), self._job_options(result)
        )
        transactions.on_commit(
            lambda: self._enqueued(result, self._add(result).timestamp), using=self.database
        )
        return True

    def _write(self, result: TaskResult[Any, Any]) -> None:
        """Write *result* into the outbox, with the transaction that runs or one of its own."""
        task = result.task
        database = self.options.get("DATABASE") or transactions.outbox_databases()[0]
        # To the millisecond, as the job will have it.
        now = datetime.fromtimestamp(int(time.time() * 1000) / 1000, UTC)
        options = {"timestamp": now} | self._job_options(result, now)
        self._queue(task).add_in_transaction(
            task.module_path, _data(result), using=database, **options
        )
        transactions.on_commit(lambda: self._enqueued(result, now), using=database)

    def _add(self, result: TaskResult[Any, Any]) -> Job:
        task = result.task
        return self._queue(task).add(task.module_path, _data(result), **self._job_options(result))

    def _enqueued(self, result: TaskResult[Any, Any], when: datetime | None) -> None:
        _take(result, when)
        # The job is there: what a receiver raises must not make the caller add another.
        task_enqueued.send_robust(type(self), task_result=result)

    def _job_options(self, result: TaskResult[Any, Any], now: datetime | None = None) -> Any:
        task, now = result.task, now or datetime.now(UTC)
        options: dict[str, Any] = {"job_id": result.id.partition(":")[2]}
        if self.supports_priority:
            # All of them: BullMQ serves jobs without a priority before all others.
            options["priority"] = TASK_MAX_PRIORITY - int(task.priority)
        if task.run_after is not None:
            due = task.run_after
            if timezone.is_naive(due):
                due = timezone.make_aware(due)
            if due > now:
                # With the time that it counts from, so that it is due then and not a commit later.
                options |= {"timestamp": now, "delay": due - now}
        if isinstance(task, QueueCoreTask):
            if task.max_attempts is not None:
                options["attempts"] = task.max_attempts
            if callable(task.backoff):
                options["backoff"] = Backoff.custom(BACKOFF)
            elif task.backoff is not None:
                options["backoff"] = task.backoff
        return options

    def _queue(self, task: Task[Any, Any]) -> Queue:
        return queue_of(self.connection, task.queue_name)

    # Results

    def get_result(self, result_id: str) -> TaskResult[Any, Any]:
        """The result with this id.

        Raises:
            TaskResultDoesNotExist: there is none in the queues of this backend.
        """
        queue, job_id = self._place(result_id)
        return self._result(queue, job_id, queue._run(get_told(queue.keys, job_id)))

    async def aget_result(self, result_id: str) -> TaskResult[Any, Any]:
        """See :meth:`get_result`."""
        queue, job_id = self._place(result_id)
        return self._result(queue, job_id, await queue._arun(get_told(queue.keys, job_id)))

    def _place(self, result_id: Any) -> tuple[Queue, str]:
        name, _, job_id = str(result_id).partition(":")
        if not job_id or _wrong_queue(name) or (self.queues and name not in self.queues):
            raise TaskResultDoesNotExist(result_id)
        return queue_of(self.connection, name), job_id

    def _result(self, queue: Queue, job_id: str, told: Any) -> TaskResult[Any, Any]:
        state, fields, tries = told
        job = None if fields is None else Job(queue, job_id, fields)
        task = None if job is None else find_task(job.name, self.modules)
        if job is None or task is None:
            raise TaskResultDoesNotExist(result_id(queue.name, job_id))
        return result_of(self, task, job, state, tries)

    # Checks

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        """E020: what is wrong with ``TASKS[alias]``; asks no server."""
        return [
            Error(
                f"TASKS[{self.alias!r}]: {text}",
                hint="Correct what the text names; every key of OPTIONS is optional.",
                id="queuecore.E020",
            )
            for text in self.faults()
        ]

    def faults(self) -> Iterator[str]:
        """What is wrong with the settings of this backend."""
        for name in self.options:
            if name not in _OPTIONS:
                yield f"OPTIONS has no {name!r}{did_you_mean(name, _OPTIONS)}"
        if self.has_outbox and "ENQUEUE_ON_COMMIT" in self.options:
            yield "OPTIONS['OUTBOX'] writes with the transaction: leave out ENQUEUE_ON_COMMIT"
        for name in ("PRIORITY", "ENQUEUE_ON_COMMIT", "OUTBOX"):
            if not isinstance(value := self.options.get(name, True), bool):
                yield f"OPTIONS[{name!r}] must be True or False, not {value!r}"
        most = self.options.get("CONCURRENCY", 1)
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            yield f"OPTIONS['CONCURRENCY'] must be a whole number of at least 1, not {most!r}"
        if isinstance(self.options.get("MODULES", ()), str):
            yield "OPTIONS['MODULES'] must be a list of names of packages"
        if self.database not in connections:
            yield (
                f"OPTIONS['DATABASE'] names {self.database!r}, and DATABASES has none of that name"
            )
        try:
            conf.get_settings().connection(self.connection)
        except ConfigurationError as error:
            yield f"OPTIONS['CONNECTION']: {error}"
        for name in sorted(map(str, self.queues)):
            if wrong := _wrong_queue(name):
                yield f"QUEUES: {wrong}"


def queue_of(connection: str, name: str) -> Queue:
    """The queue of a name, one for the whole process, so that its connection is."""
    found = _QUEUES.get((connection, name))
    if found is None or found.connection is not get_connection(connection):
        found = _QUEUES[connection, name] = Queue(name, connection)
    return found


def _take(result: TaskResult[Any, Any], enqueued: datetime | None) -> None:
    object.__setattr__(result, "enqueued_at", at(enqueued))


def _data(result: TaskResult[Any, Any]) -> dict[str, Any]:
    return {"args": result.args, "kwargs": result.kwargs}


def _wrong_queue(name: str) -> str | None:
    """What is wrong with the name of a queue."""
    try:
        checked_queue_name(name)
    except InvalidOption as error:
        return str(error)
    if len(name) > _LONGEST_QUEUE:
        return (
            f"the queue name {name!r} is too long: ids of results, which carry it, have less than "
            f"64 characters, so it may have {_LONGEST_QUEUE}"
        )
    return None


def _has_thread() -> bool:
    """Whether this task of the loop has a thread for what is synchronous that has been used.

    A transaction can only be open there; the one thread that all tasks share is left alone.
    """
    if getattr(AsyncToSync.executors, "current", None) is not None:
        return True  # async_to_sync() waits for this loop
    context = SyncToAsync.thread_sensitive_context.get(None)
    return context is not None and context in SyncToAsync.context_to_thread_executor
