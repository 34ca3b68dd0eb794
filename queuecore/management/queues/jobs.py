"""``queues jobs``: the jobs of a queue that are in one state, or what of them fits a filter."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from queuecore import matching
from queuecore.inspect import STATES, Inspector, JobRow
from queuecore.jsontext import covered, masked

from . import shapes
from .filters import add_filter, filter_of
from .places import Place
from .places import one as the_queue
from .subcommand import Subcommand, add_json, add_queue
from .tables import Cell, Column
from .terminal import Terminal
from .words import NOTHING, duration, number, since, until, whole

#: How long jobs are looked for; the rest is said to be left.
SECONDS = 10.0
_ROWS = 200


class Jobs(Subcommand):
    name = "jobs"
    help = "list the jobs of a queue in one state"
    description = (
        "List jobs of a queue: next to run first, finished ones the newest first. A filter has the "
        'words of the dashboard\'s: name:send-* id:7 error:"timed out" attempts>2 priority:1..5 '
        "age>1h ended<30m; all of them must hold."
    )
    examples: ClassVar = (
        ("jobs emails --state failed --limit 20", "the last 20 that failed"),
        ("jobs emails --state failed --error timeout", "those that failed with a timeout"),
        ("jobs emails --filter 'attempts>2 age>1h'", "waiting ones, by a filter"),
        ("jobs emails --state delayed --json", "for scripts"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queue(parser)
        add_filter(parser, STATES, "waiting")
        parser.add_argument(
            "--limit",
            type=whole(1),
            default=50,
            metavar="N",
            help="list at most N jobs (default: 50)",
        )
        parser.add_argument(
            "--offset",
            type=whole(),
            default=0,
            metavar="N",
            help="leave out the first N of the state (default: 0)",
        )
        add_json(parser)

    def run(self, terminal: Terminal, **options: Any) -> None:
        place = the_queue(options["queue"], options["connection"])
        filter = filter_of(options)
        inspector = Inspector(place.alias)
        snapshot = inspector.snapshots([place.name])[place.name]
        total = snapshot.counts[filter.state]
        rows, more = _found(inspector, place, filter, options["offset"], options["limit"])
        if options["json"]:
            terminal.json(
                {
                    "connection": place.alias,
                    "queue": place.name,
                    "state": filter.state,
                    "filter": str(filter),
                    "total": total,
                    "offset": options["offset"],
                    "more": more,
                    "jobs": [shapes.job(row) for row in rows],
                }
            )
            return
        if rows:
            columns, cells = _COLUMNS[filter.state]
            terminal.table(
                (*_FIRST, *columns),
                [[row.id, row.name, *cells(terminal, row, snapshot.at)] for row in rows],
            )
        kind = f"{filter.state} job{'' if total == 1 else 's'}"
        end = "; there are more" if more else ""
        terminal.warn(f"{number(len(rows))} of {number(total)} {kind}{end}")


def _found(
    inspector: Inspector, place: Place, filter: matching.Filter, offset: int, limit: int
) -> tuple[list[JobRow], bool]:
    """Up to *limit* jobs that fit, and whether there may be more."""
    queue = place.queue
    ids: list[str] = []
    cursor = matching.cursor_at(queue, filter.state, offset) if offset else ""
    if offset and not cursor:
        return [], False
    while True:
        found = matching.match(queue, filter, cursor, limit - len(ids), seconds=SECONDS)
        ids += found.ids
        cursor = found.cursor
        if not cursor or len(ids) >= limit or not found.ids:
            break
    rows: list[JobRow] = []
    for start in range(0, len(ids), _ROWS):
        some = inspector.rows(place.name, ids[start : start + _ROWS])
        rows += [row for row in some if row is not None]
    return rows, bool(cursor)


_Cells = Callable[[Terminal, JobRow, datetime], list[Cell | str]]
_FIRST = (Column("ID", least=10), Column("NAME", least=10))


def _waiting(terminal: Terminal, row: JobRow, now: datetime) -> list[Cell | str]:
    priority = number(row.priority) if row.priority else ""
    return [since(row.timestamp, now), priority, _attempts(row), _data(row)]


def _active(terminal: Terminal, row: JobRow, now: datetime) -> list[Cell | str]:
    progress = "" if row.progress in ("0", '""', "{}") else row.progress
    return [since(row.processed_on, now), _attempts(row), progress, row.processed_by]


def _delayed(terminal: Terminal, row: JobRow, now: datetime) -> list[Cell | str]:
    return [until(row.due, now), _attempts(row), row.scheduler_id or _data(row)]


def _children(terminal: Terminal, row: JobRow, now: datetime) -> list[Cell | str]:
    return [since(row.timestamp, now), row.group, _data(row)]


def _completed(terminal: Terminal, row: JobRow, now: datetime) -> list[Cell | str]:
    return [since(row.finished_on, now), _took(row), _attempts(row), _data(row)]


def _failed(terminal: Terminal, row: JobRow, now: datetime) -> list[Cell | str]:
    error = Cell(covered(row.failed_reason), terminal.style.ERROR)
    return [since(row.finished_on, now), _took(row), _attempts(row), error]


def _data(row: JobRow) -> str:
    return masked(row.data_preview)


def _attempts(row: JobRow) -> str:
    return f"{row.attempts_made}/{row.max_attempts or 1}"


def _took(row: JobRow) -> str:
    if row.processed_on is None or row.finished_on is None:
        return NOTHING
    return duration((row.finished_on - row.processed_on).total_seconds())


_TRIES = Column("TRIES", right=True, spare=1)
_DATA = Column("DATA", least=10, spare=2)
_ENDED = (Column("ENDED", right=True), Column("TOOK", right=True, spare=3), _TRIES)
_WAITING = (
    Column("AGE", right=True),
    Column("PRIORITY", right=True, spare=3),
    _TRIES,
    _DATA,
)
_COLUMNS: dict[str, tuple[tuple[Column, ...], _Cells]] = {
    "waiting": (_WAITING, _waiting),
    "prioritized": (_WAITING, _waiting),
    "active": (
        (
            Column("RUNS", right=True),
            _TRIES,
            Column("PROGRESS", least=10, spare=2),
            Column("WORKER", least=10, spare=3),
        ),
        _active,
    ),
    "delayed": (
        (Column("DUE", right=True), _TRIES, Column("SCHEDULER OR DATA", least=10)),
        _delayed,
    ),
    "waiting-children": ((Column("AGE", right=True), Column("GROUP", least=8), _DATA), _children),
    "completed": ((*_ENDED, _DATA), _completed),
    "failed": ((*_ENDED, Column("ERROR", least=20)), _failed),
}
