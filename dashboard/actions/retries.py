"""Retries: a finished job is tried again."""

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


def keeping(job: Job) -> None:
    """Retry a job, the attempts it has made counted on: it may run once more before it fails."""
    job.retry("completed" if job.get_state() == "completed" else "failed")


def again(job: Job) -> None:
    """Retry a job out of the finished state in which it is, with all of its attempts."""
    state = "completed" if job.get_state() == "completed" else "failed"
    job.retry(state, reset_attempts_made=True, reset_attempts_started=True)
