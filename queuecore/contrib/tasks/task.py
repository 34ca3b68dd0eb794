"""QueueCoreTask: what ``@task`` makes of a function for our backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from ...errors import InvalidOption
from ...options import Backoff, Seconds, milliseconds
from .framework import InvalidTask, Task, TaskContext

if TYPE_CHECKING:
    from ...job import Job

#: ``(exception, task_result)`` to the seconds (or a timedelta) until the next try; None gives up.
BackoffFunction = Callable[[BaseException, Any], Seconds | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCoreTask(Task):  # type: ignore[type-arg]
    """A task of Django's framework that may be tried again when it fails.

    ``max_attempts``: tries in all; without it ``QUEUECORE["DEFAULT_JOB_OPTIONS"]["attempts"]``,
    else one. ``backoff``: the wait between two: seconds, a timedelta, a :class:`Backoff`, or a
    function of the exception and the task's result that returns seconds, or None to give up.
    ``run_after`` may be a timedelta, from now on.
    """

    max_attempts: int | None = None
    backoff: Backoff | Seconds | BackoffFunction | None = None

    def __post_init__(self) -> None:
        after: Any = self.run_after
        if isinstance(after, timedelta):
            object.__setattr__(self, "run_after", timezone.now() + after)
        elif after is not None and not isinstance(after, datetime):
            raise InvalidTask(
                f"run_after must be a datetime, or a timedelta from now on, not {after!r}"
            )
        Task.__post_init__(self)  # no super(): with slots the class is made twice

    def using(
        self,
        *,
        priority: int | None = None,
        queue_name: str | None = None,
        run_after: datetime | timedelta | None = None,
        backend: str | None = None,
        max_attempts: int | None = None,
        backoff: Backoff | Seconds | None = None,
    ) -> QueueCoreTask:
        """A copy with other values."""
        given = {
            "priority": priority,
            "queue_name": queue_name,
            "run_after": run_after,
            "backend": backend,
            "max_attempts": max_attempts,
            "backoff": backoff,
        }
        return replace(self, **{name: one for name, one in given.items() if one is not None})  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCoreContext(TaskContext):  # type: ignore[type-arg, misc]
    """What a task with ``takes_context`` gets; ``job`` is its job, for progress and log."""

    job: Job


def check_retries(max_attempts: Any, backoff: Any) -> None:
    """See to it that a task can be tried again as it says.

    Raises:
        InvalidTask: it cannot.
    """
    if max_attempts is not None and (
        isinstance(max_attempts, bool) or not isinstance(max_attempts, int) or max_attempts < 1
    ):
        raise InvalidTask(
            f"max_attempts must be a whole number of at least 1, not {max_attempts!r}"
        )
    if backoff is None or isinstance(backoff, Backoff) or callable(backoff):
        return
    try:
        milliseconds(backoff, "backoff")
    except InvalidOption:
        raise InvalidTask(
            "backoff must be seconds, a timedelta, a queuecore.Backoff or a function of the "
            f"exception and the task's result, not {backoff!r}"
        ) from None
