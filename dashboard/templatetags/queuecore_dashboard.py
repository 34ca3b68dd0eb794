"""Tags of the dashboard's own templates: icons, live values, names as they are safe to show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date

from django import template
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString

from ..draw import icons, states, values
from ..live.state import Patch

register = template.Library()

#: What htmx may do here: no evaluation, no scripts or styles of its own, no pages in any storage.
HTMX = {
    "allowEval": False,
    "allowScriptTags": False,
    "includeIndicatorStyles": False,
    "selfRequestsOnly": True,
    "historyCacheSize": 0,
    "scrollIntoViewOnBoost": False,
    "attributesToSettle": [],
    # Nothing is settled, so nothing waits: what came in answers the keyboard at once.
    "defaultSettleDelay": 0,
    "historyRestoreAsHxRequest": False,
    "responseHandling": [
        {"code": "204", "swap": False},
        {"code": "[23]..", "swap": True},
        {"code": "40[345]", "swap": True, "error": False},
        {"code": "503", "swap": True, "error": False},
        {"code": "[45]..", "swap": False, "error": True},
    ],
}


@register.simple_tag
def htmx_config() -> SafeString:
    """The meta element that htmx reads its configuration from."""
    return format_html('<meta name="htmx-config" content="{}">', json.dumps(HTMX))


@register.simple_tag
def icon(name: str, size: int = 16) -> SafeString:
    """``{% icon "retry" %}``: see :mod:`..draw.icons`."""
    return icons.icon(str(name), size)


@register.simple_tag
def state_icon(state: str, named: bool = False) -> SafeString:
    """``{% state_icon "failed" %}``: the state's own icon."""
    return states.state_icon(str(state), named=named)


@register.filter
def state_word(state: str) -> str:
    """The state's word in the active language."""
    return states.label(state)


@register.simple_tag(takes_context=True)
def live(context: Mapping[str, Mapping[str, Patch]], id: str) -> str:
    """A live value as the socket would send it: the element of that id, or the text inside it.

    The template's ``live`` holds the patches; an unknown id shows nothing.
    """
    patch = context["live"].get(id)
    if patch is None:
        return ""
    if patch.html is not None:
        return conditional_escape(patch.html)
    return conditional_escape(patch.text or "")


@register.filter
def visible(text: object) -> str:
    """The text with control and direction characters shown instead of obeyed."""
    return values.visible(text)


@register.filter
def moment(at: object, shown: str = "clock") -> SafeString:
    """``{{ at|moment:"age" }}``: a ``<time>``, put into the reader's zone by the page's script."""
    return values.moment(at, shown)  # type: ignore[arg-type]


@register.filter
def no_jobs(state: str) -> str:
    """That there are no jobs of that state, in the active language."""
    return states.none_of(state)


@register.filter
def dated(at: date, shown: str) -> str:
    """``{{ at|dated:"j F" }}``: a date as the active language writes it."""
    return values.dated(at, shown)


@register.filter
def exact(count: float) -> str:
    """A number with separators."""
    return values.exact(count)


@register.filter
def known(patches: Mapping[str, Patch], id: str) -> bool:
    """Whether there is a live value of that id."""
    return id in patches


@register.filter
def count_of(counts: Mapping[str, str], key: str) -> str:
    """The count beside an entry of the rail; nothing where there is none."""
    return counts.get(key, "")
