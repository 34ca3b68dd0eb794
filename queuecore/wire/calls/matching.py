"""Looking at jobs a slice at a time, for those that fit."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..keys import Keys
from .base import Call, Command, text

# Jobs that one call looks at: about a thousandth of a second on the server.
SLICE = 200
EVERYTHING = ("-inf", "+inf")

#: Where the jobs of a state stand, in the order of their pages.
PLACES = {
    "waiting": ("wait", "paused"),
    "active": ("active",),
    "prioritized": ("prioritized",),
    "delayed": ("delayed",),
    "waiting-children": ("waiting-children",),
    "completed": ("completed",),
    "failed": ("failed",),
}
LISTS = frozenset({"wait", "paused", "active"})

Condition = tuple[str, str, str | int]


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: see `lua/match_jobs.lua` for the conditions.

    ``window``: scores, both included. ``only``: this id alone, empty for all.
    """

    state: str
    conditions: Sequence[Condition] = ()
    window: tuple[str, str] = EVERYTHING
    only: str = ""


@dataclass(frozen=True, slots=True)
class Slice:
    """One look at ``looked`` jobs: ``passed`` of ``total`` so far; ``place`` is where it ended."""

    ids: list[bytes]
    total: int
    passed: int
    looked: int
    more: bool
    place: str


def match_slice(
    keys: Keys, suffix: str, search: Search, place: str, *, most: int, falling: bool
) -> Call[Slice]:
    """Look at up to ``SLICE`` more jobs of ``keys[suffix]`` from *place* on; find at most *most*.

    Raises:
        ValueError: *place* is none.
    """
    kind = "list" if suffix in LISTS else "falling" if falling else "rising"
    at, last = _read_place(place, _LEFT if kind == "list" else _SCORE)
    return Call(
        "match_jobs",
        (keys[suffix],),
        (
            keys.base,
            search.state,
            kind,
            *search.window,
            at,
            last,
            SLICE,
            most,
            search.only,
            *(part for condition in search.conditions for part in condition),
        ),
        _slice,
        repeatable=True,
    )


def length(keys: Keys, suffix: str, search: Search) -> Command[int]:
    """How many jobs of ``keys[suffix]`` lie in the window; the conditions are not looked at."""
    key = keys[suffix]
    args = ("LLEN", key) if suffix in LISTS else ("ZCOUNT", key, *search.window)
    return Command(args, lambda answer: answer or 0, tolerant=True)


def place_in_list(keys: Keys, suffix: str, left: int) -> Command[str]:
    """The place in a list behind which *left* jobs are left; empty if there are fewer."""

    def decode(answer: Any) -> str:
        return "" if answer is None else _place(str(left), answer)

    return Command(("LINDEX", keys[suffix], left - 1), decode, tolerant=True)


def place_in_set(keys: Keys, suffix: str, passed: int, *, falling: bool) -> Command[str]:
    """The place among scores before which *passed* jobs stand; empty if there are fewer."""

    def decode(answer: Any) -> str:
        return _place(text(answer[1]), answer[0]) if answer else ""

    command = "ZREVRANGE" if falling else "ZRANGE"
    args = (command, keys[suffix], passed - 1, passed - 1, "WITHSCORES")
    return Command(args, decode, tolerant=True)


def left_of(place: str) -> int:
    """How many jobs of a list were left at *place*; 0 where it is none in a list."""
    at, _, _ = place.partition("~")
    return int(at) if at.isascii() and at.isdigit() else 0


def _slice(answer: list[Any]) -> Slice:
    total, passed, looked, more, at, last, *ids = answer
    place = _place(text(at), last)
    return Slice([_bytes(one) for one in ids], total, passed, looked, more == 1, place)


def _place(at: str, last: bytes | str) -> str:
    return f"{at}~{base64.urlsafe_b64encode(_bytes(last)).decode().rstrip('=')}"


def _bytes(value: bytes | str) -> bytes:
    return value.encode() if isinstance(value, str) else value


# What a place begins with: how many jobs of a list are left, or a score as the server writes it.
_LEFT = re.compile(r"[0-9]{1,15}")
_SCORE = re.compile(r"-?(?:[0-9]{1,400}(?:\.[0-9]{1,400})?(?:e[+-]?[0-9]{1,3})?|inf)")


def _read_place(place: str, form: re.Pattern[str]) -> tuple[str, bytes]:
    if not place:
        return "", b""
    at, mark, encoded = place.partition("~")
    try:
        mark = mark if form.fullmatch(at) else ""
        last = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except (ValueError, binascii.Error):
        mark = ""
    if not mark:
        raise ValueError(f"{place[:80]!r} is no place in a list of jobs")
    return at, last
