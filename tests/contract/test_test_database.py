"""What the tests' own database promises: each test finds it as it was made."""

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import TransactionTestCase

from queuecore import audit
from queuecore.models import AuditEntry


@pytest.mark.parametrize("is_changed", [False, True])
def test_what_a_test_makes_is_gone_and_what_stood_there_stays(
    is_changed: bool, transactional_db: None
) -> None:
    held = list(Permission.objects.values_list("codename", flat=True))
    ids = list(Permission.objects.values_list("pk", flat=True))
    user = User.objects.create(username="ada")
    user.user_permissions.add(Permission.objects.get(codename="retry"))
    with audit.record(actor="ada", action="retry", alias="default", queue="emails") as entry:
        entry.result(count=1)
    if is_changed:
        kind = ContentType.objects.get_for_model(User)
        Permission.objects.create(codename="fly", name="May fly", content_type=kind)
    TransactionTestCase()._fixture_teardown()
    assert not User.objects.exists()
    assert not User.user_permissions.through.objects.exists()
    assert not AuditEntry.objects.exists()
    assert list(Permission.objects.values_list("codename", flat=True)) == held
    if not is_changed:
        assert list(Permission.objects.values_list("pk", flat=True)) == ids
