"""An operator's night on real workers, from the first line on the overview to the audit."""

import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.test import Client

from queuecore import FlowJob, FlowProducer, JobSpec, Queue, audit
from queuecore.fleet import Fleet
from queuecore.history import history_of
from queuecore.models import AuditEntry, Operation
from tests.browser.conftest import Visitor
from tests.browser.remote import expect
from tests.server.processes import Start

#: Rights of open pages are looked at every five seconds; the page it leads to takes its time, too.
TAKEN_S = 5 + 3
#: Send a form of the page's own to an address that its buttons do not lead to.
SENT = """async (path) => {
    const form = new FormData(document.getElementById("act"));
    return (await fetch(path, {method: "POST", body: new URLSearchParams(form)})).status;
}"""


@pytest.fixture
def relay() -> Iterator[Path]:
    """The file that says that the mail relay is there; it is away at first."""
    path = Path(settings.HOME) / "relay-is-up"
    path.unlink(missing_ok=True)
    yield path
    path.unlink(missing_ok=True)


def figure(text: str) -> int:
    return int(re.sub(r"\D", "", text) or 0)


def until(what: Callable[[], Any], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two looks; the deadline ends it


def seen_by_the_collector() -> Any:
    """The figures of each queue: what is known from now on is counted."""
    history = history_of("default")
    history.refresh()
    return history.figures


def take(*codenames: str) -> None:
    """Take permissions from olga's group."""
    held = Permission.objects.filter(content_type__app_label="queuecore", codename__in=codenames)
    Group.objects.get(name="olga").permissions.remove(*held)


@pytest.mark.parametrize(
    ("count", "rate"), [(300, "100"), pytest.param(4_000, "1000", marks=pytest.mark.slow)]
)
def test_a_night(
    count: int,
    rate: str,
    ada: Callable[..., Visitor],
    visit: Callable[..., Visitor],
    person: Callable[..., Client],
    start: Start,
    relay: Path,
    server: Any,
) -> None:
    mail = Queue("mail")
    many = f"{count:,}"

    # A queue backs up, and the overview says why.
    long_ago = datetime.now(UTC) - timedelta(minutes=2)
    mail.add_bulk([JobSpec("receipt", {"order": n}, timestamp=long_ago) for n in range(count)])
    page = ada().go_until("/", "mail")
    line = page.locator("#attention li", has_text="mail")
    expect(line).to_contain_text(f"{many} jobs wait and no worker listens")

    until(lambda: "mail" in seen_by_the_collector())

    # A worker begins, and every job of it fails: that is said next, without a reload.
    worker = start("mail", apps=["tests.browser.night"], HEARTBEAT=0.5)
    worker.until(lambda: "works mail" in worker.said)
    worker.until(lambda: mail.get_job_counts()["failed"] == count, 60)
    expect(line).to_contain_text("100 % of the jobs fail")

    # The relay is back: all of one name are retried by filter, watched, and aborted once.
    relay.touch()
    line.get_by_role("link", name="mail", exact=True).click()
    page.get_by_role("link", name="Failed").first.click()
    expect(page).to_have_url(re.compile("state=failed"))
    page.locator("#job-filter").fill("name:receipt")
    page.keyboard.press("Enter")
    expect(page.locator(".token")).to_have_count(1)
    page.locator("[data-tick]").first.check()
    page.locator('[data-which="all"]').check(force=True)
    page.locator(".bulk-bar").get_by_role("link", name="Retry all…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"Retry {many} failed jobs of mail")
    dialog.get_by_label("Rate").select_option(rate)
    dialog.get_by_label("Reason").fill("the relay is back")
    dialog.get_by_role("button", name=f"Retry {many} jobs").click()
    expect(page.locator("#op-status")).to_contain_text("Running")
    expect(page.locator("#op-done")).not_to_have_text("0")
    page.get_by_role("button", name="Abort").click()
    expect(page.locator("#op-status")).to_contain_text("Aborted")
    first = Operation.objects.get()
    assert 0 < first.done < count
    expect(page.locator("#op-done")).to_have_text(f"{first.done:,}")
    page.get_by_role("link", name="Start anew").click()
    left = f"{count - first.done:,}"
    expect(dialog).to_contain_text(f"Retry {left} failed jobs of mail")
    dialog.get_by_label("Rate").select_option("0")
    dialog.get_by_label("Reason").fill("the rest")
    dialog.get_by_role("button", name=f"Retry {left} jobs").click()
    expect(page.locator("#op-status")).to_contain_text("Done")
    expect(page.locator("#op-done")).to_have_text(left)
    worker.until(lambda: mail.get_job_counts()["completed"] == count, 60)
    assert mail.get_job_counts()["failed"] == 0

    # A flow is inspected: from its parent down to a child, and back.
    flow = FlowProducer().add(
        FlowJob(
            "order",
            queue="mail",
            children=[FlowJob(name, queue="mail") for name in ("receipt", "gift")],
        )
    )
    worker.until(lambda: mail.get_job_state(flow.job.id) == "completed")
    site = re.match(r"https?://[^/]+", page.url)[0]
    page.goto(f"{site}/queues/mail/jobs/{flow.job.id}/")
    page.locator("#tab-flow").click()
    expect(page.locator(".flow-row")).to_have_count(3)
    expect(page.locator(".flow-this")).to_contain_text("order")
    page.get_by_role("link", name="Graph").click()
    page.locator(".flow-canvas").get_by_role("link", name=re.compile("gift")).click()
    expect(page.locator("h1")).to_contain_text("gift")
    expect(page.locator("#job-state")).to_contain_text("Completed")
    page.locator("#tab-flow").click()
    expect(page.locator(".flow-this")).to_contain_text("gift")
    page.locator(".flow-row").get_by_role("link", name="order").click()
    expect(page.locator("h1")).to_contain_text("order")

    # A scheduler is paused, run by hand, and goes on.
    mail.upsert_job_scheduler("nightly", pattern="30 2 * * *")
    page.goto(f"{site}/schedulers/mail/nightly/")
    page.get_by_role("link", name="Pause…").click()
    dialog.get_by_label("Reason").fill("not tonight")
    dialog.get_by_role("button", name="Pause scheduler").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Paused scheduler nightly.")
    assert mail.get_job_scheduler("nightly") is None
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("[data-toast-text]")).to_contain_text("of nightly waits to run.")
    worker.until(lambda: mail.get_job_counts()["completed"] == count + 4)
    expect(page.locator("#scheduler-runs")).to_contain_text("by hand")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("[data-toast-text]")).to_have_text("Resumed scheduler nightly.")

    # A colleague may look and retry, and nothing else, whatever is sent.
    late = mail.add("receipt", {}, job_id="late")
    worker.until(lambda: mail.get_job_state(late.id) == "completed")
    colleague = visit().sign_in(person("view", "retry"))
    colleague.expected = ("403 (Forbidden)",)
    other = colleague.go("/queues/mail/jobs/late/")
    expect(other.locator("[data-live-badge]")).to_contain_text("Live")
    assert other.get_by_role("link", name="Remove…").count() == 0
    assert other.evaluate(SENT, "/queues/mail/jobs/late/remove/") == 403
    # The right to retry is taken while the page is open: the next click is refused.
    take("retry")
    other.get_by_role("button", name="Retry").click()
    expect(other.get_by_text("queuecore.retry").first).to_be_visible()
    assert mail.get_job_state("late") == "completed"
    # The right to look is taken: the socket closes, and the page says why.
    other = colleague.go("/queues/mail/")
    expect(other.locator("[data-live-badge]")).to_contain_text("Live")
    take("view")
    taken = time.monotonic()
    expect(other.get_by_text("queuecore.view").first).to_be_visible()
    assert time.monotonic() - taken < TAKEN_S
    expect(other.locator("main")).not_to_contain_text("mail")

    # The worker is drained: its process ends.
    (process,) = Fleet().processes()
    page.goto(f"{site}/workers/")
    page.locator("tr[data-row]", has_text="mail").get_by_role("link", name="mail").click()
    page.get_by_role("link", name="Drain and stop…").click()
    dialog.get_by_role("button", name="Drain and stop", exact=True).click()
    assert worker.ends(20) == 0

    # Everything is on record, and the record is whole.
    page.goto(f"{site}/audit/")
    rows = page.locator(".aud-table tbody")
    for words in ("Retry", "Abort", "Pause", "Run", "Resume", "Drain", "olga", "the relay is back"):
        expect(rows).to_contain_text(words)
    entries = list(AuditEntry.objects.order_by("number"))
    results = [one for one in entries if one.phase == "result"]
    assert [(one.actor, one.action, one.target, one.outcome) for one in results] == [
        ("ada", "abort_operation", str(first.pk), "done"),
        ("ada", "retry", "state:failed name:receipt", "aborted"),
        ("ada", "retry", "state:failed name:receipt", "done"),
        ("ada", "pause_scheduler", "nightly", "done"),
        ("ada", "run_scheduler", "nightly", "done"),
        ("ada", "resume_scheduler", "nightly", "done"),
        ("olga", "remove", "late", "denied"),
        ("olga", "retry", "late", "denied"),
        ("ada", "drain_worker", process.workers[0].id, "done"),
    ]
    # What was meant stands before what came of it, each once.
    intents = [one for one in entries if one.phase == "intent"]
    assert len(intents) == len(results) == len(entries) / 2
    began = {one.record: one.number for one in intents}
    assert all(began[one.record] < one.number for one in results)
    assert audit.verify().intact
    call_command("verify_audit")
