"""The admin's records: which queues a group sees may be changed, what was done is there to be read.

The record shows what the Audit page shows: it needs ``queuecore.view_audit``, keeps to the queues
in the reader's scope, and nothing about it can be added, changed or deleted here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from .. import access
from ..audit_log import inside
from ..models import AuditEntry, Operation, QueueScope
from ..visible import one_line

if TYPE_CHECKING:
    _Scopes = admin.ModelAdmin[QueueScope]
    _ReadOnly = admin.ModelAdmin[Any]
else:
    _Scopes = _ReadOnly = admin.ModelAdmin


class QueueScopeAdmin(_Scopes):
    """Which queues the members of a group see."""

    list_display = ("group", "connection", "pattern")
    list_filter = ("group", "connection")
    search_fields = ("pattern", "group__name")
    list_select_related = ("group",)


class ReadOnlyAdmin(_ReadOnly):
    """Rows that can be read, and nothing else."""

    # To count a long record takes longer than to show a page of it.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: the record writes itself."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        """Never."""
        return False


class AuditEntryAdmin(ReadOnlyAdmin):
    """Everything that was done, the newest first."""

    list_display = (
        "number",
        "at",
        "actor",
        "ip",
        "action",
        "connection",
        "queue",
        "target",
        "phase",
        "outcome",
        "reason",
    )
    list_filter = ("phase", "outcome", "connection")
    search_fields = ("actor", "action", "queue", "record")
    ordering = ("-number",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEntry]:
        """The entries of the queues that the reader may see."""
        return super().get_queryset(request).filter(inside(access.scope(request.user)))

    def has_view_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        """Whether the reader may see the record, and this entry of it."""
        where = (obj.connection, obj.queue) if obj is not None and obj.queue else ()
        return access.can(request.user, "view_audit", *where)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the record is listed on the admin's first page."""
        return access.can(request.user, "view_audit")


class OperationAdmin(ReadOnlyAdmin):
    """Actions on many jobs, and how far they are; the dashboard pauses and aborts them."""

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

    def has_view_permission(self, request: HttpRequest, obj: Operation | None = None) -> bool:
        """Whether operations may be seen, and this one."""
        where = (obj.connection, obj.queue) if obj is not None else ()
        return access.can(request.user, "view", *where)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether they are listed on the admin's first page."""
        return access.can(request.user, "view")
