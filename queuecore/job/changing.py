"""Changing: what others do to a job, whether it waits or has ended; a part of `Job`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..options import Seconds, checked_finished, checked_priority, checked_whole, milliseconds
from ..wire.calls import adding, jobs, moving, removing
from ..wire.calls.base import NOW, Operation
from ..wire.codec import dumps
from .snapshot import Snapshot

if TYPE_CHECKING:
    from ..payloads import Payload


class Changing(Snapshot):
    """Each method exists twice, ``retry`` and ``aretry``, from one implementation."""

    __slots__ = ()

    def _payload_type(self) -> Payload | None:
        raise NotImplementedError  # :class:`Job` knows

    # Where it stands

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

        A grouped job gets it inside its group.

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

    # What it holds

    def update_data(self, data: Any, *, unchanged: bool = False) -> None:
        """Replace the payload (BullMQ ``updateData``).

        Args:
            unchanged: only if it is still what this snapshot holds.

        Raises:
            JobNotFound, NotSerializable
            InvalidPayload: it is not of the type that the processor declares, where that is known.
            DataChanged: somebody else has replaced it since it was read.
        """
        self.queue._run(self._update_data(data, unchanged))

    async def aupdate_data(self, data: Any, *, unchanged: bool = False) -> None:
        """See :meth:`update_data`."""
        await self.queue._arun(self._update_data(data, unchanged))

    def clear_logs(self, keep_logs: int = 0) -> None:
        """Delete the log but for its newest *keep_logs* rows (BullMQ ``clearLogs``)."""
        keep = checked_whole(keep_logs, "keep_logs")
        self.queue._run(jobs.clear_logs(self.queue.keys, self.id, keep))

    async def aclear_logs(self, keep_logs: int = 0) -> None:
        """See :meth:`clear_logs`."""
        keep = checked_whole(keep_logs, "keep_logs")
        await self.queue._arun(jobs.clear_logs(self.queue.keys, self.id, keep))

    def remove_deduplication_key(self) -> bool:
        """Free the job's deduplication id, if it still has it; whether it had.

        The next add under that id adds a job (BullMQ ``removeDeduplicationKey``).
        """
        return self.queue._run(self._remove_deduplication_key())

    async def aremove_deduplication_key(self) -> bool:
        """See :meth:`remove_deduplication_key`."""
        return await self.queue._arun(self._remove_deduplication_key())

    # The operations

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
        if (group := self.opts.get("group")) is not None:
            opts = dumps(self.opts | {"group": group | {"priority": priority}})
            yield moving.change_priority(self.queue.keys, self.id, priority, lifo, opts)
            self._take({**self._fields, b"opts": opts})
            return
        yield moving.change_priority(self.queue.keys, self.id, priority, lifo)
        self._fields[b"priority"] = b"%d" % priority

    def _update_data(self, data: Any, unchanged: bool) -> Operation[None]:
        encoded = dumps(data)
        if (declared := self._payload_type()) is not None:
            declared.read(encoded, self.name, self.queue.name)
        yield jobs.update_data(
            self.queue.keys, self.id, encoded, self.data_digest if unchanged else ""
        )
        self._take({**self._fields, b"data": encoded})

    def _remove_deduplication_key(self) -> Operation[bool]:
        under = self.deduplication_id
        if under is None:
            return False
        removed: bool = yield adding.remove_deduplication_key(self.queue.keys, under, self.id)
        return removed
