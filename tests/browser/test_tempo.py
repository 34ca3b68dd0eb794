"""How long jobs wait and run, in a real browser: a point of a chart, one name, an error's jobs."""

import re
from collections.abc import Callable

from queuecore import Queue
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.browser.test_pages import serious
from tests.dashboard.test_tempo import counted, refused


def test_from_a_slow_minute_to_the_jobs_that_failed(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    away = {"kind": "ConnectionError", "message": "ConnectionError: the relay is away"}
    away["reason"] = away["message"]
    counted(emails, {"welcome": (40, 0.2, 0), "urgent": (4, 20.0, 0)}, ago=2)
    counted(emails, {"welcome": (40, 0.4, 9)}, {"a" * 16: refused(count=7) | away})
    visitor = ada()
    page = visitor.go("/queues/emails/?period=15m")
    expect(page.locator("[data-live-badge]")).to_have_attribute("data-state", "live")
    # The point under the pointer says what it is of.
    box = page.locator("#run-chart .plot").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 12 / 14, box["y"] + 40)
    expect(page.locator("#run-chart .tip")).to_contain_text(re.compile(r"p99\s*2\d\.\d s"))
    expect(page.locator("#run-chart .tip")).to_contain_text(re.compile(r"Jobs\s*44"))
    page.mouse.move(0, 0)
    expect(page.locator(".tip")).to_have_count(0)
    assert serious(page) == []
    # One name alone, chosen by the keyboard; the choice stays where another period is chosen.
    page.locator("#tempo-job").focus()
    page.keyboard.press("w")
    expect(page).to_have_url(re.compile("job=welcome"))
    expect(page.locator("#run-chart svg.plot")).to_have_attribute(
        "aria-label", re.compile("Run time of 80 jobs")
    )
    page.locator("#period-6h").click()
    expect(page).to_have_url(re.compile("period=6h&job=welcome"))
    expect(page.locator("#queue-errors-of")).to_have_text("in the last 6 hours")
    page.locator("#chart-as").click()
    expect(page.get_by_role("region", name="Run time as a table")).to_be_visible()
    assert serious(page) == []
    # The error leads to the jobs that failed with it.
    page.locator(".q-error a").first.click()
    expect(page.locator(".token")).to_contain_text("ConnectionError: the relay is away")
    expect(page.locator("[data-row]")).to_have_count(1)
