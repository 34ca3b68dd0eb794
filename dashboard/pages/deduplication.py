"""Deduplication keys of a queue: which ids are taken, by which job, and for how long."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore.inspect import Inspector

from .. import links
from ..guard import guarded
from ..live.state import Topic, read
from .queue import connection_trail, judged
from .shell import shell, show


@guarded("GET")
def deduplication(request: HttpRequest, queue: str, alias: str = links.DEFAULT) -> HttpResponse:
    """Show the keys in the next stretch of the keyspace, from ``?after=`` on."""
    seen = request.viewer  # type: ignore[attr-defined]
    state = read(Topic("queue", alias, queue))
    judged(state, alias, queue)
    page = Inspector(alias).deduplication(queue, request.GET.get("after", ""))
    url = links.queue_url(seen.mount, alias, queue)
    words = shell(
        request,
        page="queues",
        title=_("Deduplication keys"),
        trail=[
            *connection_trail(state, alias),
            (_("Queues"), f"{seen.mount}queues/"),
            (queue, url),
        ],
        state=state,
        alias=alias,
        queue=queue,
    )
    context = {
        **words,
        "queue": queue,
        "alias": alias,
        "url": url,
        "keys": [
            {
                "id": key.id,
                "job": key.job_id,
                "job_url": links.job_url(seen.mount, alias, queue, key.job_id),
                "until": state.at + timedelta(milliseconds=key.ttl_ms)
                if key.ttl_ms is not None
                else None,
            }
            for key in page.keys
        ],
        "after": page.cursor,
        "begun": "after" in request.GET,
    }
    return show(request, "queues/deduplication.html", context)
