"""Timetable: the schedulers of many queues, those that are paused among them, and their runs.

The read side for dashboards and command line. Listing costs two commands a queue; what became of
the runs is asked only of those that a page shows: a run's id is known beforehand, so nothing is
searched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from .authors import read_author
from .connected import Connected
from .errors import InvalidOption
from .fires import past
from .repeat import number
from .runs import LAST, LATE_MS, Run, Timing
from .schedulers import JobScheduler, read_record, read_scheduler
from .wire.calls import scheduling
from .wire.calls.base import NOW, Call, Command, Operation, text
from .wire.keys import Keys

#: The most schedulers of one queue that are listed.
MOST = 1_000
#: The most of one queue that are told to be late.
MOST_LATE = 20
#: The most moments of one scheduler whose runs are asked for.
MOST_TIMES = 150
# Finished jobs that are looked through for the runs of a single scheduler.
DEPTH = 1_000
# Longer data and options are not read: the server would have to copy them.
_LONGEST = 1024 * 1024
_LATEST_MS = 253_402_300_799_000  # the last moment of 9999
_PIPELINE = 500
_FIELDS = (
    *("name", "pattern", "tz", "every", "offset", "limit", "startDate", "endDate", "ic"),
    *("due", "count"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a scheduler stands: ``due`` (ms) is its next run, ``paused`` since when it is."""

    queue: str
    id: str
    due: int
    paused: int | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """What the runs of a scheduler get: JSON texts, empty where longer than 1 MB, and bytes."""

    data: str
    data_size: int
    opts: str
    opts_size: int


class Timetable(Connected):
    """Reads the schedulers of one connection; every method has an async twin.

    Args:
        alias: a key of ``QUEUECORE["CONNECTIONS"]``.

    Raises:
        ConfigurationError: there is no such connection.
    """

    def places(self, queues: Sequence[str]) -> list[Place]:
        """All schedulers of *queues*, the next to run first, then those that are paused.

        Of one queue at most 1,000.
        """
        return self._run(self._places(queues))

    async def aplaces(self, queues: Sequence[str]) -> list[Place]:
        """See :meth:`places`."""
        return await self._arun(self._places(queues))

    def late(self, queues: Sequence[str]) -> list[Place]:
        """The schedulers of *queues* whose run is overdue by a minute, the longest first.

        Of one queue at most 20; one command a queue. A run is overdue while nobody takes it.
        """
        return self._run(self._late(queues))

    async def alate(self, queues: Sequence[str]) -> list[Place]:
        """See :meth:`late`."""
        return await self._arun(self._late(queues))

    def timings(self, wanted: Sequence[tuple[str, str]], since: int = 0) -> list[Timing | None]:
        """Schedulers by (queue, id), each with its last 20 runs, and more back to *since* (ms).

        At most 150 runs of each. None for one that is gone.
        """
        return self._run(self._timings(wanted, since, 0))

    async def atimings(
        self, wanted: Sequence[tuple[str, str]], since: int = 0
    ) -> list[Timing | None]:
        """See :meth:`timings`."""
        return await self._arun(self._timings(wanted, since, 0))

    def timing(self, queue: str, id: str, since: int = 0) -> Timing | None:
        """One scheduler, with runs that an earlier schedule made, too."""
        return self._run(self._timings([(queue, id)], since, DEPTH))[0]

    async def atiming(self, queue: str, id: str, since: int = 0) -> Timing | None:
        """See :meth:`timing`."""
        return (await self._arun(self._timings([(queue, id)], since, DEPTH)))[0]

    def template(self, queue: str, id: str) -> Template | None:
        """What the runs of a scheduler get; None if it is gone."""
        return self._run(self._template(queue, id))

    async def atemplate(self, queue: str, id: str) -> Template | None:
        """See :meth:`template`."""
        return await self._arun(self._template(queue, id))

    # The operations

    def _places(self, queues: Sequence[str]) -> Operation[list[Place]]:
        requests: list[Call[Any] | Command[Any]] = []
        for name in queues:
            keys = self._keys(name)
            for key in (keys.repeat, keys.paused_schedulers):
                requests.append(Command(("ZRANGE", key, 0, MOST - 1, "WITHSCORES"), tolerant=True))
        answers = yield from _in_pipelines(requests)
        live, paused = [], []
        for name, running, aside in zip(queues, answers[::2], answers[1::2], strict=True):
            known = dict(_scored(running))
            live += [Place(name, id, due) for id, due in known.items()]
            # One that is there as well was made anew by a peer, which does not know of pauses.
            paused += [Place(name, id, 0, at) for id, at in _scored(aside) if id not in known]
        live.sort(key=lambda place: (place.due, place.queue, place.id))
        return live + sorted(paused, key=lambda place: (place.queue, place.id))

    def _late(self, queues: Sequence[str]) -> Operation[list[Place]]:
        before = (yield NOW) - LATE_MS
        limit = ("WITHSCORES", "LIMIT", 0, MOST_LATE)
        requests: list[Call[Any] | Command[Any]] = [
            Command(("ZRANGEBYSCORE", self._keys(name).repeat, 0, before, *limit), tolerant=True)
            for name in queues
        ]
        answers = yield from _in_pipelines(requests)
        found = [
            Place(name, id, due)
            for name, answer in zip(queues, answers, strict=True)
            for id, due in _scored(answer)
        ]
        return sorted(found, key=lambda place: (place.due, place.queue, place.id))

    def _timings(
        self, wanted: Sequence[tuple[str, str]], since: int, depth: int
    ) -> Operation[list[Timing | None]]:
        now = yield NOW
        requests: list[Call[Any] | Command[Any]] = []
        for queue, id in wanted:
            keys = self._keys(queue)
            requests += [
                Command(("ZSCORE", keys.repeat, id), tolerant=True),
                Command(("HMGET", f"{keys.repeat}:{id}", *_FIELDS), tolerant=True),
                Command(("ZSCORE", keys.paused_schedulers, id), tolerant=True),
                Command(("HMGET", keys.paused_scheduler(id), *_FIELDS), tolerant=True),
                Command(("HGET", keys.scheduler_pauses, id), tolerant=True),
                scheduling.get_author(keys, id),
            ]
        answers = yield from _in_pipelines(requests)
        found: list[tuple[str, JobScheduler, Any, Any] | None] = []
        calls: list[Call[Any] | Command[Any]] = []
        readable = []
        for index, (queue, id) in enumerate(wanted):
            due, live, at, aside, span, author = answers[6 * index : 6 * index + 6]
            scheduler = _either(id, due, live, at, aside)
            if scheduler is None:
                found.append(None)
                continue
            found.append((queue, scheduler, span, author))
            times, understood = _times(scheduler, now, since)
            readable.append(understood)
            calls.append(
                scheduling.get_scheduler_runs(
                    self._keys(queue), id, times, depth or (0 if understood and times[1:] else LAST)
                )
            )
        rows = iter(zip((yield from _in_pipelines(calls)), readable, strict=True))
        return [None if one is None else _timing(*one, now, *next(rows)) for one in found]

    def _template(self, queue: str, id: str) -> Operation[Template | None]:
        keys = self._keys(queue)
        for key in (f"{keys.repeat}:{id}", keys.paused_scheduler(id)):
            there, data, opts = yield [
                Command(("EXISTS", key)),
                Command(("HSTRLEN", key, "data"), tolerant=True),
                Command(("HSTRLEN", key, "opts"), tolerant=True),
            ]
            if there:
                break
        else:
            return None
        sizes = {"data": data or 0, "opts": opts or 0}
        short = [name for name, size in sizes.items() if 0 < size <= _LONGEST]
        values = (
            (yield [Command(("HGET", key, name), tolerant=True) for name in short]) if short else []
        )
        known = {name: text(value or "") for name, value in zip(short, values, strict=True)}
        return Template(known.get("data", ""), sizes["data"], known.get("opts", ""), sizes["opts"])

    def _keys(self, queue: str) -> Keys:
        return Keys(self.connection.prefix, queue)


