"""Notices: schedulers that are late, what somebody has muted, the pulse of queues, by connection.

All of it changes slowly and is read at a calm pace, once for all who look.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from queuecore.inspect import Inspector
from queuecore.mutes import Mute, Mutes
from queuecore.pulse import Pulse, Pulses
from queuecore.timetable import Place, Timetable

if TYPE_CHECKING:
    from .live.sources import Asked

#: Seconds after which mutes, the times of schedulers, and pulses are read again.
MUTES_S, LATE_S, PULSES_S = 5.0, 10.0, 10.0
#: A mute until its trouble ends does, once the trouble was not seen for so many seconds.
_GONE_S = 60.0
#: The trouble of these kinds has a beginning: one that began after the mute is another one.
_EPISODES = ("no-workers", "paused", "scheduler", "new-error")

Key = tuple[str, str, str]


@dataclass(slots=True, eq=False)
class Notices:
    """What is known of one connection.

    ``late``: by queue, the schedulers whose run is overdue, the longest first. ``mutes``: by what
    they are about. ``version``: another one after each change.
    """

    late: Mapping[str, Sequence[Place]] = field(default_factory=dict)
    mutes: Mapping[Key, Mute] = field(default_factory=dict)
    pulses: Mapping[str, Pulse] = field(default_factory=dict)
    version: int = 0
    _late_until: float = 0.0
    _pulses_until: float = 0.0
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

    @property
    def pulses_due(self) -> bool:
        """Whether the pulses of queues should be read again."""
        return self._pulses_until <= time.monotonic()

    def take(
        self,
        mutes: Iterable[Mute],
        late: Sequence[Place] | None,
        pulses: Mapping[str, Pulse] | None,
    ) -> Notices:
        """Put in what was read; *late* and *pulses* are None where they were not, this time."""
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
        if pulses is not None:
            changed = changed or pulses != self.pulses
            self.pulses = pulses
            # Until it is known whom workers serve, that is looked up again and again.
            self._pulses_until = time.monotonic() + PULSES_S if pulses else 0.0
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
    pulses = None
    if known.pulses_due:
        pulses = Pulses(alias).of(served) if (served := _served(alias)) else {}
    return known.take(mutes.all(), late, pulses)


async def alook(alias: str, asked: Asked) -> Notices:
    """See :func:`look`."""
    known, mutes = _notices(alias), Mutes(alias)
    if ended := known.ended():
        await mutes.alift(ended)
    late = None
    if known.late_due:
        late = await Timetable(alias).alate(_names(alias) or await Inspector(alias).adiscover())
    pulses = None
    if known.pulses_due:
        pulses = await Pulses(alias).aof(served) if (served := _served(alias)) else {}
    return known.take(await mutes.aall(), late, pulses)


def _notices(alias: str) -> Notices:
    from .live.state import facts_of

    return facts_of(alias).notices


def _names(alias: str) -> list[str]:
    from .live.state import facts_of

    return facts_of(alias).names


def _served(alias: str) -> list[str]:
    """The queues that workers of ours serve: only they have a pulse."""
    from .live.state import facts_of

    return sorted(facts_of(alias).crews)
