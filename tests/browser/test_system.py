"""System and Audit in a real browser: a repair by keyboard alone, live figures, what is new."""

import re
from collections.abc import Callable

import redis
from django.db import connection

from queuecore import Queue, audit
from queuecore.models import AuditEntry
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.browser.test_pages import serious


def test_a_check_a_repair_by_keyboard_and_its_row_in_the_audit(
    ada: Callable[..., Visitor], emails: Queue, redis_client: redis.Redis
) -> None:
    redis_client.set("bull:emails:failed-1:lock", "w:1")
    page = ada().go("/system/")
    expect(page.locator("[data-live-badge]")).to_have_attribute("data-state", "live")
    # The socket sends what the page did not know: the queue's memory, once it has been measured.
    expect(page.locator("#sys-queues")).to_contain_text("emails")
    expect(page.locator("#sys-process")).to_contain_text(re.compile(r"Open sockets\s*[1-9]"))
    page.locator("#check").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Locks that nobody needs")).to_be_visible()
    assert serious(page) == []
    page.locator("#repair-all").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    assert redis_client.exists("bull:emails:failed-1:lock")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("[data-toast-text]")).to_have_text("Repaired 1 finding.")
    expect(page.get_by_text("Everything is sound")).to_be_visible()
    assert not redis_client.exists("bull:emails:failed-1:lock")
    page.locator("nav.rail").get_by_role("link", name="Audit").click()
    row = page.locator(".aud-table tbody tr").first
    expect(row).to_contain_text("Repair")
    expect(row).to_contain_text("ada")
    row.get_by_role("link", name="Repair").click()
    expect(page.get_by_role("heading", name="Repair")).to_be_visible()
    expect(page.locator("main")).to_contain_text('"lock": 1')
    assert serious(page) == []


def test_the_audit_tells_what_is_new_and_what_was_tampered_with(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    with audit.record(actor="olga", action="retry", alias="default", queue="emails", target="7"):
        visitor = ada()
        page = visitor.go("/audit/")
        expect(page.locator("[data-live-badge]")).to_have_attribute("data-state", "live")
        expect(page.locator(".aud-table tbody tr")).to_have_count(1)
        expect(page.locator(".c-outcome >> nth=1")).to_have_text("No result yet")
    with audit.record(actor="ole", action="pause", alias="default", queue="emails") as entry:
        entry.result(count=1)
    expect(page.locator("#audit-newer")).to_have_text("+1 new")
    expect(page.locator(".c-outcome >> nth=1")).to_have_text("Done")
    expect(page.locator(".aud-table tbody tr")).to_have_count(1)  # nothing moves by itself
    page.locator(".newer").click()
    expect(page.locator(".aud-table tbody tr")).to_have_count(2)
    with connection.cursor() as cursor:
        number = AuditEntry.objects.filter(actor="olga").first().number
        cursor.execute("UPDATE queuecore_auditentry SET actor = 'eve' WHERE number = %s", [number])
    page.locator("#verify").click()
    expect(page.locator("[data-toast-text]")).to_contain_text("NOT intact")
    expect(page.locator(".chain")).to_contain_text(f"Entry {number} was changed")


def test_on_a_phone_the_filter_waits_until_it_is_asked_for(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    with audit.record(actor="olga", action="retry", alias="default", queue="emails", target="7"):
        pass
    page = ada(width=390, height=844, theme="dark").go("/audit/")
    expect(page.get_by_label("Who")).to_be_hidden()
    page.get_by_label("Filter the record").check()
    page.get_by_label("Who").fill("ole")
    page.get_by_role("button", name="Filter", exact=True).click()
    expect(page.get_by_text("Nothing matches")).to_be_visible()
    expect(page.get_by_label("Who")).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
    assert not wide
    assert serious(page) == []
