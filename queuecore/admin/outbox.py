"""The admin's list of jobs that were added in transactions and are not in Redis yet."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from .. import access, audit, outbox
from ..audit_log import inside
from ..jsontext import covered
from ..models import OutboxEntry
from ..recorded import By, recorded
from ..visible import one_line, visible
from . import words
from .asking import Answer, Question, answered, ask, place
from .base import RedisAdmin
from .job_page import laid_out
from .rows import key_of

if TYPE_CHECKING:
    from django.contrib.admin.views.main import ChangeList


class AsideFilter(admin.SimpleListFilter):
    """Those that wait, or that were set aside."""

    title = gettext_lazy("set aside")
    parameter_name = "aside"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Both."""
        return [("1", gettext_lazy("Yes")), ("0", gettext_lazy("No"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        """Those that are."""
        if self.value() not in ("0", "1"):
            return None
        return queryset.filter(failed_at__isnull=self.value() == "0")


@admin.action(permissions=["retry"], description=gettext_lazy("Let the relay try selected again"))
def retry(self: Any, request: HttpRequest, chosen: QuerySet[OutboxEntry]) -> HttpResponse | None:
    """Rows that were set aside are tried again."""
    return _act(self, request, "retry", chosen)


@admin.action(permissions=["remove"], description=gettext_lazy("Give up selected jobs"))
def remove(self: Any, request: HttpRequest, chosen: QuerySet[OutboxEntry]) -> HttpResponse | None:
    """Rows that were set aside are deleted."""
    return _act(self, request, "remove", chosen)


class OutboxEntryAdmin(RedisAdmin):
    """Jobs on their way: read-only, and those that were set aside can be tried again."""

    needs = {"retry": ("retry",), "remove": ("remove",)}  # noqa: RUF012
    actions = (retry, remove)
    list_display = (
        "id", "shown_queue", "shown_name", "shown_job", "created_at", "tries", "failed_at",
        "shown_error",
    )  # fmt: skip
    list_filter = (AsideFilter, "connection")
    search_fields = ("=job_id", "queue")
    ordering = ("pk",)
    fields = (
        "connection", "queue", "name", "job_id", "created_at", "tries", "failed_at", "shown_error",
        "shown_options", "shown_data",
    )  # fmt: skip
    readonly_fields = fields

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """An ordinary list: these rows are a table's."""
        from django.contrib.admin.views.main import ChangeList

        return ChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Those of queues that may be seen."""
        rows = OutboxEntry.objects.order_by("pk")
        scope = access.scope(request.user)
        return rows if scope.patterns is None else rows.filter(inside(scope))

    def where(self, obj: Any) -> tuple[str, str]:
        """Connection and queue."""
        return obj.connection, obj.queue

    @admin.display(description=gettext_lazy("queue"), ordering="queue")
    def shown_queue(self, obj: OutboxEntry) -> str:
        """Where it is going."""
        return visible(f"{obj.connection}/{obj.queue}")

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def shown_name(self, obj: OutboxEntry) -> str:
        """Its name."""
        return one_line(obj.name)[:80]

    @admin.display(description=gettext_lazy("job id"))
    def shown_job(self, obj: OutboxEntry) -> str:
        """Its id."""
        return one_line(obj.job_id)[:80]

    @admin.display(description=gettext_lazy("error"))
    def shown_error(self, obj: OutboxEntry) -> str:
        """Why it could not be added."""
        return one_line(covered(obj.error))[:200] or words.DASH

    @admin.display(description=gettext_lazy("options"))
    def shown_options(self, obj: OutboxEntry) -> str:
        """Its options."""
        return laid_out(obj.options)

    @admin.display(description=gettext_lazy("data"))
    def shown_data(self, obj: OutboxEntry) -> str:
        """Its data, where that may be seen."""
        return laid_out(obj.data)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Without the data where that may not be seen."""
        where = self.where(obj) if obj is not None else ()
        may = access.can(request.user, "view_payload", *where)
        hidden = () if may else ("shown_data", "shown_error")
        return tuple(name for name in self.fields if name not in hidden)

    def get_list_display(self, request: HttpRequest) -> Any:
        """Without errors where payloads may not be seen."""
        may = access.can(request.user, "view_payload")
        return self.list_display if may else self.list_display[:-1]

    @transaction.non_atomic_requests
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """See :class:`RedisAdmin`."""
        return super().changelist_view(request, extra_context)

    def record_name(self, name: str) -> str:
        """Not as what is done to jobs in Redis."""
        return f"{name}_outbox"

    def aims(self, request: HttpRequest) -> list[tuple[str, str, str]]:
        """The rows that were ticked."""
        keys = [key for key in request.POST.getlist("_selected_action")[:100] if key.isdigit()]
        rows = self.get_queryset(request).filter(pk__in=keys)
        return [(one.connection, one.queue, one.job_id) for one in rows]

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether rows may be tried again."""
        return self.holds(request, "retry")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Whether rows may be given up."""
        return self.holds(request, "remove")


def _act(
    self: Any, request: HttpRequest, name: str, chosen: QuerySet[OutboxEntry]
) -> HttpResponse | None:
    rows = list(chosen.filter(Q(failed_at__isnull=False))[:1_000])
    if not rows:
        self.message_user(request, _("None of them is set aside."), messages.WARNING)
        return None
    form = Answer(request.POST if "confirm" in request.POST else None)
    keys = [str(row.pk) for row in rows]
    if (token := answered(request, name, keys, form)) is None:
        texts = {
            "retry": _("The relay tries to add them again, as if they were new."),
            "remove": _("They are deleted from the outbox and never run."),
        }
        titles = {
            "retry": ngettext("Try %(count)s job again", "Try %(count)s jobs again", len(rows)),
            "remove": ngettext("Give up %(count)s job", "Give up %(count)s jobs", len(rows)),
        }
        question = Question(
            action=name,
            title=titles[name] % {"count": len(rows)},
            text=texts[name],
            verb={"retry": _("Try again"), "remove": _("Give up")}[name],
            lines=[(one_line(str(row)), str(row.pk)) for row in rows],
            form=form,
            chosen=keys,
            danger=name == "remove",
        )
        return ask(self, request, question)
    work = {"retry": outbox.retry, "remove": outbox.discard}[name]
    queues: dict[tuple[str, str], list[OutboxEntry]] = {}
    for row in rows:
        queues.setdefault((row.connection, row.queue), []).append(row)
    done = 0
    reason = form.cleaned_data["reason"]
    for (alias, queue), some in queues.items():
        once = f"{token.once}:{place(key_of(alias, queue))}"
        by = By(request.user, reason, audit.client_ip(request), once)
        target = json.dumps([row.job_id for row in some], ensure_ascii=False)

        def of_queue(
            by: By = by, alias: str = alias, queue: str = queue, target: str = target,
            some: list[OutboxEntry] = some,
        ) -> None:  # fmt: skip
            with recorded(
                by, f"{name}_outbox", self.needs[name], alias=alias, queue=queue, target=target
            ) as entry:
                entry.result(count=work([row.pk for row in some], OutboxEntry.objects.db))

        if self.act(request, name, of_queue):
            done += len(some)
            for row in some:
                self.log_change(request, row, f"{name}. {reason}".strip())
    if done:
        text = ngettext("Done to %(count)s job.", "Done to %(count)s jobs.", done)
        self.message_user(request, text % {"count": done}, messages.SUCCESS)
    return None
