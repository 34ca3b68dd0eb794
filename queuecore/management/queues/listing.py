"""``queues list``: the queues with their numbers, once or again and again."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.core.management.base import CommandError

from . import bounds, shapes
from .codes import AWAY
from .counts import Counts, Look, Seen
from .places import some
from .subcommand import Subcommand, add_json, add_queues
from .tables import Cell, Column, cut
from .terminal import Terminal
from .words import number, read_duration, since

_COLUMNS = (
    Column("QUEUE", least=16),
    Column("WAITING", right=True),
    Column("ACTIVE", right=True),
    Column("DELAYED", right=True, spare=2),
    Column("FAILED", right=True),
    Column("COMPLETED", right=True, spare=3),
    Column("CHILDREN", right=True, spare=5),
    Column("OLDEST", right=True),
    Column("WORKERS", right=True, spare=1),
    Column("STATE", least=8),
)
_RATES = (Column("DONE/S", right=True, spare=4), Column("LOST/S", right=True, spare=4))
_SORTS: Mapping[str, Callable[[Seen], Any]] = {
    "name": lambda one: (one.snapshot.alias != "default", one.snapshot.alias, one.snapshot.name),
    "waiting": lambda one: -one.snapshot.waiting,
    "active": lambda one: -one.snapshot.counts["active"],
    "delayed": lambda one: -one.snapshot.counts["delayed"],
    "failed": lambda one: -one.snapshot.counts["failed"],
    "oldest": lambda one: one.snapshot.oldest_wait or one.snapshot.at,
}


class List(Subcommand):
    name = "list"
    help = "list the queues with their numbers"
    description = (
        "List the queues of every connection, whoever made them: how many jobs wait, run, failed, "
        "how old the oldest is that waits, how many workers there are.\n"
        "With bounds it is a probe: exit code 1 and a line on stderr if a queue is over one."
    )
    examples: ClassVar = (
        ("list", "all queues"),
        ("list 'mail*' --sort waiting", "those whose names begin so, the fullest first"),
        ("list --watch 2", "again every two seconds, until Ctrl-C"),
        ("list --json", "for scripts"),
        ("list --max-age 15m --min-workers 1", "for a probe"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queues(parser, "a pattern such as 'mail-*'")
        parser.add_argument(
            "--sort",
            choices=_SORTS,
            default="name",
            metavar="ORDER",
            help=f"which come first: {', '.join(_SORTS)} (default: name)",
        )
        parser.add_argument(
            "--watch",
            nargs="?",
            type=read_duration,
            const=read_duration("2"),
            metavar="SECONDS",
            help="look again every so many seconds (default: 2), until Ctrl-C",
        )
        add_json(parser)
        bounds.add_bounds(parser)

    def run(self, terminal: Terminal, **options: Any) -> None:
        counts = Counts(some(options["queues"], options["connection"]))
        if options["watch"] is not None:
            if options["json"]:
                raise CommandError("--watch is for people: a script calls list --json again")
            _watch(terminal, counts, options)
            return
        look = counts.look()
        seen = sorted(look.queues, key=_SORTS[options["sort"]])
        judged = {one.place.label: bounds.over(one.snapshot, one.workers, options) for one in seen}
        if options["json"]:
            terminal.json(
                [shapes.queue(one.snapshot, one.workers, judged[one.place.label]) for one in seen]
            )
        elif seen:
            terminal.table(_COLUMNS, [_row(terminal, one) for one in seen])
        elif not look.away:
            terminal.say("There are no queues yet: the first job of one makes it.")
        if look.away:
            raise CommandError("; ".join(map(str, look.away.values())), returncode=AWAY)
        bounds.judge(judged)


def _watch(terminal: Terminal, counts: Counts, options: Mapping[str, Any]) -> None:
    """Look again and again; an outage is said and waited out."""
    pause = max(options["watch"].total_seconds(), 0.2)
    rates = _Rates()
    try:
        while True:
            look = counts.look()
            seen = sorted(look.queues, key=_SORTS[options["sort"]])
            rows = [[*_row(terminal, one), *rates.of(one)] for one in seen]
            _draw(terminal, look, rows, pause)
            time.sleep(pause)
    except KeyboardInterrupt:
        terminal.say()


def _draw(terminal: Terminal, look: Look, rows: list[list[Cell | str]], pause: float) -> None:
    tty = terminal.width is not None
    room = terminal.height - 3 - len(look.away) if tty else len(rows)
    if tty:
        terminal.out.write("\x1b[H\x1b[2J", ending="")
    # STATE stands last, behind the rates.
    columns = (*_COLUMNS[:-1], *_RATES, _COLUMNS[-1])
    ordered = [[*row[: len(_COLUMNS) - 1], *row[len(_COLUMNS) :], row[len(_COLUMNS) - 1]]
               for row in rows]  # fmt: skip
    terminal.table(columns, ordered[: max(room, 1)])
    if len(rows) > max(room, 1):
        terminal.say(f"… and {number(len(rows) - max(room, 1))} more: make the terminal higher")
    for error in look.away.values():
        terminal.say(terminal.style.ERROR(cut(str(error), terminal.width or 10_000)))
    at = f"{datetime.now().astimezone():%H:%M:%S}"
    terminal.say(f"{at}, every {pause:g} s, Ctrl-C ends it" if tty else at)


class _Rates:
    """Jobs a second since the look before, where a queue's workers keep metrics."""

    def __init__(self) -> None:
        self._before: dict[Any, tuple[datetime, int | None, int | None]] = {}

    def of(self, one: Seen) -> list[Cell | str]:
        now = (one.snapshot.at, one.snapshot.completed_total, one.snapshot.failed_total)
        before = self._before.get(one.place)
        self._before[one.place] = now
        if before is None or (passed := (now[0] - before[0]).total_seconds()) <= 0:
            return ["", ""]
        return [
            "" if new is None or old is None else f"{max(new - old, 0) / passed:,.1f}"
            for new, old in zip(now[1:], before[1:], strict=True)
        ]


def _row(terminal: Terminal, one: Seen) -> list[Cell | str]:
    snapshot, style = one.snapshot, terminal.style
    counts = snapshot.counts
    idle = one.workers == 0 and snapshot.waiting > 0
    return [
        one.place.label,
        number(snapshot.waiting),
        number(counts["active"]),
        number(counts["delayed"]),
        Cell(number(counts["failed"]), style.ERROR if counts["failed"] else None),
        number(counts["completed"]),
        number(counts["waiting-children"]),
        since(snapshot.oldest_wait, snapshot.at) if snapshot.waiting else "",
        Cell(number(one.workers), style.ERROR if idle else None),
        _state(terminal, snapshot),
    ]


def _state(terminal: Terminal, snapshot: Any) -> Cell:
    if snapshot.paused:
        reason = snapshot.pause.reason if snapshot.pause else ""
        return Cell(f"paused: {reason}" if reason else "paused", terminal.style.WARNING)
    if snapshot.limiter_ttl_ms:
        return Cell("limited", terminal.style.WARNING)
    return Cell("")


__all__: Sequence[str] = ["List"]
