"""Cron patterns as BullMQ reads them: 5 fields, or 6 with the seconds first; no I/O.

BullMQ's parser (cron-parser 5) is the measure, also on the nights when clocks change: a run in the
hour that is left out comes as much later, a run in the hour that comes twice runs once, and what
runs every hour runs every real hour. The fields are read here, by its rules, and handed to croniter
as plain lists of numbers.
"""

from __future__ import annotations

import re
import zlib
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from .errors import InvalidOption

if TYPE_CHECKING:
    from collections.abc import Callable

    _Wrong = Callable[[str], InvalidOption]

ALIASES = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
    "@minutely": "0 * * * * *",
    "@secondly": "* * * * * *",
    "@weekdays": "0 0 0 * * 1-5",
    "@weekends": "0 0 0 * * 0,6",
}

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
# Each field's name, least and greatest number, and the words that stand for numbers.
_FIELDS: tuple[tuple[str, int, int, dict[str, str]], ...] = (
    ("second", 0, 59, {}),
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of the month", 1, 31, {}),
    ("month", 1, 12, {name: str(n) for n, name in enumerate(_MONTHS, 1)}),
    ("day of the week", 0, 7, {name: str(n) for n, name in enumerate(_DAYS)}),
)
_HOUR, _DAY, _WEEKDAY = 2, 3, 5
_MISSING = ("0", "*", "*", "*", "*", "*")
_LONGEST = 1024
_SPREAD = re.compile(r"H(?:\((\d+)-(\d+)\))?(?:/(\d+))?", re.ASCII)
_OFFSET = re.compile(r"UTC([+-])(\d{1,2})(?::?(\d{2}))?", re.IGNORECASE)


def next_run(pattern: str, tz: str | None, after: int) -> int | None:
    """When *pattern* is next due, strictly after *after*; both in ms since the epoch.

    *tz* names a time zone; None is UTC. None if the pattern never comes again (30 February).

    Raises:
        InvalidOption: the pattern cannot be read, or there is no such time zone.
    """
    from croniter import CroniterBadDateError, croniter  # takes 0.1 s to import

    fields, hourly = expression(pattern)
    zone = time_zone(tz)
    start = datetime.fromtimestamp(after / 1000, UTC).astimezone(zone)

    def first(fields: str) -> int | None:
        try:
            if hourly:
                found = croniter(fields, start, second_at_beginning=True).get_next(datetime)
                return _ms(found)
            # Fixed hours: walk the clock on the wall.
            wall = start.replace(tzinfo=None)
            while True:
                wall = croniter(fields, wall, second_at_beginning=True).get_next(datetime)
                # The first of two equal hours; 02:30 where clocks skip it is 03:30.
                found = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
                if found > start:
                    return _ms(found)
        except (CroniterBadDateError, OverflowError):
            return None

    seconds, minutes, hours, day, month, weekday = fields.split(" ")
    times = f"{seconds} {minutes} {hours}"
    due = [first(f"{times} {one} {month} {other}") for one, other in day_choices(day, weekday)]
    return min((moment for moment in due if moment is not None), default=None)


def checked_pattern(pattern: object) -> str:
    """Check a pattern that somebody wrote here; peers' may leave out more fields.

    Raises:
        InvalidOption: naming the field and what is wrong with it.
    """
    if not isinstance(pattern, str) or not pattern.strip():
        raise InvalidOption(
            f"pattern must be a cron pattern such as '*/5 * * * *', not {pattern!r}"
        )
    if pattern not in ALIASES and len(pattern.split()) < 5:
        raise InvalidOption(
            f"the pattern {pattern!r} has {len(pattern.split())} fields; it needs 5 (minute hour "
            f"day month weekday), or 6 with the seconds first, or is one of {', '.join(ALIASES)}"
        )
    if pattern not in ALIASES and "H" in pattern and _SPREAD.search(_without_names(pattern)):
        raise InvalidOption(
            f"the pattern {pattern!r} holds 'H', for which a BullMQ worker takes another number "
            "at each run: write the number"
        )
    expression(pattern)
    return pattern


def day_choices(day: str, weekday: str) -> list[tuple[str, str]]:
    """The fields of a day, as pairs that croniter can read: a day that fits one of them fits.

    It takes the last or second of a weekday, and anything beside it, for what must both be true.
    """
    parts = weekday.split(",")
    last = [part for part in parts if part.startswith("L") or "#" in part]
    if not last or (day == "*" and len(last) == len(parts)):
        return [(day, weekday)]
    found = [("*", ",".join(last))]
    if len(last) < len(parts):
        found.append(("*", ",".join(part for part in parts if part not in last)))
    if day != "*":
        found.append((day, "*"))
    return found


