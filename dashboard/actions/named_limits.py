"""Named limits: what several queues may do together is set by hand, or left to the settings."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import Limit, Queue, audit

from .. import links
from ..confirmations import confirmed
from ..draw.values import clipped
from ..guard import guarded
from ..plans.limits import Limits, WrongLimits
from ..plans.named_limits import SETTINGS, limit_of, named_limit_plan, require_all, wanted_of
from .base import perform


@guarded("POST")
def named_limit(
    request: HttpRequest, queue: str, limit: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Set what a named limit allows, or let the settings say so again."""
    token = confirmed(request, "named_limit", alias, queue, limit)
    if token is None:
        return named_limit_plan(request, alias, queue, limit)
    from_settings = request.POST.get("counts") == SETTINGS
    try:
        wanted = Limits() if from_settings else Limits.parse(request.POST)
    except WrongLimits as error:
        return named_limit_plan(request, alias, queue, limit, wrong=str(error))

    def work(target: Queue, entry: audit.Record) -> str:
        known = limit_of(alias, queue, limit)
        require_all(request, alias, known)
        names = {"name": clipped(limit)}
        if from_settings:
            changed = Limit(limit, alias).reset()
            entry.result(changed=changed)
            return _("The settings say what the limit %(name)s allows.") % names
        _set(Limit(limit, alias), wanted_of(known), wanted)
        return _("The limit %(name)s is set, for all of its queues.") % names

    params = (
        {"counts": SETTINGS}
        if from_settings
        else {"concurrency": wanted.concurrency, "max": wanted.max, "seconds": wanted.seconds}
    )
    return perform(
        request,
        action="named_limit",
        permissions=("set_limits",),
        alias=alias,
        queue=queue,
        work=work,
        target=limit,
        params=params,
        once=token.once,
    )


def _set(limit: Limit, before: Limits, wanted: Limits) -> None:
    """Set what differs: the rest goes on to be what the settings say."""
    if wanted.concurrency != before.concurrency:
        if wanted.concurrency is None:
            limit.remove_concurrency()
        else:
            limit.set_concurrency(wanted.concurrency)
    if (wanted.max, wanted.seconds) != (before.max, before.seconds):
        if wanted.max is None or wanted.seconds is None:
            limit.remove_rate_limit()
        else:
            limit.set_rate_limit(wanted.max, timedelta(seconds=wanted.seconds))
