"""The audit page: who sees which rows, filters, pages, what is new, the record's own state."""

import re
from collections.abc import Callable
from typing import Any

from django.db import connection
from django.test import Client

from dashboard.live.fragments import fragments
from dashboard.live.state import Topic, Viewer, read
from queuecore import Queue, audit
from queuecore.access import Scope
from queuecore.models import AuditEntry
from tests.dashboard import hostile
from tests.servers import Server

Person = Callable[..., Client]


def write(action="retry", queue="emails", target="7", actor="olga", **more: Any) -> str:
    alias = more.pop("alias", "default")
    with audit.record(
        actor=actor, action=action, alias=alias, queue=queue, target=target, **more
    ) as entry:
        entry.result(count=3)
    return entry.id


def rows(answer: Any) -> list[str]:
    """The actions and targets shown, row by row, as bare text."""
    body = answer.content.decode().partition("<tbody>")[2].partition("</tbody>")[0]
    bare = [re.sub(r"<[^>]*>", " ", row) for row in body.split("</tr>")[:-1]]
    return [" ".join(row.split()) for row in bare]


def test_an_action_of_the_pages_stands_there_with_all_that_is_known(
    admin: Client, emails: Queue
) -> None:
    admin.post("/queues/emails/jobs/failed-1/retry/", {"reason": "relay is back"})
    (row,) = rows(admin.get("/audit/"))
    for text in ("ada", "127.0.0.1", "Retry", "emails", "failed-1", "Done", "relay is back"):
        assert text in row
    record = AuditEntry.objects.first().record
    shown = admin.get(f"/audit/{record}/").content.decode()
    for text in ("failed-1", "relay is back", record, *AuditEntry.objects.values_list("mac")[0]):
        assert text in shown


def test_refusals_and_failures_say_why(person: Person, admin: Client, emails: Queue) -> None:
    person("view").post("/queues/emails/jobs/failed-1/retry/")
    admin.post("/queues/emails/jobs/active-1/promote/")
    shown = rows(admin.get("/audit/"))
    assert "Failed" in shown[0]
    assert "Refused" in shown[1]
    assert "queuecore.retry" in admin.get("/audit/").content.decode()
    assert len(rows(admin.get("/audit/", {"outcome": "denied"}))) == 1


def test_only_the_queues_of_ones_scope(person: Person, server: Server) -> None:
    write(queue="mail-eu", target="seen-1")
    hidden = write(queue="orders", target="secret-1", actor="secretary")
    write(queue="", alias="", action="presets", target="secret-2")
    client = person("view", "view_audit", scope=("mail-*",))
    page = client.get("/audit/").content.decode()
    assert "seen-1" in page
    assert "secret-" not in page
    assert "secretary" not in page
    assert "Anchor" not in page
    assert client.get(f"/audit/{hidden}/").status_code == 404
    assert client.get("/audit/nothing/").status_code == 404
    assert client.get("/audit/", {"queue": "orders"}).content.decode().count("secret-") == 0
    assert client.post("/audit/verify/").status_code == 403


def test_an_entry_needs_the_permission(person: Person, client: Client, server: Server) -> None:
    record = write()
    answer = person("view").get(f"/audit/{record}/")
    assert answer.status_code == 403
    assert "queuecore.view_audit" in answer.content.decode()
    assert client.get(f"/audit/{record}/").status_code == 302


def test_the_rail_has_it_for_those_who_may_see_it(person: Person, emails: Queue) -> None:
    assert 'href="/audit/"' not in person("view", name="ole").get("/").content.decode()
    assert 'href="/audit/"' in person("view", "view_audit", name="pia").get("/").content.decode()


def test_filters_and_pages(admin: Client, server: Server) -> None:
    for index in range(120):
        write(target=f"job-{index:03}", actor="olga" if index % 2 else "ole")
    write(action="pause", queue="orders", target="")
    page = admin.get("/audit/")
    assert len(rows(page)) == 50
    seen, older = rows(page), re.search(r'rel="next" href="([^"]*)"', page.content.decode())
    while older:
        page = admin.get(f"/audit/{older[1].replace('&amp;', '&')}")
        seen += rows(page)
        older = re.search(r'rel="next" href="([^"]*)"', page.content.decode())
    assert len(seen) == 121
    assert len({row for row in seen if "job-" in row}) == 120
    for given, count in (
        ({"action": "pause"}, 1),
        ({"queue": "orders"}, 1),
        ({"actor": "ole"}, 50),
        ({"target": "job-007"}, 1),
        ({"outcome": "failed"}, 0),
        ({"from": "2000-01-01", "to": "2000-12-31"}, 0),
        ({"from": "2000-01-01"}, 50),
        ({"from": "nonsense", "before": "nonsense", "outcome": "nonsense"}, 50),
    ):
        assert len(rows(admin.get("/audit/", given))) == count, given
    assert "Nothing matches" in admin.get("/audit/", {"actor": "nobody"}).content.decode()
    # The page after the first keeps the filter.
    page = admin.get("/audit/", {"actor": "ole"}).content.decode()
    assert re.search(r'href="\?actor=ole&amp;before=\d+"', page)


