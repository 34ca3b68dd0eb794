"""Plans for one job that is changed: its priority, delay and data, a note, another one like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from queuecore import Job, Queue, access
from queuecore.inspect import Inspector
from queuecore.recipe import options_of

from .. import links, payload_form
from ..confirmations import Confirmation, ask
from ..draw.values import exact, size, visible
from .base import back_of, mount_of, snapshot_of

MOST_PRIORITY, MOST_DELAY, MOST_ATTEMPTS = 2_097_151, 315_360_000, 1_000_000
_FIELDS = "queuecore_dashboard/confirm/_job_fields.html"


class WrongValue(ValueError):
    """What was typed is no such value; the text says what to type instead."""


@dataclass(frozen=True, slots=True)
class Input:
    """One field of a form; ``kind`` is number, text, area or select."""

    name: str
    word: str
    value: str = ""
    kind: str = "number"
    least: str = "0"
    most: str = ""
    step: str = "1"
    hint: str = ""
    rows: int = 14
    starts: bool = False
    ends: bool = True
    choices: Sequence[tuple[str, str]] = ()


def priority_plan(
    request: HttpRequest, alias: str, queue: str, job_id: str, wrong: str = ""
) -> HttpResponse:
    """Ask for another priority."""
    access.require(request.user, "edit_job", alias, queue)
    row = _row(alias, queue, job_id)
    value = request.POST.get("priority", str(row.priority))
    field = Input("priority", _("Priority"), value, most=str(MOST_PRIORITY), starts=True)
    order = Input(
        "lifo",
        _("Among jobs of that priority"),
        request.POST.get("lifo", "0"),
        "select",
        choices=[("0", _("runs after them")), ("1", _("runs before them"))],
    )
    return _ask(
        request,
        "priority",
        alias,
        queue,
        job_id,
        title=_("Change the priority of job %(id)s") % {"id": visible(job_id)},
        text=_("0 is none and runs first; of the others the lower number runs earlier."),
        verb=_("Change priority"),
        inputs=[field, order],
        wrong=wrong,
    )


def delay_plan(
    request: HttpRequest, alias: str, queue: str, job_id: str, wrong: str = ""
) -> HttpResponse:
    """Ask for another delay, from now on."""
    access.require(request.user, "edit_job", alias, queue)
    row = _row(alias, queue, job_id)
    value = request.POST.get("delay", f"{row.delay_ms / 1000:g}")
    delayed = row.state == "delayed"
    return _ask(
        request,
        "delay",
        alias,
        queue,
        job_id,
        title=_("Change the delay of job %(id)s") % {"id": visible(job_id)},
        text=_("It is due so many seconds from now."),
        verb=_("Change delay"),
        inputs=[Input("delay", _("Seconds"), value, most=str(MOST_DELAY), step="any", starts=True)],
        wrong=wrong,
        warning="" if delayed else _("The job is not delayed, so it has no delay to change."),
        possible=delayed,
    )


def note_plan(
    request: HttpRequest, alias: str, queue: str, job_id: str, wrong: str = ""
) -> HttpResponse:
    """Ask for a line that is added to the job's log."""
    access.require(request.user, "edit_job", alias, queue)
    _row(alias, queue, job_id)
    return _ask(
        request,
        "note",
        alias,
        queue,
        job_id,
        title=_("Add a note to the log of job %(id)s") % {"id": visible(job_id)},
        text=_("One line for whoever reads the log next, under your name."),
        verb=_("Add note"),
        inputs=[
            Input("note", _("Note"), request.POST.get("note", "")[:1_000], "text", starts=True)
        ],
        wrong=wrong,
        reason=False,
    )


