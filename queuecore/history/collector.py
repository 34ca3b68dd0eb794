"""Counts all queues of a connection once a second and writes it down, in one process at a time.

Whoever holds a lock in Redis collects; the others stand by. It runs beside a worker
(``runworker``) and in web processes, there in a thread of its own, so history goes on while
nobody looks.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import os
import threading
import uuid
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable

from ..census import Census
from ..errors import QueueCoreError
from ..inspect import Inspector, QueueSnapshot, Wants
from ..wire.calls.keeping import get_history, keep_history
from ..wire.connections import aliases, get_connection
from .history import History
from .record import LONGEST, QUARTER, Figures, Record

logger = logging.getLogger("queuecore.history")

#: Called by the collector after each second: alias, snapshots by queue, the history so far.
Listener = Callable[[str, Mapping[str, QueueSnapshot], History], Awaitable[None] | None]

# Who stands by asks more rarely whether the leader is gone.
TICK_S, STANDBY_S = 1.0, 2.5
LEASE_MS = 5_000
DISCOVERY_S = 5.0
# How often the server is asked who waits for jobs, which is dear where it has many clients.
WORKERS_S = 10.0
# After so many seconds a queue is counted anew though nothing seems to have happened in it, and the
# shortest rest in the search for queues that nobody told of.
CENSUS_S, EXPLORE_S = 30.0, 1.0
LONGEST_PAUSE_S = 5.0
# Every so many records name all queues.
FULL_SECONDS, FULL_MINUTES = 60, 30

_listeners: list[Listener] = []


def register(listener: Listener) -> Listener:
    """Have *listener* called once a second, in the process that collects; usable as decorator.

    It may be a coroutine function; its errors are logged and stop nothing.
    """
    if listener not in _listeners:
        _listeners.append(listener)
    return listener


class Collector:
    """Collects the history of one connection for as long as :meth:`run` runs.

    Args:
        alias: a key of ``QUEUECORE["CONNECTIONS"]``.
        history: the copy in memory that is fed on the way.
    """

    def __init__(self, alias: str = "default", history: History | None = None) -> None:
        self.alias = alias
        self.leads = False
        self.history = history or history_of(alias)
        self._inspector = Inspector(alias)
        self._token = uuid.uuid4().hex
        self._names: list[str] = []
        self._names_until = self._workers_until = 0.0
        self._waited_on: set[str] = set()
        self._census = Census(alias, self._inspector.connection.prefix, CENSUS_S)
        self._last: dict[str, QueueSnapshot] = {}
        # When the newest quarter that is written down ended; asked on taking the lead.
        self._last_quarter = 0

    async def run(self) -> None:
        """Collect until cancelled; an outage of the server is waited out."""
        pause = TICK_S
        told = False
        explorer = asyncio.create_task(self._explore())
        try:
            while True:
                try:
                    await self.tick()
                except QueueCoreError as error:
                    # Whether we still lead is not known: the lock says it when the server is back.
                    self.leads = False
                    pause = min(pause * 2, LONGEST_PAUSE_S)
                    if not told:
                        logger.warning("history of %r pauses: %s", self.alias, error)
                        told = True
                    await asyncio.sleep(pause)
                except Exception:
                    if not threading.main_thread().is_alive():
                        return  # the process ends, and lends no threads any more
                    self.leads = False
                    logger.exception("history of %r missed a second", self.alias)
                    await asyncio.sleep(LONGEST_PAUSE_S)
                else:
                    pause, told = TICK_S, False
                    rest = self._until_next_second() if self.leads else STANDBY_S
                    await asyncio.sleep(rest)
        finally:
            explorer.cancel()
            await self._let_go()
            await asyncio.wait({explorer}, timeout=TICK_S)

    async def tick(self) -> None:
        """Count once, if this process leads or now begins to.

        Raises:
            ServerUnavailable: nothing was written.
        """
        if not self.leads:
            self.leads = await self._keep()
            if not self.leads:
                return
            self._last = {}
            self._census.forget()
            await self.history.arefresh()
            self._last_quarter = await self._newest_quarter()
        now = asyncio.get_running_loop().time()
        if now >= self._names_until:
            self._names = await self._discover(now)
            self._names_until = now + DISCOVERY_S
        since = max((one.at for one in self._last.values()), default=self.history.latest_at)
        count = await self._inspector.connection.arun(self._census.count(self._names, since))
        snapshots = count.queues
        at = self._inspector.connection.clock.now_ms() // 1000
        second = self._second(at, snapshots)
        if second is None:
            return
        minute = self._minute(second)
        # From minutes that are written down: whoever leads next makes the same of them.
        quarter = self.history.next_quarter(self._last_quarter)
        self.leads = await self._keep(second, minute, quarter)
        if self.leads:
            if quarter is not None:
                self._last_quarter = quarter.at
            self.history.add(second, minute)
            self._last = snapshots
            self._census.keep(count)
            await self._tell(snapshots)

    async def _discover(self, now: float) -> list[str]:
        listed = now >= self._workers_until
        found = await self._inspector.aread(Wants(names=True, workers=listed))
        if listed:
            self._workers_until = now + WORKERS_S
            self._waited_on = {worker.queue for worker in found.workers or ()}
        return sorted(self._waited_on.union(found.names or ()))

    async def _explore(self) -> None:
        """Look for queues that nobody told of for as long as this process leads."""
        while True:
            rest = EXPLORE_S
            if self.leads:
                try:
                    operation = self._inspector.explore(EXPLORE_S)
                    new, rest = await self._inspector.connection.arun(operation)
                    if new:
                        self._names_until = 0.0
                except QueueCoreError:
                    pass  # the server is away, as the next second finds out
                except Exception:
                    logger.exception("queues of %r could not be looked for", self.alias)
                    rest = LONGEST_PAUSE_S
            await asyncio.sleep(rest)

    def _second(self, at: int, snapshots: Mapping[str, QueueSnapshot]) -> Record | None:
        """What changed since the last record; None while its second is not over."""
        last_at = self.history.last_second
        if at <= last_at:
            return None
        # After a longer silence nobody knows when things happened: count from now on.
        gap = at - last_at
        known = gap <= LONGEST
        before = self.history.figures if known else {}
        figures = {
            name: self._figures(one, before.get(name), known) for name, one in snapshots.items()
        }
        new_round = at // FULL_SECONDS != last_at // FULL_SECONDS
        full = not known or new_round or before.keys() != figures.keys()
        changed = figures if full else _changed(figures, before)
        return Record(at, gap if known else 1, full, changed)

    def _figures(self, now: QueueSnapshot, before: Figures | None, known: bool) -> Figures:
        counts = (now.waiting, now.counts["active"], now.counts["delayed"], now.counts["failed"])
        done_total = -1 if now.completed_total is None else now.completed_total
        lost_total = -1 if now.failed_total is None else now.failed_total
        if not known:
            return Figures(*counts, 0, 0, done_total, lost_total)
        old = before or Figures()
        return Figures(
            *counts,
            _since(done_total, before, old.done_total, now.done),
            _since(lost_total, before, old.lost_total, now.lost),
            done_total,
            lost_total,
        )

    def _minute(self, second: Record) -> Record | None:
        """The record of the minute that *second* closes, if any."""
        end = second.at - second.at % 60
        figures = self.history.minute(end, second) if end > self.history.last_minute else None
        if figures is None:
            return None
        before = self.history.minute_figures
        full = end // 60 % FULL_MINUTES == 0 or before.keys() != figures.keys()
        return Record(end, 60, full, figures if full else _changed(figures, before))

    async def _newest_quarter(self) -> int:
        connection = self._inspector.connection
        found = await connection.arun(get_history(connection.prefix, "quarters", 1))
        records = [Record.decode(text, QUARTER) for text in found]
        return max((one.at for one in records if one is not None), default=0)

    async def _keep(
        self,
        second: Record | None = None,
        minute: Record | None = None,
        quarter: Record | None = None,
    ) -> bool:
        return await self._inspector.connection.arun(
            keep_history(
                self._inspector.connection.prefix,
                self._token,
                LEASE_MS,
                second.encode() if second else "",
                minute.encode() if minute else "",
                quarter.encode() if quarter else "",
            )
        )

    async def _let_go(self) -> None:
        if self.leads:
            self.leads = False
            try:
                connection = self._inspector.connection
                await connection.arun(keep_history(connection.prefix, self._token, 0))
            except QueueCoreError:
                # The lock ends by itself in some seconds.
                logger.debug("the lock of the history of %r was not released", self.alias)

    async def _tell(self, snapshots: Mapping[str, QueueSnapshot]) -> None:
        for listener in list(_listeners):
            try:
                answer = listener(self.alias, snapshots, self.history)
                if isawaitable(answer):
                    await answer
            except Exception:
                logger.exception("a listener of the history failed: %r", listener)

    def _until_next_second(self) -> float:
        """A little after the next full second of the server's clock."""
        return TICK_S - self._inspector.connection.clock.now_ms() % 1000 / 1000 + 0.01


