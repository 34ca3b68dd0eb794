"""Named limits: what they allow, which queues belong to them, and what these use of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..keys import Keys, connection_key, limit_key
from .base import Argument, Call, Command, text
from .removing import texts
from .steering import number

#: What is allowed at once, and (maximum, duration in ms) in a time; None is without limit.
Allowed = tuple[int | None, tuple[int, int] | None]


@dataclass(frozen=True, slots=True)
class Limits:
    """A named limit as it stands in the server; what it allows is what counts now.

    ``by_hand``: which parts somebody has set, ``concurrency`` or ``rate``. ``queues``: name, how
    many of its jobs run, and whether it waits for its turn.
    """

    allowed: Allowed
    declared: Allowed
    by_hand: tuple[str, ...]
    used: int
    ttl: int
    queues: list[tuple[str, int, bool]]


def declare_limits(keys: Keys, limits: Mapping[str, Allowed]) -> Call[None]:
    """Let the queue belong to *limits* and to no others, each with what the settings allow it."""
    args: list[Argument] = [limit_key(keys.prefix, ""), keys.qualified]
    for name, (concurrency, rate) in limits.items():
        args += (name, wire_concurrency(concurrency), wire_rate(rate))
    known = connection_key(keys.prefix, "limits")
    return Call("declare_limits", (keys.limits, known), args, _nothing, repeatable=True)


def change_limit(prefix: str, name: str, change: str, value: str, declared: bool) -> Call[int]:
    """Change a limit by hand; 1 if something changed, -1 if there is no such limit."""
    return Call(
        "change_limit",
        (connection_key(prefix, "limits"), limit_key(prefix, name)),
        (name, change, value, int(declared)),
        repeatable=change in ("concurrency", "rate"),
    )


def get_limit(prefix: str, name: str, now: int) -> Call[Limits | None]:
    """The limit *name*, None if there is none."""
    return Call(
        "get_limit",
        (limit_key(prefix, name),),
        (now,),
        lambda answer: _limits(prefix, answer),
        repeatable=True,
    )


def get_limit_names(prefix: str) -> Command[list[str]]:
    """The names of all limits of a prefix, sorted."""
    key = connection_key(prefix, "limits")
    return Command(("SMEMBERS", key), lambda answer: sorted(texts(answer)))


def get_limits_of(keys: Keys) -> Command[list[str]]:
    """The names of the limits to which a queue belongs."""
    begins = len(limit_key(keys.prefix, ""))
    return Command(
        ("GET", keys.limits),
        lambda answer: [line[begins:] for line in text(answer or "").splitlines()],
    )


def wire_concurrency(concurrency: int | None) -> str:
    """A concurrency as it is kept; "" is none."""
    return "" if concurrency is None else str(concurrency)


def wire_rate(rate: tuple[int, int] | None) -> str:
    """A rate (maximum, duration in ms) as it is kept; "" is none."""
    return "" if rate is None else f"{rate[0]},{rate[1]}"


def _limits(prefix: str, answer: Sequence[Any]) -> Limits | None:
    if not answer:
        return None
    concurrency, rate = text(answer[0]), text(answer[1])
    declared = number(answer[2]), _rate(text(answer[3]))
    by_hand = (concurrency != "-", rate != "-")
    return Limits(
        allowed=(
            number(concurrency) if by_hand[0] else declared[0],
            _rate(rate) if by_hand[1] else declared[1],
        ),
        declared=declared,
        by_hand=tuple(
            part for part, own in zip(("concurrency", "rate"), by_hand, strict=True) if own
        ),
        used=answer[4],
        ttl=answer[5],
        queues=[
            (text(answer[i]).removeprefix(f"{prefix}:"), answer[i + 1], answer[i + 2] > 0)
            for i in range(6, len(answer), 3)
        ],
    )


def _rate(kept: str) -> tuple[int, int] | None:
    most, _, duration = kept.partition(",")
    found = number(most), number(duration)
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _nothing(answer: Any) -> None:
    return None
