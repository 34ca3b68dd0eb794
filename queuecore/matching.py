"""Finding jobs by a filter, in queues of any length: a slice a call, a bounded time altogether.

A :class:`Filter` is a state and a text such as ``name:send-* attempts>2 age>1h``; it can be written
into an address and read back. :func:`match` answers the ids of some jobs that fit, and a cursor to
go on from.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from .errors import InvalidOption, did_you_mean
from .handle import Handle
from .wire.calls import matching
from .wire.calls.base import NOW, Operation, Rest, text
from .wire.readings import STATES

__all__ = [
    "Filter",
    "InvalidFilter",
    "Matches",
    "Moment",
    "Tally",
    "acount",
    "acursor_at",
    "amatch",
    "count",
    "cursor_at",
    "match",
]

#: The most ids that one :func:`match` answers, and how long it looks for them.
MOST, SECONDS = 1_000, 0.25
#: After each slice a search rests so many times as long as that took: half of the time is others'.
PACE = 1.0
#: A filter's text is at most this long.
LENGTH = 500

_MS = timedelta(milliseconds=1)
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_FINISHED = ("completed", "failed")
# Priorities are at most 2^21; a score is priority * 2^32 + the turn.
_TURNS = 2**32

Moment = int | timedelta
"""Milliseconds since the epoch, or how long ago."""


# What can be wrong with a filter's text: the kind of it, and what is said.
_WRONG = {
    "long": "a filter has at most %(most)s characters, not %(count)s",
    "state": "%(word)r is no state of jobs%(hint)s; the states are %(known)s",
    "shape": "%(word)r is no filter",
    "open": "a quotation mark is not closed: %(word)s",
    "empty": "%(word)s needs a value",
    "colon": "write %(name)s:%(value)s, with a colon",
    "sign": "write %(name)s>%(value)s or %(name)s<%(value)s",
    "unknown": "%(word)r is no word of a filter%(hint)s; there are %(known)s",
    "twice": "%(word)s: one job cannot be both; ask for one of them, or use a *",
    "surrogate": "the filter holds a lone surrogate, which is no valid text",
    "number": "%(word)s: that is no whole number",
    "duration": "%(name)s: %(value)r is no duration; write 90s, 15m, 2h, 7d or 4w",
    "time": "%(name)s: %(value)r is no time; write 2026-11-24 or 2026-11-24T15:00Z",
}


class InvalidFilter(InvalidOption):
    """A filter's text that cannot be understood; the message says which word, and what would be.

    ``kind`` says in one word what is wrong, ``given`` which words it is said with: for those who
    say it in another language.
    """

    def __init__(self, kind: str, **given: Any) -> None:
        super().__init__(_WRONG[kind] % given)
        self.kind = kind
        self.given = given


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs of a state are meant; what is None or empty is not asked for.

    ``id``, ``name``, ``scheduler``, ``parent`` (a job's key): equal, or with ``*`` at the beginning
    or end. ``error``: part of the reason of the failure, whatever the case. Bounds are included;
    a job that has no such time does not fit. ``name``, too, ignores case where it is a part.
    ``grouped``: of ``waiting-children``, only jobs of groups, whose turn comes (``waiting``) or
    that are due later (``delayed``); it has no word in the text.
    """

    state: str
    id: str = ""
    name: str = ""
    error: str = ""
    scheduler: str = ""
    parent: str = ""
    priority_least: int | None = None
    priority_most: int | None = None
    attempts_least: int | None = None
    attempts_most: int | None = None
    added_after: Moment | None = None
    added_before: Moment | None = None
    finished_after: Moment | None = None
    finished_before: Moment | None = None
    grouped: str = ""

    def __post_init__(self) -> None:
        if self.state not in STATES:
            hint, known = did_you_mean(self.state, STATES), ", ".join(STATES)
            raise InvalidFilter("state", word=self.state, hint=hint, known=known)

    @classmethod
    def parse(cls, state: str, text: str = "") -> Filter:
        """Read a filter's text: words, all of which must hold.

        ``id:7`` ``name:send-*`` ``error:"timed out"`` ``scheduler:nightly`` ``priority:1..5``
        ``attempts>2`` ``age>1h`` (added so long ago) ``ended<30m`` (finished so long ago)
        ``added>2026-11-24T15:00Z`` ``finished<2026-11-24``; a bare word is a part of the name.

        Raises:
            InvalidFilter: a word is not understood, or there is no such state.
        """
        if len(text) > LENGTH:
            raise InvalidFilter("long", most=LENGTH, count=len(text))
        found = cls(state)
        for word in _words(text):
            found = _with(found, word)
        return found

    def __str__(self) -> str:
        """The text that :meth:`parse` reads, without the state."""
        return " ".join(self.words)

    @property
    def words(self) -> tuple[str, ...]:
        """The words of its text, each with what it asks for."""
        return tuple(_written(self))

    def as_dict(self) -> dict[str, str]:
        """As it is stored: ``{"state": ..., "query": ...}``."""
        return {"state": self.state, "query": str(self)}

    @classmethod
    def from_dict(cls, value: Any) -> Filter:
        """Read what :meth:`as_dict` gave. Raises InvalidFilter."""
        if not isinstance(value, dict):
            raise InvalidFilter("shape", word=value)
        return cls.parse(str(value.get("state", "")), str(value.get("query", "")))

    def pinned(self, now_ms: int) -> Filter:
        """The same filter for ever: "an hour ago" becomes the moment that it is at *now_ms*."""
        return _changed(
            self, {name: _absolute(getattr(self, name), now_ms) for name, _, _ in _TIMES}
        )

    def until(self, bound_ms: int) -> Filter:
        """Without jobs that arrived later than *bound_ms*, or ended later if they have ended."""
        name = "finished_before" if self.state in _FINISHED else "added_before"
        earlier = getattr(self, name)
        if isinstance(earlier, timedelta):
            raise ValueError("pin the filter first")
        return _changed(self, {name: bound_ms if earlier is None else min(earlier, bound_ms)})

    @property
    def everything(self) -> bool:
        """Whether it asks for nothing but the state."""
        return self == Filter(self.state)

    @property
    def reveals(self) -> bool:
        """Whether its answers tell something of what only ``view_payload`` may see."""
        return bool(self.error)

    def search(self, now_ms: int) -> matching.Search:
        """As the server is asked."""
        pinned = self.pinned(now_ms)
        window, done = matching.EVERYTHING, set()
        if self.state in _FINISHED:
            window = _window(pinned.finished_after, pinned.finished_before)
            done = {"finishedOn"}
        elif self.state == "prioritized":
            most = self.priority_most
            window = _window(
                None if self.priority_least is None else self.priority_least * _TURNS,
                None if most is None else (most + 1) * _TURNS - 1,
            )
            done = {"priority"}
        exact = bool(self.id) and "*" not in (self.id[0], self.id[-1])
        return matching.Search(
            self.state,
            [one for one in _conditions(pinned) if one[0] not in done],
            window,
            self.id if exact else "",
        )


