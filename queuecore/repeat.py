"""Repeat: when a scheduler runs, BullMQ's `repeat` options; a small value, no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from . import conf
from .cron import checked_pattern, next_run, time_zone
from .dotted import load_function
from .errors import InvalidOption
from .options import Seconds, checked_whole, epoch_ms, milliseconds

# (after, repeat, name) -> the next time after that, or None; BullMQ's `repeatStrategy`.
Strategy = Callable[[datetime, Mapping[str, Any], str], datetime | None]

# What a run has of its own in its options, beside what all runs of a scheduler share.
OF_A_RUN = frozenset({"repeat", "jobId", "delay", "timestamp", "prevMillis", "repeatJobKey"})


@dataclass(frozen=True, slots=True)
class Repeat:
    """When a scheduler runs, as BullMQ's ``repeat`` says it; times in ms."""

    pattern: str | None = None
    every: int | None = None
    tz: str | None = None
    limit: int | None = None
    start: int | None = None
    end: int | None = None
    offset: int | None = None

    @classmethod
    def read(cls, options: Mapping[str, Any]) -> Repeat:
        """What a run, or a record, of anybody's says."""
        pattern, tz = options.get("pattern"), options.get("tz")
        return cls(
            pattern=pattern if isinstance(pattern, str) and pattern else None,
            # Less than nothing is what no script takes for a time either.
            every=max(number(options.get("every")) or 0, 0) or None,
            tz=tz if isinstance(tz, str) and tz else None,
            limit=number(options.get("limit")),
            start=number(options.get("startDate")),
            end=number(options.get("endDate")),
            offset=number(options.get("offset")) or None,
        )

    def wire(self) -> dict[str, Any]:
        """BullMQ's object, without what is not said."""
        said = {
            "pattern": self.pattern,
            "every": self.every,
            "tz": self.tz,
            "limit": self.limit,
            "startDate": self.start,
            "endDate": self.end,
            "offset": self.offset if self.every else None,
        }
        return {name: value for name, value in said.items() if value is not None}

    def after(self, moment: int, name: str) -> int | None:
        """When the pattern is due next, strictly after *moment*; None if not within its dates."""
        assert self.pattern is not None
        path = conf.get_settings().repeat_strategy
        if path is not None:
            found = _ask(path, moment, self, name)
        else:
            found = next_run(self.pattern, self.tz, max(moment, self.start or 0))
        return None if found is None or (self.end is not None and found > self.end) else found

    def first(self, moment: int, name: str) -> int:
        """As :meth:`after`, and not before *moment*; what never comes is refused."""
        found = self.after(moment, name)
        if found is None:
            until = "" if self.end is None else " before its end_date"
            raise InvalidOption(f"the pattern {self.pattern!r} never comes{until}")
        return max(found, moment)


def run_opts(
    template: dict[str, Any],
    id: str,
    repeat: dict[str, Any],
    now: int,
    count: int,
    due: int | None,
) -> dict[str, Any]:
    """The options of a run, but for its delay and its id; *template*: what all runs share."""
    opts = {
        **template,
        "repeat": {**repeat, "count": count},
        "timestamp": now,
        "repeatJobKey": id,
    }
    if due is not None:
        opts["prevMillis"] = due
    return opts


def checked_repeat(
    pattern: str | None,
    every: Seconds | None,
    tz: str | None,
    limit: int | None,
    start_date: datetime | None,
    end_date: datetime | None,
    offset: Seconds | None,
    immediately: bool,
) -> Repeat:
    if (pattern is None) == (every is None):
        raise InvalidOption("a scheduler needs either a pattern or every, and not both")
    if immediately and start_date is not None:
        raise InvalidOption("immediately and start_date exclude each other")
    custom = conf.get_settings().repeat_strategy is not None
    if pattern is not None and not custom:
        checked_pattern(pattern)
    if tz is not None:
        if not isinstance(tz, str):
            raise InvalidOption(f"tz must be the name of a time zone, not {tz!r}")
        time_zone(tz)
    every_ms = None if every is None else milliseconds(every, "every")
    if every_ms == 0:
        raise InvalidOption("every must be at least a millisecond")
    offset_ms = None if offset is None else milliseconds(offset, "offset")
    if offset_ms is not None and (every_ms is None or offset_ms >= every_ms):
        raise InvalidOption("offset belongs to every, and must be less than that")
    if limit is not None and checked_whole(limit, "limit") == 0:
        raise InvalidOption("limit must be at least 1; to stop a scheduler, remove it")
    start = None if start_date is None else epoch_ms(start_date, "start_date")
    end = None if end_date is None else epoch_ms(end_date, "end_date")
    if start is not None and end is not None and end <= start:
        raise InvalidOption("end_date must lie after start_date")
    if pattern is not None and tz is None:
        # Without one, every client would take the zone of its own machine.
        tz = conf.time_zone()
    return Repeat(pattern, every_ms, tz, limit, start, end, offset_ms or None)


def as_dict(value: Any) -> dict[str, Any]:
    """An object that somebody wrote; empty for what is none."""
    return value if isinstance(value, dict) else {}


def number(value: Any) -> int | None:
    """A number that somebody wrote, as text or not; None for what is none."""
    try:
        return int(float(value)) if value is not None else None
    except (TypeError, ValueError, OverflowError):
        return None


def load_strategy(path: str) -> Strategy:
    """The function that *path*, the setting ``REPEAT_STRATEGY``, names.

    Raises:
        ConfigurationError: it cannot be imported, or is no function.
    """
    return load_function(path, "QUEUECORE['REPEAT_STRATEGY']")


def _ask(path: str, moment: int, repeat: Repeat, name: str) -> int | None:
    """What the project's own strategy says."""
    after = datetime.fromtimestamp(moment / 1000, UTC)
    found = load_strategy(path)(after, repeat.wire(), name)
    if found is None:
        return None
    ms = epoch_ms(found, f"what {path} returned")
    if ms <= moment:
        raise InvalidOption(f"{path} returned {found}, which does not lie after {after}")
    return ms
