"""Every page as everybody has it: both themes, five widths, few colours, no motion, no mouse."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
import redis
from django.contrib.auth import get_user_model
from django.urls import resolve

from queuecore import Deduplication, FlowJob, FlowProducer, Group, Queue, audit, operations
from queuecore.matching import Filter
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.dashboard import planting
from tests.dashboard.addresses import PAGES as ADDRESSES
from tests.dashboard.fleet import WORKER

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
#: Each page is opened once; these widths are then tried on it, and axe in these themes.
WIDTHS, AXE_AT = (1440, 1024, 768, 390, 320), {1440: "light", 390: "dark"}

PAGES = {
    "overview": "/",
    "overview as a table": "/?table=1&period=15m",
    "queues": "/queues/",
    "no queue matches": "/queues/?q=nothing-like-it",
    "queue": "/queues/emails/",
    "failed jobs": "/queues/emails/jobs/?state=failed",
    "active jobs": "/queues/emails/jobs/?state=active",
    "delayed jobs": "/queues/emails/jobs/?state=delayed",
    "no jobs": "/queues/emails/jobs/?state=waiting-children&q=name:nothing-like-it",
    "failed job": "/queues/emails/jobs/failed-1/",
    "completed job": "/queues/emails/jobs/completed-1/",
    "active job": "/queues/emails/jobs/active-1/",
    "attempts": "/queues/emails/jobs/failed-1/?tab=attempts",
    "raw": "/queues/emails/jobs/failed-1/?tab=raw",
    "data": "/queues/emails/jobs/failed-1/?tab=data",
    "logs": "/queues/emails/jobs/completed-1/?tab=logs",
    "flow": "/queues/emails/jobs/parent-1/?tab=flow",
    "graph": "/queues/emails/jobs/parent-1/?tab=flow&as=graph",
    "peers": "/queues/emails/jobs/failed-1/?tab=peers",
    "history": "/queues/emails/jobs/failed-1/?tab=history",
    "clean": "/queues/emails/confirm/clean/",
    "pause": "/queues/emails/confirm/pause/",
    "resume": "/queues/emails/confirm/resume/",
    "limits": "/queues/emails/confirm/limits/",
    "mute": "/queues/emails/confirm/mute/?kind=failing",
    "unmute": "/queues/emails/confirm/unmute/?kind=failing",
    "deduplication keys": "/queues/emails/deduplication/",
    "named limit": "/queues/emails/confirm/limits/api/",
    "groups": "/queues/emails/groups/",
    "no group matches": "/queues/emails/groups/?q=nothing-like-it",
    "group": "/queues/emails/groups/acme/",
    "delayed jobs of a group": "/queues/emails/groups/acme/?state=delayed",
    "pause group": "/queues/emails/groups/acme/confirm/pause/",
    "limits of a group": "/queues/emails/groups/acme/confirm/limits/",
    "stop group": "/queues/emails/groups/acme/confirm/stop/",
    "empty group": "/queues/emails/groups/acme/confirm/empty/",
    "grouped job": "/queues/emails/jobs/grouped-1/",
    "remove": "/queues/emails/jobs/failed-1/confirm/remove/",
    "cancel": "/queues/emails/jobs/active-1/confirm/cancel/",
    "priority": "/queues/emails/jobs/prioritized-1/confirm/priority/",
    "delay": "/queues/emails/jobs/delayed-1/confirm/delay/",
    "note": "/queues/emails/jobs/failed-1/confirm/note/",
    "edit data": "/queues/emails/jobs/waiting-1/confirm/data/",
    "duplicate": "/queues/emails/jobs/failed-1/confirm/duplicate/",
    "operations": "/operations/",
    "operation": "/operations/{operation}/",
    "pause queues": "/bulk/queues/confirm/pause/?id=default/emails",
    "retry all": "/queues/emails/operations/confirm/?action=retry&state=failed",
    "schedulers": "/schedulers/",
    "scheduler": "/schedulers/emails/nightly/",
    "new scheduler": "/schedulers/new/?queue=default:emails",
    "edit scheduler": "/schedulers/emails/nightly/edit/",
    "pause scheduler": "/schedulers/emails/nightly/confirm/pause/",
    "run scheduler": "/schedulers/emails/nightly/confirm/run/",
    "remove scheduler": "/schedulers/emails/nightly/confirm/remove/",
    "workers": "/workers/",
    "worker": f"/workers/{WORKER}/",
    "drain worker": f"/workers/confirm/drain/?id=default:{WORKER}",
    "system": "/system/",
    "integrity": "/system/integrity/",
    "repair": "/system/confirm/repair/",
    "audit": "/audit/",
    "audit entry": "/audit/{record}/",
    "preferences": "/preferences/",
    "not found": "/queues/nowhere/",
}

#: They lead elsewhere, or answer a script, a monitor, or with a file.
NO_PAGES = {"go", "suggest", "live_poll", "job_value", "preview_schedule", "missing", "login"}


@pytest.fixture
def furnished(many: Queue, redis_client: redis.Redis) -> dict[str, str]:
    """``emails`` with all that pages speak of; the addresses of ``PAGES`` by their names."""
    many.upsert_job_scheduler("nightly", pattern="30 2 * * *")
    many.add("welcome", job_id="unique-1", deduplication=Deduplication("order:4711", ttl=3600))
    planting.limit(redis_client, "api", "emails")
    many.add("welcome", job_id="grouped-1", group=Group("acme"))
    many.add("welcome", group=Group("acme"), delay=600)
    many.add("welcome", group=Group("globex"))
    many.rate_limit_group("acme", 300)
    many.pause_group("globex")
    children = [FlowJob(f"child {number}", queue="emails") for number in range(3)]
    FlowProducer().add(FlowJob("parent", queue="emails", job_id="parent-1", children=children))
    made = operations.start(
        actor="ada",
        action="retry",
        alias="default",
        queue="emails",
        filter=Filter.parse("failed", "name:nothing-like-it"),
        bound_ms=1,
        reason="the relay is back",
    )
    with audit.record(actor="ada", action="retry", alias="default", queue="emails") as entry:
        entry.result(count=1)
    known = {"operation": made.pk, "record": entry.id}
    return {name: path.format(**known) for name, path in PAGES.items()}


def test_every_page_is_looked_at() -> None:
    paths = [path.format(operation=1, record="a" * 32).partition("?")[0] for path in PAGES.values()]
    tried = {resolve(path).url_name for path in paths}
    pages = {name for name, (method, _needs) in ADDRESSES.items() if method == "GET"}
    assert tried == pages - NO_PAGES | {"operation", "audit_entry"}


def violations(page: Any, *impacts: str) -> list[str]:
    """What axe finds on the page as it looks now, with the elements concerned."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE)
    found = page.evaluate("axe.run({resultTypes: ['violations']}).then((run) => run.violations)")
    return [
        f"{one['id']}: {node['html'][:160]}"
        for one in found
        if not impacts or one["impact"] in impacts
        for node in one["nodes"][:3]
    ]


