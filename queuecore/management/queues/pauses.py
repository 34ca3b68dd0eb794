"""``queues pause`` and ``queues resume``."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any, ClassVar

from django.core.management.base import CommandError
from django.utils import timezone

from queuecore import recorded
from queuecore.errors import QueueCoreError, ServerUnavailable

from .places import Place, listed, some
from .subcommand import Subcommand, add_connection, add_reason, author
from .terminal import Terminal
from .words import duration, read_duration


class Pause(Subcommand):
    name = "pause"
    help = "let workers take no further jobs of queues"
    description = (
        "Pause queues: workers take no further jobs of them, Node's neither; what runs goes on, "
        "and adds are accepted and wait. The reason is shown wherever the queue is."
    )
    examples: ClassVar = (
        ("pause emails --reason 'the provider is down'", "until somebody resumes it"),
        ("pause emails --for 1h", "until then, by itself"),
        ("pause 'mail-*' reports:nightly", "several, by a pattern and on another connection"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        _add_queues(parser)
        parser.add_argument(
            "--for",
            dest="seconds",
            type=read_duration,
            metavar="DURATION",
            help="so long, such as 15m or 2h (default: until somebody resumes it)",
        )
        add_reason(parser)

    def run(self, terminal: Terminal, **options: Any) -> None:
        by = author(options["reason"])
        until = timezone.now() + options["seconds"] if options["seconds"] else None
        for_how_long = f" for {duration(options['seconds'].total_seconds())}" if until else ""

        def act(place: Place) -> str:
            recorded.pause(place.alias, place.name, by, until)
            return f"paused {place.label}{for_how_long}"

        _each(terminal, options, act)


class Resume(Subcommand):
    name = "resume"
    help = "let workers take jobs of queues again"
    description = "Resume queues: workers take their jobs again at once."
    examples: ClassVar = (("resume emails", "one"), ("resume 'mail-*'", "several"))

    def add_arguments(self, parser: ArgumentParser) -> None:
        _add_queues(parser)
        add_reason(parser)

    def run(self, terminal: Terminal, **options: Any) -> None:
        by = author(options["reason"])

        def act(place: Place) -> str:
            recorded.resume(place.alias, place.name, by)
            return f"resumed {place.label}"

        _each(terminal, options, act)


def _add_queues(parser: ArgumentParser) -> None:
    parser.add_argument(
        "queues", nargs="+", metavar="QUEUE", help="NAME, ALIAS:NAME, or a pattern such as 'mail-*'"
    )
    add_connection(parser)


def _each(terminal: Terminal, options: dict[str, Any], act: Callable[[Place], str]) -> None:
    """Do it to each queue; what one refuses keeps none of the others from it."""
    failed = []
    for place in listed(some(options["queues"], options["connection"])):
        try:
            terminal.say(act(place))
        except ServerUnavailable:
            raise
        except QueueCoreError as error:
            failed.append(f"{place.label}: {error}")
    if failed:
        raise CommandError("; ".join(failed))
