"""Preferences of this browser, kept in cookies: how pages look and speak, and pinned queues."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from .. import cookies, links
from ..guard import came_from, guarded
from ..languages import AUTOMATIC, CODES

_CHOICES = {
    "theme": (cookies.THEME, cookies.THEMES),
    "density": (cookies.DENSITY, cookies.DENSITIES),
    "keys": (cookies.KEYS, ("on", "off")),
    "zone": (cookies.ZONE, cookies.ZONES),
    "rail": (cookies.RAIL, cookies.RAILS),
    "language": (cookies.LANGUAGE, (AUTOMATIC, *CODES)),
}


@guarded("POST")
def keep(request: HttpRequest) -> HttpResponse:
    """Keep what the form says and go back; nobody else is affected, so it is not recorded."""
    response = HttpResponseRedirect(came_from(request))
    for field, (cookie, known) in _CHOICES.items():
        value = request.POST.get(field, "")
        if value in known:
            cookies.put_cookie(response, cookie, value)
    if "columns" in request.POST:
        # A list without the column of errors has none to tick, and leaves it as it was.
        kept = set(request.POST["columns"].split(".")) - set(cookies.hidden(request))
        cookies.put_hidden(response, [*request.POST.getlist("column"), *kept])
    pinned = cookies.pins(request)
    for field in ("pin", "unpin"):
        if field not in request.POST:
            continue
        try:
            alias, queue = map(links.decode, request.POST[field].split("!", 1))
        except ValueError:
            continue
        pinned = [pair for pair in pinned if pair != (alias, queue)]
        if field == "pin":
            pinned.append((alias, queue))
            pinned = pinned[-cookies.MAX_PINS :]
        cookies.put_pins(response, pinned)
    return response
