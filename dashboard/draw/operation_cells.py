"""What pages show of one operation: its words, its progress, its figures, cell by cell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from queuecore.matching import Filter
from queuecore.models import Operation

from .. import links
from .icons import icon
from .markup import element, join
from .states import jobs_of
from .values import DASH, duration, exact, moment, number, visible

#: Icons of actions; what is not known here has a general one.
ICONS = {
    "retry": "retry",
    "promote": "promote",
    "remove": "remove",
    "drain": "drain",
    "clean": "clean",
    "obliterate": "remove",
}
#: After so many seconds without news, nobody seems to run it.
SILENT_S = 20

_MARKS = {"paused": "pause", "done": "check", "aborted": "close", "failed": "failing"}
_CLASSES = {"done": "t-completed", "failed": "bad", "paused": "t-paused", "aborted": "muted"}


def word(action: str, state: str) -> str:
    """What is done, and to which jobs: "Retry failed jobs"."""
    known = {
        "retry": _("Retry %(jobs)s"),
        "promote": _("Promote %(jobs)s"),
        "remove": _("Remove %(jobs)s"),
        "clean": _("Clean %(jobs)s"),
        "drain": _("Drain the queue"),
        "obliterate": _("Obliterate the queue"),
    }
    text = known.get(action)
    if text is None:
        return visible(action.replace("_", " "))
    return text % {"jobs": jobs_of(state)} if "%(jobs)s" in text else text


def status_word(status: str) -> str:
    """The word of a status."""
    return {
        "waiting": _("Waiting to run"),
        "running": _("Running"),
        "paused": _("Paused"),
        "done": _("Done"),
        "aborted": _("Aborted"),
        "failed": _("Failed"),
    }.get(status, visible(status))


def why(code: str) -> str:
    """Why it could not be done to a job."""
    return {
        "running": _("A worker runs the job, or one of its children."),
        "scheduler": _("The job is the next run of a scheduler."),
        "gone": _("The id has no job any more."),
    }.get(code, visible(code))


def reveals(operation: Operation) -> bool:
    """Whether its filter tells something that only those may know who see payloads."""
    try:
        return Filter.parse(operation.state, operation.query).reveals
    except ValueError:
        return True


def filter_words(operation: Operation, payload: bool) -> SafeString:
    """The filter as it was written, for those who may know."""
    if not operation.query:
        return element("span", _("all of them"))
    if not payload and reveals(operation):
        return element("span", _("by what the error says"))
    return element("code", visible(operation.query))


def handled(operation: Operation) -> int:
    """How many jobs it has come to so far."""
    return operation.done + operation.skipped + operation.failed


def share(operation: Operation) -> float:
    """How much of it is done, of 1."""
    if operation.status == "done":
        return 1.0
    if not operation.planned:
        return 0.0
    return min(handled(operation) / operation.planned, 1.0)


def left_s(operation: Operation) -> float | None:
    """About how many seconds it will still take; None where nobody can tell."""
    if operation.status != "running" or not operation.speed:
        return None
    speed = min(operation.speed, operation.rate or operation.speed)
    return max(operation.planned - handled(operation), 0) / speed


def silent(operation: Operation, now: datetime) -> bool:
    """Whether no process seems to carry it out, though one should."""
    waits = operation.status in ("waiting", "running")
    return waits and now - operation.updated_at > timedelta(seconds=SILENT_S)


def cells(operation: Operation, now: datetime) -> dict[str, Any]:
    """The cells that change while it runs, by their names."""
    return {
        "status": status(operation, now),
        "bar": bar(operation),
        "share": element("span", f"{share(operation) * 100:.0f}", element("u", "%"))
        if operation.planned or handled(operation)
        else element("span", DASH, class_="zero"),
        "done": number(operation.done),
        "skipped": number(operation.skipped),
        "failed": element("span", number(operation.failed), class_="bad")
        if operation.failed
        else number(0),
        "rate": rate(operation),
        "time": time_left(operation),
    }


def status(operation: Operation, now: datetime) -> SafeString:
    """Icon and word; the page's buttons hang on the attribute."""
    lost = silent(operation, now)
    name = "warning" if lost else _MARKS.get(operation.status)
    text = _("No process runs it") if lost else status_word(operation.status)
    classes = "t-delayed" if lost else _CLASSES.get(operation.status, "")
    return element(
        "span",
        icon(name, 14) if name else element("span", class_="op-pulse", aria_hidden="true"),
        text,
        class_=f"op-status with-icon {classes}".rstrip(),
        data_status=operation.status,
    )


