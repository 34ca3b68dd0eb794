"""What is done to queues: paused and resumed at once, the rest by operations.

Each asks first, says what it found, and keeps to the queues for which its permission is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import audit, operations, recorded
from ..inspect import aliases
from ..matching import Filter
from ..queue import Queue
from ..recorded import By
from . import words
from .asking import Answer, Question, Token, answered, ask, place
from .queue_forms import CleanAnswer, DrainAnswer, PauseAnswer

#: What each action asks for; operations ask for ``bulk``, too.
NEEDS = {
    "pause": ("pause_queue",),
    "resume": ("pause_queue",),
    "retry_failed": ("bulk", "retry"),
    "promote_delayed": ("bulk", "promote"),
    "clean": ("bulk", "clean_queue"),
    "drain": ("bulk", "clean_queue"),
}

#: What the buttons on a queue's own page are called.
LABELS = {
    "pause": gettext_lazy("Pause"),
    "resume": gettext_lazy("Resume"),
    "retry_failed": gettext_lazy("Retry all failed"),
    "promote_delayed": gettext_lazy("Promote all delayed"),
    "clean": gettext_lazy("Clean"),
    "drain": gettext_lazy("Drain"),
}

#: All plans of one page together count for about so many seconds.
_SECONDS = 2.0


@admin.action(permissions=["pause"], description=gettext_lazy("Pause selected queues"))
def pause(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Stop workers from taking further jobs; running ones go on."""
    form = PauseAnswer(request.POST if "confirm" in request.POST else None)
    keys = [one.pk for one in chosen]
    if (token := answered(request, "pause", keys, form)) is None:
        return ask(
            self,
            request,
            Question(
                action="pause",
                title=ngettext("Pause %(count)s queue", "Pause %(count)s queues", len(keys))
                % {"count": len(keys)},
                text=_("Workers take no further jobs until it is resumed. Running jobs go on."),
                verb=_("Pause"),
                lines=[(_name(one), _waiting(one)) for one in chosen],
                form=form,
                chosen=keys,
                warnings=_already(chosen, paused=True),
            ),
        )
    seconds = int(form.cleaned_data["ends"] or 0)
    until = timezone.now() + timedelta(seconds=seconds) if seconds else None

    def one(obj: Any, by: By) -> None:
        if until is not None and timezone.is_naive(until):  # USE_TZ=False
            recorded.pause(obj.connection, obj.name, by, timezone.make_aware(until))
        else:
            recorded.pause(obj.connection, obj.name, by, until)

    done = _each(self, request, "pause", chosen, token, form, one, _("Paused"))
    _say(self, request, ngettext("Paused %(count)s queue.", "Paused %(count)s queues.", done), done)
    return None


