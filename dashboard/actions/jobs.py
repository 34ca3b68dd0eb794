"""What retries, promotions and removals share: one job, or the ticked ones of a list."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import Job, Queue, audit
from queuecore.errors import JobNotFound, QueueCoreError, ServerUnavailable

from ..confirmations import confirmed
from ..plans import TICKED, many_plan, snapshot_of, ticked
from .base import answer, explain, perform

One = Callable[[Job], Any]


def one_job(
    request: HttpRequest,
    *,
    action: str,
    alias: str,
    queue: str,
    job_id: str,
    act: One,
    said: str,
    once: str | None = None,
    back: str = "",
) -> HttpResponse:
    """Do *act* to one job; *said* is the message when it worked."""

    def work(target: Queue, entry: audit.Record) -> str:
        job = target.get_job(job_id)
        if job is None:
            raise JobNotFound(f"There is no job {job_id!r} in {queue!r}.")
        entry.result(name=job.name)
        act(job)
        return said

    return perform(
        request,
        action=action,
        permissions=(action,),
        alias=alias,
        queue=queue,
        work=work,
        target=job_id,
        once=once,
        back=back,
    )


def ticked_jobs(
    request: HttpRequest,
    *,
    action: str,
    alias: str,
    queue: str,
    act: One,
    said: Callable[[int], str],
) -> HttpResponse:
    """Do *act* to each ticked job, after a confirmation that named their number."""
    snapshot_of(alias, queue)
    ids = ticked(request)
    if not ids:
        return answer(request, "error", _("No job was ticked."))
    if len(ids) > TICKED:
        return answer(request, "error", _("Tick at most %(count)s jobs.") % {"count": TICKED})
    token = confirmed(request, f"{action}-many", alias, queue, json.dumps(ids))
    if token is None:
        return many_plan(request, action, alias, queue, ids)

    def work(target: Queue, entry: audit.Record) -> str:
        done, refused = 0, {}
        try:
            for job_id in ids:
                try:
                    job = target.get_job(job_id)
                    if job is None:
                        raise JobNotFound(job_id)
                    act(job)
                    done += 1
                except ServerUnavailable:
                    raise
                except QueueCoreError as error:
                    refused[job_id] = explain(error)
        finally:
            entry.result(count=done, refused=refused)
        text = said(done)
        if refused:
            reasons = sorted(set(refused.values()))
            text += " " + _("%(count)s not: %(why)s") % {
                "count": len(refused),
                "why": " ".join(reasons),
            }
        return text

    return perform(
        request,
        action=action,
        permissions=(action, "bulk"),
        alias=alias,
        queue=queue,
        work=work,
        target=json.dumps(ids, ensure_ascii=False),
        params={"count": len(ids)},
        once=token.once,
    )
