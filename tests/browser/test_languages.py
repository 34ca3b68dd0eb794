"""Two readers of two languages look at one queue: live words and ticking times of their own."""

import re
from collections.abc import Callable

from queuecore import Queue
from tests.browser.conftest import Visitor
from tests.browser.remote import expect


def test_what_is_live_comes_in_the_readers_language(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    readers = {
        "de": (r"Pausiert seit \d+\s?s\s.*Wartung", "1h 05min"),
        "en": (r"Paused for \d+\s?s\s.*Wartung", "1h 05m"),
    }
    pages = {code: ada(locale=code).go("/queues/emails/") for code in readers}
    for code, page in pages.items():
        expect(page.locator("html")).to_have_attribute("lang", code)
        expect(page.locator("[data-live-badge]")).to_have_attribute("data-state", "live")
    emails.pause(reason="Wartung")
    for code, (note, units) in readers.items():
        page = pages[code]
        expect(page.locator("#queue-pause-note")).to_have_text(re.compile(note))
        page.evaluate(
            """document.querySelector("#queue-pause-note time").dateTime =
                new Date(Date.now() - 3_905_000).toISOString()"""
        )
        expect(page.locator("#queue-pause-note time")).to_have_text(units)
