"""Getters: the jobs and the counts of one state each, workers, and metrics for Prometheus.

A part of :class:`queuecore.Queue`; BullMQ's names for what :class:`Reading` does for any state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from .errors import InvalidOption
from .job import Job
from .options import epoch_ms
from .reading import Reading, checked_states, places
from .statistics import Statistics, prometheus
from .telemetry import get_telemetry
from .wire.calls import inspecting, reading
from .wire.calls.base import Operation
from .wire.readings import WorkerInfo

# BullMQ's order of the states in what it exports.
EXPORTED = (
    "active", "completed", "delayed", "failed", "prioritized", "waiting", "waiting-children",
)  # fmt: skip


class Getters(Reading):
    """Each method exists twice, ``get_waiting`` and ``aget_waiting``, from one implementation."""

    # Jobs of one state; `start` and `end` are both included, -1 is the last.

    def get_waiting(self, start: int = 0, end: int = -1) -> list[Job]:
        """Jobs that wait without a priority, the next to run first (BullMQ ``getWaiting``)."""
        return self._run(self._get_jobs(["waiting"], places(start, end), True))

    async def aget_waiting(self, start: int = 0, end: int = -1) -> list[Job]:
        """See :meth:`get_waiting`."""
        return await self._arun(self._get_jobs(["waiting"], places(start, end), True))

    def get_active(self, start: int = 0, end: int = -1) -> list[Job]:
        """Jobs that run, the longest first (BullMQ ``getActive``)."""
        return self._run(self._get_jobs(["active"], places(start, end), True))

    async def aget_active(self, start: int = 0, end: int = -1) -> list[Job]:
        """See :meth:`get_active`."""
        return await self._arun(self._get_jobs(["active"], places(start, end), True))

    def get_delayed(self, start: int = 0, end: int = -1) -> list[Job]:
        """Delayed jobs, the next due first (BullMQ ``getDelayed``)."""
        return self._run(self._get_jobs(["delayed"], places(start, end), True))

    async def aget_delayed(self, start: int = 0, end: int = -1) -> list[Job]:
        """See :meth:`get_delayed`."""
        return await self._arun(self._get_jobs(["delayed"], places(start, end), True))

    def get_prioritized(self, start: int = 0, end: int = -1) -> list[Job]:
        """Jobs that wait with a priority, the next to run first (BullMQ ``getPrioritized``)."""
        return self._run(self._get_jobs(["prioritized"], places(start, end), True))

    async def aget_prioritized(self, start: int = 0, end: int = -1) -> list[Job]:
        """See :meth:`get_prioritized`."""
        return await self._arun(self._get_jobs(["prioritized"], places(start, end), True))

    def get_waiting_children(self, start: int = 0, end: int = -1) -> list[Job]:
        """Jobs that wait for their children, the longest first (BullMQ ``getWaitingChildren``)."""
        return self._run(self._get_jobs(["waiting-children"], places(start, end), True))

    async def aget_waiting_children(self, start: int = 0, end: int = -1) -> list[Job]:
        """See :meth:`get_waiting_children`."""
        return await self._arun(self._get_jobs(["waiting-children"], places(start, end), True))

    def get_completed(self, start: int = 0, end: int = -1) -> list[Job]:
        """Completed jobs, the last first (BullMQ ``getCompleted``)."""
        return self._run(self._get_jobs(["completed"], places(start, end), False))

    async def aget_completed(self, start: int = 0, end: int = -1) -> list[Job]:
        """See :meth:`get_completed`."""
        return await self._arun(self._get_jobs(["completed"], places(start, end), False))

    def get_failed(self, start: int = 0, end: int = -1) -> list[Job]:
        """Failed jobs, the last first (BullMQ ``getFailed``)."""
        return self._run(self._get_jobs(["failed"], places(start, end), False))

    async def aget_failed(self, start: int = 0, end: int = -1) -> list[Job]:
        """See :meth:`get_failed`."""
        return await self._arun(self._get_jobs(["failed"], places(start, end), False))

    # Counts

    def get_waiting_count(self) -> int:
        """How many jobs are waiting (BullMQ ``getWaitingCount``)."""
        return self._run(self._count("waiting"))

    async def aget_waiting_count(self) -> int:
        """See :meth:`get_waiting_count`."""
        return await self._arun(self._count("waiting"))

    def get_active_count(self) -> int:
        """How many jobs are active (BullMQ ``getActiveCount``)."""
        return self._run(self._count("active"))

    async def aget_active_count(self) -> int:
        """See :meth:`get_active_count`."""
        return await self._arun(self._count("active"))

    def get_delayed_count(self, until: datetime | None = None) -> int:
        """How many jobs are delayed (BullMQ ``getDelayedCount``).

        Args:
            until: only those due until then.
        """
        return self._run(self._delayed_count(until))

    async def aget_delayed_count(self, until: datetime | None = None) -> int:
        """See :meth:`get_delayed_count`."""
        return await self._arun(self._delayed_count(until))

    def get_prioritized_count(self) -> int:
        """How many jobs are prioritized (BullMQ ``getPrioritizedCount``)."""
        return self._run(self._count("prioritized"))

    async def aget_prioritized_count(self) -> int:
        """See :meth:`get_prioritized_count`."""
        return await self._arun(self._count("prioritized"))

    def get_waiting_children_count(self) -> int:
        """How many jobs are waiting-children (BullMQ ``getWaitingChildrenCount``)."""
        return self._run(self._count("waiting-children"))

    async def aget_waiting_children_count(self) -> int:
        """See :meth:`get_waiting_children_count`."""
        return await self._arun(self._count("waiting-children"))

    def get_completed_count(self) -> int:
        """How many jobs are completed (BullMQ ``getCompletedCount``)."""
        return self._run(self._count("completed"))

    async def aget_completed_count(self) -> int:
        """See :meth:`get_completed_count`."""
        return await self._arun(self._count("completed"))

    def get_failed_count(self) -> int:
        """How many jobs are failed (BullMQ ``getFailedCount``)."""
        return self._run(self._count("failed"))

    async def aget_failed_count(self) -> int:
        """See :meth:`get_failed_count`."""
        return await self._arun(self._count("failed"))

    def get_job_count_by_types(self, *states: str) -> int:
        """How many jobs are in all of *states* together (BullMQ ``getJobCountByTypes``)."""
        return self._run(self._count(*states))

    async def aget_job_count_by_types(self, *states: str) -> int:
        """See :meth:`get_job_count_by_types`."""
        return await self._arun(self._count(*states))

    # Workers and metrics

    def get_workers(self) -> list[WorkerInfo] | None:
        """The connections on which workers of the queue wait, those of peers too (``getWorkers``).

        None where the server keeps its clients secret.
        """
        return self._run(self._get_workers())

    async def aget_workers(self) -> list[WorkerInfo] | None:
        """See :meth:`get_workers`."""
        return await self._arun(self._get_workers())

    def get_workers_count(self) -> int | None:
        """How many workers the queue has; None where the server keeps its clients secret."""
        found = self._run(self._get_workers())
        return None if found is None else len(found)

    async def aget_workers_count(self) -> int | None:
        """See :meth:`get_workers_count`."""
        found = await self._arun(self._get_workers())
        return None if found is None else len(found)

    def export_prometheus_metrics(
        self, global_variables: Mapping[str, str] | None = None, *, statistics: bool = False
    ) -> str:
        """The queue's counts as Prometheus reads them (BullMQ ``exportPrometheusMetrics``).

        Args:
            global_variables: further labels of every row.
            statistics: add how long jobs waited and ran, and how runs ended, by job name, as our
                workers have counted it.

        Raises:
            InvalidOption: a label's name is none.
        """
        return self._run(self._export(global_variables, statistics))

    async def aexport_prometheus_metrics(
        self, global_variables: Mapping[str, str] | None = None, *, statistics: bool = False
    ) -> str:
        """See :meth:`export_prometheus_metrics`."""
        return await self._arun(self._export(global_variables, statistics))

    def record_job_counts_metric(self, *states: str) -> dict[str, int]:
        """Count jobs by state, and tell it the telemetry (BullMQ ``recordJobCountsMetric``).

        What the setting ``TELEMETRY`` names gets it, as OpenTelemetry's gauge ``bullmq.queue.jobs``
        where that is ours; without one this is :meth:`get_job_counts`.
        """
        return self._run(self._record_counts(states))

    async def arecord_job_counts_metric(self, *states: str) -> dict[str, int]:
        """See :meth:`record_job_counts_metric`."""
        return await self._arun(self._record_counts(states))

    def _record_counts(self, states: tuple[str, ...]) -> Operation[dict[str, int]]:
        counts: dict[str, int] = yield reading.get_counts(self.keys, checked_states(states or None))
        # A class of the project's own need not have it.
        record = getattr(get_telemetry(), "job_counts", None)
        if record is not None:
            record(self.name, counts)
        return counts

    def _count(self, *states: str) -> Operation[int]:
        counts = yield reading.get_counts(self.keys, checked_states(states or None))
        return sum(counts.values())

    def _delayed_count(self, until: datetime | None) -> Operation[int]:
        most = None if until is None else epoch_ms(until, "until")
        count: int = yield reading.get_delayed_count(self.keys, most)
        return count

    def _get_workers(self) -> Operation[list[WorkerInfo] | None]:
        found = yield inspecting.get_workers(self.keys.prefix)
        return None if found is None else [one for one in found if one.queue == self.name]

    def _export(self, variables: Mapping[str, str] | None, statistics: bool) -> Operation[str]:
        more = ""
        for name, value in (variables or {}).items():
            if not _LABEL.fullmatch(name):
                raise InvalidOption(f"{name!r} is no name of a Prometheus label")
            more += f', {name}="{_escaped(value)}"'
        queue = f'queue="{_escaped(self.name)}"'
        counts = yield reading.get_counts(self.keys, EXPORTED)
        lines = [
            "# HELP bullmq_job_count Number of jobs in the queue by state",
            "# TYPE bullmq_job_count gauge",
        ]
        for state in EXPORTED:
            lines.append(f'bullmq_job_count{{{queue}, state="{state}"{more}}} {counts[state]}')
        for state in ("completed", "failed"):
            metrics = yield from reading.get_metrics(self.keys, state, 0, 0)
            name = f"bullmq_job_{state}_total"
            lines += [
                f"# HELP {name} Total number of {state} jobs",
                f"# TYPE {name} counter",
                f"{name}{{{queue}{more}}} {metrics.count}",
            ]
        if statistics:
            totals = yield from Statistics(self.name, self.alias)._totals()
            lines += prometheus(totals, f"{queue}{more}", _escaped)
        return "\n".join(lines)


_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def _escaped(value: object) -> str:
    return str(value).replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
