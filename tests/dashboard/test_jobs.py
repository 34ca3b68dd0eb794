"""The list of jobs: its pages at any depth, its filter, what can be done to all that fit."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import redis
from django.test import Client

from dashboard.draw import filter_words
from dashboard.live.fragments import fragments
from dashboard.live.state import Topic, Viewer, read
from dashboard.pages import listing
from queuecore import JobSpec, Queue, access, matching
from queuecore.models import Operation
from queuecore.wire.calls import matching as calls
from tests.dashboard.hostile import CORPUS, PageReader
from tests.server.hands import Hands
from tests.servers import Server

LIST = "/queues/emails/jobs/"


def text_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.content.decode()[:2_000]
    return answer.content.decode()


def shown(text: str) -> list[str]:
    """The ids of the rows."""
    return [unescape(one) for one in re.findall(r'<tr data-live-id="([^"]+)"', text)]


def link(text: str, mark: str) -> str:
    """The address of the first link that has *mark* in its tag; empty if there is none."""
    found = re.search(rf"<a\b[^>]*{mark}[^>]*>", text)
    target = re.search(r'href="([^"]+)"', found[0]) if found else None
    return unescape(target[1]) if target else ""


def walk(client: Client, path: str, mark: str = 'rel="next"') -> list[list[str]]:
    """The rows of each page from *path* on."""
    pages, url = [], path
    while True:
        text = text_of(client, url)
        pages.append(shown(text))
        further = link(text, mark)
        if not further:
            return pages
        url = path.partition("?")[0] + further


def spec(name: str = "x") -> JobSpec:
    return JobSpec(name, {"n": 1})


@pytest.fixture
def ten(settings: Any) -> None:
    """Ten rows on a page."""
    settings.QUEUECORE = {**settings.QUEUECORE, "DASHBOARD": {"PAGE_SIZE": 10, "COLLECT": False}}


@pytest.fixture
def broken(server: Server, redis_client: redis.Redis) -> Queue:
    """The queue ``emails`` with 35 failed jobs ``f-00`` to ``f-34``, the last one failed last."""
    queue = Queue("emails")
    hands = Hands(queue)
    for number in range(35):
        queue.add(f"send-{number % 5}", {"n": number}, job_id=f"f-{number:02}")
        (job,) = hands.claim()
        hands.fail(job, "Timeout: late" if number % 7 else "Refused: no")
        # One a second, so that their order is theirs alone.
        redis_client.zadd("bull:emails:failed", {f"f-{number:02}": 1_700_000_000_000 + number})
    return queue


@pytest.mark.parametrize(
    ("state", "ids", "words"),
    [
        ("waiting", ["waiting-1"], ["next to run first"]),
        ("prioritized", ["prioritized-1"], ["Priority"]),
        ("active", ["active-1"], ["Progress"]),
        ("delayed", ["delayed-1"], ["Due"]),
        ("completed", ["completed-1"], ["Completed at, newest first"]),
        ("failed", ["failed-1"], ["ConnectionError", "the relay is away"]),
    ],
)
def test_each_state(
    state: str, ids: list[str], words: list[str], admin: Client, emails: Queue
) -> None:
    text = text_of(admin, f"{LIST}?state={state}")
    assert shown(text) == ids
    for word in words:
        assert word in text
    assert "hunter2" not in text


def test_a_list_opens_on_what_one_comes_for(admin: Client, emails: Queue) -> None:
    text = text_of(admin, LIST)
    assert "failed-1" in text
    assert "<title>(1) Failed · emails" in text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("waiting-children", "Parents of a flow stand here"),
        ("prioritized", "smallest number first"),
        ("waiting", 'Queue("idle").add('),
        ("failed", "when its last attempt has failed"),
    ],
)
def test_an_empty_list_teaches(state: str, words: str, admin: Client, server: Server) -> None:
    Queue("idle").pause()
    assert words in unescape(text_of(admin, f"/queues/idle/jobs/?state={state}"))


@pytest.mark.parametrize("state", ["waiting", "delayed", "prioritized"])
def test_pages_of_every_kind_of_list(state: str, admin: Client, server: Server, ten: None) -> None:
    options = {"waiting": {}, "delayed": {"delay": 60}, "prioritized": {"priority": 3}}[state]
    queue = Queue("many")
    queue.add_bulk([JobSpec("x", {}, **options) for _ in range(25)])
    path = f"/queues/many/jobs/?state={state}"
    pages = walk(admin, path)
    assert [len(page) for page in pages] == [10, 10, 5]
    every = [one for page in pages for one in page]
    assert len(set(every)) == 25
    # Back again, page by page, and at once to either end.
    last = text_of(admin, f"/queues/many/jobs/{link(text_of(admin, path), 'from=20')}")
    assert shown(last) == pages[2]
    assert "21–25</b> of" in last
    back = walk(admin, f"{path}&from=20", 'rel="prev"')
    assert back == pages[::-1]
    assert "21–25" in text_of(admin, f"{path}&from=9999")
    for odd in ("-1", "x", "1e9", "9" * 40, "٣"):
        assert "1–10" in text_of(admin, f"{path}&from={odd}")
    for odd in ("x", "9~1~AA", "0~~~", "-1", "0~nan~AA", "0~1_0~AA", "0~1e9~A", "0~-1~AA", "\x00"):
        answer = admin.get("/queues/many/jobs/", {"state": state, "after": odd})
        assert answer.status_code == 200


def test_a_page_begins_where_the_one_before_ended_whatever_comes_and_goes(
    admin: Client, broken: Queue, redis_client: redis.Redis, ten: None
) -> None:
    first = text_of(admin, f"{LIST}?state=failed")
    assert shown(first) == [f"f-{number}" for number in range(34, 24, -1)]
    # Three fail meanwhile, and two that were shown are retried: a page by number would shift.
    broken.add_bulk([spec()] * 3)
    Hands(broken, "others").fail_all(3)
    for gone in ("f-34", "f-30"):
        job = broken.get_job(gone)
        assert job is not None
        job.retry()
    second = text_of(admin, LIST + link(first, 'rel="next"'))
    assert shown(second) == [f"f-{number}" for number in range(24, 14, -1)]
    third = text_of(admin, LIST + link(second, 'rel="next"'))
    assert shown(third) == [f"f-{number:02}" for number in range(14, 4, -1)]
    assert shown(text_of(admin, LIST + link(third, 'rel="prev"'))) == shown(second)


def test_oldest_first(admin: Client, broken: Queue, ten: None) -> None:
    text = text_of(admin, f"{LIST}?state=failed&q=send-*")
    turned = link(text, 'title="Show the oldest first"')
    assert 'aria-sort="descending"' in text
    pages = walk(admin, LIST + turned)
    assert [one for page in pages for one in page] == [f"f-{number:02}" for number in range(35)]
    text = text_of(admin, LIST + turned)
    assert 'aria-sort="ascending"' in text
    assert "searched 10 of 35, oldest first" in text
    # Only what has ended can be turned round.
    assert "aria-sort" not in text_of(admin, f"{LIST}?state=waiting&sort=oldest")


def test_the_way_back_is_bounded(admin: Client, server: Server, settings: Any) -> None:
    settings.QUEUECORE = {**settings.QUEUECORE, "DASHBOARD": {"PAGE_SIZE": 1, "COLLECT": False}}
    Queue("many").add_bulk([spec()] * 40)
    path = "/queues/many/jobs/"
    url, pages = "?state=waiting&q=name:x", []
    for _ in range(40):
        text = text_of(admin, path + url)
        assert len(url) < 1_600
        pages.append(shown(text))
        url = link(text, 'rel="next"') or url
    for steps in range(38, 19, -1):
        text = text_of(admin, path + link(text, 'rel="prev"'))
        assert shown(text) == pages[steps]
    assert "First page" in text
    assert shown(text_of(admin, path + link(text, 'rel="prev"'))) == pages[0]


def test_words_of_the_filter_are_tokens_in_the_address(admin: Client, broken: Queue) -> None:
    text = text_of(admin, f"{LIST}?state=failed&q=name:send-1&q=attempts%3E0+age%3C1h")
    assert shown(text) == ["f-31", "f-26", "f-21", "f-16", "f-11", "f-06", "f-01"]
    assert re.search(r'<b class="num">7</b> match', text)
    assert "searched 35 of 35" in text
    tokens = [unescape(one) for one in re.findall(r'type="hidden" name="q" value="([^"]*)"', text)]
    assert tokens == ["name:send-1", "attempts:1..", "age<1h"]
    without = link(text, 'aria-label="Remove name:send-1 from the filter"')
    assert parse_qsl(urlsplit(without).query) == [
        ("state", "failed"),
        ("q", "attempts:1.."),
        ("q", "age<1h"),
    ]
    assert re.search(r'<b class="num">35</b> match', text_of(admin, LIST + without))
    # Other tabs keep the filter.
    assert "q=name%3Asend-1" in link(text, 'href="[?]state=completed')


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ("send-1", 7),
        ("SEND", 35),
        ("name:send-1", 7),
        ("name:*-2", 7),
        ("id:f-07", 1),
        ("id:f-1*", 10),
        ("attempts:1", 35),
        ("attempts>1", 0),
        ("age>1h", 0),
        ("error:refused", 5),
        ('error:"no" name:send-0', 1),
        ("priority:0", 35),
        ("nothing", 0),
    ],
)
def test_filters(words: str, count: int, admin: Client, broken: Queue) -> None:
    answer = admin.get(LIST, {"state": "failed", "q": words})
    assert len(shown(answer.content.decode())) == count


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("nmae:x", "Did you mean “name”"),
        ("attempts>many", "no whole number"),
        ("age>soon", "no duration"),
        ('error:"open', "not closed"),
        ("x" * 501, "at most 500 characters"),
    ],
)
def test_what_is_no_filter_is_said_and_nothing_is_shown(
    words: str, why: str, admin: Client, broken: Queue
) -> None:
    answer = admin.get(LIST, {"state": "failed", "q": ["name:send-1", words]})
    text = unescape(answer.content.decode())
    assert answer.status_code == 200
    assert re.search(rf'role="alert"[^§]{{0,600}}{why}', text)
    assert shown(text) == []
    assert "bulk-bar" not in text
    assert "That is no filter" in text
    # The good word stays a token, the bad one stands in the field.
    assert 'name="q" value="name:send-1"' in text


def test_all_that_can_be_wrong_with_a_filter_is_said_in_the_reader_s_language() -> None:
    """The dashboard has a text of its own for each kind, which its catalogues translate."""
    assert filter_words._SAID.keys() == matching._WRONG.keys()
    wrong = ("nmae:x", "id:", "id>7", "age:7", "age>y", "added<x", "priority>x", 'a"', "x" * 501)
    for text in wrong:
        with pytest.raises(matching.InvalidFilter) as found:
            matching.Filter.parse("failed", text)
        said = filter_words.explained(found.value)
        assert "%(" not in said


def test_nobody_guesses_errors_without_the_right_to_see_them(
    person: Callable[..., Client], broken: Queue
) -> None:
    text = text_of(person("view", "bulk", "retry"), f"{LIST}?state=failed&q=error:refused")
    assert "Looking for errors needs queuecore.view_payload." in text
    assert shown(text) == []
    assert "Refused: no" not in text
    assert "part of the last error" not in text


def test_an_id_that_was_typed_leads_to_its_job_in_whatever_state(
    admin: Client, emails: Queue
) -> None:
    for words in ("completed-1", "id:completed-1"):
        text = text_of(admin, f"{LIST}?state=failed&q={words}")
        assert shown(text) == []
        assert "A job has the id completed-1 itself (Completed):" in text
        assert link(text, "jobs/completed-1/")
    assert "itself" not in text_of(admin, f"{LIST}?state=completed&q=id:completed-1")


def test_a_search_says_how_far_it_got_and_goes_on_from_there(
    admin: Client, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "SECONDS", 0.0)
    monkeypatch.setattr(calls, "SLICE", 100)
    queue = Queue("long")
    queue.add_bulk([spec("plain") for _ in range(220)])
    queue.add("needle")
    path = "/queues/long/jobs/"
    text = text_of(admin, f"{path}?state=waiting&q=needle")
    assert "searched 100 of 221, next to run first" in text
    assert "None so far" in text
    assert "No job matches" not in text
    text = text_of(admin, path + link(text, 'rel="next"'))
    assert "searched 200 of 221" in text
    text = text_of(admin, path + link(text, 'rel="next"'))
    assert "searched 221 of 221" in text
    assert len(shown(text)) == 1
    assert not link(text, 'rel="next"')
    text = text_of(admin, f"{path}?state=waiting&q=plain")
    assert "All ≈ 221 that match" in text


def test_a_page_costs_the_same_at_any_depth(
    admin: Client, broken: Queue, ten: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each looks at no more jobs than it shows, the jump to the last page too."""
    looked: list[int] = []
    match = matching.match

    def counted(*args: Any, **options: Any) -> Any:
        found = match(*args, **options)
        looked.append(found.looked)
        return found

    monkeypatch.setattr(matching, "match", counted)
    first = text_of(admin, f"{LIST}?state=failed")
    second = text_of(admin, LIST + link(first, 'rel="next"'))
    for url in (link(second, 'rel="next"'), link(first, "from=30")):
        looked.clear()
        text_of(admin, LIST + url)
        assert looked[0] <= 10
        assert sum(looked[1:]) <= listing.COUNTED_FROM


