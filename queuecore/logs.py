"""Logs: what a line is about, as fields, and a formatter that writes lines as JSON.

QueueCore logs below ``queuecore`` and sets nothing up. What it says of a job has the fields
``queue``, ``connection``, ``job_id``, ``job_name`` and ``attempt``; so has, by
:class:`JSONFormatter` or :class:`JobFilter`, every line that a processor's own code writes.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

#: The job that the running code works, or the jobs of its batch.
working: ContextVar[Any] = ContextVar("queuecore_working", default=None)

# What every record has is no field of its own.
_COMMON = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"}


def about(job: Any, **more: Any) -> dict[str, Any]:
    """The fields of a line on *job*, for ``extra=``."""
    return {
        "queue": job.queue.name,
        "connection": job.queue.alias,
        "job_id": job.id,
        "job_name": job.name,
        "attempt": job.attempts_made + 1,
        **more,
    }


def here() -> dict[str, Any]:
    """The fields of the job that runs here, and the ids of its trace; empty outside of one."""
    found: dict[str, Any] = {}
    if isinstance(jobs := working.get(), list):
        first = jobs[0].queue
        ids = [job.id for job in jobs]
        found = {"queue": first.name, "connection": first.alias, "job_ids": ids}
    elif jobs is not None:
        found = about(jobs)
    if (trace := sys.modules.get("opentelemetry.trace")) is not None:
        span = trace.get_current_span().get_span_context()
        if span.is_valid:
            found["trace_id"] = format(span.trace_id, "032x")
            found["span_id"] = format(span.span_id, "016x")
    return found


class JSONFormatter(logging.Formatter):
    """A line of JSON: time, level, logger, message, the fields of the line and of its job.

    Control characters and line breaks are escaped, so that no data can forge a line.
    """

    def format(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Formatter`."""
        value = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **here(),
            **{key: one for key, one in record.__dict__.items() if key not in _COMMON},
        }
        if record.exc_info and record.exc_info[0] is not None:
            value["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            value["stack"] = self.formatStack(record.stack_info)
        return json.dumps(value, default=str)


class JobFilter(logging.Filter):
    """Gives every line ``queue``, ``job_id`` and ``job_name``, for a format that names them.

    They are ``-`` where a line is about no job.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """See :class:`logging.Filter`."""
        for key, value in (dict.fromkeys(("queue", "job_id", "job_name"), "-") | here()).items():
            if not hasattr(record, key):
                setattr(record, key, value)
        return True