def serious(page: Any) -> list[str]:
    """Of :func:`violations` what is serious or critical."""
    return violations(page, "serious", "critical")


#: What is wider than the window, and what moves though the reader wants no motion.
WIDER = "document.documentElement.scrollWidth - innerWidth"
MOVES = """() => [...document.querySelectorAll("*")].filter((one) => {
    const style = getComputedStyle(one);
    const lasts = (times) => times.split(",").some((time) => parseFloat(time) > 0);
    return lasts(style.transitionDuration)
        || (style.animationName !== "none" && lasts(style.animationDuration));
}).map((one) => one.outerHTML.slice(0, 100))"""


def looked_at(page: Any) -> list[str]:
    """What is wrong with a page, in either theme, at any width."""
    wrong = [f"moves: {one}" for one in page.evaluate(MOVES)]
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if (over := page.evaluate(WIDER)) > 0:
            wrong.append(f"{over} px too wide at {width} px")
        if theme := AXE_AT.get(width):
            page.emulate_media(color_scheme=theme)
            wrong += [f"{theme} at {width} px: {one}" for one in violations(page)]
    return wrong


@pytest.mark.parametrize("part", range(3))  # of which several cores can take one each
def test_nothing_is_wrong_with_any_page(
    part: int, ada: Callable[..., Visitor], furnished: dict[str, str]
) -> None:
    visitor = ada(reduced_motion="reduce")
    visitor.expected = ("404 (Not Found)",)  # of the page for what does not exist
    problems = {}
    for name, path in list(furnished.items())[part::3]:
        page = visitor.go(path)
        page.locator("h1").first.wait_for()
        if wrong := looked_at(page):
            problems[name] = wrong
    assert problems == {}


def test_nothing_is_wrong_with_what_opens(ada: Callable[..., Visitor], many: Queue) -> None:
    visitor = ada(reduced_motion="reduce")
    page = visitor.go("/queues/emails/")
    dialog = page.get_by_role("dialog")

    def wrong() -> list[str]:
        found = looked_at(page)
        page.set_viewport_size({"width": WIDTHS[0], "height": 900})
        page.keyboard.press("Escape")
        return found

    page.get_by_role("link", name="Pause…").click()
    dialog.get_by_text("Pause emails").wait_for()
    assert wrong() == []
    page.keyboard.press("?")
    dialog.get_by_text("Keyboard shortcuts").wait_for()
    assert wrong() == []
    page.keyboard.press("Control+k")
    page.locator("#palette-hits li").first.wait_for()
    assert wrong() == []
    page.locator(".bar details.menu summary").last.click()
    assert wrong() == []
    page = visitor.go("/queues/emails/jobs/?state=failed")
    page.locator("[data-tick]").first.check()
    page.locator(".bulk-bar").get_by_role("button", name="Remove…").click()
    dialog.get_by_role("heading").wait_for()
    assert wrong() == []


