"""``live(application)``: takes the websockets under the mount and passes everything else on.

The socket's address is the mount's, with ``ws/`` behind it. The Origin is checked here, before
the handshake is answered: a websocket carries cookies and no CSRF token, so this is what keeps
other sites out.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest
from django.http.request import is_same_domain
from django.urls import Resolver404, resolve
from django.utils import translation

from queuecore import operations
from queuecore.history import ensure_running

from ..conf import get_settings

logger = logging.getLogger("queuecore_dashboard.live")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ADDRESS = "ws/"
_active = False


def active() -> bool:
    """Whether this process serves the socket: pages then get its address, else they poll."""
    return _active


def live(application: Application) -> Application:
    """Wrap the host's ASGI application, so that pages of the dashboard update themselves."""
    # Imported here: Channels is needed only by hosts that serve the socket.
    from .consumer import LiveConsumer
    from .hub import connect_signals

    global _active
    _active = True
    connect_signals()
    socket: Application = LiveConsumer.as_asgi()

    async def with_live(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await application(scope, receive, send)
            return
        request = request_of(scope)
        mount = mount_of(request) if request else None
        if request is None or mount is None:
            await application(scope, receive, send)
        elif not origin_allowed(request):
            logger.warning(
                "refused a websocket from %s: Origin %r is neither this host's nor in "
                "CSRF_TRUSTED_ORIGINS",
                request.META.get("REMOTE_ADDR", "a Unix socket"),
                request.headers.get("Origin"),
            )
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            collect()
            await socket(scope | {"queuecore_dashboard": (request, mount)}, receive, send)

    return with_live


def request_of(scope: Scope) -> ASGIRequest | None:
    """The handshake as a request, so that Django's own rules for hosts and proxies count."""
    scheme = {"ws": "http", "wss": "https"}.get(scope.get("scheme", "ws"), "http")
    http = scope | {"type": "http", "method": "GET", "scheme": scheme}
    try:
        return ASGIRequest(http, BytesIO())
    except UnicodeDecodeError:
        return None


def mount_of(request: ASGIRequest) -> str | None:
    """The path of the mount whose socket was asked for; None if it is no socket of ours."""
    path = request.path_info
    if not path.endswith("/" + ADDRESS):
        return None
    base = path.removesuffix(ADDRESS)
    language = translation.get_language_from_path(base) or settings.LANGUAGE_CODE
    try:
        with translation.override(language):
            match = resolve(base)
    except Resolver404:
        return None
    ours = match.app_names[-1:] == ["queuecore_dashboard"] and match.url_name == "overview"
    return request.script_name + base if ours else None


def origin_allowed(request: HttpRequest) -> bool:
    """Django's CSRF rule: the same scheme, host and port, or one of CSRF_TRUSTED_ORIGINS."""
    origin = request.headers.get("Origin")
    if not origin:
        return False
    with contextlib.suppress(DisallowedHost):
        if origin == f"{request.scheme}://{request.get_host()}":
            return True
    return any(_trusts(trusted, origin) for trusted in settings.CSRF_TRUSTED_ORIGINS)


def _trusts(trusted: str, origin: str) -> bool:
    if "*" not in trusted:
        return origin == trusted
    try:
        asked, known = urlsplit(origin), urlsplit(trusted)
    except ValueError:
        return False
    return asked.scheme == known.scheme and is_same_domain(asked.netloc, known.netloc.lstrip("*"))


def collect(**kwargs: Any) -> None:
    """With the first request of any kind, stand by for collecting history and for operations."""
    if get_settings().collect:
        ensure_running()
        operations.ensure_running()
