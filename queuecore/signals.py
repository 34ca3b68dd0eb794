"""Signals: Django's, for what becomes of jobs; whoever connects no receiver pays nothing for them.

``job_added`` is sent by the process that adds, once the server has the job. The others are sent by
the worker that runs it, whose receivers are called as its hooks are: plain ones one by one in a
thread where they may use the ORM, coroutine functions in its event loop. A receiver that raises is
logged and harms no job. A worker looks for receivers when it starts: connect them in ``ready``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction
from django.dispatch import Signal

if TYPE_CHECKING:
    from .job import Job

logger = logging.getLogger("queuecore.signals")


class JobSignal(Signal):
    """A signal whose receivers may raise: what they raise is logged as ours."""

    def __init__(self, name: str) -> None:
        super().__init__(use_caching=True)
        self.name = name
        # Whether a coroutine function was ever connected; else one call sends it.
        self.awaits = False

    def connect(self, receiver: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """See :meth:`django.dispatch.Signal.connect`."""
        self.awaits = self.awaits or iscoroutinefunction(receiver)
        super().connect(receiver, *args, **kwargs)

    @property
    def heard(self) -> bool:
        """Whether anybody has connected; costs next to nothing."""
        return bool(self.receivers)

    def __repr__(self) -> str:
        return f"<signal {self.name}>"

    def _log_robust_failure(self, receiver: Callable[..., Any], err: BaseException) -> None:
        name = getattr(receiver, "__qualname__", None) or repr(receiver)
        module = getattr(receiver, "__module__", "?")
        logger.error("receiver %s.%s of %s failed", module, name, self.name, exc_info=err)


# Sender: the class Queue. Each brings `queue`, the Queue.
job_added = JobSignal("job_added")  # job
job_started = JobSignal("job_started")  # job
job_completed = JobSignal("job_completed")  # job, result
job_failed = JobSignal("job_failed")  # job, error, will_retry
job_stalled = JobSignal("job_stalled")  # job_id

# Sender: the class Worker. Each brings `worker`, the Worker.
worker_started = JobSignal("worker_started")
worker_stopped = JobSignal("worker_stopped")

#: What a worker tells, by its own names for it.
_OF_WORKER = {
    "active": job_started,
    "completed": job_completed,
    "failed": job_failed,
    "stalled": job_stalled,
    "ready": worker_started,
    "closed": worker_stopped,
}


def tell_added(jobs: Iterable[Job]) -> None:
    """Send ``job_added`` for each of the *jobs* that the server has taken."""
    if job_added.heard:
        for job in jobs:
            job_added.send_robust(type(job.queue), queue=job.queue, job=job)


async def atell_added(jobs: Iterable[Job]) -> None:
    """See :func:`tell_added`; plain receivers are called as ``sync_to_async`` calls."""
    if job_added.heard:
        for job in jobs:
            await job_added.asend_robust(type(job.queue), queue=job.queue, job=job)


def heard() -> dict[str, JobSignal]:
    """The signals that somebody listens to, by the worker's names for them."""
    return {event: signal for event, signal in _OF_WORKER.items() if signal.heard}
