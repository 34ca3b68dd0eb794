"""What pages and sockets cost where there are many queues: counted, never timed."""

import re

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
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a queue was judged, and its row drawn."""
    counts = {"judged": 0, "drawn": 0}
    monkeypatch.setattr(overview, "_rows", {})
    judge, draw = health.health, overview._draw_row

    def judged(*args: object) -> object:
        counts["judged"] += 1
        return judge(*args)  # type: ignore[arg-type]

    def drawn(*args: object) -> object:
        counts["drawn"] += 1
        return draw(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(health, "health", judged)
    monkeypatch.setattr(overview, "_draw_row", drawn)
    return counts


def test_a_row_is_drawn_again_only_if_its_queue_changed(
    admin: Client, server: Server, counted: dict[str, int]
) -> None:
    queues = [Queue(f"queue-{number}") for number in range(QUEUES)]
    for queue in queues:
        queue.add("send", {})
    assert admin.get("/queues/").status_code == 200
    # Judged once a page, though the page, its rows and the rail all ask.
    assert counted == {"judged": QUEUES, "drawn": QUEUES}

    queues[7].add("send", {})
    page = admin.get("/queues/").content.decode()
    assert counted == {"judged": 2 * QUEUES, "drawn": QUEUES + 1}
    assert re.search(r'id="q~~default~~queue-7~~waiting">2<', page)
    assert re.search(r'id="q~~default~~queue-8~~waiting">1<', page)


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
