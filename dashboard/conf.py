"""``QUEUECORE["DASHBOARD"]``: what a host may say about its dashboard, every default in one place.

ACCESS and READ_ONLY are read by :mod:`queuecore.access`; the rest is here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

from queuecore.conf import get_settings as core_settings
from queuecore.errors import ConfigurationError, did_you_mean
from queuecore.jsontext import WORDS, checked_words

_ENVIRONMENTS = ("production", "staging", "development")
_SHORT = {"production": "prod", "development": "dev"}


@dataclass(frozen=True, slots=True)
class DashboardSettings:
    """The settings of the pages.

    ``environment``: the word of the band on top; ``production``, ``staging`` and ``development``
    (also as the beginning of a longer word) have colours of their own. Empty: ``development``
    under DEBUG, else no band.
    ``environment_note``: a few muted words beside it, such as a region.
    ``page_size``: jobs on one page of a list, at most 100.
    ``mask``: words; a value whose key holds one of them is never shown.
    ``max_bulk``: the most jobs one clean removes.
    ``collect``: whether this web process stands by to collect history and to run operations,
    beside the workers.
    """

    environment: str = ""
    environment_note: str = ""
    page_size: int = 50
    mask: tuple[str, ...] = WORDS
    max_bulk: int = 10_000
    collect: bool = True

    @property
    def environment_short(self) -> str:
        """The word as it stands in titles: ``prod``, ``prod eu``, ``dev``."""
        word = self.environment.lower()
        for long, short in _SHORT.items():
            word = re.sub(rf"^{long}\b", short, word)
        return word

    @property
    def environment_kind(self) -> str:
        """Which colour the band has."""
        word = self.environment.lower()
        for kind in _ENVIRONMENTS:
            if word.startswith(kind[:4]):
                return kind
        return "other"


_KNOWN = {name.upper(): name for name in DashboardSettings.__dataclass_fields__} | {
    "ACCESS": "",
    "READ_ONLY": "",
}
# The least and the most that a number may be.
_WHOLE = {"PAGE_SIZE": (1, 100), "MAX_BULK": (100, 1_000_000)}


@cache
def get_settings() -> DashboardSettings:
    """Read and check the setting; cached until it changes (in tests).

    Raises:
        ConfigurationError: a key is unknown or a value is wrong; the text names it.
    """
    raw = core_settings().dashboard
    for key in raw:
        if key not in _KNOWN:
            raise ConfigurationError(
                f"QUEUECORE['DASHBOARD'] has an unknown key {key!r}{did_you_mean(key, _KNOWN)}"
            )
    values = {_KNOWN[key]: _checked(key, value) for key, value in raw.items() if _KNOWN[key]}
    if not values.get("environment") and django_settings.DEBUG:
        values["environment"] = "Development"
    return DashboardSettings(**values)


def _checked(key: str, value: Any) -> Any:
    """One value, as :class:`DashboardSettings` has it."""
    if key == "MASK":
        return checked_words(value)
    if key in _WHOLE:
        least, most = _WHOLE[key]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _wrong(key, f"a whole number of {least} to {most}", value)
    elif key == "COLLECT":
        if not isinstance(value, bool):
            raise _wrong(key, "True or False", value)
    elif not isinstance(value, str):
        raise _wrong(key, "a text", value)
    return value


def _wrong(key: str, wanted: str, value: Any) -> ConfigurationError:
    return ConfigurationError(f"QUEUECORE['DASHBOARD'][{key!r}] must be {wanted}, not {value!r}")


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in ("QUEUECORE", "DEBUG"):
        get_settings.cache_clear()


setting_changed.connect(_forget)
