"""Presence: what this process tells of its workers every few seconds, and the orders it hears.

One thread a process and connection, over a socket of its own, so that a blocked event loop is told
of instead of silenced. Nothing here is asked for a job: one call a heartbeat, however many workers
and jobs there are.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ..errors import QueueCoreError
from ..wire.attendance import (
    MOST_ANSWERS,
    MOST_JOBS,
    MOST_MINUTES,
    MOST_WORKERS,
    FleetPlace,
    Order,
)
from ..wire.calls import attending
from ..wire.calls.base import NOW, Operation
from ..wire.codec import dumps
from ..wire.connections import Connection

if TYPE_CHECKING:
    from .execute import Run
    from .worker import Worker

logger = logging.getLogger("queuecore.worker")

_MINUTE = 60.0
# Over so long the load of the CPU is meant; in seconds.
_LOAD_WINDOW = 10.0
# A drained worker waits for its jobs as long as they take; uvloop knows no infinity.
_AS_LONG_AS_IT_TAKES = 365 * 24 * 3600.0
# What the farewell gets when the last worker ends.
_PATIENCE = 1.5
_ID, _NAME = 200, 100


@dataclass(eq=False)
class _Post:
    """One worker as its process sees it."""

    worker: Worker
    loop: asyncio.AbstractEventLoop
    draining: bool = False
    # (monotonic seconds, done, failed), some for each heartbeat of the last minute.
    totals: deque[tuple[float, int, int]] = field(default_factory=deque)
    # Of the minute that runs: done and failed at its beginning, the most jobs at a time.
    before: tuple[int, int] = (0, 0)
    most: int = 0


class Lag:
    """How long one event loop makes a call wait that comes from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked: float | None = None
        self._last = 0.0

    def measure(self) -> float:
        """Seconds that the last call waited, or that one waits already; asks anew."""
        if (asked := self._asked) is not None:
            return max(time.monotonic() - asked, self._last)
        last, self._last = self._last, 0.0
        self._asked = time.monotonic()
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._answer)
        return last

    def _answer(self) -> None:
        if self._asked is not None:
            self._last = time.monotonic() - self._asked
            self._asked = None


