"""What is wrong with a filter, in the reader's language."""

from __future__ import annotations

import re

from django.utils.translation import gettext as _

from queuecore.errors import InvalidOption
from queuecore.matching import InvalidFilter

from .values import exact, visible


def explained(error: InvalidOption) -> str:
    """Say what *error* says; the words of a filter themselves are the same in every language."""
    if not isinstance(error, InvalidFilter):
        return visible(error)
    given = {key: visible(value) for key, value in error.given.items()}
    for key in ("most", "count"):
        if key in error.given:
            given[key] = exact(error.given[key])
    said = _SAID[error.kind]() % given
    meant = re.search("'(.*)'", given.get("hint", ""))
    return said + " " + _("Did you mean “%(word)s”?") % {"word": meant[1]} if meant else said


_SAID = {
    "long": lambda: _("A filter has at most %(most)s characters, not %(count)s."),
    "state": lambda: _("“%(word)s” is no state of jobs. The states are: %(known)s."),
    "shape": lambda: _("“%(word)s” is no filter."),
    "open": lambda: _("A quotation mark is not closed: %(word)s"),
    "empty": lambda: _("%(word)s needs a value."),
    "colon": lambda: _("Write %(name)s:%(value)s, with a colon."),
    "sign": lambda: _("Write %(name)s>%(value)s or %(name)s<%(value)s."),
    "unknown": lambda: _("“%(word)s” is no word of a filter. There are: %(known)s."),
    "twice": lambda: _("%(word)s: one job cannot be both. Ask for one of them, or use a *."),
    "surrogate": lambda: _("The filter holds half of a character, which is no valid text."),
    "number": lambda: _("%(word)s: that is no whole number."),
    "duration": lambda: _("%(name)s: “%(value)s” is no duration. Write 90s, 15m, 2h, 7d or 4w."),
    "time": lambda: _("%(name)s: “%(value)s” is no time. Write 2026-11-24 or 2026-11-24T15:00Z."),
}
