"""Control: what a program does to one worker of its own while that works.

Pausing, cancelling and another concurrency are local: nothing of it reaches the server, and other
workers of the queue go on. BullMQ's ``Worker`` has the same methods.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from .. import conf
from ..errors import ConfigurationError, did_you_mean
from ..job import Job
from ..queue import Queue
from .demand import Demand
from .execute import Executor
from .hooks import EVENTS, Hooks
from .manual import Manual
from .runs import Runs
from .stalled import StalledChecks
from .tasks import call_in

F = TypeVar("F", bound=Callable[..., Any])


class Control:
    """The part of a :class:`queuecore.Worker` that steers it."""

    queue: Queue
    settings: conf.WorkerSettings
    _checks: StalledChecks | None = None
    _hooks: Hooks
    _manual: Manual
    _executor: Executor | None
    _runs: Runs
    _demand: Demand
    _loop: asyncio.AbstractEventLoop
    _begun: bool
    _listeners: dict[str, list[Callable[..., Any]]]

    def on(self, event: str, function: F | None = None) -> Any:
        """Call *function* when *event* happens in this worker; also as a decorator.

        A plain function is called in a thread of its own, where it may block and use the ORM, a
        coroutine function in the event loop; what it raises is logged. The events, and what they
        are called with: ``active`` (job), ``completed`` (job, result), ``failed`` (job, error),
        ``progress`` (job, progress), ``stalled`` (job id), ``locks_renewed`` (job ids),
        ``lock_renewal_failed`` (job id), ``error`` (error), ``drained``, ``ready``, ``paused``,
        ``resumed``, ``closing`` and ``closed`` (nothing).

        Raises:
            ConfigurationError: there is no such event, or *function* cannot be called.
        """
        if event not in EVENTS:
            raise ConfigurationError(
                f"a worker has no event {event!r}{did_you_mean(event, EVENTS)}; "
                f"the events are {', '.join(EVENTS)}"
            )
        if function is None:
            return lambda wrapped: self.on(event, wrapped)
        if not callable(function):
            raise ConfigurationError(f"on({event!r}) needs a function, not {function!r}")
        self._listeners.setdefault(event, []).append(function)
        return function

    @property
    def concurrency(self) -> int:
        """How many jobs run at a time; may be set while the worker runs, from any thread.

        What runs beyond a smaller number is finished.
        """
        return self._demand.concurrency

    @concurrency.setter
    def concurrency(self, value: int) -> None:
        checked = replace(conf.get_settings().worker, concurrency=value).concurrency
        self._demand.concurrency = checked
        if self._executor is not None:
            self._executor.resize(checked)
        self._in_loop(self._demand.look_again)

    def get_next_job(self, *, block: bool = True) -> Job | None:
        """Claim the next job, for a program that runs it itself (BullMQ ``getNextJob``).

        The worker need not run. Nobody renews the lock: call ``job.extend_lock()`` in time, and
        end it by ``job.move_to_completed()`` or ``job.move_to_failed()``.

        Args:
            block: wait for a job, for ``drain_delay`` of the settings at most.

        Returns None if there is none; at once, too, while a rate limit holds
        (:meth:`Queue.get_rate_limit_ttl` tells for how long) or this worker is paused or closed.
        """
        return None if self._at_rest() else self.queue._run(self._manual.fetch(block))

    async def aget_next_job(self, *, block: bool = True) -> Job | None:
        """See :meth:`get_next_job`."""
        return None if self._at_rest() else await self.queue._arun(self._manual.fetch(block))

    def start_stalled_check_timer(self) -> None:
        """Look for jobs of dead workers from now on, now and every ``stalled_interval``.

        A running worker does so anyway; this is for a program that only gets jobs itself. A thread
        of its own checks until :meth:`close`; it ends with the process. Does nothing for a worker
        with ``skip_stalled_check``, or one that is closed (BullMQ ``startStalledCheckTimer``).
        """
        settings = self.settings
        if settings.skip_stalled_check or self._demand.closing or self._checks is not None:
            return
        self._checks = StalledChecks(
            self.queue.connection,
            self.queue.keys,
            settings.stalled_interval,
            settings.max_stalled_count,
        )
        self._checks.start()

    def _at_rest(self) -> bool:
        return self._demand.paused or self._demand.closing

    def is_running(self) -> bool:
        """Whether the worker has begun and is not being closed."""
        return self._begun and not self._demand.closing

    def is_paused(self) -> bool:
        """Whether this worker is paused; see :meth:`pause`."""
        return self._demand.paused

    async def pause(self, do_not_wait_active: bool = False) -> None:
        """Let this worker claim nothing more, until :meth:`resume`; other workers go on.

        Args:
            do_not_wait_active: return at once, instead of when what runs has ended.
        """
        if not self._demand.paused:
            self._demand.paused = True
            self._emit("paused")
        # A rare path, not worth an event.
        while not do_not_wait_active and (self._runs or self._demand.in_flight):  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def resume(self) -> None:
        """Let this worker claim jobs again; may be called from any thread."""
        if self._demand.paused:
            self._demand.paused = False
            self._emit("resumed")
            self._in_loop(self._demand.look_again)

    def cancel_job(self, job_id: str, reason: str | None = None) -> bool:
        """Cancel a job that this worker runs; whether it does (BullMQ ``cancelJob``).

        A coroutine is cancelled, and its job fails with :class:`JobCancelled`, or is tried again
        where tries are left, unless it catches the cancellation and returns. A function in a thread
        can't be interrupted: it asks ``job.cancelled`` or calls ``job.raise_if_cancelled()``. May
        be called from any thread.

        Args:
            reason: the failed reason.
        """
        run = self._runs.get(job_id)
        if run is None or run.ended or run.lost or run.abandoned:
            return False
        self.queue._cancelled[run.job.token, job_id] = reason or "the job was cancelled"
        self._in_loop(self._runs.cancel, run)
        return True

    def cancel_all_jobs(self, reason: str | None = None) -> int:
        """Cancel every job that this worker runs; how many (BullMQ ``cancelAllJobs``)."""
        return sum(self.cancel_job(run.job.id, reason) for run in self._runs.now())

    def _emit(self, event: str, *arguments: Any) -> None:
        """Tell the hooks, from any thread."""
        # Looked up in the loop: before the worker has begun there are no hooks.
        self._in_loop(lambda: self._hooks.tell(event, *arguments))

    def _in_loop(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._begun:
            call_in(self._loop, function, *arguments)
