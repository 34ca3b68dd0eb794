"""``queues health``: whether Redis answers."""

from __future__ import annotations

from argparse import ArgumentParser
from json import loads
from pathlib import Path
from time import perf_counter, time
from typing import Any

from django.core.management.base import CommandError

from queuecore.errors import ServerUnavailable
from queuecore.inspect import Inspector, aliases
from queuecore.wire.calls.base import Command as Request
from queuecore.wire.connections import get_connection

from .subcommand import Subcommand
from .terminal import Terminal


class Health(Subcommand):
    name = "health"
    help = "say whether Redis answers"
    description = (
        "Say whether Redis answers, and since when no worker was heard of; or whether the worker "
        "that writes a health file is well."
    )
    examples = (
        ("health", "for the readiness of a container"),
        ("health --file /tmp/worker.health", "for that of a worker's, without asking Redis"),
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--file",
            type=Path,
            metavar="PATH",
            help="look at the file of runworker --health-file instead",
        )
        parser.add_argument(
            "--max-age",
            type=float,
            default=30.0,
            metavar="S",
            help="how old that may be, in seconds (default: 30)",
        )

    def run(self, terminal: Terminal, **options: Any) -> None:
        """One line for each connection; an error if a server does not answer."""
        if options["file"] is not None:
            terminal.say(_of_file(options["file"], options["max_age"]))
            return
        silent = []
        for alias in aliases():
            try:
                terminal.say(f"{alias}: {_health(alias)}")
            except ServerUnavailable as error:
                silent.append(str(error))
        if silent:
            raise CommandError("; ".join(silent))


def _of_file(path: Path, most: float) -> str:
    """A line on the worker that writes *path* while it is well; raises CommandError if it is not.

    The file's age is the probe: what it says is how the worker was then.
    """
    try:
        age = time() - path.stat().st_mtime
        report = loads(path.read_text())
    except FileNotFoundError:
        raise CommandError(f"{path} is not there: no worker that is well writes it") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    who = f"the worker (pid {report.get('pid')})" if isinstance(report, dict) else "the worker"
    if age > most:
        raise CommandError(f"{path} is {age:.0f} s old: {who} is not well, or was killed")
    return f"{who} is ok: {path} is {max(age, 0):.0f} s old"


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
