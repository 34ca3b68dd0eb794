"""Pauses that end by themselves: the process that keeps the history resumes what is due."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from .history import History, register
from .inspect import QueueSnapshot
from .wire.calls import steering
from .wire.connections import get_connection
from .wire.keys import Keys

logger = logging.getLogger("queuecore.pauses")

# The queues that had a note of a pause when they were looked at last: (alias, name) -> since (ms).
_noted: dict[tuple[str, str], int] = {}


@register
async def resume_due(alias: str, snapshots: Mapping[str, QueueSnapshot], history: History) -> None:
    """Resume queues whose ``resume_at`` is over; forget notes of pauses that a peer has ended."""
    connection = get_connection(alias)
    for name, found in snapshots.items():
        keys, place = Keys(connection.prefix, name), (alias, name)
        if found.pause is None:
            since = _noted.pop(place, None)
            if since is not None and not found.paused:
                await connection.arun(steering.forget_pause(keys, since))
            continue
        if found.pause.since:
            _noted[place] = round(found.pause.since.timestamp() * 1000)
        until = found.pause.until
        if until is None or until > found.at:
            continue
        if await connection.arun(steering.resume_due(keys, round(until.timestamp() * 1000))):
            logger.info("queue %s goes on: its pause was to end at %s", name, until)
