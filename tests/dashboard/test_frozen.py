"""Pages while the server takes connections and never answers."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from queuecore import Queue
from queuecore.errors import ServerUnavailable
from queuecore.wire import absence, connections
from tests.servers import Server

#: Seconds for an answer here, so that the test need not wait for the usual five.
DEADLINE = 1.0


@pytest.fixture
def server_that_freezes(
    new_server: Callable[..., Server], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    server = new_server()
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": {"default": {"URL": server.url}}}
    monkeypatch.setattr(connections, "ANSWER_TIMEOUT", DEADLINE)
    yield server
    os.kill(server.pid or 0, signal.SIGCONT)


PATHS = [
    *("/", "/queues/", "/queues/emails/", "/queues/emails/jobs/?state=failed"),
    *("/queues/emails/jobs/job-1/", "/schedulers/", "/workers/", "/operations/", "/system/"),
    *("/audit/", "/queues/emails/confirm/pause/", "/go/?q=emails", "/live/poll/?topic=overview"),
]


def test_one_question_is_waited_for_and_all_pages_say_that_it_is_away(
    admin: Client, server_that_freezes: Server
) -> None:
    queue = Queue("emails")
    queue.add("welcome", job_id="job-1")
    for path in PATHS:
        assert admin.get(path, follow=True).status_code == 200, path
    os.kill(server_that_freezes.pid or 0, signal.SIGSTOP)
    begun = time.monotonic()
    for path in PATHS:
        text = admin.get(path, follow=True).content.decode()
        if path not in ("/operations/", "/audit/"):  # which show what lies in the database
            assert "did not answer" in text, path
    # Thirteen pages at a second each, and more where a page asks twice, if nothing is remembered.
    assert time.monotonic() - begun < 2 * DEADLINE + 2 * absence.LOOK + 4
    begun = time.monotonic()
    with pytest.raises(ServerUnavailable):  # who is no page asks for himself
        queue.get_job_counts()
    assert time.monotonic() - begun > DEADLINE / 2
    os.kill(server_that_freezes.pid or 0, signal.SIGCONT)
    back = time.monotonic() + absence.REMEMBERED + 10
    while (page := admin.get("/queues/emails/")).status_code != 200:
        assert time.monotonic() < back
        time.sleep(0.1)  # between two looks; the deadline ends it
    assert "did not answer" not in page.content.decode()


def test_a_page_of_two_connections_shows_the_one_that_answers(
    admin: Client, server_that_freezes: Server, server: Server, settings: Any
) -> None:
    both = {"default": {"URL": server.url}, "second": {"URL": server_that_freezes.url}}
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": both}
    Queue("emails").add("welcome")
    os.kill(server_that_freezes.pid or 0, signal.SIGSTOP)
    for path in ("/", "/queues/"):
        text = admin.get(path).content.decode()
        assert "The connection second is away." in text
        assert 'data-away="second"' in text
        assert 'data-live-id="default:emails"' in text
    assert admin.get("/@second/system/").status_code == 503


def test_an_action_says_at_once_that_nothing_was_done(
    admin: Client, server_that_freezes: Server
) -> None:
    queue = Queue("emails")
    queue.add("welcome", job_id="job-1")
    os.kill(server_that_freezes.pid or 0, signal.SIGSTOP)
    assert admin.get("/queues/emails/").status_code == 503
    begun = time.monotonic()
    answer = admin.post("/queues/emails/resume/", {"once": "0123456789ab"}, follow=True)
    assert "did not answer" in answer.content.decode()
    assert time.monotonic() - begun < 2 * DEADLINE + absence.LOOK