def _either(id: str, due: Any, live: Any, at: Any, aside: Any) -> JobScheduler | None:
    """The scheduler as it stands: running, else paused, else gone."""
    if due is not None:
        record = (id, _ms(due), _named(live))
        return read_record(record) or JobScheduler(id, "", None)
    if at is not None:
        said = _named(aside)
        return read_scheduler((id, number(said.get("due")) or 0, said), _ms(at))
    return None


def _times(scheduler: JobScheduler, now: int, since: int) -> tuple[list[int], bool]:
    """When its runs may have been due, the latest first, and whether that is understood."""
    due = None if scheduler.next is None else round(scheduler.next.timestamp() * 1000)
    times = [] if due is None else [due]
    anchor = due if scheduler.every else None
    try:
        for at in islice(past(scheduler.repeat, now + 1, anchor), MOST_TIMES):
            if at < since and len(times) > LAST:
                break
            if at != due:
                times.append(at)
    except InvalidOption:
        return times, False
    return times, True


def _timing(
    queue: str,
    scheduler: JobScheduler,
    span: Any,
    author: Any,
    now: int,
    rows: list[list[str]],
    readable: bool,
) -> Timing:
    runs = [_run(row) for row in rows]
    runs.sort(key=lambda run: run.due or run.added or 0, reverse=True)
    begin, _, end = text(span or "").partition(":")
    pause = (number(begin) or 0, number(end) or 0) if end else None
    if scheduler.paused_at is not None:
        pause = (round(scheduler.paused_at.timestamp() * 1000), now)
    written = read_author(author, scheduler.repeat)
    return Timing(queue, scheduler, runs, now, pause, readable, written)


def _run(row: list[str]) -> Run:
    id, by_hand, state, count, name, added, began, ended, made, started, _, error, worker = row
    return Run(
        id=id,
        due=None if by_hand == "1" else number(id.rpartition(":")[2] or None),
        number=number(count or None),
        state=state,
        name=name,
        added=number(added or None),
        began=number(began or None),
        ended=number(ended or None) if state in ("completed", "failed") else None,
        attempts=number(made or None) or 0,
        started=number(started or None) or 0,
        error=error[:300],
        worker=worker,
    )


def _named(values: Any) -> dict[str, str]:
    pairs = zip(_FIELDS, values or (), strict=False)
    return {name: text(value) for name, value in pairs if value is not None}


def _scored(flat: Any) -> Iterator[tuple[str, int]]:
    for id, score in zip((flat or [])[::2], (flat or [])[1::2], strict=True):
        yield text(id), _ms(score)


def _ms(score: Any) -> int:
    """A time that anybody may have written, within what a date can be."""
    return min(max(number(text(score)) or 0, 0), _LATEST_MS)


def _in_pipelines(requests: Sequence[Call[Any] | Command[Any]]) -> Operation[list[Any]]:
    answers: list[Any] = []
    for start in range(0, len(requests), _PIPELINE):
        answers += yield list(requests[start : start + _PIPELINE])
    return answers
