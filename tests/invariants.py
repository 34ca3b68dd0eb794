"""What must be true of a queue at every moment, whoever works it (the rules: invariants.lua)."""

from pathlib import Path
from typing import Any

import redis

SCRIPT = Path(__file__).with_suffix(".lua").read_text()
# The clocks of two processes, one of them corrected by the server's, differ by so many ms.
TOLERANCE = 20


def look(
    client: redis.Redis,
    queue: str,
    *,
    prefix: str = "bull",
    idle: bool = False,
    tolerance: int = TOLERANCE,
) -> tuple[dict[str, int], list[str]]:
    """How many jobs stand in each state, and what is wrong, from one atomic snapshot.

    ``idle`` adds what holds only while no worker lives and none was killed: something must be
    there to wake the next one. ``tolerance``: ms that times of two processes may contradict each
    other; a call carries the time of its sending, so one that waits long is behind by that.
    """
    counts, found = client.eval(SCRIPT, 1, f"{prefix}:{queue}:", tolerance, int(idle))
    return dict(zip(counts[::2], counts[1::2], strict=True)), found


def check(client: redis.Redis, queue: str, **options: Any) -> dict[str, int]:
    """:func:`look`, failing where anything is wrong; gives the number of jobs a state."""
    counts, found = look(client, queue, **options)
    assert not found, f"queue {queue}, {counts}:\n" + "\n".join(found)
    return counts
