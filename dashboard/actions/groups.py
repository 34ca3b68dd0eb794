"""Groups: one is paused and resumed, gets limits of its own, is stopped for a while, let go on."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore import Queue, audit

from .. import links
from ..confirmations import confirmed
from ..draw.values import clipped, duration_text, exact
from ..guard import guarded
from ..plans import mount_of
from ..plans.groups import (
    EMPTYING,
    empty_group_plan,
    group_limits_plan,
    pause_group_plan,
    stop_group_plan,
    stop_seconds,
)
from ..plans.limits import Limits, WrongLimits
from .base import perform


@guarded("POST")
def pause(request: HttpRequest, queue: str, group: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Stop workers from taking further jobs of one group; its running ones go on."""
    token = confirmed(request, "pause_group", alias, queue, group)
    if token is None:
        return pause_group_plan(request, alias, queue, group)

    def work(target: Queue, entry: audit.Record) -> str:
        changed = target.pause_group(group)
        entry.result(paused=changed)
        words = _("Paused the group %(group)s.") if changed else _("%(group)s was paused already.")
        return words % {"group": clipped(group)}

    return perform(
        request,
        action="pause_group",
        permissions=("pause_queue",),
        alias=alias,
        queue=queue,
        work=work,
        target=group,
        once=token.once,
    )


@guarded("POST")
def resume(
    request: HttpRequest, queue: str, group: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Let workers take jobs of a group again."""

    def work(target: Queue, entry: audit.Record) -> str:
        changed = target.resume_group(group)
        entry.result(resumed=changed)
        words = _("Resumed the group %(group)s.") if changed else _("%(group)s was not paused.")
        return words % {"group": clipped(group)}

    return perform(
        request,
        action="resume_group",
        permissions=("pause_queue",),
        alias=alias,
        queue=queue,
        work=work,
        target=group,
    )


@guarded("POST")
def limits(
    request: HttpRequest, queue: str, group: str, alias: str = links.DEFAULT
) -> HttpResponse:
    """Set the concurrency and the rate limit of one group, or take them away."""
    token = confirmed(request, "group_limits", alias, queue, group)
    if token is None:
        return group_limits_plan(request, alias, queue, group)
    try:
        wanted = Limits.parse(request.POST)
    except WrongLimits as error:
        return group_limits_plan(request, alias, queue, group, wrong=str(error))

    def work(target: Queue, entry: audit.Record) -> str:
        if wanted.concurrency is None:
            target.remove_group_concurrency(group)
        else:
            target.set_group_concurrency(group, wanted.concurrency)
        if wanted.max is None or wanted.seconds is None:
            target.remove_group_rate_limit(group)
        else:
            target.set_group_rate_limit(group, wanted.max, timedelta(seconds=wanted.seconds))
        return _("The limits of the group %(group)s are set.") % {"group": clipped(group)}

    return perform(
        request,
        action="group_limits",
        permissions=("set_limits",),
        alias=alias,
        queue=queue,
        work=work,
        target=group,
        params={"concurrency": wanted.concurrency, "max": wanted.max, "seconds": wanted.seconds},
        once=token.once,
    )


@guarded("POST")
def stop(request: HttpRequest, queue: str, group: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Let no job of a group start for a while."""
    token = confirmed(request, "stop_group", alias, queue, group)
    if token is None:
        return stop_group_plan(request, alias, queue, group)
    seconds = stop_seconds(request.POST.get("for", ""))

    def work(target: Queue, entry: audit.Record) -> str:
        target.rate_limit_group(group, seconds)
        words = {"group": clipped(group), "time": duration_text(seconds)}
        return _("The group %(group)s starts nothing for %(time)s.") % words

    return perform(
        request,
        action="stop_group",
        permissions=("set_limits",),
        alias=alias,
        queue=queue,
        work=work,
        target=group,
        params={"seconds": seconds},
        once=token.once,
    )


@guarded("POST")
def empty(request: HttpRequest, queue: str, group: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Remove all jobs of a group that do not run, once the queue's name was typed."""
    token = confirmed(request, "empty_group", alias, queue, group)
    if token is None:
        return empty_group_plan(request, alias, queue, group)
    if request.POST.get("typed", "") != queue:
        wrong = _("That is not the queue's name.")
        return empty_group_plan(request, alias, queue, group, wrong=wrong)

    def work(target: Queue, entry: audit.Record) -> str:
        count = target.delete_group(group)
        entry.result(count=count)
        words = ngettext(
            "Removed %(count)s job of the group %(group)s.",
            "Removed %(count)s jobs of the group %(group)s.",
            count,
        )
        return words % {"count": exact(count), "group": clipped(group)}

    return perform(
        request,
        action="empty_group",
        permissions=EMPTYING,
        alias=alias,
        queue=queue,
        work=work,
        target=group,
        once=token.once,
        back=links.groups_url(mount_of(request), alias, queue),
    )


@guarded("POST")
def lift(request: HttpRequest, queue: str, group: str, alias: str = links.DEFAULT) -> HttpResponse:
    """End the rate limit that holds a group back now; the next window begins at once."""

    def work(target: Queue, entry: audit.Record) -> str:
        lifted = target.remove_group_rate_limit_key(group)
        entry.result(lifted=lifted)
        words = (
            _("The group %(group)s is not held back any more.")
            if lifted
            else _("Nothing held the group %(group)s back.")
        )
        return words % {"group": clipped(group)}

    return perform(
        request,
        action="lift_group",
        permissions=("set_limits",),
        alias=alias,
        queue=queue,
        work=work,
        target=group,
    )
