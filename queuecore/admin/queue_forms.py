"""What is asked before an action on queues: until when, which jobs, and whether it is meant."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..visible import visible
from . import words
from .asking import Answer

#: For how many seconds a queue is paused; 0: until somebody resumes it.
_PAUSES = (
    ("0", gettext_lazy("when somebody resumes it")),
    ("900", gettext_lazy("in 15 minutes")),
    ("3600", gettext_lazy("in 1 hour")),
    ("14400", gettext_lazy("in 4 hours")),
    ("86400", gettext_lazy("in 24 hours")),
)
_AGES = (
    ("", gettext_lazy("any age")),
    ("1h", gettext_lazy("1 hour")),
    ("1d", gettext_lazy("1 day")),
    ("7d", gettext_lazy("7 days")),
    ("30d", gettext_lazy("30 days")),
)
_CLEANED = ("completed", "failed", "waiting", "prioritized", "delayed")


class PauseAnswer(Answer):
    """Until when."""

    ends = forms.ChoiceField(label=gettext_lazy("It ends"), choices=_PAUSES, required=False)
    field_order = ("ends", "reason")


class CleanAnswer(Answer):
    """Which jobs."""

    state = forms.ChoiceField(
        label=gettext_lazy("State"), choices=[(one, words.STATES[one]) for one in _CLEANED]
    )
    age = forms.ChoiceField(label=gettext_lazy("Older than"), choices=_AGES, required=False)
    field_order = ("state", "age", "reason")

    @property
    def choices(self) -> dict[str, str]:
        """State and age."""
        return {"state": self._chosen("state"), "age": self._chosen("age")}

    def _chosen(self, name: str) -> str:
        known = [value for value, _word in self.fields[name].choices]  # type: ignore[attr-defined]
        value = str(self.data.get(name, self.initial.get(name, "")))
        return value if value in known else str(known[0])


class DrainAnswer(Answer):
    """Whether delayed jobs go, too, and that it is meant."""

    delayed = forms.BooleanField(label=gettext_lazy("Delayed jobs, too"), required=False)
    typed = forms.CharField(
        label=gettext_lazy("Confirm"),
        strip=False,
        widget=forms.TextInput(attrs={"class": "vTextField", "autocomplete": "off"}),
    )
    field_order = ("delayed", "typed", "reason")

    def __init__(self, *args: Any, wanted: str, several: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wanted = wanted
        self.fields["typed"].help_text = (
            _("Type the number of queues, %(wanted)s.")
            if several
            else _("Type the name of the queue, %(wanted)s.")
        ) % {"wanted": visible(wanted)}

    @property
    def choices(self) -> dict[str, str]:
        """Whether delayed ones are meant."""
        return {"delayed": "1" if self.data.get("delayed") else "0"}

    def clean_typed(self) -> str:
        """What was typed, if it is what it has to be."""
        typed = str(self.cleaned_data["typed"])
        if typed != self.wanted:
            raise forms.ValidationError(_("That is not what stands beside it."))
        return typed
