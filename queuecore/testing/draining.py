"""Runs the jobs of tests: :func:`drain` works what waits, in the thread that calls it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from asgiref.sync import sync_to_async

from .. import discovery
from ..errors import ConfigurationError, JobNotFound, JobNotInState, QueueCoreError, did_you_mean
from ..job import Job
from ..options import Seconds, milliseconds
from ..processors import QueueProcessors
from ..queue import Queue
from ..wire.calls.base import Command
from ..worker import Worker
from .caller import Caller, stop, work
from .fake_clock import clock
from .server import in_use, relay

# One job that adds itself would run for ever.
MOST_RUNS = 10_000
# A delayed job's score holds its time in milliseconds, times this.
_SCORE = 0x1000

_busy = threading.Lock()


@dataclass
class Drained:
    """What :func:`drain` has done.

    ``completed``: the jobs that completed, in their order. ``failed``: those that failed for good;
    ``retried``: the runs that failed and are to be tried again.
    """

    completed: list[Job] = field(default_factory=list)
    failed: list[Job] = field(default_factory=list)
    retried: list[Job] = field(default_factory=list)

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return len(self.completed) + len(self.failed) + len(self.retried)

    def __repr__(self) -> str:
        return (
            f"<Drained {len(self.completed)} completed, {len(self.failed)} failed, "
            f"{len(self.retried)} to be retried>"
        )


def drain(
    *queues: str | Queue,
    connection: str = "default",
    delayed: bool = False,
    over: Seconds | None = None,
    raise_errors: bool = True,
) -> Drained:
    """Run the jobs that wait, and what they add, until nothing is left to run now.

    They run one after another in this thread, by the processors of the project, as a worker runs
    them: data goes through JSON, tries are counted, flows go on. Rate limits are not waited for.

    Args:
        queues: their names; none means all that have a processor. Children of a job of theirs that
            wait in other queues are run, too.
        connection: the alias of the connection of queues that are named.
        delayed: also run now what waits for its time: delayed jobs and further tries, not the next
            run of a scheduler.
        over: a time that passes meanwhile: the clock goes from one job that is due to the next, so
            that a scheduler runs as often as it would.
        raise_errors: let the error of a job that fails for good be raised here; it is recorded,
            too. Otherwise :attr:`Drained.failed` tells.

    Raises:
        ConfigurationError: no private server is in use, or nobody takes the jobs of a queue.
        Exception: what the first job has raised that failed for good.
    """
    wanted = _wanted(queues, connection)
    end = None if over is None else clock.now_ms() + milliseconds(over, "over")
    with working() as free:
        if not free:
            raise ConfigurationError("drain() was called by a job that a drain runs")
        return _Drain(wanted, raise_errors, of_all=not queues).run(delayed=delayed, end=end)


async def adrain(*queues: str | Queue, **options: Any) -> Drained:
    """See :func:`drain`; the jobs run where ``sync_to_async`` runs the test's own queries."""
    return await sync_to_async(drain)(*queues, **options)


def drain_all(*, raise_errors: bool, end: int | None = None) -> None:
    """What inline mode does after each add: run all, with every further try; until *end* (ms)."""
    wanted = list(discovery.discover().queues.values())
    _Drain(wanted, raise_errors, of_all=True).run(retries=True, end=end)


@contextmanager
def working() -> Iterator[bool]:
    """Be the one who runs jobs in this process; yields False where somebody does already."""
    free = _busy.acquire(blocking=False)
    try:
        yield free
    finally:
        if free:
            _busy.release()