def _since(total: int, before: Figures | None, old_total: int, counted: int) -> int:
    """How many finished: by the metrics' difference where there are any, else as *counted*."""
    if total < 0:
        return counted
    if old_total < 0:
        # Metrics that began just now hold what finished since; a new queue's may be old.
        return total if before is not None else 0
    return max(total - old_total, 0)


def _changed(now: Mapping[str, Figures], before: Mapping[str, Figures]) -> dict[str, Figures]:
    return {
        name: one
        for name, one in now.items()
        if one.done or one.lost or one._replace(done=0, lost=0) != _still(before[name])
    }


def _still(figures: Figures) -> Figures:
    return figures._replace(done=0, lost=0)


_histories: dict[str, History] = {}
_thread: _Thread | None = None
_lock = threading.Lock()


def history_of(alias: str = "default") -> History:
    """This process's copy of the history of *alias*."""
    with _lock:
        found = _histories.get(alias)
        if found is None or found.connection is not get_connection(alias):
            found = _histories[alias] = History(alias)
        return found


def ensure_running() -> None:
    """Collect in a thread of this process, for all connections; cheap to call again and again.

    For processes without an event loop of their own that lasts, such as web servers. The thread
    ends with the process and gives up its lock then.
    """
    global _thread
    if _thread is not None and _thread.pid == os.getpid():
        return
    with _lock:
        if _thread is None or _thread.pid != os.getpid():
            _thread = _Thread()
            _thread.start()


def stop() -> None:
    """End what :func:`ensure_running` began."""
    global _thread
    with _lock:
        thread, _thread = _thread, None
    if thread is not None and thread.pid == os.getpid():
        thread.end()


class _Thread(threading.Thread):
    """Runs a collector for each connection in an event loop of its own."""

    def __init__(self) -> None:
        super().__init__(name="queuecore-history", daemon=True)
        self.pid = os.getpid()
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        atexit.register(self.end)

    def run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        tasks = {asyncio.create_task(Collector(alias).run()) for alias in aliases()}
        self._ready.set()
        await self._stopping.wait()
        while tasks:
            # Again and again: connecting can swallow a cancellation.
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=0.1)
        for alias in aliases():
            await get_connection(alias).aclose()

    def end(self) -> None:
        """Cancel the collectors and wait a moment for them to give up their locks."""
        atexit.unregister(self.end)
        if not self.is_alive() or not self._ready.wait(1):
            return
        assert self._loop is not None
        assert self._stopping is not None
        with contextlib.suppress(RuntimeError):  # it has ended meanwhile
            self._loop.call_soon_threadsafe(self._stopping.set)
        self.join(2)
