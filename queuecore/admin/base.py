"""Base: what the lists of queues and of jobs share, beside what Django's admin does itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, ChangeList
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.csrf import csrf_protect

from .. import access, audit
from ..connected import hurried
from ..errors import QueueCoreError, ServerUnavailable
from ..recorded import By, recorded
from . import words

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
    _ChangeList = ChangeList
else:
    _Admin, _ChangeList = admin.ModelAdmin, ChangeList


class RowsChangeList(_ChangeList):
    """A list whose rows are no table's: filters pick among them, columns sort them in memory."""

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> Any:
        """The rows that the filters leave."""
        (self.filter_specs, self.has_filters, remaining, _, self.has_active_filters) = (
            self.get_filters(request)
        )
        if remaining:
            raise IncorrectLookupParameters(f"there is nothing to filter by {sorted(remaining)}")
        rows: Any = self.root_queryset
        for spec in self.filter_specs:
            found = spec.queryset(request, rows)
            rows = rows if found is None else found
        self.clear_all_filters_qs = self.get_query_string(remove=self.get_filters_params())
        return self.model_admin.arranged(rows, self.query, self._order())  # type: ignore[attr-defined]

    def _order(self) -> list[tuple[str, bool]]:
        """The attributes that the address sorts by, and whether the other way round."""
        found = []
        for part in self.params.get(ORDER_VAR, "").split("."):
            _none, sign, index = part.rpartition("-")
            if index.isascii() and index.isdigit() and int(index) < len(self.list_display):
                attribute = self.get_ordering_field(self.list_display[int(index)])
                if attribute:
                    found.append((str(attribute), bool(sign)))
        return found


class RedisAdmin(_Admin):
    """What is in Redis: never added, changed or deleted as rows are; actions do all there is.

    ``needs``: the permissions that each action asks for, by its name.
    """

    needs: Mapping[str, tuple[str, ...]] = {}
    show_facets = admin.ShowFacets.NEVER
    list_max_show_all = 0

    class Media:
        css: Mapping[str, Sequence[str]] = {"all": ["queuecore/admin.css"]}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list of rows that are no table's."""
        return RowsChangeList

    def arranged(self, rows: Any, query: str, order: list[tuple[str, bool]]) -> Any:
        """The rows that were searched for, sorted."""
        return rows

    def where(self, obj: Any) -> tuple[str, str]:
        """Connection and queue of an object."""
        raise NotImplementedError

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether it is listed on the admin's first page."""
        return access.can(request.user, "view")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether it may be seen: one object by the queue that it is in."""
        return access.can(request.user, "view", *(self.where(obj) if obj is not None else ()))

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Never: programs add jobs."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: there are actions."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: there are actions."""
        return False

    # Not in a transaction: the audit writes outside of any, and nothing here needs one.
    @transaction.non_atomic_requests
    @method_decorator(csrf_protect)
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """The list, or an action; while Redis is away the page says so."""
        with hurried():
            if request.method == "POST":
                self._refuse(request)
            try:
                return super().changelist_view(request, extra_context)
            except ServerUnavailable as error:
                self.message_user(request, words.refusal(error), messages.ERROR)
                return HttpResponseRedirect(request.get_full_path())

    def act(self, request: HttpRequest, name: str, work: Callable[[], None]) -> bool:
        """Do the *work* of an action; False where it was refused, which a message says."""
        try:
            work()
        except PermissionDenied:
            text = words.not_permitted(self.needs.get(name, ()))
            self.message_user(request, text, messages.ERROR)
        except audit.AlreadyDone:
            self.message_user(request, words.done_already(), messages.INFO)
        except QueueCoreError as error:
            self.message_user(request, words.refusal(error), messages.ERROR)
        else:
            return True
        return False

    def holds(self, request: HttpRequest, name: str) -> bool:
        """Whether all permissions that an action needs are there."""
        return all(access.can(request.user, one) for one in self.needs[name])

    def offered(self, request: HttpRequest) -> list[str]:
        """The actions of ours that somebody may carry out: the buttons of a page of one object."""
        return [name for name in self.needs if self.holds(request, name)]

    def _refuse(self, request: HttpRequest) -> None:
        """Put on record that somebody sent an action which the page does not offer to them.

        Raises:
            PermissionDenied: then.
        """
        for name in dict.fromkeys(request.POST.getlist("action")):
            if name not in self.needs or self.holds(request, name):
                continue
            by = By(request.user, ip=audit.client_ip(request))
            refusal = PermissionDenied(f"queuecore: {name} asks for {', '.join(self.needs[name])}")
            for alias, queue, target in self.aims(request) or [("", "", "")]:
                try:
                    with recorded(
                        by, self.record_name(name), self.needs[name],
                        alias=alias, queue=queue, target=target,
                    ):  # fmt: skip
                        raise refusal
                except PermissionDenied as error:
                    refusal = error
            raise refusal

    def record_name(self, name: str) -> str:
        """How the record calls an action: as the dashboard calls it."""
        return name.partition("_")[0]

    def aims(self, request: HttpRequest) -> list[tuple[str, str, str]]:
        """What a form's ticks mean, for the record of its refusal: connection, queue, jobs."""
        return []


def dashboard_url(name: str, alias: str, **names: str) -> str:
    """The address of the dashboard's page; empty where it is not mounted."""
    if alias != "default":
        names["alias"] = alias
    try:
        return reverse(f"queuecore_dashboard:{name}", kwargs=names)
    except NoReverseMatch:
        return ""
