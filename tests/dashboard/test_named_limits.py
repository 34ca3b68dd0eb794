"""Named limits on a queue's page: what they allow, what is used, and setting them by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.test import Client

from queuecore import Limit, Queue, RateLimit
from tests.dashboard import planting
from tests.dashboard.test_actions import recorded, said, token_of
from tests.dashboard.test_groups import shown, text_of

PAGE = "/queues/emails/"
ASK, SET = f"{PAGE}confirm/limits/api/", f"{PAGE}limits/api/set/"


@pytest.fixture
def shared(emails: Queue, redis_client: redis.Redis) -> Limit:
    """The limit ``api`` of ``emails``, where one job runs, and ``orders``."""
    Queue("orders").add("x")
    planting.limit(redis_client, "api", "emails", "orders")
    return Limit("api")


def panel(client: Client) -> str:
    return shown(text_of(client, PAGE).partition('id="queue-named"')[2].partition("</section>")[0])


def test_a_queues_page_tells_of_the_limits_that_it_shares(
    admin: Client, shared: Limit, redis_client: redis.Redis
) -> None:
    redis_client.set("qc:bull::limit:api:used", 40, px=30_000)
    assert "Limit api used up" not in shown(text_of(admin, PAGE))
    text = panel(admin)
    assert "Named limit api" in text
    assert "Jobs at once 1 /5" in text
    assert "Started in the window 40 /100" in text
    assert "100 per 60 s; the window resets in" in text
    assert "emails 1 runs orders 0 run" in text
    assert 'href="/queues/orders/"' in text_of(admin, PAGE)
    assert "Set by hand" not in text
    assert "Set the limit api…" in text
    shared.set_concurrency(1)
    assert "Limit api used up" in shown(text_of(admin, PAGE))
    text = panel(admin)
    assert "Every slot is busy." in text
    assert "Set by hand; the settings say: 5 at once, 100 per 60 s." in text
    Queue("plain").add("x")
    assert "Named limit" not in text_of(admin, "/queues/plain/")


def test_it_is_set_by_hand_and_left_to_the_settings(admin: Client, shared: Limit) -> None:
    def put(**form: str) -> Any:
        return admin.post(SET, {"token": token_of(admin.get(ASK)), **form})

    asked = text_of(admin, ASK)
    assert "all workers of 2 queues together" in asked
    for value in ("5", "100", "60"):
        assert f'value="{value}"' in asked
    put(concurrency="2", max="100", seconds="60")
    assert said(admin) == "The limit api is set, for all of its queues."
    found = shared.get()
    assert found is not None
    # What was not touched goes on to be what the settings say.
    assert (found.concurrency, found.concurrency_by_hand, found.rate_by_hand) == (2, True, False)
    put(concurrency="", max="7", seconds="0.5")
    found = shared.get()
    assert found is not None
    assert (found.concurrency, found.rate) == (None, RateLimit(7, 0.5))
    assert "Jobs at once must be" in put(concurrency="x").content.decode()
    put(counts="settings", concurrency="x")
    assert said(admin) == "The settings say what the limit api allows."
    found = shared.get()
    assert found is not None
    assert (found.concurrency, found.rate_by_hand) == (5, False)
    assert recorded() == [("ada", "named_limit", "emails", "api", "done")] * 3
    assert admin.get(f"{PAGE}confirm/limits/nothing/").status_code == 404


def test_it_is_for_those_who_may_limit_all_of_its_queues(
    person: Callable[..., Client], shared: Limit
) -> None:
    client = person("view", "set_limits", scope=("emails",))
    page = text_of(client, PAGE)
    assert "Named limit" in page
    assert "orders" not in page
    answer = client.get(ASK)
    assert answer.status_code == 403
    assert "for other queues, too" in answer.content.decode()
    assert client.post(SET, {"concurrency": "1"}).status_code == 403
    found = shared.get()
    assert found is not None
    assert found.concurrency == 5
    assert [one[4] for one in recorded()] == ["denied"]


def test_a_jobs_page_says_what_keeps_workers_from_it(
    admin: Client, shared: Limit, redis_client: redis.Redis
) -> None:
    queue = Queue("emails")

    def said_of(job_id: str) -> str:
        text = text_of(admin, f"{PAGE}jobs/{job_id}/").partition('class="sentence"')[2]
        return shown(text.partition("</p>")[0].lstrip(">"))

    assert said_of("waiting-1") == "Waits for a free slot."
    queue.set_global_concurrency(1)  # one job runs
    assert said_of("waiting-1") == (
        "Waits for the queue's global concurrency: as many jobs run as may."
    )
    queue.set_global_rate_limit(5, 3600)
    redis_client.set("bull:emails:limiter", 9, px=3_600_000)
    assert said_of("waiting-1") == (
        "Waits for the queue's rate limit, which is used up at the moment."
    )
    shared.set_concurrency(1)
    assert said_of("waiting-1") == (
        "Waits for the limit api, which this queue shares with others: it is used up."
    )
    queue.pause()
    assert said_of("waiting-1") == "Waits until the queue is resumed: it is paused."
    assert said_of("delayed-1") == "Waits until it is due."
