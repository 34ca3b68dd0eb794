"""Numbers, durations, times and names as people read them."""

from __future__ import annotations

import math
import re
import unicodedata
from datetime import date, datetime
from functools import lru_cache

from django.utils import timezone
from django.utils.formats import date_format, get_format
from django.utils.safestring import SafeString
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from queuecore.visible import visible as visible

from .markup import element, join

DASH = "–"

_THOUSANDS = ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k"))


def short(value: float | None) -> tuple[str, str]:
    """Return (figure, unit): ``4,327``, ``17.6 k``, ``1.20 M``; a dash where nothing is known."""
    if value is None:
        return DASH, ""
    if abs(value) < 10_000:
        return exact(value), ""
    for size, unit in _THOUSANDS:
        if abs(value) >= size:
            figure = value / size
            digits = 2 if abs(figure) < 10 else 1 if abs(figure) < 100 else 0
            return figures(f"{figure:,.{digits}f}"), unit
    raise AssertionError("a number of 10,000 or more has a unit")


def exact(value: float) -> str:
    """Return the number with separators; a fraction below 10 keeps one digit (``9.1``)."""
    if isinstance(value, float) and not value.is_integer() and abs(value) < 10:
        return figures(f"{value:.1f}")
    return figures(f"{round(value):,}")


def figures(text: str) -> str:
    """Write a number, ``1,234.5``, with the active language's separators: ``1.234,5``."""
    return text.translate(_separators(get_language()))


@lru_cache(maxsize=32)
def _separators(language: str | None) -> dict[int, str]:
    return str.maketrans(
        {
            mark: get_format(name, language, use_l10n=True)
            for mark, name in ((",", "THOUSAND_SEPARATOR"), (".", "DECIMAL_SEPARATOR"))
        }
    )


def number(value: float | None, unit: str = "") -> SafeString:
    """Return a number as markup: its unit muted, the exact value as its title where shortened."""
    figure, size = short(value)
    body = join([figure, element("u", size + unit) if size or unit else None])
    if value == 0 or value is None:
        return element("span", body, class_="zero")
    return element("span", body, title=exact(value)) if size else body


def percent(share: float | None) -> SafeString:
    """Return a share of 1 as percent: ``33.0 %``, ``0.4 %``, ``0``."""
    if share is None:
        return element("span", DASH, class_="zero")
    if share == 0:
        return element("span", "0", class_="zero")
    value = share * 100
    return join([figures(f"{value:.1f}") if value < 99.95 else "100", element("u", "%")])


def parts(seconds: float) -> list[tuple[str, str]]:
    """Split a duration into at most two (figure, unit): ``[("47", "m"), ("03", "s")]``."""
    seconds = max(0.0, seconds)
    if seconds < 0.9995:
        return [(f"{seconds * 1000:.0f}", "ms")]
    days, hours, minutes, second = units().split()
    if seconds < 59.95:
        return [(figures(f"{seconds:.0f}" if seconds >= 59.5 else f"{seconds:.1f}"), second)]
    whole = round(seconds)
    for large, small, size, next_size, most in (
        (minutes, second, 60, 1, 3_600),
        (hours, minutes, 3_600, 60, 86_400),
        (days, hours, 86_400, 3_600, math.inf),
    ):
        if whole < most:
            figure = figures(f"{whole // size:,}")
            return [(figure, large), (f"{whole % size // next_size:02d}", small)]
    raise AssertionError("every duration is shorter than endless days")


def units() -> str:
    """The units of durations, in short, for these functions and for the page's script."""
    # Translators: the short units of days, hours, minutes and seconds, with a space between them.
    return pgettext("units of time", "d h m s")


def duration(seconds: float | None) -> SafeString:
    """Return a duration as markup: ``47<u>m</u> 03<u>s</u>``."""
    if seconds is None:
        return element("span", DASH, class_="zero")
    return _spaced([join([figure, element("u", unit)]) for figure, unit in parts(seconds)])


def duration_text(seconds: float) -> str:
    """Return a duration as plain text, for sentences and titles: ``47 m 03 s``."""
    return " ".join(f"{figure} {unit}" for figure, unit in parts(seconds))


def address(text: str) -> str:
    """Return a client's address; a path is that of the server's own socket, and nobody's place."""
    return _("local socket") if text.lstrip("[").startswith("/") else visible(text)


def size(count: int) -> str:
    """Return a number of bytes: ``612 bytes``, ``18.2 KB``, ``5.0 MB``."""
    if count < 1_000:
        return _("%(count)s bytes") % {"count": count}
    if count < 1_000_000:
        return _("%(count)s KB") % {"count": figures(f"{count / 1_000:.1f}")}
    return _("%(count)s MB") % {"count": figures(f"{count / 1_000_000:,.1f}")}


def moment(at: datetime | None, shown: str = "clock") -> SafeString:
    """Return ``<time>``. Its text is the project's own time, until the page's script localises it.

    ``shown`` says what the script makes of it: ``clock`` 14:30:29, ``date``, ``age`` since it,
    ``run`` (the age of something that runs now) or ``until`` it.
    """
    if at is None:
        return element("span", DASH, class_="zero")
    local = timezone.localtime(at) if timezone.is_aware(at) else at
    clock = date_format(local, "H:i:s")
    text = f"{dated(local, 'j M')} {clock}" if shown == "date" else clock
    return element("time", text, datetime=at.isoformat(), data_time=shown)


def dated(at: date, shown: str) -> str:
    """Write a date as the active language does; ``shown`` in the letters of Django's formats."""
    # Translators: the letters of Django's date formats; put them in your language's order.
    formats = {
        "j M": pgettext("format of a date", "j M"),
        "j M Y": pgettext("format of a date", "j M Y"),
        "D j M": pgettext("format of a date", "D j M"),
        "j F": pgettext("format of a date", "j F"),
        "j F Y": pgettext("format of a date", "j F Y"),
        "l j F": pgettext("format of a date", "l j F"),
    }
    return date_format(at, formats[shown])


def clipped(text: object, most: int = 80) -> str:
    """The text as :func:`visible` shows it, cut after *most* characters, for one line."""
    shown = visible(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def initials(name: str) -> str:
    """Return one or two letters that stand for a user: ``mara.lindqvist`` is ``ML``."""
    words = [word for word in re.split(r"[\s._@+-]+", name) if word]
    letters = [unicodedata.normalize("NFC", word)[0] for word in words[:2]] or ["?"]
    return "".join(letters).upper()


def _spaced(pieces: list[SafeString]) -> SafeString:
    spaced: list[object] = []
    for piece in pieces:
        spaced += [" ", piece] if spaced else [piece]
    return join(spaced)
