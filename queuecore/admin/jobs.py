"""The admin's list of the jobs of one queue and state, read by the range of the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from .. import access
from ..connected import hurried
from ..errors import ServerUnavailable
from ..inspect import STATES, Inspector, QueueSnapshot, aliases
from ..jsontext import covered
from ..visible import one_line
from . import job_actions, job_page, words
from .base import RedisAdmin, dashboard_url
from .rows import JobRows, Rows, job_object, key_of, parts_of

PER_PAGE = 100


@dataclass(slots=True)
class Shown:
    """What a list is about: a queue that may be seen, or none; the queues to choose among."""

    alias: str = ""
    queue: str = ""
    state: str = "waiting"
    snapshot: QueueSnapshot | None = None
    queues: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> str:
        """The queue's key."""
        return key_of(self.alias, self.queue)


class QueueFilter(admin.SimpleListFilter):
    """The queue whose jobs are shown: always one."""

    title = gettext_lazy("queue")
    parameter_name = "queue"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The queues that may be seen."""
        several = len(aliases()) > 1
        queues = model_admin.shown(request).queues
        return [(key_of(*one), words.where(*one, several=several)) for one in queues]

    def queryset(self, request: HttpRequest, queryset: Any) -> None:
        """The list itself has asked for it."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """One of them is always chosen: there is no list of the jobs of all queues."""
        for key, title in self.lookup_choices:
            yield {
                "selected": key == self.value(),
                "query_string": changelist.get_query_string({self.parameter_name: key}),
                "display": title,
            }


class StateFilter(admin.SimpleListFilter):
    """The state whose jobs are shown, each with its number."""

    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All states."""
        self.shown = model_admin.shown(request)
        if self.shown.snapshot is None:
            return [(one, words.state(one)) for one in STATES]
        counts = self.shown.snapshot.counts
        return [(one, f"{words.state(one)} ({words.number(counts[one])})") for one in STATES]

    def queryset(self, request: HttpRequest, queryset: Any) -> None:
        """The list itself has asked for it."""

    def choices(self, changelist: Any) -> Iterator[Any]:
        """One of them is always chosen."""
        for state, title in self.lookup_choices:
            yield {
                "selected": state == self.shown.state,
                "query_string": changelist.get_query_string({self.parameter_name: state}),
                "display": title,
            }


