"""Pauses: a queue is paused (after a confirmation, with a reason) and resumed."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from queuecore import Queue, audit

from .. import links
from ..confirmations import confirmed
from ..draw.values import visible
from ..guard import guarded
from ..plans import pause_plan, pause_seconds
from .base import perform, reason_of


@guarded("POST")
def pause(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Stop workers from taking further jobs of the queue; running ones go on."""
    token = confirmed(request, "pause", alias, queue)
    if token is None:
        return pause_plan(request, alias, queue)

    seconds = pause_seconds(request.POST.get("for", ""))
    until = timezone.now() + timedelta(seconds=seconds) if seconds else None

    def work(target: Queue, entry: audit.Record) -> str:
        by = request.user.get_username()[:500]
        target.pause(reason=reason_of(request), by=by, resume_at=until)
        return _("Paused %(queue)s.") % {"queue": visible(queue)}

    return perform(
        request,
        action="pause",
        permissions=("pause_queue",),
        alias=alias,
        queue=queue,
        work=work,
        params={"until": until.isoformat()} if until else None,
        once=token.once,
    )


@guarded("POST")
def resume(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Let workers take jobs of the queue again."""

    def work(target: Queue, entry: audit.Record) -> str:
        target.resume()
        return _("Resumed %(queue)s.") % {"queue": visible(queue)}

    return perform(
        request,
        action="resume",
        permissions=("pause_queue",),
        alias=alias,
        queue=queue,
        work=work,
    )
