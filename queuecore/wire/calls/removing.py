"""Deleting jobs: one, all that wait, the old ones of a state, orphans, or the whole queue.

Each operation works in batches that keep one call short on the server. What is added meanwhile by
others stays: an operation deletes at most as many jobs as there were when it began.
"""

from __future__ import annotations

import re
from typing import Any

from ...errors import JobIsLocked, QueueHasActiveJobs, QueueNotPaused
from ..keys import Keys
from .base import Call, Command, Operation, check, text
from .inspecting import escaped
from .steering import pause

# Deleting a job costs about 15 microseconds on the server.
BATCH = 250
# How many kept ids one call may step over again to take out the others, all in all.
STEPS = 200_000
# Ids of a list that one command reads.
PAGE = 5_000
# Later than any time.
EVER = 2**53


def remove_job(keys: Keys, job_id: str, children: bool) -> Call[bool]:
    """Delete a job, and its *children* if asked to; whether there was one (``removeJob``)."""

    def decode(answer: int) -> bool:
        if answer == 0:
            below = " or one of its children" if children else ""
            raise JobIsLocked(
                f"job {job_id} of queue {keys.name}{below} is running: wait until it is finished"
            )
        return bool(check(answer, queue=keys.name, id=job_id) == 1)

    return Call("remove_job", (keys.meta,), (keys.base, job_id, int(children)), decode)


def drain(keys: Keys, delayed: bool) -> Operation[int]:
    """Delete the jobs that wait, the *delayed* ones too if asked to; how many (``drain``).

    The next runs of schedulers stand.
    """
    sources = [("list", keys.wait), ("list", keys.paused), ("zset", keys.prioritized)]
    if delayed:
        sources.append(("zset", keys.delayed))
    deleted = 0
    for kind, source in sources:
        left = yield Command(("LLEN" if kind == "list" else "ZCARD", source))
        kept = 0
        while left > 0:
            batch = min(BATCH, left)
            # Done again after a lost answer it would also delete what was added meanwhile.
            seen, stood = yield Call("drain", (source,), (keys.base, kind, batch, kept))
            deleted += seen - stood
            kept += stood
            left -= seen
            if seen < batch:
                break
    left = 0
    if (yield Command(("EXISTS", keys.grouped))):
        left = yield Command(("ZCARD", keys.waiting_children))
    while left > 0:
        gone = yield Call(
            "drain_groups",
            (*groups_of(keys), keys.qc("group-delayed")),
            (keys.base, min(BATCH, left), int(delayed)),
        )
        deleted += gone
        left = left - gone if gone else 0
    return deleted


def groups_of(keys: Keys) -> tuple[str, str, str, str]:
    """Where the groups of a queue stand: in turn, limited, at their concurrency, paused."""
    return (
        keys.qc("groups"),
        keys.qc("groups-limited"),
        keys.qc("groups-maxed"),
        keys.qc("groups-paused"),
    )


def _forget_groups(keys: Keys) -> Operation[None]:
    ids = yield from find_groups(keys)
    later = yield Command(("ZRANGE", keys.qc("group-delayed"), 0, -1), texts)
    names = ("turn", "delayed", "active", "running", "concurrency", "rate")
    own = [keys.grouped, keys.own_marker, *groups_of(keys)]
    own += [keys.qc(f"group-{name}") for name in names]
    own += [key for one in ids for key in (keys.group(one), keys.group_limiter(one))]
    own += [keys.group_later(one) for one in later]
    for start in range(0, len(own), PAGE):
        yield Command(("DEL", *own[start : start + PAGE]))


def clean(keys: Keys, state: str, until: int, limit: int) -> Operation[list[str]]:
    """Delete jobs of *state* not younger than *until* (ms), at most *limit* (0: all); their ids.

    *state* is one of :data:`CLEANED`; follows BullMQ ``clean``.
    """
    deleted: list[str] = []
    sources = [(suffix, keys[suffix]) for suffix in CLEANED[state]]
    sources += yield from _grouped(keys, state)
    for suffix, source in sources:
        left = limit - len(deleted) if limit else 0
        if limit and not left:
            break
        deleted += yield from _clean_source(keys, suffix, source, until, left)
    yield Command(
        ("XADD", keys.events, "*", "event", "cleaned", "count", len(deleted)), repeatable=False
    )
    return deleted


def delete_group(keys: Keys, group: str) -> Operation[int]:
    """Delete the jobs of *group* that do not run; how many."""
    deleted = 0
    for place, source in (("group", keys.group(group)), ("group-later", keys.group_later(group))):
        deleted += len((yield from _clean_source(keys, place, source, EVER, 0)))
    return deleted


