"""Django's admin: the audit record can be read there within one's scope, and not touched."""

from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.test import Client

from queuecore import access, audit, audit_log
from queuecore.models import AuditEntry, QueueScope

Person = Callable[..., Client]
LIST = "/admin/queuecore/auditentry/"


def write(queue: str, target: str) -> AuditEntry:
    with audit.record(
        actor="olga", action="retry", alias="default", queue=queue, target=target
    ) as entry:
        entry.result(count=1)
    return AuditEntry.objects.filter(record=entry.id).first()


def staff(client: Client) -> Client:
    get_user_model().objects.update(is_staff=True)
    return client


def test_the_record_can_be_read_and_not_changed(admin: Client) -> None:
    entry = write("emails", "job-77")
    assert b"job-77" in admin.get(LIST).content
    one = f"{LIST}{entry.pk}/change/"
    page = admin.get(one)
    assert b"job-77" in page.content
    assert b'name="_save"' not in page.content
    assert admin.post(one, {"actor": "eve"}).status_code == 403
    assert admin.get(f"{LIST}add/").status_code == 403
    assert admin.post(f"{LIST}{entry.pk}/delete/", {"post": "yes"}).status_code == 403
    admin.post(LIST, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"})
    assert audit.verify().intact
    assert AuditEntry.objects.count() == 2


def test_it_keeps_to_the_permission_and_the_scope(person: Person) -> None:
    shown, hidden = write("mail-eu", "seen-1"), write("orders", "secret-1")
    write("", "secret-2")
    reader = staff(person("view", "view_audit", scope=("mail-*",)))
    page = reader.get(LIST).content
    assert b"seen-1" in page
    assert b"secret-" not in page
    assert reader.get(f"{LIST}{shown.pk}/change/").status_code == 200
    assert reader.get(f"{LIST}{hidden.pk}/change/").status_code == 302  # as if there were none
    other = staff(person("view", name="ole"))
    assert other.get(LIST).status_code == 403
    assert b"auditentry" not in other.get("/admin/").content


def last() -> tuple[str, str, str, dict[str, Any]]:
    entry = audit_log.page(access.Scope(), limit=1)[0]
    assert (entry.outcome, entry.queue) == ("done", "")
    return (entry.actor, entry.action, entry.target, entry.params)


def test_scopes_are_made_there_on_record(admin: Client, person: Person) -> None:
    group = Group.objects.create(name="Mail team")
    assert not AuditEntry.objects.exists()  # a program did
    given = {"group": group.pk, "connection": "*", "pattern": "mail-*"}
    path = "/admin/queuecore/queuescope/"
    assert admin.post(f"{path}add/", given).status_code == 302
    made = QueueScope.objects.get()
    assert made.pattern == "mail-*"
    assert b"Mail team" in admin.get(path).content
    facts = {"group": "Mail team", "connection": "*", "pattern": "mail-*"}
    assert last() == ("ada", "create_scope", "scope Mail team: */mail-*", facts)
    assert admin.post(f"{path}{made.pk}/change/", {**given, "pattern": "*"}).status_code == 302
    assert last()[1:3] == ("change_scope", "scope Mail team: */*")
    admin.post(f"{path}{made.pk}/delete/", {"post": "yes"})
    assert last()[1:3] == ("remove_scope", "scope Mail team: */*")
    for pattern in ("a", "b"):
        admin.post(f"{path}add/", {**given, "pattern": pattern})
    ticked = [one.pk for one in QueueScope.objects.all()]
    sent = {"action": "delete_selected", "_selected_action": ticked, "post": "yes"}
    assert admin.post(path, sent).status_code == 302
    two = audit_log.page(access.Scope(), limit=2)
    assert [(one.actor, one.action) for one in two] == [("ada", "remove_scope")] * 2
    page = admin.get("/audit/").content.decode()
    for words in ("Make a queue scope", "Change a queue scope", "scope Mail team: */mail-*"):
        assert words in page
    # Who sees some queues only is told nothing of it.
    client = person("view", "view_audit", scope=("mail-*",))
    assert "Mail team" not in client.get("/audit/").content.decode()
    assert audit.verify().intact


def test_rights_that_are_given_and_taken_there_are_on_record(admin: Client) -> None:
    group = Group.objects.create(name="Night shift")
    view, retry, other = (
        Permission.objects.get(content_type__app_label=app, codename=name)
        for app, name in (("queuecore", "view"), ("queuecore", "retry"), ("auth", "view_user"))
    )
    path = f"/admin/auth/group/{group.pk}/change/"
    admin.post(path, {"name": "Night shift", "permissions": [view.pk, retry.pk, other.pk]})
    given = {"permissions": ["retry", "view"]}
    assert last() == ("ada", "give_permissions", "group Night shift", given)
    admin.post(path, {"name": "Night shift", "permissions": [view.pk, other.pk]})
    assert last() == ("ada", "take_permissions", "group Night shift", {"permissions": ["retry"]})
    count = AuditEntry.objects.count()
    admin.post(path, {"name": "Night shift", "permissions": [view.pk]})  # none of ours
    assert AuditEntry.objects.count() == count

    user = get_user_model().objects.create_user("olga")
    form = {"username": "olga", "is_active": "on", "date_joined_0": "2026-01-01"}
    form |= {"date_joined_1": "10:00", "groups": [group.pk], "user_permissions": [retry.pk]}
    assert admin.post(f"/admin/auth/user/{user.pk}/change/", form).status_code == 302
    (first, second) = audit_log.page(access.Scope(), limit=2)
    assert {(one.action, one.target, str(one.params)) for one in (first, second)} == {
        ("join_groups", "user olga", "{'groups': ['Night shift']}"),
        ("give_permissions", "user olga", "{'permissions': ['retry']}"),
    }
    admin.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"})
    gone = {"permissions": ["view"], "scopes": []}
    assert last() == ("ada", "remove_group", "group Night shift", gone)
    user.user_permissions.clear()  # a program
    assert last()[1] == "remove_group"
    assert audit.verify().intact
