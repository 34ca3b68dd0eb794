"""Preferences: kept in this browser, never for others, and only what is known."""

from typing import Any

import pytest
from django.test import Client

from dashboard import cookies
from queuecore import Queue


@pytest.mark.parametrize(
    ("form", "attribute"),
    [
        ({"theme": "dark"}, 'data-theme="dark"'),
        ({"density": "compact"}, 'data-density="compact"'),
        ({"keys": "off"}, 'data-keys="off"'),
        ({"rail": "narrow"}, 'data-rail="narrow"'),
        ({"language": "ja"}, '<html lang="ja"'),
    ],
)
def test_choices_are_kept(
    form: dict[str, str], attribute: str, admin: Client, emails: Queue
) -> None:
    assert attribute not in admin.get("/").content.decode()
    answer = admin.post("/preferences/keep/", form | {"next": "/queues/"})
    assert answer["Location"] == "/queues/"
    assert attribute in admin.get("/").content.decode()


def test_unknown_choices_change_nothing(admin: Client, emails: Queue) -> None:
    admin.post("/preferences/keep/", {"theme": '"><script>', "density": "", "pin": "nonsense"})
    page = admin.get("/").content.decode()
    assert 'data-theme="system" data-density="comfortable"' in page
    admin.cookies[cookies.THEME] = '"><script>'
    assert 'data-theme="system"' in admin.get("/").content.decode()


def test_pinned_queues_stand_in_the_rail(admin: Client, emails: Queue) -> None:
    odd = Queue.existing("odd name/€")
    odd.pause()  # makes it exist
    for name in ("emails", "odd~20name~2F~E2~82~AC"):
        admin.post("/preferences/keep/", {"pin": f"default!{name}"})
    page = admin.get("/queues/emails/").content.decode()
    assert 'data-live-id="default:emails"' in page
    assert 'data-live-id="default:odd name/€"' in page
    assert "Unpin" in page
    admin.post("/preferences/keep/", {"unpin": "default!emails"})
    assert 'data-live-id="default:emails"' not in admin.get("/queues/emails/").content.decode()


def test_a_pin_shows_nothing_that_ones_scope_does_not(person, emails: Queue) -> None:
    client = person("view", scope=("orders-*",))
    client.post("/preferences/keep/", {"pin": "default!emails"})
    assert "emails" not in client.get("/").content.decode()


def test_pins_are_few(admin: Client, emails: Queue) -> None:
    for number in range(12):
        admin.post("/preferences/keep/", {"pin": f"default!queue-{number}"})
    assert admin.cookies[cookies.PINS].value.count("queue-") == cookies.MAX_PINS
    assert "queue-11" in admin.cookies[cookies.PINS].value


def test_the_form_shows_what_was_chosen_as_a_page_and_as_a_dialog(
    admin: Client, emails: Queue
) -> None:
    admin.post("/preferences/keep/", {"zone": "utc", "language": "de"})
    page = admin.get("/preferences/", headers={"Referer": "http://testserver/queues/"})
    dialog = admin.get("/preferences/", headers={"X-Queuecore-Dialog": "1"}).content.decode()
    assert "<html" in page.content.decode()
    assert 'name="next" value="/queues/"' in page.content.decode()
    assert "<html" not in dialog
    for text in (page.content.decode(), dialog):
        assert '<option value="utc" selected>' in text
        assert '<option value="de" lang="de" selected>Deutsch</option>' in text


@pytest.mark.parametrize(
    ("asked", "chosen", "middleware", "spoken"),
    [
        ("fr-CH,fr;q=0.9,en;q=0.8", "", True, "fr"),
        ("fr-CH,fr;q=0.9,en;q=0.8", "", False, "fr"),
        ("pt,es;q=0.5", "", False, "es"),
        ("pt", "", False, "en"),
        ("fr", "ja", True, "ja"),
        ("fr", "ja", False, "ja"),
        ("fr", "xx", False, "fr"),
    ],
)
def test_a_language_is_chosen_else_the_hosts_else_the_browsers(
    asked: str, chosen: str, middleware: bool, spoken: str, client: Client, db: None, settings: Any
) -> None:
    """The login page already, and whatever languages the host itself lists."""
    settings.LANGUAGES = [("en", "English"), ("fr", "French")]
    if not middleware:
        settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if "Locale" not in one]
    client.cookies[cookies.LANGUAGE] = chosen
    answer = client.get("/login/", headers={"Accept-Language": asked})
    assert f'<html lang="{spoken}"' in answer.content.decode()
    assert answer["Content-Language"] == spoken


def test_titles_say_where_and_how_many(admin: Client, emails: Queue, settings: Any) -> None:
    settings.QUEUECORE = settings.QUEUECORE | {"DASHBOARD": {"ENVIRONMENT": "Production EU"}}

    def title(path: str) -> str:
        text = admin.get(path).content.decode()
        return text.partition("<title>")[2].partition("</title>")[0]

    assert title("/queues/emails/jobs/?state=failed") == (
        "[prod eu] (1) Failed · emails · QueueCore"
    )
    assert title("/queues/emails/jobs/?state=waiting-children") == (
        "[prod eu] Waiting children · emails · QueueCore"
    )
    assert title("/queues/emails/deduplication/") == (
        "[prod eu] Deduplication keys · emails · QueueCore"
    )
    assert title("/operations/") == "[prod eu] Operations · QueueCore"
