"""The wait between two tries of what just failed: random, twice as long each time, bounded."""

from __future__ import annotations

import asyncio
import random

FIRST, LONGEST = 0.05, 2.0


class Pace:
    """One series of tries."""

    def __init__(self) -> None:
        self._next = FIRST

    async def wait(self) -> None:
        """Sleep before the next try."""
        seconds = random.uniform(FIRST / 2, self._next)
        self._next = min(self._next * 2, LONGEST)
        await asyncio.sleep(seconds)

    def reset(self) -> None:
        """Begin anew: a try succeeded."""
        self._next = FIRST
