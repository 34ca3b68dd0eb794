"""Who may do what, on which queues: for the page, the admin and the command line alike.

Permissions are Django's, on the model :class:`queuecore.models.Queue`; which queues they reach is
said by :class:`queuecore.models.QueueScope`. A project with rules of its own subclasses
:class:`Access` and names the class in ``QUEUECORE["DASHBOARD"]["ACCESS"]``. With
``QUEUECORE["DASHBOARD"]["READ_ONLY"]`` nobody may change anything, superusers neither.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.utils.module_loading import import_string

from . import conf
from .errors import ConfigurationError, did_you_mean
from .models import PERMISSIONS as _NAMED
from .models import QueueScope

#: The codenames of all permissions; ``queuecore.<codename>`` is Django's spelling of one.
PERMISSIONS = tuple(codename for codename, _ in _NAMED)
#: What somebody may do who changes nothing.
READING = frozenset({"view", "view_payload", "view_audit", "export"})

PRESETS: Mapping[str, tuple[str, ...]] = {
    "Viewer": ("view",),
    "Operator": (
        "view",
        "view_payload",
        "retry",
        "promote",
        "remove",
        "cancel",
        "add_job",
        "bulk",
        "pause_queue",
        "clean_queue",
        "manage_schedulers",
        "manage_workers",
        "triage_errors",
        "export",
    ),
    "Admin": PERMISSIONS,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """The queues somebody may see: pairs of patterns (connection, queue); None is all queues."""

    patterns: tuple[tuple[str, str], ...] | None = None

    @property
    def key(self) -> str:
        """The same text for everybody who sees the same queues."""
        return "*" if self.patterns is None else repr(self.patterns)

    def allows(self, alias: str, queue: str) -> bool:
        """Whether the queue *queue* of the connection *alias* is inside."""
        return self.patterns is None or _matches(self.patterns, alias, queue)


@lru_cache(maxsize=65536)
def _matches(patterns: tuple[tuple[str, str], ...], alias: str, queue: str) -> bool:
    return any(_like(alias, one) and _like(queue, other) for one, other in patterns)


def _like(text: str, pattern: str) -> bool:
    # Only * and ? are special: a bracket is a bracket, so that any name can be written as it is.
    return fnmatchcase(text, pattern.replace("[", "[[]"))


@dataclass(frozen=True, slots=True)
class Rights:
    """What an open socket hangs on: may its user still see anything, and how much."""

    view: bool = False
    payload: bool = False
    scope: Scope = Scope(())
    audit: bool = False


class Access:
    """The rules as they are without a class of the project's own; every method may be replaced.

    All methods block (they read the database); the module's ``acan``, ``ascope`` and ``arights``
    run them in a thread.
    """

    def can(self, user: Any, permission: str, alias: str | None, queue: str | None) -> bool:
        """Whether *user* may do *permission*, on one queue where *queue* is given."""
        return (
            bool(user.is_active)
            and bool(user.has_perm(f"queuecore.{permission}"))
            and (queue is None or self.scope(user).allows(alias or "default", queue))
        )

    def scope(self, user: Any) -> Scope:
        """The queues *user* may see; says nothing about what may be done there."""
        if not user.is_active or user.is_anonymous:
            return Scope(())
        if user.is_superuser:
            return Scope()
        if not hasattr(user, "groups"):
            return Scope()
        rows = QueueScope.objects.filter(group__in=user.groups.all())
        return _scope(rows.values_list("connection", "pattern"))

    def rights(self, users: Sequence[Any]) -> dict[Any, Rights]:
        """The rights of many users, by primary key; for sockets, asked every few seconds.

        Three queries for any number of users where Django's own backend alone gives permissions;
        else each user is asked by :meth:`can` and :meth:`scope`.
        """
        if type(self).can is not Access.can or type(self).scope is not Access.scope:
            return {user.pk: self._one(user) for user in users}
        ours = hasattr(get_user_model(), "user_permissions")
        if not ours or list(django_settings.AUTHENTICATION_BACKENDS) != [_MODEL_BACKEND]:
            return {user.pk: self._one(user) for user in users}
        return _rights_by_model(users)

    def _one(self, user: Any) -> Rights:
        if not self.can(user, "view", None, None):
            return Rights()
        payload = self.can(user, "view_payload", None, None)
        audit = self.can(user, "view_audit", None, None)
        return Rights(view=True, payload=payload, scope=self.scope(user), audit=audit)


_MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


def _scope(rows: Iterable[tuple[str, str]]) -> Scope:
    found = tuple(sorted(set(rows)))
    return Scope(found or None)


def _rights_by_model(users: Sequence[Any]) -> dict[Any, Rights]:
    ordinary = [user.pk for user in users if user.is_active and not user.is_superuser]
    held: defaultdict[Any, set[str]] = defaultdict(set)
    scopes: defaultdict[Any, list[tuple[str, str]]] = defaultdict(list)
    if ordinary:
        name = get_user_model()._meta.get_field("user_permissions").related_query_name()
        grouped = get_user_model()._meta.get_field("groups").related_query_name()
        watched = Permission.objects.filter(
            content_type__app_label="queuecore", codename__in=("view", "view_payload", "view_audit")
        )
        for path in (name, f"group__{grouped}"):
            rows = watched.filter(Q((f"{path}__in", ordinary)))
            for pk, codename in rows.values_list(f"{path}__pk", "codename"):
                held[pk].add(codename)
        scoped = QueueScope.objects.filter(Q((f"group__{grouped}__in", ordinary)))
        for pk, alias, pattern in scoped.values_list(
            f"group__{grouped}__pk", "connection", "pattern"
        ):
            scopes[pk].append((alias, pattern))
    rights = {}
    for user in users:
        if not user.is_active:
            rights[user.pk] = Rights()
        elif user.is_superuser:
            rights[user.pk] = Rights(view=True, payload=True, scope=Scope(), audit=True)
        elif "view" in held[user.pk]:
            rights[user.pk] = Rights(
                view=True,
                payload="view_payload" in held[user.pk],
                scope=_scope(scopes[user.pk]),
                audit="view_audit" in held[user.pk],
            )
        else:
            rights[user.pk] = Rights()
    return rights


def can(user: Any, permission: str, alias: str | None = None, queue: str | None = None) -> bool:
    """Whether *user* may do *permission* (a codename), on one queue where *queue* is given.

    Raises:
        ValueError: there is no such permission.
    """
    if permission not in PERMISSIONS:
        raise ValueError(
            f"{permission!r} is no permission of queuecore{did_you_mean(permission, PERMISSIONS)}"
        )
    if permission not in READING and read_only():
        return False
    return bool(_access().can(user, permission, alias, queue))


def require(user: Any, permission: str, alias: str | None = None, queue: str | None = None) -> None:
    """Return if :func:`can`, else raise.

    Raises:
        PermissionDenied: naming the permission.
    """
    if not can(user, permission, alias, queue):
        why = "the dashboard is read-only" if read_only() else "it is not among your permissions"
        raise PermissionDenied(f"queuecore.{permission}: {why}")


def scope(user: Any) -> Scope:
    """The queues *user* may see."""
    found = _access().scope(user)
    assert isinstance(found, Scope)
    return found


def rights(users: Sequence[Any]) -> dict[Any, Rights]:
    """What open sockets of *users* may show, by primary key."""
    return dict(_access().rights(users))


acan = sync_to_async(can)
arequire = sync_to_async(require)
ascope = sync_to_async(scope)
arights = sync_to_async(rights)


def read_only() -> bool:
    """Whether ``QUEUECORE["DASHBOARD"]["READ_ONLY"]`` forbids every change."""
    return bool(conf.get_settings().dashboard.get("READ_ONLY", False))


def make_presets(prefix: str = "") -> dict[str, bool]:
    """Make the groups Viewer, Operator and Admin, each named *prefix* + its name.

    Returns the groups' names and whether each was made now. A group that has all its permissions
    already is left alone; one that was given some of them, too (what is missing is added).

    Raises:
        ConfigurationError: a group of that name exists and holds nothing of queuecore: it is
            somebody else's, and its members would suddenly have rights. Nothing is made then.
    """
    ours = {
        permission.codename: permission
        for permission in Permission.objects.filter(
            content_type__app_label="queuecore", codename__in=PERMISSIONS
        )
    }
    if missing := [codename for codename in PERMISSIONS if codename not in ours]:
        raise ConfigurationError(
            f"the database has no permission {missing[0]!r} of queuecore: run manage.py migrate"
        )
    for name in PRESETS:
        group = Group.objects.filter(name=prefix + name).first()
        if group and not group.permissions.filter(content_type__app_label="queuecore").exists():
            raise ConfigurationError(
                f"a group {prefix + name!r} exists and has nothing to do with queues: its members "
                "would get rights on them. Give --prefix, such as --prefix 'Queue '."
            )
    made = {}
    for name, codenames in PRESETS.items():
        group, created = Group.objects.get_or_create(name=prefix + name)
        group.permissions.add(*(ours[codename] for codename in codenames))
        made[group.name] = created
    return made


def check_settings() -> None:
    """Look at what the settings say about access, for the system checks.

    Raises:
        ConfigurationError: ACCESS names no class of rules, or READ_ONLY is neither True nor False.
    """
    settings = conf.get_settings().dashboard
    _access_class(settings.get("ACCESS"))
    if not isinstance(value := settings.get("READ_ONLY", False), bool):
        raise ConfigurationError(
            f"QUEUECORE['DASHBOARD']['READ_ONLY'] must be True or False, not {value!r}"
        )


def _access() -> Access:
    path = conf.get_settings().dashboard.get("ACCESS")
    return _access_class(path)()


@lru_cache(maxsize=8)
def _access_class(path: str | None) -> type[Access]:
    if not path:
        return Access
    if not isinstance(path, str):
        raise ConfigurationError(
            f"QUEUECORE['DASHBOARD']['ACCESS'] must be a dotted path, not {path!r}"
        )
    try:
        found = import_string(path)
    except Exception as error:  # whatever the module raises
        raise ConfigurationError(
            f"QUEUECORE['DASHBOARD']['ACCESS'] names {path!r}, which cannot be imported: "
            f"{error or type(error).__name__}"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Access)):
        raise ConfigurationError(
            f"QUEUECORE['DASHBOARD']['ACCESS'] names {path!r}: make it a subclass of "
            "queuecore.access.Access"
        )
    return found
