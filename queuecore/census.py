"""Census: what many queues hold, read again and again for little.

Most queues do not change from second to second. A queue is read anew when its events go on, or one
of its states that held jobs holds another number now: what adds a job or moves one leaves an event,
and what takes jobs away without one is seen where it took them. So every count is right each time.
What changes without either, such as a limit, is seen when the queue's turn comes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from .wire.calls import inspecting
from .wire.calls.base import NOW, Operation
from .wire.keys import Keys
from .wire.readings import QueueSnapshot, moment

# Requests in one pipeline, and queues in one look for news: more would keep other clients waiting.
_PIPELINE, _LOOK = 500, 50


@dataclass(frozen=True, slots=True)
class _Known:
    snapshot: QueueSnapshot
    sizes: Sequence[int]
    until: float

    @property
    def watched(self) -> bool:
        """Whether a change would show: its events can be seen, and nothing in it runs out."""
        snapshot = self.snapshot
        return snapshot.event_id not in ("", "0-0") and not snapshot.limiter_ttl_ms


@dataclass(slots=True)
class Count:
    """What one look found: ``queues``, as they are now. To be kept with :meth:`Census.keep`."""

    queues: dict[str, QueueSnapshot] = field(default_factory=dict)
    known: dict[str, _Known] = field(default_factory=dict)


class Census:
    """The queues of one connection as they were read last.

    Args:
        alias, prefix: the connection's.
        every: seconds after which a queue is read anew whatever happened.
    """

    def __init__(self, alias: str, prefix: str, every: float) -> None:
        self._alias = alias
        self._prefix = prefix
        self._every = every
        self._known: dict[str, _Known] = {}

    def count(self, names: Sequence[str], since: datetime | None = None) -> Operation[Count]:
        """Snapshots of *names*, each as it is now; only those that changed are read.

        With *since*, the time of the last count that was kept, ``done`` and ``lost`` say what
        finished since. Nothing is kept yet: what is not counted in the end is not counted.
        """
        now = yield NOW
        at = moment(now)
        assert at is not None, f"the server's clock says {now} ms"
        fresh = time.monotonic()
        watched = {
            name: known
            for name in names
            if (known := self._known.get(name)) and known.watched and known.until > fresh
        }
        changed = yield from self._changed(list(watched))
        anew = [name for name in names if name not in watched or name in changed]
        read = yield from self._read(anew, now, since)
        found = Count()
        for name in names:
            known = read.get(name)
            if known is None:
                known = watched[name]
                known = replace(known, snapshot=replace(known.snapshot, at=at, done=0, lost=0))
            found.known[name], found.queues[name] = known, known.snapshot
        return found

    def keep(self, count: Count) -> None:
        """Take what was found for what is known; queues that were not asked for are forgotten."""
        self._known = count.known

    def forget(self) -> None:
        """Know nothing: the next count reads everything."""
        self._known = {}

    def _changed(self, names: Sequence[str]) -> Operation[set[str]]:
        some = [names[start : start + _LOOK] for start in range(0, len(names), _LOOK)]
        if not some:
            return set()
        calls = [
            inspecting.find_news(
                [
                    (self._keys(name), self._known[name].snapshot.event_id, self._known[name].sizes)
                    for name in few
                ]
            )
            for few in some
        ]
        found = yield list(calls)
        return {few[index] for few, news in zip(some, found, strict=True) for index in news}

    def _read(
        self, names: Sequence[str], now: int, since: datetime | None
    ) -> Operation[dict[str, _Known]]:
        start = None if since is None else round(since.timestamp() * 1000)
        read: dict[str, _Known] = {}
        for begin in range(0, len(names), _PIPELINE):
            some = names[begin : begin + _PIPELINE]
            calls = []
            for name in some:
                event = self._known[name].snapshot.event_id if name in self._known else ""
                calls.append(
                    inspecting.get_sized_snapshot(self._alias, self._keys(name), now, start, event)
                )
            for name, (snapshot, sizes) in zip(some, (yield list(calls)), strict=True):
                # Not all at once again: each queue has its turn at its own time.
                until = time.monotonic() + self._every * random.uniform(0.5, 1)
                read[name] = _Known(snapshot, sizes, until)
        return read

    def _keys(self, name: str) -> Keys:
        return Keys(self._prefix, name)
