"""The history of all queues of a connection: one lock, two lists."""

from __future__ import annotations

from ..keys import connection_key
from .base import Call, Command

SECONDS, MINUTES = 900, 1440
# A list that nobody adds to any more goes away after two days.
KEEP_S = 2 * 24 * 3600


def keep_history(
    prefix: str, token: str, ttl_ms: int, second: str = "", minute: str = ""
) -> Call[bool]:
    """Lead for *ttl_ms* more and store records; False if somebody else leads. 0 ms lets go."""
    return Call(
        "keep_history",
        (
            connection_key(prefix, "collector"),
            connection_key(prefix, "seconds"),
            connection_key(prefix, "minutes"),
        ),
        (token, ttl_ms, SECONDS, MINUTES, KEEP_S, second, minute),
        bool,
    )


def get_history(prefix: str, kind: str, newest: int) -> Command[list[bytes]]:
    """The *newest* records of ``seconds`` or ``minutes``, newest first."""
    return Command(
        ("LRANGE", connection_key(prefix, kind), 0, newest - 1),
        lambda answer: answer or [],
        tolerant=True,
    )
