"""Worker: works the jobs of one queue in one process.

A worker is a ``Demand`` (how many jobs it would claim now), its ``Runs`` (the jobs it has claimed),
and the ``Lanes`` by which jobs come from the server and outcomes go back. Here they are put
together, run and closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from socket import gethostname
from typing import Any
from uuid import uuid4

from .. import conf
from ..backoff import load_strategy
from ..callables import Entry, checked_timeout, entries_for, importable
from ..errors import ConfigurationError, QueueCoreError, did_you_mean
from ..limits import declare
from ..options import Batch, GroupLimits, RateLimit, Seconds, milliseconds
from ..processors import (
    QueueProcessors,
    checked_batch,
    checked_dead_letter,
    checked_group,
    checked_limits,
)
from ..queue import Queue
from ..wire.calls.working import ClaimOptions
from . import finish, presence, stalled
from .blocked import LoopWatch
from .complaints import Complaints
from .control import Control
from .demand import LANES, Demand
from .execute import Executor
from .fetch import Marker
from .hooks import Hooks
from .lanes import Lanes
from .locks import LockRenewer
from .manual import Manual
from .pace import Pace
from .runs import Runs
from .sandbox import Pool, Spec
from .statistics import Statistics
from .tasks import call_in, end


class Worker(Control):
    """Works one queue until it is closed.

    Args:
        queue: the queue's name.
        processor: a function or coroutine function of one job, or a ``Processor`` class; or the
            registered processors of the queue; None only to get jobs by :meth:`get_next_job`.
        connection: the connection alias.
        concurrency: jobs run at a time, 10 unless set.
        limiter: at most so many starts in a time, over all workers of the queue.
        timeout, sandbox, dead_letter, batch, group, limits, payload: as of
            :func:`queuecore.processor`.
        burst: end once nothing is left to run, instead of waiting for more.
        settings: any key of :class:`queuecore.conf.WorkerSettings`, over those of the project.

    Follows BullMQ's ``Worker``.
    """

    # Where functions and hooks run: in tests, in the thread of the test.
    _executor_class: Callable[..., Executor] = Executor
    _hooks_class: Callable[..., Hooks] = Hooks

    def __init__(
        self,
        queue: str,
        processor: Any = None,
        *,
        connection: str = "default",
        concurrency: int | None = None,
        limiter: RateLimit | None = None,
        timeout: Seconds | None = None,
        sandbox: bool | None = None,
        dead_letter: str | None = None,
        batch: Batch | None = None,
        group: GroupLimits | None = None,
        limits: Sequence[str] | None = None,
        payload: Any = None,
        burst: bool = False,
        **settings: Any,
    ) -> None:
        self.queue = Queue.existing(queue, connection)
        if isinstance(processor, QueueProcessors):
            self.processors = processor
        else:
            entries: dict[str | None, Entry] = {}
            if processor is not None:
                entries = entries_for(
                    processor,
                    timeout=checked_timeout(timeout),
                    batch=checked_batch(batch, sandbox),
                    payload=payload,
                )
            self.processors = QueueProcessors.of(connection, queue, entries, sandbox)
            self.processors.dead_letter = checked_dead_letter(dead_letter, queue)
        self._target = None
        if sandbox and not isinstance(processor, QueueProcessors):
            self._target = importable(processor)
            if payload is not None:
                raise ConfigurationError(
                    "a sandbox knows of its function alone: leave out payload= and annotate its "
                    "parameter, job: Job[...]"
                )
        base = conf.get_settings().worker
        strategy = settings.get("backoff_strategy")
        if callable(strategy):
            del settings["backoff_strategy"]
        else:
            strategy = None
        try:
            self.settings = replace(base, **settings)
        except TypeError as error:
            unknown = next((name for name in settings if not hasattr(base, name)), None)
            raise ConfigurationError(
                f"Worker() has no setting {unknown!r}"
                f"{did_you_mean(str(unknown), base.__dataclass_fields__)}"
            ) from error
        if self.processors.names_workers and not self.settings.name:
            self.settings = replace(self.settings, name=f"{gethostname()}-{os.getpid()}")
        limiter = limiter or self.processors.limiter
        if limiter is not None and not isinstance(limiter, RateLimit):
            raise ConfigurationError(f"limiter must be a RateLimit(max, duration), not {limiter!r}")
        if concurrency is None:
            concurrency = self.processors.concurrency or base.concurrency
        self.burst = burst
        self.id = uuid4().hex
        group = checked_group(group) or self.processors.group
        limited = checked_limits(limits)
        self._limits = self.processors.limits if limited is None else limited
        letters = self.processors.dead_letter
        self._letters = Queue(letters, connection) if letters is not None else None
        self._options = ClaimOptions(
            worker=self.id,
            name=self.settings.name,
            lock_duration=round(self.settings.lock_duration * 1000),
            metrics=self.settings.metrics_max_data_points,
            limiter_max=limiter.max if limiter else None,
            limiter_duration=milliseconds(limiter.duration, "limiter") if limiter else None,
            dead_letter=self._letters.keys if self._letters is not None else None,
            group_limits=",," if group is None else group.wire(),
        )
        retention = finish.Retention.of(
            self.settings.remove_on_complete, self.settings.remove_on_fail
        )
        path = self.settings.backoff_strategy
        strategy = strategy or (load_strategy(path) if path else None)
        strategy = self.processors.strategy(strategy)
        self._manual = self.queue._manual = Manual(
            self.queue,
            self._options,
            retention,
            strategy,
            self.settings.drain_delay,
            self.settings.max_started_attempts,
            self._limits,
        )
        self._listeners: dict[str, list[Callable[..., Any]]] = {}
        self._complaints = Complaints(self.queue, lambda error: self._emit("error", error))
        self._demand = Demand(replace(base, concurrency=concurrency).concurrency)  # checks it, too
        every = self.settings.statistics
        self._statistics = Statistics(self.queue, self.id, every) if every is not None else None
        self._runs = Runs(
            self.queue,
            self.id,
            self.settings,
            self.processors,
            retention,
            strategy,
            self._demand,
            self._complaints,
            self._emit,
            self._statistics,
        )
        self._executor: Executor | None = None
        self._begun = False
        self._closed: asyncio.Event | None = None
        self._done: asyncio.Event | None = None

    def __repr__(self) -> str:
        return f"<Worker of {self.queue.name!r} {self.id[:8]} concurrency={self.concurrency}>"

    @property
    def running(self) -> int:
        """How many jobs run now."""
        return self._demand.busy

    # Life

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then shut down gracefully; blocks the calling thread."""
        from .process import run

        run([self])

    async def arun(self) -> None:
        """Work until :meth:`close` is called (or, with ``burst``, nothing is left).

        On return every outcome was reported and no job is held any more.

        Raises:
            Exception: what a part of the worker died of, or what a ``setup`` raised.
            ConfigurationError: it has no processor.
        """
        if not self.processors.entries():
            raise ConfigurationError(
                f"the worker of {self.queue.name!r} has no processor: give it one, or get its jobs "
                "by get_next_job()"
            )
        self._loop = asyncio.get_running_loop()
        self._done, self._closed = asyncio.Event(), asyncio.Event()
        self._demand.begin()
        self._hooks = self._hooks_class(self, self._listeners)
        self._begun = True
        self.queue._progressed = self._runs.progressed
        try:
            await self._work(await self._hooks.setup(self.processors))
        finally:
            try:
                await self._hooks.close()
            finally:
                self._closed.set()

    async def _work(self, processors: QueueProcessors) -> None:
        """Run the parts of the worker until it is done, or one of them dies."""
        assert self._done is not None
        loop, queue, settings, runs = self._loop, self.queue, self.settings, self._runs
        self._executor = self._executor_class(
            self.concurrency,
            runs.ended,
            queue.name,
            late=runs.late,
            sandbox=self._sandboxes if self.processors.sandbox else None,
        )
        runs.begin(self._hooks, self._executor, processors)
        self._marker = Marker(queue.connection, queue.keys, settings.name, settings.drain_delay)
        ready = asyncio.Event()
        lanes = Lanes(
            queue,
            self._options,
            self._demand,
            runs,
            self._marker,
            self._complaints,
            self._emit,
            self._done,
            longest_limit=settings.maximum_rate_limit_delay,
            burst=self.burst,
            ready=ready,
        )
        renewer = LockRenewer(
            queue.connection,
            queue.keys,
            lock_duration=settings.lock_duration,
            renew_after=settings.renew_after,
            runs=lambda: [] if settings.skip_lock_renewal else runs.now(),
            token=runs.token,
            lost=lambda run: call_in(loop, runs.lost, run),
            renewed=lambda ids: self._emit("locks_renewed", ids),
            look=LoopWatch(queue.name, runs.now).look,
        )
        renewer.start()
        leave = presence.enter(self)
        calling = [asyncio.create_task(lanes.run(number)) for number in range(1, LANES + 1)]
        helpers = [
            asyncio.create_task(lanes.wait_for_work()),
            asyncio.create_task(self._declare(ready)),
        ]
        if not settings.skip_stalled_check:
            checks = stalled.watch(
                queue.connection,
                queue.keys,
                settings.stalled_interval,
                settings.max_stalled_count,
                lambda id: self._emit("stalled", id),
            )
            helpers.append(asyncio.create_task(checks))
        if self._statistics is not None:
            helpers.append(asyncio.create_task(self._statistics.run()))
        if self._letters is not None:
            helpers.append(asyncio.create_task(self._introduce(self._letters)))
        self._emit("ready")
        finished: asyncio.Task[Any] = asyncio.create_task(self._done.wait())
        everything = [*calling, *helpers, finished]
        pending: set[asyncio.Task[Any]] = set(everything)
        try:
            # A lane ends when the worker closes and every outcome is acknowledged.
            while pending.issuperset((*calling, finished)):
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    # A part that died of a fault of its own takes all with it: better no worker
                    # than one that looks alive and works nothing.
                    task.result()
        finally:
            self._done.set()
            self._demand.end()
            await end([*everything, *self._complaints.tasks])
            try:
                await self._marker.close()
                self._demand.closing = True
                await lanes.hand_back(await runs.abandon())
                if self._statistics is not None:
                    await self._statistics.close()
            finally:
                await renewer.close()
                await self._executor.close()
                await leave()

    async def _declare(self, ready: asyncio.Event) -> None:
        """Let the queue belong to its named limits before anything is claimed."""
        if self._limits is not None:
            pace, call = Pace(), declare(self.queue.keys, self._limits)
            while True:
                try:
                    await self.queue._arun(call)
                    break
                except QueueCoreError as error:
                    self._complaints.tell(error)
                    await pace.wait()
        ready.set()

    async def _introduce(self, queue: Queue) -> None:
        """Let dashboards know of a queue before it has its first job."""
        with contextlib.suppress(QueueCoreError):
            await queue._arun(queue._known())

    def _sandboxes(self, size: Callable[[], int]) -> Pool:
        settings = self.settings
        spec = Spec(
            self.queue.alias,
            self.queue.name,
            self._target,
            settings.sandbox_memory,
            settings.sandbox_grace,
        )
        return Pool(spec, self.queue, size, settings.sandbox_max_jobs)

    async def close(self, timeout: float | None = None) -> None:
        """Claim nothing more, let running jobs finish, hand back the others, and end ``arun``.

        A second call with a shorter time overtakes the first. A worker stays closed.

        Args:
            timeout: seconds that running jobs get; ``shutdown_timeout`` of the settings unless set.
                A job handed back is next to run, and its try is not counted.
        """
        if not self._demand.closing:
            self._emit("closing")
        self._demand.closing = True
        if self._checks is not None:
            self._checks.stop()
        if self._closed is None or self._done is None:
            return  # not begun
        timeout = self.settings.shutdown_timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        self._demand.touch()
        while self._runs and not self._done.is_set() and (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._demand.change(), left)
        self._done.set()
        self._demand.touch()
        await self._closed.wait()
