"""Pages of a queue's groups, for those who look at many: sorted, filtered and counted.

Ten thousand groups cost the server some 20 ms, in pieces of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..keys import Keys
from ..readings import GROUP_STATUSES, GroupPage, GroupRow, JobPage, due_moment, integer
from . import inspecting
from .base import NOW, Call, Command, Operation, text
from .removing import groups_of, texts
from .steering import MANUAL_LIMIT

#: By what groups can be sorted: the most first, the next in turn first, or by their ids.
SORTS = ("waiting", "active", "delayed", "turn", "id")
#: The states of a group's jobs that can be listed.
JOBS = ("waiting", "delayed", "active")
# Groups one call looks at.
SLICE, ROWS = 500, 50
# Calls of one pipeline: more would keep others waiting.
CALLS = 4


def get_page(
    keys: Keys, sort: str, statuses: Sequence[str], search: str, offset: int, limit: int
) -> Operation[GroupPage]:
    """The groups of *statuses* (none: all) whose id holds *search*, a page of them."""
    now = yield NOW
    counts = dict.fromkeys(GROUP_STATUSES, 0)
    if not (yield Command(("EXISTS", keys.grouped))):
        return GroupPage([], 0, offset, limit, counts)
    known, running = yield from _find(keys, now)
    for status in known.values():
        counts[status] += 1
    wanted, part = set(statuses or GROUP_STATUSES), search.casefold()
    ids = [
        one
        for one, status in known.items()
        if status in wanted and (not part or part in one.casefold())
    ]
    if sort == "id":
        ids.sort()
    elif sort != "turn":
        sizes = running
        if sort in ("waiting", "delayed"):
            sizes = yield from _count(keys, ids, sort)
        ids.sort(key=lambda one: (-sizes.get(one, 0), one))
    rows = yield from _rows(keys, {one: known[one] for one in ids[offset : offset + limit]}, now)
    return GroupPage(rows, len(ids), offset, limit, counts)


def get_rows(
    keys: Keys, groups: Sequence[str]
) -> Operation[tuple[list[GroupRow | None], dict[str, int]]]:
    """*groups* in their order, None for those of which nothing is known; the counts of all."""
    now = yield NOW
    counts = dict.fromkeys(GROUP_STATUSES, 0)
    if not (yield Command(("EXISTS", keys.grouped))):
        return [None] * len(groups), counts
    known, _running = yield from _find(keys, now)
    for status in known.values():
        counts[status] += 1
    found = yield from _rows(keys, {one: known[one] for one in groups if one in known}, now)
    rows = {row.id: row for row in found}
    return [rows.get(one) for one in groups], counts


def get_place(keys: Keys, group: str, job_id: str) -> Command[int | None]:
    """How many jobs of *group* run before one that waits there; None if it does not."""
    return Command(("ZRANK", keys.group(group), job_id), tolerant=True)


def get_one(keys: Keys, group: str) -> Operation[GroupRow | None]:
    """One group; None if nothing of it is known."""
    now = yield NOW
    turns, limited, maxed, paused = groups_of(keys)
    places = yield [
        Command(("SISMEMBER", paused, group)),
        Command(("SISMEMBER", maxed, group)),
        Command(("ZSCORE", limited, group)),
        Command(("ZSCORE", turns, group)),
        Command(("HGET", keys.qc("group-running"), group)),
        Command(("ZSCORE", keys.qc("group-delayed"), group)),
        Command(("HEXISTS", keys.qc("group-concurrency"), group)),
        Command(("HEXISTS", keys.qc("group-rate"), group)),
        Command(("EXISTS", keys.group_limiter(group))),
    ]
    held = places[2] is not None and (integer(places[2]) or 0) > now
    found = (
        *(places[0], places[1], held, places[2] is not None or places[3] is not None),
        *(places[4] is not None, places[5] is not None, any(places[6:])),
    )
    names = ("paused", "maxed", "limited", "waiting", "active", "delayed", "idle")
    status = next((name for name, here in zip(names, found, strict=True) if here), None)
    if status is None:
        return None
    rows = yield from _rows(keys, {group: status}, now)
    return rows[0]


def get_status(keys: Keys, group: str) -> Operation[str | None]:
    """What a group is, by :data:`GROUP_STATUSES`; None if nothing of it is known."""
    found = yield from get_one(keys, group)
    return found.status if found is not None else None


def get_jobs(keys: Keys, group: str, state: str, offset: int, limit: int) -> Operation[JobPage]:
    """A page of a group's jobs in one of :data:`JOBS`, the next to run first."""
    if state == "active":
        flat = yield Command(("HGETALL", keys.qc("group-active")))
        kept = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
        every = [text(id) for id, where in kept if text(where).partition(" ")[2] == group]
        total, ids = len(every), every[offset : offset + limit]
    else:
        key = keys.group(group) if state == "waiting" else keys.group_later(group)
        total, scored = yield [
            Command(("ZCARD", key)),
            Command(("ZRANGE", key, offset, offset + limit - 1, "WITHSCORES"), _scored),
        ]
        ids = list(scored)
    rows = (yield inspecting.get_job_rows(keys, ids)) if ids else []
    if state == "delayed":
        rows = [row and replace(row, due=due_moment(scored[row.id])) for row in rows]
    orphans = [id for id, row in zip(ids, rows, strict=True) if row is None]
    return JobPage([row for row in rows if row is not None], total, offset, limit, orphans)


