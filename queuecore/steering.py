"""Steering: what an operator does to a queue and its jobs; a part of :class:`queuecore.Queue`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from .errors import InvalidOption, did_you_mean
from .handle import Handle, known_id, log_row
from .limits import LimitInfo, limits_of
from .options import (
    RateLimit,
    Seconds,
    checked_deduplication_id,
    checked_finished,
    checked_whole,
    epoch_ms,
    milliseconds,
)
from .wire import attendance, codec
from .wire.calls import adding, cancelling, jobs, moving, removing, steering
from .wire.calls.base import NOW, Call, Command, Operation
from .wire.calls.removing import CLEANED


class Steering(Handle):
    """Each method exists twice, ``pause`` and ``apause``, from one implementation."""

    # The whole queue

    def pause(self, *, reason: str = "", by: str = "", resume_at: datetime | None = None) -> None:
        """Let workers take no further job, until :meth:`resume` (BullMQ ``pause``).

        What runs is finished. Adds are accepted and wait.

        Args:
            reason: why, for those who find the queue paused.
            by: who did it.
            resume_at: when it is to go on by itself. The process that keeps the history sees to
                it (:mod:`queuecore.history`): a worker of ``runworker``, or a web server.

        Raises:
            InvalidOption: a text is longer than 500 characters, or the time is not ahead.
        """
        self._run(self._pause(reason, by, resume_at))

    async def apause(
        self, *, reason: str = "", by: str = "", resume_at: datetime | None = None
    ) -> None:
        """See :meth:`pause`."""
        await self._arun(self._pause(reason, by, resume_at))

    def resume(self) -> None:
        """Let workers go on (BullMQ ``resume``)."""
        self._run(steering.resume(self.keys))

    async def aresume(self) -> None:
        """See :meth:`resume`."""
        await self._arun(steering.resume(self.keys))

    def drain(self, delayed: bool = False) -> int:
        """Delete all jobs that wait, *delayed* ones too if asked to; how many (BullMQ ``drain``).

        The next runs of schedulers stand, and so does what is added meanwhile.
        """
        return self._run(removing.drain(self.keys, delayed))

    async def adrain(self, delayed: bool = False) -> int:
        """See :meth:`drain`."""
        return await self._arun(removing.drain(self.keys, delayed))

    def clean(self, grace: Seconds, limit: int = 0, state: str = "completed") -> list[str]:
        """Delete old jobs of one state; returns their ids (BullMQ ``clean``).

        Args:
            grace: seconds (or a timedelta); younger jobs stay. What counts is when a job finished,
                or else when it was made.
            limit: the most jobs to delete; 0 is all.
            state: completed, failed, waiting, prioritized, delayed, or active (those whose worker
                is gone: a job that runs stands).

        Raises:
            InvalidOption: there is no such state, or the others are out of range.
        """
        return self._run(self._clean(grace, limit, state))

    async def aclean(self, grace: Seconds, limit: int = 0, state: str = "completed") -> list[str]:
        """See :meth:`clean`."""
        return await self._arun(self._clean(grace, limit, state))

    def obliterate(self, force: bool = False) -> None:
        """Pause the queue and delete it with everything in it, for good (BullMQ ``obliterate``).

        Args:
            force: also while jobs are active; they are deleted under their workers.

        Raises:
            QueueHasActiveJobs: jobs are active. The queue is paused now, nothing else happened.
            QueueNotPaused: somebody resumed it meanwhile; a part of its jobs is deleted.
        """
        self._run(removing.obliterate(self.keys, force))

    async def aobliterate(self, force: bool = False) -> None:
        """See :meth:`obliterate`."""
        await self._arun(removing.obliterate(self.keys, force))

    # Many jobs

    def retry_jobs(
        self,
        state: str = "failed",
        *,
        count: int | None = None,
        timestamp: datetime | None = None,
    ) -> int:
        """Let finished jobs run again, the oldest first; how many (BullMQ ``retryJobs``).

        Without *count* a step whose answer was lost is repeated: all jobs are moved all the same,
        but the number then lacks those of that step.

        Args:
            state: failed or completed.
            count: at most so many in all (BullMQ's `count` is how many go in one step).
            timestamp: those that finished until then; None is until now.
        """
        return self._run(self._retry_jobs(state, count, timestamp))

    async def aretry_jobs(
        self,
        state: str = "failed",
        *,
        count: int | None = None,
        timestamp: datetime | None = None,
    ) -> int:
        """See :meth:`retry_jobs`."""
        return await self._arun(self._retry_jobs(state, count, timestamp))

    def promote_jobs(self, *, count: int | None = None) -> int:
        """Let delayed jobs run now, those due first at first; how many (BullMQ ``promoteJobs``).

        Without *count* the number may be too small after a lost answer: see :meth:`retry_jobs`.

        Args:
            count: at most so many in all (BullMQ's `count` is how many go in one step).
        """
        return self._run(moving.promote_jobs(self.keys, _count(count)))

    async def apromote_jobs(self, *, count: int | None = None) -> int:
        """See :meth:`promote_jobs`."""
        return await self._arun(moving.promote_jobs(self.keys, _count(count)))

    def remove_orphaned_jobs(self) -> int:
        """Delete jobs that stand in no state; how many (BullMQ ``removeOrphanedJobs``).

        Old clients can leave such ones behind. Reads every key of the server once. The number may
        be too small after a lost answer: see :meth:`retry_jobs`.
        """
        return self._run(removing.remove_orphaned_jobs(self.keys))

    async def aremove_orphaned_jobs(self) -> int:
        """See :meth:`remove_orphaned_jobs`."""
        return await self._arun(removing.remove_orphaned_jobs(self.keys))

    # One job, by its id

    def remove(self, job_id: str, remove_children: bool = True) -> bool:
        """Delete a job, and its children; whether there was such a job (BullMQ ``remove``).

        Raises:
            JobIsLocked: it, or one of its children, is running. Nothing happened.
            PendingSchedulerRun: it is the next run of a scheduler.
        """
        return self._run(removing.remove_job(self.keys, known_id(job_id), remove_children))

    async def aremove(self, job_id: str, remove_children: bool = True) -> bool:
        """See :meth:`remove`."""
        return await self._arun(removing.remove_job(self.keys, known_id(job_id), remove_children))

    def remove_deduplication_key(self, deduplication_id: str) -> bool:
        """Free a deduplication id, whichever job has it; whether one had.

        The next add under that id adds a job, though the one before may still be there.
        """
        return self._run(self._remove_deduplication_key(deduplication_id))

    async def aremove_deduplication_key(self, deduplication_id: str) -> bool:
        """See :meth:`remove_deduplication_key`."""
        return await self._arun(self._remove_deduplication_key(deduplication_id))

    def update_job_progress(self, job_id: str, progress: Any) -> None:
        """Set a job's progress, anything JSON knows (BullMQ ``updateJobProgress``).

        Raises:
            JobNotFound, NotSerializable
        """
        encoded = codec.dumps(progress, "the progress")
        self._run(jobs.update_progress(self.keys, known_id(job_id), encoded))

    async def aupdate_job_progress(self, job_id: str, progress: Any) -> None:
        """See :meth:`update_job_progress`."""
        encoded = codec.dumps(progress, "the progress")
        await self._arun(jobs.update_progress(self.keys, known_id(job_id), encoded))

    def add_job_log(self, job_id: str, row: str, keep_logs: int = 0) -> int:
        """Add a row to a job's log; how many there are now (BullMQ ``addJobLog``).

        Args:
            keep_logs: keep the newest so many rows; 0 is all.

        Raises:
            JobNotFound
        """
        return self._run(self._add_job_log(job_id, row, keep_logs))

    async def aadd_job_log(self, job_id: str, row: str, keep_logs: int = 0) -> int:
        """See :meth:`add_job_log`."""
        return await self._arun(self._add_job_log(job_id, row, keep_logs))

    # Limits

    def set_global_concurrency(self, concurrency: int) -> None:
        """Let at most *concurrency* jobs run at once, over all workers."""
        self._run(steering.set_global_concurrency(self.keys, _at_least_one(concurrency)))

    async def aset_global_concurrency(self, concurrency: int) -> None:
        """See :meth:`set_global_concurrency`."""
        await self._arun(steering.set_global_concurrency(self.keys, _at_least_one(concurrency)))

    def remove_global_concurrency(self) -> None:
        """Lift the global concurrency."""
        self._run(steering.remove_global_concurrency(self.keys))

    async def aremove_global_concurrency(self) -> None:
        """See :meth:`remove_global_concurrency`."""
        await self._arun(steering.remove_global_concurrency(self.keys))

    def set_global_rate_limit(self, max: int, duration: Seconds) -> None:
        """Start at most *max* jobs in *duration* (seconds or a timedelta), over all workers.

        A worker with a limiter of its own keeps to this maximum and its own duration, as BullMQ's.
        """
        self._run(self._set_global_rate_limit(max, duration))

    async def aset_global_rate_limit(self, max: int, duration: Seconds) -> None:
        """See :meth:`set_global_rate_limit`."""
        await self._arun(self._set_global_rate_limit(max, duration))

    def remove_global_rate_limit(self) -> None:
        """Lift the global rate limit."""
        self._run(steering.remove_global_rate_limit(self.keys))

    async def aremove_global_rate_limit(self) -> None:
        """See :meth:`remove_global_rate_limit`."""
        await self._arun(steering.remove_global_rate_limit(self.keys))

    def rate_limit(self, duration: Seconds) -> None:
        """Stop workers that know a rate limit for *duration*, as if it were reached."""
        self._run(self._rate_limit(duration))

    async def arate_limit(self, duration: Seconds) -> None:
        """See :meth:`rate_limit`."""
        await self._arun(self._rate_limit(duration))

    def remove_rate_limit_key(self) -> bool:
        """End the present rate limit, by hand or reached; whether there was one."""
        return self._run(steering.remove_rate_limit_key(self.keys))

    async def aremove_rate_limit_key(self) -> bool:
        """See :meth:`remove_rate_limit_key`."""
        return await self._arun(steering.remove_rate_limit_key(self.keys))

    def get_limits(self) -> list[LimitInfo]:
        """The named limits to which the queue belongs (:class:`queuecore.Limit`)."""
        return self._run(limits_of(self.keys))

    async def aget_limits(self) -> list[LimitInfo]:
        """See :meth:`get_limits`."""
        return await self._arun(limits_of(self.keys))

    # Events

    def trim_events(self, length: int) -> int:
        """Shorten the event stream to about *length* entries; how many went."""
        return self._run(steering.trim_events(self.keys, checked_whole(length, "length")))

    async def atrim_events(self, length: int) -> int:
        """See :meth:`trim_events`."""
        return await self._arun(steering.trim_events(self.keys, checked_whole(length, "length")))

    def set_max_events(self, length: int) -> None:
        """Let the queue keep about so many events from now on, whoever writes them.

        ``get_meta().max_events`` tells how many; a queue that nobody gave a number keeps 10,000, or
        ``MAX_EVENTS`` of the settings. A ``Queue`` of BullMQ's writes its own number when it is
        made (its option ``streams.events.maxLen``): the last one holds.
        """
        self._run(steering.set_max_events(self.keys, checked_whole(length, "length")))

    async def aset_max_events(self, length: int) -> None:
        """See :meth:`set_max_events`."""
        await self._arun(steering.set_max_events(self.keys, checked_whole(length, "length")))

    def cancel_job(self, job_id: str, reason: str = "", by: str = "") -> bool:
        """Cancel a job that runs, wherever its worker is; whether that will be told.

        Its worker hears it with its next heartbeat, within two seconds unless it was given another.
        Then the job fails with *reason*, or is tried again where tries are left: a coroutine is
        cancelled, a sandbox killed; a function in a thread can only be told, by ``job.cancelled``
        and ``job.raise_if_cancelled()``, and goes on until it asks. False: it does not run, or by a
        worker that cannot be told: one of Node, one without a heartbeat, one that is lost.

        Args:
            by: who asks, for pages that show what became of it.

        Raises:
            InvalidOption: *reason* or *by* is no text, or longer than 500 characters.
        """
        return bool(self._run(self._cancel([job_id], reason, by)))

    async def acancel_job(self, job_id: str, reason: str = "", by: str = "") -> bool:
        """See :meth:`cancel_job`."""
        return bool(await self._arun(self._cancel([job_id], reason, by)))

    def cancel_jobs(self, job_ids: Sequence[str], reason: str = "", by: str = "") -> list[str]:
        """:meth:`cancel_job` for several; those whose workers will be told."""
        return self._run(self._cancel(job_ids, reason, by))

    async def acancel_jobs(
        self, job_ids: Sequence[str], reason: str = "", by: str = ""
    ) -> list[str]:
        """See :meth:`cancel_jobs`."""
        return await self._arun(self._cancel(job_ids, reason, by))

    def _cancel(self, job_ids: Sequence[str], reason: str, by: str) -> Operation[list[str]]:
        for what, value in (("reason", reason), ("by", by)):
            if not isinstance(value, str) or len(value) > attendance.MOST_REASON:
                raise InvalidOption(f"{what} must be a text of at most 500 characters")
        if isinstance(job_ids, str):  # whose letters would be ids
            raise InvalidOption(f"job ids must be a list of texts, not {job_ids!r}")
        ids = list(dict.fromkeys(map(known_id, job_ids)))
        return (yield from cancelling.cancel(self.keys, ids, reason, by))

    def _pause(self, reason: str, by: str, resume_at: datetime | None) -> Operation[None]:
        for what, value in (("reason", reason), ("by", by)):
            if not isinstance(value, str) or len(value) > 500:
                raise InvalidOption(f"{what} must be a text of at most 500 characters")
        until = 0 if resume_at is None else epoch_ms(resume_at, "resume_at")
        now = yield NOW
        if until and until <= now:
            raise InvalidOption(f"resume_at must lie ahead, not {resume_at!r}")
        # First: a pause without its note would last until somebody comes.
        yield steering.note_pause(self.keys, now, reason, by, until)
        yield from steering.pause(self.keys)

    def _add_job_log(self, job_id: str, row: str, keep_logs: int) -> Call[int]:
        keep = checked_whole(keep_logs, "keep_logs")
        return jobs.add_log(self.keys, known_id(job_id), [log_row(row)], keep)

    def _remove_deduplication_key(self, deduplication_id: str) -> Command[bool]:
        return adding.free_deduplication(self.keys, checked_deduplication_id(deduplication_id))

    def _clean(self, grace: Seconds, limit: int, state: str) -> Operation[list[str]]:
        state = "waiting" if state == "wait" else state
        if not isinstance(state, str) or state not in CLEANED:
            raise InvalidOption(
                f"jobs in the state {state!r} cannot be cleaned{did_you_mean(state, CLEANED)}; "
                f"the states are {', '.join(CLEANED)}"
            )
        grace_ms, limit = milliseconds(grace, "grace"), checked_whole(limit, "limit")
        now = yield NOW
        return (yield from removing.clean(self.keys, state, now - grace_ms, limit))

    def _retry_jobs(
        self, state: str, count: int | None, timestamp: datetime | None
    ) -> Operation[int]:
        checked_finished(state)
        count = _count(count)
        until = None if timestamp is None else epoch_ms(timestamp)
        now = yield NOW
        until_ms = now if until is None else until
        return (yield from moving.move_jobs_to_wait(self.keys, state, until_ms, count))

    def _set_global_rate_limit(self, maximum: int, duration: Seconds) -> Any:
        limit = RateLimit(maximum, duration)
        return steering.set_global_rate_limit(
            self.keys, _at_least_one(limit.max, "max"), _some_ms(limit.duration)
        )

    def _rate_limit(self, duration: Seconds) -> Any:
        return steering.rate_limit(self.keys, _some_ms(duration))


def _count(count: int | None) -> int | None:
    return None if count is None else checked_whole(count, "count")


def _at_least_one(value: int, what: str = "concurrency") -> int:
    value = checked_whole(value, what)
    if value == 0:
        raise InvalidOption(f"{what} must be at least 1; to stop a queue, pause it")
    return value


def _some_ms(duration: Seconds) -> int:
    ms = milliseconds(duration, "duration")
    if ms == 0:
        raise InvalidOption("duration must be at least a millisecond")
    return ms
