"""The admin's list of operations: how far they are; they are paused, resumed and aborted here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import access, audit, operations
from ..audit_log import inside
from ..errors import InvalidOption
from ..matching import Filter
from ..models import Operation
from ..recorded import By, recorded
from ..visible import one_line
from .asking import Answer, Question, answered, ask
from .base import RedisAdmin
from .queue_actions import jobs_words

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList

_VERBS: dict[str, Callable[[Operation, str], bool]] = {
    "pause_operation": lambda one, by: operations.pause(one),
    "resume_operation": lambda one, by: operations.resume(one),
    "abort_operation": operations.abort,
}


@admin.action(permissions=["bulk"], description=gettext_lazy("Pause selected operations"))
def pause_operation(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """They rest after the present chunk."""
    text = _("They rest after the present chunk, until somebody resumes them.")
    return _steer(self, request, "pause_operation", chosen, text, _("Pause"))


@admin.action(permissions=["bulk"], description=gettext_lazy("Resume selected operations"))
def resume_operation(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """They go on."""
    return _steer(self, request, "resume_operation", chosen, _("They go on."), _("Resume"))


@admin.action(permissions=["bulk"], description=gettext_lazy("Abort selected operations"))
def abort_operation(self: Any, request: HttpRequest, chosen: Any) -> HttpResponse | None:
    """They end after the present chunk."""
    text = _("They end after the present chunk. What was done stays done.")
    return _steer(self, request, "abort_operation", chosen, text, _("Abort"))


class OperationAdmin(RedisAdmin):
    """Actions on many jobs, and how far they are."""

    needs = dict.fromkeys(_VERBS, ("bulk",))
    actions = (pause_operation, resume_operation, abort_operation)
    list_display = (
        "id",
        "action",
        "connection",
        "shown_queue",
        "state",
        "status",
        "planned",
        "done",
        "skipped",
        "failed",
        "actor",
        "created_at",
        "ended_at",
    )
    list_filter = ("status", "action", "connection")
    search_fields = ("queue", "actor")
    ordering = ("-pk",)

    @admin.display(description=gettext_lazy("queue"), ordering="queue")
    def shown_queue(self, obj: Operation) -> str:
        """Its queue."""
        return one_line(obj.queue)

    def get_fields(self, request: HttpRequest, obj: Operation | None = None) -> Any:
        """All that says something, failures and filters where payloads may be seen."""
        may = access.can(request.user, "view_payload")
        inner = {"id", "record", "chunk", "stage", "place", "bound", "speed", "ran"}
        inner |= set() if may else {"failures", "query", "error"}
        return [one.name for one in self.opts.fields if one.name not in inner]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Operation]:
        """Those of the queues that the reader may see."""
        return super().get_queryset(request).filter(inside(access.scope(request.user)))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """An ordinary list: these rows are a table's."""
        from django.contrib.admin.views.main import ChangeList

        return ChangeList

    @transaction.non_atomic_requests
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """See :class:`RedisAdmin`."""
        return super().changelist_view(request, extra_context)

    def where(self, obj: Any) -> tuple[str, str]:
        """Connection and queue."""
        return obj.connection, obj.queue

    def record_name(self, name: str) -> str:
        """As it is called here."""
        return name

    def aims(self, request: HttpRequest) -> list[tuple[str, str, str]]:
        """The operations that were ticked."""
        keys = [key for key in request.POST.getlist(ACTION_CHECKBOX_NAME)[:100] if key.isdigit()]
        rows = self.get_queryset(request).filter(pk__in=keys)
        return [(one.connection, one.queue, str(one.pk)) for one in rows]

    def has_bulk_permission(self, request: HttpRequest) -> bool:
        """Whether operations may be steered."""
        return access.can(request.user, "bulk")


def _steer(
    self: Any, request: HttpRequest, name: str, chosen: Any, text: str, verb: str
) -> HttpResponse | None:
    rows = list(chosen[:100])
    keys = [str(one.pk) for one in rows]
    form = Answer(request.POST if "confirm" in request.POST else None)
    if (token := answered(request, name, keys, form)) is None:
        titles = {
            "pause_operation": ngettext(
                "Pause %(count)s operation", "Pause %(count)s operations", len(rows)
            ),
            "resume_operation": ngettext(
                "Resume %(count)s operation", "Resume %(count)s operations", len(rows)
            ),
            "abort_operation": ngettext(
                "Abort %(count)s operation", "Abort %(count)s operations", len(rows)
            ),
        }
        question = Question(
            action=name,
            title=titles[name] % {"count": len(rows)},
            text=text,
            verb=verb,
            lines=[
                (f"{one.pk} {one.action} {one_line(one.queue)}", jobs_words(one.planned))
                for one in rows
            ],
            form=form,
            chosen=keys,
            danger=name == "abort_operation",
        )
        return ask(self, request, question)
    done = 0
    reason = form.cleaned_data["reason"]
    for one in rows:
        by = By(request.user, reason, audit.client_ip(request), f"{token.once}:{one.pk}")
        changed: list[bool] = []

        def of_one(one: Operation = one, by: By = by, changed: list[bool] = changed) -> None:
            with recorded(
                by, name, _required(one), alias=one.connection, queue=one.queue, target=str(one.pk)
            ) as entry:
                changed.append(_VERBS[name](one, by.name))
                if not changed[0]:
                    entry.fail("not in a fitting state")

        if self.act(request, name, of_one) and changed[0]:
            done += 1
            self.log_change(request, one, f"{verb}. {reason}".strip())
    if done:
        words = ngettext("Done to %(count)s operation.", "Done to %(count)s operations.", done)
        self.message_user(request, words % {"count": done}, messages.SUCCESS)
    if done < len(rows):
        words = _("The others are not in a state in which that can be done.")
        self.message_user(request, words, messages.WARNING)
    return None


def _required(operation: Operation) -> tuple[str, ...]:
    """What steering it asks for: what it itself asks for."""
    try:
        filter = Filter.parse(operation.state, operation.query)
        return operations.required(operation.action, filter)
    except InvalidOption:  # of an action that is not known any more
        return ("bulk",)
