"""Limits: jobs at once and jobs in a time, for all workers of a queue; lifting one that holds."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import Queue, audit

from .. import links
from ..confirmations import confirmed
from ..draw.values import visible
from ..guard import guarded
from ..plans.limits import Limits, WrongLimits, limits_plan
from .base import perform


@guarded("POST")
def limits(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Set the global concurrency and the global rate limit, or lift them."""
    token = confirmed(request, "limits", alias, queue)
    if token is None:
        return limits_plan(request, alias, queue)
    try:
        wanted = Limits.parse(request.POST)
    except WrongLimits as error:
        return limits_plan(request, alias, queue, wrong=str(error))

    def work(target: Queue, entry: audit.Record) -> str:
        if wanted.concurrency is None:
            target.remove_global_concurrency()
        else:
            target.set_global_concurrency(wanted.concurrency)
        if wanted.max is None or wanted.seconds is None:
            target.remove_global_rate_limit()
        else:
            target.set_global_rate_limit(wanted.max, timedelta(seconds=wanted.seconds))
        return _("The limits of %(queue)s are set.") % {"queue": visible(queue)}

    return perform(
        request,
        action="limits",
        permissions=("set_limits",),
        alias=alias,
        queue=queue,
        work=work,
        params={"concurrency": wanted.concurrency, "max": wanted.max, "seconds": wanted.seconds},
        once=token.once,
    )


@guarded("POST")
def lift(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """End the rate limit that holds now; the next window begins at once."""

    def work(target: Queue, entry: audit.Record) -> str:
        target.remove_rate_limit_key()
        return _("%(queue)s is not held back any more.") % {"queue": visible(queue)}

    return perform(
        request,
        action="lift",
        permissions=("set_limits",),
        alias=alias,
        queue=queue,
        work=work,
    )
