"""Limit: a named limit, which several queues share: read it, and change it while workers run.

What it allows is declared in ``QUEUECORE["LIMITS"]``, and a queue belongs to it by ``limits=`` of
its processors. It is kept in Redis, by connection and prefix, so that all workers obey one number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from . import conf
from .connected import Connected
from .errors import InvalidOption, LimitNotFound
from .options import RateLimit, Seconds, checked_limit_name, checked_whole, milliseconds
from .wire.calls import limiting
from .wire.calls.base import NOW, Call, Operation
from .wire.keys import Keys


@dataclass(frozen=True, slots=True)
class LimitedQueue:
    """A queue that belongs to a limit: its name, how many of its jobs run (Node's, too), and
    whether it ``waits``: the limit turned a worker of it away, and its turn comes."""

    name: str
    running: int
    waits: bool


@dataclass(frozen=True, slots=True)
class LimitInfo:
    """A named limit at one moment.

    ``concurrency``, ``rate``: what counts now; None is without limit. ``declared_concurrency``,
    ``declared_rate``: what the settings of the worker that began last say.
    ``concurrency_by_hand``, ``rate_by_hand``: somebody has set it, so that the settings do not
    count. ``running``: jobs of all its queues that run. ``started``: starts in the present window
    of the rate. ``ttl``: seconds until that window ends; 0.0 if none is open.
    """

    name: str
    concurrency: int | None
    rate: RateLimit | None
    declared_concurrency: int | None
    declared_rate: RateLimit | None
    concurrency_by_hand: bool
    rate_by_hand: bool
    running: int
    started: int
    ttl: float
    queues: tuple[LimitedQueue, ...]

    @property
    def maxed(self) -> bool:
        """Whether as many jobs run as may at once."""
        return self.concurrency is not None and self.running >= self.concurrency

    @property
    def limited(self) -> bool:
        """Whether as many have started as may in the present window."""
        return self.rate is not None and self.ttl > 0 and self.started >= self.rate.max


class Limit(Connected):
    """A named limit of one connection. Each method exists twice, ``get`` and ``aget``.

    What is set by hand stands above what the settings declare, whichever worker starts, until
    :meth:`reset`.

    Args:
        name: the limit, a key of ``QUEUECORE["LIMITS"]``.
        connection: an alias of ``QUEUECORE["CONNECTIONS"]``.

    Raises:
        InvalidOption: the name is none.
        ConfigurationError: there is no such connection.
    """

    def __init__(self, name: str, connection: str = "default") -> None:
        self.name = checked_limit_name(name)
        super().__init__(connection)

    def __repr__(self) -> str:
        return f"<Limit {self.name!r} on {self.alias!r}>"

    def get(self) -> LimitInfo | None:
        """What it allows, and what its queues use of it; None before a worker has declared it."""
        return self._run(_get(self.connection.prefix, self.name))

    async def aget(self) -> LimitInfo | None:
        """See :meth:`get`."""
        return await self._arun(_get(self.connection.prefix, self.name))

    def set_concurrency(self, concurrency: int) -> None:
        """Let at most *concurrency* jobs of all its queues run at once.

        What runs is not stopped.

        Raises:
            InvalidOption: it is not at least 1.
            LimitNotFound: no worker has declared the limit, and the settings do not know it.
        """
        self._run(self._set_concurrency(concurrency))

    async def aset_concurrency(self, concurrency: int) -> None:
        """See :meth:`set_concurrency`."""
        await self._arun(self._set_concurrency(concurrency))

    def remove_concurrency(self) -> None:
        """Let any number run at once, whatever the settings say, until :meth:`reset`."""
        self._run(self._change("concurrency"))

    async def aremove_concurrency(self) -> None:
        """See :meth:`remove_concurrency`."""
        await self._arun(self._change("concurrency"))

    def set_rate_limit(self, max: int, duration: Seconds) -> None:
        """Start at most *max* jobs of all its queues in *duration* (seconds or a timedelta).

        The window that is open goes on, but no longer than *duration* from now.

        Raises:
            InvalidOption: they are no limit.
            LimitNotFound: no worker has declared the limit, and the settings do not know it.
        """
        self._run(self._set_rate(max, duration))

    async def aset_rate_limit(self, max: int, duration: Seconds) -> None:
        """See :meth:`set_rate_limit`."""
        await self._arun(self._set_rate(max, duration))

    def remove_rate_limit(self) -> None:
        """Let any number start, whatever the settings say, until :meth:`reset`."""
        self._run(self._change("rate"))

    async def aremove_rate_limit(self) -> None:
        """See :meth:`remove_rate_limit`."""
        await self._arun(self._change("rate"))

    def reset(self) -> bool:
        """Let the settings count again; whether something was set by hand."""
        return self._run(self._change("reset"))

    async def areset(self) -> bool:
        """See :meth:`reset`."""
        return await self._arun(self._change("reset"))

    def remove(self) -> bool:
        """Forget the limit, with which queues belong to it, until a worker that starts declares it.

        To lift it in the meantime, too, take its parts away: :meth:`remove_concurrency`. Gives
        whether there was one.
        """
        return self._run(self._change("remove"))

    async def aremove(self) -> bool:
        """See :meth:`remove`."""
        return await self._arun(self._change("remove"))

    def _set_concurrency(self, concurrency: int) -> Operation[bool]:
        if not checked_whole(concurrency, "concurrency"):
            raise InvalidOption("concurrency must be at least 1; to stop a queue, pause it")
        return (yield from self._change("concurrency", str(concurrency)))

    def _set_rate(self, most: int, duration: Seconds) -> Operation[bool]:
        return (yield from self._change("rate", limiting.wire_rate(_ms(RateLimit(most, duration)))))

    def _change(self, change: str, value: str = "") -> Operation[bool]:
        declared = self.name in conf.get_settings().limits
        code = yield limiting.change_limit(
            self.connection.prefix, self.name, change, value, declared
        )
        if code < 0:
            raise LimitNotFound(f"there is no limit {self.name!r} on {self.alias!r}")
        return bool(code)


def get_limits(connection: str = "default") -> list[LimitInfo]:
    """All named limits of a connection, by name."""
    one = Connected(connection)
    return one._run(_all(one.connection.prefix))


async def aget_limits(connection: str = "default") -> list[LimitInfo]:
    """See :func:`get_limits`."""
    one = Connected(connection)
    return await one._arun(_all(one.connection.prefix))


def limits_of(keys: Keys) -> Operation[list[LimitInfo]]:
    """The named limits to which a queue belongs."""
    names = yield limiting.get_limits_of(keys)
    return (yield from _get_many(keys.prefix, names))


def declare(keys: Keys, names: Sequence[str]) -> Call[None]:
    """Let a queue belong to the limits *names* of the settings, and to no others.

    Raises:
        ConfigurationError: the settings have no such limit.
    """
    settings = conf.get_settings()
    found: Mapping[str, limiting.Allowed] = {
        name: (settings.limit(name).concurrency, _ms(settings.limit(name).rate)) for name in names
    }
    return limiting.declare_limits(keys, found)


def _all(prefix: str) -> Operation[list[LimitInfo]]:
    names = yield limiting.get_limit_names(prefix)
    return (yield from _get_many(prefix, names))


def _get(prefix: str, name: str) -> Operation[LimitInfo | None]:
    found = yield from _get_many(prefix, [name])
    return found[0] if found else None


def _get_many(prefix: str, names: Sequence[str]) -> Operation[list[LimitInfo]]:
    if not names:
        return []
    now = yield NOW
    found = yield [limiting.get_limit(prefix, name, now) for name in names]
    pairs = zip(names, found, strict=True)
    return [_info(name, kept) for name, kept in pairs if kept is not None]


def _info(name: str, kept: limiting.Limits) -> LimitInfo:
    return LimitInfo(
        name=name,
        concurrency=kept.allowed[0],
        rate=_rate(kept.allowed[1]),
        declared_concurrency=kept.declared[0],
        declared_rate=_rate(kept.declared[1]),
        concurrency_by_hand="concurrency" in kept.by_hand,
        rate_by_hand="rate" in kept.by_hand,
        running=sum(running for _, running, _ in kept.queues),
        started=kept.used,
        ttl=kept.ttl / 1000,
        queues=tuple(LimitedQueue(*one) for one in kept.queues),
    )


def _rate(kept: tuple[int, int] | None) -> RateLimit | None:
    return None if kept is None else RateLimit(kept[0], kept[1] / 1000)


def _ms(rate: RateLimit | None) -> tuple[int, int] | None:
    return None if rate is None else (rate.max, milliseconds(rate.duration, "duration"))
