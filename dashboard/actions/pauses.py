"""Pauses: a queue is paused (after a confirmation, with a reason) and resumed."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import Queue, audit

from .. import links
from ..confirmations import confirmed
from ..draw.values import visible
from ..guard import guarded
from ..plans import pause_plan
from .base import perform


@guarded("POST")
def pause(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Stop workers from taking further jobs of the queue; running ones go on."""
    token = confirmed(request, "pause", alias, queue)
    if token is None:
        return pause_plan(request, alias, queue)

    def work(target: Queue, entry: audit.Record) -> str:
        target.pause()
        return _("Paused %(queue)s.") % {"queue": visible(queue)}

    return perform(
        request,
        action="pause",
        permissions=("pause_queue",),
        alias=alias,
        queue=queue,
        work=work,
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
