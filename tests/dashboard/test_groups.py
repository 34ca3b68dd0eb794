"""Groups on the pages: a queue's panel, their list, one's page, its jobs and what can be done."""

from __future__ import annotations

from django.test import Client

from queuecore import Group, Queue
from tests.servers import Server


def text_of(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return answer.content.decode()


def test_a_job_that_waits_in_its_group_says_so(admin: Client, server: Server) -> None:
    """Its state is BullMQ's of parents, but it waits for no children."""
    queue = Queue("exports")
    queue.add("export", job_id="ready", group=Group("acme <1>"))
    queue.add("export", job_id="later", delay=600, group=Group("globex"))
    rows = text_of(admin, "/queues/exports/jobs/?state=waiting-children")
    assert "its turn in the group</span> <b>acme &lt;1&gt;</b>" in rows
    assert "due later, in the group</span> <b>globex</b>" in rows
    page = text_of(admin, "/queues/exports/jobs/ready/")
    assert "Waits for its turn in the group acme &lt;1&gt;." in page
    assert "Waiting in its group" in page
    page = text_of(admin, "/queues/exports/jobs/later/")
    assert "Waits until it is due, then for its turn in the group globex." in page
    assert "children are done" not in page
    asked = text_of(admin, "/queues/exports/jobs/ready/confirm/remove/")
    assert "export (Waiting in its group)" in asked
