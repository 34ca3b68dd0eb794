"""What the pages show of real queues: the ordinary, the odd, the hostile and the huge."""

import re
from typing import Any

import pytest
import redis
from django.test import Client
from django.utils import translation

from queuecore import Queue
from tests.servers import Server


def text_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.content.decode()[:2_000]
    return answer.content.decode()


def test_overview(admin: Client, emails: Queue) -> None:
    Queue("paused").add("x")
    Queue("paused").pause()
    text = text_of(admin, "/")
    assert "2 queues" in text
    assert "Paused, 1 job waits" in text
    assert '/queues/paused/confirm/resume/"' in text


def test_without_queues_the_pages_say_how_one_appears(admin: Client, server: Server) -> None:
    for path in ("/", "/queues/"):
        assert "No queue yet" in text_of(admin, path)


def test_queues_are_filtered_and_sorted(admin: Client, emails: Queue) -> None:
    for number, name in enumerate(("beta", "alpha", "Gamma")):
        Queue(name).add_bulk([_spec()] * (number + 1))
    Queue("beta").pause()

    def names(query: str) -> list[str]:
        return re.findall(
            r'data-live-id="default:([^"]+)" data-row', text_of(admin, f"/queues/?{query}")
        )

    assert names("sort=name") == ["alpha", "beta", "emails", "Gamma"]
    assert names("sort=waiting") == ["Gamma", "alpha", "emails", "beta"]
    assert names("q=ALP") == ["alpha"]
    assert names("show=paused") == ["beta"]
    assert names("sort=nonsense&show=nonsense")[0] == "beta"  # by attention: it is paused and waits
    assert "No queue matches" in text_of(admin, "/queues/?q=zzz")


def test_queues_are_grouped_by_prefix_and_sorted_as_people_count(
    admin: Client, server: Server
) -> None:
    for name in ("crm.task-10", "mail", "crm.task-2", "shop/a", "ml-b", "ml-a"):
        Queue(name).add("send", {})
    page = text_of(admin, "/queues/?sort=name&group=1")
    shown = re.findall(
        r'data-live-id="default:([^"]+)" data-row|rowgroup" colspan="16">(.*?)</th>', page
    )
    seen = [name or re.sub("<.*?>", "", head).strip() for name, head in shown]
    assert seen == [
        *("crm. 2 queues", "crm.task-2", "crm.task-10"),
        *("Others", "mail", "shop/a"),
        *("ml- 2 queues", "ml-a", "ml-b"),
    ]
    assert "/queues/?show=all" not in page  # links stay on this page
    assert 'href="?show=all&amp;sort=waiting&amp;group=1"' in page
    assert "Group by prefix" in text_of(admin, "/queues/")
    assert "rowgroup" not in text_of(admin, "/queues/")


def test_queue(admin: Client, emails: Queue) -> None:
    emails.set_global_concurrency(1)
    emails.set_global_rate_limit(50, 10)
    text = text_of(admin, "/queues/emails/")
    for words in ("Global concurrency", "50 jobs per 10 s", "Saturated", "web-1:4711"):
        assert words in text
    for state in ("waiting", "active", "completed", "failed", "delayed", "prioritized"):
        assert f'href="/queues/emails/jobs/?state={state}"' in text


def test_job(admin: Client, emails: Queue) -> None:
    text = text_of(admin, "/queues/emails/jobs/failed-1/")
    for words in ("Failed for good", "ConnectionError", "shop/mail.py", "relay.send(message)"):
        assert words in text
    assert "hunter2" not in text
    text = text_of(admin, "/queues/emails/jobs/completed-1/")
    for words in ("half way", "&quot;sent&quot;", "Completed in"):
        assert words in text
    assert "Runs now, attempt 1." in text_of(admin, "/queues/emails/jobs/active-1/")
    raw = text_of(admin, "/queues/emails/jobs/failed-1/?tab=raw")
    assert "stacktrace" in raw
    assert "hunter2" not in raw


def test_what_was_done_to_a_job_stands_on_its_page(admin: Client, emails: Queue) -> None:
    admin.post("/queues/emails/jobs/failed-1/retry/", {"reason": "relay is <b>back</b>"})
    text = text_of(admin, "/queues/emails/jobs/failed-1/")
    assert "<b>ada</b> Retry" in text
    assert "relay is &lt;b&gt;back&lt;/b&gt;" in text


@pytest.mark.parametrize("path", ["gone/", "~GG/", "meta/", "a/b/c/", "~C3/", "~2e/"])
def test_jobs_that_are_none(path: str, admin: Client, emails: Queue) -> None:
    assert "There is nothing here" in text_of(admin, f"/queues/emails/jobs/{path}", 404)


