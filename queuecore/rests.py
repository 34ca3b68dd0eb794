"""Rests: what failed lately is left alone for a while, told once, and asked again."""

from __future__ import annotations

import time


class Rests:
    """What failed lately, and until when it is left alone: longer each time, up to *longest*."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._until: dict[tuple[str, ...], tuple[float, float, float]] = {}

    def begin(self, *what: str, longest: float | None = None) -> bool:
        """Leave it alone for a while; whether that is new."""
        now = time.monotonic()
        since, pause, _ = self._until.get(what, (now, 0.1, 0.0))
        pause = min(pause * 2, self._longest if longest is None else longest)
        known = what in self._until
        self._until[what] = since, pause, now + pause
        return not known

    def end(self, *what: str) -> float | None:
        """It works again: for how many seconds it did not, None if it always did."""
        there = self._until.pop(what, None)
        return None if there is None else time.monotonic() - there[0]

    def holds(self, *what: str) -> bool:
        """Whether it is left alone now."""
        return what in self._until and self._until[what][2] > time.monotonic()

    def held(self) -> list[tuple[str, ...]]:
        """All that is left alone now."""
        return [what for what in self._until if self.holds(*what)]
