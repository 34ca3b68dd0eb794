"""Mutes: what nobody wants to hear of for a while, kept where every process sees it.

A mute is about one thing that is wrong with one queue. It ends at a time, or when whoever looks
finds that the thing itself has ended. Nothing else depends on it: what is muted goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .connected import Connected
from .wire import codec
from .wire.calls import muting
from .wire.calls.base import NOW, Operation

__all__ = ["Mute", "Mutes"]

#: The most that are read; who mutes more than that should mend something.
MOST = 1_000
_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Mute:
    """*kind* of trouble with *queue*, of its part *target* where it has several.

    ``by`` and ``reason``: who did not want to hear of it, and why. ``until``: None until it ends.
    """

    kind: str
    queue: str
    target: str
    by: str
    reason: str
    since: datetime
    until: datetime | None

    @property
    def key(self) -> tuple[str, str, str]:
        """What it is about."""
        return self.kind, self.queue, self.target


class Mutes(Connected):
    """The mutes of one connection. Every method has an async twin, its name with an ``a``.

    All raise :class:`queuecore.errors.ServerUnavailable` while the server is away.

    Args:
        alias: a key of ``QUEUECORE["CONNECTIONS"]``.
    """

    def all(self) -> list[Mute]:
        """All that hold now, the newest first."""
        return self._run(self._all())

    async def aall(self) -> list[Mute]:
        """See :meth:`all`."""
        return await self._arun(self._all())

    def put(
        self,
        kind: str,
        queue: str,
        target: str = "",
        *,
        by: str = "",
        reason: str = "",
        seconds: float | None = None,
    ) -> None:
        """Mute it for *seconds*, or until it is lifted; instead of an earlier mute of the same."""
        self._run(self._put(kind, queue, target, by, reason, seconds))

    async def aput(
        self,
        kind: str,
        queue: str,
        target: str = "",
        *,
        by: str = "",
        reason: str = "",
        seconds: float | None = None,
    ) -> None:
        """See :meth:`put`."""
        await self._arun(self._put(kind, queue, target, by, reason, seconds))

    def lift(self, keys: Iterable[tuple[str, str, str]]) -> int:
        """Forget the mutes of *keys*: (kind, queue, target); how many there were."""
        return self._run(self._lift(list(keys)))

    async def alift(self, keys: Iterable[tuple[str, str, str]]) -> int:
        """See :meth:`lift`."""
        return await self._arun(self._lift(list(keys)))

    def _all(self) -> Operation[list[Mute]]:
        now = yield NOW
        held = yield muting.get_mutes(self.connection.prefix, MOST)
        known = [mute for name, value in held if (mute := _read(name, value)) is not None]
        at = _moment(now)
        holding = [one for one in known if one.until is None or (at and one.until > at)]
        return sorted(holding, key=lambda one: one.since, reverse=True)

    def _put(
        self, kind: str, queue: str, target: str, by: str, reason: str, seconds: float | None
    ) -> Operation[None]:
        now = yield NOW
        until = 0 if seconds is None else now + round(seconds * 1000)
        held = yield muting.get_mutes(self.connection.prefix, MOST)
        over = [name for name, value in held if _over(name, value, now)]
        value = codec.dumps(
            {"by": by[:_LENGTH], "reason": reason[:_LENGTH], "since": now, "until": until}
        )
        yield from muting.put_mute(self.connection.prefix, _field(kind, queue, target), value, over)

    def _lift(self, keys: list[tuple[str, str, str]]) -> Operation[int]:
        if not keys:
            return 0
        fields = [_field(*key) for key in keys]
        lifted: int = yield muting.lift_mutes(self.connection.prefix, fields)
        return lifted


def _field(kind: str, queue: str, target: str) -> bytes:
    return codec.dumps([kind, queue, target])


def _read(name: Any, value: Any) -> Mute | None:
    """A mute as it lies in the server; None for anything else that lies there."""
    try:
        key, said = codec.loads(name), codec.loads(value)
        kind, queue, target = key
        by, reason = said["by"], said["reason"]
        since, until = _moment(said["since"]), said["until"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    if not all(isinstance(one, str) for one in (kind, queue, target, by, reason)):
        return None
    end = _moment(until) if until else None
    if since is None or (until and end is None):
        return None
    return Mute(kind, queue, target, by[:_LENGTH], reason[:_LENGTH], since, end)


def _over(name: Any, value: Any, now: int) -> bool:
    mute, at = _read(name, value), _moment(now)
    return mute is None or bool(mute.until and at and mute.until <= at)


def _moment(ms: Any) -> datetime | None:
    if isinstance(ms, bool) or not isinstance(ms, int | float):
        return None
    try:
        return datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
