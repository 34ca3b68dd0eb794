"""@processor: which function works which queue and job name, and the registry that finds it.

A queue has at most one processor a job name and one without a name, which takes all other jobs. A
class may take several names, each by a method (``@named``).
Processors are found in ``processors.py`` of every installed app.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar

from . import conf
from .backoff import Strategy
from .callables import Entry, Processor, checked_timeout, entries_for, where
from .errors import ConfigurationError
from .options import (
    Batch,
    GroupLimits,
    RateLimit,
    Seconds,
    checked_job_name,
    checked_queue_name,
)
from .payloads import Payload

F = TypeVar("F", bound=Callable[..., Any] | type[Processor])


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
    # Whether what reads its jobs wants to know by name who ran them.
    names_workers: ClassVar[bool] = False
    # Which processor has said each of these, `file:line`.
    said_at: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        alias: str,
        queue: str,
        entries: Mapping[str | None, Entry],
        sandbox: bool | None = None,
    ) -> QueueProcessors:
        """Those of :func:`entries_for`."""
        named = {name: entry for name, entry in entries.items() if name is not None}
        return cls(alias, queue, named, entries.get(None), sandbox=sandbox)

    def find(self, name: str) -> Entry | None:
        """The processor of jobs called *name*, or None if nobody takes them."""
        return self.named.get(name, self.default)

    def refusal(self, name: str) -> str:
        """Why no job called *name* is run."""
        return f"no processor of queue {self.queue!r} takes jobs named {name!r}"

    def strategy(self, configured: Strategy | None) -> Strategy | None:
        """What decides the wait of a backoff that is neither fixed nor exponential: what the worker
        or the settings name."""
        return configured

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

    def bound(self) -> QueueProcessors:
        """The same with the instances of its classes, which are made for it."""
        made: dict[type[Processor], Processor] = {}

        def bind(entry: Entry) -> Entry:
            if entry.owner is None:
                return entry
            if entry.owner not in made:
                made[entry.owner] = entry.owner()
            instance = made[entry.owner]
            function = getattr(instance, entry.method)
            return replace(entry, function=function, instance=instance, owner=None)

        found = copy.copy(self)
        found.default = bind(self.default) if self.default is not None else None
        found.named = {name: bind(entry) for name, entry in self.named.items()}
        return found

    def instances(self) -> list[Processor]:
        """The instances of class processors, each once."""
        found = {id(one.instance): one.instance for one in self.entries() if one.instance}
        return list(found.values())


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


def payload_of(connection: str, queue: str, name: str) -> Payload | None:
    """The type that the data of these jobs must have; None if this process knows of none."""
    found = registry.queues.get((connection, queue))
    entry = found.find(name) if found is not None else None
    return entry.payload if entry is not None else None


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
    payload: Any = None,
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
        payload: the type of the jobs' data, see :mod:`queuecore.payloads`: they are checked when
            they are added by a process that knows the processor, and before they run. An annotation
            ``job: Job[Welcome]`` says the same.

    Raises:
        ConfigurationError: the place is taken (both files are named), or the object is no
            function and no Processor, or no data could be of the payload's type.
    """
    if callable(queue):  # @processor without parentheses
        raise ConfigurationError(
            f'@processor takes the name of a queue: @processor("emails"), not {queue!r}'
        )
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
    of_queue = {
        "concurrency": concurrency,
        "limiter": limiter,
        "sandbox": sandbox,
        "dead_letter": dead_letter,
        "group": group,
        "limits": checked_limits(limits),
    }

    def register(target: F) -> F:
        entries = entries_for(target, timeout=seconds, batch=batch, payload=payload)
        methods = [one for one in entries if one is not None]
        if methods and name is not None:
            raise ConfigurationError(
                f"{where(target)}: its methods take the jobs {', '.join(map(repr, methods))}; "
                f"leave out name={name!r}"
            )
        for its_name, entry in entries.items():
            registry.add(entry, queue, its_name or name, connection, **of_queue)
        return target

    return register


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
