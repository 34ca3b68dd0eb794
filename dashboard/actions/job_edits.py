"""Edits: one job gets another priority, delay or payload, a note, a twin, a free id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import Job, Queue, audit
from queuecore.errors import JobNotFound
from queuecore.recipe import options_of

from .. import links, payload_form
from ..confirmations import Confirmed, confirmed
from ..draw.values import figures, visible
from ..guard import guarded, mount
from ..plans import job_edits as plans
from .base import perform

_LONGEST_NOTE = 1_000


@guarded("POST")
def priority(
    request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Give a job another priority, and its place if it waits."""
    token = confirmed(request, "priority", alias, queue, job)
    if token is None:
        return plans.priority_plan(request, alias, queue, job)
    lifo = request.POST.get("lifo") == "1"
    try:
        value = plans.whole(
            request.POST.get("priority", ""), 0, plans.MOST_PRIORITY, _("The priority")
        )
    except plans.WrongValue as error:
        return plans.priority_plan(request, alias, queue, job, str(error))
    return _change(
        request,
        "priority",
        alias,
        queue,
        job,
        token,
        act=lambda one: one.change_priority(value, lifo),
        said=_("Job %(id)s has priority %(priority)s.") % {"id": visible(job), "priority": value},
        params={"priority": value, "lifo": lifo},
    )


@guarded("POST")
def delay(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Let a delayed job be due so many seconds from now."""
    token = confirmed(request, "delay", alias, queue, job)
    if token is None:
        return plans.delay_plan(request, alias, queue, job)
    try:
        value = plans.seconds(request.POST.get("delay", ""))
    except plans.WrongValue as error:
        return plans.delay_plan(request, alias, queue, job, str(error))
    return _change(
        request,
        "delay",
        alias,
        queue,
        job,
        token,
        act=lambda one: one.change_delay(value),
        said=_("Job %(id)s is due in %(seconds)s s.")
        % {"id": visible(job), "seconds": figures(f"{value:g}")},
        params={"seconds": value},
    )


@guarded("POST")
def note(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Add a line to a job's log, with the name of who wrote it."""
    token = confirmed(request, "note", alias, queue, job)
    if token is None:
        return plans.note_plan(request, alias, queue, job)
    text = " ".join(request.POST.get("note", "").split())[:_LONGEST_NOTE]
    if not text:
        return plans.note_plan(request, alias, queue, job, _("Write what is to be noted."))
    line = f"[{request.user.get_username()}] {text}"
    return _change(
        request,
        "note",
        alias,
        queue,
        job,
        token,
        act=lambda one: one.log(line),
        said=_("The note is in the log of job %(id)s.") % {"id": visible(job)},
        params={},
    )


@guarded("POST")
def data(request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Replace a job's payload, if it is still the one that the form was made from."""
    token = confirmed(request, "data", alias, queue, job)
    if token is None:
        return plans.data_plan(request, alias, queue, job)
    found, text, _why = plans.original(alias, queue, job)
    if text is None or found is None or found.data_digest != token.facts.get("digest"):
        words = _("The data has changed since this form was made. Here is what the job holds now.")
        request.POST = request.POST.copy()
        request.POST.pop("data", None)
        return plans.data_plan(request, alias, queue, job, words)
    try:
        value = payload_form.read(request.POST.get("data", ""), text)
        payload_form.check(value, alias, queue, found.name)
    except payload_form.WrongPayload as error:
        return plans.data_plan(request, alias, queue, job, str(error), token.facts)

    def act(one: Job) -> None:
        found.update_data(value, unchanged=True)

    return _change(
        request,
        "data",
        alias,
        queue,
        job,
        token,
        act=act,
        said=_("The data of job %(id)s is saved.") % {"id": visible(job)},
        params={},
        permissions=("edit_job", "view_payload"),
    )


@guarded("POST")
def release_key(
    request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Free the deduplication id that a job holds, so that the next add under it adds a job."""

    def act(one: Job) -> None:
        held.append(one.remove_deduplication_key())

    held: list[bool] = []
    return _change(
        request,
        "release_key",
        alias,
        queue,
        job,
        None,
        act=act,
        said=lambda: (
            _("The deduplication id of job %(id)s is free.") % {"id": visible(job)}
            if held and held[0]
            else _("Job %(id)s holds no deduplication id.") % {"id": visible(job)}
        ),
        params={},
    )


@guarded("POST")
def duplicate(
    request: HttpRequest, queue: str, job: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Add a job like this one, with the changes that were typed."""
    token = confirmed(request, "duplicate", alias, queue, job)
    if token is None:
        return plans.duplicate_plan(request, alias, queue, job)
    found, text, why = plans.original(alias, queue, job)
    if found is None or text is None:
        return plans.duplicate_plan(request, alias, queue, job, why)
    typed = request.POST
    name = typed.get("name", "").strip()[:1_000]
    try:
        value = payload_form.read(typed.get("data", ""), text)
        payload_form.check(value, alias, queue, name)
        options: dict[str, Any] = {
            **options_of(found.opts),
            "delay": plans.seconds(typed.get("delay", "")),
            "priority": plans.whole(
                typed.get("priority", ""), 0, plans.MOST_PRIORITY, _("The priority")
            ),
            "attempts": plans.whole(
                typed.get("attempts", ""), 1, plans.MOST_ATTEMPTS, _("The attempts")
            ),
        }
    except (payload_form.WrongPayload, plans.WrongValue) as error:
        return plans.duplicate_plan(request, alias, queue, job, str(error))
    if not name:
        return plans.duplicate_plan(request, alias, queue, job, _("The job needs a name."))
    made: list[str] = []

    def work(target: Queue, entry: audit.Record) -> str:
        new = target.add(name, value, **options)
        made.append(new.id)
        entry.result(job=new.id, name=name)
        return _("Added job %(id)s.") % {"id": visible(new.id)}

    response = perform(
        request,
        action="duplicate",
        permissions=("add_job", "view_payload"),
        alias=alias,
        queue=queue,
        work=work,
        target=job,
        params={name: options[name] for name in ("delay", "priority", "attempts")},
        once=token.once,
    )
    if made:
        response["Location"] = links.job_url(mount(), alias, queue, made[0])
    return response


def _change(
    request: HttpRequest,
    action: str,
    alias: str,
    queue: str,
    job_id: str,
    token: Confirmed | None,
    *,
    act: Callable[[Job], Any],
    said: str | Callable[[], str],
    params: dict[str, Any],
    permissions: tuple[str, ...] = ("edit_job",),
) -> HttpResponse:
    def work(target: Queue, entry: audit.Record) -> str:
        job = target.get_job(job_id)
        if job is None:
            raise JobNotFound(f"There is no job {job_id!r} in {queue!r}.")
        entry.result(name=job.name)
        act(job)
        return said if isinstance(said, str) else said()

    return perform(
        request,
        action=action,
        permissions=permissions,
        alias=alias,
        queue=queue,
        work=work,
        target=job_id,
        params=params,
        once=token.once if token else None,
    )
