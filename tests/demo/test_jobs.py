"""The demo's processors at work: a real worker takes jobs off a real server."""

import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import pytest

from demo import pictures
from demo.file_processing import services as file_processing
from queuecore import Backoff, Job, Queue, Worker, discovery
from tests.demo.test_notifications import Partner

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "home/media"


@pytest.fixture
def partner(settings: Any) -> Iterator[Any]:
    with HTTPServer(("127.0.0.1", 0), Partner) as server:
        server.seen, server.status = [], 200  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        settings.DEMO_BASE_URL = f"http://127.0.0.1:{server.server_port}"
        yield server
        server.shutdown()
        thread.join()


def work(name: str) -> None:
    """Run the queue's worker until nothing is left to run now."""
    Worker(name, discovery.discover().queues["default", name], burst=True).run()


def again(job: Job) -> Job:
    found = job.queue.get_job(job.id)
    assert found is not None
    return found


def test_mails_are_sent_and_a_bad_address_fails_at_once(mailoutbox: list[Any]) -> None:
    queue = Queue("email")
    good = queue.add("welcome", {"to": "ann@example.com", "name": "Ann"}, attempts=3)
    bad = queue.add("welcome", {"to": "jane@", "name": "Jane"}, attempts=3)
    unknown = queue.add("wellcome", {"to": "ann@example.com"}, attempts=3)
    work("email")
    assert again(good).get_state() == "completed"
    assert again(good).returnvalue["subject"] == "Welcome to the shop, Ann"
    assert [message.to for message in mailoutbox] == [["ann@example.com"]]
    for job, why in ((bad, "'jane@' is not a mail"), (unknown, "no mail called 'wellcome'")):
        failed = again(job)
        assert failed.get_state() == "failed"
        assert failed.attempts_made == 1  # a second try could not help
        assert why in (failed.failed_reason or "")


def test_newsletter_waits_until_it_is_released(mailoutbox: list[Any]) -> None:
    queue = Queue("newsletter")
    queue.pause()
    data = {"to": "ann@example.com", "name": "Ann", "campaign": "Spring", "title": "Kite"}
    job = queue.add("newsletter", data)
    work("newsletter")
    assert mailoutbox == []
    queue.resume()
    work("newsletter")
    assert again(job).get_state() == "completed"
    assert len(mailoutbox) == 1


def test_picture_becomes_thumbnails_with_progress_and_a_log() -> None:
    pictures.drop(file_processing.folder("inbox"), "lamp.jpg", "Lamp")
    pictures.drop(file_processing.folder("inbox"), "cut.jpg", "Cut", cut_off=True)
    queue = Queue("file_processing")
    good = queue.add("thumbnails", {"picture": "lamp.jpg"}, attempts=2)
    cut = queue.add("thumbnails", {"picture": "cut.jpg"}, attempts=2)
    outside = queue.add("thumbnails", {"picture": "../../db.sqlite3"}, attempts=2)
    work("file_processing")
    done = again(good)
    assert [thumbnail["file"] for thumbnail in done.returnvalue] == [
        *("lamp-large.webp", "lamp-medium.webp", "lamp-small.webp")
    ]
    assert done.progress == 100
    logs, count = queue.get_job_logs(good.id)
    assert (logs[0], count) == ("reading lamp.jpg", 4)
    assert "truncated" in (again(cut).failed_reason or "")
    assert "not the name of a file" in (again(outside).failed_reason or "")

    catalogue = queue.add("catalogue", {"pages": 10})
    work("file_processing")
    tidy = queue.add("tidy", {"keep": 0})
    work("file_processing")
    assert again(catalogue).returnvalue["pages"] == 1
    assert again(tidy).returnvalue == {"originals": 1, "thumbnails": 3, "mails": 0}


def test_webhook_is_tried_again_with_the_same_id(partner: Any) -> None:
    partner.status = 503
    job = Queue("notifications").add(
        "order.created",
        {"endpoint": "crm", "data": {"order": "S-1"}},
        attempts=2,
        backoff=Backoff.fixed(0.05),
    )
    work("notifications")
    assert again(job).failed_reason == "crm answered 503: says the partner"
    partner.status = 200
    again(job).promote() if again(job).get_state() == "delayed" else None
    work("notifications")
    done = again(job)
    assert (done.get_state(), done.attempts_made) == ("completed", 2)
    assert done.returnvalue["status"] == 200
    ids = {headers["Webhook-Id"] for _, headers, _ in partner.seen}
    assert len(partner.seen) == 2
    assert ids == {f"notifications-{job.id}"}


def test_closed_partner_is_not_tried_again(partner: Any) -> None:
    partner.status = 410
    job = Queue("notifications").add(
        "price.changed", {"endpoint": "old-shop", "data": {}}, attempts=5
    )
    work("notifications")
    assert again(job).get_state() == "failed"
    assert len(partner.seen) == 1


def test_prices_are_uploaded_page_by_page(partner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.notifications.processors.PACE", 0)
    job = Queue("notifications").add("prices.upload", {"endpoint": "crm", "pages": 3}, expires=60)
    work("notifications")
    assert again(job).returnvalue == {"sent": 3, "pages": 3}
    assert again(job).progress == 100
    assert len(partner.seen) == 3
