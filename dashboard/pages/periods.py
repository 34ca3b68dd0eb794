"""The period of a chart, and whether it is read as a table: both are in the address."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.translation import gettext as _

from ..live.series import PERIODS, default_period
from ..live.state import LiveState


@dataclass(frozen=True, slots=True)
class Period:
    """A choice: ``key`` 15m, 1h, 6h, 24h or 7d."""

    key: str
    table: bool

    @property
    def id(self) -> str:
        """How the live topic is asked for it."""
        return f"{'table' if self.table else 'period'}:{self.key}"

    @property
    def choices(self) -> list[tuple[str, str, bool]]:
        """(key, word, is it this one) of all periods."""
        words = {
            "15m": _("15 m"),
            "1h": _("1 h"),
            "6h": _("6 h"),
            "24h": _("24 h"),
            "7d": _("7 d"),
        }
        return [(key, words[key], key == self.key) for key in PERIODS]


def asked_for(request: HttpRequest) -> list[str]:
    """What must be read for the chart, as ids on screen: of the default period nothing special."""
    key = request.GET.get("period", "")
    return [Period(key, request.GET.get("table") == "1").id] if key in PERIODS else []


def period_of(request: HttpRequest, state: LiveState) -> Period:
    """Read ``?period=`` and ``?table=``; whatever else stands there means the default."""
    key = request.GET.get("period", "")
    key = key if key in PERIODS else default_period(state)
    return Period(key, request.GET.get("table") == "1")
