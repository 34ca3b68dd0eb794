"""Sources: what a topic shows beyond its queues and jobs, and how often that is read.

A fragments module that needs one registers it. Its value lies in ``state[alias].extra[kind]``, or
in ``state.extra[kind]`` where it belongs to no connection. It is read once for all who look: by a
page when it is asked for, by the hub every ``period`` seconds while somebody has it open.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from channels.db import database_sync_to_async

if TYPE_CHECKING:
    from .state import Topic

#: The topics of one kind that are open now, each with the ids on screen.
Asked = Sequence[tuple["Topic", Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Source:
    """Reads one kind of topic; ``read(alias, asked)`` and its async twin give the same value.

    ``alias`` is empty without ``by_connection``. ``whole``: what it reads is all that the topic
    shows, so its patches are made when that was read and at no other time.
    """

    period: float
    read: Callable[[str, Asked], Any]
    aread: Callable[[str, Asked], Awaitable[Any]]
    by_connection: bool = True
    whole: bool = True


SOURCES: dict[str, Source] = {}


#: What a topic shows beside its own source: the names of further ones, by the topic's kind.
_FURTHER: dict[str, list[str]] = {}


def register(kind: str, source: Source, *, name: str = "") -> Source:
    """Let *source* serve the topics of *kind*; with a *name* beside the one that is theirs."""
    SOURCES[name or kind] = source
    if name:
        _FURTHER.setdefault(kind, []).append(name)
    return source


def sources_of(kind: str) -> list[str]:
    """The names of the sources of the topics of *kind*."""
    return [name for name in (kind, *_FURTHER.get(kind, ())) if name in SOURCES]


def of_database(period: float, read: Callable[[Asked], Any], *, whole: bool = True) -> Source:
    """Make a source of a function that asks the database."""

    def ask(alias: str, asked: Asked) -> Any:
        return read(asked)

    return Source(period, ask, database_sync_to_async(ask), by_connection=False, whole=whole)
