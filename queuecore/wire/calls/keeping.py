"""The history of all queues of a connection: one lock, three lists."""

from __future__ import annotations

from ..keys import connection_key
from .base import Call, Command

SECONDS, MINUTES, QUARTERS = 900, 1440, 672
# A list that nobody adds to any more goes away after two days; quarters after eight.
KEEP_S, KEEP_QUARTERS_S = 2 * 24 * 3600, 8 * 24 * 3600


def keep_history(
    prefix: str, token: str, ttl_ms: int, second: str = "", minute: str = "", quarter: str = ""
) -> Call[bool]:
    """Lead for *ttl_ms* more and store records; False if somebody else leads. 0 ms lets go.

    A quarter that is not newer than the newest there is stored already, and passed over.
    """
    return Call(
        "keep_history",
        (
            connection_key(prefix, "collector"),
            connection_key(prefix, "seconds"),
            connection_key(prefix, "minutes"),
            connection_key(prefix, "quarters"),
        ),
        (
            token,
            ttl_ms,
            *(SECONDS, KEEP_S, second),
            *(MINUTES, KEEP_S, minute),
            *(QUARTERS, KEEP_QUARTERS_S, quarter),
        ),
        bool,
    )


def get_history(prefix: str, kind: str, newest: int) -> Command[list[bytes]]:
    """The *newest* records of ``seconds``, ``minutes`` or ``quarters``, newest first."""
    return Command(
        ("LRANGE", connection_key(prefix, kind), 0, newest - 1),
        lambda answer: answer or [],
        tolerant=True,
    )
