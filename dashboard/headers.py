"""The security headers of every answer under the mount; set here, so a host adds no middleware."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase


def secure(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
    """Set the headers on *response* and return it."""
    policy = content_security_policy(request)
    response.headers["Content-Security-Policy"] = "; ".join(
        f"{name} {' '.join(sources)}" for name, sources in policy.items()
    )
    # Django 6's own middleware, where a host has it, takes the policy from here.
    response._csp_config = policy  # type: ignore[attr-defined]
    response.headers["Cache-Control"] = "private, no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    return response


def content_security_policy(request: HttpRequest) -> dict[str, list[str]]:
    """Return the policy: everything is a file of this site, nothing is inline."""
    # Older Safari does not count a websocket of the same host as 'self'.
    socket = f"{'wss' if request.is_secure() else 'ws'}://{request.get_host()}"
    files = ["'self'", *_static_origin()]
    return {
        "default-src": ["'none'"],
        "script-src": files,
        "style-src": files,
        "img-src": [*files, "data:"],
        "font-src": files,
        "connect-src": ["'self'", socket],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "object-src": ["'none'"],
    }


def _static_origin() -> list[str]:
    """Where static files come from, if a host serves them from another one."""
    parts = urlsplit(settings.STATIC_URL or "")
    return [f"{parts.scheme}://{parts.netloc}"] if parts.scheme and parts.netloc else []
