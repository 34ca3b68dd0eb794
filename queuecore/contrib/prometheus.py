"""Prometheus: the view ``metrics``, and what it and ``runworker --metrics-port`` tell (extra
``prometheus``).

``path("metrics", queuecore.contrib.prometheus.metrics)`` serves what is counted in this process
(whatever the project registers with prometheus_client) and :class:`QueueCollector`, the figures of
every queue, which are the same whichever process is asked.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from .. import conf, outbox
from ..errors import QueueCoreError
from ..inspect import Inspector, aliases

Content = tuple[bytes, str]
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"


class QueueCollector(Collector):
    """The figures of every queue of every connection, and of the outbox; read when asked for."""

    def describe(self) -> list[Metric]:
        """Nothing: to be registered must not ask Redis."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Two round trips a connection, whatever number of jobs there is."""
        of = ["connection", "queue"]
        up = _gauge("redis_up", "Whether the server of a connection answers", "connection")
        jobs = GaugeMetricFamily(
            "bullmq_job_count", "Number of jobs in the queue by state", labels=[*of, "state"]
        )
        completed = CounterMetricFamily(
            "bullmq_job_completed", "Total number of completed jobs", labels=of
        )
        failed = CounterMetricFamily("bullmq_job_failed", "Total number of failed jobs", labels=of)
        paused = _gauge("queue_paused", "Whether the queue is paused", *of)
        oldest = _gauge("queue_oldest_wait_seconds", "Age of the oldest job that waits", *of)
        for alias in aliases():
            try:
                inspector = Inspector(alias)
                found = inspector.snapshots(inspector.discover())
            except QueueCoreError:
                up.add_metric([alias], 0)
                continue
            up.add_metric([alias], 1)
            for name, one in found.items():
                for state, count in one.counts.items():
                    jobs.add_metric([alias, name, state], count)
                paused.add_metric([alias, name], one.paused)
                waited = (one.at - one.oldest_wait).total_seconds() if one.oldest_wait else 0
                oldest.add_metric([alias, name], max(waited, 0))
                for total, value in (
                    (completed, one.completed_total),
                    (failed, one.failed_total),
                ):
                    if value is not None:
                        total.add_metric([alias, name], value)
        yield from (up, jobs, completed, failed, paused, oldest, *_of_the_outbox())


def _of_the_outbox() -> Iterator[Metric]:
    waiting = _gauge("outbox_waiting", "Rows that wait to be moved to Redis", "database")
    aside = _gauge("outbox_set_aside", "Rows that Redis refused for good", "database")
    oldest = _gauge("outbox_oldest_seconds", "Age of the oldest row that waits", "database")
    try:
        found = outbox.backlog()
    except DatabaseError:  # it is away, or has no such table yet: the queues' figures are there
        return
    for one in found:
        waiting.add_metric([one.database], one.waiting)
        aside.add_metric([one.database], one.aside)
        oldest.add_metric([one.database], one.oldest or 0)
    yield from (waiting, aside, oldest)


@login_not_required
@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """All figures, for whoever sends ``Authorization: Bearer <METRICS_TOKEN>``, and superusers."""
    if not _may_read(request):
        text = (
            "Metrics are for whoever sends the header 'Authorization: Bearer ...' with the text of "
            "QUEUECORE['METRICS_TOKEN'], and for superusers.\n"
        )
        return HttpResponse(text, status=403, content_type="text/plain")
    registry = CollectorRegistry()
    registry.register(QueueCollector())
    return HttpResponse(
        _of_the_project() + generate_latest(registry), content_type=CONTENT_TYPE_LATEST
    )


def _may_read(request: HttpRequest) -> bool:
    token = conf.get_settings().metrics_token
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    if token and kind.lower() == "bearer":
        return secrets.compare_digest(given.strip().encode(), token.encode())
    user = getattr(request, "user", None)
    return bool(user and user.is_active and user.is_superuser)


def worker_metrics(report: dict[str, Any] | None, *, supervised: bool) -> Content:
    """What a worker tells of itself, from the report on its health.

    *supervised*: the report is on other processes; what the project counts in them is told where
    ``PROMETHEUS_MULTIPROC_DIR`` is set.
    """
    registry = CollectorRegistry()
    registry.register(_WorkerCollector(report))
    project = b"" if supervised and _MULTIPROCESS not in os.environ else _of_the_project()
    return project + generate_latest(registry), CONTENT_TYPE_LATEST


class _WorkerCollector(Collector):
    def __init__(self, report: dict[str, Any] | None) -> None:
        self._report = report or {"live": True, "ready": False}

    def collect(self) -> Iterator[Metric]:
        live = _gauge("worker_live", "Whether the event loops of the worker turn")
        ready = _gauge("worker_ready", "Whether all of the worker can work")
        live.add_metric([], self._report["live"])
        ready.add_metric([], self._report["ready"])
        one = "process"
        lag = _gauge("worker_loop_lag_seconds", "How long the event loop makes a call wait", one)
        memory = _gauge("worker_memory_bytes", "Resident memory of the process", one)
        cpu = _counter("worker_cpu_seconds", "CPU time of the process", one)
        up = _gauge("worker_redis_up", "Whether Redis answers the process", one, "connection")
        of = (one, "connection", "queue")
        slots = _gauge("worker_concurrency", "Jobs that may run at a time", *of)
        busy = _gauge("worker_running", "Jobs that run now", *of)
        ended = _counter("worker_jobs", "Jobs that the process has ended", *of, "outcome")
        for process in self._report.get("processes", [self._report]):
            if "queues" not in process:
                continue
            number = str(process.get("number", 1))
            lag.add_metric([number], process["lag"])
            memory.add_metric([number], process["memory"])
            cpu.add_metric([number], process["cpu"])
            for name, state in process["connections"].items():
                up.add_metric([number, name], state == "ok")
            for queue in process["queues"]:
                labels = [number, queue["connection"], queue["queue"]]
                slots.add_metric(labels, queue["concurrency"])
                busy.add_metric(labels, queue["busy"])
                for outcome in ("completed", "failed"):
                    ended.add_metric([*labels, outcome], queue[outcome])
        yield from (live, ready, lag, memory, cpu, up, slots, busy, ended)


def _of_the_project() -> bytes:
    """What the project counts with prometheus_client: here, or in all processes of a directory."""
    if _MULTIPROCESS not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"queuecore_{name}", text, labels=labels)


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"queuecore_{name}", text, labels=labels)
