"""What runs in a sandbox: one job after another, told by the worker over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import traceback
from importlib import import_module
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from .worker.sandbox import frames

if TYPE_CHECKING:
    from .processors import QueueProcessors
    from .queue import Queue

_PR_SET_PDEATHSIG = 1
# What tells that this process starts another.
_STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"}
# A process that nobody waits for: it kills its group when the one behind the descriptor has ended.
_GUARD = """
import os, select, signal, sys
if os.fork():
    os._exit(0)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
poll = select.poll()
poll.register(int(sys.argv[1]), select.POLLIN)
poll.poll()
os.killpg(0, signal.SIGKILL)
"""


class Sandbox:
    """This process. One thread hears the worker; the main thread runs processors."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._pid = os.getpid()
        self._run = 0
        self._saying = threading.Lock()
        self._orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._running: tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]] | None = None
        self._key: tuple[str, str] | None = None

    def main(self) -> None:
        """Import the processors, then run jobs until the worker says stop or is gone."""
        self._sock.set_inheritable(False)  # not for what the jobs start
        begin = frames.receive(self._sock)
        _die_with(begin["worker"])
        if (memory := begin["memory"]) is not None:
            _limit(memory)
        with asyncio.Runner() as self._runner:
            try:
                self._processors = _found(begin["alias"], begin["queue"], begin["target"])
                self._call_all("setup")
            except BaseException as error:
                self._say("broken", reason=_explained(error))
                sys.exit(1)
            self._queue = _queue(begin["queue"], begin["alias"])
            self._queue._progressed = lambda job, value: self._say(
                "progress", run=self._run, value=value
            )
            threading.Thread(target=self._hear, name="queuecore-sandbox", daemon=True).start()
            self._say("ready")
            while (order := self._orders.get())["kind"] == "run":
                self._work(order)
            self._call_all("teardown")

    def _call_all(self, method: str) -> None:
        """Call ``setup`` or ``teardown`` of every class processor."""
        for instance in self._processors.instances():
            called: Any = getattr(instance, method)()
            if asyncio.iscoroutine(called):
                self._runner.run(called)

    def _hear(self) -> None:
        """Take orders; without a worker there is nothing to live for."""
        try:
            while True:
                order = frames.receive(self._sock)
                if order["kind"] == "cancel":
                    self._cancel(order["reason"])
                else:
                    self._orders.put(order)
        except EOFError:
            with contextlib.suppress(OSError):
                os.killpg(0, signal.SIGKILL)
            os._exit(1)
        except BaseException:  # its socket was closed, or there is no memory for an order
            traceback.print_exc()
            os._exit(1)

    def _cancel(self, reason: str) -> None:
        if (key := self._key) is None:
            return
        self._queue._cancelled[key] = reason
        if (running := self._running) is not None:
            loop, task = running
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)

    def _work(self, order: dict[str, Any]) -> None:
        from .job import Job
        from .logs import working
        from .worker import finish

        flat = [one.encode("latin-1") for one in order["fields"]]
        job = Job.from_flat(self._queue, order["id"], flat, order["token"])
        self._key = (job.token, job.id)
        self._run = order["run"]
        working.set(job)
        try:
            # Written here, so that what JSON cannot say is refused with its own type.
            with _within(order.get("trace")):
                value = finish.encoded(self._call(job)).decode()
                frame = frames.pack("done", run=self._run, value=value)
        except BaseException as error:
            frame = frames.pack("failed", run=self._run, **_told(error))
        if os.getpid() != self._pid:
            os._exit(0)  # forked by the processor, and come back from it: the other one goes on
        self._key = None
        self._queue._cancelled.clear()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        with self._saying:
            self._sock.sendall(frame)

    def _call(self, job: Any) -> Any:
        from .worker import database

        entry = self._processors.find(job.name)
        if entry is None:
            raise LookupError(f"no processor of this sandbox takes jobs named {job.name!r}")
        if entry.payload is not None:
            job._expect(entry.payload)
        if not entry.is_async:
            return database.run_clean(entry.function, job)

        async def work() -> Any:
            task = asyncio.current_task()
            assert task is not None
            self._running = (asyncio.get_running_loop(), task)
            try:
                return await entry.function(job)
            finally:
                self._running = None

        return self._runner.run(work(), context=contextvars.copy_context())

    def _say(self, kind: str, **values: Any) -> None:
        frame = frames.pack(kind, **values)
        with self._saying:
            self._sock.sendall(frame)


def _found(alias: str, queue: str, target: str | None) -> QueueProcessors:
    """The processors of the queue: those of the project, or the one that was named."""
    import django

    django.setup()
    from . import discovery
    from .callables import entries_for
    from .processors import QueueProcessors

    if target is None:
        return discovery.discover().queues[alias, queue].bound()
    module, _, name = target.partition(":")
    entries = entries_for(getattr(import_module(module), name))
    return QueueProcessors.of(alias, queue, entries).bound()


def _within(trace: str | None) -> contextlib.AbstractContextManager[None]:
    """The context of the run's span, which the worker has begun."""
    from .telemetry import get_telemetry

    telemetry = get_telemetry() if trace else None
    return contextlib.nullcontext() if telemetry is None else telemetry.within(str(trace))


def _queue(name: str, alias: str) -> Queue:
    from .queue import Queue

    return Queue.existing(name, alias)


def _told(error: BaseException) -> dict[str, Any]:
    from . import errors
    from .worker import finish
    from .worker.fingerprints import frame_of

    control = next(
        (
            name
            for name in (
                "DelayedError", "JobCancelled", "NotSerializable", "UnrecoverableError",
                "WaitingChildrenError", "WaitingError",
            )
            if isinstance(error, getattr(errors, name))
        ),
        None,
    )  # fmt: skip
    if finish.is_rate_limit(error):
        control = "RateLimitError"
    elif isinstance(error, asyncio.CancelledError):
        control = "CancelledError"
    return {
        "control": control,
        "type": type(error).__name__,
        "reason": finish.reason(error),
        "trace": finish.trace(error),
        "frame": frame_of(error),
    }


def _explained(error: BaseException) -> str:
    from .errors import QueueCoreError
    from .worker import finish

    if isinstance(error, QueueCoreError):
        return f"the sandbox cannot work: {error}"
    return f"the sandbox cannot work: {type(error).__name__}: {finish.reason(error)}"


def _die_with(worker: int) -> None:
    """End at once when the worker does, even in the middle of code that lets no thread run."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            guard = os.pidfd_open(worker)
            sys.addaudithook(lambda event, _: _guard(guard) if event in _STARTS else None)
    if os.getppid() != worker:
        os._exit(1)  # it has ended before it was asked for


_guarded = False


def _guard(worker: int) -> None:
    """Let what this process starts be killed, too, if the worker is killed: the system ends only
    this process then."""
    global _guarded
    if _guarded:
        return
    _guarded = True
    with contextlib.suppress(OSError):
        subprocess.run(
            [sys.executable, "-I", "-S", "-c", _GUARD, str(worker)],
            pass_fds=(worker,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


def _limit(memory: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))


if __name__ == "__main__":
    Sandbox(socket.socket(fileno=int(sys.argv[1]))).main()
