"""@processor: which function works which queue and job name, and the registry that finds it.

A queue has at most one processor a job name and one without a name, which takes all other jobs.
Processors are found in ``processors.py`` of every installed app.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from . import conf
from .errors import ConfigurationError, InvalidOption
from .job import Job
from .options import (
    Batch,
    GroupLimits,
    RateLimit,
    Seconds,
    checked_job_name,
    checked_queue_name,
    milliseconds,
)

F = TypeVar("F", bound=Callable[..., Any] | type["Processor"])


class Processor:
    """The base of class processors: one instance a worker process.

    ``setup`` and ``teardown`` run once a process, ``process`` for each job; ``on_completed`` and
    ``on_failed`` after the server has acknowledged the outcome, the others as their names say.
    Each may be a coroutine function, which runs in the worker's event loop. Plain hooks run one by
    one in a thread of their own,
    where they may use the ORM; what a hook raises is logged, but for ``setup``, without which the
    worker does not start.
    """

    def setup(self) -> None:
        """Prepare what all jobs share; called before the first job."""

    def teardown(self) -> None:
        """Give it up again; called when the worker stops."""

    def process(self, job: Job) -> Any:
        """Work one job and return its result; must be written by the subclass."""
        raise NotImplementedError(f"{type(self).__name__} needs a method process(self, job)")

    def on_completed(self, job: Job, result: Any) -> None:
        """Called after *job* completed with *result*."""

    def on_failed(self, job: Job, error: BaseException) -> None:
        """Called after a run of *job* ended with *error*, whether it is tried again or not."""

    def on_active(self, job: Job) -> None:
        """Called when a run of *job* begins."""

    def on_progress(self, job: Job, progress: Any) -> None:
        """Called after *job* has set its progress."""

    def on_stalled(self, job_id: str) -> None:
        """Called when this worker recovered a job whose worker had died."""

    def on_drained(self) -> None:
        """Called when this worker finds nothing more to run."""

    def on_error(self, error: Exception) -> None:
        """Called when the server is away or refuses; the worker tries again by itself."""


@dataclass(slots=True)
class Entry:
    """One registered processor: its function, where it stands (``file:line``), how many
    seconds a job may run, and how many jobs it takes at a time."""

    function: Callable[[Job], Any]
    is_async: bool
    where: str
    instance: Processor | None = None
    timeout: float | None = None
    batch: Batch | None = None


@dataclass(slots=True)
class QueueProcessors:
    """All processors of one queue, by job name; ``default`` takes the names that have none."""

    alias: str
    queue: str
    named: dict[str, Entry] = field(default_factory=dict)
    default: Entry | None = None
    concurrency: int | None = None
    limiter: RateLimit | None = None
    sandbox: bool | None = None
    dead_letter: str | None = None
    group: GroupLimits | None = None
    limits: tuple[str, ...] | None = None
    # Which processor has said each of these, `file:line`.
    said_at: dict[str, str] = field(default_factory=dict)

    def find(self, name: str) -> Entry | None:
        """The processor of jobs called *name*, or None if nobody takes them."""
        return self.named.get(name, self.default)

    def settle(self, name: str, value: Any, where: str) -> None:
        """Let *name* be *value*, as the processor at *where* says; None says nothing.

        Raises:
            ConfigurationError: another processor says otherwise, of what belongs to the queue.
        """
        if value is None:
            return
        before = getattr(self, name)
        if before not in (None, value):
            raise ConfigurationError(
                f"queue {self.queue!r} has {name}={before!r} at {self.said_at[name]} and "
                f"{name}={value!r} at {where}; it belongs to the queue: set it once"
            )
        setattr(self, name, value)
        self.said_at[name] = where

    def entries(self) -> list[Entry]:
        """All processors, the default first."""
        return [*([self.default] if self.default else []), *self.named.values()]


class Registry:
    """The processors of this process, by connection alias and queue name."""

    def __init__(self) -> None:
        self.queues: dict[tuple[str, str], QueueProcessors] = {}

    def add(
        self,
        entry: Entry,
        queue: str,
        name: str | None,
        connection: str,
        **of_queue: Any,
    ) -> None:
        """Register *entry*, and what it says *of_queue*: see :meth:`QueueProcessors.settle`.

        Raises:
            ConfigurationError: the queue (and name) has one already, or another processor says
                otherwise of the queue.
        """
        key = (connection, checked_queue_name(queue))
        found = self.queues.setdefault(key, QueueProcessors(connection, queue))
        rival = found.default if name is None else found.named.get(name)
        if rival is not None and rival.where != entry.where:
            jobs = f"jobs named {name!r} of" if name is not None else "all jobs of"
            raise ConfigurationError(
                f"two processors take {jobs} queue {queue!r}: {rival.where} and {entry.where}; "
                "give one of them another name= or queue"
            )
        for option, value in of_queue.items():
            found.settle(option, value, entry.where)
        self._check_letters(connection, queue)
        if name is None:
            found.default = entry
        else:
            found.named[name] = entry

    def _check_letters(self, connection: str, queue: str) -> None:
        """Refuse queues whose letters would go round: each grows by the one before."""
        way = [queue]
        while (at := self.queues.get((connection, way[-1]))) and at.dead_letter is not None:
            way.append(at.dead_letter)
            if at.dead_letter in way[:-1]:
                self.queues[connection, queue].dead_letter = None
                raise ConfigurationError(
                    f"dead letters would go round for ever: {' -> '.join(way)}; "
                    "leave out one dead_letter="
                )


registry = Registry()


def processor(
    queue: str,
    *,
    name: str | None = None,
    connection: str = "default",
    concurrency: int | None = None,
    limiter: RateLimit | None = None,
    timeout: Seconds | None = None,
    sandbox: bool | None = None,
    dead_letter: str | None = None,
    batch: Batch | None = None,
    group: GroupLimits | None = None,
    limits: Sequence[str] | None = None,
) -> Callable[[F], F]:
    """Register a function, coroutine function or :class:`Processor` class for a queue's jobs.

    Args:
        queue: the queue's name.
        name: take only jobs of this name; without it, all that no other processor takes.
        connection: the connection alias of the queue.
        concurrency: jobs of the queue that one process runs at a time; belongs to the queue.
        limiter: at most so many starts in a time, over all workers that have it; belongs to the
            queue.
        timeout: seconds (or a timedelta) that a job may run. A coroutine is cancelled then, a
            sandbox killed; a function in a thread can only be told: ``job.raise_if_cancelled()``.
        sandbox: run the jobs in child processes, which can be killed; belongs to the queue.
        dead_letter: the queue that gets a letter of each job that fails for good, see
            :mod:`queuecore.dead_letter`; belongs to the queue.
        batch: call it with a list of jobs; it returns None, or a list with the result of each,
            where an exception fails that job alone. What it raises fails all of them.
        group: what each group of the queue may do at most; belongs to the queue.
        limits: the named limits (of ``QUEUECORE["LIMITS"]``) that the queue shares with others;
            belongs to the queue. None leaves the queue in those it is in, ``[]`` takes it out.

    Raises:
        ConfigurationError: the place is taken (both files are named), or the object is no
            function and no Processor.
    """
    if concurrency is not None and (
        isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1
    ):
        raise ConfigurationError(
            f"concurrency must be a whole number of at least 1, not {concurrency!r}"
        )
    if limiter is not None and not isinstance(limiter, RateLimit):
        raise ConfigurationError(f"limiter must be a RateLimit(max, duration), not {limiter!r}")
    if sandbox is not None and not isinstance(sandbox, bool):
        raise ConfigurationError(f"sandbox must be True or False, not {sandbox!r}")
    if name is not None:
        checked_job_name(name)
    seconds = checked_timeout(timeout)
    checked_dead_letter(dead_letter, queue)
    checked_batch(batch, sandbox)
    checked_group(group)
    named = checked_limits(limits)

    def register(target: F) -> F:
        entry = entry_for(target)
        entry.timeout, entry.batch = seconds, batch
        registry.add(
            entry,
            queue,
            name,
            connection,
            concurrency=concurrency,
            limiter=limiter,
            sandbox=sandbox,
            dead_letter=dead_letter,
            group=group,
            limits=named,
        )
        return target

    return register


def checked_timeout(timeout: Seconds | None) -> float | None:
    """The seconds that a job may run.

    Raises:
        ConfigurationError: they are none, or not more than none.
    """
    if timeout is None:
        return None
    try:
        seconds = milliseconds(timeout, "timeout") / 1000
    except InvalidOption as error:
        raise ConfigurationError(str(error)) from error
    if not seconds:
        raise ConfigurationError("timeout must be at least a millisecond; leave it out for none")
    return seconds


def checked_group(group: GroupLimits | None) -> GroupLimits | None:
    """The limits of groups.

    Raises:
        ConfigurationError: they are none.
    """
    if group is not None and not isinstance(group, GroupLimits):
        raise ConfigurationError(f"group must be GroupLimits(concurrency, limit), not {group!r}")
    return group


def checked_limits(limits: Sequence[str] | None) -> tuple[str, ...] | None:
    """The names of named limits, each once.

    Raises:
        ConfigurationError: they are none, or the settings do not know one.
    """
    if limits is None:
        return None
    if isinstance(limits, str) or not isinstance(limits, Sequence):
        raise ConfigurationError(f"limits must be a list of names, not {limits!r}")
    for name in limits:
        conf.get_settings().limit(name)
    return tuple(dict.fromkeys(limits))


def checked_batch(batch: Batch | None, sandbox: bool | None) -> Batch | None:
    """The batch of a processor.

    Raises:
        ConfigurationError: it is none, or its processor has a sandbox.
    """
    if batch is not None and not isinstance(batch, Batch):
        raise ConfigurationError(f"batch must be a Batch(size, ...), not {batch!r}")
    if batch is not None and sandbox:
        raise ConfigurationError("a sandbox runs one job at a time: leave out batch= or sandbox=")
    return batch


def checked_dead_letter(dead_letter: str | None, queue: str) -> str | None:
    """The name of the queue for letters of the jobs of *queue* that fail.

    Raises:
        ConfigurationError: it is *queue* itself.
        InvalidOption: it is no name of a queue.
    """
    if dead_letter is None:
        return None
    if checked_queue_name(dead_letter) == queue:
        raise ConfigurationError(
            f"dead_letter must be another queue than {queue!r}: its letters would go round"
        )
    return dead_letter


def entry_for(target: Any) -> Entry:
    """Make the entry of a function or a :class:`Processor` class or instance.

    Raises:
        ConfigurationError: it is neither, or one that could work no job.
    """
    if inspect.isclass(target) and issubclass(target, Processor):
        target = target()
    if isinstance(target, Processor):
        kind = type(target)
        if kind.process is Processor.process:
            raise ConfigurationError(f"{kind.__name__} needs a method process(self, job)")
        return Entry(target.process, _is_async(target.process), where(kind), target)
    if inspect.isclass(target) or not callable(target):
        raise ConfigurationError(
            f"{target!r} is no processor: decorate a function or a subclass of queuecore.Processor"
        )
    return Entry(target, _is_async(target), where(target))


def importable(target: Any) -> str:
    """``module:name`` by which a sandbox finds a function or class.

    Raises:
        ConfigurationError: it cannot: it is no function or class of a module.
    """
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)
    found = getattr(sys.modules.get(str(module)), str(name), None)
    if found is not target or module == "__main__":
        raise ConfigurationError(
            f"a sandbox imports its processor by name, and {target!r} has none: give a function "
            "or a Processor class at the top of a module that can be imported"
        )
    return f"{module}:{name}"


def _is_async(target: Any) -> bool:
    while isinstance(target, functools.partial):
        target = target.func
    call = target if inspect.isroutine(target) else type(target).__call__
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise ConfigurationError(
            f"{where(target)} is a generator function: its body would never run; return the "
            "result instead of yielding it"
        )
    return inspect.iscoroutinefunction(call)


def where(target: Any) -> str:
    """``file:line`` of a function or class, or its name where it has none."""
    if isinstance(target, functools.partial):
        return where(target.func)
    if not (inspect.isroutine(target) or inspect.isclass(target)):
        target = type(target)  # an object with __call__
    try:
        file = inspect.getsourcefile(target)
        line = inspect.getsourcelines(target)[1]
    except (TypeError, OSError):
        return f"{getattr(target, '__module__', '?')}.{getattr(target, '__qualname__', target)}"
    return f"{file}:{line}"
