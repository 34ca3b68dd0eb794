"""The languages that the pages speak, and which of them a request is answered in.

They are ours, not the host's: its ``LANGUAGES`` may be fewer, and it may have no LocaleMiddleware.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language, override
from django.utils.translation.trans_real import parse_accept_lang_header

from . import cookies

#: Code and own name of each language that the dashboard is translated into.
LANGUAGES = (
    ("en", "English"),
    ("de", "Deutsch"),
    ("fr", "Français"),
    ("es", "Español"),
    ("ja", "日本語"),
)
CODES = tuple(code for code, _name in LANGUAGES)
#: What stands in the cookie, and in the form, where the browser's own language is meant.
AUTOMATIC = "auto"


_host: ContextVar[str | None] = ContextVar("queuecore_dashboard_host_language", default=None)


@contextmanager
def answering(request: HttpRequest) -> Iterator[str]:
    """Speak the language of *request* meanwhile."""
    code = language_of(request)
    token = _host.set(get_language())
    try:
        with override(code):
            yield code
    finally:
        _host.reset(token)


@contextmanager
def of_the_host() -> Iterator[None]:
    """Speak the host's language again: its addresses may begin with it (``i18n_patterns``)."""
    with override(_host.get() or get_language()):
        yield


def chosen(request: HttpRequest) -> str:
    """Return the language that was chosen in this browser, else :data:`AUTOMATIC`."""
    return cookies.choice(request, cookies.LANGUAGE, (AUTOMATIC, *CODES))


def language_of(request: HttpRequest) -> str:
    """Return the language to answer *request* in.

    The one chosen here; else what the host has made of the request (its LocaleMiddleware sets
    ``LANGUAGE_CODE`` there); else the first of ours that the browser asks for; else the host's own.
    """
    active = get_language() or settings.LANGUAGE_CODE
    if not settings.USE_I18N:
        return active
    if (code := chosen(request)) != AUTOMATIC:
        return code
    if not hasattr(request, "LANGUAGE_CODE"):
        for asked, _quality in parse_accept_lang_header(request.headers.get("Accept-Language", "")):
            if asked.partition("-")[0] in CODES:
                return supported(asked) or active
    return active


def supported(code: str) -> str | None:
    """Return the language that a page in *code* is written in; None if it is none we know.

    One of ours, whatever the host lists, or one of the host's own.
    """
    code = code.lower()
    for name in (code, code.partition("-")[0]):
        if name in CODES:
            return name
    hosts = {name.lower(): name for name, _word in settings.LANGUAGES}
    return hosts.get(code) or hosts.get(code.partition("-")[0])
