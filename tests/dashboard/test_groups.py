"""Groups on the pages: a queue's panel, their list, one's page, its jobs and what can be done."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
import redis
from django.test import Client

from queuecore import Group, JobSpec, Queue, RateLimit
from queuecore.inspect import Inspector
from queuecore.models import AuditEntry
from tests.dashboard import fleet
from tests.dashboard.test_actions import recorded, said, token_of
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
    assert 'href="/queues/exports/groups/acme~20~3C1~3E/">acme &lt;1&gt;</a>' in page
    assert "next of its group" in page
    page = text_of(admin, "/queues/exports/jobs/later/")
    assert 'data-state="delayed"' in page  # by which the page offers to promote it
    assert "Waits until it is due, then for its turn in the group globex." in page
    assert "children are done" not in page
    asked = text_of(admin, "/queues/exports/jobs/ready/confirm/remove/")
    assert "export (Waiting in its group)" in asked


LIST = "/queues/exports/groups/"


@pytest.fixture
def exports(server: Server) -> Queue:
    """The queue ``exports``: three jobs wait in ``acme``, one in ``globex``, which is paused."""
    queue = Queue("exports")
    for number in range(3):
        queue.add("export", {"rows": number}, job_id=f"a-{number}", group=Group("acme"))
    queue.add("export", job_id="g-0", group=Group("globex"))
    queue.pause_group("globex")
    return queue


def rows(text: str) -> list[str]:
    """The groups of a list, in its order."""
    return [unescape(one) for one in re.findall(r'<tr data-live-id="([^"]+)"', text)]


def shown(text: str) -> str:
    return " ".join(unescape(re.sub("<[^>]*>", " ", text)).split())


def test_a_queues_page_tells_of_its_groups_where_it_has_any(
    admin: Client, exports: Queue, redis_client: redis.Redis
) -> None:
    exports.set_group_concurrency("acme", 2)
    exports.rate_limit_group("acme", 60)
    mine = fleet.worker("b" * 32, "exports", group="4,100,60000")
    fleet.process(redis_client, mine)
    page = text_of(admin, "/queues/exports/")
    assert 'id="queue-groups"' in page
    assert 'data-groups="yes"' in page
    panel = shown(page.partition('id="queue-groups"')[2].partition("</section>")[0])
    assert "Groups 2" in panel
    assert "1 paused" in panel
    assert "Each, as workers say: 4 at once, 100 per 60 s" in panel
    assert "acme 0/2 3 waiting" in panel
    assert "in 2 groups" in shown(page)
    assert "goes on in" in panel
    assert 'href="/queues/exports/groups/acme/"' in page
    Queue("plain").add("x")
    page = text_of(admin, "/queues/plain/")
    assert 'data-groups="no"' in page
    assert "Each, as workers say" not in page


def test_workers_that_do_not_agree_are_told_of(
    admin: Client, exports: Queue, redis_client: redis.Redis
) -> None:
    mine = [
        fleet.worker(letter * 32, "exports", group=said)
        for letter, said in (("b", "4,,"), ("c", "5,,"))
    ]
    fleet.process(redis_client, *mine)
    assert "The workers do not agree" in text_of(admin, "/queues/exports/")


def test_groups_are_listed_filtered_sorted_and_paged(admin: Client, exports: Queue) -> None:
    exports.add_bulk(JobSpec("export", group=Group(f"tenant-{n:03}")) for n in range(60))
    page = text_of(admin, LIST)
    assert rows(page)[0] == "acme"
    assert len(rows(page)) == 50
    assert "1–50 of 62" in shown(page)
    further = re.search(r'rel="next" href="([^"]+)"', page)
    assert further is not None
    more = text_of(admin, LIST + unescape(further[1]))
    assert len(rows(more)) == 12
    assert not set(rows(page)) & set(rows(more))
    assert rows(text_of(admin, f"{LIST}?q=ANT-01"))[:2] == ["tenant-010", "tenant-011"]
    assert rows(text_of(admin, f"{LIST}?show=paused")) == ["globex"]
    assert rows(text_of(admin, f"{LIST}?sort=id"))[:2] == ["acme", "globex"]
    assert "No group matches" in text_of(admin, f"{LIST}?q=nobody")
    Queue("plain").add("x")
    assert "This queue has no groups" in text_of(admin, "/queues/plain/groups/")


def test_one_groups_page_lists_its_jobs(admin: Client, exports: Queue) -> None:
    page = text_of(admin, f"{LIST}acme/")
    assert rows(page) == ["a-0", "a-1", "a-2"]
    assert 'href="/queues/exports/jobs/a-0/"' in page
    assert "no limit" in shown(page)
    assert "Nothing waits or runs in this group" in text_of(admin, f"{LIST}nobody/")
    assert "This group is paused" in text_of(admin, f"{LIST}globex/")


def test_a_group_is_paused_with_a_reason_and_resumed(admin: Client, exports: Queue) -> None:
    token = token_of(admin.get(f"{LIST}acme/confirm/pause/"))
    form = {"token": token, "reason": "asked for it", "next": LIST}
    answer = admin.post(f"{LIST}acme/pause/", form)
    assert answer["Location"] == LIST
    assert said(admin) == "Paused the group acme."
    assert exports.get_groups_count_by_status()["paused"] == 2
    admin.post(f"{LIST}acme/resume/")
    assert said(admin) == "Resumed the group acme."
    admin.post(f"{LIST}acme/resume/")
    assert said(admin) == "acme was not paused."
    assert recorded() == [
        ("ada", "pause_group", "exports", "acme", "done"),
        ("ada", "resume_group", "exports", "acme", "done"),
        ("ada", "resume_group", "exports", "acme", "done"),
    ]
    assert AuditEntry.objects.filter(reason="asked for it").exists()
    page = shown(text_of(admin, f"{LIST}acme/"))
    assert "ada Resume a group of jobs" in page
    assert "asked for it" in page
    assert "anything to this group" in text_of(admin, f"{LIST}globex/")


def test_a_groups_own_limits_are_set_and_taken_away(admin: Client, exports: Queue) -> None:
    def set_limits(**form: str) -> Any:
        token = token_of(admin.get(f"{LIST}acme/confirm/limits/"))
        return admin.post(f"{LIST}acme/limits/", {"token": token, **form})

    set_limits(concurrency="2", max="100", seconds="1.5")
    assert exports.get_group_concurrency("acme") == 2
    assert exports.get_group_rate_limit("acme") == RateLimit(100, 1.5)
    asked = text_of(admin, f"{LIST}acme/confirm/limits/")
    for value in ("2", "100", "1.5"):
        assert f'value="{value}"' in asked
    assert "as workers say" in asked
    assert "2 at once, 100 per 1.5 s" in shown(text_of(admin, LIST))
    answer = set_limits(concurrency="0")
    assert "Jobs at once must be" in answer.content.decode()
    assert exports.get_group_concurrency("acme") == 2
    set_limits()
    assert exports.get_group_concurrency("acme") is None
    assert exports.get_group_rate_limit("acme") is None
    assert [one[1] for one in recorded()] == ["group_limits", "group_limits"]


def test_a_group_is_stopped_for_a_while_and_let_go_on(admin: Client, exports: Queue) -> None:
    token = token_of(admin.get(f"{LIST}acme/confirm/stop/"))
    admin.post(f"{LIST}acme/stop/", {"token": token, "for": "900"})
    assert said(admin) == "The group acme starts nothing for 15 m 00 s."
    assert 890 < exports.get_group_rate_limit_ttl("acme") <= 900
    page = text_of(admin, f"{LIST}acme/")
    assert 'data-limited="yes"' in page
    assert "A rate limit holds this group back" in shown(page)
    admin.post(f"{LIST}acme/lift/")
    assert exports.get_group_rate_limit_ttl("acme") == 0
    assert 'data-limited="no"' in text_of(admin, f"{LIST}acme/")
    admin.post(f"{LIST}acme/lift/")
    assert said(admin) == "Nothing held the group acme back."
    assert [one[1] for one in recorded()] == ["stop_group", "lift_group", "lift_group"]


def test_a_group_is_emptied_once_the_queues_name_is_typed(admin: Client, exports: Queue) -> None:
    exports.add("export", delay=3600, group=Group("acme"))
    asked = text_of(admin, f"{LIST}acme/confirm/empty/")
    assert "4 will be removed" in shown(asked) or "will be removed 4" in shown(asked)
    token = token_of(admin.get(f"{LIST}acme/confirm/empty/"))
    answer = admin.post(f"{LIST}acme/empty/", {"token": token, "typed": "acme"})
    assert "That is not the queue's name." in unescape(answer.content.decode())
    assert exports.get_group_jobs_count("acme") == 3
    answer = admin.post(f"{LIST}acme/empty/", {"token": token, "typed": "exports"})
    assert answer["Location"] == LIST  # the group's own page is gone with its jobs
    assert said(admin) == "Removed 4 jobs of the group acme."
    assert exports.get_group_status("acme") is None
    assert exports.get_group_jobs_count("globex") == 1
    assert recorded() == [("ada", "empty_group", "exports", "acme", "done")]


def test_delayed_jobs_of_a_group_say_when_they_are_due_and_are_promoted(
    admin: Client, exports: Queue
) -> None:
    exports.add("export", job_id="later", delay=600, group=Group("acme"))
    page = text_of(admin, f"{LIST}acme/?state=delayed")
    assert rows(page) == ["later"]
    due = page.partition("<tbody>")[2].partition("</tbody>")[0]
    assert 'data-time="until"' in due
    assert 'formaction="/queues/exports/jobs/later/promote/"' in due
    admin.post("/queues/exports/jobs/later/promote/")
    assert said(admin) == "Job later may run now."
    assert [job.id for job in exports.get_group_jobs("acme")][-1] == "later"


def test_who_may_only_look_finds_no_button(person: Callable[..., Client], exports: Queue) -> None:
    reader = person("view")
    for path in (LIST, f"{LIST}acme/"):
        page = text_of(reader, path)
        assert "acme" in page
        for word in ("confirm/", "/resume/", "/lift/"):
            assert f"groups/acme/{word}" not in page


def test_grouped_jobs_that_nobody_works_need_attention(
    admin: Client, exports: Queue, redis_client: redis.Redis
) -> None:
    """They stand among those that wait for children, which nobody has to work."""
    assert Inspector().snapshots(["exports"])["exports"].groups == 1  # the other one is paused
    long_ago = round(time.time() * 1000) - 60_000
    redis_client.hset("bull:exports:a-0", "timestamp", long_ago)
    assert "Jobs of 1 group wait and no worker listens" in shown(text_of(admin, "/"))
    exports.pause()
    assert "Paused, jobs of 1 group wait" in shown(text_of(admin, "/"))
