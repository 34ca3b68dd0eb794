"""``queues completion``: a script that lets a shell complete subcommands, options and queues."""

from __future__ import annotations

import shlex
from argparse import SUPPRESS, Action, ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from django.core.management import find_commands, load_command_class

from .subcommand import Subcommand
from .terminal import Terminal

SHELLS = ("bash", "zsh")
_FOLDER = Path(__file__).with_name("shells")
#: What the values of options and arguments are, by their names in the help.
_VALUES = {"QUEUE": "@queues", "FILE": "@files"}


class Completion(Subcommand):
    name = "completion"
    help = "print a script that completes words, for bash or zsh"
    description = (
        "Print a script with which the shell completes subcommands, options, queues and "
        "connections of QueueCore's commands, called as ./manage.py, python manage.py or "
        "django-admin. Names are asked of Redis; while it is away none are offered. "
        "What completed the words of other commands before goes on doing so."
    )
    examples: ClassVar = (
        ("completion bash > ~/.queuecore.bash", "then in ~/.bashrc: source ~/.queuecore.bash"),
        ("completion zsh > ~/.queuecore.zsh", "then in ~/.zshrc: source ~/.queuecore.zsh"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash or zsh")

    def run(self, terminal: Terminal, **options: Any) -> None:
        terminal.out.write(script(options["shell"]), ending="")


def script(shell: str) -> str:
    """The script for *shell*: what is known of the commands, how it is asked, who asks."""
    common = (_FOLDER / "common.sh").read_text()
    known, values = zip(*_facts(), strict=True)
    common = common.replace("    # KNOWN\n", "".join(known)).replace(
        "    # VALUES\n", "".join(values)
    )
    return common + (_FOLDER / f"{shell}.sh").read_text()


def _facts() -> Iterator[tuple[str, str]]:
    """The arms of both cases for each command and subcommand."""
    from . import tree

    for name in find_commands(str(Path(__file__).parents[1])):
        parser = load_command_class("queuecore", name).create_parser("manage.py", name)
        for path, one, below in tree.branches(parser, (name,)):
            yield _known(path, one, below), _told(path, one)


def _known(path: str, parser: ArgumentParser, below: tuple[str, ...]) -> str:
    shown = [action for action in parser._actions if action.option_strings]
    options = [flag for action in shown if _offered(action) for flag in action.option_strings[-1:]]
    valued = [
        flag for action in shown if action.nargs not in (0, "?") for flag in action.option_strings
    ]
    takes = ""
    for action in parser._actions:
        if not action.option_strings and action.metavar == "QUEUE":
            takes = "one" if action.nargs is None else "many"
    facts = {
        "below": " ".join(below),
        "flags": " ".join(sorted(set(options))),
        "valued": " ".join(valued),
        "takes": takes,
    }
    given = " ".join(f"{name}={shlex.quote(value)}" for name, value in facts.items() if value)
    return f"    {shlex.quote(path)}) {given} ;;\n"


def _told(path: str, parser: ArgumentParser) -> str:
    lines = []
    for action in parser._actions:
        if action.option_strings:
            where = "|".join(shlex.quote(f"{path} {flag}") for flag in action.option_strings)
        else:
            where = shlex.quote(f"{path} argument")
        told = _values(action, path)
        if told:
            lines.append(f"    {where}) values={shlex.quote(told)} ;;\n")
    return "".join(lines)


def _values(action: Action, path: str) -> str:
    if action.choices is not None:
        return " ".join(map(str, action.choices)) if action.metavar != "COMMAND" else ""
    if action.metavar == "QUEUE" and not path.startswith("queues"):
        return "@processors"
    if "--connection" in action.option_strings:
        return "@connections"
    return _VALUES.get(str(action.metavar), "")


def _offered(action: Action) -> bool:
    return action.help != SUPPRESS
