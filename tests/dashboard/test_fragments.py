"""Fragments: data only, one element a patch, and the same on the first render as later."""

import re
from html.parser import HTMLParser
from typing import Any, ClassVar

import pytest
from django.test import Client

from dashboard.live.fragments import fragments
from dashboard.live.state import LiveState, Topic, Viewer, read
from queuecore import Queue, access
from tests.dashboard.hostile import assert_harmless
from tests.servers import Server

pytestmark = pytest.mark.django_db  # the overview shows what operations run

ALL = access.Scope()
TOPICS = {
    "overview": (Topic("overview"), ["summary", "sparks", "period:15m", "default:emails"], "/"),
    "overview as a table": (Topic("overview"), ["table:1h"], "/?table=1&period=1h"),
    "queues": (Topic("overview"), ["summary", "default:emails"], "/queues/"),
    "queue": (Topic("queue", "default", "emails"), ["period:1h"], "/queues/emails/?period=1h"),
    "failed jobs": (
        Topic("jobs", "default", "emails", state="failed"),
        ["failed-1"],
        "/queues/emails/jobs/?state=failed",
    ),
    "active jobs": (
        Topic("jobs", "default", "emails", state="active"),
        ["active-1"],
        "/queues/emails/jobs/?state=active",
    ),
    "failed job": (
        Topic("job", "default", "emails", id="failed-1"),
        [],
        "/queues/emails/jobs/failed-1/",
    ),
    "completed job": (
        Topic("job", "default", "emails", id="completed-1"),
        [],
        "/queues/emails/jobs/completed-1/",
    ),
}


def viewer(**changes: Any) -> Viewer:
    return Viewer(**{"scope": ALL, "payload": True, "language": "en", "mount": "/"} | changes)


class Element(HTMLParser):
    """Counts the elements at the top and finds what a fragment must not hold."""

    CONTROLS: ClassVar = {"form", "button", "input", "select", "textarea", "script", "style"}
    VOID: ClassVar = {"br", "hr", "input"}

    def __init__(self) -> None:
        super().__init__()
        self.top: list[tuple[str, dict[str, str | None]]] = []
        self.depth = 0
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.depth == 0:
            self.top.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.depth += 1
        if tag in self.CONTROLS:
            self.wrong.append(tag)
        if "token" in str(attrs).lower():
            self.wrong.append(str(attrs))

    def handle_endtag(self, tag: str) -> None:
        self.depth -= 1

    def handle_data(self, data: str) -> None:
        if self.depth == 0:
            self.wrong.append(f"text at the top: {data!r}")


@pytest.mark.parametrize("name", TOPICS)
def test_each_patch_is_one_element_with_its_id_and_no_control(name: str, emails: Queue) -> None:
    topic, ids, _path = TOPICS[name]
    patches = fragments(read(topic, ids), topic, viewer(), ids)
    assert patches
    for id, patch in patches.items():
        assert (patch.text is None) != (patch.html is None)
        if patch.html is None:
            continue
        reader = Element()
        reader.feed(patch.html)
        assert [element[1].get("id") for element in reader.top] == [id]
        assert reader.depth == 0, id
        assert reader.wrong == [], id
        assert_harmless(patch.html)


@pytest.mark.parametrize("name", TOPICS)
def test_the_page_shows_what_the_socket_would_send(name: str, admin: Client, emails: Queue) -> None:
    topic, ids, path = TOPICS[name]
    page = admin.get(path).content.decode()
    patches = fragments(read(topic, ids), topic, viewer(), ids)
    on_page = set(re.findall(r' id="([^"]+)"', page))
    shown = [id for id in patches if id in on_page]
    assert shown, "the page has none of the live elements"
    for id in shown:
        patch = patches[id]
        # What follows the clock may differ by the second between the two.
        if patch.html is not None and "<time" not in patch.html and "data-points" not in patch.html:
            assert patch.html in page, id
        elif patch.text:
            assert patch.text in page, id


