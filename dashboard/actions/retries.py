"""Retries: a finished job is tried again."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore.recorded import again, keeping

from .. import links
from ..draw.values import visible
from ..guard import guarded
from .jobs import one_job, ticked_jobs


@guarded("POST")
def retry(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Put one failed or completed job back to waiting."""
    return one_job(
        request,
        action="retry",
        alias=alias,
        queue=queue,
        job_id=job,
        act=keeping if request.POST.get("keep") == "1" else again,
        said=_("Job %(id)s waits to run again.") % {"id": visible(job)},
    )


@guarded("POST")
def retry_many(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Put the ticked jobs back to waiting."""
    return ticked_jobs(
        request,
        action="retry",
        alias=alias,
        queue=queue,
        act=again,
        said=lambda count: (
            ngettext("Retried %(count)s job.", "Retried %(count)s jobs.", count) % {"count": count}
        ),
    )
