"""Child: one sandbox, as its worker sees it: begun, given one job after another, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from ...errors import (
    DelayedError,
    JobCancelled,
    NotSerializable,
    QueueCoreError,
    RateLimitError,
    SandboxBroken,
    SandboxDied,
    SandboxedError,
    UnrecoverableError,
    WaitingChildrenError,
    WaitingError,
)
from ...queue import Queue
from ...wire.calls.jobs import add_log
from ...wire.codec import loads
from ..execute import Run
from . import frames
from .output import Output

# Importing a project takes seconds; one that takes longer than this is taken for stuck.
_START = 60.0
# How long the system may take to report the end of a process that was killed or closed its socket.
_END = 2.0
# Where the system does not say by itself that a process has ended.
_LOOK = 0.05
# The control errors, which mean the same on both sides.
_CONTROL: dict[str, type[QueueCoreError]] = {
    one.__name__: one
    for one in (
        DelayedError, JobCancelled, NotSerializable, RateLimitError, UnrecoverableError,
        WaitingChildrenError, WaitingError,
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Spec:
    """What a sandbox needs to know to work the jobs of one queue.

    ``target``: ``module:name`` of the one processor, None for those of the project's
    ``processors`` modules. ``memory``: bytes that it may use. ``grace``: seconds between being told
    to stop and being killed.
    """

    alias: str
    queue: str
    target: str | None
    memory: int | None
    grace: float


class Child:
    """One process. ``jobs``: how many it was given; ``dead``: it can be given no more."""

    def __init__(self, spec: Spec, queue: Queue) -> None:
        self._spec = spec
        self._queue = queue
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._listening: list[asyncio.Task[None]] = []
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._answer: asyncio.Future[Any] | None = None
        self._run: Run | None = None
        self.jobs = 0
        self.dead = False
        # Why it was killed by its worker, if it was for a fault of its own.
        self._fault = ""
        self._killed = False

    @property
    def pid(self) -> int:
        """Of its process, which leads a group and a session of its own."""
        assert self._process is not None
        return self._process.pid

    # Its life

    async def begin(self) -> None:
        """Start it and wait until it has imported its processors.

        Raises:
            SandboxBroken: it has not, and says why.
        """
        try:
            ours, printed = self._spawn()
        except OSError as error:
            raise SandboxBroken(f"the sandbox cannot be started: {error}") from error
        self._output = Output(printed)
        self._watch()
        try:
            self._reader, self._writer = await asyncio.open_connection(sock=ours)
        except BaseException:
            self.kill()
            ours.close()
            self._output.close()
            raise
        self._answer = self._loop.create_future()
        self._listening.append(self._loop.create_task(self._listen()))
        self._send(
            "begin",
            worker=os.getpid(),
            alias=self._spec.alias,
            queue=self._spec.queue,
            target=self._spec.target,
            memory=self._spec.memory,
        )
        try:
            async with asyncio.timeout(_START):
                await self._answer
        except SandboxDied as error:
            printed_last = "\n".join(self._output.take()[-20:])
            said = f"; it printed:\n{printed_last}" if printed_last else ""
            raise SandboxBroken(f"{error}, before it was ready{said}") from error
        except TimeoutError:
            self.kill()
            raise SandboxBroken(f"the sandbox was not ready after {_START:g} s") from None
        except BaseException:
            self.kill()
            raise
        finally:
            self._answer = None

    def _spawn(self) -> tuple[socket.socket, int]:
        """Start the process; our ends of its socket and of what it prints."""
        ours, theirs = socket.socketpair()
        with theirs, contextlib.ExitStack() as failed:
            failed.callback(ours.close)
            printed, prints = os.pipe()
            failed.callback(os.close, printed)
            try:
                # Not in another thread: the system ends it with the thread that started it.
                self._process = subprocess.Popen(
                    [sys.executable, *_flags(), "-m", "queuecore.sandbox", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=prints,
                    stderr=prints,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
            finally:
                os.close(prints)
            failed.pop_all()
        return ours, printed

    async def work(self, run: Run) -> Any:
        """Run one job in it; what its processor returned.

        Cancelled, it tells the processor, and kills the process where that does not end in time:
        at once if it is cancelled again.

        Raises:
            SandboxDied: its process ended in the middle.
            Exception: what the processor raised, as :class:`SandboxedError` or a control error.
        """
        self.jobs += 1
        self._run = run
        answer = self._answer = self._loop.create_future()
        job = run.job
        flat = [one.decode("latin-1") for pair in job._fields.items() for one in pair]
        try:
            trace = run.span.metadata if run.span is not None else None
            self._send("run", run=self.jobs, id=job.id, token=job.token, fields=flat, trace=trace)
            try:
                return await asyncio.shield(answer)
            except asyncio.CancelledError:
                return await self._stopped(answer, job.cancelled)
        finally:
            self._run = self._answer = None
            await self._tell(run)

    async def _stopped(self, answer: asyncio.Future[Any], reason: str | None) -> Any:
        """End a job that was cancelled: by a word, by SIGTERM, by SIGKILL."""
        if answer.done() and not answer.cancelled():
            return answer.result()
        self._send("cancel", reason=reason or "the worker stops")
        half = self._spec.grace / 2
        try:
            await asyncio.wait([answer], timeout=half)
            if not answer.done():
                self.dead = True  # it may answer yet, and end then
                self._signal(signal.SIGTERM)
                await asyncio.wait([answer], timeout=half)
        except asyncio.CancelledError:
            pass
        if answer.done() and not isinstance(answer.exception(), SandboxDied):
            return answer.result()
        self.kill()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([self._ended], timeout=_END)
        raise asyncio.CancelledError

    async def end(self) -> None:
        """Let it end by itself, for no longer than it gets to stop; then kill it."""
        if self._process is None:
            return
        if not self.dead:
            self.dead = True
            self._send("stop")
            await asyncio.wait([self._ended], timeout=self._spec.grace)
        self.kill()
        await asyncio.wait([self._ended], timeout=_END)
        if self._listening:
            await asyncio.wait(self._listening, timeout=_END)

    def kill(self) -> None:
        """Kill it, and all that it has started."""
        self.dead = self._killed = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self._process is not None and not self._ended.done():
            with contextlib.suppress(OSError):  # it has ended this moment
                os.killpg(self.pid, number)

    # What it says

    def _send(self, kind: str, **values: Any) -> None:
        frame = frames.pack(kind, **values)
        with contextlib.suppress(OSError, RuntimeError):  # it has gone: `_listen` tells
            self._writer.write(frame)

    async def _listen(self) -> None:
        try:
            while True:
                self._heard(await frames.read(self._reader))
        except (EOFError, OSError):
            pass
        except frames.Garbage as error:
            self._fault = f"{error} came on its own socket"
            self._signal(signal.SIGKILL)
        self.dead = True
        await asyncio.wait([self._ended], timeout=_END)
        if not self._ended.done():
            if not self._killed:
                self._fault = "it had closed its own socket"
            self._signal(signal.SIGKILL)
            await asyncio.wait([self._ended], timeout=_END)
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(SandboxDied(self._death()))
        self._writer.close()
        self._output.close()

    def _heard(self, said: dict[str, Any]) -> None:
        kind, answer, run = said["kind"], self._answer, self._run
        if answer is None or answer.done() or (run is not None and said.get("run") != self.jobs):
            pass  # of a job that was given up, or of a process that it has forked
        elif kind == "progress":
            if run is not None and self._queue._progressed is not None:
                self._queue._progressed(run.job, said.get("value"))
        elif kind == "ready":
            answer.set_result(None)
        elif kind == "done":
            try:
                answer.set_result(loads(said["value"]))
            except (KeyError, TypeError, ValueError, RecursionError, QueueCoreError) as error:
                raise frames.Garbage("what is no result") from error
        elif kind == "broken":
            answer.set_exception(SandboxBroken(str(said.get("reason"))))
        elif kind == "failed":
            answer.set_exception(_error(said))

    def _death(self) -> str:
        if not self._ended.done():
            return "the sandbox has closed its own socket and cannot be killed"
        if self._fault:
            return f"the sandbox was killed: {self._fault}"
        code = self._ended.result()
        if code >= 0:
            return f"the sandbox ended with exit code {code}"
        name = _name(-code)
        if -code == signal.SIGKILL and not self._killed:
            name = f"{name}, by the system where memory is short, or by hand"
        return f"the sandbox was killed by {name}"

    async def _tell(self, run: Run) -> None:
        """Add what the job printed to its log."""
        rows = self._output.take()
        if not rows or run.lost:
            return
        keep = run.job.opts.get("kl")
        most = keep if isinstance(keep, int) and keep > 0 else 0
        call = add_log(self._queue.keys, run.job.id, rows, most)
        with contextlib.suppress(QueueCoreError, TimeoutError, asyncio.CancelledError):
            async with asyncio.timeout(_END):
                await self._queue.connection.arun(call)

    # Its end

    def _watch(self) -> None:
        """Let ``_ended`` be set when the process has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):
            self._looking = self._loop.create_task(self._look())
            return

        def ended() -> None:
            self._loop.remove_reader(descriptor)
            os.close(descriptor)
            self._reap()

        self._loop.add_reader(descriptor, ended)

    async def _look(self) -> None:
        assert self._process is not None
        while self._process.poll() is None:  # noqa: ASYNC110 (there is nothing to await)
            await asyncio.sleep(_LOOK)
        self._reap()

    def _reap(self) -> None:
        # What it has started goes with it; its group's number is taken until it is waited for.
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)
        self.dead = True
        assert self._process is not None
        code = self._process.wait()
        if not self._ended.done():
            self._ended.set_result(code)


def _flags() -> list[str]:
    """The interpreter's own options, such as ``-O`` and ``-W``."""
    return list(subprocess._args_from_interpreter_flags())  # type: ignore[attr-defined]


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _error(said: dict[str, Any]) -> BaseException:
    """The error of a processor, from what its sandbox tells of it."""
    reason, control = str(said.get("reason")), said.get("control")
    if control == "CancelledError":
        return asyncio.CancelledError()
    kind = _CONTROL.get(str(control))
    if kind is RateLimitError:
        return RateLimitError()
    error = kind(reason) if kind is not None else SandboxedError(reason, str(said.get("type")))
    if isinstance(trace := said.get("trace"), str):
        error.sandbox_trace = trace  # type: ignore[attr-defined]
        error.sandbox_frame = str(said.get("frame", ""))  # type: ignore[attr-defined]
        error.add_note(f"In the sandbox:\n{trace}")
    return error
