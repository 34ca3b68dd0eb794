"""Supervisor: starts worker processes, watches them, starts others in place of those that end.

It works no jobs itself. Each child is a process of ``runworker`` of its own, with a pipe to here by
which it says which workers it has, so that the jobs of one that died run again at once instead of
when their locks have run out, and when it wants to be replaced.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
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
from .demand import LANES
from .stalled import report
from .tasks import call_in

logger = logging.getLogger("queuecore.worker")

#: Tells a child that it is one: the pipe's number and its place in the fleet, as JSON.
ENVIRONMENT = "QUEUECORE_SUPERVISED"
# Seconds between two starts of a child that dies; and how long one lives that is taken for well.
_FIRST_PAUSE, _LONGEST_PAUSE, _WELL = 0.5, 30.0, 30.0
# How often the jobs of a dead child are tried to be given back while the server is away, seconds.
_TRIES, _BETWEEN = 20, 0.5
# What the farewell gets when the fleet ends.
_FAREWELL = 1.5
_PR_SET_PDEATHSIG = 1


class Supervisor:
    """Keeps *size* processes of *command* running, until it is told to stop or all have ended.

    A child that ends with code 0 and did not ask for another has done its work, or was drained: it
    is not replaced.

    Args:
        max_stalled: ``MAX_STALLED_COUNT`` of the workers.
        queues: what they work, each with its connection's alias.
        every: seconds between two heartbeats; None tells nobody of the fleet.
    """

    def __init__(
        self,
        command: Sequence[str],
        size: int,
        *,
        max_stalled: int,
        queues: Sequence[tuple[str, str]] = (),
        every: float | None = None,
    ) -> None:
        self._queues = queues
        self._every = every
        self._seats = [_Seat(number) for number in range(1, size + 1)]
        self._changed = asyncio.Event()
        self._command = command
        self._size = size
        self._max_stalled = max_stalled
        self._fleet = uuid4().hex
        self._restarts = self._recycles = 0
        self._children: set[_Child] = set()
        self._connections: set[Connection] = set()
        self._failed = False

    def run(self) -> int:
        """Supervise until the end; the exit code: 1 if a child failed while it was to stop."""
        return asyncio.run(self._run())

    async def _run(self) -> int:
        self._stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        telling = [loop.create_task(self._tell(alias)) for alias in self._aliases()]
        try:
            await asyncio.gather(*map(self._keep, self._seats))
        finally:
            for task in telling:
                task.cancel()
            await asyncio.gather(*telling, return_exceptions=True)
            for connection in self._connections:
                await connection.aclose()
        return int(self._failed)

    def _on_signal(self, number: int) -> None:
        self._stop.set()
        logger.info("%s: passed on to %d processes", _name(number), len(self._children))
        for child in self._children:
            child.tell(number)

    async def _keep(self, seat: _Seat) -> None:
        """Keep one place of the fleet taken."""
        try:
            await self._fill(seat)
        finally:
            seat.state = "ended"
            self._wake()

    async def _fill(self, seat: _Seat) -> None:
        number = seat.number
        pause, recycling = 0.0, set[asyncio.Task[int]]()
        while not self._stop.is_set():
            if pause:
                seat.state, seat.until = "waiting", time.time() + pause
                self._wake()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), pause)
                if self._stop.is_set():
                    break
            begun = seat.begun = time.monotonic()
            child = self._start(number)
            seat.state, seat.pid = "running", child.pid
            self._wake()
            ending = asyncio.create_task(self._until_end(child))
            either: list[asyncio.Future[Any]] = [ending, child.worn]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if child.worn.done():
                # It claims nothing more: the next one begins while it finishes what it runs.
                self._recycles += 1
                seat.recycles += 1
                seat.end(f"had worked enough: {child.worn.result()}")
                seat.failures = 0
                recycling.add(ending)
                ending.add_done_callback(recycling.discard)
                pause = 0.0
                continue
            code = ending.result()
            if code == 0:
                break
            if self._stop.is_set():
                self._failed = True
                break
            self._restarts += 1
            seat.restarts += 1
            seat.end(_end(code))
            well = time.monotonic() - begun >= _WELL
            seat.failures = 1 if well else seat.failures + 1
            pause = _FIRST_PAUSE if well or not pause else min(2 * pause, _LONGEST_PAUSE)
            logger.error(
                "process %d of %d (pid %d) %s; another starts in %g s",
                number, self._size, child.pid, _end(code), pause,
            )  # fmt: skip
        if recycling:
            await asyncio.wait(recycling)

    # What is told of it

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

    def _start(self, number: int) -> _Child:
        place = FleetPlace(
            self._fleet, os.getpid(), number, self._size, self._restarts, self._recycles
        )
        child = _Child(self._command, place)
        self._children.add(child)
        return child

    async def _until_end(self, child: _Child) -> int:
        code = await child.ended
        self._children.discard(child)
        if code != 0:
            await self._recover(child)
            await self._forget(child)
        return code

    async def _forget(self, child: _Child) -> None:
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

    async def _recover(self, child: _Child) -> None:
        """Let the jobs of a child that died run again."""
        for alias, name, worker in child.workers:
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


class _Child:
    """One process. ``worn`` is set when it wants to be replaced, ``ended`` with its exit code."""

    def __init__(self, command: Sequence[str], place: FleetPlace) -> None:
        self._loop = asyncio.get_running_loop()
        self.workers: list[tuple[str, str, str]] = []
        self.worn: asyncio.Future[str] = self._loop.create_future()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self._heard = b""
        self._pipe, theirs = os.pipe()
        os.set_blocking(self._pipe, False)
        told = json.dumps({"pipe": theirs, "place": [getattr(place, one) for one in _PLACE]})
        try:
            # A group of its own: a Ctrl-C of the terminal reaches the supervisor, which passes it
            # on once.
            self._process = subprocess.Popen(
                list(command),
                pass_fds=(theirs,),
                start_new_session=True,
                env={**os.environ, ENVIRONMENT: told},
            )
        finally:
            os.close(theirs)
        self.pid = self._process.pid
        self._loop.add_reader(self._pipe, self._read)
        threading.Thread(target=self._wait, name=f"queuecore-{self.pid}", daemon=True).start()

    def tell(self, number: int) -> None:
        """Send it a signal, if it lives."""
        with contextlib.suppress(OSError):
            self._process.send_signal(number)

    def _read(self) -> None:
        try:
            chunk = os.read(self._pipe, 65536)
        except BlockingIOError:
            return
        if not chunk:
            self._loop.remove_reader(self._pipe)
            return
        *lines, self._heard = (self._heard + chunk).split(b"\n")
        for line in lines:
            said: dict[str, Any] = json.loads(line)
            if "workers" in said:
                self.workers = [tuple(one) for one in said["workers"]]
            elif not self.worn.done():
                logger.info("process %d is replaced: %s", self.pid, said["worn"])
                self.worn.set_result(str(said["worn"]))

    def _wait(self) -> None:
        call_in(self._loop, self._end, self._process.wait())

    def _end(self, code: int) -> None:
        self._read()  # what it has said last
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        self.ended.set_result(code)


_PLACE = tuple(FleetPlace.__dataclass_fields__)


class Supervised:
    """What a child knows of its supervisor: its ``place``, and the pipe to it."""

    def __init__(self, pipe: int, place: FleetPlace) -> None:
        self.place = place
        self._pipe = pipe
        os.set_inheritable(pipe, False)  # not for what the jobs start

    @classmethod
    def here(cls) -> Supervised | None:
        """This process's, None if it has no supervisor. What it starts is no child of it."""
        told = os.environ.pop(ENVIRONMENT, None)
        if told is None:
            return None
        value = json.loads(told)
        return cls(value["pipe"], FleetPlace(*value["place"]))

    def begin(self, workers: Sequence[tuple[str, str, str]]) -> None:
        """Say which workers this process has: (alias, queue, id); end when the supervisor does."""
        self._say({"workers": list(workers)})
        _end_with(self.place.pid)

    def worn(self, why: str) -> None:
        """Ask to be replaced."""
        self._say({"worn": why})

    def _say(self, value: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it has gone, and this process is about to
            os.write(self._pipe, json.dumps(value).encode() + b"\n")


def _end_with(supervisor: int) -> None:
    """Let this process be told to stop when its supervisor dies; a system other than Linux does
    not."""
    if sys.platform == "linux":
        import ctypes

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != supervisor:
        os.kill(os.getpid(), signal.SIGTERM)


def _end(code: int) -> str:
    return f"was killed by {_name(-code)}" if code < 0 else f"ended with exit code {code}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