def _scored(answer: list[bytes]) -> dict[str, bytes]:
    return dict(zip(texts(answer[::2]), answer[1::2], strict=True))


def count_groups(keys: Keys, kind: str, groups: Sequence[str]) -> Call[list[int]]:
    """How many jobs each of *groups* has: ``waiting`` or ``delayed`` ones."""
    place = "group" if kind == "waiting" else "group-later"
    return Call("count_groups", (), (keys.base, place, *groups), repeatable=True)


def get_group_rows(keys: Keys, groups: Sequence[str]) -> Call[list[Any]]:
    """What a list shows of *groups*, as the script answers it."""
    return Call(
        "get_group_rows",
        (keys.qc("group-running"), keys.qc("group-concurrency"), keys.qc("group-rate")),
        (keys.base, *groups),
        repeatable=True,
    )


def _find(keys: Keys, now: int) -> Operation[tuple[dict[str, str], dict[str, int]]]:
    """All groups with their statuses, the next in turn first; and how many jobs run of each."""
    turns, limited, maxed, paused = groups_of(keys)
    found = yield [
        Command(("ZRANGE", turns, 0, -1), texts),
        Command(("ZRANGEBYSCORE", limited, "-inf", now), texts),
        Command(("ZRANGEBYSCORE", limited, f"({now}", "+inf"), texts),
        Command(("SMEMBERS", maxed), texts),
        Command(("SMEMBERS", paused), texts),
        Command(("HKEYS", keys.qc("group-running")), texts),
        Command(("HVALS", keys.qc("group-running"))),
        Command(("ZRANGE", keys.qc("group-delayed"), 0, -1), texts),
        Command(("HKEYS", keys.qc("group-concurrency")), texts),
        Command(("HKEYS", keys.qc("group-rate")), texts),
    ]
    turn, over, held, full, stopped, runs, numbers, later, own, rates = found
    known = dict.fromkeys((*turn, *over), "waiting")
    for some, status in ((held, "limited"), (sorted(full), "maxed"), (sorted(stopped), "paused")):
        known |= dict.fromkeys(some, status)
    for some, status in ((sorted(runs), "active"), (later, "delayed"), (sorted(own), "idle")):
        for one in some:
            known.setdefault(one, status)
    for one in sorted(rates):
        known.setdefault(one, "idle")
    return known, {one: int(n) for one, n in zip(runs, numbers, strict=False)}


def _count(keys: Keys, groups: Sequence[str], kind: str) -> Operation[dict[str, int]]:
    sizes: list[int] = []
    calls = [
        count_groups(keys, kind, groups[start : start + SLICE])
        for start in range(0, len(groups), SLICE)
    ]
    for start in range(0, len(calls), CALLS):
        for some in (yield list(calls[start : start + CALLS])):
            sizes += some
    return dict(zip(groups, sizes, strict=True))


def _rows(keys: Keys, groups: dict[str, str], now: int) -> Operation[list[GroupRow]]:
    ids = list(groups)
    calls = [get_group_rows(keys, ids[start : start + ROWS]) for start in range(0, len(ids), ROWS)]
    told: list[Any] = []
    for some in (yield list(calls)) if calls else ():
        told += some
    return [_row(one, groups[one], row, now) for one, row in zip(ids, told, strict=True)]


def _row(group: str, status: str, told: Sequence[Any], now: int) -> GroupRow:
    waiting, delayed, active, concurrency, rate, used, ttl, due, until = told
    most, _, duration = text(rate or b"").partition(",")
    own = integer(most)
    spent, left = integer(used) or 0, 0
    if status == "limited":
        left = max((integer(until) or 0) - now, 0)
    elif spent >= MANUAL_LIMIT or (own is not None and spent >= own):
        left = max(ttl, 0)
    return GroupRow(
        id=group,
        status=status,
        waiting=waiting,
        delayed=delayed,
        active=max(integer(active) or 0, 0),
        concurrency=integer(concurrency),
        limit_max=own,
        limit_duration_ms=integer(duration),
        limit_ttl_ms=left,
        next_due=due_moment(due),
    )


__all__ = [
    "JOBS",
    "SORTS",
    "count_groups",
    "get_group_rows",
    "get_jobs",
    "get_one",
    "get_page",
    "get_place",
    "get_rows",
    "get_status",
]
