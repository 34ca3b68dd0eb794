"""Bounds: what a probe says a queue may be at most; ``list`` and ``show`` end with 1 over them."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError

from queuecore.inspect import QueueSnapshot

from .codes import FOUND
from .words import counted, duration, number, read_duration, whole


def add_bounds(parser: ArgumentParser) -> None:
    """The options of a probe."""
    group = parser.add_argument_group("for probes")
    group.add_argument(
        "--max-waiting",
        type=whole(),
        metavar="N",
        help="exit with 1 if more than N jobs of a queue wait, prioritized ones among them",
    )
    group.add_argument(
        "--max-age",
        type=read_duration,
        metavar="DURATION",
        help="exit with 1 if the oldest job that waits was added longer ago, such as 90s, 15m, 2h",
    )
    group.add_argument(
        "--max-failed",
        type=whole(),
        metavar="N",
        help="exit with 1 if a queue keeps more than N failed jobs",
    )
    group.add_argument(
        "--min-workers",
        type=whole(),
        metavar="N",
        help="exit with 1 if fewer than N workers take its jobs",
    )
    group.add_argument("--not-paused", action="store_true", help="exit with 1 if a queue is paused")


def over(
    snapshot: QueueSnapshot, workers: int | None, options: Mapping[str, Any]
) -> tuple[str, ...]:
    """Which bounds a queue is over, in words; none of them where none was given."""
    said = []
    most, age, failed = (options.get(one) for one in ("max_waiting", "max_age", "max_failed"))
    if most is not None and snapshot.waiting > most:
        said.append(f"{counted(snapshot.waiting, 'job')} waiting (at most {number(most)})")
    if age is not None and snapshot.oldest_wait is not None:
        old = (snapshot.at - snapshot.oldest_wait).total_seconds()
        if old > age.total_seconds():
            bound = duration(age.total_seconds())
            said.append(f"the oldest waits for {duration(old)} (at most {bound})")
    if failed is not None and (lost := snapshot.counts["failed"]) > failed:
        said.append(f"{counted(lost, 'failed job')} (at most {number(failed)})")
    least = options.get("min_workers")
    if least is not None and (workers is None or workers < least):
        # A server that does not tell who is there cannot vouch for anybody.
        said.append(
            "the server does not tell of workers"
            if workers is None
            else f"{counted(workers, 'worker')} (at least {number(least)})"
        )
    if options.get("not_paused") and snapshot.paused:
        said.append("paused")
    return tuple(said)


def judge(found: Mapping[str, tuple[str, ...]]) -> None:
    """End with 1 if a queue, by its label, is over a bound.

    Raises:
        CommandError: which one, and what of it.
    """
    wrong = [f"{label}: {', '.join(said)}" for label, said in found.items() if said]
    if wrong:
        raise CommandError("; ".join(wrong), returncode=FOUND)