def bar(operation: Operation) -> SafeString:
    """Progress: what was done, what could not be done, what was passed over."""
    # It is full when it is done: fewer jobs than planned were there still.
    planned = 0 if operation.status == "done" else operation.planned
    whole = max(planned, handled(operation), 1)
    parts = [
        ("op-done", operation.done),
        ("op-failed", operation.failed),
        ("op-skipped", operation.skipped),
    ]
    body, x = [element("rect", width="100%", height="100%", rx=4, class_="bar-rest")], 0.0
    for name, count in parts:
        if count:
            width = 100 * count / whole
            body.append(
                element(
                    "rect",
                    x=f"{x:.2f}%",
                    width=f"{width:.2f}%",
                    height="100%",
                    rx=4,
                    class_=name,
                    fill="url(#hatch)" if name == "op-failed" else None,
                )
            )
            x += width
    text = _("%(handled)s of about %(planned)s") % {
        "handled": exact(handled(operation)),
        "planned": exact(operation.planned),
    }
    return element("svg", body, class_="op-bar", height=8, role="img", aria_label=text)


def rate(operation: Operation) -> SafeString:
    """Jobs a second: as measured now, or over all the time it ran once it has ended."""
    if operation.status == "running":
        value = operation.speed
    elif operation.ended_at and operation.ran >= 0.5:
        value = handled(operation) / operation.ran
    else:
        value = 0.0
    if not value:
        return element("span", DASH, class_="zero")
    return number(round(value) if value >= 10 else value, _("/s"))


def time_left(operation: Operation) -> SafeString:
    """What it will still take, or what it has taken."""
    left = left_s(operation)
    if left is not None:
        return join([element("u", "≈ "), duration(left)])
    if operation.started_at and operation.ended_at:
        return duration(operation.ran)
    return element("span", DASH, class_="zero")


def at_ms(ms: int) -> SafeString:
    """A moment of the server's clock."""
    return moment(datetime.fromtimestamp(ms / 1000, UTC), "date")


def options(operation: Operation) -> list[str]:
    """What was chosen beside the filter, in words."""
    given, words = operation.params, []
    if given.get("reset") is False:
        words.append(_("attempts made are kept"))
    elif given.get("reset"):
        words.append(_("starts again at attempt 1"))
    if given.get("children") is False:
        words.append(_("without children"))
    if given.get("delayed"):
        words.append(_("delayed ones, too"))
    if given.get("force"):
        words.append(_("running ones, too"))
    if maximum := given.get("maximum"):
        words.append(_("at most %(count)s") % {"count": exact(maximum)})
    return words


def note(operation: Operation, now: datetime) -> SafeString:
    """A sentence about what is unusual; nothing where nothing is."""
    text = ""
    if silent(operation, now):
        text = _(
            "No process has gone on with it for a while. Operations run in web processes and in "
            "runworker: start one that reaches this Redis, and it goes on where it stopped."
        )
    elif operation.status == "failed":
        text = _("It was stopped: %(why)s") % {"why": visible(operation.error)}
    elif operation.status == "aborted" and operation.error:
        text = _("Aborted by %(who)s. What was done stays done.") % {
            "who": visible(operation.error)
        }
    elif operation.status == "paused":
        text = _("It rests where it is until somebody resumes it.")
    if not text:
        return join([])
    quiet = operation.status in ("paused", "aborted")
    return element("span", icon("info" if quiet else "warning"), element("span", text))


def begun(operation: Operation) -> SafeString:
    """When it began to run, and when it ended."""
    if operation.started_at is None:
        return element("span", DASH, class_="zero")
    begin = moment(operation.started_at, "date")
    return join([begin, " – ", moment(operation.ended_at)]) if operation.ended_at else begin


def running(found: list[Operation], mount: str, now: datetime) -> SafeString:
    """The list of a panel: each operation that is not over, with its progress."""
    return element(
        "ul",
        [
            element(
                "li",
                element(
                    "a",
                    word(one.action, one.state),
                    href=links.operation_url(mount, one.pk),
                ),
                element("span", visible(one.queue), class_="op-queue"),
                status(one, now) if one.status != "running" or silent(one, now) else None,
                element("span", bar(one), class_="op-line"),
                element(
                    "span",
                    _("%(handled)s of %(planned)s")
                    % {"handled": exact(handled(one)), "planned": exact(one.planned)},
                    join([" · ", time_left(one)]) if left_s(one) is not None else None,
                    class_="op-count num",
                ),
            )
            for one in found
        ]
        or element(
            "li",
            element("span", _("None runs now.")),
            element(
                "span",
                _("What a list of jobs, or a queue, is asked to do with many jobs runs here."),
                class_="op-hint",
            ),
            class_="op-none",
        ),
        class_="op-list",
    )
