"""Promotions: a delayed job may run now."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import Job

from .. import links
from ..draw.values import visible
from ..guard import guarded
from .jobs import one_job, ticked_jobs


@guarded("POST")
def promote(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Let one delayed job run as soon as a worker is free."""
    return one_job(
        request,
        action="promote",
        alias=alias,
        queue=queue,
        job_id=job,
        act=Job.promote,
        said=_("Job %(id)s may run now.") % {"id": visible(job)},
    )


@guarded("POST")
def promote_many(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Let the ticked jobs run as soon as a worker is free."""
    return ticked_jobs(
        request,
        action="promote",
        alias=alias,
        queue=queue,
        act=Job.promote,
        said=lambda count: (
            ngettext("Promoted %(count)s job.", "Promoted %(count)s jobs.", count)
            % {"count": count}
        ),
    )
