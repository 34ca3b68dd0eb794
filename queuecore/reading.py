"""Reading: what a queue holds; a part of :class:`queuecore.Queue`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from .errors import InvalidOption, did_you_mean
from .handle import Handle, known_id
from .job import Job
from .options import (
    RateLimit,
    checked_deduplication_id,
    checked_place,
    checked_priority,
    checked_whole,
)
from .wire.calls import adding, flows, reading, steering
from .wire.calls.base import Command, Operation
from .wire.calls.reading import STATES, Metrics

if TYPE_CHECKING:
    from .queue import Queue

UNFINISHED = ("waiting", "prioritized", "delayed", "waiting-children")


@dataclass(frozen=True, slots=True)
class QueueMeta:
    """The settings of a queue that all its clients share; None where nobody set one.

    ``limit``: the global rate limit. ``version``: the client that wrote there last.
    """

    paused: bool
    concurrency: int | None
    limit: RateLimit | None
    max_events: int | None
    version: str | None


@dataclass(frozen=True, slots=True)
class DependencyPage:
    """Some of a parent's children: ``keys``, the ``jobs`` that still exist, how many in ``total``.

    ``values``: what they returned, by key; empty for those that are not done.
    """

    keys: list[str]
    jobs: list[Job]
    values: dict[str, Any]
    total: int


class Reading(Handle):
    """Each method exists twice, ``get_job`` and ``aget_job``, from one implementation."""

    # Jobs

    def get_job(self, job_id: str) -> Job | None:
        """The job of this id, None if there is none (BullMQ ``getJob``)."""
        return self._run(self._get_job(known_id(job_id)))

    async def aget_job(self, job_id: str) -> Job | None:
        """See :meth:`get_job`."""
        return await self._arun(self._get_job(known_id(job_id)))

    def get_jobs(
        self,
        states: str | Iterable[str] | None = None,
        start: int = 0,
        end: int = -1,
        asc: bool = False,
    ) -> list[Job]:
        """The jobs of one or more states, state by state (BullMQ ``getJobs``).

        Args:
            states: waiting, prioritized, active, delayed, waiting-children, completed, failed;
                None is all.
            start, end: the range of each state, both included, counted from 0; -1 is the last.
            asc: the next to run, the next due, or the first finished at the front; else the last.

        Raises:
            InvalidOption: there is no such state.
        """
        return self._run(self._get_jobs(checked_states(states), places(start, end), asc))

    async def aget_jobs(
        self,
        states: str | Iterable[str] | None = None,
        start: int = 0,
        end: int = -1,
        asc: bool = False,
    ) -> list[Job]:
        """See :meth:`get_jobs`."""
        return await self._arun(self._get_jobs(checked_states(states), places(start, end), asc))

    def get_job_state(self, job_id: str) -> str:
        """The state of a job; ``unknown`` if it stands nowhere (BullMQ ``getJobState``)."""
        return self._run(reading.get_state(self.keys, known_id(job_id)))

    async def aget_job_state(self, job_id: str) -> str:
        """See :meth:`get_job_state`."""
        return await self._arun(reading.get_state(self.keys, known_id(job_id)))

    def get_deduplication_job_id(self, deduplication_id: str) -> str | None:
        """The id of the job that has a deduplication id, None if it is free."""
        return self._run(self._get_deduplication_job_id(deduplication_id))

    async def aget_deduplication_job_id(self, deduplication_id: str) -> str | None:
        """See :meth:`get_deduplication_job_id`."""
        return await self._arun(self._get_deduplication_job_id(deduplication_id))

    def get_job_logs(
        self, job_id: str, start: int = 0, end: int = -1, asc: bool = True
    ) -> tuple[list[str], int]:
        """Rows *start* to *end* of a job's log, and how many rows there are (``getJobLogs``).

        Not *asc* counts from the newest row.
        """
        return self._run(self._get_job_logs(job_id, start, end, asc))

    async def aget_job_logs(
        self, job_id: str, start: int = 0, end: int = -1, asc: bool = True
    ) -> tuple[list[str], int]:
        """See :meth:`get_job_logs`."""
        return await self._arun(self._get_job_logs(job_id, start, end, asc))

    def get_dependencies(
        self, parent_id: str, kind: str = "processed", start: int = 0, end: int = -1
    ) -> DependencyPage:
        """A job's children *start* to *end*, with their hashes, in the order of their keys.

        Args:
            parent_id: the parent's id.
            kind: processed or pending (BullMQ ``Queue.getDependencies``).
            start, end: both included, counted from 0; -1 is the last.
        """
        return self._run(self._get_dependencies(parent_id, kind, start, end))

    async def aget_dependencies(
        self, parent_id: str, kind: str = "processed", start: int = 0, end: int = -1
    ) -> DependencyPage:
        """See :meth:`get_dependencies`."""
        return await self._arun(self._get_dependencies(parent_id, kind, start, end))

    # Counts

    def get_job_counts(self, *states: str) -> dict[str, int]:
        """How many jobs are in each of *states* (none given: in all), at one moment."""
        return self._run(reading.get_counts(self.keys, checked_states(states or None)))

    async def aget_job_counts(self, *states: str) -> dict[str, int]:
        """See :meth:`get_job_counts`."""
        return await self._arun(reading.get_counts(self.keys, checked_states(states or None)))

    def count(self) -> int:
        """How many jobs are still to run: waiting, prioritized, delayed, waiting for children."""
        return sum(self._run(reading.get_counts(self.keys, UNFINISHED)).values())

    async def acount(self) -> int:
        """See :meth:`count`."""
        return sum((await self._arun(reading.get_counts(self.keys, UNFINISHED))).values())

    def get_counts_per_priority(self, priorities: Sequence[int]) -> dict[int, int]:
        """How many jobs wait with each of *priorities*; 0 are those without one."""
        return self._run(self._per_priority(priorities))

    async def aget_counts_per_priority(self, priorities: Sequence[int]) -> dict[int, int]:
        """See :meth:`get_counts_per_priority`."""
        return await self._arun(self._per_priority(priorities))

    def get_metrics(self, state: str = "completed", start: int = 0, end: int = -1) -> Metrics:
        """How many jobs ended minute by minute, the newest first (BullMQ ``getMetrics``).

        Args:
            state: completed or failed.
            start, end: minutes back, both included; -1 is the oldest kept.
        """
        return self._run(self._get_metrics(state, start, end))

    async def aget_metrics(
        self, state: str = "completed", start: int = 0, end: int = -1
    ) -> Metrics:
        """See :meth:`get_metrics`."""
        return await self._arun(self._get_metrics(state, start, end))

    # The queue's settings

    def is_paused(self) -> bool:
        """Whether the queue is paused."""
        return self._run(steering.is_paused(self.keys))

    async def ais_paused(self) -> bool:
        """See :meth:`is_paused`."""
        return await self._arun(steering.is_paused(self.keys))

    def is_maxed(self) -> bool:
        """Whether as many jobs run as the global concurrency allows."""
        return self._run(steering.is_maxed(self.keys))

    async def ais_maxed(self) -> bool:
        """See :meth:`is_maxed`."""
        return await self._arun(steering.is_maxed(self.keys))

    def get_meta(self) -> QueueMeta:
        """The settings that all clients of the queue share (BullMQ ``getMeta``)."""
        return _meta(self._run(reading.get_meta(self.keys)))

    async def aget_meta(self) -> QueueMeta:
        """See :meth:`get_meta`."""
        return _meta(await self._arun(reading.get_meta(self.keys)))

    def get_version(self) -> str | None:
        """The client that last wrote its name into the queue, such as ``bullmq:6.7.0``."""
        return _meta(self._run(reading.get_meta(self.keys))).version

    async def aget_version(self) -> str | None:
        """See :meth:`get_version`."""
        return (await self.aget_meta()).version

    def get_global_concurrency(self) -> int | None:
        """How many jobs may run at once, over all workers; None is any number."""
        return self._run(steering.get_global_concurrency(self.keys))

    async def aget_global_concurrency(self) -> int | None:
        """See :meth:`get_global_concurrency`."""
        return await self._arun(steering.get_global_concurrency(self.keys))

    def get_global_rate_limit(self) -> RateLimit | None:
        """How many jobs may start in which time, over all workers; None is any number."""
        return _limit(self._run(steering.get_global_rate_limit(self.keys)))

    async def aget_global_rate_limit(self) -> RateLimit | None:
        """See :meth:`get_global_rate_limit`."""
        return _limit(await self._arun(steering.get_global_rate_limit(self.keys)))

    def get_rate_limit_ttl(self, max_jobs: int | None = None) -> float:
        """For how many seconds a rate limit still holds workers back; 0.0 if none does.

        Args:
            max_jobs: the maximum that counts; None is the queue's own, and where it has none, any
                limit that is running counts.
        """
        return self._run(self._get_rate_limit_ttl(max_jobs))

    async def aget_rate_limit_ttl(self, max_jobs: int | None = None) -> float:
        """See :meth:`get_rate_limit_ttl`."""
        return await self._arun(self._get_rate_limit_ttl(max_jobs))

    def _get_deduplication_job_id(self, deduplication_id: str) -> Command[str | None]:
        return adding.get_deduplication_job_id(
            self.keys, checked_deduplication_id(deduplication_id)
        )

    def _get_job(self, job_id: str) -> Operation[Job | None]:
        fields = yield reading.get_job(self.keys, job_id)
        return None if fields is None else self._job(job_id, fields)

    def _get_jobs(
        self, states: Sequence[str], between: tuple[int, int], asc: bool
    ) -> Operation[list[Job]]:
        ids: dict[str, None] = {}
        for state in states:
            ids |= dict.fromkeys((yield from reading.get_ids(self.keys, state, *between, asc)))
        # A job that was deleted since its id was read is left out.
        found = yield from reading.get_jobs(self.keys, list(ids))
        return [
            self._job(id, fields)
            for id, fields in zip(ids, found, strict=True)
            if fields is not None
        ]

    def _get_job_logs(
        self, job_id: str, start: int, end: int, asc: bool
    ) -> Operation[tuple[list[str], int]]:
        return reading.get_logs(self.keys, known_id(job_id), *places(start, end), asc)

    def _get_dependencies(
        self, parent_id: str, kind: str, start: int, end: int
    ) -> Operation[DependencyPage]:
        if kind not in ("processed", "pending"):
            raise InvalidOption(f"children are processed or pending, not {kind!r}")
        start, end = places(start, end)
        job = self.keys.job(known_id(parent_id))
        keys, values, hashes, total = yield from flows.get_page(
            job, kind == "processed", start, end
        )
        jobs = [
            Job(*cast("Queue", self)._sibling(key), fields)
            for key, fields in zip(keys, hashes, strict=True)
            if fields is not None
        ]
        return DependencyPage(keys, jobs, values, total)

    def _job(self, job_id: str, fields: dict[bytes, bytes]) -> Job:
        return Job(cast("Queue", self), job_id, fields)

    def _per_priority(self, priorities: Sequence[int]) -> Operation[dict[int, int]]:
        if isinstance(priorities, str | bytes) or not isinstance(priorities, Iterable):
            raise InvalidOption(f"priorities must be a list of them, not {priorities!r}")
        return reading.get_counts_per_priority(
            self.keys, [checked_priority(one) for one in priorities]
        )

    def _get_metrics(self, state: str, start: int, end: int) -> Operation[Metrics]:
        if state not in ("completed", "failed"):
            raise InvalidOption(f"there are metrics of completed and failed, not of {state!r}")
        return reading.get_metrics(self.keys, state, *places(start, end))

    def _get_rate_limit_ttl(self, max_jobs: int | None) -> Operation[float]:
        if max_jobs is not None:
            max_jobs = checked_whole(max_jobs, "max_jobs")
        ms: int = yield steering.get_rate_limit_ttl(self.keys, max_jobs)
        return max(ms, 0) / 1000


def checked_states(states: str | Iterable[str] | None) -> list[str]:
    """The states that somebody asked for, each once."""
    if states is None:
        return list(STATES)
    wanted = states if isinstance(states, Iterable) and not isinstance(states, str) else [states]
    found = ["waiting" if one == "wait" else one for one in wanted]
    for one in found:
        if one == "paused":
            raise InvalidOption(
                "jobs have no state 'paused': those of a paused queue are 'waiting'; "
                "is_paused() tells whether it is"
            )
        if not isinstance(one, str) or one not in STATES:
            raise InvalidOption(
                f"jobs have no state {one!r}{did_you_mean(one, STATES)}; "
                f"the states are {', '.join(STATES)}"
            )
    return list(dict.fromkeys(found))


def places(start: int, end: int) -> tuple[int, int]:
    """The places of a range, checked."""
    return checked_place(start, "start"), checked_place(end, "end")


def _limit(found: tuple[int, int] | None) -> RateLimit | None:
    return None if found is None else RateLimit(found[0], found[1] / 1000)


def _meta(fields: dict[str, str]) -> QueueMeta:
    number = steering.number
    maximum, duration = number(fields.get("max")), number(fields.get("duration"))
    return QueueMeta(
        paused="paused" in fields,
        concurrency=number(fields.get("concurrency")),
        limit=None if maximum is None or duration is None else _limit((maximum, duration)),
        max_events=number(fields.get("opts.maxLenEvents")),
        version=fields.get("version"),
    )
