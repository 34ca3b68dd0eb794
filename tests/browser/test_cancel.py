"""Jobs that really run, cancelled from the page, by processes of a fleet that is watched."""

import os
import signal
from collections.abc import Callable

from queuecore import Queue
from queuecore.fleet import Fleet
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.server.processes import Start

APPS = ["tests.server.jobs.endless"]


def test_running_jobs_are_cancelled_and_a_fleet_is_watched(
    ada: Callable[..., Visitor], start: Start
) -> None:
    endless, boxes = Queue("endless"), Queue("boxes")
    settings = {"HEARTBEAT": 0.5, "SANDBOX_GRACE": 0.2}
    process = start("endless", "boxes", "--processes", "2", apps=APPS, **settings)
    for queue, name, id in (
        *((endless, "forever", "one"), (endless, "threaded", "two")),
        *((boxes, "boxed", "three"), (endless, "forever", "four")),
    ):
        queue.add(name, {}, job_id=id)
    process.until(lambda: endless.get_active_count() == 3 and boxes.get_active_count() == 1, 40)
    visitor = ada()

    # A coroutine: by the key, with a reason, and the page says all of it without a reload.
    page = visitor.go("/queues/endless/jobs/one/")
    expect(page.locator("#job-state")).to_have_attribute("data-state", "active")
    expect(page.locator("#job-run")).to_contain_text("of 5m 00s", timeout=15_000)
    expect(page.locator("#job-run")).to_contain_text("Coroutine", timeout=15_000)
    expect(page.locator(".lines .limit")).to_have_count(1)
    page.keyboard.press("c")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("it is cancelled where it awaits")
    expect(dialog.get_by_role("button", name="Let it run")).to_be_focused()
    dialog.get_by_label("Reason").fill("the customer withdrew")
    dialog.get_by_role("button", name="Cancel job").click()
    expect(page.locator("[data-toast-text]")).to_contain_text("Asked the worker to cancel job one.")
    expect(page.locator("#job-state")).to_have_attribute("data-state", "failed", timeout=15_000)
    expect(page.locator("#job-error")).to_contain_text("the customer withdrew")
    expect(page.locator("#cancel")).to_be_hidden()
    expect(page.locator("#job-cancel")).to_be_hidden()

    # A thread goes on for a while after it was told; the row of the list asks the same.
    page = visitor.go("/queues/endless/jobs/?state=active")
    row = page.locator("tr[data-row]", has_text="two")
    row.hover()
    row.get_by_role("link", name="Cancel job two").click()
    expect(dialog).to_contain_text("a function in a thread, which cannot be ended")
    dialog.get_by_role("button", name="Cancel job").click()
    expect(page.locator("[data-toast-text]")).to_contain_text("Asked the worker to cancel job two.")
    page = visitor.go("/queues/endless/jobs/two/")
    expect(page.locator("#job-cancel")).to_contain_text("ada asked")
    expect(page.locator("#job-cancel")).to_contain_text("heard, and not yet ended", timeout=15_000)
    expect(page.locator("#job-state")).to_have_attribute("data-state", "failed", timeout=15_000)

    # A sandbox is killed; ticked jobs are cancelled together.
    page = visitor.go("/queues/boxes/jobs/three/")
    expect(page.locator("#job-run")).to_contain_text("in a sandbox with process", timeout=15_000)
    page = visitor.go("/queues/boxes/jobs/?state=active")
    page.locator("tr[data-row] [data-tick]").check()
    page.get_by_role("button", name="Cancel jobs…").click()
    dialog.get_by_role("button", name="Cancel 1 job").click()
    expect(page.locator("[data-toast-text]")).to_contain_text("Asked for the end of 1 job.")
    page = visitor.go("/queues/boxes/jobs/three/")
    expect(page.locator("#job-state")).to_have_attribute("data-state", "failed", timeout=15_000)
    expect(page.locator("#job-error")).to_contain_text("cancelled by ada")

    # The fleet: a process that dies is told of while one looks, and so is what comes after it.
    page = visitor.go_until("/workers/", "Fleet of process")
    unit = page.locator(".unit-head")
    expect(unit).to_contain_text("2 of 2 processes")
    victim = next(one.pid for one in Fleet().processes() if one.place)
    os.kill(victim, signal.SIGKILL)
    expect(unit).to_contain_text("was killed by SIGKILL", timeout=15_000)
    expect(unit).to_contain_text("Restarts 1")
    process.until(lambda: victim not in [one.pid for one in Fleet().processes()])
    process.until(lambda: len(Fleet().processes()) == 2)
    page.get_by_role("link", name="Pause all workers of the fleet").click()
    expect(dialog.get_by_role("heading")).to_contain_text("Pause 4 workers")
    dialog.get_by_role("button", name="Cancel").click()
