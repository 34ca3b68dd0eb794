"""The pages for what went wrong: 403, 404, a server that is away. Same look, and what to do."""

from __future__ import annotations

import re
from typing import Any

from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.log import log_response
from django.utils.translation import gettext as _

from queuecore.models import PERMISSIONS

from ..conf import get_settings
from ..guard import mount
from .shell import preferences, shell, show


def forbidden(request: HttpRequest, text: str) -> HttpResponse:
    """Name the permission that is missing and say who grants it."""
    match = re.match(r"queuecore\.(\w+): (.*)", text)
    nothing = bool(match and match[1] == "view")
    context = {
        **shell(request, page="", title=_("Not allowed")),
        "permission": f"queuecore.{match[1]}" if match else "",
        "permission_name": _permission_name(match[1]) if match else "",
        "explanation": "" if match else text,
        "read_only": bool(match and "read-only" in match[2]),
        "nothing": nothing,
    }
    if nothing:
        # There is nothing to be told of: the socket would be closed, and the page loaded again.
        context |= {"live_socket": "", "live_poll": ""}
    return _show(request, "errors/403.html", context, 403)


def _permission_name(codename: str) -> str:
    name = dict(PERMISSIONS).get(codename)
    return _(name) if name else codename


def not_found(request: HttpRequest, error: Exception | None = None) -> HttpResponse:
    """Say what may have happened to it, the same whether it is hidden or does not exist."""
    context = {
        **shell(request, page="", title=_("Not found")),
        "explanation": _("It was removed, or lies outside of what you may see."),
        "no_queue": _queue_of(request),
    }
    return _show(request, "errors/404.html", context, 404)


def _queue_of(request: HttpRequest) -> str:
    """The queue whose own page, or list of jobs, was asked for: it is not known which is missing.

    Nothing is looked up: a hidden queue is answered like one that does not exist.
    """
    match = request.resolver_match
    known = match is not None and match.url_name in ("queue", "jobs")
    return str(match.kwargs.get("queue", "")) if match and known else ""


def away(request: HttpRequest, error: Exception) -> HttpResponse:
    """Say that the server does not answer; the page tries again by itself."""
    context: dict[str, Any] = {
        **shell(request, page="", title=_("The server is away")),
        "explanation": str(error),
    }
    response = _show(request, "errors/away.html", context, 503)
    response.headers["Retry-After"] = "5"
    return response


def broken(request: HttpRequest, error: Exception) -> HttpResponse:
    """Say that it is our fault; tell the host's log and whoever listens, as Django itself does.

    Nothing on the page asks Redis, the session or the database, which may be what is broken.
    """
    got_request_exception.send(sender=None, request=request)
    settings = get_settings()
    context = {
        "title": _("Error"),
        "mount": mount(),
        "here": request.get_full_path() if request.method == "GET" else mount(),
        "now": timezone.now(),
        "environment": settings.environment,
        "environment_short": settings.environment_short,
        "environment_kind": settings.environment_kind,
        "explanation": _("The error is in the log of the web server."),
        **preferences(request),
    }
    dialog = request.headers.get("X-Queuecore-Dialog") == "1"
    template = f"queuecore_dashboard/errors/{'dialog' if dialog else '500'}.html"
    response = render(request, template, context, status=500)
    log_response(
        "Internal Server Error: %s",
        request.path,
        response=response,
        request=request,
        exception=error,
    )
    return response


def _show(
    request: HttpRequest, template: str, context: dict[str, Any], status: int
) -> HttpResponse:
    """As the inside of a dialog where a script asked for one."""
    if request.headers.get("X-Queuecore-Dialog") == "1":
        template = "errors/dialog.html"
    return show(request, template, context, status=status)
