"""Schedulers in a real browser: looked at, paused, run by hand, changed with a preview, made."""

import re
from collections.abc import Callable

import pytest

from queuecore import Queue
from queuecore.worker.advance import advance
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.browser.test_pages import looked_at
from tests.server.hands import Hands

PATHS = (
    "/schedulers/",
    "/schedulers/emails/often/",
    "/schedulers/emails/monday-morning-report-for-the-whole-company/",
    "/schedulers/emails/yearly/",  # whose dates name another year
    "/schedulers/emails/often/edit/",
    "/schedulers/new/?queue=default:emails",
    "/schedulers/emails/often/confirm/remove/",
)


@pytest.fixture
def scheduled(emails: Queue) -> Queue:
    """Four schedulers, one of which has run and one of which is paused."""
    emails.upsert_job_scheduler("often", every=600, data={"kind": "sweep"})
    emails.upsert_job_scheduler(
        "monday-morning-report-for-the-whole-company", pattern="30 8 * * 1", tz="Asia/Tokyo"
    )
    emails.upsert_job_scheduler("yearly", pattern="0 23 28 11 *")
    emails.upsert_job_scheduler("aside", pattern="0 0 1 1 *")
    emails.pause_job_scheduler("aside")
    hands = Hands(emails, "mail-3")
    while True:
        (job,) = hands.claim()
        if job.repeat_job_key:
            emails.connection.run(advance(emails, job))
        hands.complete(job, None)
        if job.repeat_job_key:
            return emails


def test_pausing_running_and_changing_one(ada: Callable[..., Visitor], scheduled: Queue) -> None:
    visitor = ada()
    page = visitor.go_until("/schedulers/", "often")
    expect(page.locator(".rail [aria-current]")).to_contain_text("Schedulers")
    row = page.locator("tr[data-row]", has_text="often")
    row.get_by_role("button", name="Run scheduler often now").click()
    expect(page.locator("[data-toast-text]")).to_contain_text("of often waits to run.")
    expect(row.get_by_role("button", name="Resume scheduler often")).to_be_hidden()
    row.get_by_role("link", name="often", exact=True).click()
    expect(page.get_by_role("heading", name="often")).to_be_visible()

    page.get_by_role("link", name="Pause…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_label("Reason").fill("too dear")
    dialog.get_by_role("button", name="Pause scheduler").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Paused scheduler often.")
    expect(page.get_by_role("link", name="Pause…")).to_be_hidden()
    assert scheduled.get_job_scheduler("often") is None
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Resumed scheduler often.")
    assert scheduled.get_job_scheduler("often") is not None

    page.keyboard.press("r")  # run now
    expect(page.locator("[data-toast-text]")).to_contain_text("of often waits to run.")
    expect(page.locator("#scheduler-runs")).to_contain_text("by hand")

    page.get_by_role("link", name="Edit").click()
    page.get_by_label("By a cron pattern").check()
    page.get_by_label("Pattern", exact=True).fill("15 6 * * mon-fri")
    page.get_by_label("Time zone").fill("Europe/Berlin")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("At 06:15, Monday through Friday")
    expect(preview.locator("tbody tr")).to_have_count(10)
    expect(page.get_by_label("Time zone")).to_be_focused()  # typing is not interrupted
    page.get_by_label("Pattern", exact=True).fill("15 26 * * *")
    expect(preview).to_contain_text("lies outside of 0 to 23")
    page.get_by_role("button", name="Save schedule").click()
    expect(page.locator("#wrong-pattern")).to_contain_text("lies outside of 0 to 23")
    expect(page).to_have_url(re.compile("/often/edit/$"))
    page.get_by_label("Pattern", exact=True).fill("15 6 * * *")
    page.get_by_role("button", name="Save schedule").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Changed scheduler often.")
    found = scheduled.get_job_scheduler("often")
    assert found is not None
    assert (found.pattern, found.tz, found.data) == (
        "15 6 * * *",
        "Europe/Berlin",
        {"kind": "sweep"},
    )


def test_making_one_without_javascript(ada: Callable[..., Visitor], scheduled: Queue) -> None:
    page = ada(java_script_enabled=False).go("/schedulers/new/?queue=default:emails")
    page.get_by_label("Id", exact=True).fill("hourly")
    page.get_by_label("Every so often").check()
    page.get_by_label("Every", exact=True).fill("2")
    page.get_by_label("Unit").select_option("hours")
    page.get_by_label("Data of each run, as JSON").fill('{"n": 1}')
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#preview tbody tr")).to_have_count(10)
    expect(page.locator("#preview")).to_contain_text("Every 2 hours")
    assert scheduled.get_job_scheduler("hourly") is None
    page.get_by_role("button", name="Make scheduler").click()
    expect(page.get_by_role("heading", name="hourly")).to_be_visible()
    found = scheduled.get_job_scheduler("hourly")
    assert found is not None
    assert (found.every, found.data) == (7200, {"n": 1})


def test_nothing_is_wrong_with_any_page(ada: Callable[..., Visitor], scheduled: Queue) -> None:
    """In either theme, at any width."""
    visitor = ada(reduced_motion="reduce")
    visitor.go_until("/schedulers/", "often")
    for path in PATHS:
        page = visitor.go(path)
        page.locator("h1").first.wait_for()
        assert looked_at(page) == [], path
