"""Permissions, scopes, presets: who may do what, on which queues."""

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command

from queuecore import access
from queuecore.errors import ConfigurationError
from queuecore.models import AuditEntry, QueueScope

pytestmark = pytest.mark.django_db


def allow(holder, *codenames):
    """Give permissions of queuecore to a user or a group, and return a fresh copy."""
    kind = holder.user_permissions if hasattr(holder, "user_permissions") else holder.permissions
    kind.add(
        *Permission.objects.filter(content_type__app_label="queuecore", codename__in=codenames)
    )
    return type(holder).objects.get(pk=holder.pk)


@pytest.fixture
def user():
    return get_user_model().objects.create_user("olga", password="x")


def test_nobody_may_do_anything_without_a_permission(user):
    for who in (user, AnonymousUser()):
        assert [p for p in access.PERMISSIONS if access.can(who, p, "default", "emails")] == []


def test_a_permission_reaches_every_queue_without_a_scope(user):
    user = allow(user, "retry")
    assert access.can(user, "retry", "default", "emails")
    assert not access.can(user, "remove", "default", "emails")


def test_an_inactive_user_may_nothing_not_even_as_superuser(user):
    user.is_superuser, user.is_active = True, False
    user.save()
    assert not access.can(user, "view")
    assert not access.scope(user).allows("default", "emails")


def test_scopes_of_all_groups_add_up(user):
    user = allow(user, "view")
    for name, rows in {
        "mail": [("default", "mail-*")],
        "eu": [("eu", "*")],
        "plain": [],
    }.items():
        group = Group.objects.create(name=name)
        user.groups.add(group)
        for connection, pattern in rows:
            QueueScope.objects.create(group=group, connection=connection, pattern=pattern)
    seen = access.scope(user)
    assert seen.allows("default", "mail-out")
    assert seen.allows("eu", "reports")
    assert not seen.allows("default", "reports")
    assert access.can(user, "view", "eu", "reports")
    assert not access.can(user, "view", "default", "reports")


def test_a_bracket_in_a_pattern_is_a_bracket(user):
    group = Group.objects.create(name="g")
    user.groups.add(group)
    QueueScope.objects.create(group=group, pattern="mail[1]?")
    seen = access.scope(user)
    assert seen.allows("default", "mail[1]x")
    assert not seen.allows("default", "mail1x")


def test_a_superuser_sees_all_queues_whatever_the_groups_say(user):
    user.is_superuser = True
    user.save()
    group = Group.objects.create(name="g")
    user.groups.add(group)
    QueueScope.objects.create(group=group, pattern="nothing")
    assert access.can(user, "obliterate", "default", "emails")


def test_scopes_with_the_same_rows_are_one_class(user):
    other = get_user_model().objects.create_user("otto")
    for name, member in (("a", user), ("b", other)):
        group = Group.objects.create(name=name)
        member.groups.add(group)
        QueueScope.objects.create(group=group, pattern="mail-*")
    assert access.scope(user) == access.scope(other)
    assert access.scope(user).key == access.scope(other).key != access.Scope().key


def test_read_only_beats_every_right(user, settings):
    user.is_superuser = True
    user.save()
    settings.QUEUECORE = settings.QUEUECORE | {"DASHBOARD": {"READ_ONLY": True}}
    allowed = {p for p in access.PERMISSIONS if access.can(user, p, "default", "emails")}
    assert allowed == access.READING
    with pytest.raises(PermissionDenied, match="read-only"):
        access.require(user, "retry", "default", "emails")


def test_a_wrong_permission_is_an_error_that_names_the_right_one(user):
    with pytest.raises(ValueError, match="did you mean 'retry'"):
        access.can(user, "retri")


def test_require_names_the_permission(user):
    with pytest.raises(PermissionDenied, match=r"queuecore\.retry"):
        access.require(user, "retry", "default", "emails")


class OnlyOtto(access.Access):
    def can(self, user, permission, alias, queue):
        return user.username == "otto"

    def scope(self, user):
        return access.Scope((("default", "only"),))


