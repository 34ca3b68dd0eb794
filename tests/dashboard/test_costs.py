"""What pages and sockets cost where there are many queues: counted, never timed."""

import re
from typing import Any

import pytest
from django.test import Client

from dashboard import health
from dashboard.draw import job_cells
from dashboard.live.fragments import jobs, overview
from queuecore import Queue
from queuecore.inspect import JobRow
from tests.servers import Server

pytestmark = pytest.mark.django_db

QUEUES = 30


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The queues that were judged, and those whose rows were drawn, in order."""
    noted: dict[str, list[str]] = {"judged": [], "drawn": []}
    monkeypatch.setattr(overview, "_rows", {})
    judge, draw = health.health, overview._draw_row

    def judged(connection: Any, name: str, *args: Any) -> health.Health | None:
        noted["judged"].append(name)
        return judge(connection, name, *args)

    def drawn(queue: health.Health, *args: Any) -> Any:
        noted["drawn"].append(queue.name)
        return draw(queue, *args)

    monkeypatch.setattr(health, "health", judged)
    monkeypatch.setattr(overview, "_draw_row", drawn)
    return noted


def test_a_row_is_drawn_again_only_if_its_queue_changed(
    admin: Client, server: Server, counted: dict[str, list[str]]
) -> None:
    queues = [Queue(f"queue-{number:02}") for number in range(QUEUES)]
    for queue in queues:
        queue.add("send", {})
    names = [queue.name for queue in queues]
    assert admin.get("/queues/").status_code == 200
    # Judged once a page, though the page, its rows and the rail all ask.
    assert sorted(counted["judged"]) == sorted(counted["drawn"]) == names

    counted["judged"].clear()
    counted["drawn"].clear()
    queues[7].add("send", {})
    page = admin.get("/queues/").content.decode()
    assert sorted(counted["judged"]) == names
    assert counted["drawn"] == ["queue-07"]
    assert re.search(r'id="q~~default~~queue-07~~waiting">2<', page)
    assert re.search(r'id="q~~default~~queue-08~~waiting">1<', page)


def test_a_jobs_cells_are_drawn_again_only_if_it_changed(
    admin: Client, emails: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    draw = job_cells.cells

    def note(row: JobRow, *args: str, **options: bool) -> object:
        drawn.append(row.id)
        return draw(row, *args, **options)

    monkeypatch.setattr(job_cells, "cells", note)
    jobs._row.cache_clear()
    for _ in range(2):
        admin.get("/queues/emails/jobs/?state=active")
    assert drawn == ["active-1"]
    job = emails.get_job("active-1")
    assert job is not None
    job.update_progress(70)
    assert "70<u>%</u>" in admin.get("/queues/emails/jobs/?state=active").content.decode()
    assert drawn == ["active-1", "active-1"]
