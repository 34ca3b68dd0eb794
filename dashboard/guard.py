"""The wrapper around every view: who may come in, what a refusal looks like, headers on all of it.

The order matters. Whoever is not signed in gets the login page for any address, so nothing tells
whether a queue exists; whoever may see nothing gets 403; a queue outside of somebody's scope is
answered like one that does not exist.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from django.conf import global_settings, settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest, PermissionDenied, SuspiciousOperation
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.http.multipartparser import MultiPartParserError
from django.shortcuts import resolve_url
from django.template.response import SimpleTemplateResponse
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_protect

from queuecore import access, audit
from queuecore.conf import get_settings as core_settings
from queuecore.connected import hurried
from queuecore.errors import JobNotFound, ServerUnavailable

from .headers import secure
from .languages import answering, of_the_host
from .live.state import Viewer

View = Callable[..., HttpResponseBase]

#: What an action is about, by its address.
_TARGETS = ("job", "scheduler", "group", "limit")


def guarded(
    *methods: str, needs: str | None = "view", anonymous: bool = False
) -> Callable[[View], View]:
    """Wrap a view. *methods* are what it takes (GET brings HEAD), *needs* what it asks for.

    A view with a queue in its address is asked for that queue. The view finds ``request.viewer``
    (:class:`.live.state.Viewer`). Actions name ``view`` here and record their own refusals.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            with answering(request) as language, hurried():
                response = _try(view, request, args, kwargs, methods, needs, anonymous)
            response.headers["Content-Language"] = language
            patch_vary_headers(response, ("Cookie", "HX-Request", "Accept-Language"))
            return secure(request, response)

        # The audit writes outside of any transaction, and pages need none.
        wrapped: View = transaction.non_atomic_requests(csrf_protect(wrapper))
        return wrapped

    return decorate


def _try(
    view: View, request: HttpRequest, args: Any, kwargs: dict[str, Any], *rest: Any
) -> HttpResponseBase:
    """Answer; what went wrong without anybody having foreseen it has our look, too."""
    from .pages import errors

    try:
        response = _answer(view, request, args, kwargs, *rest)
        if isinstance(response, SimpleTemplateResponse):
            response.render()  # now, since later it would speak the host's language
    except (SuspiciousOperation, BadRequest, MultiPartParserError):
        raise  # Django makes a 400 of these
    except Exception as error:
        if settings.DEBUG or settings.DEBUG_PROPAGATE_EXCEPTIONS:
            raise  # its page for developers says more
        response = errors.broken(request, error)
    return response


def _answer(
    view: View,
    request: HttpRequest,
    args: Any,
    kwargs: dict[str, Any],
    methods: tuple[str, ...],
    needs: str | None,
    anonymous: bool,
) -> HttpResponseBase:
    from .pages import errors

    if anonymous:
        return _allowed(request, methods) or view(request, *args, **kwargs)
    if not request.user.is_authenticated:
        return sign_in(request)
    try:
        request.viewer = viewer(request)  # type: ignore[attr-defined]
        if request.method not in ("GET", "HEAD") and not _same_origin(request):
            raise PermissionDenied(_("This form was sent from another site."))
        with _on_record(request, kwargs):
            if needs:
                access.require(request.user, needs)
            _check_scope(request.viewer, kwargs)  # type: ignore[attr-defined]
        if (refusal := _allowed(request, methods)) is not None:
            return refusal
        with _on_record(request, kwargs, (PermissionDenied,)):
            return view(request, *args, **kwargs)
    except PermissionDenied as error:
        return errors.forbidden(request, str(error))
    except (Http404, JobNotFound) as error:
        return errors.not_found(request, error)
    except ServerUnavailable as error:
        return errors.away(request, error)


def viewer(request: HttpRequest) -> Viewer:
    """Return the class of viewers that the request's user belongs to."""
    return Viewer(
        scope=access.scope(request.user),
        payload=access.can(request.user, "view_payload"),
        language=translation.get_language() or settings.LANGUAGE_CODE,
        mount=mount(),
        audit=access.can(request.user, "view_audit"),
    )


def mount() -> str:
    """Return the path under which the host has mounted the dashboard."""
    with of_the_host():
        return reverse("queuecore_dashboard:overview")


def login_url() -> str:
    """Return the host's login page where its settings name one, else our own."""
    if settings.LOGIN_URL and settings.LOGIN_URL != global_settings.LOGIN_URL:
        with of_the_host():
            return resolve_url(settings.LOGIN_URL)
    return f"{mount()}login/"


def sign_in(request: HttpRequest) -> HttpResponse:
    """Send the visitor to the login page, and back to the page afterwards."""
    target = request.get_full_path() if request.method in ("GET", "HEAD") else came_from(request)
    response: HttpResponse = redirect_to_login(target, login_url())
    if request.headers.get("HX-Request"):
        # A swap would put another site's page into our own: the browser itself must go there.
        location = response.headers["Location"]
        response = HttpResponse(status=204, headers={"HX-Redirect": location})
    return response


def came_from(request: HttpRequest) -> str:
    """Return the page under the mount that a form came from: its ``next``, else the referrer."""
    for candidate in (request.POST.get("next", ""), request.headers.get("Referer", "")):
        if not url_has_allowed_host_and_scheme(candidate, {request.get_host()}):
            continue
        parts = urlsplit(candidate)
        if parts.path.startswith(mount()):
            return parts.path + (f"?{parts.query}" if parts.query else "")
    return mount()


@contextmanager
def _on_record(
    request: HttpRequest,
    kwargs: dict[str, Any],
    refusals: tuple[type[Exception], ...] = (PermissionDenied, Http404),
) -> Iterator[None]:
    """Record an action that is refused, unless its own view has done so."""
    try:
        yield
    except refusals as error:
        match = request.resolver_match
        told = getattr(error, "on_record", False)
        if request.method == "POST" and match and "queue" in kwargs and not told:
            with audit.record(
                actor=request.user,
                ip=audit.client_ip(request),
                # As the action calls itself, so that one word finds what was done and refused.
                action=(match.url_name or "").removeprefix("job_").removesuffix("_many"),
                alias=kwargs.get("alias", "default"),
                queue=kwargs["queue"],
                target=next((kwargs[one] for one in _TARGETS if one in kwargs), ""),
            ) as entry:
                entry.deny(str(error))
        raise


def _allowed(request: HttpRequest, methods: tuple[str, ...]) -> HttpResponse | None:
    known = {*methods, "HEAD"} if "GET" in methods else set(methods)
    if request.method in known:
        return None
    return HttpResponse(status=405, headers={"Allow": ", ".join(sorted(known))})


def _same_origin(request: HttpRequest) -> bool:
    """A second wall beside the CSRF token: what the browser itself says about the sender."""
    return request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"


def _check_scope(seen: Viewer, kwargs: dict[str, Any]) -> None:
    if "alias" not in kwargs and "queue" not in kwargs:
        return
    if kwargs.get("alias") == "default":
        raise Http404("the default connection has no segment of its own")
    alias = kwargs.setdefault("alias", "default")
    if alias not in core_settings().connections:
        raise Http404("no such connection")
    if "queue" in kwargs and not seen.allows(alias, kwargs["queue"]):
        raise Http404("no such queue")
