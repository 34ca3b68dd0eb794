"""Reading a queue: counts, ranges, jobs, states, logs, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..keys import Keys
from .base import Call, Command, Operation, pairs, text

# Hashes fetched in one pipeline.
BATCH = 500

#: The states of a job, by BullMQ's names, and where the jobs of each stand.
STATES: dict[str, tuple[str, ...]] = {
    "waiting": ("wait", "paused"),
    "prioritized": ("prioritized",),
    "active": ("active",),
    "delayed": ("delayed",),
    "waiting-children": ("waiting-children",),
    "completed": ("completed",),
    "failed": ("failed",),
}
LISTS = frozenset({"wait", "paused", "active"})

Fields = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Metrics:
    """How many jobs ended: ``count`` in all, ``data`` a minute, the newest first.

    ``previous_count``: of those counted, how many are in ``data``. ``previous_at``: when its newest
    minute was written; the minute since is not in it yet.
    """

    count: int
    data: list[int]
    previous_count: int
    previous_at: datetime | None


def get_counts(keys: Keys, states: Sequence[str]) -> Call[dict[str, int]]:
    """Count the jobs of each of *states*, all at one moment (BullMQ ``getJobCounts``).

    Jobs that BullMQ 5 moved to its ``paused`` list are waiting ones.
    """
    suffixes = [suffix for state in states for suffix in STATES[state]]

    def decode(answer: list[int]) -> dict[str, int]:
        by_suffix = dict(zip(suffixes, answer, strict=True))
        return {state: sum(by_suffix[one] for one in STATES[state]) for state in states}

    return Call("get_counts", [keys[one] for one in suffixes], (), decode, repeatable=True)


def get_delayed_count(keys: Keys, until: int | None) -> Command[int]:
    """Count delayed jobs, those due until *until* ms alone if that is given."""
    most = "+inf" if until is None else (until + 1) * 4096 - 1
    return Command(("ZCOUNT", keys.delayed, "-inf", most))


def get_counts_per_priority(keys: Keys, priorities: Sequence[int]) -> Operation[dict[int, int]]:
    """Count the waiting jobs of each priority; 0 are those without one."""
    requests: list[Call[Any] | Command[Any]] = []
    for priority in priorities:
        first = priority << 32
        requests.append(
            Command(("ZCOUNT", keys.prioritized, first, first + (1 << 32) - 1))
            if priority
            else get_counts(keys, ("waiting",))
        )
    answers = yield requests
    return {
        priority: answer if priority else answer["waiting"]
        for priority, answer in zip(priorities, answers, strict=True)
    }


def get_ids(keys: Keys, state: str, start: int, end: int, ascending: bool) -> Operation[list[str]]:
    """The ids of *state* from *start* to *end* (counted from 0, both included, -1 is the last).

    Ascending is the next to run, the next due or the first finished at the front, as in BullMQ.
    """
    answers = yield [
        _range(keys[one], one in LISTS, start, end, ascending) for one in STATES[state]
    ]
    return list(dict.fromkeys(id for answer in answers for id in answer))


def _range(key: str, is_list: bool, start: int, end: int, ascending: bool) -> Command[list[str]]:
    if not is_list:
        return Command(("ZRANGE" if ascending else "ZREVRANGE", key, start, end), _texts)
    if not ascending:
        return Command(("LRANGE", key, start, end), _texts)
    # The next to run stands at the end.
    return Command(("LRANGE", key, -end - 1, -start - 1), lambda answer: _texts(answer)[::-1])


def get_jobs(keys: Keys, ids: Sequence[str]) -> Operation[list[Fields | None]]:
    """The hashes of the jobs *ids*, in order; None for a job that does not exist."""
    found: list[Fields | None] = []
    for start in range(0, len(ids), BATCH):
        found += yield [get_job(keys, id) for id in ids[start : start + BATCH]]
    return found


def get_job(keys: Keys, job_id: str) -> Command[Fields | None]:
    """The hash of a job, None if there is none."""
    return get_hash(keys.job(job_id))


def get_hash(key: str) -> Command[Fields | None]:
    """The hash of the job with this key, None if there is none."""
    return Command(("HGETALL", key), _hash, tolerant=True)


def _hash(answer: list[bytes] | None) -> Fields | None:
    # An id such as `wait` or `meta` names another kind of key, which is no job.
    fields = dict(zip(answer[::2], answer[1::2], strict=True)) if answer else {}
    return fields if b"timestamp" in fields else None


def get_state(keys: Keys, job_id: str) -> Call[str]:
    """The state of a job; ``unknown`` if it stands nowhere (BullMQ ``getState``)."""
    return Call(
        "get_state",
        (
            keys.completed,
            keys.failed,
            keys.delayed,
            keys.prioritized,
            keys.waiting_children,
            keys.active,
            keys.wait,
            keys.paused,
        ),
        (job_id,),
        text,
        repeatable=True,
    )


def is_finished(keys: Keys, job_id: str) -> Call[tuple[int, bytes]]:
    """Whether a job is finished: (0, b""), (1, result as JSON), (2, reason) or (code, b"")."""
    return Call(
        "is_finished",
        (keys.job(job_id), keys.completed, keys.failed),
        (job_id,),
        lambda answer: (answer[0], (answer[1] if len(answer) > 1 else b"") or b""),
        repeatable=True,
    )


def get_logs(
    keys: Keys, job_id: str, start: int, end: int, ascending: bool
) -> Operation[tuple[list[str], int]]:
    """Rows *start* to *end* of a job's log, and how many rows there are (BullMQ ``getJobLogs``).

    Descending counts from the newest row.
    """
    rows, count = yield [
        _range(keys.logs(job_id), True, start, end, False)
        if ascending
        else _range(keys.logs(job_id), True, start, end, True),
        Command(("LLEN", keys.logs(job_id))),
    ]
    return rows, count


def get_metrics(keys: Keys, state: str, start: int, end: int) -> Operation[Metrics]:
    """The metrics of *state* ``completed`` or ``failed``, minutes *start* to *end* (0: newest)."""
    key = keys.metrics(state)
    numbers, data = yield [
        Command(("HMGET", key, "count", "prevTS", "prevCount")),
        Command(("LRANGE", f"{key}:data", start, end)),
    ]
    count, timestamp, previous = (int(one or 0) for one in numbers)
    at = datetime.fromtimestamp(timestamp / 1000, UTC) if timestamp else None
    return Metrics(count, [int(one) for one in data], previous, at)


def get_events(
    keys: Keys, end: str = "+", start: str = "-", count: int = 1000
) -> Command[list[tuple[str, dict[str, str]]]]:
    """Events from *end* back to *start*, newest first, at most *count*: each one's id and fields.

    Both are ids of the stream; a ``(`` before one leaves that event out.
    """
    return Command(("XREVRANGE", keys.events, end, start, "COUNT", count), events)


def events(entries: Sequence[Any]) -> list[tuple[str, dict[str, str]]]:
    """Decode the entries of a stream."""
    return [(text(id), pairs(fields)) for id, fields in entries]


def get_meta(keys: Keys) -> Command[dict[str, str]]:
    """The fields of the queue's ``meta`` hash, as they are."""
    return Command(
        ("HGETALL", keys.meta),
        lambda answer: dict(zip(_texts(answer[::2]), _texts(answer[1::2]), strict=True)),
    )


def _texts(answer: Sequence[Any]) -> list[str]:
    return [text(one) for one in answer]
