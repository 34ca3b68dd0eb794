"""Runs: the jobs that a worker has claimed, each until the server has acknowledged its outcome."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from .. import conf
from ..backoff import Strategy
from ..callables import Entry
from ..errors import (
    DelayedError,
    JobCancelled,
    JobExpired,
    JobTimedOut,
    NotSerializable,
    PendingChildren,
    QueueCoreError,
    ScriptError,
    ServerUnavailable,
    UnrecoverableError,
    WaitingChildrenError,
    WaitingError,
)
from ..job import Job
from ..logs import about
from ..processors import QueueProcessors
from ..queue import Queue
from ..telemetry import get_telemetry
from ..wire.calls.working import Claim, Claimed, Outcome, count_unknown
from . import finish
from .advance import advance
from .batches import Batches
from .complaints import Complaints
from .demand import BATCH, Demand
from .execute import Executor, Run
from .hooks import Hooks
from .pace import Pace
from .statistics import Statistics
from .tasks import call_in

logger = logging.getLogger("queuecore.worker")
# How runs failed; projects that report errors elsewhere find them here, with their exceptions.
jobs_logger = logging.getLogger("queuecore.jobs")

# After a processor has met a limit, until the server says how long it holds; and at least, so that
# a job whose limit is over already does not come back at once for ever.
_SHORTEST_LIMIT = 0.1
# How long it is at least remembered that a job's name was unknown; in seconds.
_UNKNOWN_MEMORY = 24 * 3600
# How often a scheduler's next run is asked for whose script fails.
_TRIES = 4
# What cancelled coroutines get to unwind before their jobs are handed back.
_UNWIND = 1.0
# In seconds; a longer one cannot be waited for.
_LONGEST_TIMEOUT = 365 * 24 * 3600.0
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

# A run, its outcome, and what its processor returned or raised.
Report = tuple[Run, Outcome, Any]


class Runs:
    """Begins the jobs that lanes have claimed, and holds their outcomes for the next call.

    A run goes one way: ``start``, its processor, ``ended``, ``take_outcomes``, ``acknowledged``. It
    leaves that way where another worker has the job (``lost``), and when the worker ends
    (``abandon``). ``completed``, ``failed``: jobs that ended so, as the server has acknowledged.
    """

    def __init__(
        self,
        queue: Queue,
        worker: str,
        settings: conf.WorkerSettings,
        processors: QueueProcessors,
        retention: finish.Retention,
        strategy: Strategy | None,
        demand: Demand,
        complaints: Complaints,
        tell: Callable[..., None],
        statistics: Statistics | None = None,
    ) -> None:
        self._queue = queue
        self._worker = worker
        self._settings = settings
        self._processors = processors
        self._retention = retention
        self._strategy = strategy
        self._demand = demand
        self._complaints = complaints
        self._tell = tell
        self._statistics = statistics
        self._telemetry = get_telemetry()
        self._executor: Executor | None = None
        self._held: dict[str, Run] = {}
        self._outcomes: deque[Report] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._batches: dict[str, Batches] = {}
        self.completed = self.failed = 0

    def begin(self, hooks: Hooks, executor: Executor, processors: QueueProcessors) -> None:
        """Work in the event loop that runs, by *processors* whose classes are made."""
        self._loop = asyncio.get_running_loop()
        self._processors = processors
        self._hooks = hooks
        self._executor = executor

    def __len__(self) -> int:
        return len(self._held)

    def now(self) -> list[Run]:
        """The runs of now; may be called from any thread."""
        return list(self._held.values())

    def get(self, job_id: str) -> Run | None:
        """The run of this job."""
        return self._held.get(job_id)

    def token(self, run: Run) -> str:
        """The lock's token of *run*, even if its job has given it up."""
        return f"{self._worker}:{run.number}"

    # Claimed jobs

    def start(self, number: int, claimed: Claimed, begun: int) -> None:
        """Begin a job of claim *number*; *begun*: when (ms), if its hash does not tell yet."""
        job = Job.from_flat(self._queue, claimed.id, claimed.fields, f"{self._worker}:{number}")
        starts = job._begun(begun, self._settings.name) if begun else job.attempts_started
        run = Run(job, number, starts, time.monotonic())
        if (older := self._held.get(job.id)) is not None:
            self.lost(older)  # it lost its lock, the job was recovered, and now it is ours again
        self._held[job.id] = run
        self._demand.busy += 1
        if b"rjk" not in job._fields:
            self._begin(run)
            return
        if self._demand.suspect is None and _unconfirmed_stalls(job) >= 2:
            self._demand.suspect = run  # nothing may begin meanwhile
        self._aside(self._advance(run))

    async def _advance(self, run: Run) -> None:
        """Add the next run of the scheduler that made this one, before anything ends this one."""
        pace, tries = Pace(), 0
        while not (run.lost or run.abandoned):
            try:
                await self._queue.connection.arun(advance(self._queue, run.job))
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
            "queue %s: job %s is not followed by another: %s",
            self._queue.name, run.job.id, error, extra=about(run.job),
        )  # fmt: skip

    def _begin(self, run: Run) -> None:
        """Run a job, or end it at once where it must not run."""
        job = run.job
        run.entry = self._processors.find(job.name)
        starts = self._settings.max_started_attempts
        if (text := job.deferred_failure) is not None:
            self.ended(run, None, UnrecoverableError(text))
        elif starts and run.starts > starts:
            error = UnrecoverableError("job started more than allowable limit")
            self.ended(run, None, error)
        elif run.starts <= 1 and "expires" in job.opts and (late := self._expired(job)):
            self.ended(run, None, JobExpired(f"the job expired {late:g} s before it was started"))
        elif run.entry is None:
            self._aside(self._unknown(run))
        elif self._demand.suspect not in (None, run):
            # Claimed by a call that was under way: it must not run beside the suspect.
            self._finish(run, finish.put_back(job, run.number), None)
        elif b"sa" in job._fields and _unconfirmed_stalls(job) >= 2:
            self._demand.suspect = run
            self._aside(self._start_alone(run))
        else:
            self._launch(run)

    def _expired(self, job: Job) -> float:
        """For how many seconds its time to be started is over; 0 if it is not."""
        now, life = self._queue.connection.clock.now_ms(), _ms(job, "expires")
        return max(now - job._int(b"timestamp") - _ms(job, "delay") - life, 0) / 1000 if life else 0

    def _launch(self, run: Run) -> None:
        entry = run.entry
        assert self._executor is not None
        assert entry is not None
        run.timeout = _timeout(run.job, entry) if "timeout" in run.job.opts else entry.timeout
        if entry.batch is None:
            self._called(run)
            self._executor.start(run)
            return
        if entry.payload is not None:
            try:
                run.job._expect(entry.payload)
            except Exception as error:  # one's own: the others of its batch are not to fail for it
                self.ended(run, None, error)
                return
        if self._demand.suspect is run:
            self._launch_batch([run])
        else:
            if (batches := self._batches.get(entry.where)) is None:
                batches = self._batches[entry.where] = Batches(entry.batch, self._launch_batch)
            batches.add(run)

    def _launch_batch(self, runs: list[Run]) -> None:
        assert self._executor is not None
        # It is one call of the processor: whose time is over first ends it for all.
        runs[0].timeout = min(
            (run.timeout for run in runs if run.timeout is not None), default=None
        )
        for run in runs:
            run.batch = runs
            self._called(run)
        self._executor.start(runs[0])

    def _called(self, run: Run) -> None:
        """The processor of *run* is about to be called."""
        run.began = time.monotonic()
        if self._telemetry is not None:
            run.span = self._telemetry.processing(
                self._queue.name, run.job, self._worker, self._settings.name
            )
        if self._hooks.heard:
            self._hooks.started(run)

    def late(self, run: Run) -> None:
        """The time of a run is over: cancel what can be cancelled, tell what can only be told."""
        if run.ended or run.lost or run.abandoned:
            return
        reason = f"the job ran longer than its timeout of {run.timeout:g} s"
        for one in run.batch or (run,):
            one.late = True
            self._queue._cancelled[one.job.token, one.job.id] = reason
        if run.task is not None:
            run.task.cancel()
        else:
            logger.warning(
                "queue %s: job %s %r runs longer than its timeout of %g s in a thread, which can't "
                "be ended: let it call job.raise_if_cancelled(), or give the queue a sandbox",
                self._queue.name, run.job.id, run.job.name, run.timeout, extra=about(run.job),
            )  # fmt: skip

    async def _start_alone(self, run: Run) -> None:
        """Run a job that may kill this process when no other job would die with it.

        It was found without its lock twice in a row before a renewal, as was everything that ran
        beside it; alone, the innocent complete. It waits for the others only so long, since they
        may run for hours.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.renew_after):
                while len(self._held) > 1:  # noqa: ASYNC110 (a rare path, not worth an event)
                    await asyncio.sleep(0.05)
        if run.lost or run.abandoned:
            self._drop(run)
        else:
            self._launch(run)

    async def _unknown(self, run: Run) -> None:
        """Hand a job back whose name no processor takes: a newer worker may know it."""
        job, settings = run.job, self._settings
        last = settings.unknown_job_limit
        memory = max(2 * last * settings.unknown_job_delay, _UNKNOWN_MEMORY)
        try:
            times = await self._queue.connection.arun(
                count_unknown(self._queue.keys, job.id, last, round(memory))
            )
        except QueueCoreError:
            times = 1
        if run.lost or run.abandoned:
            self._drop(run)
            return
        if times <= last:
            logger.warning(
                "no processor of queue %s takes jobs named %r: job %s is handed back, %d of %d",
                self._queue.name, job.name, job.id, times, last, extra=about(job),
            )  # fmt: skip
            self._finish(run, finish.postponed(job, run.number, settings.unknown_job_delay), None)
            return
        text = self._processors.refusal(job.name)
        if last:
            text = f"{text}; handed back {last} times"
        self.ended(run, None, UnrecoverableError(text))

    def _aside(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Let *coroutine* run beside the lanes; kept from the garbage collector until it ends."""
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def progressed(self, job: Job, progress: Any) -> None:
        """A processor has set its job's progress; called in its thread."""
        run = self._held.get(job.id)
        if run is not None and run.job is job:
            call_in(self._loop, self._hooks.progressed, run, progress)

    # Ended runs

    def ended(self, run: Run, value: Any, error: BaseException | None) -> None:
        """Turn what the processor returned or raised into an outcome; called once a run."""
        if run.timer is not None:
            run.timer.cancel()
        if run.began:
            run.took = time.monotonic() - run.began
        if run.lost or run.abandoned:
            self._drop(run)
            return
        job, number = run.job, run.number
        if (
            isinstance(error, asyncio.CancelledError | JobCancelled)
            and (why := job.cancelled) is not None
        ):
            error = JobTimedOut(why) if run.late else JobCancelled(why)
        if error is None:
            try:
                outcome = finish.completed(job, number, value, self._retention)
            except NotSerializable as refused:
                error = refused
        if error is None:
            self._finish(run, outcome, value)
        elif isinstance(error, DelayedError | WaitingError | WaitingChildrenError) and not (
            run.batch is not None and job.token  # raised for another one of its batch
        ):
            self._drop(run)  # the processor has moved the job already
        elif finish.is_rate_limit(error):
            if not self._demand.limited:
                self._demand.limit(_SHORTEST_LIMIT)
            self._finish(run, finish.limited(job, number), None)
        else:
            outcome = finish.failed(job, number, error, self._retention, self._strategy)
            self._finish(run, outcome, error)

    def _finish(self, run: Run, outcome: Outcome, value: Any) -> None:
        """Queue an outcome for the next call; its slot is free, its lock is still renewed."""
        self._demand.busy -= 1
        run.ended = True
        if run.span is not None:
            run.span.end(outcome.kind, value if isinstance(value, BaseException) else None)
        self._outcomes.append((run, outcome, value))
        self._demand.touch()

    def _drop(self, run: Run) -> None:
        """Forget a run whose job is no longer ours."""
        self._demand.busy -= 1
        if run.span is not None:
            run.span.end("", None)
        self._forget(run)
        self._demand.touch()

    def _forget(self, run: Run) -> None:
        if self._queue._cancelled:
            self._queue._cancelled.pop((run.job.token, run.job.id), None)
        if self._held.get(run.job.id) is run:
            del self._held[run.job.id]
        if self._demand.suspect is run:
            # Nothing was claimed meanwhile: somebody must look again.
            self._demand.suspect = None
            self._demand.hungry = True
            self._demand.touch()

    @property
    def outcomes(self) -> bool:
        """Whether there are outcomes for the next call."""
        return bool(self._outcomes)

    def take_outcomes(self) -> list[Report]:
        """What the next call tells; whoever takes it must have it acknowledged."""
        taken: list[Report] = []
        while self._outcomes and len(taken) < BATCH:
            one = self._outcomes.popleft()
            if not one[0].lost:
                taken.append(one)
        return taken

    def acknowledged(self, outcomes: list[Report], claim: Claim) -> None:
        """The server has taken the outcomes of a call, but for those it gave a code."""
        if claim.late:
            logger.error(
                "queue %s: a call of this worker was overtaken; its %d jobs run elsewhere",
                self._queue.name, len(outcomes), extra={"queue": self._queue.name},
            )  # fmt: skip
        taken = self._taken(outcomes, claim) if claim.codes or claim.late else outcomes
        heard, told = self._hooks.heard, jobs_logger.isEnabledFor(logging.DEBUG)
        for run, outcome, value in taken:
            self._forget(run)
            if outcome.kind == "c":
                self.completed += 1
            elif outcome.kind == "f":
                self.failed += 1
            if isinstance(value, BaseException):
                _log(run, outcome, value, self._worker)
            elif told and outcome.kind == "c":
                jobs_logger.debug(
                    "job %s %r of %s has completed in %.3g s",
                    run.job.id, run.job.name, run.job.queue.name, run.took,
                    extra=_about(run, self._worker),
                )  # fmt: skip
            if heard:
                self._hooks.ended(run, outcome, value)
        if self._statistics is not None:
            self._statistics.ended(taken, self._queue.connection.clock.now_ms())

    def _taken(self, outcomes: list[Report], claim: Claim) -> list[Report]:
        """Those of *outcomes* that the server has taken; the others get what becomes of them."""
        taken: list[Report] = []
        for index, (run, outcome, value) in enumerate(outcomes):
            code = claim.codes.get(index, -2 if claim.late else 0)
            if not code:
                taken.append((run, outcome, value))
            elif code in (-4, -9):
                # Children are in the way of completing: the run failed, with its lock held. Those
                # that it still waits for may be done at a further try.
                kind = PendingChildren if code == -4 else UnrecoverableError
                error = kind(_CHILDREN[code])
                strategy = self._strategy
                failed = finish.failed(run.job, run.number, error, self._retention, strategy)
                self._outcomes.append((run, failed, error))
            else:
                self._forget(run)
                logger.warning(
                    "job %s of %s %s; its outcome is void",
                    run.job.id, self._queue.name, _REFUSED.get(code, f"got code {code}"),
                    extra=about(run.job),
                )  # fmt: skip
        return taken

    # Stopped runs

    def lost(self, run: Run) -> None:
        """Another worker has the job: stop its processor and void its outcome."""
        if self._held.get(run.job.id) is not run:
            return
        if not run.job.token:
            run.lost = True  # its processor has moved the job and is about to return
            return
        if run.ended:
            if not any(one[0] is run for one in self._outcomes):
                return  # its outcome is under way, or was just taken: the answer tells
            self._forget(run)
        logger.warning(
            "job %s of %s lost its lock; its outcome is void",
            run.job.id, self._queue.name, extra=about(run.job),
        )  # fmt: skip
        self._tell("lock_renewal_failed", run.job.id)
        run.lost = True
        self.cancel(run)
        self._demand.touch()

    def cancel(self, run: Run) -> None:
        """Cancel the run's task, after its first step: a task that never began tells nobody.

        One job of a batch is only told: the others go on.
        """
        if run.task is not None and (run.batch is None or len(run.batch) == 1):
            self._loop.call_soon(run.task.cancel)

    async def abandon(self) -> int:
        """Cancel what still runs, for good; how many jobs are held. Ends within seconds."""
        held = [run for run in self._held.values() if not run.lost]
        tasks = {run.task for run in held if run.task is not None and not run.task.done()}
        for run in held:
            run.abandoned = True
        for task in tasks:
            self._loop.call_soon(task.cancel)  # after its first step
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=_UNWIND)
            for task in left:
                task.cancel()  # a sandbox that was told to end is killed at the second time
            if left:
                await asyncio.wait(left, timeout=_UNWIND)
        return len(held)


