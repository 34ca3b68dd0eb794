"""``queues presets``: the groups Viewer, Operator and Admin."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any, ClassVar

from queuecore import access, recorded

from .subcommand import Subcommand, author
from .terminal import Terminal


class Presets(Subcommand):
    name = "presets"
    help = "make the groups Viewer, Operator and Admin"
    description = "Make three groups with the permissions of the dashboard."
    examples: ClassVar = (
        ("presets", "Viewer, Operator, Admin"),
        ("presets --prefix 'Queue '", "Queue Viewer, Queue Operator, Queue Admin"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--prefix", default="", help="begin the groups' names with this")

    def run(self, terminal: Terminal, **options: Any) -> None:
        """Make the groups and say which are new."""
        prefix = options["prefix"]
        with recorded.recorded(author(""), "presets", params={"prefix": prefix}) as entry:
            made = access.make_presets(prefix)
            entry.result(groups=made)
        for name, created in made.items():
            terminal.say(f"{name}: {'made' if created else 'was there, now complete'}")
