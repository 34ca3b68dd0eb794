"""Tasks of the worker's event loop: ended for sure, and no exit inside one ends the process.

asyncio lets ``SystemExit`` and ``KeyboardInterrupt`` through from any task to the loop's caller. A
processor's own coroutine is caught where it runs, but one that it starts by ``gather``,
``wait_for`` or a task group is a task too: with :func:`guard` the job gets a :class:`TaskExit`.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any, cast


class TaskExit(BaseException):
    """A task raised ``SystemExit`` or ``KeyboardInterrupt``, which is the cause of this."""


async def end(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel *tasks* until they have ended: connecting can swallow a cancellation."""
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.1)


def call_in(
    loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any
) -> None:
    """Let *loop* call *function*; may be called from any thread, and when the loop has ended."""
    with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the worker
        loop.call_soon_threadsafe(function, *arguments)


def stop_signals() -> list[signal.Signals]:
    """What tells a process to stop; a terminal's end does not where ``nohup`` said so."""
    told = [signal.SIGTERM, signal.SIGINT]
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) != signal.SIG_IGN:
        told.append(hangup)
    return told


def guard(loop: asyncio.AbstractEventLoop) -> None:
    """Let every task that is made in *loop* turn an exit into a :class:`TaskExit`."""
    loop.set_task_factory(cast(Any, _make))


def _make(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    return asyncio.Task(_Guarded(coroutine), loop=loop, **options)


class _Guarded(Coroutine[Any, Any, Any]):
    """A coroutine around another; no coroutine function, since one that is cancelled before its
    first step would never begin the other."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Coroutine[Any, Any, Any]) -> None:
        self._inner = inner

    def __repr__(self) -> str:
        return repr(self._inner)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    def send(self, value: Any) -> Any:
        try:
            return self._inner.send(value)
        except (SystemExit, KeyboardInterrupt) as left:
            raise _exit(left) from left

    def throw(self, *error: Any) -> Any:
        try:
            return self._inner.throw(*error)
        except (SystemExit, KeyboardInterrupt) as left:
            raise _exit(left) from left

    def close(self) -> None:
        self._inner.close()


def _exit(left: BaseException) -> TaskExit:
    return TaskExit(f"a task of the job raised {type(left).__name__}: {left}".rstrip(": "))
