"""Steering a queue from its page: pauses with a reason and an end, limits, deduplication ids."""

import pytest
import redis
from django.test import Client

from queuecore import Deduplication, Queue
from queuecore.inspect import Inspector
from queuecore.models import AuditEntry
from tests.dashboard.test_actions import recorded, said, token_of


def snapshot(name: str = "emails"):
    return Inspector().snapshots([name])[name]


def last_params() -> str:
    return AuditEntry.objects.filter(phase="result").order_by("number").last().params


def test_a_pause_says_why_and_when_it_ends(admin: Client, emails: Queue) -> None:
    token = token_of(admin.get("/queues/emails/confirm/pause/"))
    form = {"token": token, "reason": "the <relay> is away", "for": "3600"}
    admin.post("/queues/emails/pause/", form)
    found = snapshot()
    assert found.paused
    assert (found.pause.reason, found.pause.by) == ("the <relay> is away", "ada")
    left = (found.pause.until - found.at).total_seconds()
    assert 3590 < left <= 3600
    page = admin.get("/queues/emails/").content.decode()
    assert "by ada: the &lt;relay&gt; is away" in page
    assert "Goes on in" in page
    assert "by ada: the &lt;relay&gt; is away" in admin.get("/").content.decode()
    admin.post("/queues/emails/resume/")
    assert snapshot().pause is None
    assert 'data-paused="no"' in admin.get("/queues/emails/").content.decode()


@pytest.mark.parametrize("wrong", ["", "-1", "1", "99999999", "x"])
def test_a_time_that_is_none_of_the_choices_ends_nothing(
    admin: Client, emails: Queue, wrong: str
) -> None:
    token = token_of(admin.get("/queues/emails/confirm/pause/"))
    admin.post("/queues/emails/pause/", {"token": token, "for": wrong})
    assert snapshot().pause.until is None


def test_limits_are_set_changed_and_lifted(admin: Client, emails: Queue) -> None:
    def set_limits(**form: str) -> None:
        token = token_of(admin.get("/queues/emails/confirm/limits/"))
        admin.post("/queues/emails/limits/", {"token": token, **form})

    set_limits(concurrency="5", max="100", seconds="1.5")
    found = snapshot()
    assert (found.concurrency, found.limit_max, found.limit_duration_ms) == (5, 100, 1500)
    assert said(admin) == "The limits of emails are set."
    shown = admin.get("/queues/emails/confirm/limits/").content.decode()
    for value in ("5", "100", "1.5"):
        assert f'value="{value}"' in shown
    set_limits(concurrency="7", max="", seconds="")
    found = snapshot()
    assert (found.concurrency, found.limit_max, found.limit_duration_ms) == (7, None, None)
    set_limits()
    assert snapshot().concurrency is None
    assert [one[1] for one in recorded()] == ["limits"] * 3
    assert last_params() == '{"concurrency": null, "max": null, "seconds": null}'


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"concurrency": "0"}, "Jobs at once must be a whole number from 1 to 1,000,000, or empty"),
        ({"concurrency": "1.5"}, "Jobs at once must be"),
        ({"concurrency": "٣"}, "Jobs at once must be"),
        ({"max": "5"}, "A rate needs both"),
        ({"seconds": "5"}, "A rate needs both"),
        ({"max": "5", "seconds": "nan"}, "from 0.001 to one year"),
        ({"max": "5", "seconds": "1e9"}, "from 0.001 to one year"),
    ],
)
def test_what_is_no_limit_is_refused_in_words_and_changes_nothing(
    admin: Client, emails: Queue, form: dict[str, str], words: str
) -> None:
    emails.set_global_concurrency(3)
    token = token_of(admin.get("/queues/emails/confirm/limits/"))
    answer = admin.post("/queues/emails/limits/", {"token": token, **form})
    assert words in answer.content.decode()
    assert token_of(answer) != token
    assert snapshot().concurrency == 3
    assert recorded() == []


def test_without_its_token_nothing_is_set(admin: Client, emails: Queue) -> None:
    answer = admin.post("/queues/emails/limits/", {"concurrency": "5"})
    assert "Limits of emails" in answer.content.decode()
    assert snapshot().concurrency is None


def test_a_limit_that_holds_is_lifted(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    emails.rate_limit(60)
    assert 'data-limited="yes"' in admin.get("/queues/emails/").content.decode()
    admin.post("/queues/emails/limits/lift/")
    assert not redis_client.exists("bull:emails:limiter")
    assert recorded() == [("ada", "lift", "emails", "", "done")]


def test_deduplication_ids_are_shown_and_released(admin: Client, emails: Queue) -> None:
    job = emails.add("x", deduplication=Deduplication("order <7>"))
    emails.add("x", deduplication=Deduplication("short", ttl=60))
    page = admin.get("/queues/emails/deduplication/").content.decode()
    assert "order &lt;7&gt;" in page
    assert f"/queues/emails/jobs/{job.id}/" in page
    assert "until it has ended" in page
    admin.post("/queues/emails/deduplication/release/", {"key": "order <7>"})
    assert emails.get_deduplication_job_id("order <7>") is None
    assert emails.get_deduplication_job_id("short")
    admin.post("/queues/emails/deduplication/release/", {"key": "order <7>"})
    assert said(admin) == "The id order <7> was free already.".replace("<", "&lt;").replace(
        ">", "&gt;"
    )


def test_who_may_not_release_sees_no_button(person, emails: Queue) -> None:
    emails.add("x", deduplication=Deduplication("order-7"))
    page = person("view").get("/queues/emails/deduplication/").content.decode()
    assert "order-7" in page
    assert "release/" not in page


def test_no_key_teaches_what_they_are(admin: Client, emails: Queue) -> None:
    page = admin.get("/queues/emails/deduplication/").content.decode()
    assert "No key is held here" in page
