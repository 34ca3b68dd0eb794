"""Tree: all subcommands of ``manage.py queues``, and the parser that knows them."""

from __future__ import annotations

import copy
from argparse import SUPPRESS, Action, ArgumentParser, _SubParsersAction
from collections.abc import Iterator, Mapping
from typing import Any

from .clean import Clean
from .completion import Completion
from .doctor import Doctor
from .drain import Drain
from .health import Health
from .job import JobCommand
from .jobs import Jobs
from .limits import Limits
from .listing import List
from .names import Names
from .obliterate import Obliterate
from .pauses import Pause, Resume
from .presets import Presets
from .promote import Promote
from .remove import Remove
from .retry import Retry
from .schedulers import Schedulers
from .show import Show
from .subcommand import Formatter, Subcommand, epilog
from .workers import Workers

HELP = (
    "See and steer queues from the command line: what the dashboard shows and does. "
    "COMMAND --help tells of each, with examples. Exit codes: 0 well; 1 something is over a bound, "
    "was refused or is not there; 2 wrong options; 3 Redis or the database does not answer; "
    "130 Ctrl-C."
)
SUBCOMMANDS: tuple[Subcommand, ...] = (
    List(),
    Show(),
    Jobs(),
    JobCommand(),
    Pause(),
    Resume(),
    Retry(),
    Promote(),
    Remove(),
    Clean(),
    Drain(),
    Obliterate(),
    Schedulers(),
    Workers(),
    Limits(),
    Doctor(),
    Health(),
    Presets(),
    Completion(),
    Names(),
)


def add(parser: ArgumentParser) -> None:
    """Give *parser* all subcommands."""
    common = [quiet(action) for action in parser._actions if _goes_anywhere(action)]
    commands = parser.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
    _add(commands, SUBCOMMANDS, common)


def find(options: Mapping[str, Any]) -> Subcommand:
    """The subcommand that *options* name; of one that has more below it, that."""
    found = next(one for one in SUBCOMMANDS if one.name == options["subcommand"])
    while found.below:
        name = options.get(f"{found.name}_command") or found.below[0].name
        found = next(one for one in found.below if one.name == name)
    return found


def _add(
    commands: _SubParsersAction[Any], ones: tuple[Subcommand, ...], common: list[Action]
) -> None:
    for one in ones:
        parser = commands.add_parser(
            one.name,
            help=one.help,
            description=one.description or one.help,
            epilog=epilog(one),
            formatter_class=Formatter,
        )
        if one.below:
            # Without one of them, the first: it is given its defaults, and --json.
            first = one.below[0]
            parser.set_defaults(**vars(_defaults(first)))
            parser.add_argument("--json", action="store_true", help="print one JSON document")
            below = parser.add_subparsers(
                dest=f"{one.name}_command", metavar="COMMAND", help=f"default: {first.name}"
            )
            _add(below, one.below, common)
        else:
            one.add_arguments(parser)
        for action in common:
            parser._add_action(action)


def _defaults(one: Subcommand) -> Any:
    parser = ArgumentParser(add_help=False)
    one.add_arguments(parser)
    return parser.parse_args([])


def _goes_anywhere(action: Action) -> bool:
    """Whether it is an option of Django's own, which may also stand behind the subcommand."""
    return bool(action.option_strings) and action.dest not in ("help", "version")


def branches(
    parser: ArgumentParser, path: tuple[str, ...]
) -> Iterator[tuple[str, ArgumentParser, tuple[str, ...]]]:
    """A command and every subcommand: its name, its parser, and what stands below it."""
    groups = [one for one in parser._actions if isinstance(one, _SubParsersAction)]
    yield " ".join(path), parser, tuple(name for group in groups for name in group.choices)
    for group in groups:
        for name, sub in group.choices.items():
            yield from branches(sub, (*path, name))


def quiet(action: Action) -> Action:
    """A copy that is neither told of nor has a default, which would override an earlier one."""
    made = copy.copy(action)
    made.default, made.help = SUPPRESS, SUPPRESS
    return made
