"""Mutes: what nobody wants to hear of for a while, one hash for all queues of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..keys import connection_key
from .base import Command, Operation

# What nobody has touched for so long goes away, also what was muted until it ends.
KEEP_S = 90 * 24 * 3600


def get_mutes(prefix: str, most: int) -> Command[list[tuple[Any, Any]]]:
    """About the first *most* fields and values."""
    return Command(
        ("HSCAN", connection_key(prefix, "mutes"), 0, "COUNT", most),
        lambda answer: _pairs(answer)[:most],
        tolerant=True,
    )


def put_mute(prefix: str, field: bytes, value: bytes, over: Sequence[Any] = ()) -> Operation[None]:
    """Keep one, and forget those that are *over*."""
    key = connection_key(prefix, "mutes")
    requests: list[Any] = [Command(("HSET", key, field, value)), Command(("EXPIRE", key, KEEP_S))]
    if over:
        requests.insert(0, Command(("HDEL", key, *over)))
    yield requests


def lift_mutes(prefix: str, fields: Sequence[bytes]) -> Command[int]:
    """Forget some; how many there were."""
    return Command(("HDEL", connection_key(prefix, "mutes"), *fields))


def _pairs(answer: Any) -> list[tuple[Any, Any]]:
    """HSCAN's answer, as a list of pairs, whatever the client has made of it."""
    if not answer:
        return []
    found = answer[1]
    if isinstance(found, dict):
        return list(found.items())
    return list(zip(found[::2], found[1::2], strict=False))
