"""Groups: their limits, pauses and contents; how jobs come in and out is with the other calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..keys import Keys
from .base import Call, Command, text
from .removing import groups_of, texts
from .steering import MANUAL_LIMIT, number

#: What a group that has jobs waiting can be (BullMQ Pro's names).
STATUSES = ("waiting", "limited", "maxed", "paused")


@dataclass(frozen=True, slots=True)
class GroupInfo:
    """A group: its id, its status, how many of its jobs wait, and how many run.

    ``status``: ``waiting`` (its turn comes), ``limited`` (by its rate), ``maxed`` (as many run as
    may), ``paused``.
    """

    id: str
    status: str
    waiting: int
    active: int


@dataclass(frozen=True, slots=True)
class GroupList:
    """Some groups, and how many there are of each status."""

    counts: dict[str, int]
    found: list[GroupInfo]


def change_group(keys: Keys, group: str, change: str, value: str = "") -> Call[bool]:
    """Pause or resume *group*, or give it a limit; whether something changed."""
    return Call(
        "change_group",
        (keys.grouped, keys.own_marker),
        (keys.base, group, change, value),
        bool,
        repeatable=change in ("concurrency", "rate") and value != "",
    )


def get_groups(keys: Keys, statuses: tuple[str, ...], start: int, end: int) -> Call[GroupList]:
    """The groups of *statuses* from *start* to *end*, both included."""

    def decode(answer: list[Any]) -> GroupList:
        rest = answer[4:]
        return GroupList(
            dict(zip(STATUSES, answer[:4], strict=True)),
            [
                GroupInfo(text(rest[i]), text(rest[i + 1]), rest[i + 2], rest[i + 3])
                for i in range(0, len(rest), 4)
            ],
        )

    return Call(
        "get_groups",
        (*groups_of(keys), keys.qc("group-running")),
        (keys.base, start, end, *statuses),
        decode,
        repeatable=True,
    )


def get_group_concurrency(keys: Keys, group: str) -> Command[int | None]:
    """The concurrency of a single group, None if it has none of its own."""
    return Command(("HGET", keys.qc("group-concurrency"), group), number)


def get_group_rate_limit(keys: Keys, group: str) -> Command[tuple[int, int] | None]:
    """The rate limit of a single group as (maximum, duration in ms), None if it has none."""

    def decode(answer: bytes | None) -> tuple[int, int] | None:
        if answer is None:
            return None
        most, duration = text(answer).split(",")
        return int(most), int(duration)

    return Command(("HGET", keys.qc("group-rate"), group), decode)


def get_group_used(keys: Keys, group: str) -> tuple[Command[int | None], Command[int]]:
    """How many starts of a group its rate limit has counted, and for how long (ms) it does."""
    counter = keys.group_limiter(group)
    return Command(("GET", counter), number), Command(("PTTL", counter))


def get_group_ids(key: str, start: int, end: int) -> Command[list[str]]:
    """The ids of some jobs of a group, the next to run first."""
    return Command(("ZRANGE", key, start, end), texts)


def count_group(keys: Keys, group: str) -> Command[int]:
    """How many jobs wait in *group*."""
    return Command(("ZCARD", keys.group(group)))


def count_later(keys: Keys, group: str) -> Command[int]:
    """How many jobs of *group* are due later."""
    return Command(("ZCARD", keys.group_later(group)))


def count_priority(keys: Keys, group: str, priority: int) -> Command[int]:
    """How many jobs of one priority wait in *group*."""
    first = priority * 2**32
    return Command(("ZCOUNT", keys.group(group), first, f"({first + 2**32}"))


def count_active(keys: Keys, group: str) -> Command[int]:
    """How many jobs of *group* run."""
    return Command(("HGET", keys.qc("group-running"), group), lambda answer: number(answer) or 0)


__all__ = [
    "MANUAL_LIMIT",
    "STATUSES",
    "GroupInfo",
    "GroupList",
    "change_group",
    "count_active",
    "count_group",
    "count_later",
    "count_priority",
    "get_group_concurrency",
    "get_group_ids",
    "get_group_rate_limit",
    "get_group_used",
    "get_groups",
]
