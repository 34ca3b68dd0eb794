"""Confirmations by address: what a link asks for is shown and counted, and nothing is done."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from .. import links, plans
from ..guard import guarded
from ..plans.limits import limits_plan


@guarded("GET")
def pause(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask whether to pause a queue."""
    return plans.pause_plan(request, alias, queue)


@guarded("GET")
def resume(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask whether to resume a queue."""
    return plans.resume_plan(request, alias, queue)


@guarded("GET")
def limits(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask for the limits of a queue."""
    return limits_plan(request, alias, queue)


@guarded("GET")
def clean(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Choose what to clean, and see how many jobs that are."""
    return plans.cleaning_plan(request, alias, queue, plans.Cleaning.parse(request.GET))


@guarded("GET")
def remove(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Ask whether to remove a job."""
    return plans.removal_plan(request, alias, queue, job)