def test_an_empty_record_says_what_will_stand_there(admin: Client, server: Server) -> None:
    assert "Nothing has been done yet" in admin.get("/audit/").content.decode()


def live(viewer: Viewer, *ids: str) -> dict[str, Any]:
    topic = Topic("audit")
    return {
        name: patch.text if patch.html is None else patch.html
        for name, patch in fragments(read(topic, ids), topic, viewer, ids).items()
    }


def viewer(*patterns: str, audit: bool = True) -> Viewer:
    scope = Scope(tuple(("*", one) for one in patterns)) if patterns else Scope()
    return Viewer(scope, payload=False, language="en", mount="/", audit=audit)


def test_what_is_new_is_counted_and_never_inserted(transactional_db: None, server: Server) -> None:
    write()
    newest = AuditEntry.objects.filter(phase="intent").first().number
    assert live(viewer(), f"newer:{newest}?") == {"audit-newer": ""}
    write(queue="orders")
    write(queue="orders", action="pause")
    assert live(viewer(), f"newer:{newest}?") == {"audit-newer": "+2 new"}
    assert live(viewer(), f"newer:{newest}?action=pause") == {"audit-newer": "+1 new"}
    assert live(viewer(), f"newer:{newest}?outcome=done") == {"audit-newer": "+3 new"}
    assert live(viewer("emails"), f"newer:{newest}?") == {"audit-newer": ""}
    assert live(viewer(audit=False), f"newer:{newest}?") == {}
    assert live(viewer(), "newer:x", "newer:", "what") == {"audit-newer": "+3 new"}


def test_a_result_comes_to_the_row_that_waits_for_it(
    transactional_db: None, server: Server
) -> None:
    with audit.record(actor="olga", action="retry", alias="default", queue="emails") as entry:
        shown = live(viewer(), f"record:{entry.id}")
        assert "No result yet" in shown[f"aud-{entry.id}-outcome"]
        entry.result(count=4_213)
    shown = live(viewer(), f"record:{entry.id}")
    assert "Done" in shown[f"aud-{entry.id}-outcome"]
    assert "4,213" in shown[f"aud-{entry.id}-count"]
    assert live(viewer("orders"), f"record:{entry.id}") == {}


def test_verify_says_what_it_found_and_is_on_record(admin: Client, server: Server) -> None:
    write()
    page = admin.get("/audit/").content.decode()
    assert "Never verified" in page
    anchor = re.search(r'<code id="anchor"[^>]*>([^<]*)<', page)[1]
    assert anchor == str(audit.head())
    answer = admin.post("/audit/verify/", {"anchor": anchor}, follow=True)
    page = answer.content.decode()
    # Its own intent is among them.
    assert "The last 3 entries are intact." in page
    assert "3 entries verified by ada" in " ".join(re.sub(r"<[^>]*>", " ", page).split())
    assert "Verify the record" in rows(answer)[0]
    with connection.cursor() as cursor:
        cursor.execute("UPDATE queuecore_auditentry SET actor = 'eve' WHERE number = 1")
    page = admin.post("/audit/verify/", follow=True).content.decode()
    assert "NOT intact: 1 problem. Entry 1 was changed" in page
    assert "Not intact" in page


def test_an_anchor_finds_what_was_cut_off(admin: Client, server: Server) -> None:
    write()
    write()
    anchor = str(audit.head())
    kept = AuditEntry.objects.get(number=2)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM queuecore_auditentry WHERE number > 2")
        cursor.execute("UPDATE queuecore_audithead SET number = 2, mac = %s", [kept.mac])
    assert "is intact" not in admin.post(
        "/audit/verify/", {"anchor": anchor}, follow=True
    ).content.decode().replace("NOT intact", "")
    assert (
        "That is no anchor"
        in admin.post("/audit/verify/", {"anchor": "x"}, follow=True).content.decode()
    )


def test_hostile_texts_stay_texts(admin: Client, server: Server) -> None:
    records = [
        write(
            action=text[:60],
            queue=text,
            target=text,
            actor=text,
            reason=text,
            ip=text[:60],
            params={"a": text, text: 1},
        )
        for text in hostile.CORPUS
    ]
    for path in ("/audit/", "/audit/?outcome=done", *(f"/audit/{one}/" for one in records)):
        answer = admin.get(path)
        assert answer.status_code == 200
        page = answer.content.decode()
        reader = hostile.PageReader()
        reader.feed(page)
        assert not reader.bad, (path, reader.bad)
        # Names that a form sends back stand in attributes as they are; what is read is visible.
        bare = re.sub(r"<[^>]*>", "", page)
        assert not re.search("[\x07\x1b\x7f\u202e\u2066\u200b]", bare)
