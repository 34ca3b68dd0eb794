"""One message for the next page, in a signed cookie: a host need not have ``messages``."""

from __future__ import annotations

from dataclasses import dataclass

from django.core import signing
from django.http import HttpRequest, HttpResponseBase

from .cookies import NAME, drop_cookie, put_cookie

COOKIE = f"{NAME}_flash"
_SALT = "queuecore_dashboard.flash"
_SECONDS = 60
_LONGEST = 600  # characters: a cookie has 4 KB


@dataclass(frozen=True, slots=True)
class Flash:
    """A message: ``level`` is done, info or error."""

    level: str
    text: str


def put(response: HttpResponseBase, level: str, text: str) -> None:
    """Have the next page that this browser opens show *text*."""
    value = signing.dumps([level, text[:_LONGEST]], salt=_SALT, compress=True)
    put_cookie(response, COOKIE, value, seconds=_SECONDS, http_only=True)


def take(request: HttpRequest) -> Flash | None:
    """Return the message that waits for this browser, if one does."""
    value = request.COOKIES.get(COOKIE)
    if not value:
        return None
    try:
        level, text = signing.loads(value, salt=_SALT, max_age=_SECONDS)
    except (signing.BadSignature, ValueError):
        return None
    return Flash(level if level in ("done", "info", "error") else "info", str(text))


def clear(request: HttpRequest, response: HttpResponseBase) -> None:
    """Forget the message once a page has shown it."""
    if COOKIE in request.COOKIES:
        drop_cookie(response, COOKIE)
