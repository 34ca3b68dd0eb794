"""What is done to jobs: to those that were ticked, or to all of a state by an operation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import audit, operations, recorded
from ..errors import InvalidOption
from ..inspect import Inspector
from ..matching import Filter
from ..queue import Queue
from ..recorded import By
from . import words
from .asking import Answer, Question, Token, answered, ask
from .queue_actions import jobs_words, operation_link, say_started
from .rows import JobRows

NEEDS = {"retry": ("retry",), "promote": ("promote",), "remove": ("remove",)}
#: What the buttons on a job's own page are called.
LABELS = {
    "retry": gettext_lazy("Retry"),
    "promote": gettext_lazy("Promote"),
    "remove": gettext_lazy("Remove"),
}
_FITTING = {
    "retry": ("failed", "completed"),
    "promote": ("delayed",),
    "remove": ("waiting", "prioritized", "delayed", "waiting-children", "completed", "failed"),
}
_SECONDS = 1.0


def target(ids: Sequence[str]) -> str:
    """Jobs as the record names them."""
    return ids[0] if len(ids) == 1 else json.dumps(list(ids), ensure_ascii=False)


@admin.action(permissions=["retry"], description=gettext_lazy("Retry selected jobs"))
def retry(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """They wait again, with all of their attempts."""
    return _act(self, request, "retry", chosen)


@admin.action(permissions=["promote"], description=gettext_lazy("Promote selected jobs"))
def promote(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """They may run now."""
    return _act(self, request, "promote", chosen)


@admin.action(permissions=["remove"], description=gettext_lazy("Remove selected jobs"))
def remove(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """They go for good."""
    return _act(self, request, "remove", chosen)


ACTIONS = (retry, promote, remove)


def _act(self: Any, request: HttpRequest, name: str, chosen: Any) -> HttpResponse | None:
    form = Answer(request.POST if "confirm" in request.POST else None)
    if isinstance(chosen, JobRows) and chosen.all:
        return _all(self, request, name, chosen, form)
    jobs = list(chosen)
    if not jobs:
        self.message_user(request, _("No job of this list was ticked."), messages.WARNING)
        return None
    keys = [job.key for job in jobs]
    if (token := answered(request, name, keys, form)) is None:
        return ask(self, request, _question(name, jobs, form))
    _ticked(self, request, name, jobs, token, form)
    return None


def _question(name: str, jobs: list[Any], form: Answer) -> Question:
    """How many of the ticked jobs fit, and what becomes of them."""
    alias, queue = jobs[0].connection, jobs[0].queue
    rows = Inspector(alias).rows(queue, [job.job_id for job in jobs])
    able = 0
    lines = []
    for job, row in zip(jobs, rows, strict=True):
        fits = row is not None and row.state in _FITTING[name]
        able += fits
        state = words.state(row.state) if row else _("gone")
        lines.append((f"{job.job_id} {row.name if row else ''}".strip(), state))
    skipped = len(jobs) - able
    warnings = []
    if skipped:
        text = ngettext(
            "%(count)s job is not in a fitting state and stays as it is.",
            "%(count)s jobs are not in a fitting state and stay as they are.",
            skipped,
        )
        warnings.append(text % {"count": skipped})
    return Question(
        action=name,
        title=_title(name, able),
        text=_text(name),
        verb=str(LABELS[name]),
        lines=lines,
        form=form,
        chosen=[job.key for job in jobs],
        warnings=warnings,
        danger=name == "remove",
        possible=able > 0,
    )


def _ticked(
    self: Any, request: HttpRequest, name: str, jobs: list[Any], token: Token, form: Answer
) -> None:
    """Do it to the ticked jobs: one action on record."""
    alias, queue = jobs[0].connection, jobs[0].queue
    reason = form.cleaned_data["reason"]
    by = By(request.user, reason, audit.client_ip(request), token.once)
    outcomes: list[recorded.Outcome] = []

    def work() -> None:
        outcomes.append(recorded.jobs(name, alias, queue, [job.job_id for job in jobs], by))

    if not self.act(request, name, work):
        return
    outcome = outcomes[0]
    done = [job for job in jobs if job.job_id not in outcome.refused]
    if done and name == "remove":
        self.log_deletions(request, done)
    for job in done if name != "remove" else ():
        text = _title(name, 1)
        self.log_change(request, job, f"{text}. {reason}" if reason else f"{text}.")
    if done:
        text = _done(name, len(done)) % {"count": words.number(len(done))}
        self.message_user(request, text, messages.SUCCESS)
    if outcome.refused:
        whys = sorted({words.refusal(error) for error in outcome.refused.values()})
        count = len(outcome.refused)
        text = ngettext("%(count)s job not: %(why)s", "%(count)s jobs not: %(why)s", count)
        self.message_user(request, text % {"count": count, "why": " ".join(whys)}, messages.ERROR)


def _all(
    self: Any, request: HttpRequest, name: str, rows: JobRows, form: Answer
) -> HttpResponse | None:
    """Do it to all jobs of the list's state, by an operation."""
    filter = Filter(rows.state)
    chosen = ["*", rows.alias, rows.queue, rows.state]
    queue = Queue.existing(rows.queue, rows.alias)
    token = answered(request, name, chosen, form)
    try:
        if token is None:
            plan = operations.plan(queue, name, filter, seconds=_SECONDS)
            count = plan.tally.estimate
            later = _("Jobs that arrive or end from now on are not touched.")
            question = Question(
                action=name,
                title=_title(name, count),
                text=f"{_text(name)} {later}",
                verb=str(LABELS[name]),
                lines=[(words.state(rows.state), jobs_words(count))],
                form=form,
                chosen=chosen,
                facts={"bound": plan.bound_ms, "count": count},
                danger=name == "remove",
                possible=count > 0,
            )
            return ask(self, request, question)
    except InvalidOption:
        text = _("This cannot be done to jobs that are %(state)s.")
        self.message_user(request, text % {"state": words.state(rows.state)}, messages.ERROR)
        return None
    reason = form.cleaned_data["reason"]
    made = []

    def work() -> None:
        made.append(
            operations.start(
                actor=request.user,
                action=name,
                alias=rows.alias,
                queue=rows.queue,
                filter=filter,
                bound_ms=int(token.facts["bound"]),
                planned=int(token.facts["count"]),
                reason=reason,
                ip=audit.client_ip(request),
                once=token.once,
            )
        )

    if self.act(request, name, work):
        self.log_change(request, made[0], f"{_title(name, made[0].planned)}. {reason}".strip())
        say_started(self, request, operation_link(self, made[0]))
    return None


def _title(name: str, count: int) -> str:
    text = {
        "retry": ngettext("Retry %(count)s job", "Retry %(count)s jobs", count),
        "promote": ngettext("Promote %(count)s job", "Promote %(count)s jobs", count),
        "remove": ngettext("Remove %(count)s job", "Remove %(count)s jobs", count),
    }[name]
    return text % {"count": words.number(count)}


def _text(name: str) -> str:
    return {
        "retry": _("They go back to waiting and start again at attempt 1."),
        "promote": _("They may run as soon as a worker is free."),
        "remove": _("They go for good, with their data, results and logs, and their children."),
    }[name]


def _done(name: str, count: int) -> str:
    return {
        "retry": ngettext("Retried %(count)s job.", "Retried %(count)s jobs.", count),
        "promote": ngettext("Promoted %(count)s job.", "Promoted %(count)s jobs.", count),
        "remove": ngettext("Removed %(count)s job.", "Removed %(count)s jobs.", count),
    }[name]