@pytest.mark.parametrize(
    ("state", "actions"),
    [
        ("failed", {"retry", "remove"}),
        ("completed", {"retry", "remove"}),
        ("delayed", {"promote", "remove"}),
        ("waiting", {"remove"}),
        ("active", set()),
    ],
)
def test_actions_on_all_ask_the_operation_with_this_very_filter(
    state: str, actions: set[str], admin: Client, emails: Queue
) -> None:
    text = text_of(admin, f"{LIST}?state={state}&q=welcome")
    found = {action: link(text, f'id="all-{action}"') for action in ("retry", "promote", "remove")}
    assert {action for action, url in found.items() if url} == actions
    for action in actions:
        assert dict(parse_qsl(urlsplit(found[action]).query)) == {
            "action": action,
            "state": state,
            "q": "name:*welcome*",
        }
        confirmation = text_of(admin, found[action])
        assert f"{action.title()} 1 job" in confirmation


def test_all_that_match_are_retried_by_an_operation(admin: Client, broken: Queue) -> None:
    text = text_of(admin, f"{LIST}?state=failed&q=error:refused")
    assert "All 5 that match" in text
    page = text_of(admin, link(text, 'id="all-retry"'))
    form = re.search(r'<form[^>]*action="([^"]*operations/start/)".*?</form>', page, re.DOTALL)
    assert form
    fields = {
        unescape(name): unescape(value)
        for name, value in re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', form[0])
    }
    admin.post(form[1], {**fields, "reason": "the relay is back"})
    (operation,) = Operation.objects.all()
    assert (operation.action, operation.state, operation.query) == (
        "retry",
        "failed",
        "error:refused",
    )
    assert operation.planned == 5


