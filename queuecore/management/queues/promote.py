"""``queues promote``: delayed jobs run now."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, ClassVar

from . import ids
from .bulk import Order, add_bulk, carry_out
from .filters import add_filter, filter_of
from .places import one as the_queue
from .subcommand import Subcommand, add_queue
from .terminal import Terminal


class Promote(Subcommand):
    name = "promote"
    help = "let delayed jobs run now: by id, by a filter, or all"
    description = "Let delayed jobs run as soon as a worker is free, those due first at first."
    examples: ClassVar = (
        ("promote emails", "all that are delayed"),
        ("promote emails 4711", "this one"),
        ("promote emails --name digest --dry-run", "count the digests"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queue(parser)
        parser.add_argument("ids", nargs="*", metavar="ID", help="these jobs alone")
        add_filter(parser, ("delayed",), "delayed")
        add_bulk(parser, asks=False)

    def run(self, terminal: Terminal, **options: Any) -> None:
        place = the_queue(options["queue"], options["connection"])
        if options["ids"]:
            ids.check(options)
            ids.act(terminal, place, "promote", "promoted", options)
            return
        carry_out(terminal, Order(place, "promote", filter_of(options)), options)
