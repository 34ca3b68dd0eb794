"""Authors: who has made a scheduler by hand, or changed when it runs; no I/O.

A scheduler that a program upserts counts as defined in code. What was written down here holds as
long as the schedule is the one that was written down: a peer that upserts another one, and knows
nothing of authors, takes it over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import NotSerializable
from .repeat import Repeat, as_dict, number
from .wire import codec


@dataclass(frozen=True, slots=True)
class Author:
    """``made``: who made it, empty for a program. ``changed``: who changed it last, if anybody."""

    made: str
    changed: str
    at: datetime | None = None

    def record(self, repeat: Repeat, now: int) -> bytes:
        """What is kept of it, at *now* (ms)."""
        value = {"made": self.made, "changed": self.changed, "at": now, "when": _when(repeat)}
        try:
            return codec.dumps(value)
        except NotSerializable:  # a name that no JSON holds
            return codec.dumps({**value, "made": "?" if self.made else "", "changed": "?"})


def read_author(record: Any, repeat: Repeat) -> Author | None:
    """The author of a scheduler that runs by *repeat*; None for one that is as a program has it."""
    try:
        said = as_dict(codec.loads(record)) if record else {}
    except ValueError:
        return None
    if said.get("when") != _when(repeat):
        return None
    made, changed = said.get("made"), said.get("changed")
    if not isinstance(made, str) or not isinstance(changed, str) or not (made or changed):
        return None
    try:
        at = datetime.fromtimestamp((number(said.get("at")) or 0) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        at = None
    return Author(made, changed, at)


def _when(repeat: Repeat) -> list[Any]:
    return [repeat.pattern, repeat.every, repeat.tz, repeat.limit, repeat.end]
