"""What a verification of the audit record found, in the reader's language.

On record stands what :func:`queuecore.audit.verify` said: the number of an entry, and English.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.utils.translation import gettext as _

from .values import visible

_SENTENCES: tuple[tuple[str, Callable[[], str]], ...] = (
    (
        "does not follow the entry before",
        lambda: _("Entry %(number)s does not follow the entry before: one of both was exchanged."),
    ),
    (
        "is not the entry on which",
        lambda: _("Entry %(number)s is not the entry on which the chain's head stands."),
    ),
    (
        "is a result without",
        lambda: _("Entry %(number)s is a result without an intent."),
    ),
    (
        "is the last entry, but the chain's head is missing",
        lambda: _("Entry %(number)s is the last one, but the chain's head is missing."),
    ),
    (
        r"is the last entry, but the chain's head stands at (?P<other>\d+)",
        lambda: _("Entry %(number)s is the last one, but the chain's head stands at %(other)s."),
    ),
    (
        "is known by an anchor",
        lambda: _(
            "Entry %(number)s is known by an anchor, but is not in the record: its end was cut off."
        ),
    ),
    (
        "was signed with the key (?P<other>.+), which is not known",
        lambda: _(
            "Entry %(number)s was signed with the key %(other)s, which is not known: add it to "
            "QUEUECORE['AUDIT_KEYS'], or the old SECRET_KEY to SECRET_KEY_FALLBACKS."
        ),
    ),
    (
        "was changed",
        lambda: _("Entry %(number)s was changed, or was not written by this site."),
    ),
    (
        "is another entry than",
        lambda: _("Entry %(number)s is another entry than the anchor says."),
    ),
    (
        "stands there twice",
        lambda: _("Entry %(number)s stands there twice."),
    ),
    (
        r"follows entry (?P<other>\d+)",
        lambda: _("Entry %(number)s follows entry %(other)s: what was between is missing."),
    ),
)


def sentence(problem: str) -> str:
    """The sentence for ``12 was changed, or …``; what nobody knows stays as it is on record."""
    number, _space, text = problem.partition(" ")
    for known, words in _SENTENCES:
        if found := re.match(known, text):
            others = {name: visible(value) for name, value in found.groupdict().items()}
            return words() % {"number": visible(number), **others}
    return _("Entry %(text)s.") % {"text": visible(problem)}
