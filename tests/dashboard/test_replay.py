"""A form of another site, a confirmation that was skipped, stolen or grew old, and a second use.

Generated from the table of addresses: whoever adds one that acts says here whether it asks first.
"""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.test import Client

from dashboard import confirmations
from queuecore import Queue
from queuecore.models import AuditEntry, Operation
from tests.dashboard import fleet
from tests.dashboard.addresses import JOBS, PAGES, PARTS, address
from tests.dashboard.test_actions import recorded, said
from tests.dashboard.test_operations import start
from tests.dashboard.test_permissions import emails as emails  # a fixture

Person = Callable[..., Client]
POSTS = [name for name, (method, _needs) in PAGES.items() if method == "POST"]

#: What asks before it acts, with what must be said beside what its form says already; in an order
#: in which each still has something to do.
ASKING: dict[str, dict[str, Any]] = {
    "repair": {"queue": "emails"},
    "order_workers": {"id": f"default:{fleet.WORKER}"},
    "pause_scheduler": {},
    "remove_scheduler": {},
    "limits": {"concurrency": "7"},
    "named_limit": {"concurrency": "7"},
    "pause_group": {},
    "group_limits": {"concurrency": "7"},
    "stop_group": {},
    "empty_group": {"typed": "emails"},
    "job_priority": {"priority": "5"},
    "job_delay": {"delay": "60"},
    "job_note": {"note": "looked at"},
    "job_data": {"data": '{"to": "new@example.com"}'},
    "job_duplicate": {"name": "x", "data": "{}", "attempts": "1", "priority": "0", "delay": "0"},
    "start_operation": {"action": "retry", "state": "failed"},
    "retry_many": {"id": "failed-1"},
    "remove_many": {"id": "failed-1"},
    "cancel": {},
    "cancel_many": {"id": "active-1"},
    "promote_many": {"id": "delayed-1"},
    "remove": {},
    "mute": {"kind": "paused"},
    "order_queues": {"id": "default/emails"},
    "clean": {"state": "waiting", "age": "0", "limit": "10"},
    "pause": {},
}
#: What acts at once, one time for each form that was shown; the last two change nothing of queues.
DIRECT = {
    *("run_scheduler", "resume_scheduler", "change_scheduler", "create_scheduler", "lift"),
    *("release_deduplication", "job_release", "resume", "unmute", "retry", "promote"),
    *("resume_group", "lift_group"),
    *("audit_verify", "keep_preferences"),
}
#: What their forms say, where it is not nothing.
FORMS: dict[str, dict[str, str]] = {
    "change_scheduler": {"kind": "every", "every": "5", "unit": "hours"},
    "create_scheduler": {"id": "made", "kind": "every", "every": "5", "unit": "hours"},
    "release_deduplication": {"id": "mine"},
    "unmute": {"kind": "paused"},
}


@pytest.fixture
def prepared(emails: Queue, redis_client: redis.Redis) -> Queue:
    """With a lock to be repaired, and a job that is delayed."""
    redis_client.set("bull:emails:failed-1:lock", "left over")
    return emails


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of a state in which these can be done to them."""
    for name, job in {"job_delay": "delayed-1", "job_priority": "waiting-1"}.items():
        monkeypatch.setitem(JOBS, name, job)


def test_every_address_that_acts_says_whether_it_asks() -> None:
    assert set(ASKING) | DIRECT == set(POSTS)
    assert not set(ASKING) & DIRECT


def test_a_new_address_without_a_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables are held against the URLconf itself: this is what that looks like."""
    from django.urls import path

    from dashboard import urls
    from tests.dashboard import addresses

    new = path("queues/<str:queue>/explode/", lambda request, queue: None, name="explode")
    monkeypatch.setattr(urls, "urlpatterns", [*urls.urlpatterns, new])
    found = {str(one.name) for one in addresses._walk(urls.urlpatterns)}
    assert found - set(PAGES) - addresses.APART == {"explode"}
    assert set(PARTS) == found - {"explode"}


