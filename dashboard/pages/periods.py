"""The period of charts, the jobs they are about, and whether they are read as tables.

All of it is in the address.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest
from django.utils.translation import gettext as _

from ..live.fragments.tempo import NAME
from ..live.series import PERIODS, default_period
from ..live.state import LiveState

_LONGEST = 100  # characters of a job's name that workers tell


@dataclass(frozen=True, slots=True)
class Period:
    """A choice: ``key`` 15m, 1h, 6h, 24h or 7d. ``job``: the one name of jobs; empty for all."""

    key: str
    table: bool
    job: str = ""

    @property
    def id(self) -> str:
        """How the live topic is asked for it."""
        return f"{'table' if self.table else 'period'}:{self.key}"

    @property
    def ids(self) -> list[str]:
        """What the live topic is asked for."""
        return [self.id, f"{NAME}{self.job}"] if self.job else [self.id]

    @property
    def more(self) -> str:
        """What links to another period keep."""
        return f"&{urlencode({'job': self.job})}" if self.job else ""

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
    return [Period(key, _table(request)).id] if key in PERIODS else []


def period_of(request: HttpRequest, state: LiveState) -> Period:
    """Read ``?period=``, ``?table=`` and ``?job=``; anything else means the default."""
    key = request.GET.get("period", "")
    key = key if key in PERIODS else default_period(state)
    return Period(key, _table(request), request.GET.get("job", "")[:_LONGEST])


def _table(request: HttpRequest) -> bool:
    return request.GET.get("table") == "1"