@admin.action(permissions=["resume"], description=gettext_lazy("Resume selected queues"))
def resume(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Let workers take jobs again."""
    form = Answer(request.POST if "confirm" in request.POST else None)
    keys = [one.pk for one in chosen]
    if (token := answered(request, "resume", keys, form)) is None:
        return ask(
            self,
            request,
            Question(
                action="resume",
                title=ngettext("Resume %(count)s queue", "Resume %(count)s queues", len(keys))
                % {"count": len(keys)},
                text=_("Workers take jobs again at once."),
                verb=_("Resume"),
                lines=[(_name(one), _waiting(one)) for one in chosen],
                form=form,
                chosen=keys,
                warnings=_already(chosen, paused=False),
            ),
        )

    def one(obj: Any, by: By) -> None:
        recorded.resume(obj.connection, obj.name, by)

    done = _each(self, request, "resume", chosen, token, form, one, _("Resumed"))
    _say(
        self, request, ngettext("Resumed %(count)s queue.", "Resumed %(count)s queues.", done), done
    )
    return None


@dataclass(frozen=True, slots=True)
class Bulk:
    """An operation on jobs of each queue: its action, which jobs, and the words of its page."""

    name: str
    action: str
    filter: Filter
    title: str
    text: str
    verb: str
    params: Mapping[str, Any] = field(default_factory=dict)
    danger: bool = False


@admin.action(
    permissions=["retry_failed"],
    description=gettext_lazy("Retry all failed jobs of selected queues"),
)
def retry_failed(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """All failed jobs wait again."""
    form = Answer(request.POST if "confirm" in request.POST else None)
    bulk = Bulk(
        "retry_failed",
        "retry",
        Filter("failed"),
        title=_("Retry all failed jobs"),
        text=_("They go back to waiting, the oldest first, with all of their attempts."),
        verb=_("Retry"),
    )
    return operate(self, request, chosen, bulk, form)


@admin.action(
    permissions=["promote_delayed"],
    description=gettext_lazy("Promote all delayed jobs of selected queues"),
)
def promote_delayed(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """All delayed jobs may run now."""
    form = Answer(request.POST if "confirm" in request.POST else None)
    bulk = Bulk(
        "promote_delayed",
        "promote",
        Filter("delayed"),
        title=_("Promote all delayed jobs"),
        text=_("They may run as soon as a worker is free, those due first at first."),
        verb=_("Promote"),
    )
    return operate(self, request, chosen, bulk, form)


@admin.action(permissions=["clean"], description=gettext_lazy("Clean selected queues"))
def clean(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Jobs of one state, older than so much, go for good."""
    answering = "state" in request.POST
    form = CleanAnswer(
        request.POST if answering else None, initial={"state": "completed", "age": "1d"}
    )
    state, age = form.choices["state"], form.choices["age"]
    word = "ended" if state in ("completed", "failed") else "age"
    bulk = Bulk(
        "clean",
        "clean",
        Filter.parse(state, f"{word}>{age}" if age else ""),
        title=_("Clean queues of jobs that are %(state)s") % {"state": words.state(state)},
        text=_("They go for good, the oldest first."),
        verb=_("Remove jobs"),
        danger=True,
    )
    return operate(self, request, chosen, bulk, form)


@admin.action(permissions=["drain"], description=gettext_lazy("Drain selected queues"))
def drain(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """Everything that waits goes for good."""
    several = len(chosen) != 1
    form = DrainAnswer(
        request.POST if "reason" in request.POST else None,
        wanted=str(len(chosen)) if several else chosen[0].name,
        several=several,
    )
    bulk = Bulk(
        "drain",
        "drain",
        Filter("waiting"),
        title=ngettext("Drain %(count)s queue", "Drain %(count)s queues", len(chosen))
        % {"count": len(chosen)},
        text=_("Everything that waits goes for good. What runs goes on."),
        verb=_("Drain"),
        params={"delayed": form.choices["delayed"] == "1"},
        danger=True,
    )
    return operate(self, request, chosen, bulk, form)


def operate(
    self: Any, request: HttpRequest, chosen: Any, bulk: Bulk, form: Answer
) -> HttpResponse | None:
    """Start an operation on each queue, once it was said how many jobs it would be done to."""
    keys = [one.pk for one in chosen]
    if (token := answered(request, bulk.name, keys, form)) is None:
        return ask(self, request, _counted(chosen, bulk, form))
    started: list[str] = []

    def one(obj: Any, by: By) -> None:
        facts = token.facts[obj.pk]
        made = operations.start(
            actor=by.actor,
            action=bulk.action,
            alias=obj.connection,
            queue=obj.name,
            filter=bulk.filter,
            bound_ms=int(facts["bound"]),
            planned=int(facts["count"]),
            params=bulk.params,
            reason=by.reason,
            ip=by.ip,
            once=by.once,
        )
        started.append(operation_link(self, made))

    done = _each(self, request, bulk.name, chosen, token, form, one, bulk.title)
    for link in started[:10]:
        say_started(self, request, link)
    if done > 10:
        text = ngettext("%(count)s operation started.", "%(count)s operations started.", done)
        _say(self, request, text, done)
    return None


def say_started(self: Any, request: HttpRequest, link: str) -> None:
    """Say that an operation was started, and where it can be watched."""
    text = _("Started: %(what)s. Workers carry it out bit by bit.")
    self.message_user(request, format_html(text.replace("%(what)s", "{}"), link), messages.SUCCESS)


def operation_link(self: Any, made: Any) -> str:
    """The operation as a link to its page."""
    url = reverse(
        "admin:queuecore_operation_change", args=[made.pk], current_app=self.admin_site.name
    )
    several = len(aliases()) > 1
    name = words.where(made.connection, made.queue, several=several)
    return format_html('<a href="{}">{} {}</a>', url, made.action, name)


def _counted(chosen: Any, bulk: Bulk, form: Answer) -> Question:
    facts, lines, total, guessed = {}, [], 0, False
    for obj in chosen:
        plan = operations.plan(
            Queue.existing(obj.name, obj.connection),
            bulk.action,
            bulk.filter,
            bulk.params,
            seconds=_SECONDS / len(chosen),
        )
        count = plan.tally.estimate
        facts[obj.pk] = {"bound": plan.bound_ms, "count": count}
        lines.append((_name(obj), jobs_words(count)))
        total += count
        guessed = guessed or not plan.tally.complete
    warnings = [] if total else [_("There are no such jobs now.")]
    if guessed:
        warnings.append(
            _("Not all jobs were counted: the numbers are estimates. All are looked at later.")
        )
    later = _("Jobs that arrive or end from now on are not touched.")
    return Question(
        action=bulk.name,
        title=f"{bulk.title} ({jobs_words(total)})",
        text=f"{bulk.text} {later}",
        verb=bulk.verb,
        lines=lines,
        form=form,
        chosen=[one.pk for one in chosen],
        facts=facts,
        warnings=warnings,
        danger=bulk.danger,
        possible=total > 0,
    )


def jobs_words(count: int) -> str:
    """So many jobs."""
    return ngettext("%(count)s job", "%(count)s jobs", count) % {"count": words.number(count)}


def _each(
    self: Any,
    request: HttpRequest,
    name: str,
    chosen: Any,
    token: Token,
    form: Answer,
    work: Callable[[Any, By], None],
    logged: str,
) -> int:
    """Do it to each queue, on record by itself; how many it was done to."""
    done = 0
    reason = form.cleaned_data["reason"]
    for obj in chosen:
        by = By(request.user, reason, audit.client_ip(request), f"{token.once}:{place(obj.pk)}")
        if self.act(request, name, lambda obj=obj, by=by: work(obj, by)):
            done += 1
            self.log_change(request, obj, f"{logged}. {reason}" if reason else f"{logged}.")
    return done


def _say(self: Any, request: HttpRequest, text: str, count: int) -> None:
    if count:
        self.message_user(request, text % {"count": words.number(count)}, messages.SUCCESS)


def _name(obj: Any) -> str:
    return words.where(obj.connection, obj.name, several=len(aliases()) > 1)


def _waiting(obj: Any) -> str:
    count = obj.snapshot.waiting
    text = ngettext("%(count)s job waits", "%(count)s jobs wait", count)
    return text % {"count": words.number(count)}


def _already(chosen: Any, *, paused: bool) -> list[str]:
    if all(one.paused == paused for one in chosen):
        return [_("It is paused already.") if paused else _("It is not paused.")]
    return []


ACTIONS = (pause, resume, retry_failed, promote_delayed, clean, drain)