def _timeout(job: Job, entry: Entry) -> float | None:
    """The seconds that a job may run: its own option, or else its processor's."""
    own = _ms(job, "timeout") / 1000
    return min(own, _LONGEST_TIMEOUT) if own else entry.timeout


def _ms(job: Job, name: str) -> float:
    """An option that is a time, in ms; 0 where it is none."""
    value = job.opts.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def _unconfirmed_stalls(job: Job) -> int:
    return max(-job._int(b"sa"), 0)


def _log(run: Run, outcome: Outcome, error: BaseException, worker: str) -> None:
    """Log the end of a run that failed: an error if it was the job's last."""
    job, reason = run.job, str(outcome.value)
    fields = _about(run, worker)
    if outcome.kind == "f":
        cause = error if finish.is_printable(error) else None
        jobs_logger.error(
            "job %s %r of %s failed: %s",
            job.id, job.name, job.queue.name, reason, exc_info=cause, extra=fields,
        )  # fmt: skip
    else:
        jobs_logger.info(
            "job %s %r of %s is tried again after attempt %s: %s",
            job.id, job.name, job.queue.name, outcome.attempts, reason, extra=fields,
        )  # fmt: skip


def _about(run: Run, worker: str) -> dict[str, Any]:
    """The fields of a line on a run that has ended; *worker*: who worked it."""
    trace = getattr(run.span, "ids", {})  # one of the project's own need not have them
    return about(run.job, worker=worker, duration=round(run.took, 6), **trace)
