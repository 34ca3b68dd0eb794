"""The filter of the audit page, as its address says it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta

from django.utils import timezone

from queuecore.audit_log import OUTCOMES, Filter

#: The parameters of the address that belong to the filter.
NAMES = ("actor", "action", "alias", "queue", "target", "outcome", "from", "to")
_LONGEST = 300


def filter_of(values: Mapping[str, str]) -> Filter:
    """Read a filter; what cannot be read does not matter. Days are those of the project's zone."""
    text = {name: values.get(name, "").strip()[:_LONGEST] for name in NAMES}
    until = _day(text["to"])
    return Filter(
        actor=text["actor"],
        action=text["action"],
        alias=text["alias"],
        queue=text["queue"],
        target=text["target"],
        outcome=text["outcome"] if text["outcome"] in OUTCOMES else "",
        since=_day(text["from"]),
        until=until + timedelta(days=1) if until else None,
    )


def _day(text: str) -> datetime | None:
    try:
        day = date.fromisoformat(text)
        return timezone.make_aware(datetime.combine(day, time()))
    except (ValueError, OverflowError):
        return None
