"""The list of jobs in a browser: ticks, tokens, pages, all that match; without a script, too."""

import re
from collections.abc import Callable

from queuecore import Queue
from queuecore.models import Operation
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.browser.test_live import expect_badge

LIST = "/queues/emails/jobs/?state=failed"


def test_ticking_a_range_and_removing_it(ada: Callable[..., Visitor], many: Queue) -> None:
    page = ada().go("/queues/emails/jobs/?state=failed")
    boxes = page.locator("[data-tick]")
    expect(boxes).to_have_count(50)
    bar = page.locator(".bulk-bar")
    expect(bar).to_be_hidden()
    boxes.nth(1).click()
    boxes.nth(5).click(modifiers=["Shift"])
    expect(bar).to_contain_text("5 ticked")
    boxes.nth(3).click()
    expect(bar).to_contain_text("4 ticked")
    names = [boxes.nth(n).get_attribute("value") for n in (1, 2, 4, 5)]
    bar.get_by_role("button", name="Remove…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Remove 4 jobs from emails")
    dialog.get_by_role("button", name="Remove 4 jobs").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Removed 4 jobs.")
    assert all(many.get_job(name) is None for name in names)
    assert many.get_job_counts()["failed"] == 57
    page.locator("[data-tick-all]").click()
    expect(page.locator(".bulk-bar")).to_contain_text("50 ticked")
    page.locator("[data-tick-none]").click()
    expect(page.locator(".bulk-bar")).to_be_hidden()
    # Nothing moves under the pointer.
    page.mouse.move(0, 0)
    expect_badge(page, "Live")
    row = page.locator("tr[data-live-id='r-045']")
    row.hover()
    many.get_job("r-045").retry("failed")
    expect_badge(page, "Held")
    expect(row).not_to_contain_text("Waiting")
    page.mouse.move(0, 0)
    expect(row).to_contain_text("Waiting")


def test_tokens_and_pages(ada: Callable[..., Visitor], many: Queue) -> None:
    page = ada().go(LIST)
    result, rows, field = page.locator(".result"), page.locator("tr[data-row]"), "#job-filter"
    expect(result).to_contain_text("1–50 of 61")
    page.get_by_role("link", name="Next").click()
    expect(result).to_contain_text("51–61 of 61")
    page.get_by_role("link", name="Previous").click()
    expect(result).to_contain_text("1–50 of 61")
    page.locator(field).focus()
    expect(page.locator(".query-help")).to_be_visible()
    # What fits the word that is typed is offered; the arrows choose, Enter takes it.
    page.keyboard.type("rec")
    expect(page.locator("[data-word]:visible")).to_have_count(1)
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", name="name:receipt")).to_have_attribute(
        "aria-selected", "true"
    )
    page.keyboard.press("Enter")
    expect(result).to_contain_text("searched 50 of 61")
    page.locator(field).fill("id:r-00*")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(10)
    expect(page.locator(".token")).to_have_count(2)
    # The last word comes back into the field to be changed; the other goes by its cross.
    page.locator(field).focus()
    page.keyboard.press("Backspace")
    expect(page.locator(field)).to_have_value("name:receipt")
    page.locator(field).fill("welcome")
    page.keyboard.press("Enter")
    expect(page.get_by_text("No job matches")).to_be_visible()
    page.locator("[data-token]").first.click()
    expect(rows).to_have_count(1)
    page.locator(field).fill("colour:red")
    page.keyboard.press("Enter")
    expect(page.locator("#query-wrong")).to_contain_text("colour")
    expect(page.locator(field)).to_have_value("colour:red")
    page.goto(page.url.partition("?")[0] + "?state=failed")
    page.locator(".columns-menu summary").click()
    page.get_by_label("Worker", exact=True).uncheck()
    page.get_by_role("button", name="Show these").click()
    expect(page.get_by_role("columnheader", name="Worker")).to_have_count(0)
    expect(page.get_by_role("columnheader", name="Tries")).to_be_visible()


def test_all_that_match_by_keyboard(ada: Callable[..., Visitor], many: Queue) -> None:
    page = ada().go(f"{LIST}&q=name:receipt")
    press, bar = page.keyboard.press, page.locator(".bulk-bar")
    for key in ("j", "j", "x"):
        press(key)
    expect(bar).to_contain_text("1 ticked")
    for key in ("j", "j", "X"):
        press(key)
    expect(bar).to_contain_text("3 ticked")
    page.locator('[data-which="ticked"]').focus()
    press("ArrowRight")
    expect(bar).to_contain_text(re.compile("All ≈ 6. that match"))
    expect(bar.get_by_role("button", name="Retry…")).to_be_hidden()
    # Who picks another row means those that are ticked.
    page.locator("[data-tick]").nth(8).click()
    expect(page.locator('[data-which="ticked"]')).to_be_checked()
    expect(bar).to_contain_text("4 ticked")
    page.locator('[data-which="ticked"]').focus()
    press("ArrowRight")
    bar.get_by_role("link", name="Retry all…").focus()
    press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Retry 60 failed jobs of emails")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    dialog.get_by_role("button", name="Retry 60 jobs").focus()
    press("Enter")
    expect(page).to_have_url(re.compile("/operations/"))
    operation = Operation.objects.get()
    assert (operation.action, operation.query, operation.planned) == ("retry", "name:receipt", 60)


def test_without_javascript(ada: Callable[..., Visitor], many: Queue) -> None:
    page = ada(java_script_enabled=False).go(LIST)
    page.locator("#job-filter").fill("receipt")
    page.get_by_role("button", name="Filter").click()
    page.locator("#job-filter").fill("attempts>0")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator(".token")).to_have_count(2)
    page.get_by_role("link", name="Next").click()
    expect(page.locator("tr[data-row]")).to_have_count(10)
    page.locator("[data-tick]").first.check()
    page.locator('[data-which="all"]').check(force=True)
    page.get_by_role("link", name="Retry all…").click()
    expect(page.get_by_role("heading", name="Retry 60 failed jobs of emails")).to_be_visible()
    page.get_by_role("link", name="Cancel").click()
    expect(page).to_have_url(re.compile("/jobs/"))
