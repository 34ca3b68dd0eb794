"""Who works now, and what they are told: the records and the orders of worker processes.

All keys are ours. ``workers`` is a sorted set of process ids by their last heartbeat (ms);
``worker:<process>`` is what a process says of itself, with a time to live, ``...:recent`` its last
minutes, and ``...:orders`` a list that is read with each heartbeat and expires by itself.
``fleets`` and ``fleet:<id>`` are the same of supervisors, which hear no orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import attendance
from ..attendance import FleetMinute, FleetProcess, FleetSupervisor, Order
from ..keys import connection_key
from ..readings import integer
from .base import NOW, Call, Command, Operation

#: How long a process that has fallen silent is still listed.
KEEP_MS = 15 * 60 * 1000
#: An order that was not carried out by then is void; its list goes some time later.
ORDER_MS, ORDERS_KEEP_MS = 30_000, 60_000
#: The most processes that are read, orders of one process, and bytes of a record.
MOST_PROCESSES, MOST_ORDERS = 1_000, 50
RECORD_BYTES, RECENT_BYTES = 256 * 1024, 256 * 1024
MOST_FLEETS, FLEET_BYTES = 200, 64 * 1024
_PIPELINE = 250


@dataclass(frozen=True, slots=True)
class Beat:
    """What came of a heartbeat: whether all of it was written, and the orders that were found."""

    written: bool
    orders: list[Order]


def beat(
    prefix: str, process: str, record: bytes, now: int, recent: bytes | None = None
) -> Call[Beat]:
    """Say that *process* lives, and hear what it is to do.

    With *recent*, once a minute, its last minutes are written as well, and the records' index is
    rid of those that have been silent for too long.
    """
    own = connection_key(prefix, f"worker:{process}")
    return Call(
        "beat",
        (connection_key(prefix, "workers"), own, f"{own}:recent", f"{own}:orders"),
        (process, now, KEEP_MS, MOST_ORDERS, record, recent or b""),
        _beat,
        repeatable=True,
    )


def leave(prefix: str, process: str) -> Operation[None]:
    """Take every trace of *process* away: it has ended."""
    own = connection_key(prefix, f"worker:{process}")
    yield [
        Command(("ZREM", connection_key(prefix, "workers"), process), tolerant=True),
        Command(("DEL", own, f"{own}:recent", f"{own}:orders"), tolerant=True),
    ]


def get_processes(prefix: str) -> Operation[list[FleetProcess]]:
    """The processes that have been heard of lately, those heard last first."""
    now = yield NOW
    index = connection_key(prefix, "workers")
    beats: list[tuple[str, int]] = yield Command(
        (
            *("ZREVRANGEBYSCORE", index, "+inf", now - KEEP_MS, "WITHSCORES"),
            *("LIMIT", 0, MOST_PROCESSES),
        ),
        attendance.heartbeats,
        tolerant=True,
    )
    found = []
    for start in range(0, len(beats), _PIPELINE):
        some = beats[start : start + _PIPELINE]
        records = yield [_record(prefix, process, "", RECORD_BYTES) for process, _ in some]
        for (process, at), record in zip(some, records, strict=True):
            if (one := attendance.process(process, min(at, now), now, record)) is not None:
                found.append(one)
    return found


def get_process(prefix: str, process: str) -> Operation[FleetProcess | None]:
    """One process, as it has described itself last; None if it has ended."""
    now = yield NOW
    beat: int | None
    beat, record = yield [
        Command(("ZSCORE", connection_key(prefix, "workers"), process), integer, tolerant=True),
        _record(prefix, process, "", RECORD_BYTES),
    ]
    return None if beat is None else attendance.process(process, min(beat, now), now, record)


def get_recent(prefix: str, process: str, worker: str) -> Operation[list[FleetMinute]]:
    """The last minutes of one worker of *process*, the oldest first."""
    record = yield _record(prefix, process, ":recent", RECENT_BYTES)
    return attendance.minutes(worker, record)


def beat_fleet(prefix: str, fleet: str, record: bytes, now: int) -> Operation[None]:
    """Say that the supervisor of *fleet* lives."""
    index = connection_key(prefix, "fleets")
    yield [
        Command(("SET", _fleet(prefix, fleet), record, "PX", KEEP_MS), tolerant=True),
        Command(("ZADD", index, now, fleet), tolerant=True),
        Command(("ZREMRANGEBYSCORE", index, "-inf", now - KEEP_MS), tolerant=True),
        Command(("PEXPIRE", index, 2 * KEEP_MS), tolerant=True),
    ]


def leave_fleet(prefix: str, fleet: str) -> Operation[None]:
    """Take every trace of a supervisor away: it has ended."""
    yield [
        Command(("ZREM", connection_key(prefix, "fleets"), fleet), tolerant=True),
        Command(("DEL", _fleet(prefix, fleet)), tolerant=True),
    ]


def get_fleets(prefix: str) -> Operation[list[FleetSupervisor]]:
    """The supervisors that have been heard of lately, those heard last first."""
    now = yield NOW
    beats: list[tuple[str, int]] = yield Command(
        (
            *("ZREVRANGEBYSCORE", connection_key(prefix, "fleets"), "+inf", now - KEEP_MS),
            *("WITHSCORES", "LIMIT", 0, MOST_FLEETS),
        ),
        attendance.heartbeats,
        tolerant=True,
    )
    if not beats:
        return []
    records = yield [
        Command(
            ("GETRANGE", _fleet(prefix, id), 0, FLEET_BYTES - 1),
            lambda answer: answer or b"",
            tolerant=True,
        )
        for id, _at in beats
    ]
    found = [
        attendance.supervisor(id, min(at, now), now, record)
        for (id, at), record in zip(beats, records, strict=True)
    ]
    return [one for one in found if one is not None]


def _fleet(prefix: str, id: str) -> str:
    return connection_key(prefix, f"fleet:{id}")


def give(prefix: str, process: str, order: Order) -> Operation[None]:
    """Tell *process* to do *order*; carried out once, however often it arrives, or not at all."""
    now = yield NOW
    key = connection_key(prefix, f"worker:{process}:orders")
    order = replace(order, until=now + ORDER_MS)
    yield [
        Command(("RPUSH", key, attendance.encoded(order))),
        Command(("LTRIM", key, -MOST_ORDERS, -1)),
        Command(("PEXPIRE", key, ORDERS_KEEP_MS)),
    ]


def _record(prefix: str, process: str, suffix: str, most: int) -> Command[bytes]:
    # GETRANGE: whatever lies there, no more than this comes over.
    key = connection_key(prefix, f"worker:{process}{suffix}")
    return Command(("GETRANGE", key, 0, most - 1), lambda answer: answer or b"", tolerant=True)


def _beat(answer: Any) -> Beat:
    written, orders = answer
    return Beat(written == 1, attendance.orders(orders))


def known(ids: Sequence[object]) -> list[str]:
    """Those of *ids* that can be a worker's or a process's, each once."""
    return list(dict.fromkeys(one for one in ids if isinstance(one, str) and attendance.is_id(one)))
