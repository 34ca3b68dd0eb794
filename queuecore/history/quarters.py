"""Quarters of an hour, made from the minutes that are written down.

They are made from nothing else, so any process makes the same ones: the one that collects now those
that the one before it did not come to, for as long as the minutes are kept.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

from .record import QUARTER, Figures, Record

# Every so many records name all queues.
FULL = 16


def next_quarter(
    minutes: deque[Record], most: int, before: Mapping[str, Figures], whole: bool, last: int
) -> Record | None:
    """The oldest quarter after *last* that is over and of which there are minutes.

    *before* are the figures before the first of the *minutes*, of all queues if *whole*. Of *most*
    minutes the first may have been the second of its quarter: what began before them is left out.
    """
    if not minutes or minutes[-1].at // QUARTER * QUARTER <= last:
        return None
    after = last
    if len(minutes) >= most:
        after = max(after, _end(minutes[0].at - minutes[0].seconds))
    first = 0
    for record in reversed(minutes):
        if record.at <= after:
            break
        first = record.at
    end = _end(first)
    if not first or end > minutes[-1].at:
        return None
    begin, run = end - QUARTER, []
    for record in reversed(minutes):
        if record.at <= end:
            run.append(record)
            if record.full and record.at <= begin:
                break
    else:
        return _sum(run, end, dict(before), whole, last)
    return _sum(run, end, {}, True, last)


def _sum(
    newest_first: list[Record], end: int, held: dict[str, Figures], whole: bool, last: int
) -> Record:
    begin = end - QUARTER
    started: dict[str, Figures] = {}
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for record in reversed(newest_first):
        if record.full:
            held, whole = {}, True
        held |= record.queues
        if record.at <= begin:
            started = dict(held)
            continue
        for name, one in record.queues.items():
            if one.done or one.lost:
                sums[name][0] += one.done
                sums[name][1] += one.lost
    # A queue that is gone by now still has done what it did.
    figures = {
        name: Figures(*held.get(name, Figures())[:4], *sums.get(name, (0, 0)))
        for name in [*held, *(name for name in sums if name not in held)]
    }
    known = started.keys() == figures.keys() and last == begin
    if known and whole and end // QUARTER % FULL:
        changed = {n: one for n, one in figures.items() if one != Figures(*started[n][:4])}
        return Record(end, QUARTER, False, changed)
    return Record(end, QUARTER, whole, figures)


def _end(at: int) -> int:
    """When the quarter ended in which the second before *at* lies."""
    return -(-at // QUARTER) * QUARTER