def test_ids_on_a_page_are_unique(admin: Client, emails: Queue) -> None:
    admin.post("/preferences/keep/", {"pin": "default!emails"})
    for _topic, _ids, path in TOPICS.values():
        found = re.findall(r' id="([^"]+)"', admin.get(path).content.decode())
        assert len(found) == len(set(found)), sorted(id for id in found if found.count(id) > 1)


def test_every_live_container_and_id_of_a_page_is_known(admin: Client, emails: Queue) -> None:
    for _topic, _ids, path in TOPICS.values():
        page = admin.get(path).content.decode()
        for text in re.findall(r'data-live-topic="([^"]+)"', page):
            topic = Topic.parse(text)
            assert topic is not None, text
            assert str(topic) == text


def test_without_the_permission_nothing_of_a_payload_is_sent(emails: Queue) -> None:
    for topic, ids, _path in TOPICS.values():
        patches = fragments(read(topic, ids), topic, viewer(payload=False), ids)
        text = "".join((patch.html or "") + (patch.text or "") for patch in patches.values())
        for secret in ("the relay is away", "half way", "sent&quot;", "@example.com"):
            assert secret not in text


def test_outside_of_the_scope_nothing_is_sent(emails: Queue) -> None:
    narrow = viewer(scope=access.Scope((("*", "orders-*"),)))
    for topic, ids, _path in TOPICS.values():
        patches = fragments(read(topic, ids), topic, narrow, ids)
        text = "".join((patch.html or "") + (patch.text or "") for patch in patches.values())
        assert "emails" not in text
        if topic.kind != "overview":
            assert patches == {}


def test_the_language_is_the_viewers(emails: Queue) -> None:
    topic, ids, _path = TOPICS["overview"]
    state = read(topic, ids)
    assert fragments(state, topic, viewer(), ids) != {}
    # Nothing leaks into the thread that made them.
    from django.utils import translation

    with translation.override("fr"):
        fragments(state, topic, viewer(language="en"), ids)
        assert translation.get_language() == "fr"


def test_what_is_not_known_is_left_out(server: Server) -> None:
    state = LiveState()
    for topic, ids, _path in TOPICS.values():
        for patch in fragments(
            state, topic, viewer(), [*ids, "nonsense", "period:x", ":", ""]
        ).values():
            assert patch.text is not None or patch.html is not None


def test_a_job_that_is_gone_says_so(emails: Queue) -> None:
    listed, ids, _path = TOPICS["failed jobs"]
    one = TOPICS["failed job"][0]
    emails.get_job("failed-1").remove()
    row = fragments(read(listed, ids), listed, viewer(), ids)
    assert 'data-state="gone"' in row["j~~failed-1~~state"].html
    page = fragments(read(one), one, viewer())
    assert 'data-state="gone"' in page["job-state"].html
    assert "is gone" in page["job-story"].html


def test_a_job_that_moved_on_shows_where_it_is(emails: Queue) -> None:
    listed, ids, _path = TOPICS["failed jobs"]
    emails.get_job("failed-1").retry("failed")
    mark = fragments(read(listed, ids), listed, viewer(), ids)["j~~failed-1~~state"].html
    assert 'data-state="waiting" data-moved' in mark
    assert "Waiting" in mark


def test_new_jobs_are_counted_not_inserted(emails: Queue) -> None:
    from tests.server.hands import Hands

    listed, ids, _path = TOPICS["failed jobs"]
    hands = Hands(emails, "w-9")
    emails.add("x", lifo=True)
    (job,) = hands.claim()
    hands.fail(job)
    patches = fragments(read(listed, ids), listed, viewer(), ids)
    assert patches["jobs-newer"].text == "+1 new"
    assert f"j~~{job.id}~~state" not in patches
    on_screen = [job.id, *ids]
    emails.add("x", lifo=True)
    hands.fail_all(1)
    emails.get_job(job.id).remove()  # what stood first has gone: the next one counts
    patches = fragments(read(listed, on_screen), listed, viewer(), on_screen)
    assert patches["jobs-newer"].text == "+1 new"
