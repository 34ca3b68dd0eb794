"""Runs processors: coroutines as tasks of the loop, functions in threads of the worker's own, both
in child processes where the queue has a sandbox.

A run ends in exactly one call of ``ended(run, value, error)``, in the loop's thread, whatever the
processor raises; ``SystemExit`` and ``KeyboardInterrupt`` end the run, not the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol

from ..callables import Entry
from ..errors import InvalidPayload, UnrecoverableError
from ..job import Job
from ..logs import working
from ..telemetry import Processing
from . import database

# What idle threads get to close their database connections when the worker ends.
_PATIENCE = 1.0


@dataclass(slots=True, eq=False)
class Run:
    """One claimed job, from its claim until the server has acknowledged its outcome.

    ``number``: the claim's, which makes the lock's token. ``starts``: the job's ``ats`` in this
    run. ``claimed``: monotonic seconds. ``ended``: its outcome is known. ``lost``: another worker
    has the job; its outcome is void. ``timeout``: the seconds its processor may take; ``late``: it
    took longer. ``batch``: the runs that are worked with it by one call, itself among them.
    ``began``: when its processor was called, monotonic; ``took``: the seconds until its end.
    ``span``: that of its telemetry, if there is any. ``pid``: of the process that is its sandbox.
    """

    job: Job
    number: int
    starts: int
    claimed: float
    entry: Entry | None = None
    task: asyncio.Task[None] | None = None
    confirmed: bool = False
    ended: bool = False
    lost: bool = False
    abandoned: bool = False
    timeout: float | None = None
    timer: asyncio.TimerHandle | None = None
    late: bool = False
    batch: list[Run] | None = None
    began: float = 0.0
    took: float = 0.0
    span: Processing | None = None
    pid: int = 0


Ended = Callable[[Run, Any, BaseException | None], None]


class Sandbox(Protocol):
    """What the executor needs of :class:`queuecore.worker.sandbox.Pool`."""

    async def work(self, run: Run, begun: Callable[[], None]) -> Any: ...

    async def close(self) -> None: ...


# Makes one; it is told how to ask how many jobs run at a time.
SandboxMaker = Callable[[Callable[[], int]], Sandbox]


class Executor:
    """Starts runs; *ended* receives each one's value or error in the loop's thread."""

    def __init__(
        self,
        concurrency: int,
        ended: Ended,
        name: str,
        *,
        late: Callable[[Run], None],
        sandbox: SandboxMaker | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._concurrency = concurrency
        self._tell = ended
        self._late = late
        self._name = name
        self._contexts = database.Contexts()
        self._inbox: SimpleQueue[Run | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._given = 0  # runs that threads were given and whose result was not collected yet
        self._results: deque[tuple[Run, Any, BaseException | None]] = deque()
        self._woken = False
        self._sandbox = sandbox(lambda: self._concurrency) if sandbox is not None else None

    def start(self, run: Run) -> None:
        """Begin *run*; returns at once."""
        entry = run.entry
        assert entry is not None
        if self._sandbox is not None:
            run.task = asyncio.Task(self._sandboxed(run), loop=self._loop)
            return
        if run.timeout is not None:
            self._time(run)
        if entry.is_async:
            # Not by the loop's factory: this coroutine lets no exit through.
            context = None if run.span is None else _context(run)
            run.task = asyncio.Task(self._coroutine(run, entry), loop=self._loop, context=context)
            if run.batch is not None:
                for one in run.batch:
                    one.task = run.task
        else:
            self._given += 1
            if len(self._threads) < min(self._given, self._concurrency):
                self._grow()
            self._inbox.put(run)

    def _ended(self, run: Run, value: Any, error: BaseException | None) -> None:
        if run.batch is None:
            self._tell(run, value, error)
            return
        for one, result in zip(run.batch, _results(run.batch, value, error), strict=True):
            failed = isinstance(result, BaseException)
            self._tell(one, None if failed else result, result if failed else None)

    def _time(self, run: Run) -> None:
        if run.timeout is not None:
            run.timer = self._loop.call_later(run.timeout, self._late, run)

    def resize(self, concurrency: int) -> None:
        """Let so many runs be under way at a time; threads that there are stay."""
        self._concurrency = concurrency

    async def close(self) -> None:
        """End the threads that are idle; those of jobs given up are left to the process's end."""
        for _ in self._threads:
            self._inbox.put(None)
        if self._sandbox is not None:
            await self._sandbox.close()
        await self._contexts.close()
        deadline = self._loop.time() + _PATIENCE
        while self._loop.time() < deadline:
            if sum(thread.is_alive() for thread in self._threads) <= self._given:
                break
            await asyncio.sleep(0.002)  # they close their database connections

    async def _sandboxed(self, run: Run) -> None:
        assert self._sandbox is not None
        value, error = None, None
        try:
            value = await self._sandbox.work(run, lambda: self._time(run))
        except BaseException as raised:
            error = raised
        self._ended(run, value, error)

    async def _coroutine(self, run: Run, entry: Entry) -> None:
        contexts = self._contexts
        context = contexts.enter()
        value, error = None, None
        try:
            working.set(_jobs(run))
            value = await entry.function(_given(run))
        except BaseException as raised:
            error = raised
        if contexts.used(context):
            try:
                await contexts.leave(context)
            except Exception as broken:  # must never mask what the job returned or raised
                self._loop.call_exception_handler(
                    {"message": "closing a job's database connections failed", "exception": broken}
                )
            except asyncio.CancelledError:
                pass  # its thread is still busy with the job: nobody else shall wait for it
        else:
            contexts.give(context)
        if run.batch is None:
            self._tell(run, value, error)
        else:
            self._ended(run, value, error)

    def _grow(self) -> None:
        number = len(self._threads) + 1
        # A daemon: a job that outlives the shutdown's deadline must not hold the process.
        thread = threading.Thread(
            target=self._work, name=f"queuecore-{self._name}-{number}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            # The system gives no more threads: those that there are take the job in turn.
            if not self._threads:
                raise
        else:
            self._threads.append(thread)

    def _work(self) -> None:
        while (run := self._inbox.get()) is not None:
            self._perform(run, database.run_clean)
        database.close_thread()

    def _perform(self, run: Run, call: Callable[[Callable[..., Any], Any], Any]) -> None:
        """Let *call* call the processor of *run* in this thread, and give its result back."""
        value, error = None, None
        entry = run.entry
        assert entry is not None
        try:
            # A context of its own, so that one job's variables do not leak into the next.
            context = _context(run) or contextvars.Context()
            context.run(working.set, _jobs(run))
            value = context.run(call, entry.function, _given(run))
        except BaseException as raised:
            error = raised
        self._results.append((run, value, error))
        # The result is in place before the flag is read, and `_collect` lowers the flag before it
        # takes results: none can be left behind without a wake-up.
        if not self._woken:
            self._woken = True
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended: the job was handed back
            self._loop.call_soon_threadsafe(self._collect)

    def _collect(self) -> None:
        """Take every result that piled up: one wake-up of the loop serves many jobs."""
        self._woken = False
        while self._results:
            self._given -= 1
            self._ended(*self._results.popleft())


def _context(run: Run) -> contextvars.Context | None:
    """The context of a run that has a span: nothing but that; None if it has none."""
    if run.span is None:
        return None
    context = contextvars.Context()
    context.run(run.span.enter)
    return context


def _jobs(run: Run) -> Job | list[Job]:
    """What logs are about meanwhile."""
    return run.job if run.batch is None else [one.job for one in run.batch]


def _given(run: Run) -> Any:
    """What the processor is called with.

    Raises:
        InvalidPayload: the data of the job is not what its processor declares.
    """
    if run.batch is not None:
        return [one.job for one in run.batch]  # read before, each on its own
    if run.entry is not None and run.entry.payload is not None:
        try:
            run.job._expect(run.entry.payload)
        except InvalidPayload as error:
            # Where that was found says nothing; the text says all.
            raise error.with_traceback(None) from None
    return run.job


def _results(runs: list[Run], value: Any, error: BaseException | None) -> list[Any]:
    """The result of each run of a batch, or the exception that it failed with."""
    if error is not None:
        return [error] * len(runs)
    if value is None:
        return [None] * len(runs)
    if isinstance(value, list | tuple) and len(value) == len(runs):
        return list(value)
    wrong = f"{len(value)} results" if isinstance(value, list | tuple) else type(value).__name__
    text = f"the processor of a batch of {len(runs)} jobs returned {wrong}, not None or a list"
    return [UnrecoverableError(f"{text} with the result of each job")] * len(runs)