@dataclass(frozen=True, slots=True)
class Matches:
    """Some ids that fit, in the order of the pages of their state.

    ``passed`` of ``total`` jobs have been looked at from the beginning up to ``cursor``, ``looked``
    of them in this call. ``cursor`` is empty when all have been.
    """

    ids: list[str]
    looked: int
    passed: int
    total: int
    cursor: str


@dataclass(frozen=True, slots=True)
class Tally:
    """How many jobs fit among ``looked`` of ``total``: all of them if ``complete``."""

    count: int
    looked: int
    total: int

    @property
    def complete(self) -> bool:
        """Whether every job was looked at."""
        return self.looked >= self.total

    @property
    def estimate(self) -> int:
        """How many there are in all, if the rest is like what was looked at."""
        return self.count if self.complete else round(self.count * self.total / self.looked)


def match(
    queue: Handle,
    filter: Filter,
    cursor: str = "",
    limit: int = 50,
    *,
    oldest_first: bool = False,
    seconds: float = SECONDS,
) -> Matches:
    """Up to *limit* ids of jobs of *queue* that fit, from *cursor* on; looks for *seconds* at most.

    It looks at some hundred jobs at a time, and leaves the server to others for as long after each.

    In the order of the state's pages: next to run first, finished ones newest first, or the oldest
    first where asked for. An answer may be short of *limit*, or empty, though more are left: the
    cursor says so.

    Raises:
        ValueError: *cursor* is not one of this function's.
    """
    return queue._run(
        matches(queue, filter, cursor, limit, oldest_first=oldest_first, seconds=seconds)
    )


