"""Shapes: what ``--json`` prints of queues, jobs, schedulers and workers; documented, and kept.

Secrets are masked as on the pages: what a terminal has shown stands in its history, and in logs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from queuecore.fleet import FleetProcess, FleetWorker
from queuecore.inspect import JobDetail, JobRow, LogPage, QueueSnapshot, WorkerInfo
from queuecore.jsontext import covered, masked
from queuecore.models import Operation
from queuecore.runs import Timing

from .words import iso, iso_ms

Shape = dict[str, Any]


def queue(snapshot: QueueSnapshot, workers: int | None, over: Sequence[str] = ()) -> Shape:
    """A queue; ``over``: which of the bounds that were given it is over, in words."""
    pause = snapshot.pause
    limited = snapshot.limit_max is not None and snapshot.limit_duration_ms is not None
    return {
        "connection": snapshot.alias,
        "name": snapshot.name,
        "at": iso(snapshot.at),
        "paused": snapshot.paused,
        "pause": {
            "since": iso(pause.since),
            "until": iso(pause.until),
            "reason": pause.reason,
            "by": pause.by,
        }
        if snapshot.paused and pause
        else None,
        "counts": dict(snapshot.counts),
        "groups": snapshot.groups,
        "oldest_wait": iso(snapshot.oldest_wait),
        "next_delayed": iso(snapshot.next_delayed),
        "completed_total": snapshot.completed_total,
        "failed_total": snapshot.failed_total,
        "workers": workers,
        "concurrency": snapshot.concurrency,
        "rate_limit": {
            "max": snapshot.limit_max,
            "duration_s": (snapshot.limit_duration_ms or 0) / 1000,
        }
        if limited
        else None,
        "limited_for_s": snapshot.limiter_ttl_ms / 1000,
        "version": snapshot.version,
        "over": list(over),
    }


def job(row: JobRow) -> Shape:
    """A job as a list has it."""
    return {
        "id": row.id,
        "name": row.name,
        "state": row.state,
        "added": iso(row.timestamp),
        "started": iso(row.processed_on),
        "finished": iso(row.finished_on),
        "due": iso(row.due),
        "delay_s": row.delay_ms / 1000,
        "priority": row.priority,
        "attempts_made": row.attempts_made,
        "attempts_started": row.attempts_started,
        "max_attempts": row.max_attempts,
        "stalled": row.stalled_count,
        "progress": parsed(row.progress),
        "failed_reason": covered(row.failed_reason),
        "processed_by": row.processed_by,
        "parent": row.parent_key,
        "scheduler": row.scheduler_id,
        "group": row.group,
        "data_size": row.data_size,
    }


def job_detail(found: JobDetail, logs: LogPage) -> Shape:
    """A job with all that is stored of it; texts that are no JSON, or cut, stay texts."""
    lines = [covered(line) for line in logs.lines]
    return job(found.row) | {
        "failed_reason": covered(found.failed_reason),
        "data": parsed(found.data),
        "data_size": found.data_size,
        "opts": parsed(found.opts),
        "opts_size": found.opts_size,
        "returnvalue": parsed(found.returnvalue),
        "returnvalue_size": found.returnvalue_size,
        "stacktrace": [covered(one) for one in found.stacktrace],
        "locked_for_s": None if found.lock_ttl_ms is None else found.lock_ttl_ms / 1000,
        "logs": {
            "total": logs.total,
            "start": logs.start,
            "lines": lines,
        },
    }


def scheduler(alias: str, timing: Timing) -> Shape:
    """A scheduler, with the run that began last."""
    found, last = timing.scheduler, timing.last
    return {
        "connection": alias,
        "queue": timing.queue,
        "id": found.key,
        "name": found.name,
        "pattern": found.pattern,
        "tz": found.tz,
        "every_s": found.every,
        "offset_s": found.offset,
        "limit": found.limit,
        "starts": iso(found.start_date),
        "ends": iso(found.end_date),
        "runs": found.iteration_count,
        "next": iso_ms(timing.due),
        "late": timing.late,
        "over": timing.over,
        "paused_since": iso(found.paused_at),
        "last": None
        if last is None
        else {
            "job": last.id,
            "state": last.state,
            "due": iso_ms(last.due),
            "started": iso_ms(last.began),
            "finished": iso_ms(last.ended),
            "error": covered(last.error),
        },
    }


def worker(alias: str, process: FleetProcess, one: FleetWorker) -> Shape:
    """A worker of ours: one queue in one process."""
    return {
        "connection": alias,
        "queue": one.queue,
        "library": f"queuecore {process.queuecore}",
        "id": one.id,
        "name": one.name,
        "host": process.host,
        "pid": process.pid,
        "health": process.health,
        "seen": iso(process.heartbeat),
        "started": iso(process.started),
        "state": one.state,
        "concurrency": one.concurrency,
        "busy": one.busy,
        "jobs": [{"id": run.id, "name": run.name, "since": iso(run.since)} for run in one.jobs],
        "done": one.done,
        "failed": one.failed,
        "done_per_minute": one.done_per_minute,
        "failed_per_minute": one.failed_per_minute,
        "memory": process.memory,
    }


def peer(alias: str, found: WorkerInfo) -> Shape:
    """A worker of another library, of which the server knows the connection alone."""
    return {
        "connection": alias,
        "queue": found.queue,
        "library": found.library,
        "id": None,
        "name": found.name,
        "address": found.address,
        "idle_s": found.idle_s,
    }


def operation(found: Operation) -> Shape:
    """An operation on many jobs, as it ended."""
    return {
        "operation": found.pk,
        "action": found.action,
        "connection": found.connection,
        "queue": found.queue,
        "state": found.state,
        "filter": found.query,
        "status": str(found.status),
        "planned": found.planned,
        "done": found.done,
        "skipped": found.skipped,
        "failed": found.failed,
        "failures": [{"id": one[0], "reason": one[1]} for one in found.failures],
        "seconds": round(found.ran, 3),
        "error": found.error,
    }


def parsed(text: str) -> Any:
    """The value of a JSON text, masked; the text where it is none, None where it is empty."""
    if not text:
        return None
    try:
        return json.loads(masked(text))
    except (ValueError, RecursionError):
        return masked(text)
