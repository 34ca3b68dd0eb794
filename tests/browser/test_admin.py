"""Django's admin in a browser: a queue is paused, a job retried, nothing overflows a phone."""

import os
from collections.abc import Callable

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from queuecore import Queue
from tests.browser.conftest import Visitor
from tests.dashboard.conftest import state_of

SHOTS = os.environ.get("QUEUECORE_SHOTS")


@pytest.fixture
def admin(transactional_db: None) -> Client:
    from django.contrib.auth import get_user_model

    client = Client()
    client.force_login(get_user_model().objects.create_superuser("ada", password="pw"))
    return client


def test_a_queue_and_a_job_are_operated_in_the_admin(
    visit: Callable[..., Visitor], admin: Client, emails: Queue
) -> None:
    visitor = visit().sign_in(admin)
    visitor.expected = ("favicon.ico",)  # Django's admin has none
    page = visitor.go("/admin/queuecore/queue/")
    page.locator("#result_list input[name=_selected_action]").first.check()
    page.locator("select[name=action]").first.select_option("pause")
    page.get_by_role("button", name="Run").or_(page.get_by_role("button", name="Go")).first.click()
    page.get_by_label("Reason").fill("the relay is down")
    page.get_by_role("button", name="Pause").click()
    page.wait_for_selector("text=Paused 1 queue.")
    assert emails.is_paused()
    page.locator("#result_list td.field-failed a").click()
    page.wait_for_selector("text=Jobs of emails: failed")
    page.get_by_role("link", name="failed-1").click()
    page.wait_for_selector("text=relay.send(message)")
    page.get_by_role("button", name="Retry").click()
    page.wait_for_selector("text=Retry 1 job")
    page.get_by_role("button", name="Retry").click()
    page.wait_for_selector("text=Retried 1 job.")
    assert state_of(emails, "failed-1") == "waiting"
    assert LogEntry.objects.count() == 2
    page = visitor.go("/admin/queuecore/queue/")
    page.locator("#result_list input[name=_selected_action]").first.check()
    page.locator("select[name=action]").first.select_option("drain")
    page.locator("button[name=index]").first.click()
    danger = page.locator("input[name=confirm]")
    assert danger.evaluate("one => getComputedStyle(one).color") == "rgb(255, 255, 255)"
    for theme, width in (("dark", 390), ("light", 390), ("dark", 1440), ("light", 1440)):
        if theme == "light" and not SHOTS:
            continue
        phone = visit(theme=theme, width=width).sign_in(admin)
        phone.expected = ("favicon.ico",)
        for name, path in {
            "queues": "/admin/queuecore/queue/",
            "queue": "/admin/queuecore/queue/default_2Femails/change/",
            "jobs": "/admin/queuecore/job/?queue=default%2Femails&state=waiting",
            "job": "/admin/queuecore/job/default_2Femails_2Ffailed-1/change/",
        }.items():
            page = phone.go(path)
            wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert wide <= 0, (name, theme, width, wide)
            if SHOTS:
                page.screenshot(path=f"{SHOTS}/adm-{name}-{theme}-{width}.png", full_page=True)
        if SHOTS:
            page = phone.go("/admin/queuecore/queue/")
            page.locator("#result_list input[name=_selected_action]").first.check()
            page.locator("select[name=action]").first.select_option("drain")
            page.locator("button[name=index]").first.click()
            page.wait_for_selector(".qc")
            page.screenshot(path=f"{SHOTS}/adm-drain-{theme}-{width}.png", full_page=True)
