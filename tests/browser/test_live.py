"""The live page in a real browser: what changes by itself, what is held, what the badge says."""

import json
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.test import Client

from queuecore import Queue
from tests.browser.conftest import DAPHNE, Site, Visitor
from tests.browser.remote import expect
from tests.server.hands import Hands
from tests.server.processes import Start
from tests.servers import Server

PATIENT = 30_000


def badge(page: Any) -> Any:
    """The badge with the word of the connection's state."""
    return page.locator("[data-live-badge]")


def expect_badge(page: Any, word: str) -> None:
    """Wait until the badge says *word*."""
    expect(badge(page)).to_contain_text(word, timeout=PATIENT)


def marked(page: Any) -> Any:
    """Mark the document, so that a reload shows."""
    page.evaluate("document.body.dataset.mark = 'same'")
    return page


def is_same(page: Any) -> bool:
    """Whether the document is still the marked one."""
    return bool(page.evaluate("document.body.dataset.mark") == "same")


def test_counts_change_without_a_reload(ada: Callable[..., Visitor], emails: Queue) -> None:
    page = marked(ada().go("/queues/emails/"))
    expect_badge(page, "Live")
    card = page.locator("#card-waiting")
    before = int(card.inner_text())
    for _ in range(3):
        emails.add("welcome")
    expect(card).to_have_text(str(before + 3))
    assert is_same(page)