def test_the_login_page(visit: Callable[..., Visitor]) -> None:
    visitor = visit(reduced_motion="reduce")
    page = visitor.go("/queues/emails/")
    expect(page.get_by_role("heading", name="Sign in to QueueCore")).to_be_visible()
    assert looked_at(page) == []


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
    assert violations(page) == []


def test_five_tasks_without_a_mouse(ada: Callable[..., Visitor], many: Queue) -> None:
    visitor = ada()
    # Far from any row: the keyboard must do without what lies under a pointer.
    page = visitor.go_until("/", "emails")
    press, said = page.keyboard.press, page.locator("[data-toast-text]")
    dialog = page.get_by_role("dialog")

    def tab_to(what: Any) -> None:
        for _ in range(80):
            if what.evaluate_all("(found) => found.includes(document.activeElement)"):
                return
            press("Tab")
        pytest.fail(f"the keyboard never came to {what}")

    def keys(*names: str) -> None:
        for name in names:
            press(name)

    # A failed job is found and retried.
    keys("g", "q")
    expect(page.get_by_role("heading", name="Queues", exact=True)).to_be_visible()
    keys("j", "o")
    expect(page.get_by_role("heading", name="emails", exact=True)).to_be_visible()
    tab_to(page.get_by_role("link", name="Failed"))
    press("Enter")
    expect(page.locator("#job-filter")).to_be_visible()
    tab_to(page.locator("#job-filter"))
    page.keyboard.type("id:r-007")
    press("Enter")
    expect(page.locator("tr[data-row]")).to_have_count(1)
    press("Escape")  # out of the field's suggestions
    tab_to(page.locator("tr[data-row] th a"))
    press("Enter")
    expect(page.locator("h1")).to_contain_text("receipt")
    press("r")
    expect(said).to_contain_text("r-007")
    assert many.get_job("r-007").get_state() == "waiting"

    # A queue is paused, with the reason why.
    keys("Control+k")
    page.keyboard.type("pause")
    expect(page.locator("#palette-hits [aria-selected=true]")).to_contain_text("Pause…")
    press("Enter")
    expect(dialog.get_by_role("heading")).to_contain_text("Pause emails")
    tab_to(dialog.get_by_label("Reason"))
    page.keyboard.type("the relay is away")
    tab_to(dialog.get_by_role("button", name="Pause queue"))
    press("Enter")
    expect(said).to_have_text("Paused emails.")
    assert many.is_paused()

    # Jobs are filtered, a range of them is ticked and removed.
    page = visitor.go("/queues/emails/jobs/?state=failed")
    tab_to(page.locator("#job-filter"))
    page.keyboard.type("name:receipt")
    press("Enter")
    expect(page.locator(".token")).to_have_count(1)
    press("Escape")
    tab_to(page.locator("[data-tick]").first)
    keys("j", "x", "j", "j", "Shift+X", "b")
    remove = page.locator(".bulk-bar").get_by_role("button", name="Remove…")
    tab_to(remove)
    press("Enter")
    expect(dialog.get_by_role("heading")).to_contain_text("Remove")
    tab_to(dialog.get_by_role("button", name="Remove 3 jobs"))
    press("Enter")
    expect(said).to_have_text("Removed 3 jobs.")
    assert many.get_job_counts()["failed"] == 61 - 1 - 3

    # A scheduler is run now.
    many.upsert_job_scheduler("nightly", pattern="30 2 * * *")
    keys("g", "s")
    expect(page.get_by_role("heading", name="Schedulers", exact=True)).to_be_visible()
    keys("j", "o")
    expect(page.locator("h1")).to_contain_text("nightly")
    tab_to(page.get_by_role("button", name="Run now"))
    press("Enter")
    expect(said).to_contain_text("of nightly waits to run.")

    # An operation is aborted.
    operations.start(
        actor=get_user_model().objects.get(username="ada"),
        action="retry",
        alias="default",
        queue="emails",
        filter=Filter.parse("failed", ""),
        bound_ms=round(time.time() * 1000),
        planned=57,
        rate=2,
    )
    keys("g", "p")
    expect(page.get_by_role("heading", name="Operations", exact=True)).to_be_visible()
    keys("j", "o")
    expect(page.locator("#op-status")).to_contain_text("Running")
    tab_to(page.get_by_role("button", name="Abort"))
    press("Enter")
    expect(page.locator("#op-status")).to_contain_text("Aborted")


def test_forced_colours_and_reduced_motion_change_no_meaning(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    visitor = ada(forced_colors="active", reduced_motion="reduce")
    page = visitor.go("/queues/emails/jobs/failed-1/")
    expect(page.locator("#job-state").get_by_text("Failed")).to_be_visible()
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    # Where one is, is no tint of a colour alone.
    for current in (".rail [aria-current]", ".tabs [aria-current]"):
        outline = "(element) => getComputedStyle(element).outlineStyle"
        assert page.locator(current).evaluate(outline) == "solid"


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
