"""The last quarter of an hour by the second, the last day by the minute, the last week: in memory.

One collector writes it to Redis (:mod:`queuecore.history.collector`); every process that shows it
keeps a copy, which costs one small read a second. The week, by the quarter of an hour, is read
where somebody asks for it, and no sooner. What is asked of it is computed here, without the server.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import TypeVar, cast

from ..wire.calls.base import NOW, Operation
from ..wire.calls.keeping import MINUTES, QUARTERS, SECONDS, get_history
from ..wire.connections import get_connection
from .quarters import next_quarter
from .record import QUARTER, Figures, Record

T = TypeVar("T")

#: What can be asked for; the rates are jobs in each step, the others the count at its end.
METRICS = ("waiting", "active", "delayed", "failed", "done_rate", "failed_rate")
_FIELD = {"done_rate": "done", "failed_rate": "lost"}
ANSWERS = 2_000
# So many records are read at first when the copy is only a little behind.
_A_FEW = 8
# A quarter is written this long after it is over; while it is not there, it is asked for so often.
_QUARTER_LATE_S, _QUARTERS_S = 2, 10.0


class _Sum:
    """The figures of some queues, carried from record to record, and their sum."""

    def __init__(self, names: Collection[str] | None = None) -> None:
        self.names = None if names is None else frozenset(names)
        self.held: dict[str, Figures] = {}
        self.whole = False
        self._counts = [0, 0, 0, 0]

    def start(self, held: Mapping[str, Figures], *, whole: bool) -> None:
        """Begin with *held*; *whole* says that a queue that is not in it does not exist."""
        self._take(held)
        self.whole = whole

    def add(self, record: Record) -> Figures | None:
        """The sum at the end of *record*; None while some queue's figures are not known."""
        if record.full:
            self.held.clear()
            self._counts = [0, 0, 0, 0]
            self.whole = True
        done, lost = self._take(record.queues)
        if self.whole or (self.names is not None and len(self.held) == len(self.names)):
            waiting, active, delayed, failed = self._counts
            return Figures(waiting, active, delayed, failed, done, lost)
        return None

    def _take(self, queues: Mapping[str, Figures]) -> tuple[int, int]:
        done = lost = 0
        for name in queues if self.names is None else self.names & queues.keys():
            new, old = queues[name], self.held.get(name, _NOTHING)
            self.held[name] = new
            self._counts = [count + new[i] - old[i] for i, count in enumerate(self._counts)]
            done += new.done
            lost += new.lost
        return done, lost


_NOTHING = Figures()


class _Track:
    """Records of one length, oldest first."""

    def __init__(self, most: int) -> None:
        self.records: deque[Record] = deque()
        self.now = _Sum()
        self.before = _Sum()
        self._most = most
        self._sums: deque[Figures | None] = deque()

    @property
    def last(self) -> int:
        """When the newest record ended; 0 if there is none."""
        return self.records[-1].at if self.records else 0

    def add(self, record: Record) -> None:
        """Take the next record; older ones than the last are known already."""
        if record.at <= self.last:
            return
        self.records.append(record)
        self._sums.append(self.now.add(record))
        if len(self.records) > self._most:
            self.before.add(self.records.popleft())
            self._sums.popleft()

    def walk(
        self, names: Collection[str] | None, since: int
    ) -> Iterator[tuple[Record, Figures | None]]:
        """Each record that ended after *since*, with the sum of *names* (all if None).

        The sum is None where it is not known.
        """
        newest_first = zip(reversed(self.records), reversed(self._sums), strict=True)
        inside = list(takewhile(lambda pair: pair[0].at > since, newest_first))
        inside.reverse()
        if names is None:
            yield from inside
            return
        running = self._standing(names, len(inside))
        for record, _ in inside:
            yield record, running.add(record)

    def _standing(self, names: Collection[str], newest: int) -> _Sum:
        """The figures of *names* before the *newest* records: as the last records named them."""
        held: dict[str, Figures] = {}
        missing = set(names)
        for record in islice(reversed(self.records), newest, None):
            for name in missing & record.queues.keys():
                held[name] = record.queues[name]
            missing -= held.keys()
            if record.full or not missing:
                whole = record.full or self.before.whole
                break
        else:
            whole = self.before.whole
            held |= {name: self.before.held[name] for name in missing & self.before.held.keys()}
        running = _Sum(names)
        running.start(held, whole=whole)
        return running


