"""The stream: real jobs in every state from the start, gentle ever after, nothing added twice."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from demo import stream
from demo.file_processing import services as file_processing
from queuecore import Queue
from tests.servers import Server

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(autouse=True)
def _media(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def shop() -> stream.Shop:
    return stream.Shop(random.Random(1))


def counts(name: str) -> dict[str, int]:
    return Queue(name).get_job_counts()


def test_opening_leaves_no_queue_empty(shop: stream.Shop) -> None:
    shop.open()
    assert counts("email")["waiting"] >= 12
    assert counts("email")["delayed"] >= 1
    assert Queue("notifications").get_groups_jobs_count() >= 17  # each partner is a group
    assert counts("file_processing")["waiting"] == 6
    assert counts("file_processing")["delayed"] == 3
    newsletter = Queue("newsletter")
    assert newsletter.is_paused()
    assert counts("newsletter")["waiting"] == 5
    assert counts("newsletter")["prioritized"] == 20


def test_what_is_done_by_the_clock_is_planned_once(shop: stream.Shop) -> None:
    for _ in range(2):
        shop.plan()
    planned = {
        scheduler.key
        for name in ("file_processing", "notifications")
        for scheduler in Queue(name).get_job_schedulers()
    }
    assert planned == {"nightly-catalogue", "tidy-up", "stock-report", "old-shop-prices"}
    assert counts("file_processing")["delayed"] == counts("notifications")["delayed"] == 2


def test_the_opening_holds_what_will_fail(shop: stream.Shop) -> None:
    shop.open()
    assert any(job.data["to"] == "jane.doe@" for job in Queue("email").get_jobs(["waiting"]))
    partners = {group.id for group in Queue("notifications").get_groups()}
    assert partners == {"crm", "warehouse", "old-shop"}


def test_a_day_without_a_worker_stays_small(
    shop: stream.Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drop(folder: Path, name: str, title: str, **_: Any) -> None:
        (folder / name).write_text(title)  # drawing hundreds would be all that takes time here

    monkeypatch.setattr(stream.pictures, "drop", drop)
    shop.open()
    for _ in range(400):
        shop.tick()
    for name in ("email", "notifications", "file_processing"):
        assert stream.unfinished(Queue(name)) <= stream.BACKLOG + 60, name
    assert stream.unfinished(Queue("newsletter")) == stream.CAMPAIGN
    assert len(list(file_processing.folder("inbox").iterdir())) <= stream.BACKLOG + 10


def test_a_minute_brings_a_gentle_number_of_jobs(shop: stream.Shop) -> None:
    for _ in range(60):
        shop.tick()
    added = sum(stream.unfinished(Queue(name)) for name in ("email", "notifications"))
    assert 30 < added < 120
    pictures = Queue("file_processing").get_jobs(["waiting", "delayed"])
    assert {job.name for job in pictures} == {"thumbnails", "catalogue", "tidy"}


def test_pictures_get_one_job_each_whoever_drops_them(shop: stream.Shop) -> None:
    inbox = file_processing.folder("inbox")
    (inbox / "by hand.png").write_bytes(b"whatever it is")
    shop.pick_up_pictures()
    shop.pick_up_pictures()
    stream.Shop().pick_up_pictures()  # after a restart
    (job,) = Queue("file_processing").get_jobs(["waiting"])
    assert job.data == {"picture": "by hand.png"}


def test_next_campaign_comes_after_the_last_one_is_out(
    shop: stream.Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(stream.time, "monotonic", lambda: clock[0])
    shop.campaign()
    queue = Queue("newsletter")
    assert stream.unfinished(queue) == stream.CAMPAIGN
    clock[0] += 10 * stream.CAMPAIGN_PAUSE
    shop.campaign()
    assert stream.unfinished(queue) == stream.CAMPAIGN  # nobody released it: no second one
    queue.resume()
    queue.drain()
    shop.campaign()
    assert stream.unfinished(queue) == 0
    clock[0] += stream.CAMPAIGN_PAUSE
    shop.campaign()
    assert stream.unfinished(queue) == stream.CAMPAIGN
    assert queue.is_paused()


def test_orders_go_to_node_only_where_it_runs() -> None:
    stream.Shop(random.Random(1)).order()
    assert stream.unfinished(Queue("invoices")) == 0
    stream.Shop(random.Random(1), with_invoices=True).order()
    (job,) = Queue("invoices").get_jobs(["waiting"])
    assert {"to", "name", "order", "items", "total"} <= set(job.data)


def test_it_waits_for_a_server_that_is_away(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server dies at the second step and is back, with no data, at the fourth."""
    steps = Steps(server)
    stream.run(steps, steps)  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines] == ["the server is away", "the server is back"]
    assert stream.unfinished(Queue("email")) == 2


class Steps:
    """A shop of five steps, and the event that ends it after them."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.done: Iterator[int] = iter(range(1, 6))
        self.now = 0

    def open(self) -> None:
        Queue("email").add("welcome", {})

    def tick(self) -> None:
        Queue("email").add("welcome", {})

    def is_set(self) -> bool:
        self.now = next(self.done, 0)
        if self.now == 2:
            self.server.kill()
        elif self.now == 4:
            self.server.start()
        return self.now == 0

    def wait(self, seconds: float) -> None:
        assert 0 <= seconds <= 1
