"""Subcommand: what each of them is, and options that several have."""

from __future__ import annotations

import os
import re
from argparse import ArgumentParser, HelpFormatter
from typing import Any, ClassVar

from queuecore.recorded import By

from .terminal import Terminal

try:
    import pwd
except ImportError:  # pragma: no cover - Windows
    pwd = None  # type: ignore[assignment]


class Subcommand:
    """A subcommand of ``manage.py queues``, or of one of its subcommands.

    ``help``: a line in the list; ``description``: what its own ``--help`` says; ``examples``:
    command lines without ``manage.py queues``, each with what it does.
    """

    name: ClassVar[str]
    help: ClassVar[str]
    description: ClassVar[str] = ""
    examples: ClassVar[tuple[tuple[str, str], ...]] = ()
    #: Those below it; without a name of one of them, the first is meant.
    below: ClassVar[tuple[Subcommand, ...]] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare what it takes."""

    def run(self, terminal: Terminal, **options: Any) -> None:
        """Carry it out. Raises CommandError."""
        raise NotImplementedError


class Formatter(HelpFormatter):
    """Wraps paragraphs of a description and leaves indented lines as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        return "\n".join(
            indent + line if line.startswith("  ") or not line else fill(line, width, indent)
            for line in text.splitlines()
        )


def epilog(one: Subcommand) -> str:
    """The examples of a subcommand, as its ``--help`` shows them."""
    if not one.examples:
        return ""
    lines = [f"  manage.py queues {line}\n      {does}" for line, does in one.examples]
    return "\n".join(["examples:", *lines])


def add_connection(parser: ArgumentParser, usual: str = "default") -> None:
    """``--connection``."""
    parser.add_argument(
        "--connection",
        metavar="ALIAS",
        help=f"the queues' connection, which then need not stand before their names "
        f"(default: {usual})",
    )


def add_json(parser: ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_queues(parser: ArgumentParser, patterns: str = "") -> None:
    """Any number of queues."""
    also = f", or {patterns}" if patterns else ""
    parser.add_argument(
        "queues", nargs="*", metavar="QUEUE", help=f"NAME, or ALIAS:NAME{also} (default: all)"
    )
    add_connection(parser, "all")


def add_queue(parser: ArgumentParser) -> None:
    """One queue."""
    parser.add_argument("queue", metavar="QUEUE", help="NAME, or ALIAS:NAME")
    add_connection(parser)


def add_reason(parser: ArgumentParser) -> None:
    """``--reason``."""
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the audit log")


def add_yes(parser: ArgumentParser) -> None:
    """``--yes``."""
    parser.add_argument(
        "--no-input",
        "-y",
        "--yes",
        action="store_true",
        dest="yes",
        help="do not ask; needed where there is no terminal",
    )


def actor() -> str:
    """Who is at the command line, for the record: ``command line: root (sudo by mara)``."""
    name = os.environ.get("USER") or os.environ.get("USERNAME") or "?"
    if pwd is not None:
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:  # a container's user that has no name
            name = f"uid {os.getuid()}"
    sudo = os.environ.get("SUDO_USER", "")
    by = f" (sudo by {sudo})" if re.fullmatch(r"[\w.@-]{1,64}", sudo) and sudo != name else ""
    return f"command line: {name}{by}"


def author(reason: str) -> By:
    """The same with the reason that was given."""
    return By(actor(), reason=reason.strip()[:500])
