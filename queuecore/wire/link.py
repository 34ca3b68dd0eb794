"""A link: one socket with one owner in one event loop, for the calls of a worker.

redis-py connects (TLS, password, database, client name); from then on the socket belongs to a
small protocol of our own, since a worker with one slot lives from round trip to round trip. A
request at a time, a deadline for each answer, nothing repeated here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import redis
from redis.asyncio.connection import AbstractConnection

from ..errors import ServerRefused
from . import resp
from .calls.base import Call, Command
from .scripts import load

if TYPE_CHECKING:
    from .connections import Connection

T = TypeVar("T")

# Answers after which another connection may reach the right server, or be let in.
ELSEWHERE = frozenset(
    (
        *("READONLY", "MASTERDOWN", "NOAUTH", "WRONGPASS", "NOPERM"),
        *("LOADING", "MOVED", "CLUSTERDOWN"),
    )
)


class Link:
    """One socket; closed by a :class:`ServerUnavailable`, opened again by the next request."""

    def __init__(self, connection: Connection, client_name: str | None, deadline: float) -> None:
        self._connection = connection
        self._client_name = client_name
        self._deadline = deadline
        self._stream: _Stream | None = None

    async def open(self) -> None:
        """Connect, if not connected.

        Raises:
            ServerUnavailable: with ``sent`` false.
        """
        if self._stream is not None:
            return
        try:
            self._stream = _Stream(await self._connection.connect(self._client_name))
        except (redis.RedisError, OSError) as error:
            await asyncio.to_thread(self._connection.revive, error)
            raise self._connection.unreachable(error, sent=False) from error
        self._connection.clock.forget()

    async def send(self, request: Call[T] | Command[T], timeout: float | None = None) -> T:
        """Send *request* and return its decoded answer; *timeout* seconds for the answer.

        Raises:
            ServerUnavailable: the link is closed, and the request's fate unknown if ``sent``.
        """
        if self._stream is not None and self._stream.lost:
            await self.close()  # lost while nobody waited: nothing of this request was sent
        if self._stream is None:
            await self.open()
        stream = self._stream
        assert stream is not None
        deadline = self._deadline if timeout is None else timeout
        try:
            if isinstance(request, Command):
                answer = await stream.ask(request.args, deadline)
            else:
                script = load(request.script)
                rest = (len(request.keys), *request.keys, *request.args)
                answer = await stream.ask(("EVALSHA", script.sha, *rest), deadline)
                if isinstance(answer, redis.ResponseError) and str(answer).startswith("NOSCRIPT"):
                    answer = await stream.ask(("EVAL", script.source, *rest), deadline)
        except BaseException as error:
            await self.close()
            if isinstance(error, OSError):
                raise self._connection.unreachable(error, sent=True) from error
            raise
        try:
            return self._connection.decode(request, answer)  # type: ignore[no-any-return]
        except ServerRefused as error:
            if error.code in ELSEWHERE:
                await self.close()
                self._connection.doubt()
            raise

    async def close(self) -> None:
        """Close the socket at once."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()


class _Stream(asyncio.Protocol):
    """The protocol that takes over a connected socket from redis-py."""

    def __init__(self, opened: AbstractConnection) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = resp.reader()
        self._waiter: asyncio.Future[Any] | None = None
        self._due = self._patience = 0.0
        self._timer: asyncio.TimerHandle | None = None
        # The writer is kept, and taken from redis-py's object: either would close the socket when
        # it is collected.
        self._writer = cast(Any, opened._writer)
        opened._writer = opened._reader = None
        self._transport = self._writer.transport
        self._write: Callable[[bytes], None] = self._transport.write
        self._transport.set_protocol(self)

    @property
    def lost(self) -> bool:
        """Whether the socket has ended."""
        return bool(self._transport.is_closing())

    async def ask(self, words: Any, timeout: float) -> Any:
        """Send one command and await its answer; an error answer is returned, not raised.

        Raises:
            OSError: the socket was lost, or no answer came in *timeout* seconds.
        """
        if self.lost:
            raise ConnectionResetError("the connection was closed by the server")
        packed = resp.pack(words)
        waiter = self._waiter = self._loop.create_future()
        self._patience = timeout
        self._due = self._loop.time() + timeout
        if self._timer is None or self._timer.when() > self._due:
            self._set_timer()
        self._write(packed)
        try:
            return await waiter
        finally:
            self._waiter = None

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        answer = self._reader.gets()
        if answer is not resp.INCOMPLETE and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc or ConnectionResetError("the connection was closed by the server"))

    def _set_timer(self) -> None:
        """One timer looks after the deadlines of all requests: one for each costs more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._due:
            self._set_timer()
        else:
            self._fail(TimeoutError(f"no answer in {self._patience:g} s"))

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error if isinstance(error, OSError) else OSError(str(error)))

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._transport.abort()
