"""The statistics of a queue: what workers add to them, and how they are read.

All keys are ours. ``minute:<n>``, ``quarter:<n>`` and ``hour:<n>`` are hashes of what ended in that
minute, quarter of an hour or hour of the epoch, ``totals`` is one of all; a field is
``<what>:<job name>``, or ``e:<fingerprint>``. ``errors`` tells of each fingerprint, ``sightings``
when it was last seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..keys import Keys
from ..readings import integer
from .base import Argument, Call, Command, Operation, text

MINUTE_MS, QUARTER_MS, HOUR_MS = 60_000, 900_000, 3_600_000
#: How many of each can be read: those before have expired.
MOST = {"minute": 180, "quarter": 4 * 25, "hour": 8 * 24}
#: A larger hash was not written by workers, and is not read.
MOST_FIELDS = 40_000
#: Fields of one call: it stays well under 5 ms on the server.
BATCH = 500
_PIPELINE = 60

Error = tuple[str, int, int, int, bytes]


def count_runs(
    keys: Keys,
    worker: str,
    number: int,
    minute: int,
    now: int,
    names: Mapping[str, Mapping[str, int]],
    errors: Sequence[Error] = (),
) -> Call[int]:
    """Add *names* (fields by job name) to *minute* of the epoch, its hour and so on.

    *errors*: id, count, first and last time (ms), and what it is. *number* is that of the worker's
    call: it may be sent again.
    """
    args: list[Argument] = [number, now, len(names), len(errors)]
    for name, fields in names.items():
        args += (name, len(fields))
        for field, by in fields.items():
            args += (field, by)
    for error in errors:
        args += error
    return Call(
        "count_runs",
        (
            keys.qc(f"counted:{worker}"),
            keys.qc(f"minute:{minute}"),
            keys.qc(f"quarter:{minute // 15}"),
            keys.qc(f"hour:{minute // 60}"),
            keys.qc("totals"),
            keys.qc("errors"),
            keys.qc("sightings"),
        ),
        args,
        repeatable=True,
    )


def get_counts(keys: Keys, suffixes: Sequence[str]) -> Operation[list[list[bytes]]]:
    """The hashes of *suffixes*, each as names and values; what cannot be one is empty."""
    found: list[list[bytes]] = []
    for start in range(0, len(suffixes), _PIPELINE):
        some = [keys.qc(one) for one in suffixes[start : start + _PIPELINE]]
        sizes = yield [Command(("HLEN", key), _whole, tolerant=True) for key in some]
        wanted = [key for key, size in zip(some, sizes, strict=True) if 0 < size <= MOST_FIELDS]
        hashes: dict[str, list[bytes]] = {}
        if wanted:
            read = yield [Command(("HGETALL", key), _listed, tolerant=True) for key in wanted]
            hashes = dict(zip(wanted, read, strict=True))
        found += [hashes.get(key, []) for key in some]
    return found


def get_errors(keys: Keys, most: int) -> Operation[list[tuple[str, int, list[bytes | None]]]]:
    """The *most* errors seen last: id, when (ms), and count, first time and what it is, raw."""
    seen: list[Any] = yield Command(
        ("ZREVRANGE", keys.qc("sightings"), 0, most - 1, "WITHSCORES"), _listed, tolerant=True
    )
    ids, times = [text(one) for one in seen[::2]], [integer(one) or 0 for one in seen[1::2]]
    if not ids:
        return []
    fields = [f"{id}:{what}" for id in ids for what in ("count", "first", "what")]
    read = yield Command(("HMGET", keys.qc("errors"), *fields), _listed, tolerant=True)
    values: list[bytes | None] = read or [None] * len(fields)
    return [(id, times[i], values[3 * i : 3 * i + 3]) for i, id in enumerate(ids)]


def forget(keys: Keys, now: int) -> Operation[None]:
    """Delete all statistics of the queue."""
    suffixes = ["totals", "errors", "sightings"]
    for kind, length in (("minute", MINUTE_MS), ("quarter", QUARTER_MS), ("hour", HOUR_MS)):
        suffixes += [f"{kind}:{now // length - i}" for i in range(-1, MOST[kind] + 1)]
    yield Command(("UNLINK", *(keys.qc(one) for one in suffixes)))


def _whole(answer: object) -> int:
    return answer if isinstance(answer, int) else 0


def _listed(answer: Any) -> list[Any]:
    return answer if isinstance(answer, list) else []
