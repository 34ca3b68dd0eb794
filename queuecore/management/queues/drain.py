"""``queues drain``: everything that waits is deleted."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, ClassVar

from queuecore.matching import Filter

from .bulk import Order, add_bulk, carry_out
from .places import one as the_queue
from .subcommand import Subcommand, add_queue
from .terminal import Terminal


class Drain(Subcommand):
    name = "drain"
    help = "delete everything that waits"
    description = (
        "Delete all jobs that wait, prioritized and grouped ones among them, for good. What runs "
        "goes on; finished jobs stay, the next runs of schedulers and what is added meanwhile too."
    )
    examples: ClassVar = (
        ("drain emails", "once you have said yes"),
        ("drain emails --delayed --yes", "delayed jobs too, unasked"),
        ("drain emails --dry-run", "count"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queue(parser)
        parser.add_argument("--delayed", action="store_true", help="delete delayed jobs, too")
        add_bulk(parser, asks=True, limit=False)

    def run(self, terminal: Terminal, **options: Any) -> None:
        place = the_queue(options["queue"], options["connection"])
        question = f"Delete everything that waits in {place.label.replace('%', '%%')}: %(jobs)s."
        params = {"delayed": options["delayed"]}
        carry_out(terminal, Order(place, "drain", Filter("waiting"), params, question), options)
