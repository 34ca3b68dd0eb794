"""Groups: the limits, pauses and jobs of a queue's groups; a part of :class:`queuecore.Queue`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from .errors import InvalidOption, did_you_mean
from .handle import Handle
from .job import Job
from .options import (
    RateLimit,
    Seconds,
    checked_group_id,
    checked_priority,
    checked_whole,
    milliseconds,
)
from .reading import places
from .wire.calls import grouping, paging, reading, removing
from .wire.calls.base import Call, Command, Operation
from .wire.calls.grouping import STATUSES, GroupInfo

if TYPE_CHECKING:
    from .queue import Queue


class Groups(Handle):
    """Each method exists twice, ``pause_group`` and ``apause_group``, from one implementation.

    A group needs no making: it is there while jobs wait in it, or it is paused.
    """

    # Pauses

    def pause_group(self, group_id: str) -> bool:
        """Let workers take no further job of a group; whether it ran (BullMQ Pro ``pauseGroup``).

        What runs is finished; adds are accepted and wait.

        Raises:
            InvalidOption: *group_id* is no text.
        """
        return self._run(self._change_group(group_id, "pause"))

    async def apause_group(self, group_id: str) -> bool:
        """See :meth:`pause_group`."""
        return await self._arun(self._change_group(group_id, "pause"))

    def resume_group(self, group_id: str) -> bool:
        """Let a group go on; whether it was paused (BullMQ Pro ``resumeGroup``)."""
        return self._run(self._change_group(group_id, "resume"))

    async def aresume_group(self, group_id: str) -> bool:
        """See :meth:`resume_group`."""
        return await self._arun(self._change_group(group_id, "resume"))

    def delete_group(self, group_id: str) -> int:
        """Delete the jobs of a group that do not run; how many.

        Delayed ones go, too. Its limits stand, and so does its pause.
        """
        return self._run(removing.delete_group(self.keys, checked_group_id(group_id)))

    async def adelete_group(self, group_id: str) -> int:
        """See :meth:`delete_group`."""
        return await self._arun(removing.delete_group(self.keys, checked_group_id(group_id)))

    # Limits of single groups

    def set_group_concurrency(self, group_id: str, concurrency: int) -> None:
        """Let at most *concurrency* jobs of a group run at once, over all workers of ours.

        It stands above what workers say for all groups (BullMQ Pro ``setGroupConcurrency``).

        Raises:
            InvalidOption: it is not at least 1.
        """
        self._run(self._set_concurrency(group_id, concurrency))

    async def aset_group_concurrency(self, group_id: str, concurrency: int) -> None:
        """See :meth:`set_group_concurrency`."""
        await self._arun(self._set_concurrency(group_id, concurrency))

    def get_group_concurrency(self, group_id: str) -> int | None:
        """The concurrency of this group alone, None if it has none (``getGroupConcurrency``)."""
        return self._run(grouping.get_group_concurrency(self.keys, checked_group_id(group_id)))

    async def aget_group_concurrency(self, group_id: str) -> int | None:
        """See :meth:`get_group_concurrency`."""
        command = grouping.get_group_concurrency(self.keys, checked_group_id(group_id))
        return await self._arun(command)

    def remove_group_concurrency(self, group_id: str) -> bool:
        """Let what workers say for all groups count again; whether the group had its own."""
        return self._run(self._change_group(group_id, "concurrency"))

    async def aremove_group_concurrency(self, group_id: str) -> bool:
        """See :meth:`remove_group_concurrency`."""
        return await self._arun(self._change_group(group_id, "concurrency"))

    def set_group_rate_limit(self, group_id: str, max: int, duration: Seconds) -> None:
        """Start at most *max* jobs of a group in *duration* (seconds or a timedelta).

        It stands above what workers say for all groups (BullMQ Pro ``setGroupRateLimit``).

        Raises:
            InvalidOption: they are no limit.
        """
        self._run(self._set_rate(group_id, max, duration))

    async def aset_group_rate_limit(self, group_id: str, max: int, duration: Seconds) -> None:
        """See :meth:`set_group_rate_limit`."""
        await self._arun(self._set_rate(group_id, max, duration))

    def get_group_rate_limit(self, group_id: str) -> RateLimit | None:
        """The rate limit of this group alone, None if it has none."""
        return self._run(self._get_rate(group_id))

    async def aget_group_rate_limit(self, group_id: str) -> RateLimit | None:
        """See :meth:`get_group_rate_limit`."""
        return await self._arun(self._get_rate(group_id))

    def remove_group_rate_limit(self, group_id: str) -> bool:
        """Let what workers say for all groups count again; whether the group had its own."""
        return self._run(self._change_group(group_id, "rate"))

    async def aremove_group_rate_limit(self, group_id: str) -> bool:
        """See :meth:`remove_group_rate_limit`."""
        return await self._arun(self._change_group(group_id, "rate"))

    def rate_limit_group(self, group_id: str, duration: Seconds) -> None:
        """Start no job of a group for *duration*, as if its limit were reached.

        Follows BullMQ Pro's ``rateLimitGroup``.
        """
        self._run(self._limit(group_id, duration))

    async def arate_limit_group(self, group_id: str, duration: Seconds) -> None:
        """See :meth:`rate_limit_group`."""
        await self._arun(self._limit(group_id, duration))

    def remove_group_rate_limit_key(self, group_id: str) -> bool:
        """End the window of a group's rate limit, so that it goes on now; whether one was open.

        What :meth:`rate_limit_group` has begun ends, too (as ``remove_rate_limit_key`` of a queue).
        """
        return self._run(self._change_group(group_id, "limit"))

    async def aremove_group_rate_limit_key(self, group_id: str) -> bool:
        """See :meth:`remove_group_rate_limit_key`."""
        return await self._arun(self._change_group(group_id, "limit"))

    def get_group_rate_limit_ttl(self, group_id: str, max_jobs: int | None = None) -> float:
        """For how many seconds a rate limit still holds a group back; 0.0 if none does.

        Follows BullMQ Pro's ``getGroupRateLimitTtl``.

        Args:
            max_jobs: the maximum that counts; None is the group's own, and where it has none, any
                limit that is running counts.
        """
        return self._run(self._rate_ttl(group_id, max_jobs))

    async def aget_group_rate_limit_ttl(self, group_id: str, max_jobs: int | None = None) -> float:
        """See :meth:`get_group_rate_limit_ttl`."""
        return await self._arun(self._rate_ttl(group_id, max_jobs))

    # Reading

    def get_groups(self, start: int = 0, end: int = -1) -> list[GroupInfo]:
        """Groups that have jobs waiting, or are paused: the next in turn first (``getGroups``).

        Both ends are included, -1 is the last.
        """
        return self._run(self._get_groups(STATUSES, start, end))

    async def aget_groups(self, start: int = 0, end: int = -1) -> list[GroupInfo]:
        """See :meth:`get_groups`."""
        return await self._arun(self._get_groups(STATUSES, start, end))

    def get_groups_by_status(self, status: str, start: int = 0, end: int = -1) -> list[GroupInfo]:
        """Groups of one status: waiting, limited, maxed or paused (``getGroupsByStatus``).

        Raises:
            InvalidOption: there is no such status.
        """
        return self._run(self._get_groups((status,), start, end))

    async def aget_groups_by_status(
        self, status: str, start: int = 0, end: int = -1
    ) -> list[GroupInfo]:
        """See :meth:`get_groups_by_status`."""
        return await self._arun(self._get_groups((status,), start, end))

    def get_group_status(self, group_id: str) -> str | None:
        """What a group is; None if nothing of it is known (BullMQ Pro ``getGroupStatus``).

        ``waiting``, ``limited``, ``maxed``, ``paused``; of those in which nothing waits: ``active``
        (its jobs run), ``delayed`` (they are due later), ``idle`` (it has limits).
        """
        return self._run(paging.get_status(self.keys, checked_group_id(group_id)))

    async def aget_group_status(self, group_id: str) -> str | None:
        """See :meth:`get_group_status`."""
        return await self._arun(paging.get_status(self.keys, checked_group_id(group_id)))

    def get_groups_count_by_status(self) -> dict[str, int]:
        """How many groups there are of each status (``getGroupsCountByStatus``)."""
        return self._run(self._count_groups())

    async def aget_groups_count_by_status(self) -> dict[str, int]:
        """See :meth:`get_groups_count_by_status`."""
        return await self._arun(self._count_groups())

    def get_group_jobs(self, group_id: str, start: int = 0, end: int = -1) -> list[Job]:
        """Jobs that wait in a group, the next to run first (``getGroupJobs``).

        Delayed ones join them when they are due: see :meth:`get_group_delayed`.
        """
        return self._run(self._get_group_jobs(group_id, start, end))

    async def aget_group_jobs(self, group_id: str, start: int = 0, end: int = -1) -> list[Job]:
        """See :meth:`get_group_jobs`."""
        return await self._arun(self._get_group_jobs(group_id, start, end))

    def get_group_jobs_count(self, group_id: str) -> int:
        """How many jobs wait in a group (``getGroupJobsCount``)."""
        return self._run(grouping.count_group(self.keys, checked_group_id(group_id)))

    async def aget_group_jobs_count(self, group_id: str) -> int:
        """See :meth:`get_group_jobs_count`."""
        return await self._arun(grouping.count_group(self.keys, checked_group_id(group_id)))

    def get_group_delayed(self, group_id: str, start: int = 0, end: int = -1) -> list[Job]:
        """Jobs of a group that are due later, the next first; BullMQ Pro has no such getter."""
        return self._run(self._get_group_jobs(group_id, start, end, later=True))

    async def aget_group_delayed(self, group_id: str, start: int = 0, end: int = -1) -> list[Job]:
        """See :meth:`get_group_delayed`."""
        return await self._arun(self._get_group_jobs(group_id, start, end, later=True))

    def get_group_delayed_count(self, group_id: str) -> int:
        """How many jobs of a group are due later; BullMQ Pro has no such getter."""
        return self._run(grouping.count_later(self.keys, checked_group_id(group_id)))

    async def aget_group_delayed_count(self, group_id: str) -> int:
        """See :meth:`get_group_delayed_count`."""
        return await self._arun(grouping.count_later(self.keys, checked_group_id(group_id)))

    def get_groups_jobs_count(self) -> int:
        """How many jobs wait in all groups together (``getGroupsJobsCount``)."""
        return self._run(self._count_jobs())

    async def aget_groups_jobs_count(self) -> int:
        """See :meth:`get_groups_jobs_count`."""
        return await self._arun(self._count_jobs())

    def get_group_active_count(self, group_id: str) -> int:
        """How many jobs of a group run (``getGroupActiveCount``)."""
        return self._run(grouping.count_active(self.keys, checked_group_id(group_id)))

    async def aget_group_active_count(self, group_id: str) -> int:
        """See :meth:`get_group_active_count`."""
        return await self._arun(grouping.count_active(self.keys, checked_group_id(group_id)))

    def get_counts_per_priority_for_group(
        self, group_id: str, priorities: Sequence[int]
    ) -> dict[int, int]:
        """How many jobs of each priority wait in a group (``getCountsPerPriorityForGroup``)."""
        return self._run(self._count_priorities(group_id, priorities))

    async def aget_counts_per_priority_for_group(
        self, group_id: str, priorities: Sequence[int]
    ) -> dict[int, int]:
        """See :meth:`get_counts_per_priority_for_group`."""
        return await self._arun(self._count_priorities(group_id, priorities))

    def _change_group(self, group_id: str, change: str, value: str = "") -> Call[bool]:
        return grouping.change_group(self.keys, checked_group_id(group_id), change, value)

    def _set_concurrency(self, group_id: str, concurrency: int) -> Operation[None]:
        if not checked_whole(concurrency, "concurrency"):
            raise InvalidOption("concurrency must be at least 1; to stop a group, pause it")
        yield self._change_group(group_id, "concurrency", str(concurrency))

    def _set_rate(self, group_id: str, most: int, duration: Seconds) -> Operation[None]:
        limit = RateLimit(most, duration)
        ms = milliseconds(limit.duration, "duration")
        yield self._change_group(group_id, "rate", f"{limit.max},{ms}")

    def _limit(self, group_id: str, duration: Seconds) -> Operation[None]:
        if not (ms := milliseconds(duration, "duration")):
            raise InvalidOption("duration must be at least a millisecond")
        yield self._change_group(group_id, "limit", str(ms))

    def _get_rate(self, group_id: str) -> Operation[RateLimit | None]:
        found = yield grouping.get_group_rate_limit(self.keys, checked_group_id(group_id))
        return None if found is None else RateLimit(found[0], found[1] / 1000)

    def _rate_ttl(self, group_id: str, max_jobs: int | None) -> Operation[float]:
        group = checked_group_id(group_id)
        if max_jobs is not None:
            checked_whole(max_jobs, "max_jobs")
        requests: list[Call[Any] | Command[Any]] = [
            *grouping.get_group_used(self.keys, group),
            grouping.get_group_rate_limit(self.keys, group),
        ]
        used, ttl, own = yield requests
        most = max_jobs if max_jobs is not None else own and own[0]
        if used is None or ttl <= 0 or (most is not None and used < most):
            return 0.0
        return float(ttl) / 1000

    def _get_groups(
        self, statuses: Sequence[str], start: int, end: int
    ) -> Operation[list[GroupInfo]]:
        for one in statuses:
            if one not in STATUSES:
                raise InvalidOption(
                    f"groups have no status {one!r}{did_you_mean(one, STATUSES)}; they are "
                    f"{', '.join(STATUSES)}"
                )
        found = yield grouping.get_groups(self.keys, tuple(statuses), *places(start, end))
        groups: list[GroupInfo] = found.found
        return groups

    def _count_groups(self) -> Operation[dict[str, int]]:
        found = yield grouping.get_groups(self.keys, (), 0, 0)
        counts: dict[str, int] = found.counts
        return counts

    def _count_jobs(self) -> Operation[int]:
        start, jobs, page = 0, 0, 1000
        while True:
            found: grouping.GroupList = yield grouping.get_groups(
                self.keys, STATUSES, start, start + page - 1
            )
            jobs += sum(one.waiting for one in found.found)
            if len(found.found) < page:
                return jobs
            start += page

    def _get_group_jobs(
        self, group_id: str, start: int, end: int, later: bool = False
    ) -> Operation[list[Job]]:
        group = checked_group_id(group_id)
        key = self.keys.group_later(group) if later else self.keys.group(group)
        ids = yield grouping.get_group_ids(key, *places(start, end))
        found = yield from reading.get_jobs(self.keys, ids)
        return [
            Job(cast("Queue", self), id, fields)
            for id, fields in zip(ids, found, strict=True)
            if fields is not None
        ]

    def _count_priorities(
        self, group_id: str, priorities: Sequence[int]
    ) -> Operation[dict[int, int]]:
        group = checked_group_id(group_id)
        if isinstance(priorities, str | bytes):
            raise InvalidOption(f"priorities must be a list of them, not {priorities!r}")
        wanted = [checked_priority(one) for one in priorities]
        found = yield [grouping.count_priority(self.keys, group, one) for one in wanted]
        return dict(zip(wanted, found, strict=True))
