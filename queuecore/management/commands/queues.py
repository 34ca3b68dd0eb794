"""Queues from the command line: ``manage.py queues presets``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from queuecore import access, audit
from queuecore.errors import QueueCoreError


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

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, options["subcommand"])(**options)
        except QueueCoreError as error:
            raise CommandError(str(error)) from error

    def presets(self, *, prefix: str, **options: Any) -> None:
        """Make the groups and say which are new."""
        with audit.record(
            actor="command line", action="presets", params={"prefix": prefix}
        ) as entry:
            made = access.make_presets(prefix)
            entry.result(groups=made)
        for name, created in made.items():
            self.stdout.write(f"{name}: {'made' if created else 'was there, now complete'}")
