"""Carries out operations: :func:`run` blocks, :func:`arun` awaits. The only place that does.

An operation (see :mod:`queuecore.wire.calls.base`) yields requests; both functions here send
each, hand back its decoded answer, and answer ``NOW`` from the connection's clock. A request
that failed is sent again within ``PATIENCE`` seconds only if that does no harm: nothing had left
this process, or the request says that it is repeatable.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ServerUnavailable, SynchronousCall
from .calls.base import NOW, Call, Command, Operation, Request, Rest

if TYPE_CHECKING:
    from .connections import Connection

T = TypeVar("T")

PATIENCE = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25

TIME = Command(("TIME",), lambda reply: int(reply[0]) + int(reply[1]) / 1_000_000)


def run(connection: Connection, operation: Operation[T] | Call[T] | Command[T]) -> T:
    """Carry out *operation* and return its result; blocks the calling thread.

    Raises:
        SynchronousCall: an event loop runs in this thread, which the call would block.
        ServerUnavailable: the server was not reached in time.
    """
    if asyncio._get_running_loop() is not None:
        raise SynchronousCall(_advice(_caller()))
    if not isinstance(operation, Generator):
        return _blocking(connection, operation)  # type: ignore[no-any-return]
    try:
        request = next(operation)
        while True:
            try:
                answer = _blocking(connection, request)
            except Exception as error:
                request = operation.throw(error)
            else:
                request = operation.send(answer)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def arun(connection: Connection, operation: Operation[T] | Call[T] | Command[T]) -> T:
    """Carry out *operation* and return its result, without blocking the event loop."""
    if not isinstance(operation, Generator):
        return await _awaited(connection, operation)  # type: ignore[no-any-return]
    try:
        request = next(operation)
        while True:
            try:
                answer = await _awaited(connection, request)
            except Exception as error:
                request = operation.throw(error)
            else:
                request = operation.send(answer)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _advice(name: str) -> str:
    if name == "__iter__":
        return "for would block the event loop; iterate with async for instead"
    return f"{name}() would block the event loop; await a{name}() instead"


def _caller() -> str:
    """The name of the public method that led here: the first frame that is not ours to pass on."""
    frame = sys._getframe(2)
    while frame.f_code.co_name in ("run", "_run") and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_name


async def anow(connection: Connection) -> int:
    """The server-corrected time in milliseconds."""
    return await _awaited(connection, NOW)  # type: ignore[no-any-return]


def _blocking(connection: Connection, request: Request) -> Any:
    if request is NOW:
        while connection.clock.stale:
            asked = time.monotonic()
            connection.clock.set(_blocking(connection, TIME), asked, time.monotonic())
        return connection.clock.now_ms()
    if isinstance(request, Rest):
        time.sleep(request.seconds)
        return None
    connection.absence.spare()
    pause, deadline = _FIRST_PAUSE, time.monotonic() + PATIENCE
    while True:
        try:
            answer = connection.exchange(request)
        except ServerUnavailable as error:
            connection.clock.forget()
            if not _worth_repeating(request, error, deadline - pause):
                connection.absence.note(error)
                raise
        else:
            connection.absence.over()
            return answer
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


async def _awaited(connection: Connection, request: Request) -> Any:
    if request is NOW:
        while connection.clock.stale:
            asked = time.monotonic()
            connection.clock.set(await _awaited(connection, TIME), asked, time.monotonic())
        return connection.clock.now_ms()
    if isinstance(request, Rest):
        await asyncio.sleep(request.seconds)
        return None
    pause, deadline = _FIRST_PAUSE, time.monotonic() + PATIENCE
    while True:
        try:
            answer = await connection.aexchange(request)
        except ServerUnavailable as error:
            connection.clock.forget()
            if not _worth_repeating(request, error, deadline - pause):
                connection.absence.note(error)
                raise
        else:
            connection.absence.over()
            return answer
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _worth_repeating(request: Request, error: ServerUnavailable, latest: float) -> bool:
    requests = request if isinstance(request, list) else [request]
    harmless = all(isinstance(one, Call | Command) and one.repeatable for one in requests)
    return (harmless or not error.sent) and time.monotonic() < latest
