"""The security headers are on every answer, and pages hold nothing inline."""

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from django.test import Client

from queuecore import Queue
from tests.dashboard.addresses import PAGES, address

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self' ws://testserver; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; object-src 'none'"
)


def assert_safe(answer) -> None:
    assert answer["Content-Security-Policy"] == POLICY
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert "Cookie" in answer["Vary"]


class Inline(HTMLParser):
    """Collects what the policy would block."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        names = dict(attrs)
        if tag == "style" or (tag == "script" and "src" not in names):
            self.found.append(tag)
        for name, value in attrs:
            if name == "style" or name.startswith(("on", "hx-on")):
                self.found.append(f"{tag} {name}")
            if name in ("href", "src") and re.match(r"(https?:)?//", value or ""):
                self.found.append(f"{tag} {name}={value}")


PATHS = [
    *(address(name) for name in PAGES if PAGES[name][0] == "GET"),
    "/login/",
    "/live/poll/?topic=overview",
    "/?period=15m&table=1",
    "/queues/nowhere/",
    "/queues/a/b/c/",
    "/queues/emails/jobs/?state=completed",
    *(
        f"/queues/emails/jobs/failed-1/?tab={tab}"
        for tab in ("attempts", "data", "result", "options", "logs", "raw")
    ),
    *(f"/queues/emails/jobs/{state}-1/" for state in ("active", "delayed", "prioritized")),
]


@pytest.mark.parametrize("path", PATHS)
def test_pages(path: str, admin: Client, emails: Queue) -> None:
    answer = admin.get(path)
    assert_safe(answer)
    reader = Inline()
    reader.feed(answer.content.decode())
    assert reader.found == []


@pytest.mark.parametrize("name", [name for name in PAGES if PAGES[name][0] == "POST"])
def test_actions(name: str, admin: Client, emails: Queue) -> None:
    assert_safe(admin.post(address(name), {"id": "failed-1"}))


def test_refusals(client: Client, person: Callable[..., Client], emails: Queue) -> None:
    assert_safe(client.get("/"))
    assert_safe(person().get("/"))
    assert_safe(client.get("/login/"))
    assert_safe(client.post("/login/", {"username": "x", "password": "y"}))
    assert_safe(client.post("/logout/"))
    assert_safe(client.put("/queues/"))


def test_over_tls_the_socket_is_named_as_it_is(admin: Client, emails: Queue) -> None:
    answer = admin.get("/", secure=True)
    assert "connect-src 'self' wss://testserver;" in answer["Content-Security-Policy"]


def test_static_files_of_another_host_are_allowed_for(
    settings, admin: Client, emails: Queue
) -> None:
    settings.STATIC_URL = "https://static.example.com/s/"
    policy = admin.get("/queues/")["Content-Security-Policy"]
    assert "script-src 'self' https://static.example.com;" in policy


def test_a_policy_of_the_hosts_own_middleware_is_replaced_by_ours(
    admin: Client, emails: Queue
) -> None:
    assert admin.get("/")._csp_config["script-src"] == ["'self'"]
