"""``queues names``: names for a shell that completes a word; quick, and silent when in doubt."""

from __future__ import annotations

import contextlib
import threading
from argparse import ArgumentParser
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from queuecore import conf, discovery
from queuecore.inspect import Inspector, aliases
from queuecore.visible import one_line
from queuecore.wire import embedded

from .places import Place, checked, split
from .subcommand import Subcommand
from .terminal import Terminal

#: A shell that completes waits no longer.
SECONDS = 1.5
MOST = 500


class Names(Subcommand):
    name = "names"
    help = "print the names of queues, for shells"
    description = (
        "Print the names of queues that are known without a search, one a line, at most 500. "
        "Prints nothing, and is no error, while Redis is away: it is what shell completion asks."
    )
    examples: ClassVar = (("names --complete em", "those that begin with em"),)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--complete", default="", metavar="TEXT", help="only those that begin with this"
        )
        parser.add_argument(
            "--what",
            choices=_KINDS,
            default="queues",
            help="queues, connections, or processors: the queues that runworker can work "
            "(default: queues)",
        )
        parser.add_argument(
            "--connection", metavar="ALIAS", help="of this connection, without its name in front"
        )

    def run(self, terminal: Terminal, **options: Any) -> None:
        found: list[str] = []

        def look() -> None:
            # Whatever is wrong, a word that is being typed is no place to say it.
            with contextlib.suppress(Exception):
                found.extend(_KINDS[options["what"]](options["connection"], options["complete"]))

        # A server that accepts and says nothing must not hold the shell up.
        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(SECONDS)
        fits = [one for one in list(found) if one.startswith(options["complete"])]
        for name in sorted(fits)[:MOST]:
            if one_line(name) == name:
                terminal.say(name)


def _queues(connection: str | None, text: str) -> Iterable[str]:
    for alias in [checked(connection)] if connection else aliases():
        embeds = conf.get_settings().connections[alias].url is None
        if embeds and not embedded.is_running(conf.project_dir()):
            continue  # to ask it would start it
        for name in Inspector(alias).discover(scan=False):
            # Without the alias where that means the same, unless it was typed.
            plain = connection or split(name) == Place(alias, name)
            typed = not connection and text.startswith(f"{alias}:")
            yield name if plain and not typed else f"{alias}:{name}"


def _processors(connection: str | None, text: str) -> Iterable[str]:
    for alias, name in discovery.discover().queues:
        yield name if alias == "default" else f"{alias}:{name}"


_KINDS: dict[str, Callable[[str | None, str], Iterable[str]]] = {
    "queues": _queues,
    "connections": lambda connection, text: aliases(),
    "processors": _processors,
}
