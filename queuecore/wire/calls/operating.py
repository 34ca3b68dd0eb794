"""The steps of operations on many jobs, each with a receipt; and who runs operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..keys import Keys, connection_key
from .base import Call, Command, text

#: How long the receipt of a chunk is kept: an operation may be paused for longer, between chunks.
KEEP_S = 24 * 3600


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a chunk: which jobs of ``suffix`` it is about.

    ``place``: where to go on afterwards. ``until_ms``: jobs that came later stand. ``left``: near
    which place in a list they were met.
    """

    operation: str
    owner: str
    chunk: int
    step: int
    place: str
    suffix: str
    ids: Sequence[bytes]
    until_ms: int
    left: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """What a chunk has done so far, up to and with ``step``; ``failures``: the first 100.

    ``place``: where to go on; empty before the first step.
    """

    step: int
    place: str
    done: int
    skipped: int
    failed: int
    failures: list[tuple[str, str]]


def take_chunk(keys: Keys, operation: str, owner: str, chunk: int) -> Call[Done | None]:
    """Begin or take over a chunk; None if a later one was begun."""
    return Call(
        "take_chunk",
        (_receipt(keys, operation),),
        (owner, chunk, KEEP_S),
        _done,
        repeatable=True,
    )


def retry_chunk(keys: Keys, step: Step, reset: bool) -> Call[Done | None]:
    """Let completed or failed jobs run again, with *reset* as if never tried (``reprocessJob``)."""
    return Call(
        "retry_chunk",
        (_receipt(keys, step.operation), keys[step.suffix], keys.events),
        (*_head(keys, step), step.suffix, step.until_ms, int(reset), *step.ids),
        _done,
        repeatable=True,
    )


def promote_chunk(keys: Keys, step: Step) -> Call[Done | None]:
    """Let delayed jobs run now (``promote``)."""
    return Call(
        "promote_chunk",
        (_receipt(keys, step.operation), keys[step.suffix], keys.events),
        (*_head(keys, step), step.suffix, step.until_ms, *step.ids),
        _done,
        repeatable=True,
    )


def remove_chunk(keys: Keys, step: Step, how: str) -> Call[Done | None]:
    """Delete jobs; *how* is ``remove``, ``alone`` (without children) or ``drop`` (as ``clean``).

    ``drop grouped`` spares those that wait for children.
    """
    return Call(
        "remove_chunk",
        (_receipt(keys, step.operation), keys[step.suffix]),
        (*_head(keys, step), step.suffix, step.until_ms, how, step.left, *step.ids),
        _done,
        repeatable=True,
    )


def tell_cleaned(keys: Keys, count: int) -> Command[object]:
    """Say in the event stream that *count* jobs were cleaned, as BullMQ's ``clean`` does."""
    return Command(("XADD", keys.events, "*", "event", "cleaned", "count", count), repeatable=False)


def drop_receipt(keys: Keys, operation: str) -> Command[object]:
    """Forget the receipt of an operation that has ended."""
    return Command(("DEL", _receipt(keys, operation)))


def keep_lead(prefix: str, token: str, ttl_ms: int) -> Call[tuple[bool, int]]:
    """Lead for *ttl_ms* more: whether it does, and how often the bell rang. 0 ms lets go."""
    return Call(
        "keep_lead",
        (connection_key(prefix, "operator"), connection_key(prefix, "operations")),
        (token, ttl_ms),
        lambda answer: (answer[0] == 1, answer[1]),
        repeatable=True,
    )


def ring(prefix: str) -> Command[object]:
    """Tell whoever leads that an operation was started or changed."""
    return Command(("INCR", connection_key(prefix, "operations")))


def _receipt(keys: Keys, operation: str) -> str:
    return keys.qc(f"operation:{operation}")


def _head(keys: Keys, step: Step) -> tuple[str | int, ...]:
    return step.owner, step.chunk, step.step, step.place, keys.base


def _done(answer: list[Any]) -> Done | None:
    if answer[0] == 0:
        return None
    _, step, place, done, skipped, failed, why = answer
    words = [text(one) for one in why]
    failures = list(zip(words[::2], words[1::2], strict=True))
    return Done(step, text(place), done, skipped, failed, failures)
