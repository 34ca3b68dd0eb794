"""One job from its page: its story, its tabs by keyboard; retried, watched, copied, changed."""

import re
from collections.abc import Callable

from queuecore import Queue, audit_log
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.browser.test_live import expect_badge, is_same, marked
from tests.server.hands import Hands


def test_a_failed_job_is_understood_retried_watched_and_duplicated(
    ada: Callable[..., Visitor], emails: Queue
) -> None:
    emails.remove("waiting-1")
    page = marked(ada().go("/queues/emails/jobs/failed-1/"))
    press, state, story = (
        page.keyboard.press,
        page.locator("#job-state"),
        page.locator("#job-story"),
    )
    expect(story).to_contain_text("Failed for good on its only attempt")
    expect(story.get_by_role("listitem").last).to_contain_text(
        re.compile("Attempt 1 ran .* failed")
    )
    expect(page.locator("#job-error")).to_contain_text("the relay is away")

    # Each tab by keyboard alone: a digit, or the link.
    press("2")
    expect(page.locator("#tab-attempts")).to_have_attribute("aria-current", "page")
    expect(page.locator(".attempt")).to_contain_text("relay.send(message)")
    page.locator("#tab-data").focus()
    press("Enter")
    expect(page.locator(".payload")).to_contain_text("failed@example.com")
    expect(page.locator(".payload")).not_to_contain_text("hunter2")
    press("1")
    expect(page.locator("#job-error")).to_be_visible()

    # With all attempts again; what happens to it then is seen as it happens.
    expect_badge(page, "Live")
    press("r")
    expect(page.locator("[data-toast-text]")).to_have_text("Job failed-1 waits to run again.")
    expect(state).to_contain_text("Waiting")
    expect(page.locator("#job-tries")).to_have_text("0 of 3")
    hands = Hands(emails, "mail-2")
    claimed = next(job for job in hands.claim(2) if job.id == "failed-1")
    expect(state).to_contain_text("Active")
    expect(page.locator("#job-worker")).to_have_text("unnamed")
    claimed.update_progress(40)
    expect(page.locator("#job-progress")).to_contain_text("40")
    claimed.log("connected to the other relay")
    expect(page.locator("[data-log]")).to_contain_text("connected to the other relay")
    hands.complete(claimed, {"sent": True})
    expect(state).to_contain_text("Completed")
    expect(story).to_contain_text("Completed in")
    expect(page.locator("#job-result")).to_contain_text('"sent": true')
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    assert is_same(page)

    # Another one like it, with other data, later; the masked value is what the job holds.
    page.get_by_role("link", name="Duplicate…").click()
    dialog = page.get_by_role("dialog")
    data = dialog.get_by_label("Data as JSON")
    data.fill(data.input_value().replace("failed@", "again@"))
    dialog.get_by_label("Delay in seconds").fill("90")
    dialog.get_by_role("button", name="Add job").click()
    expect(state).to_contain_text("Delayed")
    (made,) = [one for one in emails.get_jobs("delayed") if one.id != "delayed-1"]
    assert made.data == {"to": "again@example.com", "password": "hunter2"}
    expect(page.locator("#job-id")).to_have_text(made.id)

    # Its delay is changed, a note left, and then it is let go at once.
    for item, word, value, button in (
        ("Change delay…", "Seconds", "7200", "Change delay"),
        ("Add a note to the log…", "Note", "for the relay's test", "Add note"),
    ):
        page.locator(".job-menu summary").click()
        page.get_by_role("link", name=item).click()
        dialog.get_by_label(word, exact=True).fill(value)
        dialog.get_by_role("button", name=button).click()
        expect(dialog).to_have_count(0)
    expect(page.locator("[data-log]")).to_contain_text("[ada] for the relay's test")
    page.get_by_role("button", name="Promote").click()
    expect(state).to_contain_text("Waiting")
    assert is_same(page)
    done = [(one.action, one.outcome) for one in audit_log.entries("default", "emails", made.id)]
    assert done == [("promote", "done"), ("note", "done"), ("delay", "done")]
