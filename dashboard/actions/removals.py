"""Removals: a job is deleted with all that is stored about it."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import Job
from queuecore.recorded import ChildrenOutOfReach

from .. import links
from ..confirmations import confirmed
from ..draw.values import visible
from ..guard import came_from, guarded, mount
from ..plans import removal_plan
from ..plans.jobs import may_remove_below
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
    children = request.POST.get("children", "1") != "0"

    def act(one: Job) -> None:
        if children:
            require_below(request, alias, queue, one.id)
        one.remove(remove_children=children)

    return one_job(
        request,
        action="remove",
        alias=alias,
        queue=queue,
        job_id=job,
        act=act,
        said=_("Removed job %(id)s.") % {"id": visible(job)},
        once=token.once,
        back=back,
    )


@guarded("POST")
def remove_many(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Delete the ticked jobs."""

    def act(one: Job) -> None:
        require_below(request, alias, queue, one.id)
        one.remove()

    return ticked_jobs(
        request,
        action="remove",
        alias=alias,
        queue=queue,
        act=act,
        said=lambda count: (
            ngettext("Removed %(count)s job.", "Removed %(count)s jobs.", count) % {"count": count}
        ),
    )


def require_below(request: HttpRequest, alias: str, queue: str, job_id: str) -> None:
    """Refuse to remove a job whose children stand where its remover may not remove.

    Raises:
        ChildrenOutOfReach: they would go with it.
    """
    if not may_remove_below(request, alias, queue, job_id):
        raise ChildrenOutOfReach(
            _("Children of the job, which go with it, stand in queues in which you remove nothing.")
        )
