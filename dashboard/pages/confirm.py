"""Confirmations by address: what a link asks for is shown and counted, and nothing is done."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from .. import links, plans
from ..guard import guarded
from ..plans import attention, groups, job_edits
from ..plans.cancelling import cancel_plan
from ..plans.limits import limits_plan
from ..plans.named_limits import named_limit_plan


@guarded("GET")
def pause(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask whether to pause a queue."""
    return plans.pause_plan(request, alias, queue)


@guarded("GET")
def resume(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask whether to resume a queue."""
    return plans.resume_plan(request, alias, queue)


@guarded("GET")
def mute(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask for how long a line of "Needs attention" shall be muted."""
    return attention.mute_plan(request, alias, queue, *attention.subject(request.GET))


@guarded("GET")
def unmute(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask whether such a line shall be seen again."""
    return attention.unmute_plan(request, alias, queue, *attention.subject(request.GET))


@guarded("GET")
def run_scheduler(
    request: HttpRequest, queue: str, scheduler: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Ask whether a scheduler shall run now."""
    return attention.run_plan(request, alias, queue, scheduler)


@guarded("GET")
def limits(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask for the limits of a queue."""
    return limits_plan(request, alias, queue)


@guarded("GET")
def pause_group(
    request: HttpRequest, queue: str, group: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Ask whether to pause a group."""
    return groups.pause_group_plan(request, alias, queue, group)


@guarded("GET")
def group_limits(
    request: HttpRequest, queue: str, group: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Ask for the limits of a group."""
    return groups.group_limits_plan(request, alias, queue, group)


@guarded("GET")
def stop_group(
    request: HttpRequest, queue: str, group: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Ask for how long a group shall start nothing."""
    return groups.stop_group_plan(request, alias, queue, group)


@guarded("GET")
def empty_group(
    request: HttpRequest, queue: str, group: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Ask whether to remove all jobs of a group that do not run."""
    return groups.empty_group_plan(request, alias, queue, group)


@guarded("GET")
def named_limit(
    request: HttpRequest, queue: str, limit: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Ask for what a limit that several queues share shall allow."""
    return named_limit_plan(request, alias, queue, limit)


@guarded("GET")
def clean(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Choose what to clean, and see how many jobs that are."""
    return plans.cleaning_plan(request, alias, queue, plans.Cleaning.parse(request.GET))


@guarded("GET")
def remove(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask whether to remove a job."""
    return plans.removal_plan(request, alias, queue, job)


@guarded("GET")
def cancel(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask whether to cancel a job that runs."""
    return cancel_plan(request, alias, queue, job)


@guarded("GET")
def priority(
    request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Ask for another priority for a job."""
    return job_edits.priority_plan(request, alias, queue, job)


@guarded("GET")
def delay(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask for another delay of a job."""
    return job_edits.delay_plan(request, alias, queue, job)


@guarded("GET")
def note(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask for a line for the log of a job."""
    return job_edits.note_plan(request, alias, queue, job)


@guarded("GET")
def data(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask for another payload of a job."""
    return job_edits.data_plan(request, alias, queue, job)


@guarded("GET")
def duplicate(
    request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Ask for what a job like another one shall have."""
    return job_edits.duplicate_plan(request, alias, queue, job)
