"""Cleanings: the oldest jobs of one state are removed, at most so many, none younger than shown."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import ngettext

from queuecore import Queue, audit

from .. import links
from ..confirmations import confirmed
from ..draw.values import exact
from ..guard import guarded
from ..plans import Cleaning, cleaning_plan
from .base import perform


@guarded("POST")
def clean(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Remove what the confirmation counted: its moment is the bound, later jobs are not touched."""
    wanted = Cleaning.parse(request.POST)
    token = confirmed(request, "clean", alias, queue, wanted.target)
    if token is None or "count" in request.POST:
        return cleaning_plan(request, alias, queue, wanted)
    bound = datetime.fromisoformat(str(token.facts["before"]))

    def work(target: Queue, entry: audit.Record) -> str:
        grace = max(0.0, (timezone.now() - bound).total_seconds())
        removed = target.clean(grace, wanted.limit, wanted.state)
        entry.result(count=len(removed))
        text = ngettext("Removed %(count)s job.", "Removed %(count)s jobs.", len(removed))
        return text % {"count": exact(len(removed))}

    return perform(
        request,
        action="clean",
        permissions=("clean_queue",),
        alias=alias,
        queue=queue,
        work=work,
        target=wanted.target,
        params={"state": wanted.state, "before": bound.isoformat(), "limit": wanted.limit},
        once=token.once,
        back=links.queue_url(request.viewer.mount, alias, queue),  # type: ignore[attr-defined]
    )
