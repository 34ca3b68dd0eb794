"""How the server behind a connection does: memory, persistence, replication, slow calls, queues.

What the server's user may not ask is None here, and never an error: many hosts forbid ``CONFIG``,
``SLOWLOG`` or ``MEMORY``. The memory of a queue is an estimate: its main keys are measured, and its
jobs by a few of each state.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .wire.calls import examining
from .wire.calls.base import Operation
from .wire.calls.examining import SlowCall
from .wire.connections import get_connection
from .wire.keys import Keys
from .wire.readings import ServerInfo, integer

__all__ = [
    "QueueMemory",
    "Replica",
    "SlowCall",
    "Vitals",
    "amemory_of",
    "avitals",
    "memory_of",
    "vitals",
]

#: Queues whose memory one look estimates; the others' figures are those of an earlier look.
QUEUES_A_LOOK = 8
#: How long growth is remembered, and how far two samples lie apart.
REMEMBERED_S, SAMPLE_S = 3_600.0, 60.0


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica of the server: its address, state (``online``) and lag in seconds."""

    address: str
    state: str
    lag_s: int | None


@dataclass(frozen=True, slots=True)
class QueueMemory:
    """About how many bytes a queue takes, of which jobs, and how that grew since *since_s* ago.

    ``job`` is the mean of the jobs looked at, None where there are none.
    """

    bytes: int
    jobs: int
    job: int | None
    grew: int | None = None
    since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Vitals:
    """One look. ``info`` is None where ``INFO`` is forbidden, ``slow`` where ``SLOWLOG`` is.

    ``settings``: those that may be read. ``latency_ms``: of a round trip
    just now, the best of three. ``memory``:
    by queue, as far as known; None where ``MEMORY`` is forbidden. ``grew``: of the whole server's
    memory in the last ``since_s`` seconds, as this process saw it. ``collecting``: whether some
    process counts history now.
    """

    alias: str
    info: ServerInfo | None
    settings: Mapping[str, str]
    slow: list[SlowCall] | None
    latency_ms: float
    collecting: bool
    memory: Mapping[str, QueueMemory] | None
    grew: int | None = None
    since_s: float = 0.0

    def number(self, name: str) -> int | None:
        """A field of ``INFO`` as a whole number; None where it is not there."""
        return None if self.info is None else integer(self.info.info.get(name))

    def word(self, name: str) -> str | None:
        """A field of ``INFO`` as text."""
        return None if self.info is None else self.info.info.get(name)

    @property
    def replicas(self) -> list[Replica]:
        """The replicas of a primary."""
        found = []
        for index in range(self.number("connected_slaves") or 0):
            parts = dict(
                part.partition("=")[::2] for part in (self.word(f"slave{index}") or "").split(",")
            )
            if parts.get("ip"):
                address = f"{parts['ip']}:{parts.get('port', '?')}"
                found.append(Replica(address, parts.get("state", ""), integer(parts.get("lag"))))
        return found

    @property
    def keyspace(self) -> dict[str, dict[str, int]]:
        """Keys, keys with a time to live, by database."""
        if self.info is None:
            return {}
        return {
            name: {
                key: integer(value) or 0
                for key, _, value in (part.partition("=") for part in text.split(","))
            }
            for name, text in self.info.info.items()
            if name.startswith("db") and name[2:].isdigit()
        }


def vitals(alias: str, queues: Iterable[str] = ()) -> Vitals:
    """Look at the server behind *alias*, and at the memory of some of *queues*.

    Which queues' memory is estimated now changes from look to look, so that many looks are cheap.

    Raises:
        ServerUnavailable: it does not answer.
    """
    memory = _memory(alias)
    found = get_connection(alias).run(_look(alias, memory, sorted(queues)))
    return _timed(found, memory)


async def avitals(alias: str, queues: Iterable[str] = ()) -> Vitals:
    """See :func:`vitals`."""
    memory = _memory(alias)
    found = await get_connection(alias).arun(_look(alias, memory, sorted(queues)))
    return _timed(found, memory)


def memory_of(alias: str, queue: str) -> QueueMemory | None:
    """What one queue takes, as :func:`vitals` estimates it; None where the server does not say.

    Raises:
        ServerUnavailable: it does not answer.
    """
    connection = get_connection(alias)
    return connection.run(_estimate(Keys(connection.prefix, queue)))


