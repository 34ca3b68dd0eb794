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
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from ..errors import QueueCoreError
from ..queue import Queue
from ..wire.attendance import FleetPlace
from ..wire.calls.working import recover_worker
from ..wire.connections import Connection
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
_PR_SET_PDEATHSIG = 1


class Supervisor:
    """Keeps *size* processes of *command* running, until it is told to stop or all have ended.

    A child that ends with code 0 and did not ask for another has done its work, or was drained: it
    is not replaced.

    Args:
        max_stalled: ``MAX_STALLED_COUNT`` of the workers.
    """

    def __init__(self, command: Sequence[str], size: int, *, max_stalled: int) -> None:
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
        places = (self._keep(number) for number in range(1, self._size + 1))
        try:
            await asyncio.gather(*places)
        finally:
            for connection in self._connections:
                await connection.aclose()
        return int(self._failed)

    def _on_signal(self, number: int) -> None:
        self._stop.set()
        logger.info("%s: passed on to %d processes", _name(number), len(self._children))
        for child in self._children:
            child.tell(number)

    async def _keep(self, number: int) -> None:
        """Keep one place of the fleet taken."""
        pause, recycling = 0.0, set[asyncio.Task[int]]()
        while not self._stop.is_set():
            if pause:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stop.wait(), pause)
                if self._stop.is_set():
                    break
            begun = time.monotonic()
            child = self._start(number)
            ending = asyncio.create_task(self._until_end(child))
            either: list[asyncio.Future[Any]] = [ending, child.worn]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if child.worn.done():
                # It claims nothing more: the next one begins while it finishes what it runs.
                self._recycles += 1
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
            well = time.monotonic() - begun >= _WELL
            pause = _FIRST_PAUSE if well or not pause else min(2 * pause, _LONGEST_PAUSE)
            logger.error(
                "process %d of %d (pid %d) %s; another starts in %g s",
                number, self._size, child.pid, _end(code), pause,
            )  # fmt: skip
        if recycling:
            await asyncio.wait(recycling)

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
        return code

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


class _Child:
    """One process. ``worn`` is set when it wants to be replaced, ``ended`` with its exit code."""

    def __init__(self, command: Sequence[str], place: FleetPlace) -> None:
        self._loop = asyncio.get_running_loop()
        self.workers: list[tuple[str, str, str]] = []
        self.worn: asyncio.Future[None] = self._loop.create_future()
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
                self.worn.set_result(None)

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
