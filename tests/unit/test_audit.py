"""The audit record: intent and result, the chain, what verify finds, and many writers at once."""

import json
import sqlite3
import subprocess
import sys
import threading
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.db import connection, connections, models, transaction

from queuecore import audit, audit_log
from queuecore.management.queues.subcommand import actor
from queuecore.models import AppendOnly, AuditEntry, AuditHead

pytestmark = pytest.mark.django_db


def entries():
    return list(AuditEntry.objects.order_by("number"))


def write(count=1, **fields):
    for index in range(count):
        given = {"actor": "olga", "action": "retry", "target": str(index), **fields}
        with audit.record(**given) as entry:
            entry.result(index=index)


def raw(sql, *params):
    """Do what Django refuses: reach into the table as an intruder would."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def test_an_action_leaves_an_intent_before_and_a_result_after():
    user = get_user_model().objects.create_user("olga")
    with audit.record(
        actor=user,
        ip="192.0.2.7",
        action="clean",
        alias="default",
        queue="emails",
        target="failed",
        params={"grace": 60},
        reason="full",
    ) as entry:
        (intent,) = entries()
        assert (intent.phase, intent.outcome, intent.record) == ("intent", "", entry.id)
        entry.result(count=3)
    intent, result = entries()
    for half in (intent, result):
        assert (half.actor, half.actor_id, half.ip) == ("olga", str(user.pk), "192.0.2.7")
        assert (half.connection, half.queue, half.target) == ("default", "emails", "failed")
        assert (json.loads(half.params), half.reason) == ({"grace": 60}, "full")
    assert (result.phase, result.outcome) == ("result", "done")
    assert json.loads(result.result) == {"count": 3}
    assert intent.number + 1 == result.number
    assert result.previous == intent.mac


def test_an_exception_is_stored_as_failed_and_raised_again():
    with pytest.raises(ZeroDivisionError), audit.record(actor="cli", action="retry"):
        _ = 1 / 0
    result = entries()[-1]
    assert result.outcome == "failed"
    assert json.loads(result.result) == {"error": "ZeroDivisionError: division by zero"}


def test_a_refusal_is_stored_as_denied_and_raised_again():
    with pytest.raises(PermissionDenied), audit.record(actor=AnonymousUser(), action="retry"):
        raise PermissionDenied("queuecore.retry")
    result = entries()[-1]
    assert (result.outcome, result.actor, result.actor_id) == ("denied", "anonymous", "")


def test_the_block_can_say_itself_that_it_failed_or_was_refused():
    with audit.record(actor="cli", action="retry") as entry:
        entry.fail("gone")
    with audit.record(actor="cli", action="retry") as entry:
        entry.deny("not yours")
    assert [e.outcome for e in entries() if e.outcome] == ["failed", "denied"]


def test_even_a_killed_action_leaves_its_intent():
    class Killed(BaseException):
        pass

    with pytest.raises(Killed), audit.record(actor="cli", action="retry"):
        raise Killed
    assert [e.phase for e in entries()] == ["intent", "result"]


def test_without_an_intent_on_record_nothing_is_done(monkeypatch):
    monkeypatch.setattr(audit, "_append", lambda fields: 1 / 0)
    done = []
    with pytest.raises(ZeroDivisionError), audit.record(actor="cli", action="retry"):
        done.append(1)
    assert done == []


def test_the_error_of_the_action_wins_over_one_of_the_record(monkeypatch, caplog):
    with pytest.raises(LookupError), audit.record(actor="cli", action="retry"):  # noqa: PT012
        monkeypatch.setattr(audit, "_append", lambda fields: 1 / 0)
        raise LookupError
    assert "could not be written" in caplog.text


def test_once_lets_an_action_happen_one_time():
    with audit.record(actor="cli", action="retry", once="token") as entry:
        with (
            pytest.raises(audit.AlreadyDone) as running,
            audit.record(actor="cli", action="retry", once="token"),
        ):
            pytest.fail("ran twice")
        entry.result(count=1)
    with (
        pytest.raises(audit.AlreadyDone) as done,
        audit.record(actor="cli", action="retry", once="token"),
    ):
        pytest.fail("ran twice")
    assert running.value.entry is None
    assert done.value.entry.result == '{"count": 1}'
    assert len(entries()) == 2


@pytest.mark.django_db(transaction=True)
async def test_the_async_twin():
    from asgiref.sync import sync_to_async

    async with audit.arecord(actor="cli", action="retry", params={"a": 1}) as entry:
        entry.result(count=1)
    with pytest.raises(PermissionDenied):
        async with audit.arecord(actor="cli", action="retry"):
            raise PermissionDenied
    rows = await sync_to_async(entries)()
    assert [row.outcome for row in rows] == ["", "done", "", "denied"]


def test_hostile_text_is_stored_visibly():
    write(target="a\x00b\ud800c", reason="x" * 5000, params={"k": "\x00" * 9000, "o": object})
    first = entries()[0]
    assert first.target == "a\\x00b\\ud800c"
    assert len(first.reason) == audit.TARGET_LENGTH
    assert len(first.params) <= audit.TEXT_LENGTH + 100
    assert json.loads(first.params)
    assert audit.verify().intact


def test_entries_cannot_be_changed_or_deleted_through_django():
    write()
    entry = entries()[0]
    for attempt in (
        entry.save,
        entry.delete,
        lambda: AuditEntry.objects.update(actor="x"),
        lambda: AuditEntry.objects.all().delete(),
    ):
        with pytest.raises(AppendOnly):
            attempt()


@pytest.mark.django_db(transaction=True)
def test_inside_a_transaction_it_refuses_and_says_what_to_do():
    with (
        transaction.atomic(),
        pytest.raises(audit.InTransaction, match="non_atomic_requests"),
        audit.record(actor="cli", action="retry"),
    ):
        pytest.fail("ran without a record")


def test_an_untouched_record_is_intact():
    assert audit.verify().anchor is None
    write(5)
    found = audit.verify()
    assert (found.intact, found.entries, found.unfinished) == (True, 10, [])
    assert found.anchor == audit.Anchor(10, entries()[-1].mac)


def test_a_cut_short_action_is_named_and_is_no_tampering():
    with audit.record(actor="cli", action="retry") as entry:
        found = audit.verify()
    assert found.intact
    assert found.unfinished == [entry.id]


@pytest.mark.parametrize("last", [1, 2, 3, 5, 99])
def test_only_the_last_entries_are_looked_at(last):
    write(3)
    with audit.record(actor="cli", action="retry") as one:
        write(1)
    found = audit.verify(last=last)
    assert (found.problems, found.entries) == ([], min(last, 10))
    assert found.first == max(1, 11 - last)
    assert found.anchor.number == 10
    assert one.id not in found.unfinished


def test_a_part_finds_what_was_done_to_it_and_compares_every_anchor():
    write(5)
    early, late = (audit.Anchor(n, entries()[n - 1].mac) for n in (2, 9))
    assert audit.verify([early, late], last=4).intact
    wrong = audit.Anchor(2, "0" * 64)
    assert [p.number for p in audit.verify([wrong], last=4).problems] == [2]
    raw("UPDATE queuecore_auditentry SET actor = 'eve' WHERE number IN (3, 8)")
    assert [p.number for p in audit.verify(last=4).problems] == [8]
    raw("DELETE FROM queuecore_auditentry WHERE number = 9")
    assert [p.number for p in audit.verify([late], last=4).problems] == [8, 9, 10, 10]
    raw("DELETE FROM queuecore_auditentry WHERE number = 6")
    assert not audit.verify(last=4).intact


def test_the_head_is_the_end_of_an_intact_record():
    assert audit.head() is None
    write(2)
    assert audit.head() == audit.verify().anchor


CHANGES = {
    "at": lambda e: e.at + timedelta(microseconds=1),
    "phase": lambda e: "result" if e.phase == "intent" else "intent",
    "once": lambda e: "x",
    **{
        name: lambda e, name=name: (getattr(e, name) or "")[:-1] + "x"
        for name in (
            *("record", "actor", "actor_id", "ip", "action", "connection", "queue", "target"),
            *("params", "reason", "outcome", "result", "key_id", "previous", "mac"),
        )
    },
}


def test_every_column_is_under_the_code():
    columns = {field.name for field in AuditEntry._meta.fields}
    assert columns - {"id", "number"} == CHANGES.keys()


@pytest.mark.parametrize("column", CHANGES)
@pytest.mark.parametrize("number", [1, 4, 6])
def test_an_edit_of_any_column_is_found(column, number):
    write(3)
    entry = AuditEntry.objects.get(number=number)
    models.QuerySet(AuditEntry).filter(pk=entry.pk).update(**{column: CHANGES[column](entry)})
    found = audit.verify()
    assert number in {problem.number for problem in found.problems}


@pytest.mark.parametrize("number", [1, 3, 6])
def test_a_deletion_is_found(number):
    write(3)
    raw("DELETE FROM queuecore_auditentry WHERE number = %s", number)
    assert not audit.verify().intact


def test_a_deletion_with_renumbering_is_found():
    write(3)
    raw("DELETE FROM queuecore_auditentry WHERE number IN (3, 4)")
    raw("UPDATE queuecore_auditentry SET number = number - 2 WHERE number > 4")
    raw("UPDATE queuecore_audithead SET number = 4")
    assert {p.number for p in audit.verify().problems} == {3, 4}


def test_an_insertion_is_found():
    write(3)
    last = entries()[-1]
    forged = AuditEntry.objects.get(pk=last.pk)
    forged.pk, forged._state.adding = None, True
    forged.number, forged.previous, forged.mac = 7, last.mac, "0" * 64
    forged.save()
    raw("UPDATE queuecore_audithead SET number = 7, mac = %s", forged.mac)
    assert [p.number for p in audit.verify().problems if "written by this site" in p.text] == [7]


def test_an_exchange_of_two_entries_is_found():
    write(3)
    raw("UPDATE queuecore_auditentry SET number = -1 WHERE number = 2")
    raw("UPDATE queuecore_auditentry SET number = 2 WHERE number = 4")
    raw("UPDATE queuecore_auditentry SET number = 4 WHERE number = -1")
    assert {2, 4} <= {problem.number for problem in audit.verify().problems}


def test_a_truncation_is_found_by_the_head():
    write(3)
    raw("DELETE FROM queuecore_auditentry WHERE number > 4")
    assert "head stands at 6" in audit.verify().problems[0].text
    raw("DELETE FROM queuecore_audithead")
    assert "head is missing" in audit.verify().problems[0].text


def test_a_careful_truncation_is_found_by_an_anchor_and_by_nothing_else():
    write(3)
    anchor = audit.verify().anchor
    kept = entries()[3]
    raw("DELETE FROM queuecore_auditentry WHERE number > 4")
    raw("UPDATE queuecore_audithead SET number = 4, mac = %s", kept.mac)
    assert audit.verify().intact
    (problem,) = audit.verify([anchor]).problems
    assert (problem.number, "cut off" in problem.text) == (6, True)
    write(1)  # the record has the old length again, with other entries
    assert "another entry than the anchor" in audit.verify([anchor]).problems[0].text


def test_writing_goes_on_after_a_lost_head():
    write(2)
    AuditHead.objects.all().delete()
    write(1)
    assert audit.verify().intact
    assert [entry.number for entry in entries()] == [1, 2, 3, 4, 5, 6]


def configured(settings, **keys):
    settings.QUEUECORE = settings.QUEUECORE | {"AUDIT_KEYS": keys}


def test_the_first_key_signs_and_older_ones_still_verify(settings):
    write()
    configured(settings, first="secret one")
    write()
    configured(settings, second="secret two", first="secret one")
    write()
    ids = [entry.key_id for entry in entries()]
    assert ids[0].startswith("secret-key-")
    assert ids[2:] == ["first", "first", "second", "second"]
    assert audit.verify().intact
    configured(settings, second="secret two")
    problems = audit.verify().problems
    assert [problem.number for problem in problems] == [3, 4]
    assert "'first', which is not known" in problems[0].text
    configured(settings, second="secret two", first="another secret")
    assert "was changed" in audit.verify().problems[0].text


def test_a_rotated_secret_key_verifies_through_the_fallbacks(settings):
    write()
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "a new one"
    assert "SECRET_KEY_FALLBACKS" in audit.verify().problems[0].text
    settings.SECRET_KEY_FALLBACKS = [old]
    write()
    assert audit.verify().intact


def test_the_deploy_check_asks_for_keys_of_its_own(settings):
    (warning,) = audit.check_audit_keys()
    assert warning.id == "queuecore.W101"
    configured(settings, first="secret")
    assert audit.check_audit_keys() == []


def test_the_command_exports_anchors_and_compares_with_them(tmp_path, capsys):
    file = tmp_path / "anchors"
    write(1)
    call_command("verify_audit", "--export", str(file))
    write(1)
    call_command("verify_audit", "--anchors", str(file), "--export", str(file))
    # Each verification is on record itself, behind what it looked at.
    assert [line.split(":")[0] for line in file.read_text().splitlines()] == ["2", "6"]
    assert "intact: 6 entries, last 6:" in capsys.readouterr().out
    last = audit_log.last_verification()
    assert (last.actor, last.number) == (actor(), 7)
    assert last.result == {
        "intact": True,
        "entries": 6,
        "first": 1,
        "last": 6,
        "problems": [],
        "count": 0,
    }
    raw("DELETE FROM queuecore_auditentry WHERE number > 2")
    raw("UPDATE queuecore_audithead SET number = 2, mac = %s", entries()[-1].mac)
    call_command("verify_audit")
    with pytest.raises(CommandError, match="NOT intact: 1 problems in 4 entries"):
        call_command("verify_audit", "--anchors", str(file), "--export", str(file))
    assert len(file.read_text().splitlines()) == 2
    file.write_text("what\n")
    with pytest.raises(CommandError, match="cannot be read as anchors"):
        call_command("verify_audit", "--anchors", str(file))


@pytest.mark.django_db(transaction=True)
def test_threads_that_write_at_once_make_one_chain():
    together = threading.Barrier(4)

    def work(name):
        try:
            for _ in range(10):
                together.wait(30)
                write(1, actor=name)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(f"thread {n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = audit.verify()
    assert (found.problems, found.unfinished, found.entries) == ([], [], 80)


WRITER = """
import django, sys
django.setup()
from queuecore import audit, audit_log
for index in range(25):
    with audit.record(actor=sys.argv[1], action="retry"):
        pass
"""


@pytest.mark.django_db(transaction=True)
def test_processes_that_write_at_once_make_one_chain(child_environment):
    children = [
        subprocess.Popen([sys.executable, "-c", WRITER, f"process {n}"], env=child_environment)
        for n in range(3)
    ]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    found = audit.verify()
    assert (found.problems, found.entries) == ([], 150)


@pytest.mark.django_db(transaction=True)
def test_a_writer_waits_for_another_transaction_of_the_database():
    """A long write of somebody else (SQLite locks the whole file) delays the record, no more."""
    other = sqlite3.connect(connection.settings_dict["NAME"], check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.5, other.rollback)
    timer.start()
    write(1)
    timer.join()
    other.close()
    assert audit.verify().entries == 2
