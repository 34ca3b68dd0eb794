"""Addresses without a page of their own: what nobody has, and where the search box leads."""

from __future__ import annotations

from urllib.parse import quote

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import Resolver404, resolve
from django.utils.http import urlencode

from .. import links
from ..guard import guarded
from ..languages import of_the_host
from ..live.state import Topic, read
from .palette import jobs_of_id, shown_queues


@guarded("GET", "POST")
def missing(
    request: HttpRequest, exception: Exception | None = None, path: str = ""
) -> HttpResponse:
    """Answer 404; also fit for a project's ``handler404``, where it shows our look."""
    if settings.APPEND_SLASH and request.method == "GET" and not request.path.endswith("/"):
        try:
            with of_the_host():
                match = resolve(f"{request.path_info}/")
        except Resolver404:
            pass
        else:
            if match.func is not missing:
                query = f"?{request.META['QUERY_STRING']}" if request.META["QUERY_STRING"] else ""
                return HttpResponseRedirect(f"{request.path}/{query}")
    raise Http404("no such page")


#: Pages about all connections together, and how each is asked for one of them.
_WIDE = {
    "": "queues/?q=%s",
    "queues": "queues/?q=%s",
    "workers": "workers/?q=%s",
    "operations": "operations/",
    "audit": "audit/?alias=%s",
}


@guarded("GET")
def of_connection(request: HttpRequest, alias: str, page: str = "") -> HttpResponse:
    """Lead to what a page about all connections shows of one."""
    if page not in _WIDE:
        raise Http404("no such page")
    asked = alias if page == "audit" else f"@{alias}"
    seen = request.viewer  # type: ignore[attr-defined]
    target = _WIDE[page]
    return HttpResponseRedirect(seen.mount + (target % quote(asked) if "%s" in target else target))


@guarded("GET")
def go(request: HttpRequest) -> HttpResponse:
    """Lead to the queue of that name, else to the job of that id, else to the queues that match."""
    seen = request.viewer  # type: ignore[attr-defined]
    text = request.GET.get("q", "").strip()[:300]
    shown = shown_queues(read(Topic("overview")), seen)
    for alias, name in shown:
        if name == text:
            return HttpResponseRedirect(links.queue_url(seen.mount, alias, name))
    here = (request.GET.get("alias", ""), request.GET.get("queue", ""))
    for alias, name in jobs_of_id(shown, text, here):
        return HttpResponseRedirect(links.job_url(seen.mount, alias, name, text))
    query = f"?{urlencode({'q': text})}" if text else ""
    return HttpResponseRedirect(f"{seen.mount}queues/{query}")
