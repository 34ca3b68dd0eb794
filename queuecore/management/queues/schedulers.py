"""``queues schedulers``: what makes jobs again and again, seen, paused, resumed, run, removed."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from django.core.management.base import CommandError

from queuecore import audit, recorded
from queuecore.errors import did_you_mean
from queuecore.jsontext import covered
from queuecore.queue import Queue
from queuecore.runs import Timing
from queuecore.timetable import Timetable
from queuecore.visible import one_line

from . import shapes
from .places import Place, listed, some
from .places import one as the_queue
from .subcommand import Subcommand, add_json, add_queue, add_queues, add_reason, add_yes, author
from .tables import Cell, Column
from .terminal import Terminal
from .words import NOTHING, duration, local, number, since, until, whole


class ListSchedulers(Subcommand):
    name = "list"
    help = "list schedulers, the next to run first"
    description = (
        "List schedulers, the next to run first and those that are paused last: what each does, "
        "when it runs next, and what became of its last run."
    )
    examples: ClassVar = (
        ("schedulers list", "those of all queues"),
        ("schedulers list emails --json", "of one queue, for scripts"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queues(parser, "a pattern such as 'mail-*'")
        parser.add_argument(
            "--limit", type=whole(1), default=200, metavar="N", help="at most N (default: 200)"
        )
        add_json(parser)

    def run(self, terminal: Terminal, **options: Any) -> None:
        names: dict[str, list[str]] = {}
        for place in listed(some(options["queues"], options["connection"])):
            names.setdefault(place.alias, []).append(place.name)
        found: list[tuple[str, Timing]] = []
        total = 0
        for alias, queues in names.items():
            table = Timetable(alias)
            places = table.places(queues)
            total += len(places)
            wanted = [(one.queue, one.id) for one in places[: options["limit"] - len(found)]]
            found += [(alias, one) for one in table.timings(wanted) if one is not None]
        if options["json"]:
            terminal.json([shapes.scheduler(alias, one) for alias, one in found])
            return
        if not found:
            terminal.say("There are no schedulers.")
            return
        terminal.table(_COLUMNS, [_row(terminal, alias, one) for alias, one in found])
        if total > len(found):
            terminal.warn(f"{number(len(found))} of {number(total)}; --limit shows more")


class _OnOne(Subcommand):
    """What is done to one scheduler, on record."""

    action: ClassVar[str]
    asks: ClassVar[bool] = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queue(parser)
        parser.add_argument("id", metavar="ID", help="the scheduler's id")
        add_reason(parser)
        if self.asks:
            add_yes(parser)

    def run(self, terminal: Terminal, **options: Any) -> None:
        place = the_queue(options["queue"], options["connection"])
        id = options["id"]
        known = [one.id for one in Timetable(place.alias).places([place.name])]
        if id not in known:
            hint = one_line(did_you_mean(id, known))
            raise CommandError(f"there is no scheduler {id!r} of {place.label}{hint}")
        if self.asks:
            question = f"Remove the scheduler {one_line(id)} of {place.label} with its next run."
            terminal.confirm(question, yes=options["yes"])
        with recorded.recorded(
            author(options["reason"]),
            self.action,
            alias=place.alias,
            queue=place.name,
            target=id,
        ) as entry:
            said = self.act(place.queue, id, entry)
        terminal.say(one_line(said))

    def act(self, queue: Queue, id: str, entry: audit.Record) -> str:
        """Do it, and say what was done."""
        raise NotImplementedError


class PauseScheduler(_OnOne):
    name = "pause"
    help = "let a scheduler make no runs"
    description = "Pause a scheduler: it makes no runs until it is resumed; one that runs goes on."
    examples: ClassVar = (("schedulers pause reports nightly", "until it is resumed"),)
    action = "pause_scheduler"

    def act(self, queue: Queue, id: str, entry: audit.Record) -> str:
        if not queue.pause_job_scheduler(id):
            entry.fail("it was gone")
            raise CommandError(f"the scheduler {id!r} is not there any more")
        return f"paused the scheduler {id}"


class ResumeScheduler(_OnOne):
    name = "resume"
    help = "let a paused scheduler go on"
    description = "Resume a scheduler with its next run after now; what was due is not made up for."
    examples: ClassVar = (("schedulers resume reports nightly", "from now on"),)
    action = "resume_scheduler"

    def act(self, queue: Queue, id: str, entry: audit.Record) -> str:
        job = queue.resume_job_scheduler(id)
        entry.result(job=job.id)
        return f"resumed the scheduler {id}; its next run is job {job.id}"


class RunScheduler(_OnOne):
    name = "run"
    help = "add one run of a scheduler now"
    description = "Add one job as the scheduler would, now; the schedule stays as it is."
    examples: ClassVar = (("schedulers run reports nightly", "once, now"),)
    action = "run_scheduler"

    def act(self, queue: Queue, id: str, entry: audit.Record) -> str:
        job = queue.run_job_scheduler(id)
        entry.result(job=job.id)
        return f"job {job.id} of the scheduler {id} waits to run"


class RemoveScheduler(_OnOne):
    name = "remove"
    help = "remove a scheduler with its next run"
    description = (
        "Remove a scheduler with its next run; one that is ready or runs is not touched. What code "
        "defines comes back with the next deploy."
    )
    examples: ClassVar = (("schedulers remove reports nightly", "once you have said yes"),)
    action = "remove_scheduler"
    asks = True

    def act(self, queue: Queue, id: str, entry: audit.Record) -> str:
        if not queue.remove_job_scheduler(id):
            entry.fail("it was gone")
            raise CommandError(f"the scheduler {id!r} is not there any more")
        return f"removed the scheduler {id}"


class Schedulers(Subcommand):
    name = "schedulers"
    help = "list schedulers; pause, resume, run or remove one"
    description = "List the schedulers of all queues, or do something to one."
    examples: ClassVar = (
        ("schedulers", "list all of them"),
        ("schedulers run reports nightly", "add one run now"),
    )
    below = (
        ListSchedulers(),
        PauseScheduler(),
        ResumeScheduler(),
        RunScheduler(),
        RemoveScheduler(),
    )


_COLUMNS = (
    Column("QUEUE", least=10),
    Column("ID", least=10),
    Column("RUNS", least=10),
    Column("NEXT", right=True),
    Column("LAST", right=True, spare=2),
    Column("RESULT", least=10, spare=1),
)
_SHADES: Mapping[str, str] = {"failed": "ERROR", "completed": "SUCCESS"}


def _row(terminal: Terminal, alias: str, timing: Timing) -> list[Cell | str]:
    style, found, last = terminal.style, timing.scheduler, timing.last
    now = datetime.fromtimestamp(timing.now / 1000, UTC)
    if found.every is not None:
        runs = f"every {duration(found.every)}"
    else:
        runs = f"{found.pattern or '?'} {found.tz or ''}".strip()
    if found.paused_at is not None:
        due = Cell(f"paused for {since(found.paused_at, now)}", style.WARNING)
    elif timing.over:
        due = Cell("over")
    elif timing.late:
        due = Cell(f"late: {local(found.next)}", style.ERROR)
    else:
        due = Cell(until(found.next, now))
    began = None if last is None or last.began is None else last.began
    ended = "" if last is None else last.state
    shade = getattr(style, _SHADES[ended]) if ended in _SHADES else None
    return [
        Place(alias, timing.queue).label,
        found.key,
        runs,
        due,
        NOTHING if began is None else duration((timing.now - began) / 1000),
        Cell(f"{ended}: {covered(last.error)}" if last and last.error else ended, shade),
    ]
