"""Preferences: everything that one chooses for this browser, as a page and as a dialog."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from ..guard import came_from, guarded, mount
from ..languages import AUTOMATIC, LANGUAGES, chosen
from ..rendering import render
from .shell import intervals, shell, show
from .shell import preferences as kept


@guarded("GET")
def preferences(request: HttpRequest) -> HttpResponse:
    """Show the form; what it says is kept by :func:`..actions.preferences.keep`."""
    dialog = request.headers.get("X-Queuecore-Dialog") == "1"
    now = kept(request)
    groups = [
        (
            "theme",
            _("Theme"),
            [("system", _("System")), ("light", _("Light")), ("dark", _("Dark"))],
        ),
        ("density", _("Rows"), [("comfortable", _("Roomy")), ("compact", _("Compact"))]),
        ("rail", _("Navigation"), [("wide", _("Icons and words")), ("narrow", _("Icons"))]),
        ("zone", _("Times"), [("local", _("Local")), ("utc", _("UTC")), ("relative", _("Ago"))]),
        ("keys", _("Shortcuts of one letter"), [("on", _("On")), ("off", _("Off"))]),
    ]
    context = {
        "dialog": dialog,
        "mount": mount(),
        "back": came_from(request),
        "intervals": intervals(),
        "groups": [(name, word, choices, now[name]) for name, word, choices in groups],
        "languages": [(AUTOMATIC, _("As the browser says")), *LANGUAGES]
        if settings.USE_I18N
        else [],
        "language_chosen": chosen(request),
    }
    if dialog:
        return render(request, "queuecore_dashboard/session/_preferences.html", context)
    words = shell(request, page="", title=_("Preferences"))
    return show(request, "session/preferences.html", {**words, **context})
