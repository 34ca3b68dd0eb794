"""The admin's list of queues, and the page of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import access
from ..connected import hurried
from ..errors import ServerUnavailable
from ..inspect import STATES, Inspector, QueueSnapshot, aliases
from ..models import Queue
from ..visible import visible
from . import queue_actions, words
from .base import RedisAdmin, dashboard_url
from .rows import Rows, parts_of, queue_object

#: The states in about the order of `manage.py queues`: what is looked for first comes first.
_COLUMNS = (
    "waiting", "active", "delayed", "failed", "completed", "prioritized", "waiting_children",
)  # fmt: skip


class ConnectionFilter(admin.SimpleListFilter):
    """The queues of one connection, where there are several."""

    title = gettext_lazy("connection")
    parameter_name = "connection"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The connections."""
        return [(one, visible(one)) for one in aliases()] if len(aliases()) > 1 else []

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those of the chosen one."""
        value = self.value()
        return Rows(one for one in queryset if not value or one.connection == value)


class PausedFilter(admin.SimpleListFilter):
    """The queues that are paused, or are not."""

    title = gettext_lazy("paused")
    parameter_name = "paused"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Both."""
        return [("1", gettext_lazy("Yes")), ("0", gettext_lazy("No"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those that are."""
        value = self.value()
        return Rows(
            one for one in queryset if value not in ("0", "1") or one.paused == (value == "1")
        )


def _counted(state: str) -> Callable[[RedisAdmin, Any], str]:
    """The column with the number of jobs in *state*: the way to their list."""

    @admin.display(description=words.STATES[state], ordering=state)
    def column(self: RedisAdmin, obj: Any) -> str:
        count = obj.snapshot.counts[state]
        if not count:
            return "0"
        return format_html(
            '<a href="{}">{}</a>', jobs_url(self, obj.pk, state), words.number(count)
        )

    return column


def jobs_url(self: RedisAdmin, key: str, state: str) -> str:
    """The address of the jobs of a queue in a state."""
    at = reverse("admin:queuecore_job_changelist", current_app=self.admin_site.name)
    return f"{at}?{urlencode({'queue': key, 'state': state})}"


class QueueAdmin(RedisAdmin):
    """All queues that may be seen, with their numbers and what can be done to them."""

    needs = queue_actions.NEEDS
    actions = queue_actions.ACTIONS
    list_filter = (ConnectionFilter, PausedFilter)
    search_fields = ("name",)
    search_help_text = gettext_lazy("A part of a queue's name")
    ordering = ("connection", "name")
    list_display_links = ("shown_name",)

    waiting = _counted("waiting")
    prioritized = _counted("prioritized")
    active = _counted("active")
    delayed = _counted("delayed")
    waiting_children = _counted("waiting-children")
    completed = _counted("completed")
    failed = _counted("failed")

    def get_list_display(self, request: HttpRequest) -> Any:
        """The columns; the connection is told where there are several."""
        connection = ("shown_connection",) if len(aliases()) > 1 else ()
        return ("shown_name", *connection, "shown_pause", *_COLUMNS)

    @admin.display(description=gettext_lazy("name"), ordering="name")
    def shown_name(self, obj: Any) -> str:
        """How it is called."""
        return visible(obj.name)

    @admin.display(description=gettext_lazy("connection"), ordering="connection")
    def shown_connection(self, obj: Any) -> str:
        """Where it is."""
        return visible(obj.connection)

    @admin.display(description=gettext_lazy("paused"), ordering="paused")
    def shown_pause(self, obj: Any) -> str:
        """Whether it is paused, and why."""
        if not obj.paused:
            return words.DASH
        why = obj.snapshot.pause.reason if obj.snapshot.pause else ""
        return f"{_('Paused')}: {visible(why)}" if why else _("Paused")

    def where(self, obj: Any) -> tuple[str, str]:
        """Connection and name."""
        return obj.connection, obj.name

    def get_queryset(self, request: HttpRequest) -> Any:
        """The queues that the reader may see; a connection that is away is told of."""
        scope = access.scope(request.user)
        found: list[Queue] = []
        for alias in aliases():
            try:
                inspector = Inspector(alias)
                names = [name for name in inspector.discover() if scope.allows(alias, name)]
                snapshots = inspector.snapshots(names)
            except ServerUnavailable as error:
                self.message_user(request, words.away(error, alias), messages.ERROR)
                continue
            found += [_object(alias, name, snapshots[name]) for name in names]
        return Rows(found)

    def arranged(self, rows: Any, query: str, order: list[tuple[str, bool]]) -> Any:
        """Those with the text in their names, sorted by the columns."""
        found = [one for one in rows if query.lower() in one.name.lower()]
        for attribute, backwards in reversed(order or [("name", False)]):
            found.sort(key=lambda one: _value(one, attribute), reverse=backwards)
        return Rows(found)

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """The queue of that key, if there is one that may be seen."""
        parts = parts_of(object_id, 2)
        if parts is None or parts[0] not in aliases():
            return None
        if not access.scope(request.user).allows(*parts):
            return None
        try:
            snapshot = Inspector(parts[0]).snapshots([parts[1]])[parts[1]]
        except ServerUnavailable as error:
            self.message_user(request, words.away(error, parts[0]), messages.ERROR)
            return queue_object(parts[0], parts[1])
        return _object(parts[0], parts[1], snapshot) if snapshot.exists else None

    @transaction.non_atomic_requests
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of one queue: its numbers and its actions; nothing is changed by it."""
        with hurried():
            obj = self.get_object(request, unquote(object_id))
            if obj is None:
                return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
        if request.method not in ("GET", "HEAD") or not self.has_view_permission(request, obj):
            raise PermissionDenied
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            "admin/queuecore/queue.html",
            {
                **self.admin_site.each_context(request),
                "title": words.where(obj.connection, obj.name, several=len(aliases()) > 1),
                "subtitle": None,
                "original": obj,
                "object_id": object_id,
                "add": False,
                "change": True,
                "has_view_permission": True,
                "opts": self.opts,
                "media": self.media,
                "facts": list(_facts(obj.snapshot)) if obj.snapshot else [],
                "counts": [
                    (words.state(state), words.number(count), jobs_url(self, obj.pk, state))
                    for state, count in (obj.snapshot.counts.items() if obj.snapshot else ())
                ],
                "choices": [(one, queue_actions.LABELS[one]) for one in self.offered(request)],
                "checkbox": ACTION_CHECKBOX_NAME,
                "dashboard": dashboard_url("queue", obj.connection, queue=obj.name),
                **(extra_context or {}),
            },
        )

    def response_action(self, request: HttpRequest, queryset: Any, *more: Any, **named: Any) -> Any:
        """An action, unless none of the ticked queues is there any more, or none can be reached."""
        ticked = request.POST.getlist(ACTION_CHECKBOX_NAME)
        if request.POST.get("select_across") != "1" and not queryset.filter(pk__in=ticked):
            text = _("None of the queues that were ticked is to be found.")
            self.message_user(request, text, messages.WARNING)
            return None
        return super().response_action(request, queryset, *more, **named)

    def aims(self, request: HttpRequest) -> list[tuple[str, str, str]]:
        """The queues that were ticked."""
        found = (parts_of(key, 2) for key in request.POST.getlist(ACTION_CHECKBOX_NAME)[:100])
        return [(*parts, "") for parts in found if parts is not None]  # type: ignore[misc]

    def has_pause_permission(self, request: HttpRequest) -> bool:
        """Whether queues may be paused."""
        return self.holds(request, "pause")

    def has_resume_permission(self, request: HttpRequest) -> bool:
        """Whether queues may be resumed."""
        return self.holds(request, "resume")

    def has_retry_failed_permission(self, request: HttpRequest) -> bool:
        """Whether all failed jobs may be retried."""
        return self.holds(request, "retry_failed")

    def has_promote_delayed_permission(self, request: HttpRequest) -> bool:
        """Whether all delayed jobs may be promoted."""
        return self.holds(request, "promote_delayed")

    def has_clean_permission(self, request: HttpRequest) -> bool:
        """Whether queues may be cleaned."""
        return self.holds(request, "clean")

    def has_drain_permission(self, request: HttpRequest) -> bool:
        """Whether queues may be drained."""
        return self.holds(request, "drain")


def _object(alias: str, name: str, snapshot: QueueSnapshot) -> Queue:
    made = queue_object(alias, name, snapshot)
    made.paused = snapshot.paused  # type: ignore[attr-defined]
    return made


def _value(obj: Any, attribute: str) -> Any:
    if attribute in STATES:
        return obj.snapshot.counts[attribute]
    return getattr(obj, attribute)


def _facts(snapshot: QueueSnapshot) -> Iterator[tuple[str, str]]:
    """What is known of a queue beside its numbers."""
    if snapshot.paused:
        pause = snapshot.pause
        yield _("Paused since"), words.moment(pause.since if pause else None)
        if pause and pause.by:
            yield _("Paused by"), visible(pause.by)
        if pause and pause.reason:
            yield _("Reason"), visible(pause.reason)
        if pause and pause.until:
            yield _("Resumed at"), words.moment(pause.until)
    if snapshot.oldest_wait:
        yield _("The oldest waits since"), words.moment(snapshot.oldest_wait)
    if snapshot.next_delayed:
        yield _("The next delayed is due"), words.moment(snapshot.next_delayed)
    if snapshot.concurrency:
        yield _("Running at once at most"), words.number(snapshot.concurrency)
    if snapshot.version:
        yield _("Last used by"), visible(snapshot.version)
