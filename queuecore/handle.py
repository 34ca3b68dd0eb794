"""Handle: one queue on one connection, the common ground of everything that speaks to a queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from . import conf
from .errors import InvalidOption
from .wire.calls.base import Call, Command, Operation
from .wire.calls.steering import set_max_events
from .wire.connections import Connection, get_connection
from .wire.keys import Keys, connection_key

T = TypeVar("T")

# What `meta.version` says where no other client has said anything.
WIRE_VERSION = "queuecore:1"


class Handle:
    """A connection alias and the name of a queue; carries out operations on it.

    Raises:
        ConfigurationError: there is no such connection.
    """

    def __init__(self, name: str, connection: str) -> None:
        self.name = name
        self.alias = connection
        self.connection: Connection = get_connection(connection)
        self.keys = Keys(self.connection.prefix, name)
        # Of the worker whose jobs belong to this handle: whom to tell of progress, and the reasons
        # of runs that are to be cancelled, by the lock's token and the job's id.
        self._progressed: Callable[[Any, Any], None] | None = None
        self._cancelled: dict[tuple[str, str], str] = {}
        # Finishes jobs that a program claims itself: `queuecore.worker.manual.Manual`.
        self._manual: Any = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r} on {self.alias!r}>"

    def _introduction(self) -> list[Call[Any] | Command[Any]]:
        """What is sent before the first job: that there is such a queue, and how it is set up."""
        known = self._known()
        most = conf.get_settings().max_events
        if most is None:
            return [known]
        return [known, set_max_events(self.keys, most, where_absent=True)]

    def _known(self) -> Command[Any]:
        """What tells that there is such a queue."""
        return Command(("SADD", connection_key(self.keys.prefix, "queues"), self.name))

    def _run(self, operation: Operation[T] | Call[T] | Command[T]) -> T:
        return self.connection.run(operation)

    async def _arun(self, operation: Operation[T] | Call[T] | Command[T]) -> T:
        return await self.connection.arun(operation)


def known_name(value: object) -> str:
    """The name of a queue that others may have made: it follows no rules but text's.

    Raises:
        InvalidOption: it is no text, or empty, or holds what no text may.
    """
    if not isinstance(value, str) or not value:
        raise InvalidOption(f"the name of a queue must be a text that is not empty, not {value!r}")
    return _text(value, "the name of a queue")


def known_id(value: object) -> str:
    """The id of a job that exists, as somebody gave it: others' ids follow no rules but text's.

    Raises:
        InvalidOption: it is no text, or empty, or holds what no text may.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise InvalidOption(f"a job id must be a text that is not empty, not {value!r}")
    return _text(value, "a job id")


def _text(value: str, what: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidOption(f"{what} holds a lone surrogate, which is no valid text") from None
    return value


def log_row(row: object) -> str:
    """One row of a log, as text that can be stored."""
    return str(row).encode("utf-8", "replace").decode()
