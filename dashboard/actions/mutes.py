"""Mutes: a line of "Needs attention" is folded away for a while, and shown again."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import Queue, audit
from queuecore.mutes import Mutes

from .. import health, links
from ..confirmations import confirmed
from ..draw.values import visible
from ..guard import guarded
from ..plans.attention import mute_plan, mute_seconds, subject, trouble
from .base import perform, reason_of


@guarded("POST")
def mute(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Fold a line away for everybody."""
    kind, target = subject(request.POST)
    token = confirmed(request, "mute", alias, queue, f"{kind}:{target}")
    if token is None:
        return mute_plan(request, alias, queue, kind, target)
    seconds = mute_seconds(request.POST.get("for", ""))

    def work(owner: Queue, entry: audit.Record) -> str:
        by = request.user.get_username()
        Mutes(alias).put(
            kind, queue, target, by=by, reason=reason_of(request), seconds=seconds or None
        )
        words = _("Muted “%(trouble)s” of %(queue)s.")
        return words % {"trouble": trouble(kind, target), "queue": visible(queue)}

    return perform(
        request,
        action="mute",
        permissions=(health.permission_of(kind),),
        alias=alias,
        queue=queue,
        work=work,
        target=target,
        params={"trouble": kind, "seconds": seconds},
        once=token.once,
    )


@guarded("POST")
def unmute(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Show a line again."""
    kind, target = subject(request.POST)

    def work(owner: Queue, entry: audit.Record) -> str:
        if not Mutes(alias).lift([(kind, queue, target)]):
            return _("It was not muted any more.")
        words = _("“%(trouble)s” of %(queue)s is shown again.")
        return words % {"trouble": trouble(kind, target), "queue": visible(queue)}

    return perform(
        request,
        action="unmute",
        permissions=(health.permission_of(kind),),
        alias=alias,
        queue=queue,
        work=work,
        target=target,
        params={"trouble": kind},
    )
