"""The admin's records: which queues a group sees may be changed, what was done is there to be read.

The record shows what the Audit page shows: it needs ``queuecore.view_audit``, keeps to the queues
in the reader's scope, and nothing about it can be added, changed or deleted here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy

from .. import access
from ..audit_log import inside
from ..models import AuditEntry, QueueScope
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


def _shown(name: str, label: Any) -> Callable[[Any, AuditEntry], str]:
    """A column of text that is made visible."""

    @admin.display(description=label, ordering=name)
    def column(self: Any, obj: AuditEntry) -> str:
        return one_line(getattr(obj, name))

    return column


class AuditEntryAdmin(ReadOnlyAdmin):
    """Everything that was done, the newest first."""

    list_display = (
        "number",
        "at",
        "shown_actor",
        "ip",
        "action",
        "connection",
        "shown_queue",
        "shown_target",
        "phase",
        "outcome",
        "shown_reason",
    )
    fields = (
        "number", "at", "phase", "outcome", "action", "shown_actor", "actor_id", "ip", "connection",
        "shown_queue", "shown_target", "shown_params", "shown_reason", "shown_result", "record",
        "key_id", "previous", "mac",
    )  # fmt: skip
    list_filter = ("phase", "outcome", "connection")
    search_fields = ("actor", "action", "queue", "record")
    ordering = ("-number",)

    # Names and reasons are what somebody has typed, or what strangers call things.
    shown_actor = _shown("actor", gettext_lazy("who"))
    shown_queue = _shown("queue", gettext_lazy("queue"))
    shown_target = _shown("target", gettext_lazy("target"))
    shown_params = _shown("params", gettext_lazy("parameters"))
    shown_reason = _shown("reason", gettext_lazy("reason"))
    shown_result = _shown("result", gettext_lazy("result"))

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
