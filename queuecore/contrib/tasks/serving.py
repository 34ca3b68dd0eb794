"""Serving: the queues that the setting ``TASKS`` names, for workers, without a ``@processor``."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from django.conf import settings

from ...backoff import Strategy, UnknownBackoff
from ...callables import Entry
from ...errors import ConfigurationError
from ...job import Job
from ...processors import QueueProcessors, Registry
from .attempt import entry_of, refusing, said
from .backend import BACKOFF, QueueCoreBackend
from .framework import InvalidTaskBackend, task_backends
from .names import find_task, is_foreign
from .result import result_of

logger = logging.getLogger("queuecore.worker")


@dataclass(slots=True)
class TaskProcessors(QueueProcessors):
    """The processors of one queue, and the tasks that are enqueued there.

    A job's name chooses a processor of that name first, then a task, then the processor without a
    name.
    """

    names_workers: ClassVar[bool] = True
    backends: list[QueueCoreBackend] = field(default_factory=list)
    # By the job's name.
    tasks: dict[str, Entry] = field(default_factory=dict)

    def find(self, name: str) -> Entry | None:
        """The processor of jobs called *name*, or None if nobody takes them."""
        found = self.named.get(name) or self.tasks.get(name)
        if found is not None:
            return found
        modules = [module for one in self.backends for module in one.modules]
        if (task := find_task(name, modules)) is not None:
            return self.tasks.setdefault(name, entry_of(self._backend(task), task))
        if self.default is None and is_foreign(name, modules):
            return refusing(self.refusal(name))
        return self.default

    def entries(self) -> list[Entry]:
        """All processors; tasks come by their jobs' names, and have none before."""
        return [*QueueProcessors.entries(self), refusing("")]

    def refusal(self, name: str) -> str:
        """Why no job called *name* is run."""
        return (
            f"{name!r} is neither a task of this project nor the name of a processor of queue "
            f"{self.queue!r}: only functions with @task in the project's own packages are run"
        )

    def strategy(self, configured: Strategy | None) -> Strategy | None:
        """What decides the wait of a backoff that is neither fixed nor exponential."""

        def decide(made: int, name: str, error: BaseException, job: Job) -> Any:
            if name != BACKOFF:
                if configured is None:
                    raise UnknownBackoff(
                        f"the job's backoff is {name[:80]!r}, which is neither fixed nor "
                        "exponential; name a function in "
                        "QUEUECORE['WORKER']['BACKOFF_STRATEGY']"
                    )
                return configured(made, name, error, job)
            modules = [module for one in self.backends for module in one.modules]
            task = find_task(job.name, modules)
            backoff = getattr(task, "backoff", None)
            if task is None or not callable(backoff):
                return 0
            result = result_of(self._backend(task), task, job, "active")
            wait = said(backoff, error, result)
            return -1 if wait is None else wait

        return decide

    def _backend(self, task: Any) -> QueueCoreBackend:
        """The task's own backend, if it serves this queue; else the first that does."""
        return next((one for one in self.backends if one.alias == task.backend), self.backends[0])


def serve(registry: Registry, named: Iterable[str]) -> Registry:
    """*registry*, and the queues of ``TASKS`` with it.

    Args:
        named: the queue names of the tasks that were found, for backends that name none.

    Raises:
        ConfigurationError: ``TASKS`` cannot be used.
    """
    served: dict[tuple[str, str], TaskProcessors] = {}
    for backend in backends():
        for fault in backend.faults():
            raise ConfigurationError(f"TASKS[{backend.alias!r}]: {fault}")
        for name in sorted(backend.queues or {"default", *named}):
            key = (backend.connection, name)
            if key not in served:
                served[key] = _beside(registry.queues.get(key) or QueueProcessors(*key))
            served[key].backends.append(backend)
            most = backend.options.get("CONCURRENCY")
            served[key].settle("concurrency", most, f"TASKS[{backend.alias!r}]")
    both = Registry()
    both.queues = {**registry.queues, **served}
    return both


def backends() -> list[QueueCoreBackend]:
    """The backends of ``TASKS`` that are ours.

    Raises:
        ConfigurationError: one of ``TASKS`` cannot be made.
    """
    found = []
    for alias in settings.TASKS:
        try:
            backend = task_backends[alias]
        except InvalidTaskBackend as error:
            raise ConfigurationError(f"TASKS[{alias!r}]: {error}") from error
        if isinstance(backend, QueueCoreBackend):
            found.append(backend)
    return found


def _beside(there: QueueProcessors) -> TaskProcessors:
    values = {one.name: getattr(there, one.name) for one in fields(there)}
    return TaskProcessors(**values | {"said_at": dict(there.said_at)})