class JobAdmin(RedisAdmin):
    """The jobs of a queue in a state, in the order of that state."""

    needs = job_actions.NEEDS
    actions = job_actions.ACTIONS
    list_per_page = PER_PAGE
    list_filter = (StateFilter, QueueFilter)
    list_display = (
        "shown_id", "shown_name", "shown_state", "shown_added", "shown_moment", "shown_attempts",
        "shown_error",
    )  # fmt: skip
    list_display_links = ("shown_id",)
    search_fields = ("job_id",)
    search_help_text = gettext_lazy("The whole id of a job of this queue, in whatever state")
    sortable_by = ()

    @admin.display(description=gettext_lazy("id"))
    def shown_id(self, obj: Any) -> str:
        """Its id."""
        return _clipped(obj.job_id)

    @admin.display(description=gettext_lazy("name"))
    def shown_name(self, obj: Any) -> str:
        """Its name."""
        return _clipped(obj.name)

    @admin.display(description=gettext_lazy("state"))
    def shown_state(self, obj: Any) -> str:
        """Where it is."""
        return words.state(obj.row.state)

    @admin.display(description=gettext_lazy("added"))
    def shown_added(self, obj: Any) -> str:
        """When it was added."""
        return words.moment(obj.row.timestamp)

    @admin.display(description=gettext_lazy("due, started or ended"))
    def shown_moment(self, obj: Any) -> str:
        """When it is due, or was started, or has ended: by its state."""
        row = obj.row
        at = {
            "delayed": row.due,
            "active": row.processed_on,
            "completed": row.finished_on,
            "failed": row.finished_on,
        }
        return words.moment(at.get(row.state))

    @admin.display(description=gettext_lazy("attempts"))
    def shown_attempts(self, obj: Any) -> str:
        """Those that were made, of how many."""
        return f"{obj.row.attempts_made} / {obj.row.max_attempts or 1}"

    @admin.display(description=gettext_lazy("error"))
    def shown_error(self, obj: Any) -> str:
        """Why it has failed, where that may be seen."""
        if not obj.row.failed_reason:
            return words.DASH
        return _clipped(covered(obj.row.failed_reason), 120) if obj.payload else _("hidden")

    def where(self, obj: Any) -> tuple[str, str]:
        """Connection and queue."""
        return obj.connection, obj.queue

    def shown(self, request: HttpRequest) -> Shown:
        """What the address asks for; read once a request."""
        found: Shown | None = getattr(request, "queuecore_shown", None)
        if found is None:
            found = request.queuecore_shown = self._shown(request)  # type: ignore[attr-defined]
        return found

    def _shown(self, request: HttpRequest) -> Shown:
        state = request.GET.get("state", "")
        shown = Shown(state=state if state in STATES else STATES[0])
        scope = access.scope(request.user)
        parts = parts_of(request.GET.get("queue", ""), 2)
        queues: list[tuple[str, str]] = []
        for alias in aliases():
            inspector = Inspector(alias)
            try:
                # The list of queues looks for new ones; here it would come on top of each page.
                names = inspector.discover(scan=False if parts else None)
                queues += [(alias, name) for name in names if scope.allows(alias, name)]
                if parts is not None and parts[0] == alias and scope.allows(*parts):
                    shown.snapshot = inspector.snapshots([parts[1]])[parts[1]]
                    shown.alias, shown.queue = parts
            except ServerUnavailable as error:
                self.message_user(request, words.away(error, alias), messages.ERROR)
        shown.queues = tuple(queues)
        return shown

    def get_queryset(self, request: HttpRequest) -> Any:
        """The jobs of the chosen queue and state; none before one is chosen."""
        shown = self.shown(request)
        if shown.snapshot is None:
            return Rows()
        page = request.GET.get("p", "1")
        number = int(page) if page.isascii() and page.isdigit() and len(page) < 12 else 1
        place = (max(number - 1, 0) * self.list_per_page, self.list_per_page)
        job_id = request.GET.get("q", "").strip()
        rows = JobRows(shown.alias, shown.queue, shown.state, job_id, place)
        may = access.can(request.user, "view_payload", shown.alias, shown.queue)
        rows.prepare = lambda job: setattr(job, "payload", may)
        try:
            rows.count()
        except ServerUnavailable as error:
            self.message_user(request, words.away(error, shown.alias), messages.ERROR)
            return Rows()
        return rows

    @transaction.non_atomic_requests
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """The list; its title names the queue and the state."""
        with hurried():
            shown = self.shown(request) if self.has_view_permission(request) else Shown()
        title = _("Choose a queue")
        context: dict[str, Any] = {"title": title}
        if shown.queue:
            name = words.where(shown.alias, shown.queue, several=len(aliases()) > 1)
            context["title"] = _("Jobs of %(queue)s: %(state)s") % {
                "queue": name,
                "state": words.state(shown.state),
            }
        return super().changelist_view(request, context | (extra_context or {}))

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> Any:
        """The job of that key, if there is one in a queue that may be seen."""
        parts = parts_of(object_id, 3)
        if parts is None or parts[0] not in aliases():
            return None
        alias, queue, job_id = parts
        if not access.scope(request.user).allows(alias, queue):
            return None
        made = job_object(alias, queue, job_id)
        made.detail = None  # type: ignore[attr-defined]
        try:
            detail = Inspector(alias).job(queue, job_id)
        except ServerUnavailable as error:
            self.message_user(request, words.away(error, alias), messages.ERROR)
            return made
        if detail is None:
            return None
        made.name, made.detail = detail.row.name, detail  # type: ignore[attr-defined]
        return made

    @transaction.non_atomic_requests
    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of one job; nothing is changed by it."""
        with hurried():
            obj = self.get_object(request, unquote(object_id))
            if obj is None:
                return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]
            if request.method not in ("GET", "HEAD") or not self.has_view_permission(request, obj):
                raise PermissionDenied
            payload = access.can(request.user, "view_payload", *self.where(obj))
            parts = job_page.parts(self, request, obj, payload=payload)
        request.current_app = self.admin_site.name
        return TemplateResponse(
            request,
            "admin/queuecore/job.html",
            {
                **self.admin_site.each_context(request),
                "title": _("Job %(id)s") % {"id": _clipped(obj.job_id)},
                "subtitle": words.where(obj.connection, obj.queue, several=len(aliases()) > 1),
                "original": obj,
                "object_id": object_id,
                "add": False,
                "change": True,
                "has_view_permission": True,
                "opts": self.opts,
                "media": self.media,
                "choices": [(one, job_actions.LABELS[one]) for one in self.offered(request)],
                "checkbox": ACTION_CHECKBOX_NAME,
                "may_see": payload,
                "dashboard": dashboard_url("job", obj.connection, queue=obj.queue, job=obj.job_id),
                **parts,
                **(extra_context or {}),
            },
        )

    def aims(self, request: HttpRequest) -> list[tuple[str, str, str]]:
        """The jobs that were ticked, with their queue."""
        found = (parts_of(key, 3) for key in request.POST.getlist(ACTION_CHECKBOX_NAME)[:PER_PAGE])
        queues: dict[tuple[str, str], list[str]] = {}
        for parts in found:
            if parts is not None:
                queues.setdefault(parts[:2], []).append(parts[2])  # type: ignore[arg-type]
        return [(*queue, job_actions.target(ids)) for queue, ids in queues.items()]

    def has_retry_permission(self, request: HttpRequest) -> bool:
        """Whether jobs may be retried."""
        return self.holds(request, "retry")

    def has_promote_permission(self, request: HttpRequest) -> bool:
        """Whether delayed jobs may be promoted."""
        return self.holds(request, "promote")

    def has_remove_permission(self, request: HttpRequest) -> bool:
        """Whether jobs may be removed."""
        return self.holds(request, "remove")


def _clipped(text: str, most: int = 80) -> str:
    shown = one_line(text)
    return shown if len(shown) <= most else shown[: most - 1] + "…"
