"""The states of a job: their words, their own icons, the order of tabs and cards."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import get_language, ngettext, pgettext
from django.utils.translation import gettext as _

from .markup import element
from .values import exact

STATES = (
    "waiting",
    "prioritized",
    "active",
    "delayed",
    "waiting-children",
    "completed",
    "failed",
)


#: What a job that waits for its turn in a group is shown as; BullMQ's state is of its parents.
IN_GROUP = "in-group"


def seen_as(row: Any) -> str:
    """The state that is shown of a job: one of a group waits for its turn, not for children."""
    waits = row.state == "waiting-children" and row.group
    return IN_GROUP if waits else str(row.state)


def label(state: str) -> str:
    """Return the state's word in the active language; a state that nobody knows stays as it is."""
    words = _labels(get_language())
    return words.get(state, _("Unknown"))


@lru_cache(maxsize=32)
def _labels(language: str | None) -> dict[str, str]:
    """The words in *language*, which is the active one: rows ask for them a thousand times."""
    return {
        "waiting": pgettext("state of jobs", "Waiting"),
        "prioritized": pgettext("state of jobs", "Prioritized"),
        "active": pgettext("state of jobs", "Active"),
        "delayed": pgettext("state of jobs", "Delayed"),
        "waiting-children": pgettext("state of jobs", "Waiting children"),
        IN_GROUP: pgettext("state of a job", "Waiting in its group"),
        "completed": pgettext("state of jobs", "Completed"),
        "failed": pgettext("state of jobs", "Failed"),
        "paused": pgettext("state of a queue", "Paused"),
        "gone": pgettext("state of a job", "Gone"),
    }


def jobs_of(state: str) -> str:
    """The jobs of a state, as what something is done to: "Retry failed jobs"."""
    words = {
        "waiting": pgettext("object of a verb", "waiting jobs"),
        "prioritized": pgettext("object of a verb", "prioritized jobs"),
        "active": pgettext("object of a verb", "active jobs"),
        "delayed": pgettext("object of a verb", "delayed jobs"),
        "waiting-children": pgettext("object of a verb", "jobs that wait for children"),
        "completed": pgettext("object of a verb", "completed jobs"),
        "failed": pgettext("object of a verb", "failed jobs"),
    }
    return words.get(state, pgettext("object of a verb", "jobs"))


def count_of_jobs(state: str, count: int) -> str:
    """So many jobs of a state, as what something is done to: "Retry 12 failed jobs"."""
    words = {
        "waiting": ngettext("%(count)s waiting job", "%(count)s waiting jobs", count),
        "prioritized": ngettext("%(count)s prioritized job", "%(count)s prioritized jobs", count),
        "active": ngettext("%(count)s active job", "%(count)s active jobs", count),
        "delayed": ngettext("%(count)s delayed job", "%(count)s delayed jobs", count),
        "waiting-children": ngettext(
            "%(count)s job that waits for children", "%(count)s jobs that wait for children", count
        ),
        "completed": ngettext("%(count)s completed job", "%(count)s completed jobs", count),
        "failed": ngettext("%(count)s failed job", "%(count)s failed jobs", count),
    }
    text = words.get(state, ngettext("%(count)s job", "%(count)s jobs", count))
    return text % {"count": exact(count)}


def none_of(state: str) -> str:
    """That there are no jobs of a state."""
    words = {
        "waiting": _("No waiting jobs"),
        "prioritized": _("No prioritized jobs"),
        "active": _("No active jobs"),
        "delayed": _("No delayed jobs"),
        "waiting-children": _("No jobs that wait for children"),
        "completed": _("No completed jobs"),
        "failed": _("No failed jobs"),
    }
    return words.get(state, _("No jobs"))


# Shape differs as much as colour: eight hues cannot be told apart by colour-blind readers.
_SHAPES: dict[str, list[tuple[str, dict[str, object]]]] = {
    "waiting": [("circle", {"cx": 8, "cy": 8, "r": 5})],
    "prioritized": [("path", {"d": "M3.5 7.5 8 3l4.5 4.5M3.5 12.5 8 8l4.5 4.5"})],
    "active": [("path", {"d": "M4.5 3v10l8.5-5z", "class_": "solid"})],
    "delayed": [("circle", {"cx": 8, "cy": 8, "r": 5.6}), ("path", {"d": "M8 4.8V8l2.1 1.6"})],
    "waiting-children": [
        ("path", {"d": "M4.5 6v4M4.5 9.5c0-2 7-1 7-3.6"}),
        ("circle", {"cx": 4.5, "cy": 4, "r": 1.7}),
        ("circle", {"cx": 4.5, "cy": 12, "r": 1.7}),
        ("circle", {"cx": 11.5, "cy": 4, "r": 1.7}),
    ],
    IN_GROUP: [
        ("circle", {"cx": 8, "cy": 8, "r": 5.6}),
        ("path", {"d": "M8 5.2h.01M5.6 9.6h.01M10.4 9.6h.01", "class_": "thick"}),
    ],
    "completed": [("path", {"d": "M3 8.6 6.5 12 13 4.6"})],
    "failed": [
        ("path", {"d": "M5.6 2.2h4.8l3.4 3.4v4.8l-3.4 3.4H5.6l-3.4-3.4V5.6z"}),
        ("path", {"d": "m6 6 4 4m0-4-4 4"}),
    ],
    "paused": [("path", {"d": "M5.5 3.5v9M10.5 3.5v9", "class_": "thick"})],
    "gone": [("path", {"d": "M4 8h8", "stroke-dasharray": "2 2"})],
}


def state_icon(state: str, *, named: bool = False) -> SafeString:
    """Draw the state's icon in its colour; ``named`` where no word stands beside it."""
    return _icon(state if state in _SHAPES else "gone", label(state) if named else "")


@lru_cache(maxsize=500)
def _icon(state: str, name: str) -> SafeString:
    alternative = {"role": "img", "aria_label": name} if name else {"aria_hidden": "true"}
    return element(
        "svg",
        element("title", name) if name else None,
        [element(shape, **attributes) for shape, attributes in _SHAPES[state]],
        class_=f"si si-{state}",
        viewBox="0 0 16 16",
        width=16,
        height=16,
        **alternative,
    )
