"""One stretch of history: what was counted in a second (a minute, a quarter) of every queue.

In Redis it is one JSON text for all queues of a connection. Most queues do not change in most
seconds, so a record names only those that did; every so often one names all. Whoever reads must
therefore carry counts forward, while ``done`` and ``lost`` of a queue that is not named are 0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

#: A record of this many seconds, at most, is believed: after a longer silence nobody knows.
LONGEST = 60
#: The seconds of a quarter of an hour.
QUARTER = 900


class Figures(NamedTuple):
    """The figures of one queue at the end of a record.

    ``waiting`` counts prioritized jobs, too. ``done`` and ``lost`` are jobs that completed and
    failed within the record; ``done_total`` and ``lost_total`` are BullMQ's metrics, or -1.
    """

    waiting: int = 0
    active: int = 0
    delayed: int = 0
    failed: int = 0
    done: int = 0
    lost: int = 0
    done_total: int = -1
    lost_total: int = -1


@dataclass(frozen=True, slots=True)
class Record:
    """``seconds`` seconds that ended at ``at`` (server time, whole seconds since the epoch).

    ``full``: all queues are named, so one that is not is gone.
    """

    at: int
    seconds: int
    full: bool
    queues: Mapping[str, Figures]

    def encode(self) -> str:
        """The text that goes to Redis."""
        return json.dumps(
            {"t": self.at, "n": self.seconds, "f": int(self.full), "q": self.queues},
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @classmethod
    def decode(cls, text: bytes | str, longest: int = LONGEST) -> Record | None:
        """Read such a text; None for anything else that lies there."""
        try:
            raw = json.loads(text)
            queues = {
                name: Figures(*(int(figure) for figure in figures[: len(Figures._fields)]))
                for name, figures in raw["q"].items()
            }
            record = cls(int(raw["t"]), int(raw["n"]), bool(raw["f"]), queues)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
            return None
        return record if 0 < record.seconds <= longest and record.at > 0 else None
