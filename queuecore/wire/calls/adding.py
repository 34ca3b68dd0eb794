"""Adding jobs: one call for any number and kind of jobs of a queue, under a lane's receipt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any

from ...errors import (
    GroupMaxSizeExceeded,
    OutboxTaken,
    ParentConflict,
    ParentNotFound,
    QueueCoreError,
    ServerUnavailable,
)
from ..keys import Keys
from .base import Argument, Call, Command, text

# One script call stays well under 5 ms on the server.
BATCH = 500


@dataclass(slots=True)
class NewJob:
    """One checked job as the wire takes it, in milliseconds.

    ``id`` is empty for an automatic one, ``timestamp`` 0 until it is sent for the time of sending.
    ``deduplication`` is BullMQ's object, ``parent`` the key of the parent's hash and BullMQ's
    ``parent`` field, ``group`` BullMQ Pro's object; all are None for the most.
    """

    id: str
    name: str
    data: bytes
    opts: bytes
    timestamp: int
    delay: int
    priority: int
    lifo: bool
    deduplication: dict[str, Any] | None = None
    parent: tuple[str, str] | None = None
    group: dict[str, Any] | None = None

    def fields(self) -> dict[bytes, bytes]:
        """The hash that the server holds for it."""
        fields = {
            b"name": self.name.encode(),
            b"data": self.data,
            b"opts": self.opts,
            b"timestamp": b"%d" % self.timestamp,
            b"delay": b"%d" % self.delay,
            b"priority": b"%d" % self.priority,
        }
        if self.deduplication is not None:
            fields[b"deid"] = self.deduplication["id"].encode()
        if self.parent is not None:
            fields[b"parentKey"], fields[b"parent"] = (one.encode() for one in self.parent)
        return fields


def add_jobs(
    keys: Keys,
    receipt: str,
    number: int,
    version: str,
    jobs: Sequence[NewJob],
    marks: Sequence[dict[str, Any]] = (),
) -> Call[list[str]]:
    """Add *jobs* (at most ``BATCH``) and return their ids, in order.

    *receipt* and *number* are the caller's lane and its next call number; a duplicate id returns
    the id like a success, a deduplicated one that of the job which is there (BullMQ ``addJob``).
    *marks*: what :func:`.relaying.marks` says of jobs that come from an outbox.
    """
    richer = bool(marks) or any(job.deduplication or job.parent or job.group for job in jobs)
    args: list[Argument] = [keys.base, number, version, len(jobs)]
    for index, job in enumerate(jobs):
        args += (
            job.id,
            job.name,
            job.data,
            job.opts,
            job.timestamp,
            job.delay,
            job.priority,
            _more(job, marks[index] if marks else {}) if richer else b"1" if job.lifo else b"0",
        )

    def decode(answer: list[bytes]) -> list[str]:
        if answer[0] != b"ok":
            if answer[0] == b"group full":
                raise _group_full(jobs[int(answer[1]) - 1])
            raise refused(answer, [(job.id, job.parent) for job in jobs])
        if answer[1]:
            first = int(answer[1])
            return [str(first + i) for i in range(len(jobs))]
        return [text(one) for one in answer[2:]]

    named = (
        keys.id,
        keys.wait,
        keys.paused,
        keys.active,
        keys.delayed,
        keys.prioritized,
        keys.pc,
        keys.events,
        keys.meta,
        keys.marker,
        receipt,
    )
    if richer:
        return Call("add_richer_jobs", named, args, decode, repeatable=True)
    return Call("add_jobs", named, args, decode, repeatable=True)


def _more(job: NewJob, mark: dict[str, Any]) -> bytes:
    """What the script for jobs with more to them must know of one, as JSON."""
    more: dict[str, Any] = {"lifo": job.lifo, **mark}
    if job.deduplication:
        more["de"] = job.deduplication
    if job.parent:
        more["parent"] = job.parent
    if job.group:
        more["group"] = job.group
    return dumps(more, ensure_ascii=False).encode()


def refused(
    answer: Sequence[bytes], jobs: Sequence[tuple[str, tuple[str, str] | None]]
) -> QueueCoreError:
    """The error for an add that was refused whole; *jobs*: each one's id and parent."""
    reason = text(answer[0])
    if reason == "late":
        return ServerUnavailable(
            "an add was overtaken by a later one of its lane, which cannot happen while each "
            "lane has one call in flight; nothing was added"
        )
    if reason == "other relay":
        return OutboxTaken("another relay has taken the outbox; nothing was added")
    id, parent = jobs[int(answer[1]) - 1]
    which, key = f"job {id}" if id else "a job", parent[0] if parent else ""
    if reason == "no parent":
        return ParentNotFound(
            f"{which} was to be a child of the job with the key {key}, which does not exist (any "
            "more); nothing was added"
        )
    if reason == "cycle":
        return ParentConflict(
            f"{which} exists and waits for the job with the key {key} itself: as its child both "
            "would wait for ever; nothing was added"
        )
    return ParentConflict(
        f"{which} exists as the child of another job that still exists, so it cannot become one of "
        f"the job with the key {key}; give another job_id; nothing was added"
    )


def _group_full(job: NewJob) -> QueueCoreError:
    group = job.group or {}
    return GroupMaxSizeExceeded(
        f"{group.get('maxSize')} jobs or more wait in the group {group.get('id')!r}; "
        "nothing was added"
    )


def allow_groups(keys: Keys) -> Command[Any]:
    """Let claims put jobs into their groups that come by other ways than an add of ours."""
    return Command(("SET", keys.grouped, "1"))


def get_deduplication_job_id(keys: Keys, deduplication_id: str) -> Command[str | None]:
    """The id of the job that has *deduplication_id*, None if it is free."""
    return Command(
        ("GET", keys.deduplication(deduplication_id)),
        lambda answer: None if answer is None else text(answer),
    )


def free_deduplication(keys: Keys, deduplication_id: str) -> Command[bool]:
    """Free *deduplication_id*, whichever job has it (BullMQ ``Queue.removeDeduplicationKey``)."""
    return Command(("DEL", keys.deduplication(deduplication_id)), bool, repeatable=False)


def remove_deduplication_key(keys: Keys, deduplication_id: str, job_id: str) -> Call[bool]:
    """Free *deduplication_id* if *job_id* has it (BullMQ ``Job.removeDeduplicationKey``)."""
    return Call(
        "remove_deduplication_key", (keys.deduplication(deduplication_id),), (job_id,), bool
    )
