"""Numbers, durations and times: as people read them, as scripts do, and read from options."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from django.utils import timezone

NOTHING = "–"
_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"(?:[0-9]{1,9}[smhdw])+")


def number(value: float | None) -> str:
    """``12,345``; a dash where nothing is known."""
    return NOTHING if value is None else f"{round(value):,}"


def counted(count: int, one: str, many: str = "") -> str:
    """``1 job``, ``12,345 jobs``."""
    return f"{number(count)} {one if count == 1 else many or one + 's'}"


def duration(seconds: float | None) -> str:
    """``340ms``, ``47s``, ``12m 03s``, ``3h 05m``, ``2d 04h``."""
    if seconds is None:
        return NOTHING
    if seconds < 1:
        return f"{max(seconds, 0) * 1000:.0f}ms"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    for large, small, size, inner, most in (
        ("m", "s", 60, 1, 3_600),
        ("h", "m", 3_600, 60, 86_400),
    ):
        if whole < most:
            return f"{whole // size}{large} {whole % size // inner:02d}{small}"
    return f"{whole // 86_400:,}d {whole % 86_400 // 3_600:02d}h"


def since(at: datetime | None, now: datetime) -> str:
    """How long ago *at* was."""
    return NOTHING if at is None else duration(max((now - at).total_seconds(), 0))


def until(at: datetime | None, now: datetime) -> str:
    """``in 12m 03s``; ``now`` where it is due."""
    if at is None:
        return NOTHING
    left = (at - now).total_seconds()
    return f"in {duration(left)}" if left > 0 else "now"


def local(at: datetime | None) -> str:
    """A time as the project's time zone has it: ``2026-11-25 14:30:29 CET``."""
    return NOTHING if at is None else f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S %Z}"


def iso(at: datetime | None) -> str | None:
    """A time for scripts, ISO 8601 in UTC: ``2026-11-25T13:30:29.123Z``."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def iso_ms(ms: int | None) -> str | None:
    """The same of milliseconds since the epoch."""
    return None if ms is None else iso(datetime.fromtimestamp(ms / 1000, UTC))


def read_duration(text: str) -> timedelta:
    """Read ``90s``, ``15m``, ``1h30m``, ``7d``, ``4w``, or seconds, for an option."""
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", text):
        seconds = float(text)
    elif _DURATION.fullmatch(text):
        seconds = sum(int(one) * _UNITS[unit] for one, unit in re.findall(r"(\d+)([smhdw])", text))
    else:
        raise ArgumentTypeError(f"{text!r} is no duration; write 90s, 15m, 1h30m, 7d or 4w")
    return min(timedelta(seconds=seconds), timedelta(days=36_500))


def whole(least: int = 0) -> Callable[[str], int]:
    """A reader of whole numbers from *least* on, for an option."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or len(text) > 12 or int(text) < least:
            raise ArgumentTypeError(f"{text!r} is no whole number from {least} on")
        return int(text)

    return read
