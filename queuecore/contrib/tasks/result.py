"""Results: a job as a ``TaskResult`` of Django's framework."""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone

from ... import conf
from ...job import Job
from .framework import (
    TASK_MAX_PRIORITY,
    TASK_MIN_PRIORITY,
    Task,
    TaskError,
    TaskResult,
    TaskResultStatus,
)
from .task import QueueCoreTask

if TYPE_CHECKING:
    from .backend import QueueCoreBackend

#: Of a try of which nobody says who made it.
NOBODY = "unknown"
# What a traceback says between two errors of which one followed the other.
_CHAINED = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)
_HEADER = "Traceback (most recent call last):"
_ERROR = re.compile(r"([^\W\d][\w.<>]*)(?::\s|:?$)")
# The class of what another client says of a failure, which has none.
_NO_CLASS = "queuecore.errors.JobFailed"
_STATUS = {
    "completed": TaskResultStatus.SUCCESSFUL,
    "failed": TaskResultStatus.FAILED,
    "active": TaskResultStatus.RUNNING,
}
# Earlier tries: when each began (ms), and who made it.
Tries = Sequence[tuple[int, str]]


def result_of(
    backend: QueueCoreBackend, task: Task[Any, Any], job: Job, state: str, tries: Tries = ()
) -> TaskResult[Any, Any]:
    """The result that *job* of *task* is, in the *state* it was found in."""
    status = _STATUS.get(state, TaskResultStatus.READY)
    if (ended := job.finished_on) is not None and state not in ("completed", "failed"):
        # It has ended since its state was read.
        status = _STATUS["completed" if b"returnvalue" in job._fields else "failed"]
    args, kwargs = arguments(job.data) or ([], {})
    workers = _workers(job, status, tries)
    began = datetime.fromtimestamp(tries[0][0] / 1000, UTC) if tries else job.processed_on
    result: TaskResult[Any, Any] = TaskResult(
        task=_as_enqueued(backend, task, job),
        id=result_id(job.queue.name, job.id),
        status=status,
        enqueued_at=at(job.timestamp),
        started_at=at(began) if workers else None,
        last_attempted_at=at(job.processed_on) if workers else None,
        finished_at=at(ended) if status in _ENDED else None,
        args=args,
        kwargs=kwargs,
        backend=backend.alias,
        errors=_errors(job, status),
        worker_ids=workers,
    )
    if status == TaskResultStatus.SUCCESSFUL:
        object.__setattr__(result, "_return_value", job.returnvalue)
    return result


_ENDED = (TaskResultStatus.SUCCESSFUL, TaskResultStatus.FAILED)


def result_id(queue: str, job_id: str) -> str:
    """The id of a result: it carries the queue, since it is all that a reader is given."""
    return f"{queue}:{job_id}"


def arguments(data: Any) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments that a job's data are for its task; None if they are none."""
    if not isinstance(data, dict) or not set(data) <= {"args", "kwargs"}:
        return None
    args, kwargs = data.get("args") or [], data.get("kwargs") or {}
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        return None
    return args, kwargs


def at(moment: datetime | None) -> datetime | None:
    """A moment as the project keeps them: aware, or with ``USE_TZ=False`` naive and local."""
    if moment is None or settings.USE_TZ:
        return moment
    return timezone.make_naive(moment)


def error_of(error: BaseException, trace: str) -> TaskError:
    """What a result says of *error*."""
    kind = type(error)
    return TaskError(exception_class_path=f"{kind.__module__}.{kind.__qualname__}", traceback=trace)


def class_path(trace: str) -> str | None:
    """The dotted path of the class of the error whose traceback this is; None if it says none."""
    lines, found = trace.splitlines(), None
    at = 0
    while at < len(lines):
        margin = 4 if lines[at].startswith("  + ") else 0  # of a group of errors
        at += _HEADER in lines[at]
        while at < len(lines) and lines[at][margin : margin + 2] == "  ":
            at += 1  # a frame
        match = _ERROR.match(lines[at][margin:]) if at < len(lines) else None
        found = match[1] if match else found
        # What stands below is the error's text, which may say anything, up to the next error's.
        while at < len(lines) and lines[at] not in _CHAINED:
            at += 1
        at += 2
    if found is None or "." in found:
        return found
    kind = getattr(builtins, found, None)
    is_error = isinstance(kind, type) and issubclass(kind, BaseException)
    return f"builtins.{found}" if is_error else None


def _as_enqueued(backend: QueueCoreBackend, task: Task[Any, Any], job: Job) -> Task[Any, Any]:
    """*task* with what its job was given instead of its own."""
    delay, priority = job.opts.get("delay"), job.opts.get("priority")
    changes: dict[str, Any] = {"backend": backend.alias, "queue_name": job.queue.name}
    if backend.supports_priority:
        wire = priority if isinstance(priority, int) else 0
        changes["priority"] = min(
            max(TASK_MAX_PRIORITY - wire, TASK_MIN_PRIORITY), TASK_MAX_PRIORITY
        )
    if isinstance(delay, int | float) and delay > 0 and job.timestamp is not None:
        due = (job.timestamp.timestamp() * 1000 + delay) / 1000
        changes["run_after"] = at(datetime.fromtimestamp(due, UTC))
    if isinstance(task, QueueCoreTask):
        own = task.max_attempts or conf.get_settings().default_job_options.get("attempts") or 1
        given = job.opts.get("attempts") or 1
        if isinstance(given, int) and given != own:
            changes["max_attempts"] = given
    return replace(task, **changes)


def _workers(job: Job, status: TaskResultStatus, tries: Tries) -> list[str]:
    """Who made each try. What is not noted is taken for the last one's."""
    made = job.attempts_made + (status == TaskResultStatus.RUNNING)
    # The token of a run begins with its worker's id.
    last = job.processed_by or job.token.rpartition(":")[0] or NOBODY
    earlier = [worker for _, worker in tries][:made]
    return earlier + [last] * (made - len(earlier))


def _errors(job: Job, status: TaskResultStatus) -> list[TaskError]:
    errors = [
        TaskError(exception_class_path=class_path(trace) or _NO_CLASS, traceback=trace)
        for trace in job.stacktrace
    ]
    if status == TaskResultStatus.FAILED and not errors:
        errors.append(TaskError(exception_class_path=_NO_CLASS, traceback=job.failed_reason or ""))
    return errors
