"""Tries: who ran the earlier tries of a task's job, of which its hash keeps the last one only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..keys import Keys
from .base import Call, Command, Operation, text
from .reading import Fields, get_job, get_state

# Seconds since the last try. Nobody but its result's reader needs it, and jobs may go any time.
KEPT = 7 * 24 * 3600


def add_try(keys: Keys, job_id: str, began: int, worker: str) -> Operation[None]:
    """Note a try that is followed by another: when it began (ms), and who ran it."""
    key = keys.tries(job_id)
    yield [
        Command(("RPUSH", key, f"{began} {worker}"), repeatable=False),
        Command(("EXPIRE", key, KEPT)),
    ]


def get_tries(keys: Keys, job_id: str) -> Command[list[tuple[int, str]]]:
    """The earlier tries that are noted, the oldest first: when each began (ms), and who ran it."""
    return Command(("LRANGE", keys.tries(job_id), 0, -1), _tries, tolerant=True)


def get_told(
    keys: Keys, job_id: str
) -> Operation[tuple[str, Fields | None, list[tuple[int, str]]]]:
    """The state of a job, its hash (None if there is none), and its earlier tries.

    The state is read first: a hash that is newer says so itself, by ``finishedOn``.
    """
    requests: list[Call[Any] | Command[Any]] = [
        get_state(keys, job_id),
        get_job(keys, job_id),
        get_tries(keys, job_id),
    ]
    state, fields, tries = yield requests
    return state, fields, tries


def _tries(answer: Sequence[bytes] | None) -> list[tuple[int, str]]:
    found = []
    for row in answer or ():
        began, _, worker = text(row).partition(" ")
        if began.isdigit():
            found.append((int(began), worker))
    return found
