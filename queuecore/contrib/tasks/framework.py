"""Which task framework there is: Django's own where it has one, else the backport.

They are two frameworks, whose tasks are no tasks of the other; this is the one place that chooses.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING
from weakref import ReferenceType

from django.dispatch import Signal

IS_DJANGOS = find_spec("django.tasks") is not None
IS_THERE = IS_DJANGOS or find_spec("django_tasks") is not None


def check() -> None:
    """See to it that there is a framework.

    Raises:
        ImportError: there is none; the text says how to get one.
    """
    if not IS_THERE:
        raise ImportError(
            "queuecore.tasks needs Django 6.0 or later, or django-tasks on Django 5.2: "
            "pip install 'django-queuecore[tasks]'"
        )


if TYPE_CHECKING or IS_DJANGOS:
    from django.tasks import TaskContext, TaskResult, TaskResultStatus, task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY, Task, TaskError
    from django.tasks.exceptions import InvalidTask, InvalidTaskBackend, TaskResultDoesNotExist
    from django.tasks.signals import task_enqueued, task_finished, task_started
    from django.utils.json import normalize_json
elif IS_THERE:
    from django_tasks import TaskContext, TaskResult, TaskResultStatus, exceptions, task_backends
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import TASK_MAX_PRIORITY, TASK_MIN_PRIORITY, Task, TaskError
    from django_tasks.exceptions import TaskResultDoesNotExist
    from django_tasks.signals import task_enqueued, task_finished, task_started
    from django_tasks.utils import normalize_json

    # Up to 0.12 the backport has names of its own for two of them.
    InvalidTask = getattr(exceptions, "InvalidTask", None) or exceptions.InvalidTaskError
    InvalidTaskBackend = (
        getattr(exceptions, "InvalidTaskBackend", None) or exceptions.InvalidTaskBackendError
    )


def is_heard(signal: Signal) -> bool:
    """Whether *signal* has receivers besides the framework's own, which write to the log."""
    for _, held, *_ in signal.receivers:
        receiver = held() if isinstance(held, ReferenceType) else held
        module = getattr(receiver, "__module__", "")
        if receiver is not None and module not in ("django.tasks.signals", "django_tasks.signals"):
            return True
    return False


__all__ = [
    "IS_DJANGOS",
    "IS_THERE",
    "TASK_MAX_PRIORITY",
    "TASK_MIN_PRIORITY",
    "BaseTaskBackend",
    "InvalidTask",
    "InvalidTaskBackend",
    "Task",
    "TaskContext",
    "TaskError",
    "TaskResult",
    "TaskResultDoesNotExist",
    "TaskResultStatus",
    "check",
    "is_heard",
    "normalize_json",
    "task_backends",
    "task_enqueued",
    "task_finished",
    "task_started",
]