def test_the_bar_offers_what_one_may(person: Callable[..., Client], broken: Queue) -> None:
    text = text_of(person("view", "retry", "bulk", name="rita"), f"{LIST}?state=failed")
    assert "All 35 in this state" in text
    assert link(text, 'id="all-retry"')
    assert not link(text, 'id="all-remove"')
    text = text_of(person("view", "retry", "remove", name="otto"), f"{LIST}?state=failed")
    assert "Acting on many jobs needs queuecore.bulk." in text
    assert "operations/confirm" not in text


def test_ids_without_a_job_are_told(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    redis_client.zadd("bull:emails:failed", {"orphan": 7, "other": 8})
    text = text_of(admin, f"{LIST}?state=failed")
    assert shown(text) == ["failed-1"]
    assert "2 of 3 rows are orphans" in text
    assert "/system/integrity/?queue=emails" in link(text, 'class="orphans"')
    assert "1–3</b> of" in text  # numbers and tabs agree
    redis_client.delete("bull:emails:failed-1")
    assert "Nothing but orphans here" in text_of(admin, f"{LIST}?state=failed")


def test_one_error_many_times_is_folded_and_leads_to_all_of_them(
    admin: Client, broken: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = unescape(text_of(admin, LIST))
    assert "30 of 35 failed with the same error: Timeout: late" in text
    assert text.count(" data-same>") == 30
    only = text_of(admin, LIST + link(text, "error%3A"))
    assert len(shown(only)) == 30
    assert "Show all with this error" not in only
    # Whoever looks at a part only says so.
    tally = matching.Tally(900, 1_000, 50_000)
    monkeypatch.setattr(matching, "count", lambda *_given, **_more: tally)
    told = "900 of the newest 1,000 (of 50,000) failed with the same error: Timeout: late"
    assert told in unescape(text_of(admin, LIST))


def test_the_filter_offers_its_words_and_what_stands_on_the_page(
    admin: Client, person: Callable[..., Client], broken: Queue
) -> None:
    text = unescape(text_of(admin, LIST))
    words = re.findall(r'data-word="(.+?)"(?: data-whole)? aria', text)
    assert {"name:", "age>", "error:", "name:send-0", "error:Timeout"} <= set(words)
    assert 'data-word="name:send-0" data-whole' in text
    assert 'aria-controls="query-list"' in text
    for word in re.findall(r'data-word="([^"<]+)" data-whole', text):
        assert shown(text_of(admin, f"{LIST}?{urlencode({'state': 'failed', 'q': word})}"))
    blind = text_of(person("view"), LIST)
    assert 'data-word="name:send-0"' in blind
    assert 'data-word="error:' not in blind


def test_columns_are_left_out_in_this_browser(admin: Client, emails: Queue) -> None:
    def keep(other: str, *columns: str) -> None:
        form = {"columns": other, "column": columns, "next": LIST}
        assert admin.post("/preferences/keep/", form)["Location"] == LIST

    def left_out(state: str) -> str:
        return re.findall(r'class="table jobs([^"]*)"', text_of(admin, f"{LIST}?state={state}"))[0]

    assert left_out("failed") == ""
    keep("", "data", "tries", "ran", "worker", "nonsense")
    assert left_out("failed") == " no-detail no-waited"
    # A list that has no column of errors leaves the choice about it alone.
    keep("detail", "data", "tries", "waited", "ran", "worker")
    assert left_out("completed") == " no-detail"
    keep("detail", "data")
    assert left_out("failed") == " no-detail no-tries no-waited no-ran no-worker"
    keep("", "data", "detail", "tries", "waited", "ran", "worker")
    assert left_out("failed") == ""


def test_what_is_new_is_counted_from_the_newest_on_wherever_one_is(
    admin: Client, broken: Queue, ten: None
) -> None:
    """Also behind a filter and on a later page, where many stand before the first row."""
    viewer = Viewer(access.Scope(None), True, "en", "/")
    topic = Topic("jobs", "default", "emails", state="failed")
    hands = Hands(broken, "others")

    def newer(url: str) -> str:
        text = text_of(admin, LIST + url)
        assert re.search(r'<span id="jobs-newer"></span>', text)
        ids = [unescape(one) for one in re.findall(r'data-live-id="([^"]+)"', text)]
        here = ids[ids.index("f-34") :]
        broken.add("x")
        (job,) = hands.fail_all(1)
        patch = fragments(read(topic, here), topic, viewer, here)["jobs-newer"]
        broken.remove(job.id)
        return patch.text or ""

    second = link(text_of(admin, f"{LIST}?state=failed"), 'rel="next"')
    for url in ("?state=failed", second, "?state=failed&q=send-0", "?state=failed&sort=oldest"):
        assert newer(url) == "+1 new"


def test_no_page_watches_more_than_a_topic_may(
    admin: Client, server: Server, settings: Any
) -> None:
    """The newest of the list is watched beside the rows, on the longest pages, too."""
    settings.QUEUECORE = {**settings.QUEUECORE, "DASHBOARD": {"PAGE_SIZE": 100, "COLLECT": False}}
    Queue("many").add_bulk([JobSpec("x", {}, delay=3600)] * 210)
    path, url, sizes = "/queues/many/jobs/", "?state=delayed", []
    while url:
        text = text_of(admin, path + url)
        topic = text[text.index('data-live-topic="jobs:') :]
        assert len(set(re.findall(r'data-live-id="([^"]+)"', topic))) <= 100
        sizes.append(len(shown(text)))
        url = link(text, 'rel="next"')
    assert sizes == [100, 97, 13]


@pytest.mark.parametrize("evil", CORPUS)
def test_hostile_words_are_texts(evil: str, admin: Client, emails: Queue) -> None:
    emails.add_bulk([spec()])
    quoted = evil.replace("\\", "\\\\").replace('"', '\\"')
    for words in (evil, f'name:"{quoted}"', f'id:"{quoted}"', f'error:"{quoted}"'):
        answer = admin.get(LIST, {"state": "failed", "q": words, "after": evil, "back": evil})
        assert answer.status_code == 200
        reader = PageReader()
        reader.feed(answer.content.decode())
        assert not reader.bad, reader.bad
