"""Job: one job of a queue, as its hash in Redis says, and what can be done with it.

A `Job` is a snapshot; methods that change the job on the server update the snapshot too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import conf
from .errors import (
    InvalidOption,
    JobCancelled,
    JobFailed,
    JobNotFound,
    LockLost,
    did_you_mean,
)
from .fields import Fields
from .handle import log_row
from .options import (
    Seconds,
    checked_finished,
    checked_priority,
    checked_token,
    checked_whole,
    epoch_ms,
    milliseconds,
)
from .wire.calls import adding, flows, jobs, moving, reading, removing
from .wire.calls.base import NOW, Call, Operation
from .wire.calls.flows import Dependencies
from .wire.calls.waiting import wait_until_finished
from .wire.calls.working import HeldLock, extend_locks
from .wire.codec import dumps, loads

if TYPE_CHECKING:
    from .queue import Queue

# One page of a parent's children: where it begins, and about how many it holds.
Page = Mapping[str, int] | bool


class Job(Fields):
    """One job; made by ``Queue.add``, ``Queue.get_job`` and the worker, not by hand.

    ``queue``: its :class:`Queue`. ``id``: its id, text. ``token``: the lock's token while this
    process runs it, else empty; a move of the job gives it up. Each method exists twice, ``log``
    and ``alog``, from one implementation.
    """

    __slots__ = ("id", "queue", "token")

    def __init__(self, queue: Queue, id: str, fields: dict[bytes, bytes], token: str = "") -> None:
        super().__init__(fields)
        self.queue = queue
        self.id = id
        self.token = token

    @classmethod
    def from_flat(cls, queue: Queue, id: str, flat: Sequence[bytes], token: str = "") -> Job:
        """Make a job from the flat names and values of ``HGETALL``."""
        return cls(queue, id, dict(zip(flat[::2], flat[1::2], strict=True)), token)

    def _begun(self, now: int, worker: str) -> None:
        """Take over what a claim has just written, into a snapshot from before it."""
        self._fields[b"ats"] = b"%d" % (self.attempts_started + 1)
        self._fields[b"processedOn"] = b"%d" % now
        if worker:
            self._fields[b"pb"] = worker.encode()

    def _ended(self, attempts: str, field: bytes, value: bytes | str) -> None:
        """Take over what the end of its run has written, for the hooks of its processor."""
        self._fields[field] = value if isinstance(value, bytes) else value.encode()
        if attempts:
            self._fields[b"atm"] = attempts.encode()

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.name!r} of {self.queue.name!r}>"

    # While it runs

    def update_progress(self, progress: Any) -> None:
        """Tell how far the job is: a number, or anything JSON knows (BullMQ ``updateProgress``).

        Raises:
            JobNotFound, NotSerializable
        """
        self.queue._run(self._update_progress(progress))

    async def aupdate_progress(self, progress: Any) -> None:
        """See :meth:`update_progress`."""
        await self.queue._arun(self._update_progress(progress))

    def log(self, row: object) -> int:
        """Add a row to the job's log; how many there are now (BullMQ ``log``).

        The newest ``keep_logs`` of the job's options are kept.
        """
        return self.queue._run(self._log(row))

    async def alog(self, row: object) -> int:
        """See :meth:`log`."""
        return await self.queue._arun(self._log(row))

    @property
    def cancelled(self) -> str | None:
        """Why this run was cancelled, None if it was not; see ``Worker.cancel_job``."""
        return self.queue._cancelled.get((self.token, self.id))

    def raise_if_cancelled(self) -> None:
        """End a processor in a thread whose job was cancelled; asks nobody, so call it often.

        Raises:
            JobCancelled: with the reason.
        """
        if (reason := self.cancelled) is not None:
            raise JobCancelled(reason)

    def move_to_delayed(self, when: Seconds | datetime, token: str | None = None) -> None:
        """Let the job come back later, without counting this try; then raise ``DelayedError``.

        Args:
            when: seconds (or a timedelta) from now, or an aware datetime.
            token: the lock's; None is that of this run.

        Raises:
            LockLost: another worker has the job.
            JobNotInState: it does not run.
        """
        self.queue._run(self._move_to_delayed(when, token))

    async def amove_to_delayed(self, when: Seconds | datetime, token: str | None = None) -> None:
        """See :meth:`move_to_delayed`."""
        await self.queue._arun(self._move_to_delayed(when, token))

    def move_to_wait(self, token: str | None = None) -> None:
        """Put the job back to run next, without counting this try; then raise ``WaitingError``.

        Raises:
            LockLost, JobNotInState: as :meth:`move_to_delayed`.
        """
        self.queue._run(self._move_to_wait(token))

    async def amove_to_wait(self, token: str | None = None) -> None:
        """See :meth:`move_to_wait`."""
        await self.queue._arun(self._move_to_wait(token))

    def move_to_waiting_children(
        self, token: str | None = None, *, child: Job | str | None = None
    ) -> bool:
        """Let the job wait for its children; if it does, raise ``WaitingChildrenError``.

        It runs again, from the top, when they are done: keep in its data how far it was. Returns
        False if no child is left to wait for; then it just goes on.

        Args:
            token: the lock's; None is that of this run.
            child: wait only if this child (a job, or its key) is not done.

        Raises:
            FailedChildren: a child failed that fails its parent.
            LockLost, JobNotInState: as :meth:`move_to_delayed`.
        """
        return self.queue._run(self._move_to_waiting_children(token, child))

    async def amove_to_waiting_children(
        self, token: str | None = None, *, child: Job | str | None = None
    ) -> bool:
        """See :meth:`move_to_waiting_children`."""
        return await self.queue._arun(self._move_to_waiting_children(token, child))

    # Its children

    def get_children_values(self) -> dict[str, Any]:
        """What its completed children returned, by their keys (BullMQ ``getChildrenValues``)."""
        return self.queue._run(flows.get_children_values(self.queue.keys, self.id))

    async def aget_children_values(self) -> dict[str, Any]:
        """See :meth:`get_children_values`."""
        return await self.queue._arun(flows.get_children_values(self.queue.keys, self.id))

    def get_ignored_children_failures(self) -> dict[str, str]:
        """Why those children failed whose failure it ignored, by their keys.

        Those that were added with ``ignore_dependency_on_failure`` or
        ``continue_parent_on_failure`` (BullMQ ``getIgnoredChildrenFailures``).
        """
        return self.queue._run(flows.get_ignored_children_failures(self.queue.keys, self.id))

    async def aget_ignored_children_failures(self) -> dict[str, str]:
        """See :meth:`get_ignored_children_failures`."""
        return await self.queue._arun(flows.get_ignored_children_failures(self.queue.keys, self.id))

    def get_dependencies(
        self,
        *,
        processed: Page | None = None,
        unprocessed: Page | None = None,
        ignored: Page | None = None,
        failed: Page | None = None,
    ) -> Dependencies:
        """Its children by what became of them, all or page by page (BullMQ ``getDependencies``).

        Without arguments all are read. A page is ``True`` or ``{"cursor": 0, "count": 20}``; only
        the kinds with one are read then, and ``cursors`` of the answer says where each goes on (0:
        that was all). A page may be somewhat larger or smaller than asked for, as the server likes.
        """
        return self.queue._run(self._get_dependencies(processed, unprocessed, ignored, failed))

    async def aget_dependencies(
        self,
        *,
        processed: Page | None = None,
        unprocessed: Page | None = None,
        ignored: Page | None = None,
        failed: Page | None = None,
    ) -> Dependencies:
        """See :meth:`get_dependencies`."""
        return await self.queue._arun(
            self._get_dependencies(processed, unprocessed, ignored, failed)
        )

    def get_dependencies_count(self, *kinds: str) -> dict[str, int]:
        """How many children are processed, unprocessed, ignored, failed; none named: of each."""
        return self.queue._run(self._get_dependencies_count(kinds))

    async def aget_dependencies_count(self, *kinds: str) -> dict[str, int]:
        """See :meth:`get_dependencies_count`."""
        return await self.queue._arun(self._get_dependencies_count(kinds))

    def remove_child_dependency(self) -> bool:
        """Let the job's parent no longer wait for it; whether it did (``removeChildDependency``).

        Raises:
            JobNotFound, ParentNotFound
        """
        return self.queue._run(self._remove_child_dependency())

    async def aremove_child_dependency(self) -> bool:
        """See :meth:`remove_child_dependency`."""
        return await self.queue._arun(self._remove_child_dependency())

    def remove_unprocessed_children(self) -> int:
        """Delete the children it still waits for, and theirs; how many (of its own) that were.

        Those that run or have failed stand (BullMQ ``removeUnprocessedChildren``).
        """
        return self.queue._run(flows.remove_unprocessed_children(self.queue.keys, self.id))

    async def aremove_unprocessed_children(self) -> int:
        """See :meth:`remove_unprocessed_children`."""
        return await self.queue._arun(flows.remove_unprocessed_children(self.queue.keys, self.id))

    # By a program that got it from `Worker.get_next_job`

    def move_to_completed(self, result: Any = None, token: str | None = None) -> None:
        """Complete a job that this program got itself (BullMQ ``moveToCompleted``).

        Raises:
            LockLost: another worker has the job.
            PendingChildren, FailedChildren: it cannot complete; its lock is still held.
            InvalidOption: it was not got by ``Worker.get_next_job``.
        """
        self.queue._run(self._move_to_completed(result, token))

    async def amove_to_completed(self, result: Any = None, token: str | None = None) -> None:
        """See :meth:`move_to_completed`."""
        await self.queue._arun(self._move_to_completed(result, token))

    def move_to_failed(self, error: BaseException | str, token: str | None = None) -> None:
        """Let a job that this program got itself fail, or be tried again (``moveToFailed``).

        Raises:
            LockLost, InvalidOption: as :meth:`move_to_completed`.
        """
        self.queue._run(self._move_to_failed(error, token))

    async def amove_to_failed(self, error: BaseException | str, token: str | None = None) -> None:
        """See :meth:`move_to_failed`."""
        await self.queue._arun(self._move_to_failed(error, token))

    def extend_lock(self, duration: Seconds | None = None, token: str | None = None) -> None:
        """Hold the job for *duration* from now on (BullMQ ``extendLock``).

        Args:
            duration: seconds (or a timedelta); None is ``LOCK_DURATION``.

        Raises:
            LockLost: another worker has the job, or it was too late.
        """
        self.queue._run(self._extend_lock(duration, token))

    async def aextend_lock(self, duration: Seconds | None = None, token: str | None = None) -> None:
        """See :meth:`extend_lock`."""
        await self.queue._arun(self._extend_lock(duration, token))

    # From outside

    def refresh(self) -> None:
        """Read the job again.

        Raises:
            JobNotFound: it was deleted.
        """
        self.queue._run(self._refresh())

    async def arefresh(self) -> None:
        """See :meth:`refresh`."""
        await self.queue._arun(self._refresh())

    def result(self, timeout: Seconds | None = None) -> Any:
        """Wait until the job is finished and return what it returned (``waitUntilFinished``).

        Args:
            timeout: seconds (or a timedelta) to wait at most; None waits as long as it takes.

        Raises:
            JobFailed: it failed; the message is its failed reason.
            TimeoutError: it is not finished yet.
            JobNotFound: it was deleted.
        """
        return self.queue._run(self._result(timeout))

    async def aresult(self, timeout: Seconds | None = None) -> Any:
        """See :meth:`result`."""
        return await self.queue._arun(self._result(timeout))

    def get_state(self) -> str:
        """The state it is in now; ``unknown`` if it stands nowhere (BullMQ ``getState``)."""
        return self.queue._run(reading.get_state(self.queue.keys, self.id))

    async def aget_state(self) -> str:
        """See :meth:`get_state`."""
        return await self.queue._arun(reading.get_state(self.queue.keys, self.id))

    def is_completed(self) -> bool:
        """Whether it is completed now (BullMQ ``isCompleted``)."""
        return self.queue._run(self._is("completed"))

    async def ais_completed(self) -> bool:
        """See :meth:`is_completed`."""
        return await self.queue._arun(self._is("completed"))

    def is_failed(self) -> bool:
        """Whether it is failed now (BullMQ ``isFailed``)."""
        return self.queue._run(self._is("failed"))

    async def ais_failed(self) -> bool:
        """See :meth:`is_failed`."""
        return await self.queue._arun(self._is("failed"))

    def is_delayed(self) -> bool:
        """Whether it is delayed now (BullMQ ``isDelayed``)."""
        return self.queue._run(self._is("delayed"))

    async def ais_delayed(self) -> bool:
        """See :meth:`is_delayed`."""
        return await self.queue._arun(self._is("delayed"))

    def is_active(self) -> bool:
        """Whether it is active now (BullMQ ``isActive``)."""
        return self.queue._run(self._is("active"))

    async def ais_active(self) -> bool:
        """See :meth:`is_active`."""
        return await self.queue._arun(self._is("active"))

    def is_waiting(self) -> bool:
        """Whether it is waiting now (BullMQ ``isWaiting``)."""
        return self.queue._run(self._is("waiting"))

    async def ais_waiting(self) -> bool:
        """See :meth:`is_waiting`."""
        return await self.queue._arun(self._is("waiting"))

    def is_waiting_children(self) -> bool:
        """Whether it is waiting-children now (BullMQ ``isWaitingChildren``)."""
        return self.queue._run(self._is("waiting-children"))

    async def ais_waiting_children(self) -> bool:
        """See :meth:`is_waiting_children`."""
        return await self.queue._arun(self._is("waiting-children"))

    def get_logs(self, start: int = 0, end: int = -1, asc: bool = True) -> tuple[list[str], int]:
        """Rows *start* to *end* of the log, and how many there are; not *asc*: newest first."""
        return self.queue._run(self.queue._get_job_logs(self.id, start, end, asc))

    async def aget_logs(
        self, start: int = 0, end: int = -1, asc: bool = True
    ) -> tuple[list[str], int]:
        """See :meth:`get_logs`."""
        return await self.queue._arun(self.queue._get_job_logs(self.id, start, end, asc))

    def clear_logs(self, keep_logs: int = 0) -> None:
        """Delete the log but for its newest *keep_logs* rows (BullMQ ``clearLogs``)."""
        keep = checked_whole(keep_logs, "keep_logs")
        self.queue._run(jobs.clear_logs(self.queue.keys, self.id, keep))

    async def aclear_logs(self, keep_logs: int = 0) -> None:
        """See :meth:`clear_logs`."""
        keep = checked_whole(keep_logs, "keep_logs")
        await self.queue._arun(jobs.clear_logs(self.queue.keys, self.id, keep))

    def update_data(self, data: Any) -> None:
        """Replace the payload (BullMQ ``updateData``).

        Raises:
            JobNotFound, NotSerializable
        """
        self.queue._run(self._update_data(data))

    async def aupdate_data(self, data: Any) -> None:
        """See :meth:`update_data`."""
        await self.queue._arun(self._update_data(data))

    def promote(self) -> None:
        """Let a delayed job run now (BullMQ ``promote``).

        Raises:
            JobNotInState: it is not delayed.
        """
        self.queue._run(self._promote())

    async def apromote(self) -> None:
        """See :meth:`promote`."""
        await self.queue._arun(self._promote())

    def retry(
        self,
        state: str = "failed",
        *,
        reset_attempts_made: bool = False,
        reset_attempts_started: bool = False,
    ) -> None:
        """Let a finished job run again (BullMQ ``retry``).

        Args:
            state: failed or completed, the state it is in.
            reset_attempts_made: count its tries from 0 again, so that all of them are left.
            reset_attempts_started: count its starts from 0 again.

        Raises:
            JobNotInState: it is not in that state.
        """
        self.queue._run(self._retry(state, reset_attempts_made, reset_attempts_started))

    async def aretry(
        self,
        state: str = "failed",
        *,
        reset_attempts_made: bool = False,
        reset_attempts_started: bool = False,
    ) -> None:
        """See :meth:`retry`."""
        await self.queue._arun(self._retry(state, reset_attempts_made, reset_attempts_started))

    def change_delay(self, delay: Seconds) -> None:
        """Let a delayed job run in *delay* seconds (or a timedelta) from now (``changeDelay``).

        Raises:
            JobNotInState: it is not delayed.
        """
        self.queue._run(self._change_delay(delay))

    async def achange_delay(self, delay: Seconds) -> None:
        """See :meth:`change_delay`."""
        await self.queue._arun(self._change_delay(delay))

    def change_priority(self, priority: int, lifo: bool = False) -> None:
        """Give the job another priority, and its place if it waits (BullMQ ``changePriority``).

        Args:
            priority: 0 (none, runs first) to 2,097,151.
            lifo: run before the others of that priority, instead of after them.
        """
        self.queue._run(self._change_priority(priority, lifo))

    async def achange_priority(self, priority: int, lifo: bool = False) -> None:
        """See :meth:`change_priority`."""
        await self.queue._arun(self._change_priority(priority, lifo))

    def remove(self, remove_children: bool = True) -> bool:
        """Delete the job, and its children; whether it still existed (BullMQ ``remove``).

        Raises:
            JobIsLocked: it, or one of its children, is running.
            PendingSchedulerRun: it is the next run of a scheduler.
        """
        return self.queue._run(removing.remove_job(self.queue.keys, self.id, remove_children))

    async def aremove(self, remove_children: bool = True) -> bool:
        """See :meth:`remove`."""
        return await self.queue._arun(
            removing.remove_job(self.queue.keys, self.id, remove_children)
        )

    def remove_deduplication_key(self) -> bool:
        """Free the job's deduplication id, if it still has it; whether it had.

        The next add under that id adds a job (BullMQ ``removeDeduplicationKey``).
        """
        return self.queue._run(self._remove_deduplication_key())

    async def aremove_deduplication_key(self) -> bool:
        """See :meth:`remove_deduplication_key`."""
        return await self.queue._arun(self._remove_deduplication_key())

    # The operations

    def _remove_deduplication_key(self) -> Operation[bool]:
        under = self.deduplication_id
        if under is None:
            return False
        removed: bool = yield adding.remove_deduplication_key(self.queue.keys, under, self.id)
        return removed

    def _update_progress(self, progress: Any) -> Operation[None]:
        encoded = dumps(progress, "the progress")
        yield jobs.update_progress(self.queue.keys, self.id, encoded)
        self._fields[b"progress"] = encoded
        if self.queue._progressed is not None:
            self.queue._progressed(self, progress)

    def _update_data(self, data: Any) -> Operation[None]:
        encoded = dumps(data)
        yield jobs.update_data(self.queue.keys, self.id, encoded)
        self._take({**self._fields, b"data": encoded})

    def _log(self, row: object) -> Call[int]:
        keep = self.opts.get("kl")
        return jobs.add_log(
            self.queue.keys,
            self.id,
            [log_row(row)],
            keep if isinstance(keep, int) and keep > 0 else 0,
        )

    def _token(self, token: str | None) -> str:
        return self.token if token is None else checked_token(token)

    def _move_to_delayed(self, when: Seconds | datetime, token: str | None) -> Operation[None]:
        at = epoch_ms(when, "when") if isinstance(when, datetime) else None
        wait = 0 if isinstance(when, datetime) else milliseconds(when, "when")
        now = yield NOW
        delay = wait if at is None else max(at - now, 0)
        keys, token = self.queue.keys, self._token(token)
        yield from self._moved(moving.move_to_delayed(keys, self.id, token, delay, now))
        self._fields[b"delay"] = b"%d" % delay

    def _move_to_wait(self, token: str | None) -> Operation[None]:
        yield from self._moved(moving.move_to_wait(self.queue.keys, self.id, self._token(token)))

    def _moved(self, call: Call[int]) -> Operation[None]:
        # Given up before the server knows: this process may claim the job again before it is told.
        held, self.token = self.token, ""
        try:
            yield call
        except BaseException:
            self.token = held
            raise

    def _move_to_waiting_children(
        self, token: str | None, child: Job | str | None
    ) -> Operation[bool]:
        key = child.queue.keys.job(child.id) if isinstance(child, Job) else child or ""
        keys, token = self.queue.keys, self._token(token)
        now = yield NOW
        held, self.token = self.token, ""  # see _moved
        waits: bool = False
        try:
            waits = yield flows.move_to_waiting_children(keys, self.id, token, key, now)
        finally:
            if not waits:
                self.token = held
        return waits

    def _get_dependencies(self, *pages: Page | None) -> Operation[Dependencies]:
        wanted: dict[str, tuple[int, int] | None] = {
            kind: _page(page, kind)
            for kind, page in zip(flows.KINDS, pages, strict=True)
            if page is not None and page is not False
        }
        return flows.get_dependencies(
            self.queue.keys, self.id, wanted or dict.fromkeys(flows.KINDS, None)
        )

    def _get_dependencies_count(self, kinds: Sequence[str]) -> Operation[dict[str, int]]:
        for kind in kinds:
            checked_kind(kind)
        return flows.get_dependencies_count(self.queue.keys, self.id, kinds or [*flows.KINDS])

    def _remove_child_dependency(self) -> Operation[bool]:
        if self.parent_key is None:
            return False
        removed: bool = yield flows.remove_child_dependency(
            self.queue.keys, self.id, self.parent_key
        )
        if removed:
            for one in (b"parentKey", b"parent"):
                self._fields.pop(one, None)
        return removed

    def _manual(self) -> Any:
        if self.queue._manual is None:
            raise InvalidOption(
                f"job {self.id} was not got by Worker.get_next_job(), so it can't be ended by hand"
            )
        return self.queue._manual

    def _move_to_completed(self, result: Any, token: str | None) -> Operation[None]:
        yield from self._manual().completed(self, result, token)

    def _move_to_failed(self, error: BaseException | str, token: str | None) -> Operation[None]:
        raised = error if isinstance(error, BaseException) else Exception(error)
        yield from self._manual().failed(self, raised, token)

    def _extend_lock(self, duration: Seconds | None, token: str | None) -> Operation[None]:
        if duration is not None:
            ms = milliseconds(duration, "duration")
        elif self.queue._manual is not None:
            ms = self.queue._manual.lock_duration
        else:
            ms = round(conf.get_settings().worker.lock_duration * 1000)
        if ms == 0:
            raise InvalidOption("duration must be at least a millisecond")
        held = HeldLock(self.id, self._token(token), self.attempts_started, True)
        (answer,) = yield extend_locks(self.queue.keys, ms, [held])
        if answer not in (1, 2):
            raise LockLost(
                f"the lock of job {self.id} of queue {self.queue.name} is not ours any more"
            )

    def _is(self, state: str) -> Operation[bool]:
        found: str = yield reading.get_state(self.queue.keys, self.id)
        return found == state

    def _refresh(self) -> Operation[None]:
        fields = yield reading.get_job(self.queue.keys, self.id)
        if fields is None:
            raise JobNotFound(f"there is no job {self.id} in queue {self.queue.name} any more")
        self._take(fields)

    def _result(self, timeout: Seconds | None) -> Operation[Any]:
        seconds = None if timeout is None else milliseconds(timeout, "timeout") / 1000
        ended = yield from wait_until_finished(self.queue.keys, self.id, seconds)
        if ended is None:
            raise TimeoutError(
                f"job {self.id} of queue {self.queue.name} is not finished after {seconds:g} s"
            )
        state, value = ended
        if state == "failed":
            raise JobFailed(value)
        return loads(value) if value else None

    def _promote(self) -> Operation[None]:
        yield moving.promote(self.queue.keys, self.id)
        self._fields[b"delay"] = b"0"

    def _retry(self, state: str, reset_made: bool, reset_started: bool) -> Operation[None]:
        checked_finished(state)
        lifo = bool(self.opts.get("lifo"))
        yield moving.reprocess_job(self.queue.keys, self.id, state, lifo, reset_made, reset_started)
        gone = [b"finishedOn", b"processedOn"]
        gone.append(b"failedReason" if state == "failed" else b"returnvalue")
        gone += [b"atm", b"attemptsMade"] * reset_made + [b"ats"] * reset_started
        for field in gone:
            self._fields.pop(field, None)

    def _change_delay(self, delay: Seconds) -> Operation[None]:
        ms = milliseconds(delay, "delay")
        now = yield NOW
        yield moving.change_delay(self.queue.keys, self.id, ms, now)
        self._fields[b"delay"] = b"%d" % ms

    def _change_priority(self, priority: int, lifo: bool) -> Operation[None]:
        priority = checked_priority(priority)
        yield moving.change_priority(self.queue.keys, self.id, priority, lifo)
        self._fields[b"priority"] = b"%d" % priority


def checked_kind(kind: str) -> str:
    """Check a kind of children: processed, unprocessed, ignored, failed."""
    if kind not in flows.KINDS:
        raise InvalidOption(
            f"children are {', '.join(flows.KINDS)}, not {kind!r}{did_you_mean(kind, flows.KINDS)}"
        )
    return kind


def _page(page: Page, kind: str) -> tuple[int, int]:
    if page is True:
        page = {}
    if not isinstance(page, Mapping) or set(page) - {"cursor", "count"}:
        raise InvalidOption(f"{kind} is True or {{'cursor': 0, 'count': 20}}, not {page!r}")
    cursor = checked_whole(page.get("cursor", 0), "cursor")
    count = checked_whole(page.get("count", 20), "count")
    if count == 0:
        raise InvalidOption("the count of a page must be at least 1")
    return cursor, count
