"""Jobs by their ids: what ``retry``, ``promote`` and ``remove`` do to those that are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError

from queuecore import recorded
from queuecore.visible import one_line

from . import filters
from .codes import FOUND
from .places import Place
from .subcommand import author
from .terminal import Terminal
from .words import counted

_SHOWN = 5


def check(options: Mapping[str, Any]) -> None:
    """Refuse options that do not go with ids. Raises CommandError."""
    wrong = [one for one in ("limit", "rate", "no_wait") if options.get(one)]
    if wrong or filters.given(options):
        raise CommandError("ids say which jobs are meant: leave the filter, --limit, --rate and "
                           "--no-wait out")  # fmt: skip


def act(
    terminal: Terminal,
    place: Place,
    action: str,
    done: str,
    options: Mapping[str, Any],
    how: recorded.Act | None = None,
) -> None:
    """Do *action* to each; *done* says it in the past.

    Raises:
        CommandError: some refused.
    """
    ids = options["ids"]
    if options["dry_run"]:
        terminal.say(f"{action} of {place.label} would be done to {counted(len(ids), 'job')}")
        return
    by = author(options["reason"])
    outcome = recorded.jobs(action, place.alias, place.name, ids, by, how)
    refused = {job_id: str(error) for job_id, error in outcome.refused.items()}
    if options["json"]:
        terminal.json(
            {
                "action": action,
                "connection": place.alias,
                "queue": place.name,
                "done": outcome.done,
                "failed": len(refused),
                "failures": [{"id": one, "reason": why} for one, why in refused.items()],
            }
        )
    elif outcome.done:
        terminal.say(f"{done} {counted(outcome.done, 'job')} of {place.label}")
    if refused:
        some = [f"{one_line(one)}: {one_line(why)}" for one, why in list(refused.items())[:_SHOWN]]
        raise CommandError(
            f"{counted(len(refused), 'job')} not: {'; '.join(some)}", returncode=FOUND
        )
