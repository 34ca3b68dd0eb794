"""Lanes: what makes a call whose answer was lost harmless to repeat.

A lane has one call in flight and counts its calls; a script keeps the number of the lane's last
call in a receipt under ``qc:``. The same number again returns the first answer, a lower one
changes nothing. Producers borrow a lane for each call; a worker owns its lanes.
"""

from __future__ import annotations

import os
from collections import deque
from uuid import uuid4

from .keys import Keys


class Lane:
    """One lane: the key of its receipt and the number of its last call."""

    __slots__ = ("number", "receipt")

    def __init__(self, receipt: str) -> None:
        self.receipt = receipt
        self.number = 0


class Lanes:
    """The lanes by which this process adds jobs to one queue; as many as calls run at once.

    The lane used last is taken first, so that a call that was given up is soon overtaken by the
    next one, after which it can no longer change anything.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._owner = uuid4().hex
        self._made = 0
        self._free: deque[Lane] = deque()

    def take(self) -> Lane:
        """Borrow a free lane and raise its number; give it back with :meth:`give`."""
        if self._pid != os.getpid():
            self._begin()  # a forked child must not count in its parent's lanes
        try:
            lane = self._free.pop()
        except IndexError:
            self._made += 1
            lane = Lane(self._keys.receipt("add", self._owner, self._made))
        lane.number += 1
        return lane

    def give(self, lane: Lane) -> None:
        """Give a lane back after its call was answered or given up."""
        self._free.append(lane)
