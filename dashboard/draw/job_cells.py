"""What is shown of one job, cell by cell; the same for lists, its own page and live patches."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from queuecore.jsontext import brief, parse

from . import traces
from .markup import element, join
from .run_cells import ending, ending_word
from .states import label, seen_as, state_icon
from .values import DASH, clipped, duration, moment, number, visible

# The word over the last column of a list, per state.
TIMES = {
    "waiting": ("timestamp", "age"),
    "prioritized": ("timestamp", "age"),
    "active": ("processed_on", "clock"),
    "delayed": ("due", "until"),
    "waiting-children": ("timestamp", "clock"),
    "completed": ("finished_on", "clock"),
    "failed": ("finished_on", "clock"),
}


def cells(row: Any, state: str, *, payload: bool) -> dict[str, SafeString | str]:
    """Return every cell of a job's row in the list of *state*; ``payload``: may errors be seen."""
    return {
        "state": mark(row, state),
        "detail": detail(row, state, payload=payload),
        "tries": tries(row),
        "waited": waited(row),
        "ran": ran(row),
        "worker": visible(row.processed_by) if row.processed_by else DASH,
        "time": time(row, state),
        "brief": short_detail(row, payload=payload),
    }


def gone(state: str) -> dict[str, SafeString | str]:
    """The one cell of a row whose job does not exist any more."""
    words = element("span", _("removed"), class_="sr")
    return {"state": element("span", state_icon("gone"), words, data_state="gone", class_="mark")}


def mark(row: Any, state: str) -> SafeString:
    """The state's icon; with its word where the job left the list it stands in."""
    moved = row.state != state
    return element(
        "span",
        state_icon(seen_as(row), named=not moved),
        element("span", label(seen_as(row)), class_="moved") if moved else None,
        class_="mark",
        data_state=row.state,
        data_moved=moved,
    )


def detail(row: Any, state: str, *, payload: bool) -> SafeString | str:
    """The column that differs: progress while it runs, else its group, its last error, priority."""
    if row.state == "active":
        return progress(row.progress)
    if row.state == "waiting-children" and row.group:
        return waits_for(row)
    if row.state == "waiting-children" and not row.failed_reason:
        return element("span", _("its children"), class_="muted")
    if row.failed_reason and row.state != "completed":
        # A deadline that was missed tells nothing of what the job holds.
        how = ending_word(ending(row))
        if how and not payload:
            return element("b", how, class_="err-name")
        return error(row.failed_reason, how) if payload else hidden()
    if row.state == "prioritized":
        return join([element("span", _("Priority")), " ", number(row.priority)])
    if row.state == "completed" and row.progress not in (None, "", "0"):
        return progress(row.progress)
    return ""


def short_detail(row: Any, *, payload: bool) -> SafeString | str:
    """The second line of a row on a phone: group, the error's class, progress or worker."""
    if row.state == "waiting-children" and row.group:
        return clipped(row.group)
    if row.failed_reason and row.state != "completed" and payload:
        name, message = traces.split(row.failed_reason)
        return visible(name or message[:80])
    if row.state == "active":
        return progress(row.progress)
    return visible(row.processed_by or "")


def waits_for(row: Any) -> SafeString:
    """For what a job of a group waits in ``waiting-children``: its turn there, or its time."""
    words = _("due later, in the group") if row.delay_ms else _("its turn in the group")
    return join([element("span", words, class_="muted"), " ", element("b", clipped(row.group))])


def error(reason: str, how: str = "") -> SafeString:
    """The error's class, or how the run ended, in one line, its message in the next."""
    name, message = traces.split(reason)
    name = how or name
    first = visible(message.splitlines()[0] if message else "")
    if not name:
        return element("span", first, class_="err-text")
    return join(
        [element("b", visible(name), class_="err-name"), element("span", first, class_="err-text")]
    )


def hidden() -> SafeString:
    """Stands where a viewer may not see what a job holds."""
    return element("span", _("hidden"), class_="zero", title=_("Needs queuecore.view_payload"))


def progress(value: str | None) -> SafeString | str:
    """A bar for a number from 0 to 100 (or 0 to 1 as a fraction), else the value in one line."""
    if value in (None, "", "0"):
        return ""
    share = _share(value or "")
    if share is None:
        node = parse(value or "")
        return element("span", visible(brief(node, 60) if node else value), class_="mono muted")
    bar = element(
        "svg",
        element("rect", width="100%", height=6, rx=3, class_="bar-rest"),
        element("rect", width=f"{share:.0f}%", height=6, rx=3, class_="fill-accent"),
        width="100%",
        height=6,
        class_="meter",
        aria_hidden="true",
    )
    return element(
        "span",
        bar,
        element("span", f"{share:.0f}", element("u", "%"), class_="num"),
        class_="progress",
    )


def tries(row: Any) -> SafeString | str:
    """Attempts made of attempts allowed."""
    made = max(row.attempts_made or 0, row.attempts_started or 0)
    most = max(row.max_attempts or 1, 1)
    body = join([made, element("u", f"/{most}")])
    return element("span", body, class_="zero") if not made else body


def waited(row: Any) -> SafeString:
    """From added to started. Only the last start is kept, so after a retry nobody knows."""
    if row.processed_on is None or row.timestamp is None or (row.attempts_started or 0) > 1:
        return duration(None)
    return duration(
        (row.processed_on - row.timestamp).total_seconds() - row.initial_delay_ms / 1000
    )


def ran(row: Any) -> SafeString:
    """How long the last attempt ran; while it runs, since when."""
    if row.processed_on is None:
        return duration(None)
    if row.state == "active":
        return moment(row.processed_on, "run")
    if row.finished_on is None or row.finished_on < row.processed_on:
        return duration(None)
    return duration((row.finished_on - row.processed_on).total_seconds())


def time(row: Any, state: str) -> SafeString:
    """The moment the list is sorted by."""
    name, shown = TIMES.get(state, ("timestamp", "clock"))
    at: datetime | None = getattr(row, name)
    return moment(at, shown)


def chip(state: str) -> SafeString:
    """The state as the chip before a job's name."""
    return join([state_icon(state), element("span", label(state))])


def times(row: Any) -> SafeString:
    """The moments of a job and the spans between them."""
    shown = [
        (_("Added"), moment(row.timestamp, "date")),
        (_("Last start"), moment(row.processed_on, "date")),
    ]
    if row.finished_on:
        shown.append((label(row.state), moment(row.finished_on, "date")))
    if row.due and row.state == "delayed":
        shown.append((_("Due"), moment(row.due, "until")))
    shown += [(_("Waited"), waited(row)), (_("Ran"), ran(row))]
    return join(
        element("div", element("dt", word), element("dd", body, class_="num"))
        for word, body in shown
    )


def _share(value: str) -> float | None:
    try:
        number = json.loads(value)
    except ValueError:
        return None
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 100:
        return None
    return number * 100 if 0 < number < 1 else float(number)
