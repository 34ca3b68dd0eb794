"""The floor below every worker in Python: a bare loop around one bare batched script.

No job objects, no failures, no renewal, no retention; but BullMQ's keys and events as they are, one
task a job, and two calls in flight where there is more than one slot. What :class:`Worker` takes
beyond this, on the server and in the client, is the price of being a worker.

``python -m bench.floor``, started by :mod:`bench.trials`. Needs the extra ``speed``.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import hiredis
import orjson
import uvloop

from bench.subjects.protocol import Notes, read_task, say_ready, wait_for_stop

SCRIPT = Path(__file__).with_suffix(".lua")
KEYS = ("wait", "active", "completed", "stalled", "delayed", "events", "meta", "marker")
LOCK_MS = 30_000


class Socket(asyncio.Protocol):
    """One socket, one request at a time."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiter: asyncio.Future[Any] | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        answer = self._reader.gets()
        if answer is not False and self._waiter is not None:
            self._waiter.set_result(answer)

    async def ask(self, *words: Any) -> Any:
        """Send one command and return its answer; an error of the server is raised."""
        self._waiter = self._loop.create_future()
        self._transport.write(hiredis.pack_command(words))
        answer = await self._waiter
        if isinstance(answer, Exception):
            raise answer
        return answer


class Floor:
    """Works one queue of plain jobs until nothing is left."""

    def __init__(self, task: dict[str, Any], notes: Notes) -> None:
        self.base = f"bull:{task['queue']}:"
        self.keys = [self.base + name for name in KEYS]
        self.socket = task["socket"]
        self.notes = notes
        self.free = task["concurrency"]
        self.most = max(self.free // 2, 1)
        self.lanes = min(self.free, 2)
        self.done: list[bytes] = []
        self.running = 0
        self.calls = 0
        self.empty = False
        self.idle: list[asyncio.Future[None]] = []

    async def run(self) -> None:
        """Work until every job that there was has been finished."""
        loop = asyncio.get_running_loop()
        sockets = [
            (await loop.create_unix_connection(Socket, self.socket))[1] for _ in range(self.lanes)
        ]
        self.script = await sockets[0].ask("SCRIPT", "LOAD", SCRIPT.read_bytes())
        await asyncio.gather(*(self._lane(socket) for socket in sockets))

    async def _lane(self, socket: Socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            done, self.done = self.done, []
            want = 0 if self.empty else min(self.free, self.most)
            if not done and not want:
                if self.empty and not self.running and not self.calls:
                    self._wake()
                    return
                future = loop.create_future()
                self.idle.append(future)
                await future
                continue
            self.free -= want
            self.calls += 1
            jobs = await socket.ask(
                "EVALSHA", self.script, len(KEYS), *self.keys,
                self.base, "floor", int(time.time() * 1000), LOCK_MS, want, *done,
            )  # fmt: skip
            self.calls -= 1
            if done:
                self.notes.acknowledge(len(done))
            claimed = len(jobs) // 2
            self.free += want - claimed
            self.running += claimed
            self.empty = self.empty or (want > 0 and not claimed)
            for at in range(0, len(jobs), 2):
                loop.create_task(self._job(jobs[at], jobs[at + 1]))  # noqa: RUF006 (the floor)

    async def _job(self, id: bytes, fields: list[bytes]) -> None:
        values = dict(zip(fields[::2], fields[1::2], strict=True))
        await self._processor(orjson.loads(values[b"data"]))
        self.running -= 1
        self.free += 1
        self.done.append(id)
        self._wake()

    async def _processor(self, data: Any) -> None:
        self.notes.start()

    def _wake(self) -> None:
        while self.idle:
            future = self.idle.pop()
            if not future.done():
                future.set_result(None)
                return


def main() -> None:
    notes = Notes()
    task = read_task()
    say_ready()
    uvloop.run(Floor(task, notes).run())
    wait_for_stop()
    notes.tell()


if __name__ == "__main__":
    main()
