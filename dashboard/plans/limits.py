"""Limits of a whole queue: what is set, and what a form asks for instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import access

from .. import links
from ..confirmations import Confirmation, ask
from ..draw.values import exact, visible
from .base import back_of, mount_of, snapshot_of

_MOST_JOBS, _MOST_AT_ONCE, _MOST_SECONDS = 1_000_000_000, 1_000_000, 31_536_000


class WrongLimits(ValueError):
    """What was typed is no limit; the text says what to type instead."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Jobs at once, and jobs in a time; None is no limit."""

    concurrency: int | None = None
    max: int | None = None
    seconds: float | None = None

    @property
    def typed_seconds(self) -> str:
        """The seconds as somebody would type them."""
        return "" if self.seconds is None else f"{self.seconds:.10g}"

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> Limits:
        """Read a form, where an empty field lifts a limit.

        Raises:
            WrongLimits: something is no number, too large, or stands alone.
        """
        concurrency = _whole(values.get("concurrency", ""), _MOST_AT_ONCE, _("Jobs at once"))
        most = _whole(values.get("max", ""), _MOST_JOBS, _("Jobs"))
        seconds = _seconds(values.get("seconds", ""))
        if (most is None) != (seconds is None):
            raise WrongLimits(_("A rate needs both: so many jobs, in so many seconds."))
        return cls(concurrency, most, seconds)


def limits_plan(
    request: HttpRequest, alias: str, queue: str, wanted: Limits | None = None, wrong: str = ""
) -> HttpResponse:
    """Ask for the limits of a queue, those that are set now being filled in."""
    access.require(request.user, "set_limits", alias, queue)
    snapshot = snapshot_of(alias, queue)
    duration = snapshot.limit_duration_ms
    wanted = wanted or Limits(
        snapshot.concurrency,
        snapshot.limit_max,
        duration / 1000 if snapshot.limit_max and duration else None,
    )
    url = links.queue_url(mount_of(request), alias, queue)
    return ask(
        request,
        Confirmation(
            action="limits",
            url=f"{url}limits/",
            title=_("Limits of %(queue)s") % {"queue": visible(queue)},
            text=_("They hold for all workers together, of every language. Empty: no limit."),
            verb=_("Set limits"),
            icon="limited",
            alias=alias,
            queue=queue,
            choices="queuecore_dashboard/confirm/_limits_fields.html",
        ),
        back=back_of(request, url),
        wanted=wanted,
        wrong=wrong,
    )


def _whole(text: str, most: int, word: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12 and 1 <= int(text) <= most):
        words = _("%(field)s must be a whole number from 1 to %(most)s, or empty.")
        raise WrongLimits(words % {"field": word, "most": exact(most)})
    return int(text)


def _seconds(text: str) -> float | None:
    text = text.strip()
    if not text:
        return None
    try:
        value = float(text) if len(text) < 20 else 0.0
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= _MOST_SECONDS:
        raise WrongLimits(_("The seconds must be a number from 0.001 to one year, or empty."))
    return value
