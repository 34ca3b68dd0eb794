"""Cancellations: jobs that run are ended, wherever their workers are, as far as that can be."""

from __future__ import annotations

import json

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import Queue, audit
from queuecore.errors import JobNotFound, QueueCoreError

from .. import links
from ..confirmations import confirmed
from ..draw.values import visible
from ..guard import guarded
from ..plans import TICKED, snapshot_of, ticked
from ..plans.cancelling import cancel_many_plan, cancel_plan
from .base import answer, perform, reason_of


class NobodyTold(QueueCoreError):
    """There is no worker that hears it."""


@guarded("POST")
def cancel(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Tell the worker of one job to end it, after a confirmation."""
    token = confirmed(request, "cancel", alias, queue, job)
    if token is None:
        return cancel_plan(request, alias, queue, job)

    def work(target: Queue, entry: audit.Record) -> str:
        found = target.get_job(job)
        if found is None:
            raise JobNotFound(job)
        entry.result(name=found.name)
        if not target.cancel_job(job, _reason(request), _who(request)):
            raise NobodyTold(
                _("Nobody was told: no worker runs the job now, or none that hears it.")
            )
        return _("Asked the worker to cancel job %(id)s.") % {"id": visible(job)}

    return perform(
        request,
        action="cancel",
        permissions=("cancel",),
        alias=alias,
        queue=queue,
        work=work,
        target=job,
        once=token.once,
    )


@guarded("POST")
def cancel_many(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Tell the workers of the ticked jobs to end them."""
    snapshot_of(alias, queue)
    ids = ticked(request)
    if not ids:
        return answer(request, "error", _("No job was ticked."))
    if len(ids) > TICKED:
        return answer(request, "error", _("Tick at most %(count)s jobs.") % {"count": TICKED})
    token = confirmed(request, "cancel-many", alias, queue, json.dumps(ids))
    if token is None:
        return cancel_many_plan(request, alias, queue, ids)

    def work(target: Queue, entry: audit.Record) -> str:
        told = target.cancel_jobs(ids, _reason(request), _who(request))
        missing = [one for one in ids if one not in told]
        entry.result(count=len(told), missing=missing)
        words = ngettext(
            "Asked for the end of %(count)s job.", "Asked for the end of %(count)s jobs.", len(told)
        ) % {"count": len(told)}
        if missing:
            words += " " + ngettext(
                "%(count)s does not run any more, or hears nothing.",
                "%(count)s do not run any more, or hear nothing.",
                len(missing),
            ) % {"count": len(missing)}
        return words

    return perform(
        request,
        action="cancel",
        permissions=("cancel", "bulk"),
        alias=alias,
        queue=queue,
        work=work,
        target=json.dumps(ids, ensure_ascii=False),
        params={"count": len(ids)},
        once=token.once,
    )


def _who(request: HttpRequest) -> str:
    return str(request.user.get_username())[:500]


def _reason(request: HttpRequest) -> str:
    """What the job fails with: data, and so in no language of a reader's."""
    return reason_of(request) or f"cancelled by {_who(request)}"[:500]