@lru_cache(maxsize=256)
def time_zone(name: str | None) -> tzinfo:
    """The time zone *name*, such as ``Europe/Berlin`` or ``UTC+2``; None is UTC.

    Raises:
        InvalidOption: there is none.
    """
    if name is None or name.upper() == "UTC":
        return UTC
    if offset := _OFFSET.fullmatch(name):
        sign, hours, minutes = offset.groups()
        shift = timedelta(hours=int(hours), minutes=int(minutes or 0))
        if shift < timedelta(hours=24):
            return timezone(-shift if sign == "-" else shift)
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        raise InvalidOption(
            f"there is no time zone {name!r}; give one of the IANA's names, such as "
            "'Europe/Berlin' or 'UTC'"
        ) from None


@lru_cache(maxsize=1024)
def expression(pattern: str) -> tuple[str, bool]:
    """The pattern for croniter, and whether it means every hour."""
    if len(pattern) > _LONGEST:
        raise InvalidOption(f"a cron pattern has at most {_LONGEST} characters")
    atoms = ALIASES.get(pattern, pattern).split() or ["0"]
    if len(atoms) > len(_FIELDS):
        raise InvalidOption(
            f"the pattern {pattern!r} has {len(atoms)} fields; at most 6 are known (second minute "
            "hour day month weekday), none for years"
        )
    atoms = [*_MISSING[: len(_FIELDS) - len(atoms)], *atoms]
    fields = [_field(pattern, index, atom) for index, atom in enumerate(atoms)]
    return " ".join(fields), fields[_HOUR] == "*"


def _field(pattern: str, index: int, atom: str) -> str:
    name, least, greatest, words = _FIELDS[index]

    def wrong(why: str) -> InvalidOption:
        return InvalidOption(f"the {name} {atom!r} of the pattern {pattern!r} {why}")

    if atom in ("*", "?"):
        return "*"
    if words:
        atom = re.sub("[a-zA-Z]{3}", lambda word: words.get(word[0].lower(), word[0]), atom)
    if "H" in atom:
        atom = _spread(pattern, index, atom, wrong)
    if index == _WEEKDAY and (nth := re.fullmatch(r"([0-7])#([1-5])", atom)):
        return f"{int(nth[1]) % 7}#{nth[2]}"
    numbers: set[int] = set()
    last: set[str] = set()
    for part in atom.split(","):
        new: set[int] = set()
        word = ""
        if index == _DAY and part == "L":
            word = "L"
        elif index == _WEEKDAY and re.fullmatch("[0-7]L", part):
            word = f"L{int(part[0]) % 7}"
        else:
            new = _numbers(part, least, greatest, wrong)
        if index == _WEEKDAY:
            new = {number % 7 for number in new}
        if word in last or numbers & new:
            raise wrong("names something twice, which BullMQ refuses; write it once")
        numbers |= new
        last |= {word} - {""}
    if index == _HOUR and len(numbers) == 24:
        return "*"
    return ",".join([*map(str, sorted(numbers)), *sorted(last)])


def _numbers(part: str, least: int, greatest: int, wrong: _Wrong) -> set[int]:
    read = re.fullmatch(r"(?:(\d+)(?:-(\d+))?|[*?])(?:/(\d+))?", part, re.ASCII)
    if read is None:
        raise wrong("cannot be read; write numbers, ranges 1-5, steps */15, or lists of them")
    first = least if read[1] is None else int(read[1])
    if read[2] is not None:
        final = int(read[2])
    else:
        final = greatest if read[1] is None or read[3] is not None else first
    if not least <= first <= greatest or not final <= greatest:
        raise wrong(f"lies outside of {least} to {greatest}")
    if first > final:
        raise wrong("runs backwards; write two ranges, such as 22-23,0-2")
    step = 1 if read[3] is None else int(read[3])
    if step == 0:
        raise wrong("has a step of 0")
    return set(range(first, final + 1, step))


def _without_names(pattern: str) -> str:
    """The pattern without names of months and days, some of which hold an H."""
    return re.sub("[a-zA-Z]{3}", "", pattern)


def _spread(pattern: str, index: int, atom: str, wrong: _Wrong) -> str:
    """The field with numbers for each ``H``, in a pattern that others wrote.

    BullMQ's workers roll them anew for each run. Ours take the same for a pattern every time.
    """
    _, least, greatest, _ = _FIELDS[index]
    dice = zlib.crc32(f"{index} {pattern}".encode()) / 2**32

    def numbers(found: re.Match[str]) -> str:
        low = least if found[1] is None else max(int(found[1]), least)
        high = greatest if found[2] is None else min(int(found[2]), greatest)
        if low > high:
            raise wrong("runs backwards, or lies outside of what is possible")
        one = str(low + int(dice * (high - low + 1)))
        if found[3] is None:
            return one
        if (step := int(found[3])) == 0:
            raise wrong("has a step of 0")
        first = low // step * step + int(dice * step)
        every = [str(number) for number in range(first, high + 1, step) if number >= low]
        return ",".join(every) or one

    return _SPREAD.sub(numbers, atom)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp()) * 1000