def test_forms_of_other_sites_do_nothing(admin: Client, emails: Queue) -> None:
    """Whatever they know: the browser itself says where they come from."""
    made = start(admin, action="retry", state="failed")
    before, jobs = recorded(), emails.get_job_counts()
    paths = [address(name) for name in POSTS]
    paths += [f"/operations/{made.pk}/{verb}/" for verb in ("pause", "resume", "abort", "rate")]
    for path in paths:
        answer = admin.post(path, {"id": "failed-1"}, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403, path
    assert recorded() == before
    assert emails.get_job_counts() == jobs
    made.refresh_from_db()
    assert made.status == "waiting"


def test_a_confirmation_is_ones_own_fresh_and_works_once(
    admin: Client, prepared: Queue, places: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    eve = Client()
    eve.force_login(get_user_model().objects.create_superuser("eve"))
    for name, values in ASKING.items():
        path, before = address(name), AuditEntry.objects.count()
        form = asked(admin, path, values)
        elsewhere = "/queues/emails/clean/" if name != "clean" else "/queues/emails/pause/"
        others = {
            "none": "",
            "made up": "eyJ1c2VyIjoiMSJ9:1abcde:xxxx",
            "somebody else's": asked(eve, path, values)["token"],
            "of another action": asked(admin, elsewhere, {})["token"],
        }
        for which, token in others.items():
            answer = admin.post(path, {**form, "token": token})
            assert answer.status_code == 200, (name, which)
            assert "confirm-form" in answer.content.decode(), (name, which)
        with monkeypatch.context() as later:
            later.setattr(confirmations, "_SECONDS", -1)
            assert admin.post(path, form).status_code == 200, name
        assert AuditEntry.objects.count() == before, name

        answer = admin.post(path, form)
        told = re.findall(r'class="warning.*?</p>', answer.content.decode())
        assert answer.status_code == 302, (name, told)
        count = AuditEntry.objects.count()
        assert count - before in (1, 2), name  # an operation has its result when it ends
        assert "already" not in said(admin), name
        answer = admin.post(path, form)
        assert AuditEntry.objects.count() == count, name
        # Either it says so, or what was confirmed is not what is there now, and it asks again.
        if answer.status_code == 302:
            assert "already" in said(admin), name
        else:
            assert "confirm-form" in answer.content.decode() or answer.status_code == 404, name
    assert Operation.objects.count() == 1


def test_a_form_acts_once(admin: Client, prepared: Queue) -> None:
    for number, name in enumerate(sorted(DIRECT - {"audit_verify", "keep_preferences"})):
        if name == "resume_scheduler":
            prepared.pause_job_scheduler("nightly")
        form = FORMS.get(name, {}) | {"once": f"{number:016}"}
        before = AuditEntry.objects.count()
        assert admin.post(address(name), form).status_code == 302, name
        assert AuditEntry.objects.count() == before + 2, name
        # What it made is there already, which the form says before it comes to that.
        status = 200 if name == "create_scheduler" else 302
        assert admin.post(address(name), form).status_code == status, name
        assert AuditEntry.objects.count() == before + 2, name


def test_a_run_that_was_asked_for_by_a_link_begins_once(admin: Client, prepared: Queue) -> None:
    path = address("run_scheduler")
    page = admin.get(address("confirm_run_scheduler")).content.decode()
    token = re.search(r'name="token" value="([^"]+)"', page)
    assert token is not None
    before = prepared.get_job_counts()["waiting"]
    for _ in range(2):
        assert admin.post(path, {"token": unescape(token[1])}).status_code == 302
    assert "already" in said(admin)
    assert prepared.get_job_counts()["waiting"] == before + 1


def asked(client: Client, path: str, said: dict[str, Any]) -> dict[str, Any]:
    """The form that an address answers with, filled in with *said*."""
    page = client.post(path, said).content.decode()
    form = page[page.index('id="confirm-form"') :].partition("</form>")[0]
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]+>", form):
        if 'type="hidden"' in tag and (field := re.search(r'name="([^"]+)"', tag)):
            value = re.search(r'value="([^"]*)"', tag)
            found[field[1]] = unescape(value[1]) if value else ""
    found.pop("csrfmiddlewaretoken", None)
    # The questions beside the form, as they stand there; one of them may have been answered.
    for field, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', page, re.S):
        chosen = re.search(r'value="([^"]*)"[^>]*selected', options)
        found.setdefault(field, unescape(chosen[1]) if chosen else "")
    found.pop("next", None)
    return {**found, **{key: value for key, value in said.items() if key not in found}, **said}
