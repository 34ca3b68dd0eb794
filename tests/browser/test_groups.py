"""Groups in a real browser: their panel goes on by itself, and one is steered by keyboard."""

from collections.abc import Callable
from typing import Any

import redis

from queuecore import Group, JobSpec, Queue
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.dashboard import planting


def test_groups_are_seen_found_and_steered(
    ada: Callable[..., Visitor], server: Any, redis_client: redis.Redis
) -> None:
    queue = Queue("exports")
    queue.add_bulk(
        JobSpec("export", group=Group(f"tenant-{n // (n % 3 + 1):03}")) for n in range(150)
    )
    queue.add_bulk(JobSpec("export", job_id=f"a-{n}", group=Group("acme")) for n in range(5))
    planting.limit(redis_client, "api", "exports")
    page = ada().go("/queues/exports/")
    page.locator('[data-live-badge][data-state="live"]').wait_for()
    panel, toast = page.locator("#queue-groups"), page.locator("[data-toast-text]")
    dialog = page.get_by_role("dialog")
    expect(panel).to_contain_text("acme")
    # What happens elsewhere comes by itself.
    queue.pause_group("acme")
    queue.add("export", group=Group("acme"))
    expect(panel).to_contain_text("6 waiting · Paused")
    page.get_by_role("link", name="Set the limit api…").click()
    dialog.get_by_label("Jobs at once").fill("3")
    dialog.get_by_role("button", name="Set the limit").click()
    expect(toast).to_have_text("The limit api is set, for all of its queues.")
    expect(page.locator("#queue-named")).to_contain_text("0/3")

    page.get_by_role("link", name="All groups").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Groups")).to_be_visible()
    rows = page.locator("tr[data-row]")
    expect(rows).to_have_count(50)
    page.locator("#group-filter").fill("ACM")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="Resume group acme").focus()
    page.keyboard.press("Enter")
    expect(toast).to_have_text("Resumed the group acme.")
    queue.pause_group("acme")
    expect(rows.first).to_contain_text("Paused")
    queue.resume_group("acme")
    expect(rows.first).to_contain_text("Waiting")

    # The row that has the focus opens; its jobs stand there, the next to run first.
    page.keyboard.press("j")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", name="acme")).to_be_visible()
    expect(rows).to_have_count(6)
    page.get_by_role("link", name="Pause…").click()
    dialog.get_by_label("Reason").fill("their importer is away")
    dialog.get_by_role("button", name="Pause group").click()
    expect(toast).to_have_text("Paused the group acme.")
    expect(page.locator("#group-note")).to_contain_text("This group is paused")
    expect(page.get_by_role("link", name="Pause…")).to_be_hidden()
    page.get_by_role("link", name="Stop for a while…").click()
    dialog.get_by_label("How long").select_option("for 5 minutes")
    dialog.get_by_role("button", name="Stop group").click()
    page.get_by_role("button", name="Let it go on now").click()
    expect(toast).to_have_text("The group acme is not held back any more.")
    rows.first.locator("th a").click()
    expect(page.locator("#job-state")).to_contain_text("Waiting in its group")
    expect(page.locator("#job-group")).to_contain_text("next of its group")
    for path in ("/queues/exports/", "/queues/exports/groups/", "/queues/exports/groups/acme/"):
        page.set_viewport_size({"width": 320, "height": 720})
        page.goto(page.url.partition("/queues/")[0] + path)
        assert page.evaluate("document.documentElement.scrollWidth") == 320, path
