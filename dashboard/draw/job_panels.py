"""The larger live pieces of a job's page and of a queue's: error, result, log, story, workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from queuecore.jsontext import covered

from . import payload, story, traces
from .icons import icon
from .markup import element, join
from .values import DASH, clipped, exact, visible


def story_panel(
    row: Any, now: datetime, over: datetime | None = None, held: str = ""
) -> SafeString:
    """What happened so far, in a sentence and three lanes.

    *over*: when the run's time is; *held*: what keeps workers from a job that waits.
    """
    return element(
        "div",
        element("p", story.sentence(row, now, held), class_="sentence"),
        story.story(row, now, over),
        id="job-story",
        class_="panel story-panel",
    )


def gone_panel() -> SafeString:
    """What is left to say of a job that was removed while its page is open."""
    words = _("This job is gone: it was removed, or its retention ended. The rest was seen last.")
    return element(
        "div", element("p", words, class_="sentence"), id="job-story", class_="panel story-panel"
    )


def attempts(row: Any) -> SafeString:
    """``5 of 5``; how often it was recovered from a dead worker where that happened."""
    made = max(row.attempts_made or 0, row.attempts_started or 0)
    words = _("%(made)s of %(most)s") % {"made": made, "most": max(row.max_attempts or 1, 1)}
    if row.stalled_count:
        stalled = ngettext("%(count)s stall", "%(count)s stalls", row.stalled_count)
        words += ", " + stalled % {"count": row.stalled_count}
    return element("span", words, class_="num")


def group(row: Any, url: str, place: int | None) -> SafeString:
    """The group of a job and, while it waits there, how many are before it."""
    link = element("a", clipped(row.group), href=url)
    if place is None or row.state != "waiting-children":
        return link
    words = ngettext("after %(count)s other", "after %(count)s others", place)
    said = words % {"count": exact(place)} if place else _("next of its group")
    return join([link, ", ", element("span", said, class_="muted")])


def worker(row: Any) -> SafeString | str:
    """The worker that ran it last, by the name it was given."""
    if row.processed_by:
        return visible(row.processed_by)
    if row.processed_on is None:
        return DASH
    words = _("Jobs keep the name of their worker where it was given one.")
    return element("span", _("unnamed"), class_="muted", title=words)


def error_panel(job: Any) -> SafeString:
    """The last error with its trace; empty while the job has none."""
    if not job.failed_reason or job.row.state == "completed":
        return element("section", id="job-error", hidden=True)
    text = job.stacktrace[-1] if job.stacktrace else ""
    trace = traces.read(text) if text else None
    name, message = traces.split(job.failed_reason)
    number = max(job.row.attempts_made or 0, 1)
    return element(
        "section",
        element("h2", _("Error of attempt %(number)s") % {"number": number}),
        error_line(name, message),
        frames(trace) if trace and trace.groups else None,
        id="job-error",
        class_="panel error-panel",
        hx_disable=True,
    )


def error_line(name: str, message: str) -> SafeString:
    """The error's class in red, its message beside it."""
    return element(
        "p",
        element("b", visible(name), class_="bad") if name else None,
        " " if name else None,
        element("span", visible(message)),
        class_="error-line",
    )


def attempt(number: int, text: str, *, open_now: bool) -> SafeString:
    """One attempt's trace, folded to its error."""
    trace = traces.read(text)
    return element(
        "details",
        element(
            "summary",
            element("span", f"#{number}", class_="num muted"),
            " ",
            element("span", how, class_="badge badge-warn") if (how := _how(trace.error)) else None,
            " ",
            element("b", visible(trace.error), class_="bad") if trace.error else None,
            " ",
            element("span", visible(trace.message.splitlines()[0] if trace.message else "")),
        ),
        frames(trace)
        if trace.groups
        else element("pre", visible(covered(text)), class_="plain", tabindex="0"),
        class_="attempt",
        open=open_now,
        hx_disable=True,
    )


def _how(error: str) -> str:
    """What ended an attempt, where it was not its own code."""
    return {
        "JobExpired": _("Expired"),
        "JobTimedOut": _("Timed out"),
        "JobCancelled": _("Cancelled"),
    }.get(error.rpartition(".")[2], "")


def frames(trace: traces.Trace) -> SafeString:
    """The frames of a trace: the application's open, runs of libraries' folded."""
    return element("ol", [_group(group) for group in trace.groups], class_="frames", translate="no")


def _group(group: traces.FrameGroup) -> SafeString:
    if not group.library:
        return element("li", _frame(group.frames[0]))
    count = len(group.frames)
    words = ngettext("%(count)s frame in %(names)s", "%(count)s frames in %(names)s", count) % {
        "count": count,
        "names": visible(group.packages),
    }
    return element(
        "li",
        element(
            "details",
            element("summary", icon("right", 14), words),
            [_frame(frame) for frame in group.frames],
        ),
        class_="library",
    )


def _frame(frame: traces.Frame) -> SafeString:
    return element(
        "div",
        element(
            "div",
            element("code", visible(frame.short_file), title=visible(frame.file)),
            element("code", f":{frame.line}", class_="muted"),
            " ",
            element("span", visible(frame.name), class_="muted"),
            class_="frame-head",
        ),
        [
            element(
                "pre",
                element("span", frame.line if index == 0 else "", class_="line-no"),
                visible(line),
            )
            for index, line in enumerate(frame.code)
        ],
        class_="frame",
    )


def result_panel(job: Any) -> SafeString:
    """What the job returned; empty until it did."""
    if job.row.state != "completed" or job.returnvalue in (None, ""):
        return element("section", id="job-result", hidden=True)
    return element(
        "section",
        element("h2", _("Result")),
        payload.tree(job.returnvalue, job.returnvalue_size),
        id="job-result",
        class_="panel",
    )
