"""``queues health``: whether Redis answers."""

from __future__ import annotations

from time import perf_counter
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
    description = "Say whether Redis answers, and since when no worker was heard of."

    def run(self, terminal: Terminal, **options: Any) -> None:
        """One line for each connection; an error if a server does not answer."""
        silent = []
        for alias in aliases():
            try:
                terminal.say(f"{alias}: {_health(alias)}")
            except ServerUnavailable as error:
                silent.append(str(error))
        if silent:
            raise CommandError("; ".join(silent))


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
