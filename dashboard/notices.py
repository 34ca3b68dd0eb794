"""Notices: schedulers that are late, and what somebody has muted, by connection.

Both change slowly and are read at a calm pace, once for all who look.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from queuecore.inspect import Inspector
from queuecore.mutes import Mute, Mutes
from queuecore.timetable import Place, Timetable

if TYPE_CHECKING:
    from .live.sources import Asked

#: Seconds after which mutes, and the times of schedulers, are read again.
MUTES_S, LATE_S = 5.0, 10.0
#: A mute until its trouble ends does, once the trouble was not seen for so many seconds.
_GONE_S = 60.0
#: The trouble of these kinds has a beginning: one that began after the mute is another one.
_EPISODES = ("no-workers", "paused", "scheduler")

Key = tuple[str, str, str]


@dataclass(slots=True, eq=False)
class Notices:
    """What is known of one connection.

    ``late``: by queue, the schedulers whose run is overdue, the longest first. ``mutes``: by what
    they are about. ``version``: another one after each change.
    """

    late: Mapping[str, Sequence[Place]] = field(default_factory=dict)
    mutes: Mapping[Key, Mute] = field(default_factory=dict)
    version: int = 0
    _late_until: float = 0.0
    _gone: dict[Key, float] = field(default_factory=dict)

    def mute(self, kind: str, queue: str, target: str, since: datetime | None) -> Mute | None:
        """The mute of some trouble that began at *since*, if it is muted."""
        found = self.mutes.get((kind, queue, target))
        if found is None or found.until is not None or since is None or kind not in _EPISODES:
            return found
        return None if since > found.since else found

    def seen(self, queue: str, present: Collection[tuple[str, str]]) -> None:
        """Note which troubles (kind, target) *queue* has now, to learn when one has ended."""
        if not self.mutes:
            return
        now = time.monotonic()
        for key, mute in self.mutes.items():
            if mute.queue == queue and mute.until is None:
                if (mute.kind, mute.target) in present:
                    self._gone.pop(key, None)
                else:
                    self._gone.setdefault(key, now)

    def ended(self) -> list[Key]:
        """The mutes whose trouble has ended."""
        before = time.monotonic() - _GONE_S
        return [key for key, at in self._gone.items() if at <= before and key in self.mutes]

    @property
    def late_due(self) -> bool:
        """Whether the times of schedulers should be read again."""
        return self._late_until <= time.monotonic()

    def take(self, mutes: Iterable[Mute], late: Sequence[Place] | None) -> Notices:
        """Put in what was read; *late* is None where that was not read this time."""
        found = {mute.key: mute for mute in mutes}
        self._gone = {key: at for key, at in self._gone.items() if key in found}
        changed = found != self.mutes
        self.mutes = found
        if late is not None:
            by_queue: dict[str, list[Place]] = {}
            for place in late:
                by_queue.setdefault(place.queue, []).append(place)
            changed = changed or by_queue != self.late
            self.late = by_queue
            self._late_until = time.monotonic() + LATE_S
        self.version += changed
        return self


def look(alias: str, asked: Asked) -> Notices:
    """Read them, and forget mutes whose trouble is over."""
    known, mutes = _notices(alias), Mutes(alias)
    if ended := known.ended():
        mutes.lift(ended)
    late = None
    if known.late_due:
        late = Timetable(alias).late(_names(alias) or Inspector(alias).discover())
    return known.take(mutes.all(), late)


async def alook(alias: str, asked: Asked) -> Notices:
    """See :func:`look`."""
    known, mutes = _notices(alias), Mutes(alias)
    if ended := known.ended():
        await mutes.alift(ended)
    late = None
    if known.late_due:
        late = await Timetable(alias).alate(_names(alias) or await Inspector(alias).adiscover())
    return known.take(await mutes.aall(), late)


def _notices(alias: str) -> Notices:
    from .live.state import facts_of

    return facts_of(alias).notices


def _names(alias: str) -> list[str]:
    from .live.state import facts_of

    return facts_of(alias).names