async def amatch(
    queue: Handle,
    filter: Filter,
    cursor: str = "",
    limit: int = 50,
    *,
    oldest_first: bool = False,
    seconds: float = SECONDS,
) -> Matches:
    """See :func:`match`."""
    return await queue._arun(
        matches(queue, filter, cursor, limit, oldest_first=oldest_first, seconds=seconds)
    )


def count(queue: Handle, filter: Filter, *, seconds: float = 1.0) -> Tally:
    """How many jobs of *queue* fit; after *seconds* it is left at those looked at so far."""
    return queue._run(tally(queue, filter, seconds=seconds))


async def acount(queue: Handle, filter: Filter, *, seconds: float = 1.0) -> Tally:
    """See :func:`count`."""
    return await queue._arun(tally(queue, filter, seconds=seconds))


def cursor_at(queue: Handle, state: str, passed: int, *, oldest_first: bool = False) -> str:
    """The cursor behind the first *passed* jobs of *state*, for a jump into the middle of a list.

    It costs the same anywhere in a list of a million. Empty, as at the beginning, if there are
    fewer.

    Raises:
        InvalidFilter: there is no such state.
    """
    return queue._run(_cursor_at(queue, Filter(state), passed, oldest_first))


async def acursor_at(queue: Handle, state: str, passed: int, *, oldest_first: bool = False) -> str:
    """See :func:`cursor_at`."""
    return await queue._arun(_cursor_at(queue, Filter(state), passed, oldest_first))


def matches(
    queue: Handle,
    filter: Filter,
    cursor: str = "",
    limit: int = 50,
    *,
    oldest_first: bool = False,
    seconds: float = SECONDS,
) -> Operation[Matches]:
    """The operation of :func:`match`, for those who have more to do in one."""
    limit = min(max(limit, 1), MOST)
    places = matching.PLACES[filter.state]
    number, place = _read_cursor(cursor, len(places))
    now = yield NOW
    search = filter.search(now)
    if search.only:
        places, number, place = places[:1], 0, ""
    before = 0
    for suffix in places[:number]:
        before += yield matching.length(queue.keys, suffix, search)
    deadline = time.monotonic() + seconds
    ids: list[str] = []
    looked = 0
    took = 0.0
    while True:
        if took:
            yield Rest(PACE * took)
        asked = time.monotonic()
        at = yield matching.match_slice(
            queue.keys,
            places[number],
            search,
            place,
            most=limit - len(ids),
            falling=not oldest_first and filter.state in _FINISHED,
        )
        took = time.monotonic() - asked
        ids += [text(one) for one in at.ids]
        looked += at.looked
        place = at.place
        passed, total = before + at.passed, before + at.total
        if not at.more:
            number, place, before = number + 1, "", before + at.total
            if number == len(places):
                return Matches(ids, looked, passed, total, "")
        if len(ids) == limit or time.monotonic() >= deadline:
            for suffix in places[number + (1 if place else 0) :]:
                total += yield matching.length(queue.keys, suffix, search)
            return Matches(ids, looked, passed, total, f"{number}~{place}")


def tally(queue: Handle, filter: Filter, *, seconds: float = 1.0) -> Operation[Tally]:
    """The operation of :func:`count`."""
    now = yield NOW
    search = filter.search(now)
    if not search.conditions and not search.only:
        total = sum(
            (
                yield [
                    matching.length(queue.keys, suffix, search)
                    for suffix in matching.PLACES[filter.state]
                ]
            )
        )
        return Tally(total, total, total)
    deadline, count, looked, cursor = time.monotonic() + seconds, 0, 0, ""
    while True:
        left = max(0.0, deadline - time.monotonic())
        found: Matches = yield from matches(queue, filter, cursor, MOST, seconds=left)
        count, looked, cursor = count + len(found.ids), looked + found.looked, found.cursor
        if not cursor:
            return Tally(count, looked, looked)
        if time.monotonic() >= deadline:
            return Tally(count, looked, max(found.total, looked + 1))


