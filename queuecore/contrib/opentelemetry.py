"""OpenTelemetry spans and job counts, named as bullmq-otel does (extra ``opentelemetry``).

``QUEUECORE["TELEMETRY"] = "queuecore.contrib.opentelemetry.Telemetry"``. Which spans are kept and
where they go says the project's own set-up of the SDK; without one this does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

# A carrier has a few short entries; whatever is longer was not written by a tracer.
_LONGEST, _MOST_NAMES = 8192, 100
# BullMQ's words for what becomes of a run that failed.
_FAILED = {"f": "fail", "r": "retry", "d": "delay"}


class Adding:
    """The span of an add. ``metadata``: what its jobs carry."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.metadata = _written(trace.set_span_in_context(span))

    def added(self, ids: Sequence[str]) -> None:
        """Tell the ids of the jobs."""
        if len(ids) == 1:
            self._span.set_attribute("bullmq.job.id", ids[0])
        elif ids:
            self._span.set_attribute("bullmq.job.ids", list(ids[:_MOST_NAMES]))


class Processing:
    """The span of one run. ``metadata``: what continues it elsewhere."""

    def __init__(self, tracer: trace.Tracer, span: Span, parent: Context, queue: str) -> None:
        self._tracer = tracer
        self._span = span
        self._context = trace.set_span_in_context(span, parent)
        self._queue = queue
        self.metadata = _written(self._context)

    @property
    def ids(self) -> dict[str, str]:
        """The ids of trace and span, for logs."""
        span = self._span.get_span_context()
        if not span.is_valid:
            return {}
        return {"trace_id": format(span.trace_id, "032x"), "span_id": format(span.span_id, "016x")}

    def enter(self) -> None:
        """Make it the current span of the context that runs, which is of this run alone."""
        contexts.attach(self._context)

    def end(self, kind: str, error: BaseException | None) -> None:
        """End it, with a span of its own for a retry or failure."""
        if error is not None and (word := _FAILED.get(kind)) is not None:
            attributes = _of(self._queue, word)
            text = _text(error)
            attributes["bullmq.job.failed.reason"] = text
            self._tracer.start_span(
                f"{word} {self._queue}", self._context, SpanKind.INTERNAL, attributes
            ).end()
            self._span.record_exception(error)
            self._span.set_status(Status(StatusCode.ERROR, text))
        self._span.end()


class Telemetry:
    """Makes the spans; what the setting ``TELEMETRY`` names.

    Follows BullMQ's ``telemetry`` option with bullmq-otel.
    """

    def __init__(self) -> None:
        from .. import __version__

        self._tracer = trace.get_tracer("queuecore", __version__)
        self._counts = metrics.get_meter("queuecore", __version__).create_gauge(
            "bullmq.queue.jobs", "{jobs}", "Number of jobs in the queue by state"
        )

    @contextmanager
    def adding(
        self, operation: str, queue: str, destination: str, names: Sequence[str]
    ) -> Iterator[Adding]:
        """The span of an add, current while it lasts."""
        attributes = _of(queue, operation)
        if len(names) == 1:
            attributes["bullmq.job.name"] = names[0]
        else:
            attributes["bullmq.job.bulk.count"] = len(names)
            attributes["bullmq.job.bulk.names"] = list(names[:_MOST_NAMES])
        with self._tracer.start_as_current_span(
            f"{operation} {destination}", kind=SpanKind.PRODUCER, attributes=attributes
        ) as span:
            yield Adding(span)

    def processing(self, queue: str, job: Any, worker: str, worker_name: str) -> Processing:
        """Begin the span of a run, below the one by which its job was added."""
        parent = _read(job.opts.get("tm"))
        attributes = _of(queue, "process")
        attributes |= {
            "bullmq.job.id": job.id,
            "bullmq.job.name": job.name,
            "bullmq.job.attempts.made": job.attempts_made,
            "bullmq.worker.id": worker,
            "bullmq.worker.name": worker_name,
        }
        span = self._tracer.start_span(f"process {queue}", parent, SpanKind.CONSUMER, attributes)
        return Processing(self._tracer, span, parent, queue)

    @contextmanager
    def within(self, metadata: str) -> Iterator[None]:
        """Continue here what another process began."""
        token = contexts.attach(_read(metadata))
        try:
            yield
        finally:
            contexts.detach(token)

    def job_counts(self, queue: str, counts: Mapping[str, int]) -> None:
        """Record how many jobs of a queue are in each state."""
        for state, count in counts.items():
            attributes = {"bullmq.queue.name": queue, "bullmq.queue.jobs.state": state}
            self._counts.set(count, attributes)


def _of(queue: str, operation: str) -> dict[str, Any]:
    return {"bullmq.queue.name": queue, "bullmq.queue.operation": operation}


def _written(context: Context) -> str | None:
    """bullmq-otel's metadata: the carrier as JSON; None where nothing is propagated."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier, context)
    return json.dumps(carrier, separators=(",", ":")) if carrier else None


def _read(metadata: object) -> Context:
    """The context of a carrier, whoever wrote it; an empty one where it cannot be read."""
    if not isinstance(metadata, str) or len(metadata) > _LONGEST:
        return Context()
    try:
        carrier = json.loads(metadata)
    except (ValueError, RecursionError):
        return Context()
    if not isinstance(carrier, Mapping):
        return Context()
    texts = {name: value for name, value in carrier.items() if isinstance(value, str)}
    try:
        return propagate.extract(texts, Context())
    except Exception:  # a propagator of the project's that met what it did not expect
        return Context()


def _text(error: BaseException) -> str:
    try:
        text = str(error) or type(error).__name__
    except BaseException:  # its own code, which may do anything
        text = type(error).__name__
    return text[:1000].encode("utf-8", "backslashreplace").decode()