class History:
    """The history of one connection; :func:`queuecore.history.history_of` gives the process's own.

    May be used by several threads. ``version`` changes whenever there is something new.
    """

    def __init__(self, alias: str = "default") -> None:
        self.alias = alias
        self.connection = get_connection(alias)
        self.version = 0
        self._lock = threading.RLock()
        self._seconds = _Track(SECONDS)
        self._minutes = _Track(MINUTES)
        self._quarters = _Track(QUARTERS)
        self._asked = self._asked_quarters = float("-inf")
        # Many viewers ask the same between two records.
        self._made: dict[tuple[str, int], tuple[object, object]] = {}
        self._answers: dict[object, tuple[object, list[float | None]]] = {}

    def __repr__(self) -> str:
        return f"<History {self.alias!r}>"

    @property
    def started_at(self) -> datetime | None:
        """The time of the oldest second or minute; None while there is none."""
        with self._lock:
            firsts = [track.records[0] for track in (self._minutes, self._seconds) if track.records]
        times = [record.at - record.seconds for record in firsts]
        return datetime.fromtimestamp(min(times), UTC) if times else None

    @property
    def latest_at(self) -> datetime | None:
        """The time of the newest record; old if no collector runs."""
        last = self.last_second
        return datetime.fromtimestamp(last, UTC) if last else None

    @property
    def last_second(self) -> int:
        """When the newest second ended, since the epoch; 0 if there is none."""
        return self._seconds.last

    @property
    def last_minute(self) -> int:
        """When the newest minute ended, since the epoch; 0 if there is none."""
        return self._minutes.last

    @property
    def figures(self) -> Mapping[str, Figures]:
        """The newest figures of each queue."""
        return self._seconds.now.held

    @property
    def minute_figures(self) -> Mapping[str, Figures]:
        """The figures of each queue in the newest minute that names it."""
        return self._minutes.now.held

    def refresh(self, quarters: bool = False) -> None:
        """Read what is new; at most once a second, otherwise it does nothing.

        Args:
            quarters: the week, too: at first all of it, then what is new every quarter of an hour.

        Raises:
            ServerUnavailable: the copy stays as it was.
        """
        if self._due():
            self.connection.run(self._refresh())
        if quarters and self._quarters_due():
            self._take_quarters(self.connection.run(self._read_quarters()))

    async def arefresh(self, quarters: bool = False) -> None:
        """See :meth:`refresh`."""
        if self._due():
            await self.connection.arun(self._refresh())
        if quarters and self._quarters_due():
            texts = await self.connection.arun(self._read_quarters())
            # A week of many busy queues takes a while to decode.
            await asyncio.to_thread(self._take_quarters, texts)

    def add(self, second: Record, minute: Record | None = None) -> None:
        """Take what the collector of this process has just counted."""
        with self._lock:
            self._seconds.add(second)
            if minute is not None:
                self._minutes.add(minute)
            self._asked = time.monotonic()
            self.version += 1

    def minute(self, end: int, next_second: Record) -> dict[str, Figures] | None:
        """The figures of the minute that ends at *end*; None if nobody counted in it.

        *next_second* is the record that reaches over its end and is not added yet.
        """
        with self._lock:
            parts = [next_second]
            for record in reversed(self._seconds.records):
                if record.at <= end - 60:
                    break
                parts.append(record)
            figures = dict(self.figures)
        if next_second.at == end:
            figures = ({} if next_second.full else figures) | dict(next_second.queues)
        sums: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0])
        counted = 0
        for record in parts:
            inside = min(record.at, end) - max(record.at - record.seconds, end - 60)
            if inside > 0:
                counted += inside
                for name, one in record.queues.items():
                    sums[name][0] += one.done * inside / record.seconds
                    sums[name][1] += one.lost * inside / record.seconds
        if not counted:
            return None
        return {
            name: one._replace(done=round(sums[name][0]), lost=round(sums[name][1]))
            for name, one in figures.items()
        }

    def next_quarter(self, last: int) -> Record | None:
        """The oldest quarter of an hour after *last* that can be made of whole minutes, if any."""
        with self._lock:
            track = self._minutes
            before, whole = track.before.held, track.before.whole
            return next_quarter(track.records, MINUTES, before, whole, last)

    def series(
        self,
        metric: str,
        queue: str | None = None,
        names: Collection[str] | None = None,
        seconds: int = 900,
        step: int = 1,
    ) -> list[float | None]:
        """*metric* of the last *seconds*, one value each *step* seconds, oldest first.

        Of *queue*, or of the sum of *names*, or of all queues. None where nobody measured. The last
        value belongs to the step that is not over. Over 900 seconds the minutes are used, over a
        day the quarters of an hour (see :meth:`refresh`); *step* must then be a multiple of theirs.

        Raises:
            ValueError: there is no such metric, or the step does not fit.
        """
        if metric not in METRICS:
            raise ValueError(f"{metric!r} is no metric of the history: {', '.join(METRICS)}")
        finest = QUARTER if seconds > MINUTES * 60 else 60 if seconds > SECONDS else 1
        if step < 1 or seconds % step or step % finest:
            raise ValueError(f"{seconds} seconds cannot be cut into steps of {step}")
        wanted = (queue,) if queue is not None else None if names is None else frozenset(names)
        key = (metric, wanted, seconds, step)
        with self._lock:
            of = (self.version, self._first(seconds, step))
            if self._answers.get(key, (None, []))[0] != of:
                values = self._series(metric, wanted, seconds, step, finest)
                self._answers[key] = (of, values)
                while len(self._answers) > ANSWERS:
                    del self._answers[next(iter(self._answers))]
            return list(self._answers[key][1])

    def times(self, seconds: int = 900, step: int = 1) -> list[int]:
        """The beginning of each step of :meth:`series`, in milliseconds since the epoch."""
        first = self._first(seconds, step)
        return [(first + index * step) * 1000 for index in range(seconds // step)]

    def rate(
        self,
        metric: str,
        queue: str | None = None,
        names: Collection[str] | None = None,
        seconds: int = 60,
    ) -> float:
        """Jobs in the last *seconds* whole seconds (at most 900); what nobody measured counts 0."""
        values = self.series(metric, queue, names, seconds=SECONDS)
        return sum(value or 0 for value in islice(reversed(values), 1, seconds + 1))

    def sums(self, seconds: int) -> Mapping[str, tuple[float, float]]:
        """What finished in the last *seconds* whole seconds: completed and failed, by queue.

        Over 900 seconds by whole minutes. A queue in which nothing finished is left out.
        """
        return self._once(("sums", seconds), lambda: self._finished(seconds)[0])

    def measured(self, seconds: int) -> float:
        """How many of the last *seconds* whole seconds anybody counted."""
        return self._once(("measured", seconds), lambda: self._finished(seconds)[1])

    def ago(self, seconds: int) -> Mapping[str, Figures]:
        """The figures of each queue as they stood *seconds* ago (at most 900).

        Empty if nobody had counted all queues by then.
        """
        return self._once(("ago", seconds), lambda: self._ago(seconds))

    def _finished(self, seconds: int) -> tuple[dict[str, tuple[float, float]], float]:
        by_minutes = seconds > SECONDS
        end = self._minutes.last if by_minutes else self._now() + 1
        begin = end - seconds
        sums: dict[str, tuple[float, float]] = {}
        counted = 0
        for record in reversed((self._minutes if by_minutes else self._seconds).records):
            inside = min(record.at, end) - max(record.at - record.seconds, begin)
            if inside <= 0:
                break
            counted += inside
            share = inside / record.seconds
            for name, one in record.queues.items():
                if one.done or one.lost:
                    done, lost = sums.get(name, (0.0, 0.0))
                    sums[name] = (done + one.done * share, lost + one.lost * share)
        return sums, counted

    def _ago(self, seconds: int) -> dict[str, Figures]:
        then = self._now() + 1 - seconds
        running = _Sum()
        running.start(self._seconds.before.held, whole=self._seconds.before.whole)
        known = running.whole
        for record in self._seconds.records:
            if record.at > then:
                break
            running.add(record)
            known = running.whole
        return running.held if known else {}

    def _once(self, key: tuple[str, int], make: Callable[[], T]) -> T:
        """What *make* makes, once for each record."""
        with self._lock:
            # Minutes are new once a minute only.
            of = self._minutes.last if key[1] > SECONDS else (self.version, self._now())
            if self._made.get(key, (None, None))[0] != of:
                self._made[key] = (of, make())
            return cast(T, self._made[key][1])

    def _series(
        self,
        metric: str,
        names: Collection[str] | None,
        seconds: int,
        step: int,
        finest: int,
    ) -> list[float | None]:
        field = _FIELD.get(metric, metric)
        rate = metric in _FIELD
        first = self._first(seconds, step)
        values: list[float | None] = [None] * (seconds // step)

        def put(begin: int, share: float) -> None:
            index = (begin - first) // step
            if 0 <= index < len(values):
                values[index] = (values[index] or 0) + share if rate else share

        # The coarse ones as far as they go, then the finer ones.
        stop = 0
        for track, length in ((self._quarters, QUARTER), (self._minutes, 60)):
            if length <= finest:
                for record, figures in track.walk(names, max(first, stop)):
                    if figures is not None:
                        put(record.at - length, getattr(figures, field))
                stop = max(stop, track.last)
        for record, figures in self._seconds.walk(names, max(first, stop)):
            if figures is None:
                continue
            value = getattr(figures, field)
            # A record that covers several seconds is spread over them.
            for second in range(max(record.at - record.seconds, stop), record.at):
                put(second, value / record.seconds if rate else value)
        return values

    def _first(self, seconds: int, step: int) -> int:
        """When the first step begins; the last one holds the present second."""
        now = self._now()
        return now - now % step + step - seconds

    def _now(self) -> int:
        """The present second; while the collector works, the one it has counted last."""
        now = self.connection.clock.now_ms() // 1000
        return self._seconds.last - 1 if 0 <= now - self._seconds.last <= 2 else now

    def _due(self) -> bool:
        if time.monotonic() - self._asked < 1:
            return False
        self._asked = time.monotonic()
        return True

    def _quarters_due(self) -> bool:
        behind = self.connection.clock.now_ms() // 1000 - self._quarters.last
        asked = time.monotonic() - self._asked_quarters
        return behind >= QUARTER + _QUARTER_LATE_S and asked >= _QUARTERS_S

    def _read_quarters(self) -> Operation[list[bytes]]:
        behind = (yield NOW) // 1000 - self._quarters.last
        count = min(behind // QUARTER, QUARTERS)
        (texts,) = yield [get_history(self.connection.prefix, "quarters", count)]
        return cast(list[bytes], texts)

    def _take_quarters(self, texts: list[bytes]) -> None:
        records = [Record.decode(text, QUARTER) for text in reversed(texts)]
        with self._lock:
            self._asked_quarters = time.monotonic()
            before = self._quarters.last
            for record in records:
                if record is not None:
                    self._quarters.add(record)
            if self._quarters.last != before:
                self.version += 1

    def _refresh(self) -> Operation[None]:
        now = (yield NOW) // 1000
        behind = now - self._seconds.last
        seconds = _A_FEW if behind <= _A_FEW else SECONDS
        minutes = 2 if now - self._minutes.last < 120 else MINUTES
        prefix = self.connection.prefix
        newest, newest_minutes = yield [
            get_history(prefix, "seconds", seconds),
            get_history(prefix, "minutes", minutes),
        ]
        tracks = ((self._seconds, newest), (self._minutes, newest_minutes))
        with self._lock:
            before = self._seconds.last, self._minutes.last
            for track, texts in tracks:
                for text in reversed(texts):
                    record = Record.decode(text)
                    if record is not None:
                        track.add(record)
            if (self._seconds.last, self._minutes.last) != before:
                self.version += 1
