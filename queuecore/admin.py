"""Django's admin: which queues a group sees may be changed, the audit record is there to be read.

The record shows what the Audit page shows: it needs ``queuecore.view_audit``, keeps to the queues
in the reader's scope, and nothing about it can be added, changed or deleted here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from . import access
from .audit_log import inside
from .models import AuditEntry, QueueScope

if TYPE_CHECKING:
    _Scopes = admin.ModelAdmin[QueueScope]
    _Entries = admin.ModelAdmin[AuditEntry]
else:
    _Scopes = _Entries = admin.ModelAdmin


@admin.register(QueueScope)
class QueueScopeAdmin(_Scopes):
    """Which queues the members of a group see."""

    list_display = ("group", "connection", "pattern")
    list_filter = ("group", "connection")
    search_fields = ("pattern", "group__name")
    list_select_related = ("group",)


@admin.register(AuditEntry)
class AuditEntryAdmin(_Entries):
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
    # To count a long record takes longer than to show a page of it.
    show_full_result_count = False

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

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: the record writes itself."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AuditEntry | None = None) -> bool:
        """Never."""
        return False