def test_odd_ids(admin: Client, emails: Queue, redis_client: redis.Redis) -> None:
    for job_id in ("a/b?c#d", "..", "repeat:x:17", "<b>", "ü \u202e", "100%", "~2F"):
        redis_client.hset(
            f"bull:emails:{job_id}", mapping={"name": "odd", "data": "{}", "opts": "{}"}
        )
        redis_client.zadd("bull:emails:completed", {job_id: 1})
    listed = text_of(admin, "/queues/emails/jobs/?state=completed")
    addresses = re.findall(r'href="(/queues/emails/jobs/[^"]+/)" data-open', listed)
    assert len(addresses) == 8
    for address in addresses:
        text_of(admin, address)
        assert admin.post(f"{address}retry/").status_code == 302


def test_five_megabytes_are_cut_and_say_so(admin: Client, emails: Queue) -> None:
    emails.add("large", {"text": "x" * 5_000_000}, job_id="large")
    text = text_of(admin, "/queues/emails/jobs/large/?tab=data")
    assert "5.0 MB" in text
    assert "Cut after" in text
    assert len(text) < 400_000
    assert len(text_of(admin, "/queues/emails/jobs/?state=waiting")) < 100_000


def test_two_hundred_levels_are_bounded(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    deep = '{"deeper":' * 200 + '"bottom"' + "}" * 200
    redis_client.hset("bull:emails:deep-1", mapping={"name": "deep", "data": deep, "opts": "{}"})
    redis_client.zadd("bull:emails:completed", {"deep-1": 1})
    text = text_of(admin, "/queues/emails/jobs/deep-1/?tab=data")
    assert "… not shown" in text
    assert "bottom" in text_of(admin, "/queues/emails/jobs/deep-1/?tab=raw")


@pytest.mark.parametrize(
    "fields",
    [
        {"data": "no json", "opts": "nor this"},
        {"data": "", "opts": "[]", "timestamp": "soon"},
        {"name": "", "data": "NaN", "opts": '{"attempts": "many"}', "atm": "x", "priority": "?"},
        {"timestamp": "99999999999999999999", "processedOn": "-5", "finishedOn": "1e3"},
        {"progress": "{", "stacktrace": "not a list", "failedReason": "\x00"},
    ],
)
def test_spoilt_jobs_are_shown_as_far_as_they_go(
    fields: dict[str, str], admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    redis_client.hset("bull:emails:spoilt-1", mapping={"name": "spoilt", **fields})
    redis_client.zadd("bull:emails:failed", {"spoilt-1": 5})
    text_of(admin, "/queues/emails/jobs/?state=failed")
    for tab in ("summary", "attempts", "data", "result", "options", "logs", "raw"):
        text_of(admin, f"/queues/emails/jobs/spoilt-1/?tab={tab}")


def test_keys_of_other_types_are_no_reason_to_fail(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    redis_client.set("bull:wrong:meta", "a text where a hash should be")
    redis_client.hset("bull:other:meta", "version", "bullmq:6.7.0")
    redis_client.set("bull:other:wait", "a text where a list should be")
    for path in ("/", "/queues/", "/queues/other/", "/queues/emails/"):
        assert admin.get(path).status_code in (200, 404)


def test_a_server_that_is_away(admin: Client, emails: Queue, server: Server) -> None:
    server.kill()
    try:
        pages = ("/", "/queues/", "/schedulers/", "/workers/", "/system/", "/queues/emails/")
        for path in (*pages, "/queues/emails/jobs/", "/queues/emails/jobs/failed-1/"):
            answer = admin.get(path)
            assert answer.status_code == 503
            assert answer["Retry-After"] == "5"
            assert "The server is away" in answer.content.decode()
            assert "Jobs are safe" in answer.content.decode()
        for path in ("/operations/", "/audit/"):  # what they show lies in the database
            assert admin.get(path).status_code == 200
    finally:
        server.start()


def test_pages_speak_the_readers_language(admin: Client, emails: Queue, settings: Any) -> None:
    with translation.override("de"):
        german = admin.get("/", headers={"Accept-Language": "de"})
    assert 'lang="de"' in german.content.decode()
    assert german["Content-Language"] == "de"


def test_nobody_elses_settings_are_needed(admin: Client, emails: Queue, settings: Any) -> None:
    """No context processor, no messages app, no middleware but sessions, CSRF and users."""
    settings.TEMPLATES = [
        {**settings.TEMPLATES[0], "OPTIONS": {"context_processors": []}},
    ]
    settings.MIDDLEWARE = [
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ]
    for path in ("/", "/queues/", "/queues/emails/", "/queues/emails/jobs/failed-1/", "/login/"):
        admin.get(path)
    admin.post("/queues/emails/jobs/failed-1/retry/")
    assert "waits to run again" in text_of(admin, "/queues/")


def _spec(name: str = "x") -> Any:
    from queuecore import JobSpec

    return JobSpec(name, {"n": 1})
