"""Cancelling jobs that run: who holds them, what their workers are told, and whether they heard it.

Beside the order lies a note for each run, ``cancel:<job>``, so that everybody sees who asked for
its end and why, for as long as it goes on. A note is about one run: that with its lock's token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import uuid4

from .. import attendance
from ..attendance import Cancellation, FleetProcess, FleetWorker, Holder, Order
from ..codec import dumps
from ..keys import Keys
from . import attending
from .base import NOW, Command, Operation, text

#: How long a note is kept, ms: a function in a thread may go on for hours after it was told.
KEEP_MS = 24 * 3600 * 1000
#: No note is longer than this, in bytes.
_NOTE = 8 * 1024


def cancel(keys: Keys, ids: Sequence[str], reason: str, by: str) -> Operation[list[str]]:
    """Tell the workers of ours that run jobs *ids* to end them; those of which that was said."""
    holders: dict[str, Holder] = yield from get_holders(keys, ids)
    runs: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for id, holder in holders.items():
        if holder.process is not None and holder.worker is not None and holder.reached:
            runs.setdefault((holder.process.id, holder.worker.id), []).append((id, holder.token))
    now = yield NOW
    for (process, worker), some in _chunks(runs):
        order = Order(uuid4().hex, "cancel", (worker,), runs=tuple(some), reason=reason)
        told = {"at": now, "until": now + attending.ORDER_MS, "process": process, "order": order.id}
        yield [
            Command(
                (
                    *("SET", keys.qc(f"cancel:{id}")),
                    dumps({**told, "token": token, "reason": reason, "by": by}),
                    *("PX", KEEP_MS),
                )
            )
            for id, token in some
        ]
        yield from attending.give(keys.prefix, process, order)
    return [id for some in runs.values() for id, _token in some]


def get_holders(keys: Keys, ids: Sequence[str]) -> Operation[dict[str, Holder]]:
    """Who runs each of the jobs *ids*, by their locks."""
    tokens: list[str] = yield [_lock(keys, id) for id in ids]
    if not any(tokens):
        return {id: Holder("", None, None, None) for id in ids}
    homes: dict[str, tuple[FleetProcess, FleetWorker]] = {}
    for process in (yield from attending.get_processes(keys.prefix)):
        homes |= {worker.id: (process, worker) for worker in process.workers}
    found = {}
    for id, token in zip(ids, tokens, strict=True):
        home = homes.get(token.rpartition(":")[0])
        if home is None:
            found[id] = Holder(token, None, None, None)
        else:
            run = next((one for one in home[1].jobs if one.id == id), None)
            found[id] = Holder(token, *home, run)
    return found


def get_cancellations(keys: Keys, ids: Sequence[str]) -> Operation[dict[str, Cancellation]]:
    """What was asked of the runs of *ids*, and what came of it; those that nobody cancelled lack.

    Two commands a job, and one for each process that was told.
    """
    answers: list[Any] = yield [one for id in ids for one in (_lock(keys, id), _get_note(keys, id))]
    pairs = zip(ids, answers[::2], answers[1::2], strict=True)
    notes = [(id, token, note) for id, token, note in pairs if note is not None]
    told: dict[str, FleetProcess | None] = {}
    for _id, _token, note in notes:
        if note.process not in told:
            told[note.process] = yield from attending.get_process(keys.prefix, note.process)
    now = yield NOW
    found = {}
    for id, token, note in notes:
        one = attendance.cancellation(note, told[note.process], id, token, now)
        if one is not None:
            found[id] = one
    return found


def _lock(keys: Keys, id: str) -> Command[str]:
    return Command(("GET", keys.lock(id)), lambda held: text(held or b""), tolerant=True)


def _get_note(keys: Keys, id: str) -> Command[attendance.Note | None]:
    key = keys.qc(f"cancel:{id}")
    return Command(("GETRANGE", key, 0, _NOTE - 1), attendance.note, tolerant=True)


def _chunks(
    runs: dict[tuple[str, str], list[tuple[str, str]]],
) -> Iterator[tuple[tuple[str, str], list[tuple[str, str]]]]:
    most = attendance.MOST_RUNS
    for home, some in runs.items():
        for start in range(0, len(some), most):
            yield home, some[start : start + most]