class _Drain:
    def __init__(self, wanted: list[QueueProcessors], raise_errors: bool, *, of_all: bool) -> None:
        self._wanted = {(one.alias, one.queue): one for one in wanted}
        self._raise_errors = raise_errors
        self._of_all = of_all
        self._caller = Caller()
        self._drained = Drained()
        self._error: BaseException | None = None

    def run(
        self, *, delayed: bool = False, retries: bool = False, end: int | None = None
    ) -> Drained:
        while True:
            relay()
            before = self._drained.runs
            for one in list(self._wanted.values()):
                if not self._ended() and _may_have_work(one):
                    work(self._caller, one, self._listen)
            if self._ended():
                break
            if self._drained.runs > before:
                continue
            if not self._of_all and self._children():
                continue
            if (delayed or retries) and self._promote(only_retries=not delayed):
                continue
            if end is None or not self._pass_time(end):
                break
        if self._error is not None:
            raise self._error
        if end is not None:
            clock.stand(end)
        return self._drained

    def _ended(self) -> bool:
        return self._error is not None

    def _listen(self, worker: Worker) -> None:
        worker.on("completed", lambda job, result: self._completed(worker, job))
        worker.on("failed", lambda job, error: self._failed(worker, job, error))

    def _completed(self, worker: Worker, job: Job) -> None:
        self._drained.completed.append(job)
        self._count(worker, job)

    def _count(self, worker: Worker, job: Job) -> None:
        if self._drained.runs >= MOST_RUNS and self._error is None:
            self._error = ConfigurationError(
                f"{MOST_RUNS} runs, the last of {job!r}, and still there are jobs: does one add "
                "itself?"
            )
            stop(worker)

    def _failed(self, worker: Worker, job: Job, error: BaseException) -> None:
        if job.get_state() not in ("failed", "unknown"):  # unknown: removed as it failed
            self._drained.retried.append(job)
            self._count(worker, job)
            return
        self._drained.failed.append(job)
        if self._raise_errors and self._error is None:
            self._error = error
            stop(worker)

    def _queues(self) -> Iterator[Queue]:
        for alias, name in self._wanted:
            yield Queue.existing(name, alias)

    def _children(self) -> bool:
        """Work the queues of the children that parents here wait for, too."""
        before = len(self._wanted)
        known = discovery.discover().queues
        for queue in list(self._queues()):
            for parent in queue.get_waiting_children():
                for child in queue.get_dependencies(parent.id, "pending").jobs:
                    place = child.queue.alias, child.queue.name
                    if place in known:
                        self._wanted.setdefault(place, known[place])
        return len(self._wanted) > before

    def _promote(self, *, only_retries: bool) -> bool:
        promoted = False
        for queue in self._queues():
            for job in queue.get_delayed():
                if job.repeat_job_key is None or job.attempts_made:
                    if only_retries and not job.attempts_made:
                        continue
                    with suppress(JobNotFound, JobNotInState):
                        job.promote()
                        promoted = True
        return promoted

    def _pass_time(self, end: int) -> bool:
        """Go on to the next moment at which a job is due; False if none is before *end*."""
        due = [found for queue in self._queues() if (found := _next_due(queue)) is not None]
        if not due or min(due) > end:
            return False
        clock.stand(max(min(due), clock.now_ms()))
        return True


def _wanted(queues: Iterable[str | Queue], connection: str) -> list[QueueProcessors]:
    if not in_use():
        raise ConfigurationError(
            "drain() runs jobs of the private server alone: use QueueCoreTestMixin, the fixture "
            "queues, or queuecore.testing.private_server()"
        )
    known = discovery.discover().queues
    found = []
    for one in queues:
        place = (one.alias, one.name) if isinstance(one, Queue) else (connection, one)
        if place not in known:
            names = sorted(name for alias, name in known if alias == place[0])
            raise ConfigurationError(
                f"no processor takes queue {place[1]!r} of connection {place[0]!r}"
                f"{did_you_mean(place[1], names)}; there are: {', '.join(names) or 'none'}"
            )
        found.append(known[place])
    return found or list(known.values())


def _may_have_work(processors: QueueProcessors) -> bool:
    """Whether it is worth starting a worker."""
    queue = Queue.existing(processors.queue, processors.alias)
    counts = queue.get_job_counts("waiting", "prioritized", "waiting-children")
    if any(counts.values()):
        return True
    due = _next_due(queue)
    return due is not None and due <= clock.now_ms()


def _next_due(queue: Queue) -> int | None:
    """When (ms) the first delayed job is due."""
    try:
        first: Command[Any] = Command(("ZRANGE", queue.keys.delayed, 0, 0, "WITHSCORES"))
        found = queue._run(first)
    except QueueCoreError:
        return None
    return int(float(found[1])) // _SCORE if found else None
