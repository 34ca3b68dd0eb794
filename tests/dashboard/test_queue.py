"""The page of a queue: what its newest jobs say, who works it, and that it is gone."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
import redis
from django.test import Client

from dashboard import digest
from dashboard.draw import backlog, queue_panels
from dashboard.live.fragments import fragments
from dashboard.live.state import Topic, Viewer, read
from queuecore import Queue
from queuecore.access import Scope
from tests.dashboard import fleet
from tests.servers import Server

Person = Callable[..., Client]
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ALL = Viewer(Scope(), True, "en", "/")


def row(name: str = "send", reason: str = "", ago: float = 0.0) -> SimpleNamespace:
    return SimpleNamespace(
        name=name, failed_reason=reason, finished_on=NOW - timedelta(seconds=ago)
    )


def test_errors_that_differ_in_numbers_are_one_and_are_found_again() -> None:
    failed = [row(reason=f"KeyError: no user {number}\nmore", ago=number) for number in (3, 17, 9)]
    failed += [row(reason="ValueError: odd"), row(reason="")]
    first, *rest = digest.errors_of(failed)  # type: ignore[arg-type]
    assert (first.name, first.count, first.last) == ("KeyError", 3, NOW - timedelta(seconds=3))
    assert first.text == "KeyError: no user"
    assert {one.text: one.count for one in rest} == {"ValueError: odd": 1, "": 1}


def test_names_are_compared_over_the_same_time() -> None:
    done = [row("send", ago=ago) for ago in range(10)]
    failed = [row("send", ago=5), row("send", ago=5_000), row("pay", ago=2)]
    since = NOW - timedelta(seconds=9)
    found = digest.names_of(done, failed, since)  # type: ignore[arg-type]
    assert [(one.name, one.done, one.failed) for one in found] == [("send", 10, 1), ("pay", 0, 1)]
    assert digest.names_of(done, failed, None)[0].failed == 2  # type: ignore[arg-type]


def test_the_backlog_is_drawn_where_somebody_measured_and_told_in_words() -> None:
    times = [1_790_000_000_000 + 60_000 * index for index in range(5)]
    series = backlog.Backlog("backlog", times, [None, 3, 40, 5, 7], [None, 0, 0, 0, 0], 60)
    drawn = backlog.chart(series)
    assert 'aria-label="Backlog: 7 jobs wait now; at most 40, at least 3."' in drawn
    assert drawn.count("waiting-line") == 1
    assert "delayed-line" not in drawn  # there was none
    assert ">50</text>" in drawn
    told = re.findall(r'<td class="num">(.*?)</td>', backlog.table(series))
    assert [re.sub("<.*?>", "", one) for one in told] == ["7", "0", "5", "0", "40", "0", "3", "0"]
    nothing = backlog.chart(replace(series, waiting=[None] * 5))
    assert "Nothing measured in this period yet." in nothing


@pytest.mark.parametrize(
    ("opts", "said"),
    [
        ('{"removeOnFail": true}', "none"),
        ('{"removeOnFail": 1000}', "1,000 jobs"),
        ('{"removeOnFail": {"age": 3600, "count": 1}}', "1 job, 1 h 00 m"),
        ('{"removeOnFail": -1}', "all"),
        ('{"removeOnFail": {"age": "x", "count": true}}', "all"),
        ("{}", "all"),
        ("[]", "unknown"),
        ("{", "unknown"),
    ],
)
def test_retention_is_read_from_the_newest_job(opts: str, said: str) -> None:
    assert queue_panels.retention(opts, "removeOnFail") == said


def test_the_page_says_what_failed_which_jobs_ran_who_works_and_what_is_scheduled(
    admin: Client, person: Person, emails: Queue, redis_client: redis.Redis
) -> None:
    emails.upsert_job_scheduler("nightly", pattern="30 2 * * *")
    page = admin.get("/queues/emails/").content.decode()
    assert "state=failed&amp;q=error%3A%22ConnectionError%3A+the+relay+is+away%22" in page
    assert "of all that failed" in page
    assert "/queues/emails/jobs/?state=failed&amp;q=name%3Awelcome" in page
    assert f'href="/workers/{fleet.WORKER}/"' in page
    assert "web-1:4711" in page
    assert "/schedulers/emails/nightly/" in page
    assert "Keeps failed" in page
    # What failed is a part of the payload; which jobs ran is not.
    page = person("view").get("/queues/emails/").content.decode()
    assert "the relay is away" not in page
    assert "name%3Awelcome" in page
    # Other pages of the queue do not ask for it.
    assert read(Topic("queue", "default", "emails"))["default"].extra["queue"] == {}


def test_an_empty_queue_says_what_would_stand_there(admin: Client, server: Server) -> None:
    Queue("fresh").add("send", {})
    page = admin.get("/queues/fresh/").content.decode()
    for words in ("No failed job is kept here", "nobody can say what ran", "manage.py runworker"):
        assert words in page
    assert "No scheduler adds jobs" in page
    missing = admin.get("/queues/never-heard-of/")
    assert missing.status_code == 404
    assert "There is no queue never-heard-of" in missing.content.decode()
    assert 'href="/queues/?q=never-heard-of"' in missing.content.decode()


def test_a_queue_that_is_deleted_while_it_is_looked_at_says_so(
    server: Server, redis_client: redis.Redis
) -> None:
    Queue("fresh").add("send", {})
    topic = Topic("queue", "default", "fresh")
    there = fragments(read(topic), topic, ALL)["queue-gone"].html
    assert 'data-gone="no"' in there
    redis_client.flushdb()
    gone = fragments(read(topic), topic, ALL)["queue-gone"].html
    assert 'data-gone="yes"' in gone
    assert "This queue is gone" in gone
