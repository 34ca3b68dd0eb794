"""Pulse: of many queues at once, how long their jobs waited and ran lately, and what fails anew.

For whoever lists queues. It is what :class:`queuecore.statistics.Statistics` has of the present
quarter of an hour and the one before, of workers of ours alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from .connected import Connected
from .statistics import Failure, Figures, read_failure, read_whole
from .wire.calls import counting
from .wire.calls.base import NOW, Operation
from .wire.keys import Keys

#: A kind of failure is new for so long (s); and worth telling if it came so often, and again in
#: the last so many seconds.
NEW_S, OFTEN, AGAIN_S = 3_600, 5, 600
#: The most new kinds of one queue that are told.
MOST_NEW = 5


@dataclass(frozen=True, slots=True)
class Pulse:
    """One queue: what ended in the last 15 to 30 minutes, and the kinds of failures that are new.

    ``fresh``: the most frequent first; their count is of all since they appeared.
    """

    figures: Figures = field(default_factory=Figures)
    fresh: Sequence[Failure] = ()


class Pulses(Connected):
    """Reads the pulses of one connection's queues; :meth:`of` has an async twin.

    Args:
        alias: a key of ``QUEUECORE["CONNECTIONS"]``.

    Raises:
        ConfigurationError: there is no such connection.
    """

    def of(self, queues: Iterable[str]) -> dict[str, Pulse]:
        """The pulse of each of *queues*, whoever made them."""
        return self._run(self._of(list(queues)))

    async def aof(self, queues: Iterable[str]) -> dict[str, Pulse]:
        """See :meth:`of`."""
        return await self._arun(self._of(list(queues)))

    def _of(self, queues: list[str]) -> Operation[dict[str, Pulse]]:
        now = yield NOW
        prefix = self.connection.prefix
        keys = [Keys(prefix, queue) for queue in queues]
        hashes = yield from counting.get_recent_counts(keys, now)
        errors = yield from counting.get_new_errors(
            keys, now - NEW_S * 1000, now - AGAIN_S * 1000, OFTEN, MOST_NEW
        )
        found = {}
        for queue, flat, raw in zip(queues, hashes, errors, strict=True):
            fresh = [one for told in raw if (one := read_failure(*told)) is not None]
            fresh.sort(key=lambda one: (-one.count, one.id))
            found[queue] = Pulse(read_whole(flat), tuple(fresh))
        return found
