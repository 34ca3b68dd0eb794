"""The forms in which somebody says when a scheduler runs, and what."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from queuecore import fires
from queuecore.cron import ALIASES, checked_pattern, time_zone
from queuecore.errors import InvalidOption
from queuecore.repeat import Repeat, checked_repeat
from queuecore.schedulers import JobScheduler

from .draw.values import visible

UNITS = {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400}
_LOCAL = "%Y-%m-%dT%H:%M"  # what <input type="datetime-local"> sends
_MOMENTS = [_LOCAL, "%Y-%m-%dT%H:%M:%S"]


class ScheduleForm(forms.Form):
    """When a scheduler runs. ``timing`` are the arguments of an upsert once it is valid."""

    kind = forms.ChoiceField(
        choices=[("pattern", _("by a pattern")), ("every", _("every so often"))]
    )
    pattern = forms.CharField(max_length=1024, required=False)
    tz = forms.CharField(max_length=100, required=False)
    every = forms.DecimalField(min_value=Decimal("0.001"), max_value=10**7, required=False)
    unit = forms.ChoiceField(choices=[(name, name) for name in UNITS], required=False)
    limit = forms.IntegerField(min_value=1, max_value=10**12, required=False)
    start = forms.DateTimeField(input_formats=_MOMENTS, required=False)
    end = forms.DateTimeField(input_formats=_MOMENTS, required=False)
    # Of the scheduler that is changed: how often it runs, and when next. The same beat goes on.
    was = forms.FloatField(required=False)
    due = forms.IntegerField(required=False)

    timing: dict[str, Any]
    repeat: Repeat

    def clean(self) -> dict[str, Any]:
        """Check the schedule as an upsert would."""
        found = super().clean() or {}
        if self.errors:
            return found
        by_pattern = found["kind"] == "pattern"
        every = found.get("every")
        unit = UNITS.get(found.get("unit") or "seconds", 1)
        self.timing = {
            "pattern": (found.get("pattern") or "").strip() if by_pattern else None,
            "tz": (found.get("tz") or "").strip() or None if by_pattern else None,
            "every": None if by_pattern or every is None else float(every * unit),
            "limit": found.get("limit"),
            "start_date": found.get("start"),
            "end_date": found.get("end"),
        }
        if not by_pattern and every is None:
            self.add_error("every", _("Say how often."))
            return found
        try:
            self.repeat = checked_repeat(**self.timing, offset=None, immediately=False)
        except InvalidOption as error:
            self.add_error("pattern" if by_pattern else "every", _explained(error, **self.timing))
            return found
        end = found.get("end")
        if end is not None and end <= timezone.now():
            self.add_error("end", _("It must lie in the future."))
        elif by_pattern and not self.moments(1):
            self.add_error("pattern", _("It never comes."))
        return found

    def moments(self, most: int = 10) -> list[int]:
        """The next times at which it would run (ms)."""
        now = round(datetime.now(UTC).timestamp() * 1000)
        limit = self.timing["limit"] or most
        same = (
            self.timing["every"] is not None
            and self.cleaned_data.get("was") == self.timing["every"]
        )
        due = self.cleaned_data.get("due") if same else None
        try:
            return list(islice(fires.upcoming(self.repeat, "", now, due), min(most, limit)))
        except Exception:  # a strategy of the project's own that raises
            return []


class NewSchedulerForm(ScheduleForm):
    """A scheduler that is not there yet: with its id, and what its jobs get."""

    id = forms.CharField(max_length=200)
    name = forms.CharField(max_length=300, required=False)
    payload = forms.CharField(max_length=100_000, required=False, strip=False)
    attempts = forms.IntegerField(min_value=1, max_value=1_000_000, required=False)
    priority = forms.IntegerField(min_value=0, max_value=2_097_151, required=False)

    def clean_payload(self) -> Any:
        """The payload as a value."""
        text = self.cleaned_data["payload"]
        if not text.strip():
            return {}
        try:
            return json.loads(text)
        except ValueError as error:
            raise forms.ValidationError(
                _("This is no JSON: %(why)s"), params={"why": str(error)}
            ) from None

    @property
    def opts(self) -> dict[str, Any]:
        """The options of its jobs."""
        given = {key: self.cleaned_data.get(key) for key in ("attempts", "priority")}
        return {key: value for key, value in given.items() if value is not None}


def _explained(error: InvalidOption, pattern: str | None, tz: str | None, **_others: Any) -> str:
    """What is wrong with a schedule, in the reader's language; of a field, as its parser says."""
    if pattern and pattern not in ALIASES and not 5 <= len(pattern.split()) <= 6:
        return gettext(
            "This is no cron pattern: it needs 5 fields (minute hour day month weekday), or 6 with "
            "the seconds first, or is one of %(known)s."
        ) % {"known": ", ".join(ALIASES)}
    if pattern:
        try:
            checked_pattern(pattern)
        except InvalidOption as refused:
            return gettext("The pattern is refused: %(why)s") % {"why": visible(refused)}
    if tz:
        try:
            time_zone(tz)
        except InvalidOption:
            return gettext(
                "There is no time zone %(name)s; give one of the IANA's names, such as "
                "Europe/Berlin or UTC."
            ) % {"name": visible(tz)}
    if "end_date" in str(error):
        return gettext("The last moment must lie after the first one.")
    return visible(error)


def values_of(scheduler: JobScheduler) -> dict[str, Any]:
    """What a form shows at first of a scheduler that is there."""
    every, unit = scheduler.every, "seconds"
    for name in ("days", "hours", "minutes"):
        if every and every % UNITS[name] == 0:
            every, unit = every / UNITS[name], name
            break
    return {
        "kind": "every" if scheduler.every else "pattern",
        "pattern": scheduler.pattern or "",
        "tz": scheduler.tz or ("" if scheduler.every else "UTC"),
        "every": f"{every:g}" if every else "",
        "unit": unit,
        "limit": scheduler.limit or "",
        "start": _local(scheduler.start_date),
        "end": _local(scheduler.end_date),
        "was": f"{scheduler.every:g}" if scheduler.every else "",
        "due": round(scheduler.next.timestamp() * 1000) if scheduler.next else "",
    }


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody has typed, to be shown again."""
    names = (*ScheduleForm.base_fields, *NewSchedulerForm.base_fields)
    return {name: str(values.get(name, ""))[:100_000] for name in names}


def _local(at: datetime | None) -> str:
    return "" if at is None else timezone.localtime(at).strftime(_LOCAL)
