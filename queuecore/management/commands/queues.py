"""Queues from the command line: ``manage.py queues presets`` and ``health``."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from queuecore import access, audit
from queuecore.errors import QueueCoreError, ServerUnavailable
from queuecore.inspect import Inspector, aliases
from queuecore.wire.calls.base import Command as Request
from queuecore.wire.connections import get_connection


class Command(BaseCommand):
    """The command-line twin of the dashboard; each subcommand is one method."""

    help = "See and steer queues from the command line."

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
        presets = commands.add_parser(
            "presets",
            help="make the groups Viewer, Operator and Admin",
            description="Make three groups with the permissions of the dashboard.",
        )
        presets.add_argument("--prefix", default="", help="begin the groups' names with this")
        commands.add_parser(
            "health",
            help="say whether Redis answers",
            description="Say whether Redis answers, and since when no worker was heard of.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["subcommand"])(**options)
        except QueueCoreError as error:
            raise CommandError(str(error)) from error

    def health(self, **options: Any) -> None:
        """One line for each connection; an error if a server does not answer."""
        silent = []
        for alias in aliases():
            try:
                self.stdout.write(f"{alias}: {_health(alias)}")
            except ServerUnavailable as error:
                silent.append(str(error))
        if silent:
            raise CommandError("; ".join(silent))

    def presets(self, *, prefix: str, **options: Any) -> None:
        """Make the groups and say which are new."""
        with audit.record(
            actor="command line", action="presets", params={"prefix": prefix}
        ) as entry:
            made = access.make_presets(prefix)
            entry.result(groups=made)
        for name, created in made.items():
            self.stdout.write(f"{name}: {'made' if created else 'was there, now complete'}")


def _health(alias: str) -> str:
    began = perf_counter()
    # Unlike what an inspector asks, this is refused by a server that is still loading its data.
    get_connection(alias).run(Request(("PING",), bool))
    answered = f"Redis answers in {(perf_counter() - began) * 1000:.1f} ms"
    workers = Inspector(alias).workers()
    if workers is None:
        return f"{answered}; it does not tell of workers"
    if not workers:
        return f"{answered}; no worker is connected"
    newest = min(worker.idle_s for worker in workers)
    queues = len({worker.queue for worker in workers})
    return f"{answered}; workers of queues: {queues}, the newest sign of life is {newest} s old"
