"""``queues retry``: failed jobs run again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, ClassVar

from queuecore import recorded

from . import ids
from .bulk import Order, add_bulk, carry_out
from .filters import add_filter, filter_of
from .places import one as the_queue
from .subcommand import Subcommand, add_queue
from .terminal import Terminal


class Retry(Subcommand):
    name = "retry"
    help = "let failed jobs run again: by id, by a filter, or all"
    description = (
        "Let finished jobs run again, the oldest first. Jobs that fail after the count are not "
        "touched. Ctrl-C aborts it after the present step and says how far it came."
    )
    examples: ClassVar = (
        ("retry emails", "all that failed"),
        ("retry emails 4711 4712", "these two"),
        ("retry emails --error timeout --dry-run", "count those that timed out"),
        ("retry emails --name 'send-*' --older-than 1h --limit 500 --rate 50", "gently"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queue(parser)
        parser.add_argument("ids", nargs="*", metavar="ID", help="these jobs alone")
        add_filter(parser, ("failed", "completed"), "failed")
        parser.add_argument(
            "--keep-attempts",
            action="store_true",
            help="count the tries that were made on, so that each runs once more",
        )
        add_bulk(parser, asks=False)

    def run(self, terminal: Terminal, **options: Any) -> None:
        place = the_queue(options["queue"], options["connection"])
        if options["ids"]:
            ids.check(options)
            how = recorded.keeping if options["keep_attempts"] else recorded.again
            ids.act(terminal, place, "retry", "retried", options, how)
            return
        params = {"reset": not options["keep_attempts"]}
        carry_out(terminal, Order(place, "retry", filter_of(options), params), options)
