"""Child: a worker process that has a supervisor, as the supervisor and as itself knows it.

Between the two is a socket: by it a child says which workers it has and when it wants to be
replaced, and is told when it may end. A socket that closes tells a child that its supervisor has
died.
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
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..wire.attendance import FleetPlace
from .tasks import call_in

logger = logging.getLogger("queuecore.worker")

#: Tells a child that it is one: the socket's number and its place in the fleet, as JSON.
ENVIRONMENT = "QUEUECORE_SUPERVISED"


class Child:
    """One process. ``ready`` is set when it begins to work, ``worn`` when it wants to be replaced,
    ``ended`` with its exit code.

    *hear* is called with whatever else it says. ``generation``: of the code that it runs.
    ``health``: what it has last told of its health, and when.
    """

    #: What one that was told to stop gets beyond its shutdown timeout, before it is killed.
    UNWIND = 12.0

    def __init__(
        self,
        command: Sequence[str],
        place: FleetPlace,
        hear: Callable[[Child, dict[str, Any]], None],
        generation: int = 0,
    ) -> None:
        self._hear = hear
        self.number = place.number
        self.health: tuple[float, dict[str, Any]] | None = None
        self.generation = generation
        self._loop = asyncio.get_running_loop()
        self.workers: list[tuple[str, str, str]] = []
        self.begun = time.monotonic()
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.worn: asyncio.Future[str] = self._loop.create_future()
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self._heard = b""
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        values = [getattr(place, one) for one in _PLACE]
        told = json.dumps({"socket": theirs.fileno(), "place": values})
        with theirs:
            # A group of its own: a Ctrl-C of the terminal reaches the supervisor, which passes it
            # on once.
            self._process = subprocess.Popen(
                list(command),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env={**os.environ, ENVIRONMENT: told},
            )
        self.pid = self._process.pid
        self._loop.add_reader(self._socket, self._read)
        threading.Thread(target=self._wait, name=f"queuecore-{self.pid}", daemon=True).start()

    def tell(self, number: int) -> None:
        """Send it a signal, if it lives."""
        with contextlib.suppress(OSError):
            self._process.send_signal(number)

    def retire(self) -> None:
        """Let it claim nothing more and end with what it runs."""
        with contextlib.suppress(OSError):
            self._socket.send(_RETIRE)

    def _read(self) -> None:
        try:
            chunk = self._socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._loop.remove_reader(self._socket)
            return
        *lines, self._heard = (self._heard + chunk).split(b"\n")
        for line in lines:
            said: dict[str, Any] = json.loads(line)
            if "workers" in said:
                self.workers = [tuple(one) for one in said["workers"]]
                self.ready.set_result(None)
            elif "worn" not in said:
                self._hear(self, said)
            elif not self.worn.done():
                logger.info("process %d is replaced: %s", self.pid, said["worn"])
                self.worn.set_result(str(said["worn"]))

    def _wait(self) -> None:
        call_in(self._loop, self._end, self._process.wait())

    def _end(self, code: int) -> None:
        self._read()  # what it has said last
        self._loop.remove_reader(self._socket)
        self._socket.close()
        self.ended.set_result(code)


_RETIRE = b"retire\n"
_PLACE = tuple(FleetPlace.__dataclass_fields__)


class Supervised:
    """What a child knows of its supervisor: its ``place``, and the socket to it."""

    def __init__(self, sock: socket.socket, place: FleetPlace) -> None:
        self.place = place
        self._socket = sock
        self._socket.set_inheritable(False)  # not for what the jobs start
        self._retired = threading.Event()
        self._saying = threading.Lock()

    @classmethod
    def here(cls) -> Supervised | None:
        """This process's, None if it has no supervisor. What it starts is no child of it."""
        told = os.environ.pop(ENVIRONMENT, None)
        if told is None:
            return None
        value = json.loads(told)
        # Told to stop before it has begun, it ends without a word.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return cls(socket.socket(fileno=value["socket"]), FleetPlace(*value["place"]))

    def begin(self, workers: Sequence[tuple[str, str, str]], *, shutdown_timeout: float) -> None:
        """Say which workers this process has: (alias, queue, id); end when the supervisor does."""
        self.say({"workers": list(workers)})
        threading.Thread(
            target=self._hear,
            args=(shutdown_timeout + Child.UNWIND,),
            name="queuecore-supervised",
            daemon=True,
        ).start()

    async def worn(self, why: str) -> None:
        """Ask to be replaced; returns when another works, or the supervisor is gone."""
        self.say({"worn": why})
        while not self._retired.is_set():  # noqa: ASYNC110 (of a thread)
            await asyncio.sleep(0.05)

    def say(self, value: dict[str, Any]) -> None:
        """Tell the supervisor; from any thread."""
        with contextlib.suppress(OSError), self._saying:  # gone, as this process is about to be
            self._socket.sendall(json.dumps(value).encode() + b"\n")

    def _hear(self, patience: float) -> None:
        with contextlib.suppress(OSError):
            while self._socket.recv(1024):
                self._retired.set()
        logger.error("the supervisor has ended: this process ends, too")
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(patience)
        os._exit(1)  # an event loop that is blocked hears no signal
