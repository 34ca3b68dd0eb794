"""Preferences: kept in this browser, never for others, and only what is known."""

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
    ],
)
def test_choices_are_kept(
    form: dict[str, str], attribute: str, admin: Client, emails: Queue
) -> None:
    assert attribute not in admin.get("/").content.decode()
    answer = admin.post("/preferences/", form | {"next": "/queues/"})
    assert answer["Location"] == "/queues/"
    assert attribute in admin.get("/").content.decode()


def test_unknown_choices_change_nothing(admin: Client, emails: Queue) -> None:
    admin.post("/preferences/", {"theme": '"><script>', "density": "", "pin": "nonsense"})
    page = admin.get("/").content.decode()
    assert 'data-theme="system" data-density="comfortable"' in page
    admin.cookies[cookies.THEME] = '"><script>'
    assert 'data-theme="system"' in admin.get("/").content.decode()


def test_pinned_queues_stand_in_the_rail(admin: Client, emails: Queue) -> None:
    odd = Queue.existing("odd name/€")
    odd.pause()  # makes it exist
    for name in ("emails", "odd~20name~2F~E2~82~AC"):
        admin.post("/preferences/", {"pin": f"default!{name}"})
    page = admin.get("/queues/emails/").content.decode()
    assert 'data-live-id="default:emails"' in page
    assert 'data-live-id="default:odd name/€"' in page
    assert "Unpin" in page
    admin.post("/preferences/", {"unpin": "default!emails"})
    assert 'data-live-id="default:emails"' not in admin.get("/queues/emails/").content.decode()


def test_a_pin_shows_nothing_that_ones_scope_does_not(person, emails: Queue) -> None:
    client = person("view", scope=("orders-*",))
    client.post("/preferences/", {"pin": "default!emails"})
    assert "emails" not in client.get("/").content.decode()


def test_pins_are_few(admin: Client, emails: Queue) -> None:
    for number in range(12):
        admin.post("/preferences/", {"pin": f"default!queue-{number}"})
    assert admin.cookies[cookies.PINS].value.count("queue-") == cookies.MAX_PINS
    assert "queue-11" in admin.cookies[cookies.PINS].value