def test_after_moving_about_the_new_page_is_live_too(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    page = marked(ada().go("/"))
    expect_badge(page, "Live")
    page.get_by_role("link", name="Queues").first.click()
    expect(page).to_have_title(re.compile("Queues"))
    page.get_by_role("link", name="emails", exact=True).first.click()
    card = page.locator("#card-waiting")
    before = int(card.inner_text())
    emails.add("welcome")
    expect(card).to_have_text(str(before + 1))
    expect_badge(page, "Live")
    assert is_same(page)


def test_who_does_not_keep_to_the_rules_is_closed(ada: Callable[..., Visitor]) -> None:
    page = ada().go("/")
    code = """(text) => new Promise((done) => {
      const socket = new WebSocket(location.origin.replace("http", "ws") + "/ws/");
      socket.onopen = () => socket.send(text);
      socket.onclose = (event) => done(event.code);
    })"""
    assert page.evaluate(code, "x" * 20_000) == 4413


def test_rows_are_held_while_one_is_ticked(ada: Callable[..., Visitor], many: Queue) -> None:
    page = ada().go("/queues/emails/jobs/?state=failed")
    expect_badge(page, "Live")
    page.mouse.move(0, 0)
    row = page.locator("tr[data-live-id='r-055']")
    row.get_by_role("checkbox").check()
    page.mouse.move(0, 0)
    many.get_job("r-055").retry("failed")
    expect_badge(page, "Held")
    expect(row).not_to_contain_text("Waiting")
    row.get_by_role("checkbox").uncheck()
    page.mouse.move(0, 0)
    expect(row).to_contain_text("Waiting")
    expect_badge(page, "Live")
    # What is new is counted and comes when it is asked for.
    shown = page.locator("tr[data-row]").count()
    many.add("welcome", job_id="newest", lifo=True)
    hands = Hands(many, "mail-3")
    (claimed,) = hands.claim()
    hands.fail(claimed, "ConnectionError: again")
    newer = page.get_by_role("link", name="+1 new")
    expect(newer).to_be_visible()
    assert page.locator("tr[data-row]").count() == shown
    newer.click()
    expect(page.locator("tr[data-row]").first).to_contain_text("newest")


def test_a_link_with_the_focus_keeps_it(ada: Callable[..., Visitor], many: Queue) -> None:
    page = ada().go("/queues/emails/jobs/?state=failed")
    expect_badge(page, "Live")
    link = page.locator("tr[data-live-id='r-058'] a").first
    link.focus()
    many.get_job("r-058").retry("failed")
    many.get_job("r-057").retry("failed")
    expect(page.locator("tr[data-live-id='r-057']")).to_contain_text("Waiting")
    assert link.evaluate("(element) => element === document.activeElement")


def test_paused_stands_still_and_is_remembered(ada: Callable[..., Visitor], emails: Queue) -> None:
    page = ada().go("/queues/emails/")
    expect_badge(page, "Live")
    page.get_by_role("button", name="Pause live updates").click()
    expect_badge(page, "Paused")
    card = page.locator("#card-waiting")
    before = card.inner_text()
    emails.add("welcome")
    page.wait_for_timeout(1500)
    assert card.inner_text() == before
    page.reload()
    expect_badge(page, "Paused")
    button = page.locator("[data-live-pause]")
    expect(button).to_have_attribute("aria-pressed", "true")
    now = int(card.inner_text())
    emails.add("welcome")
    button.click()
    expect(card).to_have_text(str(now + 1))
    expect_badge(page, "Live")


def test_a_hidden_tab_is_silent_and_whole_when_it_is_seen_again(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    page = ada().go("/queues/emails/")
    expect_badge(page, "Live")
    hide = (
        "(hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, "
        "configurable: true}); document.dispatchEvent(new Event('visibilitychange')); }"
    )
    page.evaluate(hide, True)
    card = page.locator("#card-waiting")
    before = int(card.inner_text())
    page.wait_for_timeout(500)
    emails.add("welcome")
    page.wait_for_timeout(1500)
    assert int(card.inner_text()) == before
    page.evaluate(hide, False)
    expect(card).to_have_text(str(before + 1))


def test_an_interval_is_chosen_by_keyboard_and_kept(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    page = ada().go("/queues/emails/")
    expect_badge(page, "Live")
    page.locator("body").press("Tab")
    for _ in range(2):  # from the link that skips all this: product, badge
        page.keyboard.press("Tab")
    expect(page.locator("#live-menu")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("[data-live-why]")).to_contain_text("within a second")
    choice = page.locator("[data-live-every='5']")
    for _ in range(3):
        page.keyboard.press("Tab")
    expect(choice).to_be_focused()
    page.keyboard.press("Enter")
    expect(choice).to_be_hidden()
    expect(page.locator("#live-menu")).to_be_focused()
    card = page.locator("#card-waiting")
    before = int(card.inner_text())
    emails.add("welcome")
    expect(card).to_have_text(str(before + 1), timeout=PATIENT)
    begun = time.monotonic()
    emails.add("welcome")
    expect(card).to_have_text(str(before + 2), timeout=PATIENT)
    assert time.monotonic() - begun > 2
    # What was chosen is so in the next page, and in another tab of the browser at once.
    page.reload()
    expect(choice).to_have_attribute("aria-pressed", "true")
    other = page.context.new_page()
    other.goto(page.url)
    expect_badge(other, "Live")
    page.locator("#live-menu").click()
    page.get_by_role("button", name="Paused").click()
    for one in (page, other):
        expect_badge(one, "Paused")
        expect(one.locator("[data-live-why]")).to_contain_text("stands still")
    assert page.evaluate("JSON.parse(localStorage['queuecore_dashboard.live']).interval") == 5


def test_ages_tick_and_times_are_the_reader_s(ada: Callable[..., Visitor], emails: Queue) -> None:
    page = ada(timezone_id="Asia/Tokyo", locale="en-GB").go("/queues/emails/jobs/active-1/")
    expect_badge(page, "Live")
    run = page.locator("time[data-time='run'], time[data-time='age']").first
    first = run.inner_text()
    assert re.fullmatch(r"(\d+d \d+h|\d+h \d\dm|\d+m \d\ds|\d+s)", first)
    expect(run).not_to_have_text(first)
    clock = page.locator("time[data-time='clock'], time[data-time='date']").first
    at, shown = clock.get_attribute("datetime"), clock.inner_text()
    hour = (int(at[11:13]) + 9) % 24
    assert re.search(rf"\b{hour:02}:\d\d:\d\d", shown), (at, shown)
    assert "GMT+9" in clock.get_attribute("title")


def test_signed_out_elsewhere_the_page_asks_for_a_login(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    page = ada().go("/queues/emails/")
    expect_badge(page, "Live")
    Session.objects.all().delete()
    heading = page.get_by_role("heading", name="Sign in to QueueCore")
    expect(heading).to_be_visible(timeout=PATIENT)
    assert "next=/queues/emails/" in page.url


def test_a_lost_right_shows_the_page_that_names_it(
    visit: Callable[..., Visitor], person: Callable[..., Client], emails: Queue
) -> None:
    visitor = visit().sign_in(person("view"))
    visitor.expected = ("403 (Forbidden)",)
    page = visitor.go("/queues/emails/")
    expect_badge(page, "Live")
    get_user_model().objects.get(username="olga").groups.clear()
    expect(page.get_by_text("queuecore.view").first).to_be_visible(timeout=PATIENT)


def test_where_sockets_are_blocked_the_page_polls(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    visitor = ada()
    visitor.expected = ("WebSocket",)
    tried: list[float] = []

    async def block(route: Any) -> None:
        tried.append(time.monotonic())
        await route.close()

    visitor.page.route_web_socket(re.compile(".*/ws/.*"), block)
    page = marked(visitor.go("/queues/emails/"))
    expect_badge(page, "Polling")
    assert len(tried) == 3
    assert all(b - a >= 1 for a, b in pairwise(tried))
    card = page.locator("#card-waiting")
    before = int(card.inner_text())
    emails.add("welcome")
    expect(card).to_have_text(str(before + 1), timeout=PATIENT)
    assert is_same(page)
    assert len(tried) == 3, "the socket is tried once a minute only"


WSGI = """
import sys
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from socketserver import ThreadingMixIn
from config.wsgi import application
class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass
make_server("127.0.0.1", int(sys.argv[1]), application, Server, Quiet).serve_forever()
"""


@pytest.fixture
def wsgi_site(environment: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    """The project under a WSGI server, where there is no socket."""
    site = Site([sys.executable, "-c", WSGI, "PORT"], environment, tmp_path / "log")
    yield site
    site.close()


def test_without_a_socket_the_page_polls_from_the_start(
    ada: Callable[..., Visitor], wsgi_site: Site, emails: Queue
) -> None:
    visitor = ada(url=wsgi_site.url)
    sockets: list[Any] = []
    visitor.page.on("websocket", lambda opened: sockets.append(opened))
    page = marked(visitor.go("/queues/emails/"))
    expect_badge(page, "Polling")
    card = page.locator("#card-waiting")
    before = int(card.inner_text())
    emails.add("welcome")
    expect(card).to_have_text(str(before + 1), timeout=PATIENT)
    assert sockets == []
    assert is_same(page)
    page.close()  # before its server


@pytest.fixture
def own(
    environment: dict[str, str], new_server: Callable[..., Server], tmp_path: Path, settings: Any
) -> Iterator[tuple[Site, Server, Queue]]:
    """A web server and a Redis of the test's own, to be stopped and started."""
    server = new_server(persist=True)
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": {"default": {"URL": server.url}}}
    site = Site(
        [sys.executable, *DAPHNE],
        environment | {"QUEUECORE_TEST_URL": server.url},
        tmp_path / "log",
    )
    queue = Queue("emails")
    queue.add("welcome")
    yield site, server, queue
    site.close()


#: A browser whose clock is wrong by an hour: ``page.evaluate("setClock(-3600)")`` sets it.
CLOCK = """
  const Real = Date;
  let wrong = %d * 1000;
  window.setClock = (seconds) => { wrong = seconds * 1000; };
  window.Date = class extends Real {
    constructor(...given) { given.length ? super(...given) : super(Real.now() + wrong); }
    static now() { return Real.now() + wrong; }
  };
"""


def told_age(page: Any) -> int:
    """How many seconds old the badge says that the data is."""
    figures = re.findall(r"(\d+)([dhms])", badge(page).locator("time").inner_text())
    assert figures
    unit = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
    return sum(int(figure) * unit[name] for figure, name in figures)


@pytest.mark.parametrize(
    ("seconds", "wrong"),
    [
        (7, 3600),
        pytest.param(30, 0, marks=pytest.mark.slow),
        pytest.param(30, -3600, marks=pytest.mark.slow),
    ],
)
def test_redis_is_killed_and_comes_back(
    seconds: int, wrong: int, ada: Callable[..., Visitor], own: tuple[Site, Server, Queue]
) -> None:
    site, server, queue = own
    visitor = ada(url=site.url)
    visitor.page.add_init_script(CLOCK % wrong)
    page = marked(visitor.go("/queues/emails/"))
    expect_badge(page, "Live")
    card = page.locator("#card-waiting")
    expect(card).to_have_text("1")
    expect(badge(page).locator("time")).to_have_count(0)  # fresh data needs no age
    server.kill()
    gone = time.monotonic()
    expect_badge(page, "Stale")
    expect(badge(page).locator("time")).to_be_visible(timeout=PATIENT)
    while time.monotonic() - gone < seconds:  # it is the outage that is waited for
        page.wait_for_timeout(500)
    expect(card).to_have_text("1")
    # Read between two looks at our own clock, in whole seconds; the last good read was a second or
    # so before.
    early = time.monotonic() - gone
    told = told_age(page)
    assert early - 2.5 <= told <= time.monotonic() - gone + 4, (early, told)
    server.start()
    expect_badge(page, "Live")
    expect(badge(page).locator("time")).to_have_count(0)
    queue.add("welcome")
    expect(card).to_have_text("2")
    assert is_same(page)
    page.close()  # before its server


def test_a_clock_that_is_set_makes_nothing_older(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    visitor = ada()
    visitor.page.add_init_script(CLOCK % 0)
    page = marked(visitor.go("/queues/emails/jobs/active-1/"))
    expect_badge(page, "Live")
    for wrong in (3600, -3600):
        page.evaluate(f"setClock({wrong})")
        page.wait_for_timeout(2000)  # a wrong age would be told by then
        expect(badge(page).locator("time")).to_have_count(0, timeout=PATIENT)
        expect_badge(page, "Live")
        run = page.locator("time[data-time='run'], time[data-time='age']").first
        expect(run).to_have_text(re.compile(r"^(\d\d?s|[12]m \d\ds)$"))
    assert is_same(page)


def test_a_quiet_page_does_not_grow_old(ada: Callable[..., Visitor], emails: Queue) -> None:
    """What is told of all connections before their names are leaves no age behind."""
    visitor = ada()

    async def answer(route: Any) -> None:
        def told(message: str) -> None:
            topic = json.loads(message).get("topic", "")
            now = round(time.time() * 1000)
            old = {"topic": topic, "seq": 1, "at": now - 30_000, "now": now, "patches": []}
            status = {"now": now, "connections": {"default": {"at": now, "error": None}}}
            if topic == "overview":
                route.send(json.dumps(old))
            elif topic:
                route.send(json.dumps({"type": "status", **status}))

        route.on_message(told)

    visitor.page.route_web_socket(re.compile(".*/ws/.*"), answer)
    page = visitor.go("/queues/emails/")
    expect_badge(page, "Live")
    expect(badge(page).locator("time")).to_have_count(0)


def test_the_web_server_is_restarted(
    ada: Callable[..., Visitor], own: tuple[Site, Server, Queue]
) -> None:
    site, _, queue = own
    visitor = ada(url=site.url)
    visitor.expected = ("WebSocket", "ERR_CONNECTION_REFUSED")
    page = marked(visitor.go("/queues/emails/"))
    expect_badge(page, "Live")
    site.close()
    expect_badge(page, "Offline")
    queue.add("welcome")
    site.start()
    expect_badge(page, "Live")
    expect(page.locator("#card-waiting")).to_have_text("2")
    assert is_same(page)
    page.close()  # before its server


def test_redis_stands_still(ada: Callable[..., Visitor], own: tuple[Site, Server, Queue]) -> None:
    """It takes connections and never answers: open pages tell their age, new ones say so."""
    site, server, queue = own
    visitor = ada(url=site.url)
    visitor.expected = ("503 (Service Unavailable)",)
    page = marked(visitor.go("/queues/emails/"))
    expect_badge(page, "Live")
    assert server.pid
    os.kill(server.pid, signal.SIGSTOP)
    gone = time.monotonic()
    try:
        other = visitor.open()
        other.goto(f"{site.url}/queues/")
        expect(other.get_by_role("heading", name="The server is away")).to_be_visible()
        words = re.compile("did not answer|cannot be reached")  # over a socket it had, or a new one
        expect(other.locator("main")).to_contain_text(words)
        expect(other.locator("main")).to_contain_text("tries again every five seconds")
        expect_badge(page, "Stale")
        expect(badge(page).locator("time")).to_be_visible(timeout=PATIENT)
        early = time.monotonic() - gone
        told = told_age(page)
        assert early - 2.5 <= told <= time.monotonic() - gone + 4, (early, told)
        expect(page.locator("#card-waiting")).to_have_text("1")
    finally:
        os.kill(server.pid, signal.SIGCONT)
    expect_badge(page, "Live")
    queue.add("welcome")
    expect(page.locator("#card-waiting")).to_have_text("2")
    assert is_same(page)
    expect(other.get_by_role("heading", name="Queues", exact=True)).to_be_visible()
    expect(other.locator("main")).to_contain_text("emails")
    other.close()
    page.close()  # before its server


@pytest.mark.slow
def test_the_web_server_is_away_for_longer_than_the_socket_is_tried(
    ada: Callable[..., Visitor], own: tuple[Site, Server, Queue]
) -> None:
    site, _, queue = own
    visitor = ada(url=site.url)
    visitor.expected = ("WebSocket", "ERR_CONNECTION_REFUSED")
    page = marked(visitor.go("/queues/emails/"))
    expect_badge(page, "Live")
    site.close()
    gone = time.monotonic()
    while time.monotonic() - gone < 40:  # it is the outage that is waited for
        page.wait_for_timeout(1000)
    expect_badge(page, "Offline")
    early = time.monotonic() - gone
    told = told_age(page)
    assert early - 2.5 <= told <= time.monotonic() - gone + 4, (early, told)
    site.start()
    queue.add("welcome")
    expect(page.locator("#card-waiting")).to_have_text("2", timeout=PATIENT)
    expect_badge(page, "Live")  # long before the socket would be tried again
    assert is_same(page)
    page.close()  # before its server


def test_the_whole_fleet_is_replaced(ada: Callable[..., Visitor], start: Start) -> None:
    queue = Queue("slow")
    old = [start("slow", HEARTBEAT=0.5) for _ in range(2)]
    for one in old:
        one.until(lambda one=one: "works slow" in one.said)
    page = marked(ada().go_until("/workers/", "slow"))
    expect_badge(page, "Live")
    rows = page.locator("tr[data-row]")
    expect(rows).to_have_count(2)
    for one in old:
        one.tell(signal.SIGTERM)
    assert [one.ends() for one in old] == [0, 0]
    expect(page.locator(".c-worker-state", has_text="Running")).to_have_count(0, timeout=PATIENT)
    new = start("slow", HEARTBEAT=0.5)
    new.until(lambda: "works slow" in new.said)
    # No click: with nothing left of the old one the new one takes its place.
    expect(rows).to_have_count(1, timeout=PATIENT)
    expect(page.locator(".process-head")).to_contain_text(f"Process {new.process.pid}")
    job = queue.add("x", {"seconds": 0})
    new.until(lambda: queue.get_job_state(job.id) == "completed")
    expect(page.locator("td.c-worker-state")).to_have_text("Running")
    assert is_same(page)


@pytest.mark.slow
def test_a_web_server_that_stands_still_is_noticed(
    ada: Callable[..., Visitor], own: tuple[Site, Server, Queue]
) -> None:
    site, _, queue = own
    visitor = ada(url=site.url)
    visitor.expected = ("WebSocket",)
    page = marked(visitor.go("/queues/emails/"))
    expect_badge(page, "Live")
    os.kill(site.pid, signal.SIGSTOP)
    try:
        expect(badge(page)).not_to_contain_text("Live", timeout=60_000)
    finally:
        os.kill(site.pid, signal.SIGCONT)
    queue.add("welcome")
    expect_badge(page, "Live")
    expect(page.locator("#card-waiting")).to_have_text("2")
    assert is_same(page)
    page.close()  # before its server
