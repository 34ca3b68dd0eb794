"""Django's admin: the audit record can be read there within one's scope, and not touched."""

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from queuecore import audit
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


@pytest.mark.parametrize("pattern", ["mail-*"])
def test_scopes_are_made_there(admin: Client, person: Person, pattern: str) -> None:
    from django.contrib.auth.models import Group

    group = Group.objects.create(name="Mail team")
    given = {"group": group.pk, "connection": "*", "pattern": pattern}
    assert admin.post("/admin/queuecore/queuescope/add/", given).status_code == 302
    assert QueueScope.objects.get().pattern == pattern
    assert b"Mail team" in admin.get("/admin/queuecore/queuescope/").content
