"""``queues remove``: jobs are deleted, by id or by a filter."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.core.management.base import CommandError

from queuecore.inspect import STATES
from queuecore.job import Job

from . import ids
from .bulk import Order, add_bulk, carry_out
from .filters import add_filter, filter_of
from .places import one as the_queue
from .subcommand import Subcommand, add_queue
from .terminal import Terminal
from .words import counted


class Remove(Subcommand):
    name = "remove"
    help = "delete jobs with their children: by id, or by state and filter"
    description = (
        "Delete jobs for good, with their data, results, logs and children. A job that runs is "
        "left alone. To delete old jobs without their children, use clean."
    )
    examples: ClassVar = (
        ("remove emails 4711", "this one, once you have said yes"),
        ("remove emails --state delayed --name digest --yes", "all delayed digests, unasked"),
        ("remove emails --state failed --error 'no such user' --dry-run", "count them"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queue(parser)
        parser.add_argument("ids", nargs="*", metavar="ID", help="these jobs alone")
        add_filter(parser, STATES, None)
        parser.add_argument(
            "--keep-children", action="store_true", help="leave the jobs that they wait for"
        )
        add_bulk(parser, asks=True)

    def run(self, terminal: Terminal, **options: Any) -> None:
        place = the_queue(options["queue"], options["connection"])
        children = not options["keep_children"]
        if options["ids"]:
            ids.check(options)
            what = counted(len(options["ids"]), "job")
            if not options["dry_run"]:
                terminal.confirm(f"Delete {what} of {place.label} for good.", yes=options["yes"])

            def act(job: Job) -> None:
                job.remove(remove_children=children)

            ids.act(terminal, place, "remove", "removed", options, act)
            return
        if options["state"] is None:
            raise CommandError("say which jobs: ids, or --state with one of " + ", ".join(STATES))
        question = f"Delete %(jobs)s of {_escaped(place.label)} for good."
        order = Order(place, "remove", filter_of(options), {"children": children}, question)
        carry_out(terminal, order, options)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
