"""``queues clean``: old jobs of one state are deleted."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, ClassVar

from queuecore.operations import ACTIONS

from .bulk import Order, add_bulk, carry_out
from .filters import add_filter, filter_of
from .places import one as the_queue
from .subcommand import Subcommand, add_queue
from .terminal import Terminal

STATES = ACTIONS["clean"].states


class Clean(Subcommand):
    name = "clean"
    help = "delete old jobs of one state"
    description = (
        "Delete jobs of one state for good, the oldest first. Of active ones only those go whose "
        "worker is gone. Jobs that arrive or end after the count are not touched. "
        "For a task of every day, set remove_on_complete and remove_on_fail instead."
    )
    examples: ClassVar = (
        ("clean emails --older-than 7d", "what completed more than a week ago"),
        ("clean emails --state failed --older-than 30d --yes", "unasked, from a cron job"),
        ("clean emails --limit 10000 --dry-run", "count"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_queue(parser)
        add_filter(parser, STATES, "completed")
        add_bulk(parser, asks=True)

    def run(self, terminal: Terminal, **options: Any) -> None:
        place = the_queue(options["queue"], options["connection"])
        question = f"Delete %(jobs)s of {place.label.replace('%', '%%')} for good."
        carry_out(terminal, Order(place, "clean", filter_of(options), {}, question), options)
