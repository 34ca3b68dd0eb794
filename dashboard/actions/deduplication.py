"""Deduplication: an id is released by hand, so that the next add makes a job."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import Queue, audit

from .. import links
from ..draw.values import visible
from ..guard import guarded
from .base import perform


@guarded("POST")
def release(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Free one deduplication id; the job that held it is not touched."""
    key = request.POST.get("key", "")

    def work(target: Queue, entry: audit.Record) -> str:
        if not key:
            entry.fail("no id was given")
            return _("No id was given.")
        freed = target.remove_deduplication_key(key)
        entry.result(freed=bool(freed))
        words = _("The id %(id)s is free.") if freed else _("The id %(id)s was free already.")
        return words % {"id": visible(key)}

    return perform(
        request,
        action="release_deduplication",
        permissions=("edit_job",),
        alias=alias,
        queue=queue,
        work=work,
        target=key,
    )
