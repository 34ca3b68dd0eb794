"""An operation from its confirmation to its abort, watched by two people."""

import re
from collections.abc import Callable

import redis
from django.test import Client

from queuecore import Queue
from queuecore.models import AuditEntry, Operation
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.browser.test_pages import serious
from tests.dashboard.test_operations import fail_more


def figure(text: str) -> int:
    return int(re.sub(r"\D", "", text) or 0)


def test_retry_all_is_watched_paused_and_aborted(
    ada: Callable[..., Visitor],
    visit: Callable[..., Visitor],
    person: Callable[..., Client],
    emails: Queue,
    redis_client: redis.Redis,
) -> None:
    fail_more(redis_client, 6_000)
    other = visit().sign_in(person("view"))
    board = other.go("/operations/")
    expect(board.get_by_text("No operations yet")).to_be_visible()

    page = ada().go("/queues/emails/operations/confirm/?action=retry&state=failed&q=id:f0*")
    expect(page.get_by_role("heading", name="Retry 6,000 failed jobs of emails")).to_be_visible()
    page.get_by_label("Rate").select_option("1000")
    page.get_by_label("Reason").fill("the relay is back")
    page.get_by_role("button", name="Retry 6,000 jobs").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Started: Retry failed jobs.")
    expect(page.locator("#op-status")).to_contain_text("Running")
    # It moves by itself, and so does the rail.
    expect(page.locator("#op-done")).not_to_have_text("0")
    expect(page.locator("#rail-operations")).to_have_text("1")
    expect(page.get_by_role("button", name="Resume")).to_be_hidden()
    expect(page.get_by_role("link", name="Start anew")).to_be_hidden()

    # Somebody who may only look has seen it come, and watches.
    expect(board.locator("#op-newer")).to_have_text("+1 new")
    board.locator(".newer").click()
    expect(board.locator("tr[data-row]")).to_contain_text("Retry failed jobs")
    assert board.get_by_role("button", name="Abort").count() == 0

    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#op-status")).to_contain_text("Paused")
    expect(board.locator(".op-status")).to_contain_text("Paused")
    assert 0 < figure(page.locator("#op-done").inner_text()) < 6_000
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#op-status")).to_contain_text("Running")
    page.get_by_role("button", name="Abort").click()
    expect(page.locator("#op-status")).to_contain_text("Aborted")
    expect(page.locator("#op-note")).to_contain_text("What was done stays done")
    expect(page.get_by_role("link", name="Start anew")).to_be_visible()
    expect(page.get_by_role("button", name="Abort")).to_be_hidden()
    expect(page.locator("#rail-operations")).to_have_text("")

    for shown in (page, board):
        assert serious(shown) == []
        for width in (1024, 390, 320):
            shown.set_viewport_size({"width": width, "height": 800})
            assert shown.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, width

    made = Operation.objects.get()
    left = redis_client.zcount("bull:emails:failed", 0, made.bound) - 1  # the fixture's own
    assert made.done + left == 6_000
    assert 0 < made.done < 6_000
    expect(page.locator("#op-done")).to_have_text(f"{made.done:,}")
    result = AuditEntry.objects.get(phase="result", record=made.record)
    assert (result.outcome, f'"count": {made.done}' in result.result) == ("aborted", True)
