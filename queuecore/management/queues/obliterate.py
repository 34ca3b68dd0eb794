"""``queues obliterate``: a queue is deleted with everything in it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, ClassVar

from django.core.management.base import CommandError

from queuecore.inspect import Inspector
from queuecore.matching import Filter

from .bulk import Order, add_bulk, carry_out
from .places import one as the_queue
from .subcommand import Subcommand, add_queue
from .terminal import Terminal
from .words import counted


class Obliterate(Subcommand):
    name = "obliterate"
    help = "delete a queue with everything in it"
    description = (
        "Pause a queue and delete it for good, with every job, whatever its state, its schedulers, "
        "metrics and limits. It asks for the queue's name to be typed."
    )
    examples: ClassVar = (
        ("obliterate old-imports", "once you have typed its name"),
        ("obliterate old-imports --yes --force", "unasked, and though jobs run"),
        ("obliterate old-imports --dry-run", "count"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queue(parser)
        parser.add_argument(
            "--force", action="store_true", help="also while jobs run; they go under their workers"
        )
        add_bulk(parser, asks=True, limit=False)

    def run(self, terminal: Terminal, **options: Any) -> None:
        place = the_queue(options["queue"], options["connection"])
        active = Inspector(place.alias).snapshots([place.name])[place.name].counts["active"]
        if active and not options["force"] and not options["dry_run"]:
            raise CommandError(
                f"{counted(active, 'job')} of {place.label} run: pause it and wait, or add --force"
            )
        question = f"Delete {place.label.replace('%', '%%')} with everything in it: %(jobs)s."
        params = {"force": options["force"]}
        order = Order(place, "obliterate", Filter("waiting"), params, question, place.name)
        carry_out(terminal, order, options)
