"""@processor: which function works which queue and job name, and the registry that finds it.

A queue has at most one processor a job name and one without a name, which takes all other jobs. A
class may take several names, each by a method (``@named``).
Processors are found in ``processors.py`` of every installed app.
"""

from __future__ import annotations

import copy
import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, TypeVar, get_args, get_origin

from . import conf, services
from .backoff import Strategy
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
from .payloads import Payload

F = TypeVar("F", bound=Callable[..., Any] | type["Processor"])
M = TypeVar("M", bound=Callable[..., Any])


class Processor:
    """The base of class processors: one instance a worker process, made when its worker starts.

    ``setup`` and ``teardown`` run once a process, ``process`` for each job, or a method of the
    job's name (:func:`named`); ``on_completed`` and
    ``on_failed`` after the server has acknowledged the outcome, the others as their names say.
    Its constructor may be given services: :func:`queuecore.services.provide`.
    Each may be a coroutine function, which runs in the worker's event loop. Plain hooks run one by
    one in a thread of their own,
    where they may use the ORM; what a hook raises is logged, but for ``setup``, without which the
    worker does not start.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in vars(cls):
            cls.__init__ = services.supplied(cls.__init__)  # type: ignore[method-assign]

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
    seconds a job may run, how many jobs it takes at a time, and the type of their data. ``owner``
    and ``method``: the class that is still to be made, and what of it is the function."""

    function: Callable[[Job], Any]
    is_async: bool
    where: str
    instance: Processor | None = None
    timeout: float | None = None
    batch: Batch | None = None
    payload: Payload | None = None
    owner: type[Processor] | None = None
    method: str = ""


@dataclass(frozen=True, slots=True)
class _Named:
    """What ``@named`` says of a method."""

    name: str
    timeout: float | None
    payload: Any


_MARK = "_queuecore_named"


def named(name: str, *, timeout: Seconds | None = None, payload: Any = None) -> Callable[[M], M]:
    """Let a method of a :class:`Processor` class work the jobs of this name.

    Args:
        name: the job's name; a method may have several, each by a decorator of its own.
        timeout, payload: as of :func:`processor`; unless given, those of the class.

    Raises:
        ConfigurationError: something of it is none.
    """
    if not isinstance(name, str):
        raise ConfigurationError(f'@named takes the name of jobs: @named("welcome"), not {name!r}')
    said = _Named(checked_job_name(name), checked_timeout(timeout), payload)

    def mark(method: M) -> M:
        if inspect.isclass(method) or not callable(method):
            raise ConfigurationError(f"@named({name!r}) is for methods of a Processor: {method!r}")
        setattr(method, _MARK, (*getattr(method, _MARK, ()), said))
        return method

    return mark


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


def entries_for(
    target: Any, *, timeout: float | None = None, batch: Batch | None = None, payload: Any = None
) -> dict[str | None, Entry]:
    """The entries of a function, or of a :class:`Processor` class or instance, by job name.

    Raises:
        ConfigurationError: it is neither, or one that could work no job, or has two methods for
            one name.
    """
    if not isinstance(target, Processor) and not (
        inspect.isclass(target) and issubclass(target, Processor)
    ):
        if inspect.isclass(target) or not callable(target):
            raise ConfigurationError(
                f"{target!r} is no processor: decorate a function or a subclass of "
                "queuecore.Processor"
            )
        return {None: _entry(target, 1, where(target), timeout, batch, payload)}
    instance = target if isinstance(target, Processor) else None
    owner = type(target) if isinstance(target, Processor) else target
    if instance is None:
        _check_constructor(owner)
    found: dict[str | None, Entry] = {}

    def take(name: str | None, method: str, place: str, said: _Named | None = None) -> None:
        own_timeout = said.timeout if said is not None else None
        own_payload = said.payload if said is not None else None
        function = getattr(target, method)
        entry = _entry(
            function,
            1 if instance is not None else 2,
            place,
            timeout if own_timeout is None else own_timeout,
            batch,
            payload if own_payload is None else own_payload,
        )
        entry.instance, entry.method = instance, method
        entry.owner = owner if instance is None else None
        found[name] = entry

    if owner.process is not Processor.process:
        take(None, "process", where(owner))
    for method, said in _named_methods(owner):
        place = where(getattr(owner, method))
        if said.name in found:
            raise ConfigurationError(
                f"two methods of {owner.__name__} take jobs named {said.name!r}: "
                f"{found[said.name].where} and {place}; give one of them another name"
            )
        take(said.name, method, place, said)
    if not found:
        raise ConfigurationError(
            f"{owner.__name__} needs a method process(self, job), or one of @named(...)"
        )
    return found


def _named_methods(owner: type[Processor]) -> list[tuple[str, _Named]]:
    """The methods of a class that have names, in their order; one that replaces another has its."""
    marks: dict[str, tuple[_Named, ...]] = {}
    for kind in reversed(owner.__mro__):
        for method, function in vars(kind).items():
            if said := getattr(function, _MARK, ()):
                marks[method] = said
    return [(method, said) for method, all_said in marks.items() for said in all_said]


def _entry(
    function: Callable[..., Any],
    arguments: int,
    place: str,
    timeout: float | None,
    batch: Batch | None,
    payload: Any,
) -> Entry:
    is_async = _is_async(function)
    _check_signature(function, arguments, place)
    declared = _annotated(function, arguments - 1, batch is not None, place)
    if payload is not None and declared is not None and payload != declared:
        raise ConfigurationError(
            f"{place}: payload={payload!r} and the annotation Job[{declared!r}] disagree; leave "
            "one of them out"
        )
    type_ = declared if payload is None else payload
    try:
        checked = Payload(type_) if type_ is not None else None
    except ConfigurationError as error:
        raise ConfigurationError(f"{place}: the payload's type {error}") from error
    return Entry(function, is_async, place, timeout=timeout, batch=batch, payload=checked)


def _check_constructor(owner: type[Processor]) -> None:
    signature = inspect.signature(owner)
    try:
        signature.bind()
    except TypeError as error:
        raise ConfigurationError(
            f"{where(owner)}: {owner.__name__} is made without arguments, but its constructor is "
            f"{signature} ({error}); say who makes them: mailer: Mailer = provide(Mailer)"
        ) from None


def _check_signature(function: Callable[..., Any], arguments: int, place: str) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of C, which does not tell
        return
    try:
        signature.bind(*[None] * arguments)
    except TypeError as error:
        raise ConfigurationError(
            f"{place}: a processor is called with the job and nothing else, but its parameters are "
            f"{signature} ({error})"
        ) from None


def _annotated(function: Callable[..., Any], index: int, batch: bool, place: str) -> Any:
    """The type in ``job: Job[type]``, or ``jobs: list[Job[type]]`` of a batch; None without."""
    inner: Any = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    inner = inspect.unwrap(inner)
    try:
        annotation = list(inspect.signature(function).parameters.values())[index].annotation
    except (TypeError, ValueError, IndexError):
        return None
    if isinstance(annotation, str):
        if "Job[" not in annotation:
            return None
        call = inner if inspect.isroutine(inner) else type(inner).__call__
        try:
            annotation = eval(annotation, getattr(call, "__globals__", {}))
        except Exception as error:
            raise ConfigurationError(
                f"{place}: the annotation {annotation} cannot be read: {error}; import its types "
                "at the top of the module and not only under TYPE_CHECKING, or give payload="
            ) from error
    if batch:
        annotation = next(iter(get_args(annotation)), None)
    return get_args(annotation)[0] if get_origin(annotation) is Job else None


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
