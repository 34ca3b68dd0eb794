"""When a scheduler runs, in words: ``At 07:00, Monday through Friday``; and as it is written."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache

from django.utils.dates import MONTHS, WEEKDAYS
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from queuecore.cron import ALIASES, expression
from queuecore.errors import InvalidOption
from queuecore.schedulers import JobScheduler

from .values import duration_text, exact, figures, visible

_LOCALES = {"en": "en_US", "de": "de_DE", "fr": "fr_FR", "es": "es_ES", "ja": "ja_JP"}
_MISSING = ("0", "*", "*", "*", "*", "*")
_UNITS: tuple[tuple[int, Callable[[int], str]], ...] = (
    (86_400, lambda count: ngettext("Every day", "Every %(count)s days", count)),
    (3_600, lambda count: ngettext("Every hour", "Every %(count)s hours", count)),
    (60, lambda count: ngettext("Every minute", "Every %(count)s minutes", count)),
    (1, lambda count: ngettext("Every second", "Every %(count)s seconds", count)),
)


def words(scheduler: JobScheduler) -> str:
    """When it runs, as a person would say it; as it is written where nobody understands it."""
    if scheduler.every:
        return every(scheduler.every)
    if not scheduler.pattern:
        return _("Unknown")
    return pattern(scheduler.pattern) or visible(scheduler.pattern)


def written(scheduler: JobScheduler) -> str:
    """When it runs as it is written, with its time zone."""
    if scheduler.every:
        return _("every %(duration)s") % {"duration": figures(f"{scheduler.every:,g}") + " s"}
    return f"{visible(scheduler.pattern or '')} · {visible(scheduler.tz or 'UTC')}"


def every(seconds: float) -> str:
    """``Every 10 minutes``."""
    for unit, phrase in _UNITS:
        if seconds >= unit and seconds % unit == 0:
            count = round(seconds / unit)
            return phrase(count) % {"count": exact(count)}
    return _("Every %(duration)s") % {"duration": duration_text(seconds)}


def pattern(text: str) -> str | None:
    """A cron pattern in words of the active language; None if it cannot be read."""
    return _pattern(text, (get_language() or "en").partition("-")[0])


@lru_cache(maxsize=2048)
def _pattern(text: str, language: str) -> str | None:
    from cron_descriptor import ExpressionDescriptor, Options  # type: ignore[import-untyped]

    try:
        fields, _hourly = expression(text)
    except InvalidOption:
        return None
    # "H" stands for a number that only our own parser knows (also in THU, which does no harm).
    plain = text if "H" not in text else fields
    atoms = ALIASES.get(plain, plain).split() or ["0"]
    # All seven fields, the last for years: so none has to be guessed.
    whole = " ".join([*_MISSING[: 6 - len(atoms)], *atoms, "*"])
    options = Options(
        locale_code=_LOCALES.get(language, "en_US"), use_24hour_time_format=True, verbose=False
    )
    try:
        said = ExpressionDescriptor(whole, options).get_description()
    except Exception:  # whatever it makes of a pattern that only BullMQ knows
        return None
    said = said.removeprefix("次において実施 ")  # "carried out at the following", before each time
    return visible(_NAMES.sub(lambda name: _native()[name[0]], said))


# The library takes the names of days and months from the process, whatever language is asked for.
_DAYS = [calendar.day_name[number] for number in range(7)]
_MONTHS = [date(2024, number, 1).strftime("%B") for number in range(1, 13)]
_NAMES = re.compile(rf"\b(?:{'|'.join([*_DAYS, *_MONTHS])})\b")


def _native() -> dict[str, str]:
    days = {name: str(WEEKDAYS[number]) for number, name in enumerate(_DAYS)}
    return days | {name: str(MONTHS[number]) for number, name in enumerate(_MONTHS, 1)}
