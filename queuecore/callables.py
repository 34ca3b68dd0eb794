"""Callables: what a processor is made of, a function or the methods of a class, as entries.

Each is held against how it will be called, and knows where it stands: ``file:line``.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_origin

from . import services
from .errors import ConfigurationError, InvalidOption
from .job import Job
from .options import Batch, Seconds, checked_job_name, milliseconds
from .payloads import Payload

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
# The methods of a Processor that a worker calls beside its jobs.
_HOOKS = frozenset(
    name for name in vars(Processor) if name in ("setup", "teardown") or name.startswith("on_")
)


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
        if inspect.isfunction(target) and hasattr(target, _MARK):
            raise ConfigurationError(
                f"{where(target)}: @named is for methods of a Processor: a function takes the jobs "
                "of a name by @processor(queue, name=...)"
            )
        return {None: _entry(target, 1, where(target), timeout, batch, payload)}
    instance = target if isinstance(target, Processor) else None
    owner = type(target) if isinstance(target, Processor) else target
    if instance is None:
        _check_constructor(owner)
    _check_hooks(owner)
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


def _check_hooks(owner: type[Processor]) -> None:
    """Refuse hooks that could not be called as they are: they are only called when it matters."""
    for name, usual in vars(Processor).items():
        own = inspect.getattr_static(owner, name)
        if name not in _HOOKS or own is usual or not inspect.isfunction(own):
            continue
        expected = inspect.signature(usual)
        try:
            inspect.signature(own).bind(*expected.parameters)
        except TypeError as error:
            raise ConfigurationError(
                f"{where(own)}: {name} of {owner.__name__} is called as "
                f"{name}({', '.join(expected.parameters)}), but its parameters are "
                f"{inspect.signature(own)} ({error})"
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
