"""Running: what is done with a job by whoever runs it and holds its lock; a part of `Job`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from .. import conf
from ..errors import InvalidOption, JobCancelled, LockLost
from ..handle import log_row
from ..options import Seconds, checked_token, epoch_ms, milliseconds
from ..wire.calls import flows, jobs, moving
from ..wire.calls.base import NOW, Call, Operation
from ..wire.calls.working import HeldLock, extend_locks
from ..wire.codec import dumps
from .snapshot import Snapshot

if TYPE_CHECKING:
    from .job import Job


class Running(Snapshot):
    """Each method exists twice, ``log`` and ``alog``, from one implementation."""

    __slots__ = ()

    # By its processor

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
        self, token: str | None = None, *, child: Snapshot | str | None = None
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
        self, token: str | None = None, *, child: Snapshot | str | None = None
    ) -> bool:
        """See :meth:`move_to_waiting_children`."""
        return await self.queue._arun(self._move_to_waiting_children(token, child))

    # By a program that got it from `Worker.get_next_job`

    def move_to_completed(
        self, result: Any = None, token: str | None = None, *, fetch_next: bool = False
    ) -> Job | None:
        """Complete a job that this program got itself (BullMQ ``moveToCompleted``).

        Args:
            token: the lock's, where another object or process got the job; None is its own.
            fetch_next: claim the next job by the same call and return it, None if there is none.

        Raises:
            LockLost: another worker has the job.
            PendingChildren, FailedChildren: it cannot complete; its lock is still held.
            InvalidOption: it was not got by ``Worker.get_next_job``.
        """
        return self.queue._run(self._move_to_completed(result, token, fetch_next))

    async def amove_to_completed(
        self, result: Any = None, token: str | None = None, *, fetch_next: bool = False
    ) -> Job | None:
        """See :meth:`move_to_completed`."""
        return await self.queue._arun(self._move_to_completed(result, token, fetch_next))

    def move_to_failed(
        self, error: BaseException | str, token: str | None = None, *, fetch_next: bool = False
    ) -> Job | None:
        """Let a job that this program got itself fail, or be tried again (``moveToFailed``).

        Args:
            token, fetch_next: as of :meth:`move_to_completed`.

        Raises:
            LockLost, InvalidOption: as :meth:`move_to_completed`.
        """
        return self.queue._run(self._move_to_failed(error, token, fetch_next))

    async def amove_to_failed(
        self, error: BaseException | str, token: str | None = None, *, fetch_next: bool = False
    ) -> Job | None:
        """See :meth:`move_to_failed`."""
        return await self.queue._arun(self._move_to_failed(error, token, fetch_next))

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

    # The operations

    def _update_progress(self, progress: Any) -> Operation[None]:
        encoded = dumps(progress, "the progress")
        yield jobs.update_progress(self.queue.keys, self.id, encoded)
        self._fields[b"progress"] = encoded
        if self.queue._progressed is not None:
            self.queue._progressed(self, progress)

    def _log(self, row: object) -> Call[int]:
        keep = self.opts.get("kl")
        return jobs.add_log(
            self.queue.keys,
            self.id,
            [log_row(row)],
            keep if isinstance(keep, int) and keep > 0 else 0,
        )

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
        self, token: str | None, child: Snapshot | str | None
    ) -> Operation[bool]:
        key = child.queue.keys.job(child.id) if isinstance(child, Snapshot) else child or ""
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

    def _move_to_completed(
        self, result: Any, token: str | None, fetch_next: bool
    ) -> Operation[Job | None]:
        found: Job | None = yield from self._manual().completed(self, result, token, fetch_next)
        return found

    def _move_to_failed(
        self, error: BaseException | str, token: str | None, fetch_next: bool
    ) -> Operation[Job | None]:
        raised = error if isinstance(error, BaseException) else Exception(error)
        found: Job | None = yield from self._manual().failed(self, raised, token, fetch_next)
        return found

    def _manual(self) -> Any:
        if self.queue._manual is None:
            raise InvalidOption(
                f"job {self.id} was not got by Worker.get_next_job(), so it can't be ended by hand"
            )
        return self.queue._manual

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

    def _token(self, token: str | None) -> str:
        return self.token if token is None else checked_token(token)
