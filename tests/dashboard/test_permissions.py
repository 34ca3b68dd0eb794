"""Who may open what: every address with every kind of visitor, and nothing said to strangers."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.test import Client

from queuecore import Group, Queue
from queuecore.models import AuditEntry
from tests.dashboard import planting
from tests.dashboard.addresses import APART, OF_A_QUEUE, PAGES, address, names
from tests.servers import Server

Person = Callable[..., Client]


@pytest.fixture
def emails(emails: Queue, redis_client: redis.Redis) -> Queue:
    """With a scheduler, a group and a named limit, of which some of the addresses speak."""
    emails.upsert_job_scheduler("nightly", pattern="30 2 * * *")
    emails.add("export", job_id="grouped-1", group=Group("acme"))
    planting.limit(redis_client, "api", "emails")
    return emails


def ask(client: Client, name: str, path: str | None = None, **more: str):
    method = PAGES[name][0]
    data = {"id": "failed-1"} if name.endswith("_many") else {}
    data |= {"kind": "failing"} if name.endswith("mute") else {}
    return getattr(client, method.lower())(path or address(name), data, headers=more)


def test_every_address_is_in_the_table() -> None:
    assert set(names()) == set(PAGES) | APART


@pytest.mark.parametrize("name", PAGES)
def test_strangers_get_the_login_page_for_everything(
    name: str, client: Client, emails: Queue, db: None
) -> None:
    for path in (address(name), address(name).replace("emails", "no-such-queue")):
        answer = ask(client, name, path)
        assert answer.status_code == 302
        assert answer["Location"].startswith("/login/?next=/")
        assert "no-store" in answer["Cache-Control"]


@pytest.mark.parametrize(
    "path",
    ["/queues/emails", "/queues/nothing/here/", "/@x/queues/emails/", "/@default/", "/nothing/"],
)
def test_strangers_get_it_for_what_does_not_exist_too(
    path: str, client: Client, emails: Queue, db: None
) -> None:
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/")


def test_a_script_of_ours_is_told_to_leave_for_the_login_page(client: Client, db: None) -> None:
    answer = client.get("/queues/", headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer["HX-Redirect"] == "/login/?next=/queues/"


def test_strangers_cannot_post(client: Client, emails: Queue, db: None) -> None:
    ask(client, "resume")
    ask(client, "retry")
    assert emails.get_job("failed-1").get_state() == "failed"
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("name", PAGES)
def test_without_any_permission_the_page_names_the_one_that_is_missing(
    name: str, person: Person, emails: Queue
) -> None:
    answer = ask(person(), name)
    assert answer.status_code == 403
    assert "queuecore.view" in answer.content.decode()
    assert "Whoever manages the users" in answer.content.decode()
    # Nothing about queues and servers, as it stands in the frame of every other page.
    assert b'id="rail-queues"' not in answer.content
    assert not re.search(rb"\bdefault\b", answer.content)  # the connection; not htmx's settings


@pytest.mark.parametrize("name", [name for name, (_, needs) in PAGES.items() if not needs])
def test_who_may_view_sees_the_pages(name: str, person: Person, emails: Queue) -> None:
    assert ask(person("view"), name).status_code in (200, 302)


@pytest.mark.parametrize(
    ("name", "missing"),
    [(name, one) for name, (_, needs) in PAGES.items() for one in needs],
)
def test_each_action_needs_each_of_its_permissions(
    name: str, missing: str, person: Person, emails: Queue
) -> None:
    held = [one for one in PAGES[name][1] if one != missing]
    before = emails.get_job_counts()
    answer = ask(person("view", *held), name)
    assert answer.status_code == 403
    assert f"queuecore.{missing}" in answer.content.decode()
    assert emails.get_job_counts() == before
    assert emails.is_paused() is False


@pytest.mark.parametrize("name", [name for name, (_, needs) in PAGES.items() if needs])
def test_the_permissions_named_suffice(name: str, person: Person, emails: Queue) -> None:
    answer = ask(person("view", *PAGES[name][1]), name)
    assert answer.status_code in (200, 302)


@pytest.mark.parametrize("name", OF_A_QUEUE)
def test_a_queue_outside_of_ones_scope_does_not_exist(
    name: str, person: Person, emails: Queue
) -> None:
    client = person("view", *PAGES[name][1], scope=("orders-*",))
    hidden = ask(client, name)
    nowhere = ask(client, name, address(name, queue="orders-nowhere"))
    assert hidden.status_code == 404
    # A page of a queue that never was says the same; actions on it are plans, counted from nothing.
    assert nowhere.status_code == 404
    assert emails.is_paused() is False


def test_lists_show_what_is_in_ones_scope_only(person: Person, emails: Queue) -> None:
    Queue("orders-eu").add("x")
    client = person("view", scope=("orders-*",))
    for path in ("/", "/queues/"):
        shown = client.get(path).content.decode()
        assert "orders-eu" in shown
        assert "emails" not in shown
        assert "1 queue" in shown
    assert client.get("/go/", {"q": "emails"})["Location"] == "/queues/?q=emails"
    # Nor does looking up an id say where it is.
    assert client.get("/go/", {"q": "failed-1"})["Location"] == "/queues/?q=failed-1"


@pytest.mark.parametrize("name", OF_A_QUEUE)
@pytest.mark.parametrize("alias", ["default", "elsewhere"])
def test_no_second_address_for_a_queue(name: str, alias: str, admin: Client, emails: Queue) -> None:
    assert ask(admin, name, address(name, alias=alias)).status_code == 404


def test_payloads_are_for_those_who_may_see_them(person: Person, emails: Queue) -> None:
    secret = ("failed@example.com", "the relay is away", "half way", "&quot;sent&quot;")
    paths = [
        "/queues/emails/jobs/?state=failed",
        *(f"/queues/emails/jobs/{job}-1/" for job in ("failed", "completed")),
        *(
            f"/queues/emails/jobs/failed-1/?tab={tab}"
            for tab in ("attempts", "data", "raw", "logs")
        ),
        "/queues/emails/jobs/completed-1/?tab=result",
        "/queues/emails/jobs/completed-1/?tab=logs",
    ]
    shut, open_ = person("view", name="ole"), person("view", "view_payload", name="pia")
    seen_by_one = "".join(shut.get(path).content.decode() for path in paths)
    seen_by_other = "".join(open_.get(path).content.decode() for path in paths)
    for text in secret:
        assert text not in seen_by_one
        assert text in seen_by_other
    assert "queuecore.view_payload" in seen_by_one
    assert "hunter2" not in seen_by_other


def test_buttons_are_there_for_those_who_may_press_them(person: Person, emails: Queue) -> None:
    reader = person("view", name="ole")
    worker = person("view", "retry", "remove", "pause_queue", "clean_queue", name="pia")
    for path, words in {
        "/queues/emails/": ("confirm/pause/", "confirm/clean/", "resume/"),
        "/queues/emails/jobs/failed-1/": ("retry/", "confirm/remove/"),
        "/queues/emails/jobs/?state=failed": ("retry/", "confirm/remove/"),
    }.items():
        for word in words:
            assert word in worker.get(path).content.decode(), (path, word)
            assert word not in reader.get(path).content.decode(), (path, word)


def test_read_only_forbids_every_change(settings, admin: Client, emails: Queue) -> None:
    """To superusers, too; refused in words, on record, and no page has a button for it."""
    settings.QUEUECORE = {**settings.QUEUECORE, "DASHBOARD": {"READ_ONLY": True, "COLLECT": False}}
    before = emails.get_job_counts()
    for name, (method, needs) in PAGES.items():
        if not needs or needs == ("view_audit",) or needs == ("view_payload",):
            continue
        denied = AuditEntry.objects.filter(outcome="denied").count()
        answer = ask(admin, name)
        assert answer.status_code == 403, name
        assert "This dashboard is read-only" in answer.content.decode(), name
        if method == "POST":
            assert AuditEntry.objects.filter(outcome="denied").count() == denied + 1, name
    assert emails.get_job_counts() == before
    assert not AuditEntry.objects.filter(outcome="done").exists()
    own = {address("keep_preferences"), "/logout/", address("audit_verify")}
    for name, (method, _needs) in PAGES.items():
        answer = ask(admin, name)
        if method == "GET" and answer.status_code == 200:
            text = answer.content.decode()
            tags = [tag for tag in re.findall("<form[^>]*>", text) if 'method="post"' in tag]
            forms = {one for tag in tags for one in re.findall(r' action="([^"]+)"', tag)}
            buttons = set(re.findall(r'formaction="([^"]*)"', text))
            asking = set(re.findall(r'href="([^"]*/(?:confirm|edit|new)/[^"]*)"', text))
            assert (forms - own) | buttons | asking == set(), name


def test_a_hosts_own_login_page_wins(settings, client: Client, db: None) -> None:
    settings.LOGIN_URL = "/sso/"
    assert client.get("/")["Location"] == "/sso/?next=/"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused(method: str, admin: Client, emails: Queue) -> None:
    for name in PAGES:
        answer = admin.generic(method, address(name))
        assert answer.status_code == 405
        assert answer["Allow"] == ("GET, HEAD" if PAGES[name][0] == "GET" else "POST")


@pytest.mark.parametrize("name", PAGES)
def test_reading_is_reading_and_acting_is_posting(name: str, admin: Client, emails: Queue) -> None:
    wrong = admin.post if PAGES[name][0] == "GET" else admin.get
    assert wrong(address(name)).status_code == 405
    assert not AuditEntry.objects.exists()


def test_a_server_that_is_away_is_no_reason_to_let_strangers_in(
    client: Client, server: Server, db: None
) -> None:
    assert client.get("/queues/emails/").status_code == 302


def test_an_unknown_address_has_our_look_with_debug_too(
    django_user_model: Any, client: Client, settings: Any, db: None
) -> None:
    settings.DEBUG = True
    client.force_login(django_user_model.objects.create_superuser("root"))
    answer = client.get("/nothing/")
    assert answer.status_code == 404
    assert b"queuecore_dashboard/base.css" in answer.content
    assert client.get("/admin")["Location"] == "/admin/"
