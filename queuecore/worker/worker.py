"""Worker: works the jobs of one queue in one process.

Two lanes take turns: while the server works on one lane's call, Python runs the jobs of the
other's answer. A call carries every outcome that piled up since the last one and claims as many
jobs as there are free slots, so that batches grow under load and nothing waits for a batch to
fill. With one slot this is BullMQ's finish-and-fetch. A worker with free slots and nothing to
claim blocks on the marker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any
from uuid import uuid4

from .. import conf
from ..backoff import load_strategy
from ..errors import (
    ConfigurationError,
    DelayedError,
    JobCancelled,
    NotSerializable,
    PendingChildren,
    QueueCoreError,
    ScriptError,
    ServerUnavailable,
    UnrecoverableError,
    WaitingChildrenError,
    WaitingError,
    did_you_mean,
)
from ..job import Job
from ..options import RateLimit, milliseconds
from ..processors import QueueProcessors, entry_for
from ..queue import Queue
from ..wire.calls.working import (
    Claim,
    Claimed,
    ClaimOptions,
    Outcome,
    count_unknown,
    hand_back,
)
from . import finish, presence, stalled
from .advance import advance
from .blocked import LoopWatch
from .complaints import Complaints
from .control import Control
from .exchange import Exchange
from .execute import Executor, Run
from .fetch import Marker
from .hooks import Hooks
from .locks import LockRenewer
from .manual import Manual
from .pace import Pace
from .tasks import end

logger = logging.getLogger("queuecore.worker")
# How runs failed; projects that report errors elsewhere find them here, with their exceptions.
jobs_logger = logging.getLogger("queuecore.jobs")

LANES = 2
# The most outcomes, and the most claims, of one call: some milliseconds of the server's time.
BATCH = 200
# Others may use up the global concurrency, and not every client tells when it frees a slot: then
# this long until the next look, in seconds.
_MAXED = 1.0
# After a processor has met a limit, until the server says how long it holds; and at least, so that
# a job whose limit is over already does not come back at once for ever.
_SHORTEST_LIMIT = 0.1
# How long it is at least remembered that a job's name was unknown; in seconds.
_UNKNOWN_MEMORY = 24 * 3600
# How often a scheduler's next run is asked for whose script fails.
_TRIES = 4
# What cancelled coroutines get to unwind before their jobs are handed back.
_UNWIND = 1.0


class Worker(Control):
    """Works one queue until it is closed.

    Args:
        queue: the queue's name.
        processor: a function or coroutine function of one job, or a ``Processor`` class; or the
            registered processors of the queue; None only to get jobs by :meth:`get_next_job`.
        connection: the connection alias.
        concurrency: jobs run at a time, 10 unless set.
        limiter: at most so many starts in a time, over all workers of the queue.
        burst: end once nothing is left to run, instead of waiting for more.
        settings: any key of :class:`queuecore.conf.WorkerSettings`, over those of the project.

    Follows BullMQ's ``Worker``.
    """

    def __init__(
        self,
        queue: str,
        processor: Any = None,
        *,
        connection: str = "default",
        concurrency: int | None = None,
        limiter: RateLimit | None = None,
        burst: bool = False,
        **settings: Any,
    ) -> None:
        self.queue = Queue.existing(queue, connection)
        if isinstance(processor, QueueProcessors):
            self.processors = processor
        else:
            entry = None if processor is None else entry_for(processor)
            self.processors = QueueProcessors(connection, queue, default=entry)
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
        limiter = limiter or self.processors.limiter
        if limiter is not None and not isinstance(limiter, RateLimit):
            raise ConfigurationError(f"limiter must be a RateLimit(max, duration), not {limiter!r}")
        if concurrency is None:
            concurrency = self.processors.concurrency or base.concurrency
        self._concurrency = replace(base, concurrency=concurrency).concurrency  # checks it, too
        self.burst = burst
        self.id = uuid4().hex
        self._options = ClaimOptions(
            worker=self.id,
            name=self.settings.name,
            lock_duration=round(self.settings.lock_duration * 1000),
            metrics=self.settings.metrics_max_data_points,
            limiter_max=limiter.max if limiter else None,
            limiter_duration=milliseconds(limiter.duration, "limiter") if limiter else None,
        )
        self._retention = finish.Retention.of(
            self.settings.remove_on_complete, self.settings.remove_on_fail
        )
        path = self.settings.backoff_strategy
        self._strategy = strategy or (load_strategy(path) if path else None)
        self._manual = self.queue._manual = Manual(
            self.queue,
            self._options,
            self._retention,
            self._strategy,
            self.settings.drain_delay,
            self.settings.max_started_attempts,
        )
        self._number = 0
        self._runs: dict[str, Run] = {}
        # Jobs completed and failed, as the server has acknowledged them.
        self._completed = self._failed = 0
        self._outcomes: deque[tuple[Run, Outcome, Any]] = deque()
        self._busy = 0
        self._reserved = 0
        self._in_flight = 0
        # Something may be ready to be claimed: set by the marker, and by a claim that was filled.
        self._hungry = True
        # The marker was taken, and no claim has been sent for it yet.
        self._marked = False
        # Runs while the queue's rate limit holds: nothing is claimed before it is over.
        self._limit: asyncio.TimerHandle | None = None
        self._next_due = 0
        self._suspect: Run | None = None
        self._complaints = Complaints(self.queue, lambda error: self._emit("error", error))
        self._closing = self._paused = False
        # Whether the last claim found nothing; `drained` is told once.
        self._drained = False
        self._listeners: dict[str, list[Callable[..., Any]]] = {}
        self._executor: Executor | None = None
        self._begun = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle_lanes: list[asyncio.Future[None]] = []
        self._changed: asyncio.Event | None = None
        self._closed: asyncio.Event | None = None
        self._done: asyncio.Event | None = None

    def __repr__(self) -> str:
        return f"<Worker of {self.queue.name!r} {self.id[:8]} concurrency={self.concurrency}>"

    @property
    def running(self) -> int:
        """How many jobs run now."""
        return self._busy

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
        self._changed, self._done = asyncio.Event(), asyncio.Event()
        self._closed = asyncio.Event()
        self._hooks = Hooks(
            self.queue.name,
            (entry.instance for entry in self.processors.entries() if entry.instance is not None),
            self._listeners,
        )
        self._begun = True
        self.queue._progressed = self._progressed
        try:
            await self._hooks.setup()
            await self._work()
        finally:
            try:
                await self._hooks.close()
            finally:
                self._closed.set()

    async def _work(self) -> None:
        """Run the parts of the worker until it is done, or one of them dies."""
        assert self._done is not None
        loop, queue, settings = self._loop, self.queue, self.settings
        self._executor = Executor(self.concurrency, self._ended, queue.name)
        self._marker = Marker(queue.connection, queue.keys, settings.name, settings.drain_delay)
        renewer = LockRenewer(
            queue.connection,
            queue.keys,
            lock_duration=settings.lock_duration,
            renew_after=settings.renew_after,
            runs=lambda: [] if settings.skip_lock_renewal else list(self._runs.values()),
            token=self._token,
            lost=lambda run: _call_in(loop, self._lost, run),
            renewed=lambda ids: self._emit("locks_renewed", ids),
            look=LoopWatch(queue.name, lambda: list(self._runs.values())).look,
        )
        renewer.start()
        leave = presence.enter(self)
        lanes = [asyncio.create_task(self._lane(number)) for number in range(1, LANES + 1)]
        helpers = [asyncio.create_task(self._wait_for_work())]
        if not settings.skip_stalled_check:
            checks = stalled.watch(
                queue.connection,
                queue.keys,
                settings.stalled_interval,
                settings.max_stalled_count,
                lambda id: self._emit("stalled", id),
            )
            helpers.append(asyncio.create_task(checks))
        self._emit("ready")
        finished: asyncio.Task[Any] = asyncio.create_task(self._done.wait())
        everything = [*lanes, *helpers, finished]
        pending: set[asyncio.Task[Any]] = set(everything)
        try:
            # A lane ends when the worker closes and every outcome is acknowledged.
            while pending.issuperset((*lanes, finished)):
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    # A part that died of a fault of its own takes all with it: better no worker
                    # than one that looks alive and works nothing.
                    task.result()
        finally:
            self._done.set()
            if self._limit is not None:
                self._limit.cancel()
            await end([*everything, *self._complaints.tasks])
            try:
                await self._marker.close()
                await self._give_up()
            finally:
                await renewer.close()
                await self._executor.close()
                await leave()

    async def close(self, timeout: float | None = None) -> None:
        """Claim nothing more, let running jobs finish, hand back the others, and end ``arun``.

        A second call with a shorter time overtakes the first. A worker stays closed.

        Args:
            timeout: seconds that running jobs get; ``shutdown_timeout`` of the settings unless set.
                A job handed back is next to run, and its try is not counted.
        """
        if not self._closing:
            self._emit("closing")
        self._closing = True
        if self._checks is not None:
            self._checks.stop()
        if self._closed is None or self._changed is None or self._done is None:
            return  # not begun
        timeout = self.settings.shutdown_timeout if timeout is None else timeout
        deadline = time.monotonic() + timeout
        self._touch()
        while self._runs and not self._done.is_set() and (left := deadline - time.monotonic()) > 0:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)
        self._done.set()
        self._touch()
        await self._closed.wait()

    # Lanes

    async def _lane(self, number: int) -> None:
        """Send call after call: every outcome there is, and a claim for the free slots."""
        exchange = Exchange(self.queue, number, self._options, self._complaints)
        try:
            while not self._ending():
                outcomes = self._take_outcomes()
                want = self._reserve(bool(outcomes))
                if not outcomes and not want:
                    if self._closing and not self._runs and not self._in_flight:
                        self._touch()
                        return
                    await self._idle()
                    continue
                if self._outcomes or (self._hungry and self._free > 0):
                    self._wake_lane()
                self._in_flight += 1
                # One counter over all lanes: a token names one claim of one worker.
                self._number = call = self._number + 1
                try:
                    sent = [outcome for _, outcome, _ in outcomes]
                    claim = await exchange.send(call, sent, want)
                finally:
                    self._in_flight -= 1
                    self._reserved -= want
                if claim is None:
                    self._hungry = True
                    continue
                self._acknowledged(outcomes, claim)
                self._take(call, claim, want)
                if self._closing:
                    self._touch()
        finally:
            await exchange.close()

    def _take_outcomes(self) -> list[tuple[Run, Outcome, Any]]:
        taken: list[tuple[Run, Outcome, Any]] = []
        while self._outcomes and len(taken) < BATCH:
            one = self._outcomes.popleft()
            if not one[0].lost:
                taken.append(one)
        return taken

    def _reserve(self, calling: bool) -> int:
        """How many jobs this lane claims now: free slots, at most its half of all.

        A call that is made anyway (*calling*) always claims; one only to claim needs a sign that
        something is ready.
        """
        if self._closing or self._paused or self._suspect is not None:
            return 0
        if not (calling or self._hungry):
            return 0
        if self._limit is not None:
            return 0
        want = min(self._free, -(-self.concurrency // LANES), BATCH)
        if want <= 0:
            return 0
        # Spent when the call is sent, not when it is answered: a sign that comes while a call is
        # under way is for the next one.
        self._hungry = self._marked = False
        self._reserved += want
        return want

    def _ending(self) -> bool:
        """Whether ``arun`` is over; asked because connecting can swallow a cancellation."""
        assert self._done is not None
        return self._done.is_set()

    async def _idle(self) -> None:
        if self._marked and self._changed is not None:
            self._changed.set()  # this lane was woken for the marker, and may not claim any more
        future = self._loop.create_future()
        self._idle_lanes.append(future)
        await future

    @property
    def _free(self) -> int:
        """Slots that neither run a job nor wait for one that is being claimed."""
        return self.concurrency - self._busy - self._reserved

    def _wake_lane(self) -> None:
        while self._idle_lanes:
            future = self._idle_lanes.pop()
            if not future.done():
                future.set_result(None)
                return

    def _touch(self) -> None:
        """Something changed: wake a lane (when closing, all), and who waits to look for work."""
        self._wake_lane()
        if self._closing:
            while self._idle_lanes:
                self._wake_lane()
        if (self._closing or not self._hungry) and self._changed is not None:
            self._changed.set()

    # Claimed jobs

    def _take(self, number: int, claim: Claim, want: int) -> None:
        """Start what a call claimed, and learn from it whether to claim again."""
        for claimed in claim.jobs:
            self._start(number, claimed, claim.begun)
        if claim.limit_ttl:
            if self._limit is not None:
                self._limit.cancel()
            seconds = min(claim.limit_ttl / 1000, self.settings.maximum_rate_limit_delay)
            self._limit = self._loop.call_later(seconds, self._limit_over)
        if want:
            got = len(claim.jobs)
            # Filled: there may be more. Not filled although there is more: another's turn, and
            # the marker, which every claim sets, calls us back. Otherwise there is nothing.
            if got == want:
                self._hungry = True
            if not got and not self._drained and not claim.limit_ttl:
                self._emit("drained")
            self._drained = not got
            self._next_due = claim.next_due
            if claim.maxed:
                again = self.queue.connection.clock.now_ms() + round(_MAXED * 1000)
                self._next_due = min(claim.next_due or again, again)
            if not self._hungry and self._changed is not None:
                self._changed.set()
            if self.burst and not got and not claim.more and not claim.limit_ttl:
                self._burst_done()

    def _limit_over(self) -> None:
        """A timer of its own: whoever blocks on the marker meanwhile would sleep through it."""
        self._limit = None
        self._hungry = True
        self._touch()

    def _burst_done(self) -> None:
        if not self._runs and not self._in_flight and self._done is not None:
            self._done.set()

    def _start(self, number: int, claimed: Claimed, begun: int) -> None:
        job = Job.from_flat(self.queue, claimed.id, claimed.fields, f"{self.id}:{number}")
        if begun:
            job._begun(begun, self.settings.name)
        run = Run(job, number, job.attempts_started, time.monotonic())
        if (older := self._runs.get(job.id)) is not None:
            self._lost(older)  # it lost its lock, the job was recovered, and now it is ours again
        self._runs[job.id] = run
        self._busy += 1
        if job.repeat_job_key is None:
            self._begin(run)
            return
        if self._suspect is None and _unconfirmed_stalls(job) >= 2:
            self._suspect = run  # nothing may begin meanwhile
        self._aside(self._advance(run))

    async def _advance(self, run: Run) -> None:
        """Add the next run of the scheduler that made this one, before anything ends this one."""
        pace, tries = Pace(), 0
        while not (run.lost or run.abandoned):
            try:
                await self.queue.connection.arun(advance(self.queue, run.job))
            except QueueCoreError as error:
                tries += isinstance(error, ScriptError)
                # What the server refuses now it may take later; a script that fails may not.
                if isinstance(error, ServerUnavailable) or 0 < tries <= _TRIES:
                    self._complaints.tell(error)
                    await pace.wait()
                    continue
                self._stands_still(run, error)
            except Exception as error:  # the project's own repeat strategy may raise anything
                self._stands_still(run, error)
            break
        if run.lost or run.abandoned:
            self._drop(run)
        else:
            self._begin(run)

    def _stands_still(self, run: Run, error: Exception) -> None:
        logger.error(
            "queue %s: job %s is not followed by another: %s", self.queue.name, run.job.id, error
        )

    def _begin(self, run: Run) -> None:
        """Run a job, or end it at once where it must not run."""
        job, number = run.job, run.number
        run.entry = self.processors.find(job.name)
        starts = self.settings.max_started_attempts
        if (text := job.deferred_failure) is not None:
            self._ended(run, None, UnrecoverableError(text))
            return
        if starts and run.starts > starts:
            error = UnrecoverableError("job started more than allowable limit")
            self._ended(run, None, error)
            return
        if run.entry is None:
            self._aside(self._unknown(run))
        elif self._suspect not in (None, run):
            # Claimed by a call that was under way: it must not run beside the suspect.
            self._finish(run, finish.put_back(job, number), None)
        elif _unconfirmed_stalls(job) >= 2:
            self._suspect = run
            self._aside(self._start_alone(run))
        else:
            self._launch(run)

    def _launch(self, run: Run) -> None:
        assert self._executor is not None
        if self._listeners or (run.entry is not None and run.entry.instance is not None):
            self._hooks.started(run)
        self._executor.start(run)

    def _aside(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Let *coroutine* run beside the lanes; kept from the garbage collector until it ends."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start_alone(self, run: Run) -> None:
        """Run a job that may kill this process when no other job would die with it.

        It was found without its lock twice in a row before a renewal, as was everything that ran
        beside it; alone, the innocent complete. It waits for the others only so long, since they
        may run for hours.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settings.renew_after):
                while len(self._runs) > 1:  # noqa: ASYNC110 (a rare path, not worth an event)
                    await asyncio.sleep(0.05)
        if run.lost or run.abandoned:
            self._drop(run)
        else:
            self._launch(run)

    async def _unknown(self, run: Run) -> None:
        """Hand a job back whose name no processor takes: a newer worker may know it."""
        job, settings = run.job, self.settings
        last = settings.unknown_job_limit
        memory = max(2 * last * settings.unknown_job_delay, _UNKNOWN_MEMORY)
        try:
            times = await self.queue.connection.arun(
                count_unknown(self.queue.keys, job.id, last, round(memory))
            )
        except QueueCoreError:
            times = 1
        if run.lost or run.abandoned:
            self._drop(run)
            return
        if times <= last:
            logger.warning(
                "no processor of queue %s takes jobs named %r: job %s is handed back, %d of %d",
                self.queue.name, job.name, job.id, times, last,
            )  # fmt: skip
            self._finish(run, finish.postponed(job, run.number, settings.unknown_job_delay), None)
            return
        text = f"no processor of queue {self.queue.name!r} takes jobs named {job.name!r}"
        if last:
            text = f"{text}; handed back {last} times"
        self._ended(run, None, UnrecoverableError(text))

    # Ended runs

    def _ended(self, run: Run, value: Any, error: BaseException | None) -> None:
        """Turn what the processor returned or raised into an outcome; called once a run."""
        if run.lost or run.abandoned:
            self._drop(run)
            return
        job, number = run.job, run.number
        if isinstance(error, asyncio.CancelledError) and (why := job.cancelled) is not None:
            error = JobCancelled(why)
        if error is None:
            try:
                outcome = finish.completed(job, number, value, self._retention)
            except NotSerializable as refused:
                error = refused
        if error is None:
            self._finish(run, outcome, value)
        elif isinstance(error, DelayedError | WaitingError | WaitingChildrenError):
            self._drop(run)  # the processor has moved the job already
        elif finish.is_rate_limit(error):
            if self._limit is None:
                self._limit = self._loop.call_later(_SHORTEST_LIMIT, self._limit_over)
            self._finish(run, finish.limited(job, number), None)
        else:
            outcome = finish.failed(job, number, error, self._retention, self._strategy)
            self._finish(run, outcome, error)

    def _finish(self, run: Run, outcome: Outcome, value: Any) -> None:
        """Queue an outcome for the next call; its slot is free, its lock is still renewed."""
        self._busy -= 1
        run.ended = True
        self._outcomes.append((run, outcome, value))
        self._touch()

    def _drop(self, run: Run) -> None:
        """Forget a run whose job is no longer ours."""
        self._busy -= 1
        self._forget(run)
        self._touch()

    def _forget(self, run: Run) -> None:
        if self.queue._cancelled:
            self.queue._cancelled.pop((run.job.token, run.job.id), None)
        if self._runs.get(run.job.id) is run:
            del self._runs[run.job.id]
        if self._suspect is run:
            # Nothing was claimed meanwhile: somebody must look again.
            self._suspect = None
            self._hungry = True
            self._touch()

    def _acknowledged(self, outcomes: list[tuple[Run, Outcome, Any]], claim: Claim) -> None:
        """The server has taken the outcomes of a call, but for those it gave a code."""
        if claim.late:
            logger.error(
                "queue %s: a call of this worker was overtaken; its %d jobs run elsewhere",
                self.queue.name, len(outcomes),
            )  # fmt: skip
        for index, (run, outcome, value) in enumerate(outcomes):
            code = claim.codes.get(index, -2 if claim.late else 0)
            if code in (-4, -9):
                # Children are in the way of completing: the run failed, with its lock held. Those
                # that it still waits for may be done at a further try.
                kind = PendingChildren if code == -4 else UnrecoverableError
                error = kind(_CHILDREN[code])
                strategy = self._strategy
                failed = finish.failed(run.job, run.number, error, self._retention, strategy)
                self._outcomes.append((run, failed, error))
                continue
            self._forget(run)
            if code:
                logger.warning(
                    "job %s of %s %s; its outcome is void",
                    run.job.id, self.queue.name, _REFUSED.get(code, f"got code {code}"),
                )  # fmt: skip
                continue
            if outcome.kind == "c":
                self._completed += 1
            elif outcome.kind == "f":
                self._failed += 1
            if isinstance(value, BaseException):
                _log(run, outcome, value)
            if run.entry is not None:
                self._hooks.ended(run, outcome, value)

    def _lost(self, run: Run) -> None:
        """Another worker has the job: stop its processor and void its outcome."""
        if self._runs.get(run.job.id) is not run:
            return
        if not run.job.token:
            run.lost = True  # its processor has moved the job and is about to return
            return
        if run.ended:
            if not any(one[0] is run for one in self._outcomes):
                return  # its outcome is under way, or was just taken: the answer tells
            self._forget(run)
        logger.warning(
            "job %s of %s lost its lock; its outcome is void", run.job.id, self.queue.name
        )
        self._emit("lock_renewal_failed", run.job.id)
        run.lost = True
        self._cancel(run)
        self._touch()

    def _cancel(self, run: Run) -> None:
        """Cancel the run's task, after its first step: a task that never began tells nobody."""
        if run.task is not None:
            self._loop.call_soon(run.task.cancel)

    def _look_again(self) -> None:
        """There may be room now: wake all who look for work."""
        self._hungry = True
        self._touch()
        if self._changed is not None:
            self._changed.set()

    def _progressed(self, job: Job, progress: Any) -> None:
        """A processor has set its job's progress; called in its thread."""
        run = self._runs.get(job.id)
        if run is not None and run.job is job:
            self._in_loop(lambda: self._hooks.progressed(run, progress))

    async def _give_up(self) -> None:
        """Cancel what still runs and hand its jobs back; ends within seconds."""
        self._closing = True
        held = [run for run in self._runs.values() if not run.lost]
        tasks = [run.task for run in held if run.task is not None and not run.task.done()]
        for run in held:
            run.abandoned = True
            self._cancel(run)
        if tasks:
            await asyncio.wait(tasks, timeout=_UNWIND)
        if self._number == 0:
            return
        # Even if nothing is held: a call may still be under way, and closed lanes make it claim
        # nothing; what one has claimed whose answer never came is handed back, too.
        try:
            back = await self.queue.connection.arun(hand_back(self.queue.keys, self.id, LANES))
        except QueueCoreError as error:
            if not held:
                return
            logger.error(
                "queue %s: %d running jobs could not be handed back and stay locked for up to "
                "%g s: %s",
                self.queue.name, len(held), self.settings.lock_duration, error,
            )  # fmt: skip
        else:
            if back:
                logger.info("queue %s: handed back %d running jobs", self.queue.name, len(back))

    # Waiting for work

    async def _wait_for_work(self) -> None:
        """Block on the marker whenever there are free slots and nothing to claim."""
        assert self._changed is not None
        pace = Pace()
        while not self._closing and not self._ending():
            try:
                if self._marked and not self._may_claim():
                    # Taken, but a limit or a pause came, or the slots are full: another's turn.
                    self._marked = False
                    await self._marker.put()
                # Not while a claim is under way: its answer tells until when to wait.
                if self._hungry or self._reserved or not self._may_claim():
                    self._changed.clear()
                    await self._changed.wait()
                    continue
                self._marked = await self._marker.wait(self._next_due)
                if self._marked and not self._may_claim():
                    continue
                pace.reset()
            except QueueCoreError as error:
                self._complaints.tell(error)
                await pace.wait()
            if self._ending():
                return
            self._next_due = 0
            self._hungry = True
            self._touch()

    def _may_claim(self) -> bool:
        if self._paused:
            return False
        return self._free > 0 and self._suspect is None and self._limit is None

    def _token(self, run: Run) -> str:
        return f"{self.id}:{run.number}"


_REFUSED = {
    -1: "was removed while it ran",
    -2: "lost its lock",
    -3: "was taken out of the running jobs by somebody",
    -6: "lost its lock and runs elsewhere",
}
_CHILDREN = {
    -4: "the job cannot complete: it has unfinished children",
    -9: "the job cannot complete: it has failed children",
}


def _unconfirmed_stalls(job: Job) -> int:
    return max(-job._int(b"sa"), 0)


def _log(run: Run, outcome: Outcome, error: BaseException) -> None:
    """Log the end of a run that failed: an error if it was the job's last."""
    job, reason = run.job, str(outcome.value)
    if outcome.kind == "f":
        cause = error if finish.is_printable(error) else None
        jobs_logger.error(
            "job %s %r of %s failed: %s",
            job.id, job.name, job.queue.name, reason, exc_info=cause,
        )  # fmt: skip
    else:
        jobs_logger.info(
            "job %s %r of %s is tried again after attempt %s: %s",
            job.id, job.name, job.queue.name, outcome.attempts, reason,
        )  # fmt: skip


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[[Run], None], run: Run) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the worker
        loop.call_soon_threadsafe(function, run)
