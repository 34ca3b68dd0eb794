"""A queue out of somebody's scope: no page, topic, search, count or probe tells that it exists.

Made from the tables of the hostile texts, so whoever adds a page or a topic is tried here, too.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import redis
from django.test import Client

from queuecore import Queue
from queuecore.access import PERMISSIONS
from tests.dashboard.planting import Planted, plant
from tests.dashboard.test_hostile import PAGES, TOPICS

WORD = re.compile("zz-[a-z-]+-zz")
SEEN = "orders-eu"


def word(place: str) -> str:
    """Each text of the hidden queue tells where it stands."""
    return f"zz-{place}-zz"


@pytest.fixture
def hidden(redis_client: redis.Redis, transactional_db: None) -> Planted:
    """A queue with everything, and one beside it that may be seen."""
    orders = Queue(SEEN)
    orders.add("welcome", job_id="seen-1")
    orders.upsert_job_scheduler("seen", pattern="30 2 * * *")
    return plant(redis_client, word)


@pytest.fixture
def narrow(person: Callable[..., Client]) -> Client:
    """Somebody who may do everything, to the queues of orders."""
    return person(*PERMISSIONS, scope=("orders-*",))


def test_no_page_tells_of_it(narrow: Client, admin: Client, hidden: Planted) -> None:
    """Neither its own address, nor that of what may be seen, nor a search for it."""
    seen = replace(hidden, queue=SEEN, job="seen-1", running="seen-1", scheduler="seen")
    told: dict[str, list[str]] = {}
    shown = 0
    for paths, places in PAGES.values():
        for path in [*paths(hidden), *paths(seen)]:
            answer = narrow.get(path)
            assert answer.status_code in (200, 302, 403, 404), path
            text = answer.content.decode(errors="replace") + answer.get("Location", "")
            # What was asked for is said again: "Nothing is called ...".
            if found := set(WORD.findall(text)) - set(WORD.findall(path)):
                told[path] = sorted(found)
            shown += answer.status_code == 200 and SEEN in text
        if "queue" in places:
            paths_of_it = paths(hidden)
            assert any(word("queue") in admin.get(one).content.decode() for one in paths_of_it)
    assert told == {}
    assert shown > 10, "the queue in scope is shown"


def test_the_palette_finds_nothing_of_it(narrow: Client, admin: Client, hidden: Planted) -> None:
    recent = [hidden.url, hidden.job_url, hidden.scheduler_url]
    for text in ("zz-queue", "zz-job-zz", "zz-scheduler", "zz-host", "zz", ""):
        asked = {"q": text, "recent": recent, "alias": "default", "queue": hidden.queue}
        assert set(WORD.findall(admin.get("/go/suggest/", asked).content.decode()))
        found = WORD.findall(narrow.get("/go/suggest/", asked).content.decode())
        assert set(found) <= {text}


def test_counts_leave_it_out(narrow: Client, admin: Client, hidden: Planted) -> None:
    for path, of_one in {
        "/": 'id="rail-queues">1<',
        "/queues/": 'id="rail-queues">1<',
        "/workers/": 'id="rail-workers"><',
    }.items():
        assert of_one in narrow.get(path).content.decode(), path
        assert of_one not in admin.get(path).content.decode(), path


def test_no_topic_tells_of_it(narrow: Client, admin: Client, hidden: Planted) -> None:
    for topics, _places in TOPICS.values():
        for topic, ids in topics(hidden):
            asked = {"topic": topic, "id": ids}
            assert admin.get("/live/poll/", asked).json()["patches"], topic
            answer = narrow.get("/live/poll/", asked)
            found = set(WORD.findall(answer.content.decode())) - set(WORD.findall(topic))
            assert found == set(), topic
