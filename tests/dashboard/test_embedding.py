"""In a project of somebody else's: any mount, a prefix of the server's, languages, other rules."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import clear_script_prefix, set_script_prefix

from queuecore import Queue
from tests.dashboard.addresses import JOBS, VALUES

MOUNT = "/below/de/ops/queues/"
PAGES = (
    *("", "queues/", "queues/emails/", "queues/emails/jobs/?state=failed"),
    *("queues/emails/jobs/failed-1/", "queues/emails/confirm/pause/", "schedulers/"),
    *("schedulers/emails/nightly/", "workers/", f"workers/{VALUES['worker']}/", "operations/"),
    *("system/", "audit/", "preferences/", "go/suggest/?q=", "queues/nowhere/"),
)
assert JOBS["retry"] == "failed-1"


@pytest.fixture
def host(settings: Any, emails: Queue) -> Any:
    """A server that takes ``/below`` off, and addresses that begin with the language."""
    emails.upsert_job_scheduler("nightly", pattern="30 2 * * *")
    settings.ROOT_URLCONF = "tests.dashboard.host_urls"
    settings.STATIC_URL = "static/"  # so that what is built from it below ends with this test
    settings.FORCE_SCRIPT_NAME = "/below"
    settings.LANGUAGES = [("en", "English"), ("de", "German")]
    settings.CSRF_USE_SESSIONS = True
    set_script_prefix("/below/")  # as handlers do, except for the test client's
    yield settings
    clear_script_prefix()


@pytest.mark.parametrize("language", ["", "ja"])
def test_all_addresses_are_below_the_mount(language: str, admin: Client, host: Any) -> None:
    """Also in a language that the host does not have: its addresses stay German."""
    if language:
        admin.post("/de/ops/queues/preferences/keep/", {"language": language})
        assert admin.cookies["queuecore_dashboard_language"]["path"] == MOUNT
    for page in PAGES:
        text = admin.get(f"/de/ops/queues/{page}").content.decode()
        assert "go/suggest" in page or f'<html lang="{language or "de"}"' in text
        led = set(re.findall(r'(?:href|action|formaction|src|data-[a-z-]+)="(/[^"]*)"', text))
        led = {one for one in led if "/static/" not in one}
        assert led, page
        assert {one for one in led if not one.startswith(MOUNT)} == set(), page
    job = "queues/emails/jobs/failed-1/"
    answer = admin.post(f"/de/ops/queues/{job}retry/", {"next": MOUNT + job})
    assert answer["Location"] == MOUNT + job
    assert admin.get("/de/ops/queues/queues/emails")["Location"] == f"{MOUNT}queues/emails/"
    recent = admin.get("/de/ops/queues/go/suggest/", {"recent": MOUNT + job}).content.decode()
    assert f'href="{MOUNT}{job}"' in recent


def test_strangers_are_led_to_the_sign_in_of_the_mount(client: Client, host: Any) -> None:
    answer = client.get("/de/ops/queues/queues/")
    assert answer["Location"] == f"{MOUNT}login/?next={MOUNT}queues/"
    host.LOGIN_URL = "admin:login"
    assert client.get("/de/ops/queues/readyz").status_code == 200


def test_a_policy_of_the_hosts_is_replaced_on_our_pages_alone(admin: Client, host: Any) -> None:
    host.MIDDLEWARE = ["tests.dashboard.test_embedding.strict", *host.MIDDLEWARE]
    policy = admin.get("/de/ops/queues/")["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "report-only" not in policy


def strict(get_response: Any) -> Any:
    """A middleware as django-csp is: a policy where there is none yet."""

    def answer(request: Any) -> Any:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", "report-only; script-src 'none'")
        return response

    return answer
