"""The backend of Django's task framework: jobs of BullMQ for what is declared with ``@task``.

``TASKS = {"default": {"BACKEND": "queuecore.tasks.QueueCoreBackend"}}``. The framework is Django's
own ``django.tasks`` (6.0 and later) or its backport ``django_tasks`` (5.2); where both are
installed, it is Django's.

Nothing is imported before it is asked for: Celery and others import the module ``tasks`` of every
app, in projects that have neither framework, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .contrib.tasks.backend import QueueCoreBackend
    from .contrib.tasks.task import QueueCoreContext, QueueCoreTask

__all__ = ["QueueCoreBackend", "QueueCoreContext", "QueueCoreTask"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .contrib.tasks import framework

    framework.check()
    from .contrib.tasks import backend, task

    return getattr(backend if name == "QueueCoreBackend" else task, name)
