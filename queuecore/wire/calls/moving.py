"""Moving jobs from state to state by hand: promote, retry, another delay or priority."""

from __future__ import annotations

from ..keys import Keys
from .base import Call, Command, Operation, check

# A job costs about 10 microseconds on the server.
BATCH = 300
# Scores are times, but for `delayed`, where all of them are meant.
EVER = "+inf"


def promote(keys: Keys, job_id: str) -> Call[int]:
    """Let a delayed job run now (BullMQ ``promote``)."""
    return Call(
        "promote",
        (keys.delayed, keys.events),
        (keys.base, job_id),
        lambda code: check(code, queue=keys.name, id=job_id, state="delayed"),
    )


def reprocess_job(
    keys: Keys, job_id: str, state: str, lifo: bool, reset_made: bool, reset_started: bool
) -> Call[int]:
    """Let a job that is in *state* ``completed`` or ``failed`` run again (``reprocessJob``)."""
    return Call(
        "reprocess_job",
        (keys[state], keys.events),
        (keys.base, job_id, state, int(lifo), int(reset_made), int(reset_started)),
        lambda code: check(code, queue=keys.name, id=job_id, state=state),
    )


def change_delay(keys: Keys, job_id: str, delay: int, now: int) -> Call[int]:
    """Let a delayed job run *delay* ms after *now* (BullMQ ``changeDelay``)."""
    return Call(
        "change_delay",
        (keys.delayed, keys.events),
        (keys.base, job_id, delay, now + delay),
        lambda code: check(code, queue=keys.name, id=job_id, state="delayed"),
        repeatable=True,
    )


def change_priority(
    keys: Keys, job_id: str, priority: int, lifo: bool, opts: str | bytes = ""
) -> Call[int]:
    """Give a job another priority (BullMQ ``changePriority``); a grouped one its new *opts*."""
    return Call(
        "change_priority",
        (keys.prioritized,),
        (keys.base, job_id, priority, int(lifo), opts),
        lambda code: check(code, queue=keys.name, id=job_id),
        repeatable=True,
    )


def move_jobs_to_wait(
    keys: Keys, state: str, until: int | None, count: int | None
) -> Operation[int]:
    """Let the jobs of *state* run (again), oldest first; returns how many (``moveJobsToWait``).

    *until* ms: only those that finished until then. *count*: at most so many.
    """
    # A step whose answer was lost counts nothing: done again it would go beyond a given count.
    return (yield from _move_jobs_to_wait(keys, state, until, count, repeatable=count is None))


def _move_jobs_to_wait(
    keys: Keys, state: str, until: int | None, count: int | None, *, repeatable: bool
) -> Operation[int]:
    moved = 0
    while count is None or moved < count:
        batch = BATCH if count is None else min(BATCH, count - moved)
        done, more = yield Call(
            "move_jobs_to_wait",
            (keys[state], keys.events),
            (keys.base, state, batch, EVER if until is None else until),
            repeatable=repeatable,
        )
        moved += done
        if not more:
            break
    return moved


def promote_jobs(keys: Keys, count: int | None) -> Operation[int]:
    """Let delayed jobs run now, at most *count*; how many (BullMQ ``promoteJobs``)."""
    # Jobs that come back delayed meanwhile are not meant: else this might never end.
    there = yield Command(("ZCARD", keys.delayed))
    most = there if count is None else min(count, there)
    moved = yield from _move_jobs_to_wait(keys, "delayed", None, most, repeatable=count is None)
    grouped = 0
    if (yield Command(("EXISTS", keys.qc("group-delayed")))):
        grouped = yield Command(("ZCARD", keys.waiting_children))
    left = grouped if count is None else min(count - moved, grouped)
    while left > 0:
        some, more = yield Call(
            "promote_grouped",
            (keys.qc("group-delayed"), keys.events),
            (keys.base, min(BATCH, left)),
            repeatable=count is None,
        )
        moved += some
        left = left - some if more and some else 0
    return moved


def move_to_delayed(keys: Keys, job_id: str, token: str, delay: int, now: int) -> Call[int]:
    """Let a running job come back after *delay* ms; the try is not counted (``moveToDelayed``)."""
    return Call(
        "move_to_delayed",
        (keys.delayed, keys.events, keys.meta, keys.wait, keys.prioritized),
        (keys.base, job_id, token, delay, now + delay),
        lambda code: check(code, queue=keys.name, id=job_id, state="active"),
    )


def move_to_wait(keys: Keys, job_id: str, token: str) -> Call[int]:
    """Put a running job back, uncounted; how long (ms) a rate limit still holds it."""
    return Call(
        "move_to_wait",
        (keys.events, keys.limiter),
        (keys.base, job_id, token),
        lambda code: check(code, queue=keys.name, id=job_id, state="active"),
    )
