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
# Errors of one queue that are looked at for new ones.
_LATELY = 50

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
    return (yield from _hashes([keys.qc(one) for one in suffixes]))


def _hashes(keys: Sequence[str]) -> Operation[list[list[bytes]]]:
    found: list[list[bytes]] = []
    for start in range(0, len(keys), _PIPELINE):
        some = keys[start : start + _PIPELINE]
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


def get_recent_counts(queues: Sequence[Keys], now: int) -> Operation[list[list[list[bytes]]]]:
    """The hashes of the present quarter of an hour, and of the one before, of each of *queues*."""
    quarter = now // QUARTER_MS
    names = [keys.qc(f"quarter:{n}") for keys in queues for n in (quarter - 1, quarter)]
    found: list[list[bytes]] = yield from _hashes(names)
    return [found[at : at + 2] for at in range(0, len(found), 2)]


def get_new_errors(
    queues: Sequence[Keys], first: int, last: int, often: int, most: int
) -> Operation[list[list[tuple[str, int, list[bytes | None]]]]]:
    """Of each of *queues* the errors first seen since *first*, and again since *last* (ms).

    Those that came at least *often*, the *most* frequent ones: as :func:`get_errors` gives them.
    """
    told: list[list[tuple[str, int, list[bytes | None]]]] = [[] for _ in queues]
    for start in range(0, len(queues), _PIPELINE):
        some = queues[start : start + _PIPELINE]
        seen = yield [
            Command(
                (
                    *("ZRANGEBYSCORE", keys.qc("sightings"), last, "+inf"),
                    *("WITHSCORES", "LIMIT", 0, _LATELY),
                ),
                _listed,
                tolerant=True,
            )
            for keys in some
        ]
        errors = [
            (start + at, text(id), integer(score) or 0)
            for at, flat in enumerate(seen)
            for id, score in zip(flat[::2], flat[1::2], strict=False)
        ]
        counts = yield from _of_errors(queues, errors, ("count", "first"))
        new: dict[int, list[tuple[int, str, int]]] = {}
        for (at, id, score), (count, began) in zip(errors, counts, strict=True):
            number = integer(count) or 0
            if number >= often and (integer(began) or 0) >= first:
                new.setdefault(at, []).append((-number, id, score))
        wanted = [(at, id, when) for at in new for _, id, when in sorted(new[at])[:most]]
        fields = yield from _of_errors(queues, wanted, ("count", "first", "what"))
        for (at, id, when), values in zip(wanted, fields, strict=True):
            told[at].append((id, when, values))
    return told


def _of_errors(
    queues: Sequence[Keys], errors: Sequence[tuple[int, str, int]], fields: Sequence[str]
) -> Operation[list[list[bytes | None]]]:
    """The *fields* of some errors, each of one of *queues*."""
    found: list[list[bytes | None]] = []
    for start in range(0, len(errors), _PIPELINE):
        some = errors[start : start + _PIPELINE]
        read = yield [
            Command(
                ("HMGET", queues[at].qc("errors"), *(f"{id}:{field}" for field in fields)),
                _listed,
                tolerant=True,
            )
            for at, id, _when in some
        ]
        found += [one or [None] * len(fields) for one in read]
    return found


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
