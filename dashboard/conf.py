"""``QUEUECORE["DASHBOARD"]``: what a host may say about its dashboard, every default in one place.

ACCESS and READ_ONLY are read by :mod:`queuecore.access`; the rest is here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed

_ENVIRONMENTS = ("production", "staging", "development")


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
    ``collect``: whether this web process stands by to collect history, beside the workers.
    """

    environment: str = ""
    environment_note: str = ""
    page_size: int = 50
    mask: tuple[str, ...] = field(
        default=(
            "password",
            "passwd",
            "token",
            "secret",
            "authorization",
            "api_key",
            "apikey",
            "card",
        )
    )
    max_bulk: int = 10_000
    collect: bool = True

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


@cache
def get_settings() -> DashboardSettings:
    """Read and check the setting; cached until it changes (in tests)."""
    from django.core.exceptions import ImproperlyConfigured

    raw: dict[str, Any] = getattr(django_settings, "QUEUECORE", {}).get("DASHBOARD", {})
    for key in raw:
        if key not in _KNOWN:
            known = ", ".join(sorted(_KNOWN))
            raise ImproperlyConfigured(
                f"QUEUECORE['DASHBOARD'] has an unknown key {key!r}; it knows {known}"
            )
    values = {_KNOWN[key]: value for key, value in raw.items() if _KNOWN[key]}
    if "mask" in values:
        values["mask"] = tuple(word.lower() for word in values["mask"])
    if not values.get("environment") and django_settings.DEBUG:
        values["environment"] = "Development"
    found = DashboardSettings(**values)
    if not 1 <= found.page_size <= 100:
        raise ImproperlyConfigured("QUEUECORE['DASHBOARD']['PAGE_SIZE'] must be 1 to 100")
    return found


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting in ("QUEUECORE", "DEBUG"):
        get_settings.cache_clear()


setting_changed.connect(_forget)
