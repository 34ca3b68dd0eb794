"""Connected: one connection by its alias, the common ground of what looks at all of its queues."""

from __future__ import annotations

from typing import TypeVar

from .wire.absence import hurried
from .wire.calls.base import Call, Command, Operation
from .wire.connections import Connection, get_connection

__all__ = ["Connected", "hurried"]

T = TypeVar("T")


class Connected:
    """A connection alias; carries out operations on it.

    Args:
        alias: a key of ``QUEUECORE["CONNECTIONS"]``.

    Raises:
        ConfigurationError: there is no such connection.
    """

    def __init__(self, alias: str = "default") -> None:
        self.alias = alias
        self.connection: Connection = get_connection(alias)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.alias!r}>"

    def _run(self, operation: Operation[T] | Call[T] | Command[T]) -> T:
        return self.connection.run(operation)

    async def _arun(self, operation: Operation[T] | Call[T] | Command[T]) -> T:
        return await self.connection.arun(operation)
