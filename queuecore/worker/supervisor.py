"""Supervisor: starts worker processes, watches them, starts others in place of those that end.

It works no jobs itself. Each child is a process of ``runworker`` of its own, with a socket to here
by which it says which workers it has, so that the jobs of one that died run again at once instead
of when their locks have run out, and when it wants to be replaced: then it is told when it may end,
which is once another works. A socket that closes tells a child that its supervisor has died.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from ..errors import QueueCoreError
from ..queue import Queue
from ..wire import attendance
from ..wire.attendance import FleetPlace
from ..wire.calls import attending
from ..wire.calls.base import Operation
from ..wire.calls.working import recover_worker
from ..wire.codec import dumps
from ..wire.connections import Connection, get_connection
from . import health
from .changes import Changes
from .child import Child
from .demand import LANES
from .stalled import report
from .tasks import stop_signals

logger = logging.getLogger("queuecore.worker")

# Seconds between two starts of a child that dies; and how long one lives that is taken for well.
_FIRST_PAUSE, _LONGEST_PAUSE, _WELL = 0.5, 30.0, 30.0
# How often the jobs of a dead child are tried to be given back while the server is away, seconds.
_TRIES, _BETWEEN = 20, 0.5
# What the farewell gets when the fleet ends.
_FAREWELL = 1.5
# When its code has changed: what running jobs get to finish, and what handing them back may take.
_GRACE, _HANDING_BACK = 2.0, 5.0


class Supervisor:
    """Keeps *size* processes of *command* running, until it is told to stop or all have ended.

    A child that ends with code 0 and did not ask for another has done its work, or was drained: it
    is not replaced. With *changes* all are replaced when a file changes, the jobs they run being
    handed back; one that dies soon after its start is then started again with the next change.

    Args:
        max_stalled: ``MAX_STALLED_COUNT`` of the workers.
        shutdown_timeout: seconds that their running jobs get after a signal.
        queues: what they work, each with its connection's alias.
        every: seconds between two heartbeats; None tells nobody of the fleet.
        changes: the files whose change ends every child, for another with the new code.
        unchanged: further arguments of a child whose code is the one that this process has.
        tell: is given a report on the health of all processes every second.
    """

    def __init__(
        self,
        command: Sequence[str],
        size: int,
        *,
        max_stalled: int,
        shutdown_timeout: float,
        queues: Sequence[tuple[str, str]] = (),
        every: float | None = None,
        changes: Changes | None = None,
        unchanged: Sequence[str] = (),
        tell: health.Tell | None = None,
    ) -> None:
        self._tell_health = tell
        self._unchanged = unchanged
        self._queues = queues
        self._changes = changes
        self._generation = 0
        self._renewed = asyncio.Event()
        self._every = every
        self._seats = [_Seat(number) for number in range(1, size + 1)]
        self._changed = asyncio.Event()
        self._command = command
        self._size = size
        self._max_stalled = max_stalled
        self._shutdown_timeout = shutdown_timeout
        self._fleet = uuid4().hex
        self._restarts = self._recycles = 0
        self._children: set[Child] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._failed = False
        self._deadline = 0.0

    def run(self) -> int:
        """Supervise until the end; the exit code: 1 if a child failed while it was to stop."""
        return asyncio.run(self._run())

    async def _run(self) -> int:
        self._stop = asyncio.Event()
        self._turn = asyncio.Lock()
        loop = asyncio.get_running_loop()
        for number in stop_signals():
            loop.add_signal_handler(number, self._on_signal, number)
        telling = [loop.create_task(self._tell(alias)) for alias in self._aliases()]
        telling.append(loop.create_task(self._lose_patience()))
        if self._changes is not None:
            telling.append(loop.create_task(self._renew(self._changes)))
        if self._tell_health is not None:
            telling.append(loop.create_task(self._report(self._tell_health)))
        try:
            await asyncio.gather(*map(self._keep, self._seats))
            while self._endings:
                await asyncio.wait(self._endings)
        finally:
            for task in telling:
                task.cancel()
            await asyncio.gather(*telling, return_exceptions=True)
            for connection in self._connections:
                await connection.aclose()
        return int(self._failed)

    def _on_signal(self, number: int) -> None:
        given = Child.UNWIND if self._stop.is_set() else self._shutdown_timeout + Child.UNWIND
        self._deadline = time.monotonic() + given
        self._stop.set()
        logger.info("%s: passed on to %d processes", _name(number), len(self._children))
        for child in self._children:
            child.tell(number)

    async def _lose_patience(self) -> None:
        """Kill what does not stop, so that its jobs run again at once."""
        await self._stop.wait()
        while (left := self._deadline - time.monotonic()) > 0:  # noqa: ASYNC110 (a second may come)
            await asyncio.sleep(min(left, 0.5))
        for child in self._children:
            logger.error("process %d does not stop, and is killed", child.pid)
            child.tell(signal.SIGKILL)

    async def _keep(self, seat: _Seat) -> None:
        """Keep one place of the fleet taken."""
        try:
            await self._fill(seat)
        finally:
            seat.state = "ended"
            self._wake()

    async def _fill(self, seat: _Seat) -> None:
        child, pause = None, 0.0
        while not self._stop.is_set():
            if child is None:
                if pause:
                    seat.state, seat.until = "waiting", time.time() + pause
                    self._wake()
                if await self._stopped_within(pause):
                    break
                child = self._start(seat)
                self._seat(seat, child)
            either: list[asyncio.Future[Any]] = [child.ended, child.worn]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not child.ended.done():
                async with self._turn:  # one after another: never are all of them new
                    child = await self._replace(seat, child)
                pause = 0.0
                continue
            code, outdated = child.ended.result(), child.generation != self._generation
            if (code == 0 and not outdated) or self._stop.is_set():
                break
            if outdated:
                pause = 0.0
            elif self._changes is not None and not _was_well(child):
                await self._until_a_change(seat, child, code)
                pause = 0.0
            else:
                pause = self._died(seat, child, code, pause)
            child = None

    async def _replace(self, seat: _Seat, worn: Child) -> Child:
        """Start another in place of one that is worn, which works on until the other is ready.

        The worn one itself is given back if it has ended meanwhile, or all are to stop.
        """
        pause = 0.0
        while not (await self._stopped_within(pause) or worn.ended.done()):
            self._recycles += 1
            child = self._start(seat)
            either: list[asyncio.Future[Any]] = [child.ended, child.ready]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if child.ready.done() or child.ended.result() == 0:
                seat.recycles += 1
                seat.failures = 0
                seat.end(f"had worked enough: {worn.worn.result()}")
                self._seat(seat, child)
                worn.retire()
                return child
            self._recycles -= 1
            if self._stop.is_set() or child.generation != self._generation:
                break
            pause = self._died(seat, child, child.ended.result(), pause)
        return worn

    async def _stopped_within(self, seconds: float) -> bool:
        if seconds:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()

    def _seat(self, seat: _Seat, child: Child) -> None:
        seat.state, seat.pid, seat.begun = "running", child.pid, child.begun
        self._wake()

    def _died(self, seat: _Seat, child: Child, code: int, pause: float) -> float:
        """Remember that it has died; how long to wait until the next start, given the last time."""
        self._restarts += 1
        seat.restarts += 1
        seat.end(_end(code))
        well = _was_well(child)
        seat.failures = 1 if well else seat.failures + 1
        pause = _FIRST_PAUSE if well or not pause else min(2 * pause, _LONGEST_PAUSE)
        logger.error(
            "process %d of %d (pid %d) %s; another starts in %g s",
            seat.number, self._size, child.pid, _end(code), pause,
        )  # fmt: skip
        return pause

    # New code

    async def _renew(self, changes: Changes) -> None:
        """End every process when a file changes; where they were, others are started."""
        while True:
            file = await changes.next()
            self._generation += 1
            logger.info("%s has changed: running jobs are handed back, and it starts again", file)
            renewed, self._renewed = self._renewed, asyncio.Event()
            renewed.set()
            await asyncio.gather(*map(_send_home, tuple(self._children)))

    async def _until_a_change(self, seat: _Seat, child: Child, code: int) -> None:
        """What has just been started does not work: wait until somebody has mended it."""
        assert self._changes is not None
        seat.end(_end(code))
        logger.error("the worker %s; it starts again when a file changes", _end(code))
        with self._changes.needed():
            while child.generation == self._generation and not self._stop.is_set():
                either = [asyncio.ensure_future(one.wait()) for one in (self._renewed, self._stop)]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                for one in either:
                    one.cancel()

    def _hear(self, child: Child, said: dict[str, Any]) -> None:
        if "health" in said:
            child.health = (time.monotonic(), said["health"])
        if self._changes is not None:
            self._changes.add(said.get("files", ()))
            if "changed" in said:
                self._changes.tell(said["changed"])

    # What is told of it

    async def _report(self, tell: health.Tell) -> None:
        while True:
            now = time.monotonic()
            told = [
                (one.number, now - one.health[0], one.health[1])
                for one in sorted(self._children, key=lambda child: child.number)
                if one.health is not None
            ]
            tell(health.together(told, self._size))
            await asyncio.sleep(health.LOOK)

    def _aliases(self) -> list[str]:
        return sorted({alias for alias, _name in self._queues}) if self._every else []

    def _wake(self) -> None:
        """Tell of a change at once."""
        self._changed.set()

    async def _tell(self, alias: str) -> None:
        """Say on one connection how the fleet is, every few seconds and when something changes."""
        assert self._every is not None
        connection = get_connection(alias).sibling()
        started = None
        try:
            while True:
                self._changed.clear()
                with contextlib.suppress(QueueCoreError):
                    now = await connection.anow()
                    started = started or now
                    record = self._record(alias, started, now)
                    await connection.arun(
                        attending.beat_fleet(connection.prefix, self._fleet, record, now)
                    )
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._every):
                        await self._changed.wait()
                await asyncio.sleep(self._every / 20)  # several changes are told together
        finally:
            with contextlib.suppress(QueueCoreError, TimeoutError):
                async with asyncio.timeout(_FAREWELL):
                    await connection.arun(attending.leave_fleet(connection.prefix, self._fleet))
            await connection.aclose()

    def _record(self, alias: str, started: int, now: int) -> bytes:
        # The seats count by this machine's clock; the record is in the server's time.
        ahead = now - round(time.time() * 1000)
        queues = [name for at, name in self._queues if at == alias]
        value = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "started": started,
            "every": round((self._every or 0) * 1000),
            "restarts": self._restarts,
            "recycles": self._recycles,
            "queues": queues[: attendance.MOST_QUEUES],
            "seats": [one.told(ahead) for one in self._seats[: attendance.MOST_SEATS]],
        }
        return dumps(value, "the fleet")

    def _start(self, seat: _Seat) -> Child:
        place = FleetPlace(
            self._fleet, os.getpid(), seat.number, self._size, self._restarts, self._recycles
        )
        command = self._command if self._generation else [*self._command, *self._unchanged]
        child = Child(command, place, self._hear, self._generation)
        self._children.add(child)
        ending = asyncio.create_task(self._until_end(child))
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
        return child

    async def _until_end(self, child: Child) -> None:
        code = await child.ended
        self._children.discard(child)
        if code != 0:
            # One that had not begun yet dies of being told to stop, and has lost nothing.
            begun = child.ready.done() and -code not in stop_signals()
            self._failed |= self._stop.is_set() and begun
            await asyncio.gather(*(self._recover(child, *one) for one in child.workers))
            await self._forget(child)

    async def _forget(self, child: Child) -> None:
        """Take away what a child that died has told of itself: it says nothing more."""
        for alias in {alias for alias, _name, _worker in child.workers}:
            connection = get_connection(alias)
            self._connections.add(connection)
            with contextlib.suppress(QueueCoreError):
                await connection.arun(self._forgetting(connection.prefix, child.pid))

    def _forgetting(self, prefix: str, pid: int) -> Operation[None]:
        for one in (yield from attending.get_processes(prefix)):
            if one.pid == pid and one.place is not None and one.place.fleet == self._fleet:
                yield from attending.leave(prefix, one.id)

    async def _recover(self, child: Child, alias: str, name: str, worker: str) -> None:
        """Let the jobs of a worker that died run again."""
        queue = Queue.existing(name, alias)
        self._connections.add(queue.connection)
        call = recover_worker(queue.keys, worker, LANES, self._max_stalled)
        for _ in range(_TRIES):
            try:
                report(queue.keys, *await queue.connection.arun(call))
            except QueueCoreError as error:
                logger.warning(
                    "the jobs of process %d are not given back yet: %s", child.pid, error
                )
                await asyncio.sleep(_BETWEEN)
            else:
                break


class _Seat:
    """One place of the fleet, and what has happened there; times in seconds of this machine."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = "running"
        self.pid = self.restarts = self.recycles = self.failures = 0
        self.until = self.at = self.begun = 0.0
        self.why = ""

    def is_well(self) -> bool:
        """Whether the process there has lived for long."""
        return self.state == "running" and time.monotonic() - self.begun >= _WELL

    def end(self, why: str) -> None:
        """Remember how the last process ended."""
        self.why, self.at = why, time.time()

    def told(self, ahead: int) -> dict[str, Any]:
        """What is told of it; *ahead*: the server's clock before this machine's, ms."""
        value: dict[str, Any] = {
            "number": self.number,
            "state": self.state,
            "pid": self.pid,
            "restarts": self.restarts,
            "recycles": self.recycles,
            # One that has lived for long enough is well again.
            "failures": 0 if self.is_well() else self.failures,
        }
        if self.state == "waiting":
            value["until"] = round(self.until * 1000) + ahead
        if self.at:
            value |= {"why": self.why, "at": round(self.at * 1000) + ahead}
        return value


async def _send_home(child: Child) -> None:
    """Let a process end with what is soon done, and hand back the rest."""
    for number, patience in (
        (signal.SIGTERM, _GRACE),
        (signal.SIGTERM, _HANDING_BACK),
        (signal.SIGKILL, None),
    ):
        child.tell(number)
        done, _ = await asyncio.wait([child.ended], timeout=patience)
        if done:
            break


def _was_well(child: Child) -> bool:
    return time.monotonic() - child.begun >= _WELL


def _end(code: int) -> str:
    return f"was killed by {_name(-code)}" if code < 0 else f"ended with exit code {code}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