def test_a_class_of_the_project_decides_everything(user, settings):
    otto = get_user_model().objects.create_user("otto")
    settings.QUEUECORE = settings.QUEUECORE | {
        "DASHBOARD": {"ACCESS": "tests.unit.test_access.OnlyOtto"}
    }
    assert access.can(otto, "obliterate", "default", "emails")
    assert not access.can(user, "view")
    assert access.rights([user, otto]) == {
        user.pk: access.Rights(),
        otto.pk: access.Rights(True, True, access.Scope((("default", "only"),)), audit=True),
    }


@pytest.mark.parametrize("path", ["nowhere.Access", "tests.unit.test_access.allow"])
def test_a_wrong_class_is_an_error_that_says_so(user, settings, path):
    settings.QUEUECORE = settings.QUEUECORE | {"DASHBOARD": {"ACCESS": path}}
    with pytest.raises(ConfigurationError, match="ACCESS"):
        access.can(user, "view")


@pytest.fixture
def crowd():
    """Users of every kind: direct and group permissions, scopes, superuser, inactive, nothing."""
    make = get_user_model().objects.create_user
    viewers = allow(Group.objects.create(name="viewers"), "view", "view_audit")
    scoped = allow(Group.objects.create(name="scoped"), "view", "view_payload")
    QueueScope.objects.create(group=scoped, pattern="mail-*")
    users = [make(name) for name in ("direct", "grouped", "scoped", "both", "super", "gone", "no")]
    direct, grouped, in_scope, both, superuser, gone, _no = users
    allow(direct, "view")
    grouped.groups.add(viewers)
    in_scope.groups.add(scoped)
    both.groups.add(viewers, scoped)
    allow(gone, "view")
    get_user_model().objects.filter(pk=superuser.pk).update(is_superuser=True)
    get_user_model().objects.filter(pk=gone.pk).update(is_active=False)
    return list(get_user_model().objects.order_by("pk"))


def test_rights_of_many_agree_with_asking_one_by_one(crowd):
    one_by_one = {user.pk: access.Access()._one(user) for user in crowd}
    assert access.rights(crowd) == one_by_one
    assert len(set(one_by_one.values())) == 6


def test_rights_of_many_cost_the_same_number_of_queries(crowd, django_assert_num_queries):
    with django_assert_num_queries(3):
        access.rights(crowd)
    with django_assert_num_queries(3):
        access.rights(crowd[:2])


def test_other_backends_are_asked_user_by_user(crowd, settings):
    settings.AUTHENTICATION_BACKENDS = [
        "django.contrib.auth.backends.AllowAllUsersModelBackend",
        "django.contrib.auth.backends.ModelBackend",
    ]
    assert access.rights(crowd) == {user.pk: access.Access()._one(user) for user in crowd}


@pytest.mark.django_db(transaction=True)
async def test_async_twins(user):
    from asgiref.sync import sync_to_async

    user = await sync_to_async(allow)(user, "view")
    assert await access.acan(user, "view", "default", "emails")
    assert (await access.ascope(user)).allows("default", "emails")
    assert (await access.arights([user]))[user.pk].view


def test_presets_hold_what_they_say(user):
    assert access.make_presets() == {"Viewer": True, "Operator": True, "Admin": True}
    user.groups.add(Group.objects.get(name="Operator"))
    user = get_user_model().objects.get(pk=user.pk)
    assert {p for p in access.PERMISSIONS if access.can(user, p)} == set(access.PRESETS["Operator"])
    assert not access.can(user, "obliterate")
    assert access.make_presets() == {"Viewer": False, "Operator": False, "Admin": False}


def test_a_stranger_s_group_gets_no_rights():
    Group.objects.create(name="Admin")
    with pytest.raises(CommandError, match="--prefix"):
        call_command("queues", "presets")
    assert not Group.objects.filter(name="Viewer").exists()
    assert AuditEntry.objects.filter(action="presets", outcome="failed").exists()


def test_the_presets_command(capsys):
    call_command("queues", "presets", "--prefix", "Queue ")
    assert "Queue Operator: made" in capsys.readouterr().out
    assert Group.objects.get(name="Queue Admin").permissions.count() == len(access.PERMISSIONS)
    assert AuditEntry.objects.filter(action="presets", outcome="done").exists()
