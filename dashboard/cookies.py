"""The dashboard's cookies: preferences of this browser and the message for its next page."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from . import links

NAME = "queuecore_dashboard"
THEME, DENSITY, KEYS, PINS = f"{NAME}_theme", f"{NAME}_density", f"{NAME}_keys", f"{NAME}_pins"
ZONE, LANGUAGE, RAIL = f"{NAME}_zone", f"{NAME}_language", f"{NAME}_rail"
THEMES = ("system", "light", "dark")
DENSITIES = ("comfortable", "compact")
ZONES = ("local", "utc", "relative")
RAILS = ("wide", "narrow")
#: The columns of a list of jobs that can be left out.
COLUMNS = ("data", "detail", "tries", "waited", "ran", "worker")
HIDDEN = f"{NAME}_hidden"
MAX_PINS = 8
_YEAR = 365 * 24 * 3600


def choice(request: HttpRequest, name: str, known: tuple[str, ...]) -> str:
    """Return the browser's choice, the first one where it made none that is known."""
    value = request.COOKIES.get(name, "")
    return value if value in known else known[0]


def hidden(request: HttpRequest) -> list[str]:
    """Return the columns that this browser leaves out of lists of jobs."""
    chosen = request.COOKIES.get(HIDDEN, "").split(".")
    return [one for one in COLUMNS if one in chosen]


def put_hidden(response: HttpResponseBase, shown: list[str]) -> None:
    """Keep which columns are left out: those that are not among *shown*."""
    put_cookie(response, HIDDEN, ".".join(one for one in COLUMNS if one not in shown))


def pins(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the (alias, queue) pairs pinned in this browser, in order."""
    found: list[tuple[str, str]] = []
    for part in request.COOKIES.get(PINS, "").split(":")[: 2 * MAX_PINS]:
        alias, mark, queue = part.partition("!")
        try:
            pair = (links.decode(alias), links.decode(queue))
        except ValueError:
            continue
        if mark and pair not in found:
            found.append(pair)
    return found[:MAX_PINS]


def put_pins(response: HttpResponseBase, pinned: list[tuple[str, str]]) -> None:
    """Keep the pinned queues."""
    value = ":".join(f"{links.encode(a)}!{links.encode(q)}" for a, q in pinned[:MAX_PINS])
    put_cookie(response, PINS, value)


def put_cookie(
    response: HttpResponseBase,
    name: str,
    value: str,
    *,
    seconds: int = _YEAR,
    http_only: bool = False,
) -> None:
    """Set a cookie that stays under the mount and on this site."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=_path(),
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=http_only,
        samesite="Lax",
    )


def drop_cookie(response: HttpResponseBase, name: str) -> None:
    """Delete a cookie of ours."""
    response.delete_cookie(name, path=_path(), samesite="Lax")


def _path() -> str:
    from .guard import mount

    return mount()
