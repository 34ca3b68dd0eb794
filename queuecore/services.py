"""Services: what a class processor is given when it is made, and what a test gives it instead.

``provide(factory)`` as the default of a parameter, or as an attribute of a class, says who makes
its value. A service is made once
a process, when the first that needs it is; a factory may need services itself, said the same way.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from .dotted import load_function
from .errors import ConfigurationError

S = TypeVar("S")
Factory = Callable[..., Any]

_made: dict[Factory, Any] = {}
_replaced: dict[Factory, Any] = {}
_making = threading.RLock()


class Provided:
    """Stands for a service that its factory makes when it is needed.

    As an attribute of a class it is that service in its instances, from their first look at it on.
    """

    def __init__(self, factory: Factory | str) -> None:
        self._factory = factory
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if self._name not in vars(instance):
            vars(instance)[self._name] = service(self.factory)
        return vars(instance)[self._name]

    def __set__(self, instance: Any, value: Any) -> None:
        # The default of a dataclass' parameter is given as it is.
        given = service(value.factory) if isinstance(value, Provided) else value
        vars(instance)[self._name] = given

    @property
    def factory(self) -> Factory:
        """Who makes it.

        Raises:
            ConfigurationError: its dotted path leads nowhere.
        """
        return _factory(self._factory)

    def __repr__(self) -> str:
        return f"provide({self._factory!r})"


def provide(factory: Callable[..., S] | str) -> S:
    """What *factory* makes, for a parameter or a class: ``mailer: Mailer = provide(Mailer)``.

    Args:
        factory: a function or class, or its dotted path, called without arguments but for services
            of its own.

    Raises:
        ConfigurationError: it is neither.
    """
    if not isinstance(factory, str) and not callable(factory):
        raise ConfigurationError(
            f"provide() takes a function or class that makes the service, or its dotted path, not "
            f"{factory!r}"
        )
    return cast("S", Provided(factory))


def service(factory: Callable[..., S] | str) -> S:
    """The service of this factory, made if it is not there yet; what a test put in its place.

    Raises:
        ConfigurationError: it needs itself to be made.
    """
    return cast("S", _service(_factory(factory), ()))


@contextmanager
def override(factory: Callable[..., S] | str, value: S) -> Iterator[S]:
    """Let *value* be the service of *factory*, for processors that are made within the block.

    A decorator, too. It holds for all threads of this process, not for sandboxes.
    """
    key, nothing = _factory(factory), object()
    before = _replaced.get(key, nothing)
    _replaced[key] = value
    try:
        yield value
    finally:
        if before is nothing:
            del _replaced[key]
        else:
            _replaced[key] = before


def supplied(init: Callable[..., None]) -> Callable[..., None]:
    """*init* of a class, which gets the services that its parameters have as defaults."""
    wanted = _wanted(init)
    if not wanted:
        return init
    signature = inspect.signature(init)

    @functools.wraps(init)
    def supplying(*args: Any, **kwargs: Any) -> None:
        given = signature.bind_partial(*args, **kwargs).arguments
        more = {
            name: _service(one.factory, ()) for name, one in wanted.items() if name not in given
        }
        init(*args, **kwargs, **more)

    return supplying


def _factory(factory: Factory | str) -> Factory:
    if isinstance(factory, str):
        return load_function(factory, "provide()")
    return factory


def _service(factory: Factory, above: tuple[Factory, ...]) -> Any:
    if factory in _replaced:
        return _replaced[factory]
    if factory in above:
        way = " -> ".join(getattr(one, "__qualname__", repr(one)) for one in (*above, factory))
        raise ConfigurationError(f"a service cannot be made that needs itself: {way}")
    with _making:  # once, whoever asks first
        if factory not in _made:
            needs = {
                name: _service(one.factory, (*above, factory))
                for name, one in _wanted(factory).items()
            }
            made = factory(**needs)
            if any(one.factory in _replaced for one in _wanted(factory).values()):
                return made  # of a test's: not for those who come after it
            _made[factory] = made
        return _made[factory]


def _wanted(function: Factory) -> dict[str, Provided]:
    """The parameters of *function* that services are the defaults of."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of C, which has none of ours
        return {}
    wanted = {one.name: one.default for one in parameters if isinstance(one.default, Provided)}
    for one in parameters:
        if one.name in wanted and one.kind is one.POSITIONAL_ONLY:
            raise ConfigurationError(
                f"{one.name} of {function!r} is given by name; take the / out of its parameters"
            )
    return wanted
