"""``queues workers``: who works the queues; paused, resumed, stopped."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.core.management.base import CommandError

from queuecore import recorded
from queuecore.fleet import Fleet, FleetProcess, FleetWorker, Sent
from queuecore.inspect import aliases
from queuecore.visible import one_line

from . import shapes
from .codes import FOUND
from .places import Place, meant
from .subcommand import Subcommand, add_json, add_queues, add_reason, add_yes, author
from .tables import Cell, Column
from .terminal import Terminal
from .words import NOTHING, counted, duration, number, read_duration

_SHORTEST_ID = 4
#: How often workers are asked whether they have heard.
_TICK = 0.25

Member = tuple[FleetProcess, FleetWorker]


class ListWorkers(Subcommand):
    name = "list"
    help = "list the workers of queues"
    description = (
        "List the workers: of each queue and process of QueueCore what it does, of other "
        "libraries' (Node and others) the connection alone."
    )
    examples: ClassVar = (
        ("workers list", "all of them"),
        ("workers list emails --json", "those of one queue, for scripts"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queues(parser, "a pattern such as 'mail-*'")
        add_json(parser)

    def run(self, terminal: Terminal, **options: Any) -> None:
        wanted = meant(options["queues"], options["connection"])
        rows: list[list[Cell | str]] = []
        told = []
        for alias in _aliases(options["connection"]):
            fleet = Fleet(alias)
            for process in fleet.processes():
                for one in process.workers:
                    if wanted(alias, one.queue):
                        told.append(shapes.worker(alias, process, one))
                        rows.append(_row(terminal, alias, process, one))
            for peer in fleet.peers() or ():
                if wanted(alias, peer.queue):
                    told.append(shapes.peer(alias, peer))
                    where = Place(alias, peer.queue).label
                    library = peer.library or "another library"
                    rows.append([NOTHING, where, library, peer.name, "", "", "", "", ""])
        if options["json"]:
            terminal.json(told)
        elif rows:
            terminal.table(_COLUMNS, rows)
        else:
            terminal.say("No worker is connected; manage.py runworker starts one.")


class _Order(Subcommand):
    """What some workers are told, on record."""

    verb: ClassVar[str]
    said: ClassVar[str]
    asks: ClassVar[bool] = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "ids", nargs="*", metavar="ID", help="ids of workers, or their first characters"
        )
        parser.add_argument("--queue", metavar="QUEUE", help="all of this queue: NAME, ALIAS:NAME")
        parser.add_argument("--host", metavar="HOST", help="only those on this host")
        parser.add_argument("--pid", type=int, metavar="PID", help="only those of this process")
        parser.add_argument("--all", action="store_true", help="all workers")
        parser.add_argument(
            "--connection", metavar="ALIAS", help="only those of this connection (default: all)"
        )
        parser.add_argument(
            "--wait",
            type=read_duration,
            default=read_duration("10"),
            metavar="SECONDS",
            help="how long to wait until they have heard (default: 10)",
        )
        add_reason(parser)
        if self.asks:
            add_yes(parser)

    def run(self, terminal: Terminal, **options: Any) -> None:
        found = _chosen(options)
        if not found:
            raise CommandError("no worker is meant; manage.py queues workers list shows them")
        count = counted(sum(map(len, found.values())), "worker")
        if self.asks:
            busy = sum(worker.busy for own in found.values() for _, worker in own)
            terminal.confirm(
                f"{count} will take no further jobs, finish what they run "
                f"({counted(busy, 'job')} now) and end. This cannot be taken back.",
                yes=options["yes"],
            )
        by = author(options["reason"])
        sent = [
            (alias, recorded.order(self.verb, alias, queue, own, by))
            for (alias, queue), own in sorted(found.items())
        ]
        reached = sum(len(one.workers) for _, one in sent)
        heard = _heard(sent, options["wait"].total_seconds())
        if reached:
            end = "they have heard" if heard else "not all have heard yet: ask workers list"
            terminal.say(f"{self.said % counted(reached, 'worker')}; {end}")
        if missing := [one for _, each in sent for one in each.missing]:
            raise CommandError(
                f"{counted(len(missing), 'worker')} not heard of for too long: "
                f"{', '.join(one[:8] for one in missing[:5])}",
                returncode=FOUND,
            )


class PauseWorkers(_Order):
    name = "pause"
    help = "let workers take no further jobs"
    description = (
        "Pause single workers: they take no further jobs until they are resumed, and what they run "
        "goes on. To pause a queue for all of its workers, Node's too, use queues pause."
    )
    examples: ClassVar = (
        ("workers pause 3f2a", "the one whose id begins so"),
        ("workers pause --host web-3", "all on that host"),
    )
    verb, said = "pause", "asked %s to pause"


class ResumeWorkers(_Order):
    name = "resume"
    help = "let paused workers take jobs again"
    description = "Resume workers that were paused."
    examples: ClassVar = (("workers resume --all", "all of them"),)
    verb, said = "resume", "asked %s to go on"


class StopWorkers(_Order):
    name = "stop"
    help = "let workers finish what they run, and end"
    description = (
        "Let workers take no further jobs, finish what they run, however long that takes, and end. "
        "A process whose last worker has ended exits with code 0; whether it is started again is "
        "up to whatever supervises it."
    )
    examples: ClassVar = (
        ("workers stop --queue emails", "all of a queue, once you have said yes"),
        ("workers stop --host web-3 --yes", "all on a host, unasked"),
    )
    verb, said = "drain", "asked %s to finish and end"
    asks = True


class Workers(Subcommand):
    name = "workers"
    help = "list workers; pause, resume or stop some"
    description = "List the workers of all queues, or tell some of them what to do."
    examples: ClassVar = (
        ("workers", "list all of them"),
        ("workers stop --host web-3", "before that machine is taken down"),
    )
    below = (ListWorkers(), PauseWorkers(), ResumeWorkers(), StopWorkers())


def _chosen(options: Mapping[str, Any]) -> dict[tuple[str, str], list[Member]]:
    """The workers that are meant, by connection and queue.

    Raises:
        CommandError: an id means none, or several; or nothing says who is meant.
    """
    ids: Sequence[str] = options["ids"]
    if not (ids or options["queue"] or options["host"] or options["pid"] or options["all"]):
        raise CommandError("say which workers: ids, --queue, --host, --pid or --all")
    wanted = meant([options["queue"]] if options["queue"] else [], options["connection"])
    members = [
        (alias, process, worker)
        for alias in _aliases(options["connection"])
        for process in Fleet(alias).processes()
        for worker in process.workers
        if wanted(alias, worker.queue)
        and options["host"] in (None, process.host)
        and options["pid"] in (None, process.pid)
    ]
    if ids:
        whole = {_whole(one, [worker.id for _, _, worker in members]) for one in ids}
        members = [one for one in members if one[2].id in whole]
    found: dict[tuple[str, str], list[Member]] = {}
    for alias, process, worker in members:
        found.setdefault((alias, worker.queue), []).append((process, worker))
    return found


def _aliases(connection: str | None) -> list[str]:
    return aliases() if connection is None else [connection]


def _whole(text: str, known: Sequence[str]) -> str:
    """The id that begins with *text*."""
    fits = [one for one in known if one.startswith(text)] if len(text) >= _SHORTEST_ID else []
    if len(fits) != 1:
        why = "several" if fits else "no"
        raise CommandError(
            f"{why} worker's id begins with {text!r} (at least {_SHORTEST_ID} characters); "
            "manage.py queues workers list --json shows whole ids"
        )
    return fits[0]


def _heard(sent: Sequence[tuple[str, Sent]], seconds: float) -> bool:
    """Wait until all have carried it out; whether they have."""
    deadline = time.monotonic() + seconds
    while not all(Fleet(alias).confirmed(one) for alias, one in sent):
        if time.monotonic() >= deadline:
            return False
        time.sleep(_TICK)
    return True


_COLUMNS = (
    Column("ID"),
    Column("QUEUE", least=10),
    Column("HOST", least=8, spare=1),
    Column("PID OR NAME", least=6),
    Column("STATE"),
    Column("RUNS", right=True),
    Column("DONE/MIN", right=True, spare=3),
    Column("FAILED/MIN", right=True, spare=4),
    Column("SEEN", right=True, spare=2),
)


def _row(
    terminal: Terminal, alias: str, process: FleetProcess, one: FleetWorker
) -> list[Cell | str]:
    style = terminal.style
    if process.health == "ok":
        state = Cell(one.state, None if one.state == "running" else style.WARNING)
    else:
        state = Cell(process.health, style.ERROR if process.health == "lost" else style.WARNING)
    failed = one.failed_per_minute
    return [
        one_line(one.id[:8]),
        Place(alias, one.queue).label,
        process.host,
        str(process.pid),
        state,
        f"{one.busy}/{one.concurrency}",
        number(one.done_per_minute),
        Cell(number(failed), style.ERROR if failed else None),
        duration(process.age_s),
    ]
