"""Two connections: every page of the second one's queues stays with the second one."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.test import Client

from queuecore import Queue
from tests.dashboard import fleet
from tests.dashboard.conftest import state_of
from tests.dashboard.test_actions import token_of
from tests.servers import Server

AT = "/@reports/"


@pytest.fixture
def reports(new_server: Callable[..., Server], emails: Queue, settings: Any) -> Queue:
    """The queue ``emails`` of another server, beside that of the default one: the same names."""
    url = new_server().url
    both = settings.QUEUECORE["CONNECTIONS"] | {"reports": {"URL": url}}
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": both}
    queue = Queue("emails", connection="reports")
    for number in (1, 2, 3):
        queue.add("digest", {"n": number}, job_id=f"failed-{number}", attempts=1)
    with redis.Redis.from_url(url) as client:
        ids = ["failed-1", "failed-2"]
        client.lrem("bull:emails:wait", 0, ids[0])
        client.lrem("bull:emails:wait", 0, ids[1])
        client.zadd("bull:emails:failed", dict.fromkeys(ids, 1_790_000_000_000))
    queue.upsert_job_scheduler("nightly", pattern="30 2 * * *")
    return queue


def addresses(text: str) -> set[str]:
    """Where a page's own links, forms and buttons lead, and what it is live about."""
    main = text[text.index('id="main"') :]
    found = set(re.findall(r'(?:href|action|formaction)="([^"]+)"', main))
    return {one for one in found if "emails" in one and not one.startswith(("?", "#"))}


def test_all_pages_of_the_second_stay_there(admin: Client, reports: Queue) -> None:
    queue = f"{AT}queues/emails/"
    for path, topic in {
        queue: "queue:reports:emails",
        f"{queue}jobs/?state=failed": "jobs:reports:emails:failed",
        f"{queue}jobs/failed-1/": "job:reports:emails:failed-1",
        f"{queue}jobs/failed-1/?tab=attempts": "job:reports:emails:failed-1",
        f"{queue}deduplication/": "",
        f"{queue}confirm/pause/": "",
        f"{queue}confirm/clean/": "",
        f"{queue}operations/confirm/?action=retry&state=failed": "",
        f"{queue}jobs/failed-1/confirm/remove/": "",
        f"{AT}schedulers/": "schedulers",
        f"{AT}schedulers/emails/nightly/": "scheduler:reports:emails:nightly",
        f"{AT}schedulers/emails/nightly/edit/": "",
        f"{AT}system/": "system:reports",
        f"{AT}system/integrity/": "",
    }.items():
        answer = admin.get(path)
        assert answer.status_code == 200, path
        text = answer.content.decode()
        assert f'data-live-topic="{topic}"' in text if topic else True, path
        # Workers, operations and the audit are of all connections, narrowed to this one.
        wrong = {
            one
            for one in addresses(text)
            if not one.startswith(AT)
            and not re.match(r"/(workers/\?q=%40reports%20|audit/\?alias=reports&amp;)", one)
        }
        assert wrong == set(), path
        if "emails" in path:
            assert re.search(r"<title>.* · reports · QueueCore</title>", text), path
    for path in ("/", "/queues/"):
        led = addresses(admin.get(path).content.decode())
        assert any(one.startswith(f"{AT}") for one in led), path
        assert any(not one.startswith("/@") for one in led), path
    patches = admin.get("/live/poll/", {"topic": "queue:reports:emails"}).json()["patches"]
    (card,) = (one["html"] for one in patches if one["id"] == "card-failed")
    assert ">2<" in card


def test_what_is_done_there_is_done_there_and_leads_back(admin: Client, reports: Queue) -> None:
    queue = f"{AT}queues/emails/"
    job = f"{queue}jobs/failed-1/"
    before = state_of(Queue("emails"), "failed-1")
    answer = admin.post(f"{job}retry/", {"next": job})
    assert answer["Location"] == job
    assert state_of(reports, "failed-1") == "waiting"
    assert state_of(Queue("emails"), "failed-1") == before == "failed"
    asked = admin.post(f"{queue}pause/", {"next": queue})
    answer = admin.post(f"{queue}pause/", {"next": queue, "token": token_of(asked)})
    assert answer["Location"] == queue
    assert reports.is_paused()
    assert not Queue("emails").is_paused()
    shown = admin.get("/audit/?alias=reports").content.decode()
    assert f'href="{queue}' in shown
    assert admin.get("/@elsewhere/queues/emails/").status_code == 404


def test_what_is_of_all_connections_is_asked_for_one(admin: Client, reports: Queue) -> None:
    Queue("bills", connection="reports").add("x")
    for path, there in {
        AT: "/queues/?q=%40reports",
        f"{AT}queues/": "/queues/?q=%40reports",
        f"{AT}workers/": "/workers/?q=%40reports",
        f"{AT}operations/": "/operations/",
        f"{AT}audit/": "/audit/?alias=reports",
    }.items():
        assert admin.get(path)["Location"] == there
    assert admin.get(f"{AT}nonsense/").status_code == 404
    assert admin.get("/@default/").status_code == 404
    assert admin.get("/@elsewhere/").status_code == 404

    def listed(text: str) -> set[str]:
        page = admin.get("/queues/", {"q": text}).content.decode()
        return set(re.findall(r'data-live-id="((?:default|reports):[^"]+)"', page))

    assert listed("@reports") == {"reports:emails", "reports:bills"}
    assert listed("@reports ema") == {"reports:emails"}
    assert listed("ema") == {"default:emails", "reports:emails"}
    workers = admin.get("/workers/", {"q": "@default"}).content.decode()
    link = f'href="/workers/{fleet.WORKER}/"'
    assert link in workers
    assert link not in admin.get("/workers/?q=@reports").content.decode()


def test_what_needs_attention_is_named_with_its_connection(admin: Client, reports: Queue) -> None:
    reports.pause()
    Queue("emails").pause()
    shown = admin.get("/").content.decode()
    links = re.findall(r'<a href="([^"]+)" class="att-name" title="([^"]+)">(.*?)</a>', shown)
    assert sorted(links) == [
        ("/@reports/queues/emails/", "reports / emails", "<small>reports / </small>emails"),
        ("/queues/emails/", "emails", "emails"),
    ]
