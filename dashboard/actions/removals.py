"""Removals: a job is deleted with all that is stored about it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import Job

from .. import links
from ..confirmations import confirmed
from ..draw.values import visible
from ..guard import came_from, guarded, mount
from ..plans import removal_plan
from .jobs import one_job, ticked_jobs


@guarded("POST")
def remove(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Delete one job, after a confirmation."""
    token = confirmed(request, "remove", alias, queue, job)
    if token is None:
        return removal_plan(request, alias, queue, job)
    back = came_from(request)
    if back.startswith(links.job_url(mount(), alias, queue, job)):
        back = links.jobs_url(mount(), alias, queue)  # the page it came from is about to be gone
    return one_job(
        request,
        action="remove",
        alias=alias,
        queue=queue,
        job_id=job,
        act=Job.remove,
        said=_("Removed job %(id)s.") % {"id": visible(job)},
        once=token.once,
        back=back,
    )


@guarded("POST")
def remove_many(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Delete the ticked jobs."""
    return ticked_jobs(
        request,
        action="remove",
        alias=alias,
        queue=queue,
        act=Job.remove,
        said=lambda count: (
            ngettext("Removed %(count)s job.", "Removed %(count)s jobs.", count) % {"count": count}
        ),
    )
