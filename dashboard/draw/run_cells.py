"""What is shown of a job's run: how it is worked and for how long it may be, and of its end."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from queuecore.fleet import Cancellation, FleetJob, FleetProcess

from .icons import icon
from .markup import element, join, phrase
from .values import duration, exact, moment, visible

_EXPIRED = re.compile(r"the job expired [0-9.e+]+ s before it was started")
_LATE = re.compile(r"the job ran longer than its timeout of [0-9.e+]+ s")


def kind(run: FleetJob | None) -> str:
    """What its processor is, in a word."""
    return {
        "coroutine": pgettext("kind of a processor", "Coroutine"),
        "thread": pgettext("kind of a processor", "Function in a thread"),
        "sandbox": pgettext("kind of a processor", "Sandbox"),
    }.get(run.kind if run else "", pgettext("kind of a processor", "Not told"))


def means(run: FleetJob | None) -> str:
    """What cancelling can do with a run."""
    if run is not None and run.batch > 1:
        return _(
            "It is one of a batch of %(count)s jobs, which are worked by one call: it is told, and "
            "the others go on. It ends when its processor asks whether it was cancelled."
        ) % {"count": exact(run.batch)}
    return {
        "coroutine": _("It is a coroutine: it is cancelled where it awaits."),
        "thread": _(
            "It is a function in a thread, which cannot be ended from outside: it is told, and "
            "goes on until it asks (job.cancelled, job.raise_if_cancelled())."
        ),
        "sandbox": _(
            "It runs in a process of its own: that is told, and killed if it does not end soon, "
            "with all that it has started."
        ),
    }.get(
        run.kind if run else "",
        _(
            "Its worker has not told how it runs: a coroutine is cancelled, a sandbox is killed, "
            "a function in a thread is told and goes on until it asks."
        ),
    )


def cancellation(found: Cancellation | None, run: FleetJob | None) -> SafeString:
    """The line that says that somebody wants the run to end, and what came of it."""
    if found is None:
        return element("div", id="job-cancel", hidden=True)
    asked = {
        "asked": _("%(user)s asked %(time)s ago to cancel this run: not yet heard."),
        "told": _("%(user)s asked %(time)s ago to cancel this run: heard, and not yet ended."),
        "missed": _("%(user)s asked %(time)s ago to cancel this run: nobody has heard it."),
        "late": _("%(user)s asked %(time)s ago to cancel the last run, which had ended by then."),
    }[found.state]
    user = element("b", visible(found.by) or _("Somebody"))
    line = phrase(asked, user=user, time=moment(found.at, "age"))
    more = {
        "asked": _("Its worker hears it with its next heartbeat, within two seconds as a rule."),
        "told": means(run),
        "missed": _("Its worker is away, or too busy to listen. Ask again, or stop the process."),
        "late": "",
    }[found.state]
    reason = f"“{visible(found.reason)}”" if found.reason else ""
    name = "warning" if found.state == "missed" else "cancel"
    return element(
        "div",
        icon(name, 16),
        element(
            "p",
            line,
            element("span", " ", reason, class_="cancel-reason") if reason else None,
            element("span", " ", more, class_="muted") if more else None,
        ),
        id="job-cancel",
        class_="cancel-note",
        data_cancel=found.state,
    )


def place(process: FleetProcess, run: FleetJob | None) -> SafeString:
    """Where it runs: ``web-1, process 4711``; of a sandbox its own process."""
    if run is not None and run.pid:
        words = _("%(host)s, process %(pid)s, in a sandbox with process %(child)s")
        child = str(run.pid)
    else:
        words, child = _("%(host)s, process %(pid)s"), ""
    given = {"host": visible(process.host), "pid": str(process.pid), "child": child}
    return join([words % given])


def facts(
    row: Any, now: datetime, process: FleetProcess | None, run: FleetJob | None
) -> SafeString:
    """What is known of the present run, and what else limits the job in time, as a list."""
    shown: list[tuple[str, Any]] = []
    own = row.timeout_ms / 1000 if row.timeout_ms else None
    if row.state == "active":
        limit = run.timeout_s if run is not None and run.timeout_s else own
        if limit and row.processed_on is not None:
            over = deadline(row, run)
            shown.append((_("Timeout"), _clock(over - timedelta(seconds=limit), over, limit, now)))
        if run is not None and run.kind:
            shown.append((_("Processor"), kind(run)))
        if process is not None:
            shown.append((_("Runs on"), place(process, run)))
        if run is not None and run.batch:
            words = _("one of a batch of %(count)s") % {"count": exact(run.batch)}
            shown.append((_("Batch"), words if run.batch > 1 else _("a batch of its own")))
    elif own:
        shown.append((_("Timeout"), phrase(_("%(time)s a try"), time=duration(own))))
    if row.expires is not None and row.state not in ("active", "completed", "failed"):
        if row.expires > now:
            words = phrase(_("in %(time)s"), time=moment(row.expires, "until"))
        else:
            words = element("span", _("over: it fails when a worker takes it"), class_="bad")
        shown.append((_("Expires"), words))
    pairs = [element("div", element("dt", word), element("dd", body)) for word, body in shown]
    return element("dl", pairs, id="job-run", class_="fact-list", hidden=not pairs)


def deadline(row: Any, run: FleetJob | None) -> Any:
    """When the time of the present run is over; None where it has no limit, or none is known."""
    if row.state != "active" or row.processed_on is None:
        return None
    if run is not None and run.until is not None:
        return run.until
    return row.processed_on + timedelta(milliseconds=row.timeout_ms) if row.timeout_ms else None


def _clock(start: datetime, over: datetime, limit: float, now: datetime) -> SafeString:
    """``12 s of 30 s``, ticking; red once it is over."""
    words = phrase(_("%(time)s of %(most)s"), time=moment(start, "run"), most=duration(limit))
    return element("span", words, class_="num bad" if now > over else "num")


def ending(row: Any) -> str:
    """How a run failed, where it was not its own code: ``expired``, ``late``; else empty."""
    if _EXPIRED.fullmatch(row.failed_reason):
        return "expired"
    return "late" if _LATE.fullmatch(row.failed_reason) else ""


def ending_word(how: str) -> str:
    """The same as a word, for lists."""
    return {"expired": _("Expired"), "late": _("Timed out")}.get(how, "")
