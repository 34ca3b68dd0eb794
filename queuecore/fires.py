"""Fires: when a schedule is due, forwards and backwards, for previews and calendars; no I/O.

The engine itself only asks for the next moment (:mod:`.cron`); a page asks for hundreds, of the
past as well. Croniter says which days of a month fit, each month once; the times within a day are
plain multiplication. Both agree, also on the nights when clocks change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import product, takewhile

from . import conf
from .cron import day_choices, expression, time_zone
from .repeat import Repeat

# A pattern that has not come for so long (29 February comes every 8 years at worst) never does.
_MOST_MONTHS = 12 * 9
# What a schedule without an end may be asked for at most in one go.
MOST = 10_000


def upcoming(repeat: Repeat, name: str, after: int, due: int | None = None) -> Iterator[int]:
    """The moments (ms) at which *repeat* runs strictly after *after*, in order.

    *due*: its next run, where there is one: it need not fit the pattern, and ``every`` counts from
    it. *name*: of its jobs, for a strategy of the project's own.

    Raises:
        InvalidOption: the pattern or the time zone means nothing here.
    """
    if due is not None and due > after:
        yield due
        after = due
    last = after
    for moment in _forwards(repeat, name, after, due):
        # With `every`, the run that is due next when the end comes is the last.
        if repeat.end is not None and (moment if repeat.pattern else last) > repeat.end:
            return
        yield moment
        last = moment


def past(repeat: Repeat, before: int, due: int | None = None) -> Iterator[int]:
    """The moments at which *repeat* was due strictly before *before*, the latest first.

    Of a strategy of the project's own none is known.
    """
    first = repeat.start if repeat.start is not None else 0
    if repeat.pattern is not None:
        if conf.get_settings().repeat_strategy is not None:
            return iter(())
        found = walk(repeat.pattern, repeat.tz, before, back=True)
    elif repeat.every:
        anchor = due if due is not None else (repeat.offset or 0)
        start = anchor - -(-(anchor - before + 1) // repeat.every) * repeat.every
        found = iter(range(start, -1, -repeat.every))
    else:
        return iter(())
    return takewhile(lambda moment: moment >= first, found)


def between(repeat: Repeat, name: str, start: int, end: int, due: int | None = None) -> list[int]:
    """The moments from *start* on and before *end*, at most :data:`MOST`, in order."""
    found: list[int] = []
    if repeat.every and due is not None:
        first = due - (due - start) // repeat.every * repeat.every
        until = end if repeat.end is None else min(end, max(repeat.end + repeat.every, 0))
        known = range(max(first, 0), until, repeat.every)
        return [at for at in known[:MOST] if at >= (repeat.start or 0)]
    for moment in _forwards(repeat, name, start - 1, None):
        if moment >= end or len(found) == MOST or (repeat.end or moment) < moment:
            break
        found.append(moment)
    return found


def walk(pattern: str, tz: str | None, moment: int, *, back: bool = False) -> Iterator[int]:
    """The moments of a cron pattern strictly after *moment*, or with *back* before it.

    The nearest comes first. Ends where nothing comes for nine years.

    Raises:
        InvalidOption: the pattern or the time zone means nothing here.
    """
    fields, hourly = expression(pattern)
    zone = time_zone(tz)
    seconds, minutes, hours, day, month, weekday = fields.split(" ")
    times = (_numbers(hours, 24), _numbers(minutes, 60), _numbers(seconds, 60))
    try:
        today = datetime.fromtimestamp(moment / 1000, UTC).astimezone(zone).date()
    except (OverflowError, OSError, ValueError):
        return
    # A moment that clocks skip can belong to the evening before.
    today += timedelta(days=1 if back else -1)
    for one in _days_from(day, month, weekday, today, back):
        for found in _of_day(one, zone, times, hourly, moment, back):
            if found < moment if back else found > moment:
                yield found


def _forwards(repeat: Repeat, name: str, after: int, due: int | None) -> Iterator[int]:
    if repeat.every:
        if due is not None:
            anchor = due
        elif repeat.start is not None:
            anchor = max(repeat.start, after + 1)
        else:
            anchor = repeat.offset if repeat.offset else after + 1
        first = anchor + max(0, (after - anchor) // repeat.every + 1) * repeat.every
        yield from range(first, first + MOST * repeat.every, repeat.every)
    elif repeat.pattern is None:
        return
    elif conf.get_settings().repeat_strategy is not None:
        found: int | None = after
        while found is not None:
            found = repeat.after(found, name)
            if found is not None:
                yield found
    else:
        yield from walk(repeat.pattern, repeat.tz, max(after, (repeat.start or 0) - 1))


def _days_from(day: str, month: str, weekday: str, first: date, back: bool) -> Iterator[date]:
    year, number, idle = first.year, first.month, 0
    while idle < _MOST_MONTHS and 1 < year < 9999:
        found = _days(day, month, weekday, year, number)
        for one in reversed(found) if back else found:
            here = date(year, number, one)
            if here <= first if back else here >= first:
                yield here
        idle = 0 if found else idle + 1
        number += -1 if back else 1
        if not 1 <= number <= 12:
            year, number = (year - 1, 12) if back else (year + 1, 1)


@lru_cache(maxsize=4096)
def _days(day: str, month: str, weekday: str, year: int, number: int) -> tuple[int, ...]:
    """The days of a month that fit."""
    from croniter import CroniterBadDateError, croniter  # takes 0.1 s to import

    if month != "*" and str(number) not in month.split(","):
        return ()
    first = datetime(year, number, 1)
    found: set[int] = set()
    for one_day, one_weekday in day_choices(day, weekday):
        fields = f"0 0 {one_day} {number} {one_weekday}"
        walker = croniter(fields, first - timedelta(seconds=1))
        try:
            while (one := walker.get_next(datetime)).month == number and one.year == year:
                found.add(one.day)
        except (CroniterBadDateError, OverflowError):
            pass
    return tuple(sorted(found))


def _numbers(field: str, count: int) -> tuple[int, ...]:
    return tuple(range(count)) if field == "*" else tuple(map(int, field.split(",")))


def _of_day(
    day: date,
    zone: tzinfo,
    times: Sequence[Sequence[int]],
    hourly: bool,
    moment: int,
    back: bool,
) -> Iterator[int]:
    """The moments of one day of that zone, in order or backwards; those beyond *moment* only."""
    begun = datetime(day.year, day.month, day.day, tzinfo=zone)
    offset = begun.utcoffset()
    if (
        offset != (begun + timedelta(days=1)).utcoffset()
        or offset != begun.replace(fold=1).utcoffset()
    ):
        every = _of_odd_day(begun, times, hourly)
        yield from reversed(every) if back else every
        return
    start = round(begun.timestamp()) * 1000
    hours, minutes, seconds = times
    order = reversed if back else iter
    for hour in order(hours):
        at = start + hour * 3_600_000
        if at > moment if back else at + 3_599_000 < moment:
            continue
        for minute in order(minutes):
            then = at + minute * 60_000
            if then > moment if back else then + 59_000 < moment:
                continue
            for second in order(seconds):
                yield then + second * 1000


def _of_odd_day(begun: datetime, times: Sequence[Sequence[int]], hourly: bool) -> list[int]:
    """The moments of a day on which clocks change, by the rules of :func:`.cron.next_run`."""
    found: set[int] = set()
    shown = begun.replace(tzinfo=None) - timedelta(seconds=1)  # by the clock on the wall
    for hour, minute, second in product(*times):
        wall = begun.replace(hour=hour, minute=minute, second=second, fold=0)
        there = wall.astimezone(UTC)
        naive = wall.replace(tzinfo=None)
        if hourly:
            for one in (there, wall.replace(fold=1).astimezone(UTC)):
                if one.astimezone(begun.tzinfo).replace(tzinfo=None) == naive:
                    found.add(round(one.timestamp()) * 1000)
        elif naive > shown:
            # One that clocks skip comes later, and the wall shows that later time from then on.
            found.add(round(there.timestamp()) * 1000)
            shown = there.astimezone(begun.tzinfo).replace(tzinfo=None)
    return sorted(found)
