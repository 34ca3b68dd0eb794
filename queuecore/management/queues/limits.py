"""``queues limits``: named limits, seen and changed."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from django.core.management.base import CommandError

from queuecore import recorded
from queuecore.inspect import aliases
from queuecore.limits import Limit, LimitInfo, get_limits
from queuecore.options import RateLimit
from queuecore.visible import one_line

from .subcommand import Subcommand, author
from .terminal import Terminal


class Limits(Subcommand):
    name = "limits"
    help = "see named limits, and change one"
    description = "Show the named limits, or set what one of them allows, by hand."
    examples: ClassVar = (
        ("limits", "all of them"),
        ("limits stripe --rate 50/1 --reason 'their new terms'", "set one by hand"),
        ("limits stripe --reset", "what the settings say counts again"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="one limit (default: all)")
        parser.add_argument("--connection", metavar="ALIAS", help="of this one (default: all)")
        parser.add_argument("--concurrency", metavar="N", help="so many at once, or none")
        parser.add_argument("--rate", metavar="MAX/SECONDS", help="so many starts, or none")
        parser.add_argument(
            "--reset", action="store_true", help="first let the settings count again"
        )
        parser.add_argument("--reason", default="", help="why, for the audit log")

    def run(self, terminal: Terminal, **options: Any) -> None:
        """A line for each limit; with options, one is changed first, on record."""
        name, connection = options["name"], options["connection"]
        changes = {
            "reset": options["reset"] or None,
            "concurrency": options["concurrency"],
            "rate": options["rate"],
        }
        wanted = {key: value for key, value in changes.items() if value is not None}
        if wanted and name is None:
            raise CommandError("name the limit that is to be changed")
        if name is not None and wanted:
            limit = Limit(name, connection or "default")
            steps = _steps(limit, wanted)
            by = author(options["reason"])
            with recorded.recorded(
                by, "named_limit", alias=limit.alias, target=name, params=wanted
            ):
                for step in steps:
                    step()
        for alias in [connection] if connection else aliases():
            for found in get_limits(alias):
                if name in (None, found.name):
                    terminal.say(one_line(f"{alias}: {found.name}: {_told(found)}"))


def _steps(limit: Limit, wanted: dict[str, Any]) -> list[Callable[[], Any]]:
    """What sets a limit as the options say, all of them checked."""
    steps: list[Callable[[], Any]] = [limit.reset] if "reset" in wanted else []
    if (concurrency := wanted.get("concurrency")) == "none":
        steps.append(limit.remove_concurrency)
    elif concurrency is not None:
        if not concurrency.isdecimal() or not int(concurrency):
            raise CommandError(f"--concurrency is a number from 1 on, or none, not {concurrency}")
        steps.append(partial(limit.set_concurrency, int(concurrency)))
    if (rate := wanted.get("rate")) == "none":
        steps.append(limit.remove_rate_limit)
    elif rate is not None:
        most, _, seconds = rate.partition("/")
        try:
            checked = RateLimit(int(most), float(seconds))
        except ValueError:
            raise CommandError(
                f"--rate is MAX/SECONDS such as 100/60, or none, not {rate}"
            ) from None
        steps.append(partial(limit.set_rate_limit, checked.max, checked.duration))
    return steps


def _told(limit: LimitInfo) -> str:
    allowed = []
    if limit.concurrency is not None:
        allowed.append(f"{limit.running} of {limit.concurrency} run")
    if limit.rate is not None:
        allowed.append(f"{limit.started} of {limit.rate.max} in {limit.rate.duration:g} s started")
    by_hand = " (by hand)" if limit.concurrency_by_hand or limit.rate_by_hand else ""
    queues = ", ".join(f"{one.name} {one.running}" for one in limit.queues)
    return f"{', '.join(allowed) or 'no limit'}{by_hand}; queues: {queues or 'none'}"