def _clean_source(
    keys: Keys, suffix: str, source: str, until: int, limit: int
) -> Operation[list[str]]:
    kind = "list" if suffix in ("wait", "paused", "active") else "zset"
    kept, deleted = 0, list[str]()
    while not limit or len(deleted) < limit:
        batch = BATCH if kind == "zset" else max(1, min(BATCH, STEPS // (kept + 1)))
        left = limit - len(deleted) if limit else 0
        seen, stood, *ids = yield Call(
            "clean_jobs",
            (source,),
            (keys.base, suffix, kind, batch, kept, until, left),
            _clean,
            repeatable=False,
        )
        deleted += ids
        kept += stood
        if seen < batch:
            break
    return deleted


def _grouped(keys: Keys, state: str) -> Operation[list[tuple[str, str]]]:
    """Where the grouped jobs stand that count as *state* here, though they are no such to Node."""
    if state not in ("waiting", "delayed") or not (yield Command(("EXISTS", keys.grouped))):
        return []
    if state == "delayed":
        groups = yield Command(("ZRANGE", keys.qc("group-delayed"), 0, -1), texts)
        return [("group-later", keys.group_later(one)) for one in groups]
    groups = yield from find_groups(keys)
    return [("group", keys.group(one)) for one in groups]


def find_groups(keys: Keys) -> Operation[list[str]]:
    """All groups that have jobs waiting, or are paused."""
    turns, limited, maxed, paused = groups_of(keys)
    found = yield [
        Command(("ZRANGE", turns, 0, -1), texts),
        Command(("ZRANGE", limited, 0, -1), texts),
        Command(("SMEMBERS", maxed), texts),
        Command(("SMEMBERS", paused), texts),
    ]
    return list(dict.fromkeys(one for some in found for one in some))


#: The states that can be cleaned, and where their jobs stand.
CLEANED: dict[str, tuple[str, ...]] = {
    "completed": ("completed",),
    "failed": ("failed",),
    "waiting": ("wait", "paused"),
    "prioritized": ("prioritized",),
    "delayed": ("delayed",),
    "active": ("active",),
}


def _clean(answer: list[Any]) -> list[Any]:
    return [*answer[:2], *(text(one) for one in answer[2:])]


def obliterate(keys: Keys, force: bool) -> Operation[None]:
    """Delete the queue with everything in it (BullMQ ``obliterate``); *force*: active jobs too."""
    yield from pause(keys)
    more = 1
    while more:
        more = yield Call(
            "obliterate",
            (
                keys.meta,
                keys.active,
                keys.delayed,
                keys.repeat,
                keys.completed,
                keys.wait,
                keys.paused,
                keys.prioritized,
                keys.failed,
                keys.waiting_children,
            ),
            (keys.base, BATCH, int(force)),
            lambda answer: _obliterated(answer, keys),
        )
    aside = yield Command(("ZRANGE", keys.paused_schedulers, 0, -1))
    own = (
        *(keys.pause, keys.paused_schedulers, keys.scheduler_pauses),
        *(keys.scheduler_authors, keys.hand_runs),
    )
    yield Command(("DEL", *own, *(keys.paused_scheduler(text(one)) for one in aside)))
    yield from _forget_groups(keys)


def _obliterated(answer: int, keys: Keys) -> int:
    if answer == -1:
        raise QueueNotPaused(
            f"somebody resumed the queue {keys.name} while it was being obliterated: "
            "a part of its jobs is deleted; call obliterate again"
        )
    if answer == -2:
        raise QueueHasActiveJobs(
            f"jobs of the queue {keys.name} are running: it is paused now; wait until they are "
            "finished, or give force=True, which deletes them under their workers"
        )
    return answer


def remove_orphaned_jobs(keys: Keys) -> Operation[int]:
    """Delete the keys of jobs that stand in no list and no set; how many jobs that were.

    Reads every key of the server once, in small steps (BullMQ ``removeOrphanedJobs``).
    """
    sets = (keys.completed, keys.failed, keys.delayed, keys.prioritized, keys.waiting_children)
    lists = (keys.wait, keys.paused, keys.active)
    # To look for an id in a long list is dear: the lists are read once, the script looks again only
    # for what was found in none.
    listed: set[str] = set()
    for one in lists:
        start, page = 0, PAGE
        while page == PAGE:
            ids = yield Command(("LRANGE", one, start, start + PAGE - 1), texts)
            listed.update(ids)
            page = len(ids)
            start += page
    removed = 0
    cursor = b"0"
    while True:
        cursor, found = yield Command(
            ("SCAN", cursor, "MATCH", escaped(keys.base) + "*", "COUNT", 500)
        )
        rests = [text(key)[len(keys.base) :] for key in found]
        # A key may be a job or a part of one: which, the script finds out.
        ids = list(dict.fromkeys(id for rest in rests for id in (rest, _PARTS.sub("", rest))))
        known = yield [Command(("ZSCORE", one, id)) for id in ids for one in sets]
        loose = [
            id
            for i, id in enumerate(ids)
            if id
            and id not in listed
            and all(score is None for score in known[i * len(sets) : (i + 1) * len(sets)])
        ]
        for start in range(0, len(loose), 20):
            gone = yield Call(
                "remove_orphaned_jobs",
                (*lists, *sets),
                (keys.base, *loose[start : start + 20]),
                repeatable=True,
            )
            removed += len(gone)
        if cursor == b"0":
            return removed


def texts(answer: list[bytes]) -> list[str]:
    return [text(one) for one in answer]


_PARTS = re.compile(r":(?:logs|dependencies|processed|failed|unsuccessful)\Z")