async def amemory_of(alias: str, queue: str) -> QueueMemory | None:
    """See :func:`memory_of`."""
    connection = get_connection(alias)
    return await connection.arun(_estimate(Keys(connection.prefix, queue)))


def _look(alias: str, memory: _Memory, queues: list[str]) -> Operation[Vitals]:
    prefix = get_connection(alias).prefix
    info = yield examining.info()
    latency = float("inf")
    # The best of three: how long this process itself was busy is not the server's.
    for _ in range(3):
        begun = time.perf_counter()
        yield examining.ping()
        latency = min(latency, (time.perf_counter() - begun) * 1000)
    slow, left, *settings = yield [
        examining.slow_log(),
        examining.collector_left(prefix),
        *examining.settings(),
    ]
    for queue in memory.due(queues):
        memory.put(queue, (yield from _estimate(Keys(prefix, queue))))
    return Vitals(
        alias=alias,
        info=info,
        settings=examining.named_settings(settings),
        slow=slow,
        latency_ms=round(latency, 2),
        collecting=left is not None,
        memory=memory.all(queues),
    )


def _estimate(keys: Keys) -> Operation[QueueMemory | None]:
    """What a queue takes; None where the server does not say."""
    sizes = examining.sizes((yield examining.memory_of(keys)))
    if sizes.forbidden:
        return None
    measured = jobs = 0
    for count, ids in sizes.states:
        if count and ids:
            parts = yield examining.memory_of_jobs(keys, ids)
            measured += round(sum(size or 0 for size in parts) / len(ids) * count)
            jobs += count
    return QueueMemory(sizes.bytes + measured, jobs, round(measured / jobs) if jobs else None)


def _timed(found: Vitals, memory: _Memory) -> Vitals:
    grew, since_s = memory.growth("", found.number("used_memory"))
    return replace(found, grew=grew, since_s=since_s)


@dataclass
class _Samples:
    """What one number was in the last hour, a sample a minute."""

    kept: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, value: int) -> tuple[int | None, float]:
        """Add *value*; how it grew since the oldest sample, and how old that is."""
        now = time.monotonic()
        while self.kept and self.kept[0][0] < now - REMEMBERED_S:
            self.kept.popleft()
        if not self.kept or self.kept[-1][0] <= now - SAMPLE_S:
            self.kept.append((now, value))
        since, first = self.kept[0]
        return (value - first if now - since >= SAMPLE_S else None), now - since


class _Memory:
    """What this process knows of the memory of a connection's queues."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, QueueMemory] = {}
        self._looked: dict[str, float] = {}
        self._samples: dict[str, _Samples] = {}
        self._forbidden = False

    def due(self, queues: list[str]) -> list[str]:
        """The queues whose figures are oldest."""
        with self._lock:
            gone = self._looked.keys() - set(queues)
            for one in gone:
                self._looked.pop(one, None)
                self._known.pop(one, None)
                self._samples.pop(one, None)
            return sorted(queues, key=lambda one: self._looked.get(one, 0.0))[:QUEUES_A_LOOK]

    def put(self, queue: str, found: QueueMemory | None) -> None:
        with self._lock:
            self._looked[queue] = time.monotonic()
            self._forbidden = found is None
            if found is not None:
                grew, since_s = self._samples.setdefault(queue, _Samples()).add(found.bytes)
                self._known[queue] = replace(found, grew=grew, since_s=since_s)

    def all(self, queues: list[str]) -> dict[str, QueueMemory] | None:
        with self._lock:
            if self._forbidden:
                return None
            return {name: self._known[name] for name in queues if name in self._known}

    def growth(self, name: str, value: int | None) -> tuple[int | None, float]:
        if value is None:
            return None, 0.0
        with self._lock:
            return self._samples.setdefault(name, _Samples()).add(value)


_memories: dict[Any, _Memory] = {}
_lock = threading.Lock()


def _memory(alias: str) -> _Memory:
    connection = get_connection(alias)
    with _lock:
        for known in [one for one in _memories if one.alias == alias and one is not connection]:
            del _memories[known]
        return _memories.setdefault(connection, _Memory())
