"""Digest: what the newest finished jobs of a queue say, its schedulers, and what it keeps.

A bounded sample, read at a calm pace: the newest jobs that failed and that completed, a few hundred
of each. Whatever is said of it says how far was looked.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from queuecore.inspect import Inspector, JobDetail, JobPage, JobRow
from queuecore.jsontext import harmless
from queuecore.runs import Timing
from queuecore.timetable import Place, Timetable
from queuecore.vitals import QueueMemory, amemory_of, memory_of

from .draw.traces import split
from .live.sources import Asked
from .live.state import Topic

#: Jobs of each kind that are looked at, and how many are read in one call.
LOOKED_AT, _CALL = 200, 100
#: The id on screen by which a page asks for it.
PANELS = "panels"
#: Lines of each panel.
LINES = 5
_MEMORY_S = 60.0
# An error's first characters tell it from others; a shared beginning of so many finds them again.
_LENGTH, _LEAST = 120, 6


@dataclass(frozen=True, slots=True)
class ErrorLine:
    """Jobs that failed alike: ``text`` is part of the error of each, ``last`` when the last did."""

    name: str
    message: str
    text: str
    count: int
    last: datetime | None


@dataclass(frozen=True, slots=True)
class NameLine:
    """The jobs of one name in the sample."""

    name: str
    done: int
    failed: int


@dataclass(frozen=True, slots=True)
class Digest:
    """What was read of one queue.

    ``failed`` and ``completed`` are as many as were looked at, of the ``_total``. ``since``: from
    when on the sample holds all that ended; None where it holds everything there is. ``keeps``: the
    options of the newest completed and failed job, JSON texts. ``times``: of each job in the sample
    its name, how long it waited (None where it was tried again) and ran, in seconds. ``timeouts``:
    by name, that of the newest job that has one of its own, in seconds.
    """

    errors: Sequence[ErrorLine]
    names: Sequence[NameLine]
    failed: int
    failed_total: int
    completed: int
    since: datetime | None
    places: Sequence[Place]
    timings: Sequence[Timing]
    keeps: tuple[str, str]
    memory: QueueMemory | None
    times: Sequence[tuple[str, float | None, float]] = ()
    timeouts: Mapping[str, float] = field(default_factory=dict)


def look(alias: str, asked: Asked) -> dict[str, Digest]:
    """Read the queues of *alias* whose pages are open."""
    return {queue: _read(alias, queue) for queue in _wanted(asked)}


async def alook(alias: str, asked: Asked) -> dict[str, Digest]:
    """See :func:`look`."""
    return {queue: await _aread(alias, queue) for queue in _wanted(asked)}


def _wanted(asked: Iterable[tuple[Topic, Sequence[str]]]) -> list[str]:
    return sorted({topic.queue for topic, ids in asked if PANELS in ids})


def _read(alias: str, queue: str) -> Digest:
    inspector, table = Inspector(alias), Timetable(alias)
    pages: dict[str, list[JobPage]] = {"failed": [], "completed": []}
    for state, offset in _calls():
        pages[state].append(inspector.jobs(queue, state, offset=offset, limit=_CALL))
    newest = [
        inspector.job(queue, job_id) if job_id else None
        for job_id in map(_first, (pages["completed"], pages["failed"]))
    ]
    places = table.places([queue])
    timings = table.timings([(queue, place.id) for place in places[:LINES]])
    key = (alias, queue)
    if _due(key):
        _memories[key] = time.monotonic(), memory_of(alias, queue)
    return _digest(pages, newest, places, timings, _memories[key][1])


async def _aread(alias: str, queue: str) -> Digest:
    inspector, table = Inspector(alias), Timetable(alias)
    pages: dict[str, list[JobPage]] = {"failed": [], "completed": []}
    for state, offset in _calls():
        pages[state].append(await inspector.ajobs(queue, state, offset=offset, limit=_CALL))
    newest = [
        await inspector.ajob(queue, job_id) if job_id else None
        for job_id in map(_first, (pages["completed"], pages["failed"]))
    ]
    places = await table.aplaces([queue])
    timings = await table.atimings([(queue, place.id) for place in places[:LINES]])
    key = (alias, queue)
    if _due(key):
        _memories[key] = time.monotonic(), await amemory_of(alias, queue)
    return _digest(pages, newest, places, timings, _memories[key][1])


#: The memory of queues, which takes longer to estimate than it takes to change.
_MEMORIES = 1_000
_memories: dict[tuple[str, str], tuple[float, QueueMemory | None]] = {}


def _due(key: tuple[str, str]) -> bool:
    known = _memories.get(key)
    if known is None and len(_memories) >= _MEMORIES:
        _memories.clear()
    return known is None or known[0] < time.monotonic() - _MEMORY_S


def _calls() -> Iterable[tuple[str, int]]:
    return [
        (state, offset)
        for state in ("failed", "completed")
        for offset in range(0, LOOKED_AT, _CALL)
    ]


def _first(pages: Sequence[JobPage]) -> str:
    return next((row.id for page in pages for row in page.rows), "")


def _digest(
    pages: dict[str, list[JobPage]],
    newest: Sequence[JobDetail | None],
    places: Sequence[Place],
    timings: Sequence[Timing | None],
    memory: QueueMemory | None,
) -> Digest:
    # Between two calls a job may have come: it is counted once.
    rows = {
        state: list({row.id: row for page in found for row in page.rows}.values())
        for state, found in pages.items()
    }
    since = _since(pages)
    return Digest(
        errors=errors_of(rows["failed"]),
        names=names_of(rows["completed"], rows["failed"], since),
        failed=len(rows["failed"]),
        failed_total=pages["failed"][0].total,
        completed=len(rows["completed"]),
        since=since,
        places=places,
        timings=[one for one in timings if one is not None],
        keeps=(_opts(newest[0]), _opts(newest[1])),
        memory=memory,
        times=[one for found in rows.values() for row in found if (one := _times(row))],
        timeouts={
            row.name: row.timeout_ms / 1000
            for found in rows.values()
            for row in reversed(found)
            if row.timeout_ms > 0
        },
    )


def _times(row: JobRow) -> tuple[str, float | None, float] | None:
    """How long a finished job waited, if it ran once, and how long it ran last."""
    if row.processed_on is None or row.finished_on is None:
        return None
    wait = None
    if row.timestamp is not None and row.attempts_made <= 1:
        wait = (row.processed_on - row.timestamp).total_seconds() - row.initial_delay_ms / 1000
        wait = max(wait, 0.0)
    return row.name, wait, max((row.finished_on - row.processed_on).total_seconds(), 0.0)


def _opts(job: JobDetail | None) -> str:
    return job.opts if job is not None else ""


def _since(pages: dict[str, list[JobPage]]) -> datetime | None:
    """From when on both samples are complete."""
    ends = []
    for found in pages.values():
        times = [row.finished_on for page in found for row in page.rows if row.finished_on]
        if found[0].total > LOOKED_AT and times:
            ends.append(min(times))
    return max(ends, default=None)


def names_of(
    done: Iterable[JobRow], failed: Iterable[JobRow], since: datetime | None
) -> list[NameLine]:
    """How often each name ended *since* then, and how; the most failures first."""
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for index, rows in enumerate((done, failed)):
        for row in rows:
            if since is None or (row.finished_on and row.finished_on >= since):
                counts[row.name][index] += 1
    found = [NameLine(name, *ended) for name, ended in counts.items()]
    return sorted(found, key=lambda one: (-one.failed, -one.done, one.name))


def errors_of(failed: Iterable[JobRow]) -> list[ErrorLine]:
    """The errors of *failed*, the most frequent first; those that differ in numbers are one."""
    groups: defaultdict[str, list[tuple[str, Any]]] = defaultdict(list)
    for row in failed:
        line = next(iter(row.failed_reason.splitlines()), "").strip()[:_LENGTH]
        groups[re.sub(r"[0-9a-f]*\d[0-9a-f-]*", "0", line)].append((line, row.finished_on))
    found = []
    for lines in groups.values():
        name, message = split(lines[0][0])
        shared = _beginning([line for line, _at in lines])
        text = harmless(shared if len(shared) >= _LEAST else lines[0][0])
        last = max((at for _line, at in lines if at), default=None)
        found.append(ErrorLine(name, message, text, len(lines), last))
    return sorted(found, key=lambda one: (-one.count, one.text))


def _beginning(lines: Sequence[str]) -> str:
    """What all *lines* begin with."""
    low, high = min(lines), max(lines)
    same = next((i for i, one in enumerate(low) if high[i : i + 1] != one), len(low))
    return low[:same].rstrip("… ")
