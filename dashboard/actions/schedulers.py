"""Schedulers: run by hand, paused and resumed, changed, made, removed."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import Queue, access, audit
from queuecore.errors import SchedulerNotFound
from queuecore.timetable import Timetable

from .. import links
from ..confirmations import confirmed
from ..draw.values import visible
from ..guard import came_from, guarded, mount
from ..pages.schedulers import edit_form, new_form
from ..plans.schedulers import scheduler_pause_plan, scheduler_removal_plan
from ..schedule_form import NewSchedulerForm, ScheduleForm, given
from .base import Work, perform

_NEEDS = ("manage_schedulers",)


@guarded("POST")
def run(
    request: HttpRequest, queue: str, scheduler: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Add one run now; the schedule stays as it is."""

    def work(target: Queue, entry: audit.Record) -> str:
        job = target.run_job_scheduler(scheduler)
        entry.result(job=job.id)
        return _("Job %(job)s of %(id)s waits to run.") % {"job": job.id, "id": visible(scheduler)}

    return _act(request, "run_scheduler", alias, queue, scheduler, work)


@guarded("POST")
def pause(
    request: HttpRequest, queue: str, scheduler: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Let it make no runs, after a confirmation."""
    token = confirmed(request, "pause_scheduler", alias, queue, scheduler)
    if token is None:
        return scheduler_pause_plan(request, alias, queue, scheduler)

    def work(target: Queue, entry: audit.Record) -> str:
        if not target.pause_job_scheduler(scheduler):
            raise SchedulerNotFound(f"there is no scheduler {scheduler!r} of queue {queue!r}")
        return _("Paused scheduler %(id)s.") % {"id": visible(scheduler)}

    return _act(request, "pause_scheduler", alias, queue, scheduler, work, once=token.once)


@guarded("POST")
def resume(
    request: HttpRequest, queue: str, scheduler: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Let it go on with its next run after now."""

    def work(target: Queue, entry: audit.Record) -> str:
        job = target.resume_job_scheduler(scheduler)
        entry.result(job=job.id)
        return _("Resumed scheduler %(id)s.") % {"id": visible(scheduler)}

    return _act(request, "resume_scheduler", alias, queue, scheduler, work)


@guarded("POST")
def remove(
    request: HttpRequest, queue: str, scheduler: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Remove it with its next run, after a confirmation."""
    token = confirmed(request, "remove_scheduler", alias, queue, scheduler)
    if token is None:
        return scheduler_removal_plan(request, alias, queue, scheduler)
    back = came_from(request)
    if back.startswith(links.scheduler_url(mount(), alias, queue, scheduler)):
        back = f"{mount()}schedulers/"  # the page it came from is about to be gone

    def work(target: Queue, entry: audit.Record) -> str:
        if not target.remove_job_scheduler(scheduler):
            raise SchedulerNotFound(f"there is no scheduler {scheduler!r} of queue {queue!r}")
        return _("Removed scheduler %(id)s.") % {"id": visible(scheduler)}

    return _act(
        request, "remove_scheduler", alias, queue, scheduler, work, once=token.once, back=back
    )


@guarded("POST")
def change(
    request: HttpRequest, queue: str, scheduler: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Change when it runs; what it runs stays."""
    form = ScheduleForm(request.POST)

    def work(target: Queue, entry: audit.Record) -> str:
        job = target.change_job_scheduler(scheduler, **form.timing, by=_who(request))
        entry.result(job=job.id)
        return _("Changed scheduler %(id)s.") % {"id": visible(scheduler)}

    url = links.scheduler_url(mount(), alias, queue, scheduler)
    if _may(request, alias, queue) and (not form.is_valid() or "preview" in request.POST):
        return edit_form(request, alias, queue, scheduler, form, given(request.POST))
    return _act(
        request,
        "change_scheduler",
        alias,
        queue,
        scheduler,
        work,
        params=_params(form),
        back=url,
    )


@guarded("POST")
def create(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Make a scheduler; one that is there is not touched."""
    form = NewSchedulerForm(request.POST)
    id = request.POST.get("id", "").strip()[:200]
    if _may(request, alias, queue):
        if form.is_valid() and _exists(alias, queue, id):
            form.add_error("id", _("There is a scheduler of this id in this queue."))
        if not form.is_valid() or "preview" in request.POST:
            return new_form(request, alias, queue, form, given(request.POST))

    def work(target: Queue, entry: audit.Record) -> str:
        job = target.upsert_job_scheduler(
            id,
            **form.timing,
            name=form.cleaned_data["name"] or None,
            data=form.cleaned_data["payload"],
            opts=form.opts,  # type: ignore[arg-type]
            by=_who(request),
        )
        entry.result(job=job.id)
        return _("Made scheduler %(id)s.") % {"id": visible(id)}

    return _act(
        request,
        "create_scheduler",
        alias,
        queue,
        id,
        work,
        params=_params(form),
        back=links.scheduler_url(mount(), alias, queue, id),
    )


def _may(request: HttpRequest, alias: str, queue: str) -> bool:
    """Whether to answer with a form at all: a refusal is recorded by the action itself."""
    return access.can(request.user, "manage_schedulers", alias, queue)


def _who(request: HttpRequest) -> str:
    return str(request.user.get_username())[:200]


def _exists(alias: str, queue: str, id: str) -> bool:
    return Timetable(alias).timings([(queue, id)]) != [None]


def _params(form: ScheduleForm) -> dict[str, object]:
    """What was asked for, for the record."""
    if not form.is_valid():
        return {}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in form.timing.items()
        if value is not None
    }


def _act(
    request: HttpRequest,
    action: str,
    alias: str,
    queue: str,
    scheduler: str,
    work: Work,
    *,
    params: dict[str, object] | None = None,
    once: str | None = None,
    back: str = "",
) -> HttpResponse:
    return perform(
        request,
        action=action,
        permissions=_NEEDS,
        alias=alias,
        queue=queue,
        work=work,
        target=scheduler,
        params=params,
        once=once,
        back=back,
    )