def data_plan(
    request: HttpRequest,
    alias: str,
    queue: str,
    job_id: str,
    wrong: str = "",
    facts: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """Show the data as JSON to be edited; *facts* are those of the form that was refused."""
    for permission in ("edit_job", "view_payload"):
        access.require(request.user, permission, alias, queue)
    job, text, warning = original(alias, queue, job_id)
    laid_out = payload_form.shown(text) if text is not None else None
    if text is not None and laid_out is None:
        warning = _("What the job holds is no JSON. What you save replaces all of it.")
    value = request.POST.get("data", laid_out or "")
    return _ask(
        request,
        "data",
        alias,
        queue,
        job_id,
        title=_("Edit the data of job %(id)s") % {"id": visible(job_id)},
        text=_(
            "A worker that runs the job now has read it already. Masked values stay as they are."
        ),
        verb=_("Save data"),
        inputs=[Input("data", _("Data as JSON"), value, "area")] if text is not None else [],
        wrong=wrong,
        warning=warning,
        possible=text is not None,
        facts=facts or {"digest": job.data_digest if job else ""},
    )


def duplicate_plan(
    request: HttpRequest, alias: str, queue: str, job_id: str, wrong: str = ""
) -> HttpResponse:
    """Ask what a new job like this one shall have instead."""
    for permission in ("add_job", "view_payload"):
        access.require(request.user, permission, alias, queue)
    job, text, warning = original(alias, queue, job_id)
    given: dict[str, Any] = dict(options_of(job.opts)) if job else {}
    kept = sorted(set(given) - {"priority", "delay", "attempts"})
    typed = request.POST
    laid_out = payload_form.shown(text) if text is not None else None

    def value(name: str, otherwise: Any) -> str:
        return str(typed.get(name, otherwise))

    inputs = [
        Input(
            "name", _("Name"), value("name", visible(job.name) if job else ""), "text", starts=True
        ),
        Input("data", _("Data as JSON"), value("data", laid_out or "null"), "area", rows=10),
        Input(
            "delay",
            _("Delay in seconds"),
            value("delay", "0"),
            most=str(MOST_DELAY),
            step="any",
            starts=True,
            ends=False,
        ),
        Input(
            "priority",
            _("Priority"),
            value("priority", given.get("priority", 0)),
            most=str(MOST_PRIORITY),
            ends=False,
        ),
        Input(
            "attempts",
            _("Attempts"),
            value("attempts", given.get("attempts", 1)),
            least="1",
            most=str(MOST_ATTEMPTS),
        ),
    ]
    text_of = _("A new job with an id of its own. It belongs to no flow and no scheduler.")
    if kept:
        text_of += " " + _("It keeps: %(options)s.") % {"options": ", ".join(kept)}
    return _ask(
        request,
        "duplicate",
        alias,
        queue,
        job_id,
        title=_("Duplicate job %(id)s") % {"id": visible(job_id)},
        text=text_of,
        verb=_("Add job"),
        inputs=inputs if text is not None else [],
        wrong=wrong,
        warning=warning,
        possible=text is not None,
    )


def original(alias: str, queue: str, job_id: str) -> tuple[Job | None, str | None, str]:
    """The job, its data as JSON text if it is short enough to be edited, and why it is not.

    Raises:
        Http404: there is no such job.
    """
    snapshot_of(alias, queue)
    row = _row(alias, queue, job_id)
    if row.data_size > payload_form.LONGEST:
        words = _("The data has %(size)s; up to %(most)s can be edited here.")
        given = {"size": size(row.data_size), "most": size(payload_form.LONGEST)}
        return None, None, words % given
    job = Queue.existing(queue, alias).get_job(job_id)
    if job is None:
        raise Http404("no such job")
    return job, Inspector(alias).value(queue, job_id, "data", payload_form.LONGEST)[0] or "", ""


def whole(text: str, least: int, most: int, word: str) -> int:
    """Read a whole number of a form.

    Raises:
        WrongValue: it is none, or too large or small.
    """
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most:
        return int(text)
    raise WrongValue(
        _("%(field)s must be a whole number from %(least)s to %(most)s.")
        % {"field": word, "least": least, "most": exact(most)}
    )


def seconds(text: str) -> float:
    """Read a number of seconds of a form.

    Raises:
        WrongValue: it is none, or too large.
    """
    try:
        value = float(text) if len(text) < 20 else -1.0
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_DELAY:
        raise WrongValue(_("The delay must be a number of seconds, from 0 to ten years."))
    return value


def _row(alias: str, queue: str, job_id: str) -> Any:
    row = Inspector(alias).rows(queue, [job_id])[0]
    if row is None:
        raise Http404("no such job")
    return row


def _ask(
    request: HttpRequest,
    action: str,
    alias: str,
    queue: str,
    job_id: str,
    *,
    title: str,
    text: str,
    verb: str,
    inputs: Sequence[Input],
    wrong: str,
    warning: str = "",
    possible: bool = True,
    reason: bool = True,
    facts: Mapping[str, Any] | None = None,
) -> HttpResponse:
    url = links.job_url(mount_of(request), alias, queue, job_id)
    return ask(
        request,
        Confirmation(
            action=action,
            url=f"{url}{action}/",
            title=title,
            text=text,
            verb=verb,
            icon="copy" if action == "duplicate" else "edit",
            alias=alias,
            queue=queue,
            target=job_id,
            warning=warning,
            possible=possible,
            reason=reason,
            facts=facts or {},
            choices=_FIELDS,
        ),
        back=back_of(request, url),
        inputs=inputs,
        wrong=wrong,
    )
