"""Schedulers on the wire: put one down, read them, let one go on, remove one. Times are in ms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Any

from ..codec import dumps
from ..keys import Keys
from .base import Argument, Call, Command, Operation, text
from .inspecting import DEEP

# The codes by which the scripts say that a moment is taken.
TAKEN, ALL_TAKEN = -10, -11
# The code by which a script says that a scheduler is a repeatable job of BullMQ 5.
LEGACY = -12
# Records read in one pipeline.
BATCH = 500

Record = tuple[str, int, dict[str, str]]


@dataclass(slots=True)
class NextRun:
    """What a run gets; ``opts``: its options, but for its delay and its id."""

    name: str
    data: bytes
    opts: dict[str, Any]
    priority: int = 0
    lifo: bool = False
    dedup: str = ""

    def encoded(self, scheduler: str) -> tuple[bytes, bytes]:
        """The options up to the last brace, and the id up to the time in it, both as JSON."""
        return dumps(self.opts)[:-1], dumps(f"repeat:{scheduler}:")[:-1]


def upsert_job_scheduler(
    keys: Keys,
    scheduler: str,
    version: str,
    now: int,
    run: NextRun,
    record: dict[str, Argument],
    *,
    due: int | None = None,
    every: int | None = None,
    offset: int | None = None,
    start: int | None = None,
) -> Call[tuple[str, int] | int]:
    """Add or change a scheduler that next runs at *due*, or every so often (``addJobScheduler``).

    Gives the id and the delay of the next run, or a code. *record* is what is kept of it.
    """
    opts, quoted = run.encoded(scheduler)
    args: list[Argument] = [
        keys.base,
        version,
        scheduler,
        now,
        "" if due is None else due,
        "" if every is None else every,
        "" if offset is None else offset,
        "" if start is None else start,
        run.priority,
        int(run.lifo),
        run.name,
        run.data,
        opts,
        quoted,
    ]
    for field, value in record.items():
        args += (field, value)
    return Call(
        "upsert_job_scheduler",
        (
            keys.repeat,
            keys.id,
            keys.delayed,
            keys.prioritized,
            keys.events,
            keys.paused_schedulers,
            keys.paused_scheduler(scheduler),
            keys.scheduler_pauses,
        ),
        args,
        lambda answer: answer if isinstance(answer, int) else (text(answer[0]), int(answer[1])),
        repeatable=True,
    )


def advance_job_scheduler(
    keys: Keys,
    scheduler: str,
    version: str,
    job_id: str,
    now: int,
    run: NextRun,
    *,
    due: int | None = None,
    every: int | None = None,
    offset: int | None = None,
) -> Call[str | int]:
    """Let a scheduler whose run *job_id* was started go on (``updateJobScheduler``).

    Gives the id of the next run, "" where another was first, or a code.
    """
    opts, quoted = run.encoded(scheduler)
    return Call(
        "advance_job_scheduler",
        (keys.repeat, keys.id, keys.events),
        (
            keys.base,
            version,
            scheduler,
            job_id,
            now,
            "" if due is None else due,
            "" if every is None else every,
            "" if offset is None else offset,
            run.name,
            run.data,
            run.priority,
            int(run.lifo),
            run.dedup,
            opts,
            quoted,
        ),
        lambda answer: answer if isinstance(answer, int) else text(answer),
        repeatable=True,
    )


def remove_job_scheduler(keys: Keys, scheduler: str) -> Call[bool]:
    """Remove a scheduler and its next run; whether there was one (``removeJobScheduler``)."""
    return Call(
        "remove_job_scheduler",
        (
            keys.repeat,
            keys.delayed,
            keys.events,
            keys.paused_schedulers,
            keys.paused_scheduler(scheduler),
            keys.scheduler_pauses,
            keys.scheduler_authors,
        ),
        (keys.base, scheduler),
        lambda answer: bool(answer == 1),
    )


def pause_job_scheduler(keys: Keys, scheduler: str, now: int) -> Call[int]:
    """Put a scheduler aside: 1, 0 if there is none, or the code ``LEGACY``."""
    return Call(
        "pause_job_scheduler",
        (
            keys.repeat,
            keys.delayed,
            keys.events,
            keys.paused_schedulers,
            keys.paused_scheduler(scheduler),
        ),
        (keys.base, scheduler, now),
        int,
        repeatable=True,
    )


def get_paused_job_scheduler(keys: Keys, scheduler: str) -> Operation[tuple[int, Record] | None]:
    """A scheduler that is paused: since when, and its record as it was; None if it is not."""
    since, flat = yield [
        Command(("ZSCORE", keys.paused_schedulers, scheduler)),
        Command(("HGETALL", keys.paused_scheduler(scheduler)), tolerant=True),
    ]
    if since is None:
        return None
    said = fields(flat)
    return int(float(since)), (scheduler, _whole(said.get("due")), said)


def get_paused_job_schedulers(
    keys: Keys, start: int, end: int
) -> Operation[list[tuple[int, Record]]]:
    """The schedulers in a range of those that are paused, the one paused first at the front."""
    flat = yield Command(("ZRANGE", keys.paused_schedulers, start, end, "WITHSCORES"))
    found = [(text(id), int(float(since))) for id, since in _pairs(flat)]
    paused: list[tuple[int, Record]] = []
    for first in range(0, len(found), BATCH):
        batch = found[first : first + BATCH]
        hashes = yield [
            Command(("HGETALL", keys.paused_scheduler(id)), tolerant=True) for id, _ in batch
        ]
        for (id, since), hash in zip(batch, hashes, strict=True):
            said = fields(hash)
            paused.append((since, (id, _whole(said.get("due")), said)))
    return paused


def get_author(keys: Keys, scheduler: str) -> Command[Any]:
    """What is kept of who made or changed a scheduler by hand."""
    return Command(("HGET", keys.scheduler_authors, scheduler), tolerant=True)


def set_author(keys: Keys, scheduler: str, record: bytes | None) -> Command[Any]:
    """Keep who made or changed a scheduler by hand; None: a program did."""
    if record is None:
        return Command(("HDEL", keys.scheduler_authors, scheduler), tolerant=True)
    return Command(("HSET", keys.scheduler_authors, scheduler, record), tolerant=True)


def remember_hand_run(keys: Keys, scheduler: str, job_id: str) -> list[Call[Any] | Command[Any]]:
    """Note that somebody asked for this run; the last 200 of a month are remembered."""
    key = keys.hand_runs
    return [
        # Twice does no harm: a job is shown once.
        Command(("LPUSH", key, f"{job_id}:{scheduler}"), tolerant=True),
        Command(("LTRIM", key, 0, 199), tolerant=True),
        Command(("EXPIRE", key, 30 * 86_400), tolerant=True),
    ]


def get_scheduler_runs(
    keys: Keys, scheduler: str, times: Sequence[int], depth: int = 0
) -> Call[list[list[str]]]:
    """The kept runs that were due at *times*, and others among the last *depth* that finished."""
    return Call(
        "get_scheduler_runs",
        (keys.completed, keys.failed, keys.active, keys.hand_runs),
        (keys.base, scheduler, DEEP, depth, *times),
        lambda answer: [[text(value) for value in row] for row in answer],
        repeatable=True,
    )


def get_job_scheduler(keys: Keys, scheduler: str) -> Operation[Record | None]:
    """The record of one scheduler: its id, its next run, its fields."""
    due, flat = yield [
        Command(("ZSCORE", keys.repeat, scheduler)),
        Command(("HGETALL", f"{keys.repeat}:{scheduler}"), tolerant=True),
    ]
    return None if due is None else (scheduler, int(float(due)), fields(flat))


def get_job_schedulers(keys: Keys, start: int, end: int, asc: bool) -> Operation[list[Record]]:
    """The records in a range of all schedulers, by the time of their next runs."""
    flat = yield Command(("ZRANGE" if asc else "ZREVRANGE", keys.repeat, start, end, "WITHSCORES"))
    found = [(text(id), int(float(due))) for id, due in _pairs(flat)]
    records: list[Record] = []
    for first in range(0, len(found), BATCH):
        batch = found[first : first + BATCH]
        hashes = yield [
            Command(("HGETALL", f"{keys.repeat}:{id}"), tolerant=True) for id, _ in batch
        ]
        records += [(*one, fields(hash)) for one, hash in zip(batch, hashes, strict=True)]
    return records


def get_pending_run(keys: Keys, key: str, due: int) -> Operation[tuple[bytes, bytes]]:
    """Data and options of the run of *key* that waits for *due*; empty objects if there is none.

    Repeatable jobs with ``:`` in their keys have runs with a hash in their ids.
    """
    ids = [f"repeat:{key}:{due}"]
    if ":" in key:
        first = due * 4096
        found = yield Command(("ZRANGEBYSCORE", keys.delayed, first, first + 4095))
        ids += [text(id) for id in found]
    rows = yield [
        Command(("HMGET", keys.job(id), "rjk", "data", "opts"), tolerant=True) for id in ids
    ]
    for row in rows:
        if row and row[0] is not None and text(row[0]) == key:
            return row[1] or b"{}", row[2] or b"{}"
    return b"{}", b"{}"


def plain_id(key: str) -> str:
    """The id of a scheduler for the repeatable job *key*: BullMQ's hash of it if that has ``:``."""
    return md5(key.encode(), usedforsecurity=False).hexdigest() if ":" in key else key


def fields(flat: Any) -> dict[str, str]:
    """The flat names and values of a record; empty where it is none."""
    return {text(name): text(value) for name, value in _pairs(flat or [])}


def _whole(value: str | None) -> int:
    try:
        return int(float(value or 0))
    except (ValueError, OverflowError):
        return 0


def _pairs(flat: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(flat[::2], flat[1::2], strict=True))
