"""Grants: rights that are given and taken in Django's admin, on record as everything else is.

The admin changes groups and users in a transaction of its own, which no record may be part of: what
was changed is told by Django's signals, and recorded as soon as it is stored, with the person whom
the admin's own log names in the same transaction. Rights that a program changes are not recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Model, Q
from django.db.models.signals import m2m_changed, post_delete, post_save, pre_delete
from django.utils import timezone

from . import audit
from .models import QueueScope

_OURS = "queuecore"


def connect() -> None:
    """Listen, where there is an admin; called once, when the apps are ready."""
    if not apps.is_installed("django.contrib.admin"):
        return
    user: Any = get_user_model()
    for holder, heard in (
        (Group.permissions, _permissions),
        (getattr(user, "user_permissions", None), _permissions),
        (getattr(user, "groups", None), _membership),
    ):
        if holder is not None:
            m2m_changed.connect(heard, sender=holder.through)
    post_save.connect(_scope_saved, sender=QueueScope)
    post_delete.connect(_scope_deleted, sender=QueueScope)
    pre_delete.connect(_group_deleted, sender=Group)
    post_save.connect(_logged, sender="admin.LogEntry")


def _permissions(
    instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **kwargs: Any
) -> None:
    """Permissions of ours were given to a group or a user, or taken from one."""
    given = _given(action)
    if given is None or reverse:  # the admin has no form for a permission's holders
        return
    held = instance.permissions if isinstance(instance, Group) else instance.user_permissions
    found = held.all() if pk_set is None else Permission.objects.using(using).filter(pk__in=pk_set)
    names = list(found.filter(content_type__app_label=_OURS).values_list("codename", flat=True))
    if names:
        verb = "give_permissions" if given else "take_permissions"
        _record(verb, instance, using, permissions=sorted(names))


def _membership(
    instance: Any, action: str, reverse: bool, pk_set: set[Any] | None, using: str, **kwargs: Any
) -> None:
    """Somebody came into a group that has rights of ours, or left it."""
    given = _given(action)
    if given is None or reverse:
        return
    groups = Group.objects.using(using)
    found = instance.groups.all() if pk_set is None else groups.filter(pk__in=pk_set)
    ours = Q(permissions__content_type__app_label=_OURS) | Q(queue_scopes__isnull=False)
    names = sorted(set(found.filter(ours).values_list("name", flat=True)))
    if names:
        _record("join_groups" if given else "leave_groups", instance, using, groups=names)


def _scope_saved(instance: QueueScope, created: bool, using: str, **kwargs: Any) -> None:
    verb = "create_scope" if created else "change_scope"
    _record(verb, instance, using, **_facts(instance))


def _scope_deleted(instance: QueueScope, using: str, **kwargs: Any) -> None:
    _record("remove_scope", instance, using, **_facts(instance))


def _group_deleted(instance: Group, using: str, **kwargs: Any) -> None:
    """A group with rights of ours goes, and with it what its members had by it."""
    held = instance.permissions.filter(content_type__app_label=_OURS)
    names = sorted(held.values_list("codename", flat=True))
    scopes = [f"{one.connection}/{one.pattern}" for one in _scopes(instance)]
    if names or scopes:
        _record("remove_group", instance, using, permissions=names, scopes=scopes)


def _scopes(group: Group) -> Iterable[QueueScope]:
    return QueueScope.objects.filter(group=group).order_by("pk")


def _facts(scope: QueueScope) -> dict[str, Any]:
    return {"group": str(scope.group), "connection": scope.connection, "pattern": scope.pattern}


def _given(action: str) -> bool | None:
    return {"post_add": True, "post_remove": False, "pre_clear": False}.get(action)


def _record(action: str, what: Model, using: str, **params: Any) -> None:
    if (batch := _batch(using)) is not None:
        # An instance forgets its key when it was deleted.
        batch.changes.append((action, _target(what), params, (type(what), what.pk)))


def _logged(instance: Any, using: str, **kwargs: Any) -> None:
    """The admin has written into its own log who it was."""
    if (batch := _batch(using)) is not None:
        batch.actor = instance.user


class _Batch:
    """What one transaction has changed: put on record when it is stored, if the admin did it."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, str, dict[str, Any], tuple[type[Model], Any]]] = []
        self.actor: Any = None

    def __call__(self) -> None:
        for action, target, params, what in self.changes:
            actor = self.actor
            if actor is None and action.startswith("remove_"):
                actor = _deleter(*what)
            if actor is not None:
                with audit.record(actor=actor, action=action, target=target, params=params):
                    pass


def _deleter(kind: type[Model], pk: Any) -> Any:
    """Who has ticked this object and deleted it: the admin logs that beside the transaction."""
    from django.contrib.admin.models import DELETION, LogEntry

    logged = LogEntry.objects.filter(
        content_type__app_label=kind._meta.app_label,
        content_type__model=kind._meta.model_name,
        object_id=str(pk),
        action_flag=DELETION,
        action_time__gte=timezone.now() - timedelta(minutes=1),
    )
    entry = logged.select_related("user").order_by("-pk").first()
    return entry.user if entry is not None else None


def _batch(using: str) -> _Batch | None:
    """That of the open transaction; None outside of one, where the admin never is."""
    connection = transaction.get_connection(using)
    if not connection.in_atomic_block:
        return None
    for _savepoints, function, *_robust in connection.run_on_commit:
        if isinstance(function, _Batch):
            return function
    batch = _Batch()
    # Robust: what was changed is stored, whatever becomes of its record; Django logs an error.
    transaction.on_commit(batch, using=using, robust=True)
    return batch


def _target(what: Model) -> str:
    if isinstance(what, QueueScope):
        return f"scope {what}"
    return f"group {what}" if isinstance(what, Group) else f"user {what}"
