"""What a request to the server is: a :class:`Call`, a :class:`Command`, ``NOW``, or a ``Rest``.

An *operation* is one request, or a generator that yields requests (a list of them is one
pipeline), receives their decoded answers and returns its result. An operation knows nothing of
sockets, so the same one serves blocking and awaiting callers, and its arguments can be tested
without a server.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ... import errors

T = TypeVar("T")
Argument = str | bytes | int | float


def raw(reply: Any) -> Any:
    """Leave an answer as the server gave it."""
    return reply


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One run of a script of ``queuecore/lua``.

    ``repeatable`` says that carrying it out twice does no harm (it reads, it is idempotent, or it
    keeps a receipt), so that it may be sent again when its answer was lost.
    """

    script: str
    keys: Sequence[str]
    args: Sequence[Argument]
    decode: Callable[[Any], T] = raw
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Command(Generic[T]):
    """One plain command, such as ``Command(("LLEN", key))``; see :class:`Call`."""

    args: Sequence[Argument]
    decode: Callable[[Any], T] = raw
    repeatable: bool = True
    # Answers that are errors of this one command (a wrong type) are given to `decode` as None.
    tolerant: bool = field(default=False)


class _Now:
    """Yield ``NOW`` to receive the server-corrected time in milliseconds (`int`)."""

    def __repr__(self) -> str:
        return "NOW"


NOW = _Now()


@dataclass(frozen=True, slots=True)
class Rest:
    """Yield it to leave the server to others for so many seconds."""

    seconds: float


Request = Call[Any] | Command[Any] | list[Call[Any] | Command[Any]] | _Now | Rest
Operation = Generator[Request, Any, T]

_CODES: dict[int, tuple[type[errors.QueueCoreError], str]] = {
    -1: (errors.JobNotFound, "there is no job {id} in queue {queue}"),
    -2: (
        errors.LockLost,
        "job {id} of queue {queue} has no lock any more; another worker may run it",
    ),
    -3: (errors.JobNotInState, "job {id} of queue {queue} is not {state}"),
    -4: (errors.PendingChildren, "job {id} of queue {queue} has unfinished children"),
    -6: (errors.LockLost, "job {id} of queue {queue} is locked by another worker"),
    -8: (
        errors.PendingSchedulerRun,
        "job {id} of queue {queue} is a scheduler's next run; change or remove the scheduler",
    ),
    -9: (errors.FailedChildren, "job {id} of queue {queue} has failed children"),
}


def check(code: Any, *, queue: str, id: str, state: str = "in the right state") -> Any:
    """Return *code*, or raise the error that BullMQ's negative code stands for.

    *state* completes "job 7 is not ..." for code -3.
    """
    if isinstance(code, int) and code < 0:
        known = _CODES.get(code)
        if known is None:
            raise errors.UnknownCode(f"the server answered {code} for job {id} of queue {queue}")
        kind, text = known
        raise kind(text.format(id=id, queue=queue, state=state))
    return code


def text(value: Any) -> str:
    """Decode bytes of unknown origin; what is no UTF-8 stays visible as ``\\xNN``."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def pairs(flat: Sequence[Any]) -> dict[str, str]:
    """Decode a flat list of names and values (``HGETALL`` in RESP2) as a dict of text."""
    words = [text(word) for word in flat]
    return dict(zip(words[::2], words[1::2], strict=True))
