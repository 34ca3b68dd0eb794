"""Addresses without a page of their own: what nobody has, and where the search box leads."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import Resolver404, resolve
from django.utils.http import urlencode

from queuecore.errors import ServerUnavailable
from queuecore.inspect import Inspector

from .. import links
from ..guard import guarded
from ..live.state import Topic, read

_MOST_QUEUES = 200  # in which an id is looked up, one small request each


@guarded("GET", "POST")
def missing(
    request: HttpRequest, exception: Exception | None = None, path: str = ""
) -> HttpResponse:
    """Answer 404; also fit for a project's ``handler404``, where it shows our look."""
    if settings.APPEND_SLASH and request.method == "GET" and not request.path.endswith("/"):
        try:
            match = resolve(f"{request.path_info}/")
        except Resolver404:
            pass
        else:
            if match.func is not missing:
                query = f"?{request.META['QUERY_STRING']}" if request.META["QUERY_STRING"] else ""
                return HttpResponseRedirect(f"{request.path}/{query}")
    raise Http404("no such page")


@guarded("GET")
def go(request: HttpRequest) -> HttpResponse:
    """Lead to the queue of that name, else to the job of that id, else to the queues that match."""
    seen = request.viewer  # type: ignore[attr-defined]
    text = request.GET.get("q", "").strip()[:300]
    state = read(Topic("overview"))
    shown = [
        (alias, name)
        for alias, connection in state.connections.items()
        for name in connection.queues
        if seen.allows(alias, name)
    ]
    for alias, name in shown:
        if name == text:
            return HttpResponseRedirect(links.queue_url(seen.mount, alias, name))
    if text and " " not in text:
        # The queue one comes from first: ids are counted per queue, so many have a job 17.
        here = (request.GET.get("alias", ""), request.GET.get("queue", ""))
        for alias, name in sorted(shown[:_MOST_QUEUES], key=lambda pair: pair != here):
            if _has(alias, name, text):
                return HttpResponseRedirect(links.job_url(seen.mount, alias, name, text))
    query = f"?{urlencode({'q': text})}" if text else ""
    return HttpResponseRedirect(f"{seen.mount}queues/{query}")


def _has(alias: str, queue: str, job_id: str) -> bool:
    try:
        return Inspector(alias).rows(queue, [job_id])[0] is not None
    except ServerUnavailable:
        return False
