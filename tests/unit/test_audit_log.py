"""Reading the record: actions in one piece, filters, pages, and who may see which."""

import json
from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied

from queuecore import audit, audit_log
from queuecore.access import Scope
from queuecore.audit_log import Filter, page
from queuecore.models import AuditEntry

pytestmark = pytest.mark.django_db
ALL = Scope()


def write(action="retry", queue="emails", target="7", alias="default", actor="olga", **more):
    with audit.record(
        actor=actor, action=action, alias=alias, queue=queue, target=target, **more
    ) as entry:
        entry.result(count=3)
    return entry.id


def targets(found):
    return [one.target for one in found]


def test_an_action_is_its_intent_and_its_result():
    record = write(params={"state": "failed"}, reason="the relay was away", ip="192.0.2.7")
    (one,) = page(ALL)
    assert (one.record, one.number, one.actor, one.ip) == (record, 1, "olga", "192.0.2.7")
    assert (one.action, one.alias, one.queue, one.target) == ("retry", "default", "emails", "7")
    assert (one.params, one.reason) == ({"state": "failed"}, "the relay was away")
    assert (one.outcome, one.count, one.error) == ("done", 3, "")
    assert one.ended_at >= one.at


def test_outcomes_failed_denied_and_open():
    with pytest.raises(ZeroDivisionError), audit.record(actor="a", action="x"):
        _ = 1 / 0
    with pytest.raises(PermissionDenied), audit.record(actor="a", action="y"):
        raise PermissionDenied("queuecore.y")
    with audit.record(actor="a", action="z"):
        assert [(one.action, one.outcome) for one in page(ALL)] == [
            ("z", "open"),
            ("y", "denied"),
            ("x", "failed"),
        ]
        assert page(ALL)[1].error == "queuecore.y"
        for outcome, action in (("open", "z"), ("denied", "y"), ("failed", "x")):
            (one,) = page(ALL, Filter(outcome=outcome))
            assert one.action == action
    assert page(ALL, Filter(outcome="open")) == []


def test_an_action_that_runs_beside_another_keeps_its_own_result():
    with audit.record(actor="a", action="outer") as outer, audit.record(actor="a", action="inner"):
        outer.result(count=1)
    assert [(one.action, one.outcome, one.count) for one in page(ALL)] == [
        ("inner", "done", None),
        ("outer", "done", 1),
    ]


@pytest.mark.parametrize("outcome", ["", "done"])
def test_pages_go_on_where_the_last_one_ended_while_entries_arrive(outcome):
    for index in range(7):
        write(target=str(index))
    wanted, shown, before = Filter(outcome=outcome), [], None
    while found := page(ALL, wanted, before=before, limit=3):
        shown += targets(found)
        before = found[-1].cursor
        write(target="new")
    assert shown == ["6", "5", "4", "3", "2", "1", "0"]


def test_each_filter():
    write(actor="olga", target="1")
    write(actor="ole", action="pause", target="2")
    write(queue="orders", target="3")
    write(alias="other", target="4")
    for wanted, expected in (
        (Filter(actor="ol"), ["4", "3", "2", "1"]),
        (Filter(actor="ole"), ["2"]),
        (Filter(action="pause"), ["2"]),
        (Filter(queue="orders"), ["3"]),
        (Filter(alias="other", queue="emails"), ["4"]),
        (Filter(target="3"), ["3"]),
        (Filter(outcome="done", action="pause"), ["2"]),
        (Filter(actor="%"), []),
    ):
        assert targets(page(ALL, wanted)) == expected, wanted
        if not wanted.outcome:
            intents = AuditEntry.objects.filter(phase="intent")
            assert [one.target for one in intents if wanted.takes(one)] == expected, wanted
    first, last = AuditEntry.objects.get(number=1).at, AuditEntry.objects.get(number=7).at
    assert targets(page(ALL, Filter(since=last))) == ["4"]
    assert targets(page(ALL, Filter(until=first + timedelta(microseconds=1)))) == ["1"]


def test_only_the_queues_of_a_scope_and_nothing_about_all_of_them():
    for queue in ("mail-eu", "mail-us", "orders", "mailx", "a+b", "line\nmail-"):
        write(queue=queue, target=queue)
    write(queue="mail-eu", alias="other", target="other")
    write(queue="", target="all")

    def seen(*patterns):
        return set(targets(page(Scope(patterns))))

    assert seen(("default", "mail-*")) == {"mail-eu", "mail-us"}
    assert seen(("*", "mail-??")) == {"mail-eu", "mail-us", "other"}
    assert seen(("*", "a+b")) == {"a+b"}
    assert seen(("default", "a.b")) == set()
    assert seen(("*", "*")) == {"mail-eu", "mail-us", "orders", "mailx", "a+b", "other"} | {
        "line\nmail-"
    }
    assert seen(("default", "mail-*"), ("other", "*")) == {"mail-eu", "mail-us", "other"}
    assert seen(("default", "orders"), ("*", "*eu")) == {"orders", "mail-eu", "other"}
    assert seen() == set()
    assert "all" in targets(page(ALL))


def test_pages_of_a_scope_lose_nothing_where_names_differ_in_case():
    for index in range(30):
        write(queue="Mail-x" if index % 3 else "mail-x", target=str(index))
    scope, shown, before = Scope((("*", "mail-*"),)), [], None
    while found := page(scope, before=before, limit=4):
        shown += targets(found)
        before = found[-1].cursor
    assert shown == [str(index) for index in range(29, -1, -1) if index % 3 == 0]


def test_the_history_of_a_job_finds_it_among_ticked_ones():
    write(target="7")
    write(target="77")
    write(action="remove", target=json.dumps(["1", "7"]))
    write(action="remove", target=json.dumps(["1", "77"]))
    write(queue="orders", target="7")
    write(target="state:failed", action="clean")
    assert [one.action for one in audit.entries("default", "emails", "7")] == ["remove", "retry"]
    assert len(audit.entries("default", "emails")) == 5
    assert len(audit.entries("default", "emails", limit=2)) == 2


def test_the_words_of_the_filters_are_those_of_the_scope():
    write(action="pause", actor="ole", queue="orders")
    write(action="retry", actor="olga")
    assert audit_log.words(ALL) == (["pause", "retry"], ["ole", "olga"])
    assert audit_log.words(Scope((("*", "emails"),))) == (["retry"], ["olga"])


def test_params_that_somebody_spoilt_are_shown_as_they_are(django_db_blocker):
    write()
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE queuecore_auditentry SET params = '[1', result = '7'")
    (one,) = page(ALL)
    assert (one.params, one.result, one.count) == ({"text": "[1"}, {"text": "7"}, None)
