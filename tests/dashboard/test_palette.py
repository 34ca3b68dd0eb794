"""The palette: what it offers for a few letters, and to whom."""

import re

import pytest

from queuecore import Queue

pytestmark = pytest.mark.django_db


def hits(client, q="", **more):
    answer = client.get("/go/suggest/", {"q": q, **more})
    assert answer.status_code == 200
    text = answer.content.decode()
    found = re.findall(r'<a href="([^"]+)" tabindex="-1"( data-dialog)?>', text)
    return [href for href, _dialog in found]


@pytest.fixture
def names(server):
    for name in ("emails", "email-digest", "billing"):
        Queue(name).add("welcome", job_id=f"of-{name}")


def test_letters_find_queues_those_that_begin_so_first(names, admin):
    Queue("mail-emails").add("x")
    found = hits(admin, "email")
    assert found == ["/queues/email-digest/", "/queues/emails/", "/queues/mail-emails/"]


def test_an_id_finds_the_job_in_the_queue_one_is_at_first(names, admin):
    Queue("billing").add("x", job_id="order-17")
    Queue("emails").add("x", job_id="order-17")
    assert hits(admin, "order-17")[0] == "/queues/billing/jobs/order-17/"
    assert (
        hits(admin, "order-17", alias="default", queue="emails")[0]
        == "/queues/emails/jobs/order-17/"
    )
    assert hits(admin, "of-billing") == ["/queues/billing/jobs/of-billing/"]


def test_on_a_queue_its_actions_are_offered_to_who_may_do_them(names, admin, person):
    at = {"alias": "default", "queue": "emails"}
    assert "/queues/emails/confirm/pause/" in hits(admin, "pau", **at)
    assert hits(admin, "pau") == []
    assert hits(person("view"), "pau", **at) == []


def test_pages_are_found_by_their_words(names, admin):
    assert "/queues/" in hits(admin, "queu")


def test_who_sees_one_queue_is_offered_no_other(names, person):
    client = person("view", scope=("billing",))
    assert [one for one in hits(client) if "/queues/" in one] == ["/queues/billing/", "/queues/"]
    assert hits(client, "of-emails") == []
    assert hits(client, "fail", alias="default", queue="emails") == []


def test_nothing_found_is_said(names, admin):
    text = admin.get("/go/suggest/", {"q": "<b>zebra"}).content.decode()
    assert "Nothing is called &lt;b&gt;zebra" in text