def _cursor_at(queue: Handle, filter: Filter, passed: int, oldest_first: bool) -> Operation[str]:
    places = matching.PLACES[filter.state]
    for number, suffix in enumerate(places):
        if passed <= 0:
            return f"{number}~" if number else ""
        search = matching.Search(filter.state)
        length = yield matching.length(queue.keys, suffix, search)
        if passed < length:
            if suffix in matching.LISTS:
                place = yield matching.place_in_list(queue.keys, suffix, length - passed)
            else:
                falling = not oldest_first and filter.state in _FINISHED
                place = yield matching.place_in_set(queue.keys, suffix, passed, falling=falling)
            return f"{number}~{place}" if place else ""
        passed -= length
    return ""


def _read_cursor(cursor: str, places: int) -> tuple[int, str]:
    if not cursor:
        return 0, ""
    number, mark, place = cursor.partition("~")
    if not mark or not number.isascii() or not number.isdigit() or int(number[:3]) >= places:
        raise ValueError(f"{cursor[:80]!r} is no cursor of a list of jobs")
    return int(number[:3]), place


def _window(low: Any, high: Any) -> tuple[str, str]:
    return "-inf" if low is None else str(low), "+inf" if high is None else str(high)


def _absolute(moment: Moment | None, now_ms: int) -> int | None:
    return now_ms - moment // _MS if isinstance(moment, timedelta) else moment


# The words of a filter: how each is read, and how it is written.

