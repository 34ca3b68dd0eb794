"""Advance: a scheduler whose run is started goes on; its next run is added before that one runs."""

from __future__ import annotations

from ..errors import SchedulerBusy
from ..handle import WIRE_VERSION, Handle
from ..job import Job
from ..repeat import OF_A_RUN, Repeat, as_dict, number, run_opts
from ..wire.calls import scheduling
from ..wire.calls.base import NOW, Operation
from ..wire.calls.scheduling import NextRun

# As far as it looks for a moment that has no job yet.
_TRIES = 32
# What a record has of BullMQ's `repeat`.
_OF_A_REPEAT = frozenset(
    {"pattern", "every", "tz", "limit", "startDate", "endDate", "offset", "count"}
)


def advance(queue: Handle, job: Job) -> Operation[str | None]:
    """Add the next run of the scheduler that made *job*, which was started; its id.

    None if there is none: its end is reached, it was removed, or the next run is there already.

    Raises:
        InvalidOption: a peer's pattern or time zone means nothing here; the scheduler stands still.
        SchedulerBusy: the next moments have runs already.
    """
    id = job.repeat_job_key
    assert id is not None
    if not job.id.startswith(f"repeat:{id}:"):
        raise SchedulerBusy(
            f"{id!r} is a repeatable job of BullMQ before 5.10: it stands still until it is made a "
            "scheduler by Queue.migrate_repeatable_jobs()"
        )
    said = as_dict(job.opts.get("repeat"))
    if not said:  # somebody has spoiled the run's options
        record = yield from scheduling.get_job_scheduler(queue.keys, id)
        said = {} if record is None else {**record[2], "count": number(record[2].get("ic"))}
        said = {name: value for name, value in said.items() if name in _OF_A_REPEAT}
    repeat = Repeat.read(said)
    count = (number(said.get("count")) or 0) + 1
    now = yield NOW
    if repeat.limit is not None and count > repeat.limit:
        return None
    if repeat.end is not None and now > repeat.end:
        return None
    due = None
    if repeat.pattern is not None:
        # Never before the run itself, which may have been promoted.
        last = max(now, number(job.opts.get("prevMillis")) or 0, _moment(job.id))
        due = repeat.after(last, job.name)
        if due is None:
            return None
    template = {name: value for name, value in job.opts.items() if name not in OF_A_RUN}
    template.setdefault("attempts", 0)
    if isinstance(template.get("backoff"), int | float):
        template["backoff"] = {"type": "fixed", "delay": template["backoff"]}
    run = NextRun(
        job.name,
        job._fields.get(b"data") or b"{}",
        {},
        number(template.get("priority")) or 0,
        template.get("lifo") is True,
        job.deduplication_id or "",
    )
    for _ in range(_TRIES):
        run.opts = run_opts(template, id, {**said, **repeat.wire()}, now, count, due)
        answer = yield scheduling.advance_job_scheduler(
            queue.keys,
            id,
            WIRE_VERSION,
            job.id,
            now,
            run,
            due=due,
            every=repeat.every,
            offset=repeat.offset,
        )
        if isinstance(answer, str):
            return answer or None
        if due is None:
            break
        due = repeat.after(due, job.name)
        if due is None:
            return None
    raise SchedulerBusy(
        f"scheduler {id} of queue {queue.name} stands still: there are jobs already of all its "
        f"next {_TRIES} runs; remove those that are finished, and upsert it again"
    )


def _moment(job_id: str) -> int:
    """The time in a run's id."""
    return number(job_id.rpartition(":")[2]) or 0
