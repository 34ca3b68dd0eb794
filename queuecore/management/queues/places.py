"""Places: queues as a command line names them, ``NAME`` or ``ALIAS:NAME``, found or explained."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from django.core.management.base import CommandError

from queuecore.errors import ServerUnavailable, did_you_mean
from queuecore.inspect import Inspector, aliases
from queuecore.queue import Queue
from queuecore.visible import one_line


@dataclass(frozen=True, slots=True)
class Place:
    """A queue: the connection's alias and the name."""

    alias: str
    name: str

    @property
    def label(self) -> str:
        """As people are told of it; the alias where it is not the usual one."""
        return one_line(self.name if self.alias == "default" else f"{self.alias}:{self.name}")

    @property
    def queue(self) -> Queue:
        """The queue itself."""
        return Queue.existing(self.name, self.alias)


def checked(alias: str) -> str:
    """The alias, if there is such a connection. Raises CommandError."""
    if alias not in aliases():
        raise CommandError(
            f"there is no connection {alias!r}{did_you_mean(alias, aliases())}; there are: "
            f"{', '.join(aliases())}"
        )
    return alias


def split(text: str, connection: str | None = None) -> Place:
    """What *text* names; with a *connection*, all of it is the queue's name."""
    if connection is not None:
        return Place(checked(connection), text)
    alias, colon, name = text.partition(":")
    return Place(alias, name) if colon and alias in aliases() else Place("default", text)


def one(text: str, connection: str | None = None) -> Place:
    """The queue that *text* names.

    Raises:
        CommandError: there is none.
        ServerUnavailable: nobody knows.
    """
    place = split(text, connection)
    if not place.name or not _exists(place):
        raise _unknown(place)
    return place


def some(
    texts: Sequence[str], connection: str | None = None, *, patterns: bool = True
) -> dict[str, list[str] | None]:
    """The queues that *texts* name, by connection; None is all of a connection.

    A text with ``*`` or ``?`` that is no queue's name is a pattern.

    Raises:
        CommandError: one of them names nothing.
    """
    if not texts:
        return dict.fromkeys([checked(connection)] if connection else aliases())
    found: dict[str, dict[str, None]] = {}
    for text in texts:
        place = split(text, connection)
        names = [place.name]
        if not place.name or not _exists(place):
            wild = patterns and ("*" in place.name or "?" in place.name)
            names = _like(place) if wild else []
            if not names:
                raise _unknown(place)
        found.setdefault(place.alias, {}).update(dict.fromkeys(names))
    return {alias: list(names) for alias, names in found.items()}


def meant(texts: Sequence[str], connection: str | None = None) -> Callable[[str, str], bool]:
    """Whether *texts* name a queue, by alias and name, whether it is there or not; none means all.

    Raises:
        CommandError: there is no such connection.
    """
    only = checked(connection) if connection is not None else None
    wanted = [split(text, connection) for text in texts]

    def fits(alias: str, name: str) -> bool:
        if not wanted:
            return only in (None, alias)
        return any(
            one.alias == alias and (one.name == name or _fits(name, one.name)) for one in wanted
        )

    return fits


def listed(by_alias: dict[str, list[str] | None]) -> list[Place]:
    """The same as places, all of them looked up."""
    return [
        Place(alias, name)
        for alias, names in by_alias.items()
        for name in (Inspector(alias).discover(scan=True) if names is None else names)
    ]


def _exists(place: Place) -> bool:
    inspector = Inspector(place.alias)
    if inspector.snapshots([place.name])[place.name].exists:
        return True
    # Nothing was ever added, but a worker waits for it.
    return place.name in inspector.discover(scan=False)


def _like(place: Place) -> list[str]:
    names = Inspector(place.alias).discover(scan=True)
    return [name for name in names if _fits(name, place.name)]


def _fits(name: str, pattern: str) -> bool:
    # A bracket is a bracket, as in scopes, so that any name can be written as it is.
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _unknown(place: Place) -> CommandError:
    names = Inspector(place.alias).discover(scan=True)
    told = f"there is no queue {one_line(place.name)!r} on the connection {place.alias!r}"
    if hint := did_you_mean(place.name, names):
        return CommandError(told + one_line(hint))
    for alias in aliases():
        with contextlib.suppress(ServerUnavailable):
            if alias != place.alias and place.name in Inspector(alias).discover(scan=True):
                return CommandError(f"{told}; did you mean {alias}:{one_line(place.name)}?")
    return CommandError(f"{told}; manage.py queues list shows which there are")