_TEXTS = {"id": "id", "name": "name", "scheduler": "rjk", "parent": "parentKey"}
_NUMBERS = {"priority": "priority", "attempts": "atm"}
#: Field, the word for a moment with its sign, the word for how long ago with its sign.
_TIMES = (
    ("added_after", "added>", "age<"),
    ("added_before", "added<", "age>"),
    ("finished_after", "finished>", "ended<"),
    ("finished_before", "finished<", "ended>"),
)
_KNOWN = (*_TEXTS, "error", *_NUMBERS, "age", "ended", "added", "finished")
_WORD = re.compile(r'\s*((?:[^\s"]|"(?:[^"\\]|\\.)*")+)(?=\s|\Z)', re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_SPLIT = re.compile(r"([a-z]+)(:|>=|<=|>|<)(.*)", re.DOTALL)


def _words(text: str) -> Iterator[tuple[str, str, str]]:
    """Each word of a filter as name, sign and value."""
    at = 0
    text = text.rstrip()
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None:
            raise InvalidFilter("open", word=text[at:].strip())
        at = found.end()
        parts = _SPLIT.fullmatch(found[1])
        name, sign, value = parts.groups() if parts else ("", ":", found[1])
        yield name, sign, _QUOTED.sub(lambda quoted: re.sub(r"(?s)\\(.)", r"\1", quoted[1]), value)


def _with(found: Filter, word: tuple[str, str, str]) -> Filter:
    name, sign, value = word
    if not value:
        raise InvalidFilter("empty", word=f"{name}{sign}")
    _checked_text(value)
    if not name:
        return _given(found, {"name": f"*{value.strip('*')}*"}, value)
    if name in _TEXTS or name == "error":
        if sign != ":":
            raise InvalidFilter("colon", name=name, value=value)
        return _given(found, {name: value}, f"{name}:{value}")
    if name in _NUMBERS:
        least, most = _numbers(name, sign, value)
        changes = {f"{name}_least": least, f"{name}_most": most}
        return _given(found, changes, f"{name}{sign}{value}")
    for field, moment, ago in _TIMES:
        if f"{name}{sign[0]}" == moment:
            return _given(found, {field: _moment(name, value)}, f"{name}{sign}{value}")
        if f"{name}{sign[0]}" == ago:
            return _given(found, {field: _ago(name, value)}, f"{name}{sign}{value}")
    if name in _KNOWN:
        raise InvalidFilter("sign", name=name, value=value)
    hint, known = did_you_mean(name, _KNOWN), ", ".join(_KNOWN)
    raise InvalidFilter("unknown", word=name, hint=hint, known=known)


def _given(found: Filter, changes: dict[str, Any], word: str) -> Filter:
    """*found* with what *word* asks for as well; never instead of what another has asked for."""
    changes = {name: value for name, value in changes.items() if value is not None}
    for name, value in changes.items():
        if getattr(found, name) not in (None, "", value):
            raise InvalidFilter("twice", word=word)
    return _changed(found, changes)


def _changed(filter: Filter, changes: dict[str, Any]) -> Filter:
    return replace(filter, **changes)


def _checked_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidFilter("surrogate") from None


def _numbers(name: str, sign: str, value: str) -> tuple[int | None, int | None]:
    low, dots, high = value.partition("..")
    try:
        if sign == ":" and dots:
            return (_whole(low) if low else None), (_whole(high) if high else None)
        number = _whole(value)
    except ValueError:
        raise InvalidFilter("number", word=f"{name}{sign}{value}") from None
    return {
        ":": (number, number),
        ">": (number + 1, None),
        ">=": (number, None),
        "<": (None, number - 1),
        "<=": (None, number),
    }[sign]


def _whole(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise ValueError(text)
    return int(text)


def _ago(name: str, value: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,9})([a-z])", value)
    if found is None or found[2] not in _UNITS:
        raise InvalidFilter("duration", name=name, value=value)
    return min(timedelta(seconds=int(found[1]) * _UNITS[found[2]]), timedelta(days=36_500))


def _moment(name: str, value: str) -> int:
    try:
        at = datetime.fromisoformat(value)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return (at - datetime(1970, 1, 1, tzinfo=UTC)) // _MS
    except (ValueError, OverflowError):
        raise InvalidFilter("time", name=name, value=value) from None


def _written(filter: Filter) -> Iterator[str]:
    for name in (*_TEXTS, "error"):
        if value := getattr(filter, name):
            yield f"{name}:{_quoted(value)}"
    for name in _NUMBERS:
        least, most = getattr(filter, f"{name}_least"), getattr(filter, f"{name}_most")
        if least is not None or most is not None:
            if least == most:
                yield f"{name}:{least}"
            else:
                ends = ("" if one is None else str(one) for one in (least, most))
                yield f"{name}:{'..'.join(ends)}"
    for field, moment, ago in _TIMES:
        value = getattr(filter, field)
        if isinstance(value, timedelta):
            yield f"{ago}{_duration(round(value.total_seconds()))}"
        elif value is not None:
            at = datetime(1970, 1, 1, tzinfo=UTC) + value * _MS
            yield f"{moment}{at.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}"


def _duration(seconds: int) -> str:
    unit = next(one for one in ("w", "d", "h", "m", "s") if seconds % _UNITS[one] == 0)
    return f"{seconds // _UNITS[unit]}{unit}" if seconds else "0s"


def _quoted(value: str) -> str:
    if re.search(r'[\s"\\]', value):
        return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
    return value


def _conditions(filter: Filter) -> Iterator[matching.Condition]:
    for name, field in _TEXTS.items():
        if value := getattr(filter, name):
            yield from _text_conditions(field, value)
    if filter.error:
        yield "failedReason", "~", _lower(filter.error)
    for name, field in _NUMBERS.items():
        for end, test in (("least", ">"), ("most", "<")):
            if (bound := getattr(filter, f"{name}_{end}")) is not None:
                yield field, test, bound
    for field, stored in (("added", "timestamp"), ("finished", "finishedOn")):
        for end, test in (("after", ">"), ("before", "<")):
            if (bound := getattr(filter, f"{field}_{end}")) is not None:
                yield stored, test, bound
    if filter.grouped:
        yield "opts", "~", '"group":{'
        yield ("delay", "=", "0") if filter.grouped == "waiting" else ("delay", ">", 1)


def _text_conditions(field: str, value: str) -> Iterator[matching.Condition]:
    begins, ends = not value.startswith("*"), not value.endswith("*")
    bare = value.strip("*")
    if begins and ends:
        yield field, "=", value
    elif bare:
        test = "^" if begins else "$" if ends else "~"
        yield field, test, _lower(bare) if test == "~" else bare


def _lower(value: str) -> str:
    """Lower case as Lua makes it: ASCII letters alone."""
    return "".join(one.lower() if one.isascii() else one for one in value)