class Presence(threading.Thread):
    """The presence of this process on one connection; :func:`enter` makes it."""

    def __init__(self, connection: Connection, every: float) -> None:
        super().__init__(name=f"queuecore-presence-{connection.alias}", daemon=True)
        self.id = uuid4().hex
        self.pid = os.getpid()
        self.every = every
        self.ending = False
        self._connection = connection.sibling()
        self._posts: dict[str, _Post] = {}
        self._woken = threading.Event()
        self._began = 0
        self._load: deque[tuple[float, float]] = deque()
        self._lags: dict[asyncio.AbstractEventLoop, Lag] = {}
        self._worst: deque[tuple[float, float]] = deque()
        self._seen: dict[str, None] = {}
        self._answers: dict[str, str] = {}
        self._minutes: deque[dict[str, Any]] = deque(maxlen=MOST_MINUTES)
        self._minute_ends = time.monotonic() + _MINUTE
        self._told = False

    # Workers, in their loops

    def enter(self, worker: Worker) -> None:
        """Tell of *worker* from now on; called in its loop."""
        post = _Post(worker, asyncio.get_running_loop())
        post.totals.append((time.monotonic(), worker._runs.completed, worker._runs.failed))
        post.before = (worker._runs.completed, worker._runs.failed)
        self._posts[worker.id] = post
        self._woken.set()

    def leave(self, worker: Worker) -> None:
        """Tell no more of *worker*; without any, the thread says goodbye and ends."""
        self._posts.pop(worker.id, None)
        self.ending = not self._posts
        self._woken.set()

    # The thread

    def run(self) -> None:
        """Beat until the last worker has left."""
        while not self.ending:
            begun = time.monotonic()
            self._woken.clear()
            try:
                self._beat()
            except QueueCoreError as error:
                logger.debug("the presence of this process was not told: %s", error)
            except Exception:
                # Whatever it is: without this thread nobody would hear of the workers again.
                logger.exception("the presence of this process was not told")
            self._woken.wait(max(begun + self.every - time.monotonic(), self.every / 20))
        with contextlib.suppress(QueueCoreError):
            self._connection.run(attending.leave(self._connection.prefix, self.id))
        self._connection.close()

    def _beat(self) -> None:
        told = self._connection.run(self._telling())
        if told.written:
            self._told = False
        elif not self._told:
            self._told = True
            logger.warning(
                "the server takes no record of this process's workers: dashboards will miss them. "
                "Is its memory full, or is a key qc:%s::worker... of another type?",
                self._connection.prefix,
            )
        for order in told.orders:
            if order.id not in self._seen:
                self._obey(order)

    def _telling(self) -> Operation[attending.Beat]:
        now = yield NOW
        record = self._written(now)
        recent = self._recent(now)
        told: attending.Beat = yield attending.beat(
            self._connection.prefix, self.id, record, now, recent
        )
        return told

    def _written(self, now: int) -> bytes:
        """The record, with fewer of the running jobs where it would be too long."""
        value = self._record(now)
        for most in (MOST_JOBS, 3, 0):
            for one in value["workers"]:
                del one["jobs"][most:]
            if len(record := dumps(value, "the presence")) < attending.RECORD_BYTES:
                break
        return record

    def _record(self, now: int) -> dict[str, Any]:
        clock = time.monotonic()
        lag = self._measure_lag()
        self._worst.append((clock, lag))
        while self._worst[0][0] < clock - _MINUTE:
            self._worst.popleft()
        self._began = self._began or now
        posts = list(self._posts.values())[:MOST_WORKERS]
        share = max(MOST_JOBS // max(len(posts), 1), 3)
        return {
            "host": socket.gethostname(),
            "pid": self.pid,
            "started": self._began,
            "every": round(self.every * 1000),
            "memory": resident(),
            "cpu": self._cpu(clock),
            "lag": round(lag * 1000),
            "worst_lag": round(max(one for _, one in self._worst) * 1000),
            **_versions(),
            **({} if place is None else {"place": asdict(place)}),
            "workers": [_told(post, clock, now, share) for post in posts],
            "answers": dict(list(self._answers.items())[-MOST_ANSWERS:]),
        }

    def _measure_lag(self) -> float:
        loops = {post.loop for post in list(self._posts.values())}
        self._lags = {loop: self._lags.get(loop) or Lag(loop) for loop in loops}
        return max((one.measure() for one in self._lags.values()), default=0.0)

    def _cpu(self, clock: float) -> float:
        """Cores in use over the last seconds, of all threads."""
        used = time.process_time()
        self._load.append((clock, used))
        while len(self._load) > 2 and self._load[1][0] < clock - _LOAD_WINDOW:
            self._load.popleft()
        since, before = self._load[0]
        return round((used - before) / (clock - since), 3) if clock > since else 0.0

    def _recent(self, now: int) -> bytes | None:
        """The last minutes, once a minute; first an empty list, which shows that it is young."""
        if time.monotonic() < self._minute_ends:
            return None
        self._minute_ends += _MINUTE
        posts = list(self._posts.values())
        workers = {}
        for post in posts:
            done, failed = post.worker._runs.completed, post.worker._runs.failed
            workers[post.worker.id] = [
                done - post.before[0], failed - post.before[1], post.most
            ]  # fmt: skip
            post.before, post.most = (done, failed), 0
        self._minutes.append(
            {
                "at": now,
                "memory": resident(),
                "cpu": self._cpu(time.monotonic()),
                "lag": round(max((one for _, one in self._worst), default=0) * 1000),
                "workers": workers,
            }
        )
        # Many workers have fewer minutes, so that the record stays small.
        most = max(MOST_MINUTES * 10 // max(len(posts), 10), 5)
        return dumps(list(self._minutes)[-most:], "the last minutes")

    # Orders

    def _obey(self, order: Order) -> None:
        self._seen[order.id] = None
        while len(self._seen) > 20 * attending.MOST_ORDERS:
            del self._seen[next(iter(self._seen))]
        posts = [post for id in order.workers if (post := self._posts.get(id)) is not None]
        if not posts:
            self._answer(order, "no such worker")
            return
        left = set(posts)
        for post in posts:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the worker
                post.loop.call_soon_threadsafe(self._carry_out, order, post, left)

    def _carry_out(self, order: Order, post: _Post, left: set[_Post]) -> None:
        """In the worker's loop, which may have been blocked until the order was void."""
        if order.until < self._connection.clock.now_ms():
            self._answer(order, "too late")
            return
        worker = post.worker
        logger.info("queue %s: ordered from afar: %s", worker.queue.name, _WORDS[order.verb])
        if order.verb == "pause":
            self._aside(worker.pause(do_not_wait_active=True))
        elif order.verb == "resume":
            worker.resume()
        elif order.verb == "cancel":
            if not _cancelled(worker, order):
                self._answer(order, "ended before")
                return
        elif not post.draining:
            post.draining = True
            self._aside(worker.close(_AS_LONG_AS_IT_TAKES))
        left.discard(post)
        if not left:
            # Behind what was set aside, so that the next record shows what is said to be done.
            post.loop.call_soon(self._answer, order, "done")

    def _answer(self, order: Order, answer: str) -> None:
        self._answers[order.id] = answer
        while len(self._answers) > MOST_ANSWERS:
            del self._answers[next(iter(self._answers))]
        self._woken.set()  # told at once

    def _aside(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)


_WORDS = {
    "pause": "to pause",
    "resume": "to go on",
    "drain": "to drain and stop",
    "cancel": "to cancel a job",
}
#: The place of this process in a fleet with a supervisor.
place: FleetPlace | None = None
_tasks: set[asyncio.Task[None]] = set()
_presences: dict[tuple[str, str, str], Presence] = {}
_lock = threading.Lock()


def enter(worker: Worker) -> Callable[[], Coroutine[Any, Any, None]]:
    """Tell of *worker* from now on; what is returned ends that, and is awaited when it ends."""
    connection, every = worker.queue.connection, worker.settings.heartbeat
    if every is None:
        return _nothing
    key = (connection.alias, connection.prefix, str(id(connection)))
    with _lock:
        found = _presences.get(key)
        if found is None or found.ending or found.pid != os.getpid() or not found.is_alive():
            found = _presences[key] = Presence(connection, every)
            found.enter(worker)
            found.start()
        else:
            found.every = min(found.every, every)
            found.enter(worker)

    async def leave() -> None:
        with _lock:
            found.leave(worker)
            if found.ending and _presences.get(key) is found:
                del _presences[key]
        deadline = time.monotonic() + _PATIENCE
        # A thread has no event to await.
        while found.ending and found.is_alive() and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.002)

    return leave


async def _nothing() -> None:
    """There is nothing to end."""


def _told(post: _Post, clock: float, now: int, share: int) -> dict[str, Any]:
    worker = post.worker
    done, failed = worker._runs.completed, worker._runs.failed
    post.totals.append((clock, done, failed))
    while len(post.totals) > 2 and post.totals[1][0] <= clock - _MINUTE:
        post.totals.popleft()
    _, old_done, old_failed = post.totals[0]
    runs = sorted(_running(worker), key=lambda run: run.claimed)
    post.most = max(post.most, len(runs))
    limits = worker._options.group_limits
    return {
        "id": worker.id,
        "queue": worker.queue.name,
        "name": worker.settings.name,
        "state": _state(post),
        "concurrency": worker.concurrency,
        "busy": len(runs),
        "jobs": [
            [
                *(run.job.id[:_ID], run.job.name[:_NAME], now - _ms(clock - run.claimed)),
                _about(worker, run, clock, now),
            ]
            for run in runs[:share]
        ],
        "done": done,
        "failed": failed,
        "done_minute": done - old_done,
        "failed_minute": failed - old_failed,
        "client": worker._marker.client_id or 0,
        **({} if limits == ",," else {"group": limits}),
        **({} if worker._letters is None else {"dead_letter": worker._letters.name}),
    }


def _about(worker: Worker, run: Run, clock: float, now: int) -> dict[str, Any]:
    """What else there is to say of a run: how it is worked, and for how long it may be."""
    about: dict[str, Any] = {}
    if run.began and run.entry is not None:
        is_async = "coroutine" if run.entry.is_async else "thread"
        about["kind"] = "sandbox" if worker.processors.sandbox else is_async
        timeout = run.batch[0].timeout if run.batch else run.timeout
        if timeout is not None:
            about["timeout"] = round(timeout * 1000)
            about["until"] = now + round((run.began + timeout - clock) * 1000)
    if run.pid:
        about["pid"] = run.pid
    if run.batch:
        about["batch"] = len(run.batch)
    if run.job.cancelled is not None:
        about["told"] = 1
    return about


def _cancelled(worker: Worker, order: Order) -> bool:
    """Whether any of the runs that the order means was there to be cancelled."""
    found = [
        worker.cancel_job(job, order.reason or None)
        for job, token in order.runs
        if (run := worker._runs.get(job)) is not None and worker._runs.token(run) == token
    ]
    return any(found)


def _ms(seconds: float) -> int:
    """Whole milliseconds; none for a job that was claimed while the record was written."""
    return max(round(seconds * 1000), 0)


def _running(worker: Worker) -> list[Run]:
    return [run for run in worker._runs.now() if not (run.ended or run.lost)]


def _state(post: _Post) -> str:
    if post.draining:
        return "draining"
    if not post.worker.is_running():
        return "closing"
    return "paused" if post.worker.is_paused() else "running"


def _versions() -> dict[str, str]:
    from .. import __version__

    # Asked of the module that is there anyway: a worker does not import Django for it.
    django = getattr(sys.modules.get("django"), "get_version", str)()
    return {"queuecore": __version__, "python": sys.version.split()[0], "django": django}


def resident() -> int:
    """The resident memory of this process in bytes; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # the most so far is the next best
    return most if sys.platform == "darwin" else most * 1024
