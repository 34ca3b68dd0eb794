"""Recorded: what people do to queues, with their permission and on record.

For page, admin and command line alike: the same permissions are asked for and the same rows are
written, whoever asks. Many jobs at once are the business of :mod:`queuecore.operations`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import access, audit
from .errors import JobNotFound, QueueCoreError, ServerUnavailable
from .family import queues_below
from .fleet import Fleet, FleetProcess, FleetWorker, Sent
from .job import Job
from .queue import Queue

#: A job, and what is done to it.
Act = Callable[[Job], Any]


def again(job: Job) -> None:
    """Retry a job out of the finished state in which it is, with all of its attempts."""
    job.retry(_finished(job), reset_attempts_made=True, reset_attempts_started=True)


def keeping(job: Job) -> None:
    """Retry a job, the attempts it has made counted on: it may run once more before it fails."""
    job.retry(_finished(job))


def _finished(job: Job) -> str:
    return "completed" if job.get_state() == "completed" else "failed"


#: What is done to one job; each asks for the permission of its name.
ACTS: Mapping[str, Act] = {"retry": again, "promote": Job.promote, "remove": Job.remove}
#: What workers can be told.
ORDERS: Mapping[str, Callable[..., Sent]] = {
    "pause": Fleet.pause,
    "resume": Fleet.resume,
    "drain": Fleet.drain,
}


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, and why.

    ``actor``: a Django user, whose permissions are asked for, or a text such as ``"command line:
    root"``. ``once``: a key under which it happens one time only (:func:`queuecore.audit.record`).
    """

    actor: Any
    reason: str = ""
    ip: str = ""
    once: str | None = None

    @property
    def name(self) -> str:
        """How the actor is called, for notes that are kept with a queue."""
        named = isinstance(self.actor, str)
        return str(self.actor if named else self.actor.get_username())[:200]


class ChildrenOutOfReach(QueueCoreError):
    """Children would go with a job, from queues in which its remover may remove nothing."""


def may_remove_below(actor: Any, alias: str, queue: str, job_id: str) -> bool:
    """Whether all queues in which a job has children, and these theirs, allow removing.

    Not where there are more children than are looked through, unless all queues are allowed.
    """
    if isinstance(actor, str):
        return True
    if access.scope(actor).patterns is None:
        return access.can(actor, "remove")
    below = queues_below(alias, queue, job_id)
    return below is not None and all(
        access.can(actor, "remove", where, name) for where, name in below
    )


def removing(actor: Any) -> Act:
    """Remove a job with its children, unless those are out of *actor*'s reach."""

    def act(job: Job) -> None:
        if not may_remove_below(actor, job.queue.alias, job.queue.name, job.id):
            raise ChildrenOutOfReach("children, which go with it, stand in queues out of reach")
        job.remove()

    return act


@dataclass(slots=True)
class Outcome:
    """What came of an action on several jobs: how many it was done to, and why not to others."""

    done: int = 0
    refused: dict[str, QueueCoreError] = field(default_factory=dict)


@contextmanager
def recorded(
    by: By,
    action: str,
    permissions: Sequence[str] = (),
    *,
    alias: str = "",
    queue: str = "",
    target: str = "",
    params: Mapping[str, Any] | None = None,
) -> Iterator[audit.Record]:
    """Record what the block does, once *permissions* are found to be there.

    Raises:
        PermissionDenied: recorded as denied.
        AlreadyDone, InTransaction: nothing was done.
    """
    with audit.record(
        actor=by.actor,
        ip=by.ip,
        action=action,
        alias=alias,
        queue=queue,
        target=target,
        params=params,
        reason=by.reason,
        once=by.once,
    ) as entry:
        if not isinstance(by.actor, str):
            for permission in permissions:
                access.require(by.actor, permission, alias, queue or None)
        yield entry


def pause(alias: str, queue: str, by: By, until: datetime | None = None) -> None:
    """Pause a queue, with the reason as a note, *until* then or somebody resumes it."""
    params = {"until": until.isoformat()} if until else None
    with recorded(by, "pause", ("pause_queue",), alias=alias, queue=queue, params=params):
        reason = by.reason[:500]
        Queue.existing(queue, alias).pause(reason=reason, by=by.name, resume_at=until)


def resume(alias: str, queue: str, by: By) -> None:
    """Let a queue go on."""
    with recorded(by, "resume", ("pause_queue",), alias=alias, queue=queue):
        Queue.existing(queue, alias).resume()


def jobs(
    action: str, alias: str, queue: str, ids: Sequence[str], by: By, act: Act | None = None
) -> Outcome:
    """Do *action*, one of :data:`ACTS`, to jobs by their ids; on record as one thing.

    What one of them refuses keeps none of the others from it.

    Args:
        act: how it is done, where that is not plain.

    Raises:
        PermissionDenied: recorded as denied; of several jobs, ``bulk`` is asked for as well.
        ServerUnavailable: recorded with what was done until then.
    """
    act = act or (removing(by.actor) if action == "remove" else ACTS[action])
    ids = list(dict.fromkeys(ids))
    one = len(ids) == 1
    outcome = Outcome()
    with recorded(
        by,
        action,
        (action,) if one else (action, "bulk"),
        alias=alias,
        queue=queue,
        target=ids[0] if one else json.dumps(ids, ensure_ascii=False),
        params=None if one else {"count": len(ids)},
    ) as entry:
        target = Queue.existing(queue, alias)
        try:
            for job_id in ids:
                try:
                    job = target.get_job(job_id)
                    if job is None:
                        raise JobNotFound(f"there is no job {job_id!r} in {queue!r}")
                    if one:
                        entry.result(name=job.name)
                    act(job)
                    outcome.done += 1
                except ServerUnavailable:
                    raise
                except QueueCoreError as error:
                    outcome.refused[job_id] = error
        finally:
            if one and outcome.refused:
                why = outcome.refused[ids[0]]
                entry.fail(f"{type(why).__name__}: {why}")
            elif not one:
                refused = {job_id: str(error) for job_id, error in outcome.refused.items()}
                entry.result(count=outcome.done, refused=refused)
    return outcome


def order(
    verb: str, alias: str, queue: str, workers: Sequence[tuple[FleetProcess, FleetWorker]], by: By
) -> Sent:
    """Tell *workers* of one queue to ``pause``, ``resume`` or ``drain`` (and end)."""
    ids = [worker.id for _, worker in workers]
    described = [
        {"id": worker.id, "host": process.host, "pid": process.pid} for process, worker in workers
    ]
    with recorded(
        by,
        f"{verb}_worker",
        ("manage_workers",),
        alias=alias,
        queue=queue,
        target=ids[0] if len(ids) == 1 else "",
        params={"workers": described},
    ) as entry:
        sent = ORDERS[verb](Fleet(alias), *ids)
        entry.result(count=len(sent.workers), missing=list(sent.missing))
    return sent
