"""Counts: the queues of one or all connections as they are now, with their workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from queuecore.errors import ServerUnavailable
from queuecore.inspect import Inspector, QueueSnapshot, Wants

from .places import Place


@dataclass(frozen=True, slots=True)
class Seen:
    """A queue; ``workers``: how many wait for its jobs, None where the server does not tell."""

    snapshot: QueueSnapshot
    workers: int | None

    @property
    def place(self) -> Place:
        """Where it is."""
        return Place(self.snapshot.alias, self.snapshot.name)


@dataclass(slots=True)
class Look:
    """One look at some queues; ``away``: what the servers that do not answer say, by alias."""

    queues: list[Seen] = field(default_factory=list)
    away: dict[str, ServerUnavailable] = field(default_factory=dict)


class Counts:
    """Looks at queues, again and again.

    Args:
        wanted: names by connection; None is all there are.
    """

    def __init__(self, wanted: Mapping[str, Sequence[str] | None]) -> None:
        self._wanted = wanted
        self._inspectors = {alias: Inspector(alias) for alias in wanted}

    def look(self) -> Look:
        """See how they are; a server that does not answer keeps nobody from the others."""
        found = Look()
        for alias, names in self._wanted.items():
            wants = Wants(
                queues=names or (), discover=names is None, names=names is None, workers=True
            )
            try:
                reading = self._inspectors[alias].read(wants)
            except ServerUnavailable as error:
                found.away[alias] = error
                continue
            told = reading.workers
            workers = Counter(one.queue for one in told or ())
            found.queues += [
                Seen(snapshot, None if told is None else workers[name])
                for name, snapshot in sorted(reading.queues.items())
            ]
        return found
