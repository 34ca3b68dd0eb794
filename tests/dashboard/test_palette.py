"""The palette: what it offers for a few letters, and to whom."""

import re

import pytest
from django.utils import timezone

from queuecore import Queue
from queuecore.models import Operation
from tests.dashboard import fleet

pytestmark = pytest.mark.django_db


def hits(client, q="", **more):
    answer = client.get("/go/suggest/", {"q": q, **more})
    assert answer.status_code == 200
    text = answer.content.decode()
    found = re.findall(r'<a [^>]*?href="([^"]+)" tabindex="-1"( data-dialog)?>', text)
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


@pytest.fixture
def more(names, redis_client):
    """A scheduler, an operation and a worker, of ``emails`` each."""
    emails = Queue("emails")
    emails.upsert_job_scheduler("nightly-digest", pattern="30 2 * * *")
    fleet.process(redis_client)
    at = timezone.now()
    return Operation.objects.create(
        action="retry",
        connection="default",
        queue="emails",
        state="failed",
        bound=0,
        actor="ada",
        record="0" * 32,
        created_at=at,
        updated_at=at,
    )


def test_schedulers_operations_and_workers_are_found(more, admin, person):
    scheduler = "/schedulers/emails/nightly-digest/"
    operation = f"/operations/{more.pk}/"
    worker = f"/workers/{fleet.WORKER}/"
    assert hits(admin, "digest")[:2] == ["/queues/email-digest/", scheduler]
    assert operation in hits(admin, "retry fai")
    assert operation in hits(admin, f"#{more.pk}")
    assert hits(admin, fleet.WORKER[:6]) == [worker]
    every = hits(admin, "emails")
    assert {scheduler, operation, worker} <= set(every)
    narrow = person("view", scope=("billing",))
    for text in ("digest", "retry fai", f"#{more.pk}", fleet.WORKER[:6], "emails"):
        assert hits(narrow, text) == []


def test_without_letters_pinned_queues_come_first_then_where_one_was(names, admin, person):
    admin.post("/preferences/keep/", {"pin": "default!emails"})
    been = [
        "/queues/billing/jobs/of-billing/",
        "/queues/emails/",
        "/admin/",
        "//evil",
        "/queues/x/",
    ]
    assert hits(admin, recent=been)[:5] == [
        *("/queues/emails/", "/queues/billing/jobs/of-billing/", "/queues/emails/"),
        *("/queues/billing/", "/queues/email-digest/"),
    ]
    narrow = person("view", scope=("email-*",))
    assert hits(narrow, recent=been)[0] == "/queues/email-digest/"
    # With letters, too, what is pinned comes before what begins so.
    assert hits(admin, "ema")[:2] == ["/queues/emails/", "/queues/email-digest/"]


def test_nothing_found_is_said(names, admin):
    text = admin.get("/go/suggest/", {"q": "<b>zebra"}).content.decode()
    assert "Nothing is called &lt;b&gt;zebra" in text
