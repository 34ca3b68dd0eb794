"""Every page in both themes and on a phone: no trouble, nothing serious for axe, no overflow."""

from collections.abc import Callable
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe

from queuecore import Queue
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.dashboard.fleet import WORKER

PAGES = {
    "overview": "/",
    "overview as a table": "/?table=1&period=15m",
    "queues": "/queues/",
    "no queue matches": "/queues/?q=nothing-like-it",
    "queue": "/queues/emails/",
    "failed jobs": "/queues/emails/jobs/?state=failed",
    "active jobs": "/queues/emails/jobs/?state=active",
    "delayed jobs": "/queues/emails/jobs/?state=delayed",
    "no jobs": "/queues/emails/jobs/?state=waiting-children",
    "failed job": "/queues/emails/jobs/failed-1/",
    "completed job": "/queues/emails/jobs/completed-1/",
    "active job": "/queues/emails/jobs/active-1/",
    "attempts": "/queues/emails/jobs/failed-1/?tab=attempts",
    "raw": "/queues/emails/jobs/failed-1/?tab=raw",
    "clean": "/queues/emails/confirm/clean/",
    "remove": "/queues/emails/jobs/failed-1/confirm/remove/",
    "system": "/system/",
    "integrity": "/system/integrity/",
    "workers": "/workers/",
    "worker": f"/workers/{WORKER}/",
    "drain": f"/workers/confirm/drain/?id=default:{WORKER}",
    "operations": "/operations/",
    "start an operation": "/queues/emails/operations/confirm/?action=retry&state=failed",
    "audit": "/audit/",
    "not found": "/queues/nowhere/",
}


def serious(page: Any) -> list[str]:
    """What axe calls serious or critical, with the elements concerned."""
    found = page._loop.call(Axe().run, page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:3]
    ]


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1440), ("light", 390)])
def test_axe_finds_nothing_serious(
    theme: str, width: int, ada: Callable[..., Visitor], emails: Queue
) -> None:
    visitor = ada(theme=theme, width=width)
    visitor.expected = ("404 (Not Found)",)  # of the page for what does not exist
    problems = {}
    for name, path in PAGES.items():
        page = visitor.go(path)
        page.locator("h1").first.wait_for()
        if found := serious(page):
            problems[name] = found
    assert problems == {}


def test_axe_finds_nothing_serious_in_what_opens(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    visitor = ada()
    page = visitor.go("/queues/emails/")
    page.get_by_role("link", name="Pause…").click()
    page.get_by_role("dialog").get_by_text("Pause emails").wait_for()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("Keyboard shortcuts").wait_for()
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.locator("details.menu summary").click()
    assert serious(page) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_login_page(theme: str, visit: Callable[..., Visitor]) -> None:
    visitor = visit(theme=theme)
    page = visitor.go("/queues/emails/")
    expect(page.get_by_role("heading", name="Sign in to QueueCore")).to_be_visible()
    assert serious(page) == []


def test_a_refusal(
    visit: Callable[..., Visitor], person: Callable[..., Any], emails: Queue
) -> None:
    visitor = visit().sign_in(person())
    visitor.expected = ("403 (Forbidden)",)
    page = visitor.go("/")
    expect(page.get_by_text("queuecore.view")).to_be_visible()
    expect(page.get_by_role("group", name="Live updates")).to_have_count(0)
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    loads: list[Any] = []
    page.on("load", lambda page: loads.append(page))
    visitor.go("/")
    page.wait_for_timeout(1000)  # what must not come, would come at once
    assert (len(loads), sockets) == (1, [])
    assert serious(page) == []


@pytest.mark.parametrize("width", [390, 320, 768, 1024, 1280])
def test_nothing_is_wider_than_the_window(
    width: int, ada: Callable[..., Visitor], many: Queue
) -> None:
    visitor = ada(width=width, height=800)
    visitor.expected = ("404 (Not Found)",)
    wide = {}
    for name, path in PAGES.items():
        page = visitor.go(path)
        page.locator("h1").first.wait_for()
        if (over := page.evaluate("document.documentElement.scrollWidth - innerWidth")) > 0:
            wide[name] = over
    assert wide == {}


def test_forced_colours_and_reduced_motion_change_no_meaning(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    visitor = ada(forced_colors="active", reduced_motion="reduce")
    page = visitor.go("/queues/emails/jobs/failed-1/")
    expect(page.locator("#job-state").get_by_text("Failed")).to_be_visible()
    expect(page.get_by_role("button", name="Retry")).to_be_visible()


def test_without_javascript(ada: Callable[..., Visitor], emails: Queue) -> None:
    visitor = ada(java_script_enabled=False)
    page = visitor.go_until("/queues/", "emails")
    page.get_by_role("link", name="emails", exact=True).first.click()
    expect(page.get_by_text("Connecting")).to_be_hidden()
    expect(page.get_by_text("As of")).to_be_visible()
    page.get_by_role("link", name="Pause…").click()
    page.get_by_label("Reason").fill("on holiday")
    page.get_by_role("button", name="Pause queue").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Paused emails.")
    assert emails.is_paused()
    page.get_by_role("button", name="Resume").click()
    assert not emails.is_paused()
    page = visitor.go("/queues/emails/jobs/?state=failed")
    page.get_by_label("Tick job failed-1 welcome").check()
    page.get_by_role("button", name="Remove…").click()
    page.get_by_role("button", name="Remove 1 job").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Removed 1 job.")
    assert emails.get_job("failed-1") is None
    page = visitor.go("/queues/emails/jobs/completed-1/")
    page.get_by_role("button", name="Retry").click()
    assert emails.get_job("completed-1").get_state() == "waiting"
