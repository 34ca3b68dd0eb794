"""Health: whether this process works, looked at from a thread of its own once a second.

It is *live* while its event loop turns, and *ready* while the loop turns swiftly, every Redis that
it works from answers, and it is not about to end. Restarting it helps only where it is not live:
Redis may be away for long, and jobs that run meanwhile keep their results.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ..errors import QueueCoreError
from ..wire.calls.base import Command
from ..wire.connections import Connection
from .presence import Lag, resident
from .worker import Worker

#: How often it is looked, and for how long the word of a process or server counts; in seconds.
LOOK, FRESH = 1.0, 8.0
#: An event loop that owes a sign of life for so long is not ready, or not even live.
SLOW, DEAD = 5.0, 60.0

Report = dict[str, Any]
Tell = Callable[[Report], None]


class HealthFile:
    """A file that is written anew while all is well, and gone once the worker has ended.

    A probe looks at its age: it stays as it was while something is wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.remove()  # one that was killed has left it

    def tell(self, report: Report) -> None:
        """Write it, as a whole, if *report* says that all is well."""
        if report["ready"]:
            beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
            with contextlib.suppress(OSError):  # a full disk ends no worker
                beside.write_text(json.dumps(report))
                beside.replace(self.path)

    def remove(self) -> None:
        """Nobody is well any more."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


async def watch(workers: Sequence[Worker], tell: Tell) -> None:
    """Give *tell* a report on this process every second, from a thread; never returns."""
    health = _Health(workers, asyncio.get_running_loop(), tell)
    health.start()
    try:
        await asyncio.Event().wait()
    finally:
        health.stop()


def together(reports: Iterable[tuple[int, float, Report]], size: int) -> Report:
    """One report on *size* processes, of their own, each with its number and age in seconds."""
    told = [(number, age, report) for number, age, report in reports if age < DEAD]
    ready = {number for number, age, report in told if report["ready"] and age < FRESH}
    return _report(
        live=all(report["live"] for _, _, report in told),
        ready=len(ready) >= size,
        processes=[{"number": number, **report} for number, _, report in told],
    )


def _report(*, live: bool, ready: bool, **more: Any) -> Report:
    status = "ok" if ready else "not ready" if live else "blocked"
    return {"status": status, "live": live, "ready": ready, "pid": os.getpid(), **more}


class _Health(threading.Thread):
    def __init__(
        self, workers: Sequence[Worker], loop: asyncio.AbstractEventLoop, tell: Tell
    ) -> None:
        super().__init__(name="queuecore-health", daemon=True)
        self._workers = workers
        self._lag = Lag(loop)
        self._tell = tell
        self._stopping = threading.Event()
        connections = {one.queue.connection for one in workers}
        self._pulses = [_Pulse(one, self._stopping) for one in connections]

    def run(self) -> None:
        for pulse in self._pulses:
            pulse.start()
        while not self._stopping.wait(LOOK):
            self._tell(self._look())

    def stop(self) -> None:
        self._stopping.set()

    def _look(self) -> Report:
        lag = self._lag.measure()
        answers = {one.alias: one.is_well() for one in self._pulses}
        works = all(one.is_running() for one in self._workers)
        return _report(
            live=lag < DEAD,
            ready=lag < SLOW and works and all(answers.values()),
            lag=round(lag, 3),
            memory=resident(),
            cpu=round(time.process_time(), 3),
            connections={name: "ok" if well else "away" for name, well in answers.items()},
            queues=[
                {
                    "connection": one.queue.alias,
                    "queue": one.queue.name,
                    "concurrency": one.concurrency,
                    "busy": one.running,
                    "completed": one._runs.completed,
                    "failed": one._runs.failed,
                }
                for one in self._workers
            ],
        )


class _Pulse(threading.Thread):
    """Asks one server for a sign of life every second; it may hang without harm to others."""

    def __init__(self, connection: Connection, stopping: threading.Event) -> None:
        super().__init__(name=f"queuecore-pulse-{connection.alias}", daemon=True)
        self.alias = connection.alias
        self._connection = connection.sibling()
        self._stopping = stopping
        self._last = float("-inf")

    def is_well(self) -> bool:
        return time.monotonic() - self._last < FRESH

    def run(self) -> None:
        while True:
            try:
                self._connection.run(Command(("PING",), bool))
                self._last = time.monotonic()
            except QueueCoreError:
                self._last = float("-inf")
            if self._stopping.wait(LOOK):
                self._connection.close()
                break
