"""Where a worker's time goes: the shares of its functions, from a run under cProfile.

The profiler makes small functions look dearer than they are, so its run is not among the measured
ones, and only shares are taken from it.
"""

from __future__ import annotations

import cProfile
import pstats
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

LOOP = "the event loop: sockets, timers, waiting for the server"


def shares(profile: cProfile.Profile, most: int = 12) -> dict[str, float]:
    """The own time of the dearest functions, as shares of all time that is not the loop's."""
    own: dict[str, float] = {}
    stats: dict[Any, Any] = pstats.Stats(profile).stats  # type: ignore[attr-defined]
    for (file, _, name), (_, _, seconds, _, _) in stats.items():
        place = _place(file, name)
        own[place] = own.get(place, 0.0) + seconds
    loop = own.pop(LOOP, 0.0)
    python = sum(own.values())
    dearest = sorted(own, key=own.__getitem__, reverse=True)[:most]
    return {place: own[place] / python for place in dearest} | {LOOP: loop / (loop + python)}


def _place(file: str, name: str) -> str:
    if file == "~":  # a function in C
        return LOOP if "run_until_complete" in name else name.strip("<>")
    path = Path(file)
    if path.parts[-2:] == ("asyncio", "runners.py") and name == "run":
        return LOOP  # uvloop's own functions are not seen: their time is their caller's
    if path.is_relative_to(ROOT) and "site-packages" not in path.parts:
        return f"{path.relative_to(ROOT)} {name}"
    return f"{'/'.join(path.parts[-2:])} {name}"
