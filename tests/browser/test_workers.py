"""The fleet in a real browser: real workers, paused, resumed and drained from the page."""

import re
from collections.abc import Callable

from queuecore import Queue
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.server.processes import Start


def test_a_worker_is_paused_resumed_and_drained(ada: Callable[..., Visitor], start: Start) -> None:
    queue = Queue("slow")
    process = start("slow", HEARTBEAT=0.5)
    process.until(lambda: "works slow" in process.said)
    visitor = ada()
    page = visitor.go_until("/workers/", "slow")
    row = page.locator("tr[data-row]", has_text="slow")
    expect(row.locator(".c-worker-state")).to_have_text("Running")
    expect(page.locator(".process-head")).to_contain_text(f"Process {process.process.pid}")

    # Ticked, by keyboard; the row says so without a reload once the worker has done it.
    page.locator("[data-tick]").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Pause…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Pause a worker of slow")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("[data-toast-text]")).to_contain_text("Asked 1 worker to pause.")
    expect(row.locator(".c-worker-state")).to_have_text("Paused", timeout=15_000)
    job = queue.add("x", {"seconds": 6})

    row.get_by_role("link", name="slow").click()
    expect(page).to_have_url(re.compile(r"/workers/[0-9a-f]{32}/"))
    page.get_by_role("link", name="Resume…").click()
    dialog.get_by_role("button", name="Resume", exact=True).click()
    expect(page.locator("#worker-state")).to_have_text("Running", timeout=15_000)
    expect(page.locator("#worker-jobs")).to_contain_text("x", timeout=15_000)
    expect(page.get_by_role("link", name="Resume…")).to_be_hidden()

    page.get_by_role("link", name="Drain and stop…").click()
    expect(dialog).to_contain_text("exits with code 0")
    dialog.get_by_role("button", name="Drain and stop", exact=True).click()
    expect(page.locator("#worker-state")).to_have_text(re.compile("Draining|Ended"), timeout=15_000)
    assert process.ends(20) == 0
    assert queue.get_job_state(job.id) == "completed"
    expect(page.locator("#worker-state")).to_have_text("Ended", timeout=15_000)
    expect(page.get_by_role("link", name="Drain and stop…")).to_be_hidden()


def test_the_fleet_on_a_phone(ada: Callable[..., Visitor], start: Start) -> None:
    process = start("slow", "quick", HEARTBEAT=0.5)
    process.until(lambda: "works slow" in process.said)
    visitor = ada(width=320, height=720)
    page = visitor.go_until("/workers/", "quick")
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    expect(page.locator("tr[data-row]")).to_have_count(2)
    page.locator("tr[data-row] a").first.click()
    expect(page.locator("#worker-figures")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 320

    # A deploy: all that is on screen ends, others come; they are shown without a click.
    visitor.go("/workers/")
    page.mouse.move(5, 5)  # under the pointer nothing changes its place
    expect(page.locator(".process-head")).to_contain_text(f"Process {process.process.pid}")
    later = start("slow", "quick", HEARTBEAT=0.5)
    later.until(lambda: "works slow" in later.said)
    process.process.terminate()
    assert process.ends(20) == 0
    shown = page.locator(".process-head")
    expect(shown).to_contain_text(f"Process {later.process.pid}", timeout=20_000)
    expect(page.locator("tr[data-row]")).to_have_count(2)
    expect(page.locator("#workers-newer")).to_be_empty()
