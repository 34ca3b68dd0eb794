"""Actions: what they do, what they record, and that a second click does nothing."""

import json
import re
from collections.abc import Callable

import pytest
from django.test import Client

from dashboard import confirmations, flash
from queuecore import Queue
from queuecore.models import AuditEntry
from tests.dashboard.conftest import state_of
from tests.servers import Server

Person = Callable[..., Client]


def said(client: Client) -> str:
    """The message that the next page shows."""
    page = client.get("/queues/").content.decode()
    match = re.search(r"data-toast-text>(.*?)</span>", page)
    return match[1] if match else ""


def token_of(answer) -> str:
    match = re.search(r'name="token" value="([^"]+)"', answer.content.decode())
    assert match, answer.content.decode()
    return match[1]


def recorded() -> list[tuple[str, str, str, str, str]]:
    """The audit's results, oldest first."""
    return [
        (entry.actor, entry.action, entry.queue, entry.target, entry.outcome)
        for entry in AuditEntry.objects.filter(phase="result").order_by("number")
    ]


def test_retry_puts_a_failed_job_back_to_waiting(admin: Client, emails: Queue) -> None:
    answer = admin.post("/queues/emails/jobs/failed-1/retry/", {"next": "/queues/emails/"})
    assert (answer.status_code, answer["Location"]) == (302, "/queues/emails/")
    assert state_of(emails, "failed-1") == "waiting"
    job = emails.get_job("failed-1")
    assert (job.attempts_made, job.attempts_started) == (0, 0)
    assert said(admin) == "Job failed-1 waits to run again."
    assert said(admin) == ""
    assert recorded() == [("ada", "retry", "emails", "failed-1", "done")]


def test_a_completed_job_can_be_retried_too(admin: Client, emails: Queue) -> None:
    admin.post("/queues/emails/jobs/completed-1/retry/")
    assert state_of(emails, "completed-1") == "waiting"


def test_promote_lets_a_delayed_job_run(admin: Client, emails: Queue) -> None:
    admin.post("/queues/emails/jobs/delayed-1/promote/")
    assert state_of(emails, "delayed-1") == "waiting"
    assert recorded() == [("ada", "promote", "emails", "delayed-1", "done")]


@pytest.mark.parametrize("action", ["retry", "promote"])
@pytest.mark.parametrize("job", ["active-1", "waiting-1", "gone"])
def test_what_no_longer_fits_is_said_and_recorded(
    action: str, job: str, admin: Client, emails: Queue
) -> None:
    before = emails.get_job_counts()
    answer = admin.post(f"/queues/emails/jobs/{job}/{action}/")
    assert answer.status_code == 302
    assert emails.get_job_counts() == before
    assert ("does not exist" if job == "gone" else "no longer in a state") in said(admin)
    assert recorded() == [("ada", action, "emails", job, "failed")]


def test_resume_and_pause(admin: Client, emails: Queue) -> None:
    asked = admin.post("/queues/emails/pause/")
    assert asked.status_code == 200
    assert emails.is_paused() is False
    answer = admin.post(
        "/queues/emails/pause/", {"token": token_of(asked), "reason": "Stripe incident"}
    )
    assert answer.status_code == 302
    assert emails.is_paused() is True
    assert said(admin) == "Paused emails."
    admin.post("/queues/emails/resume/")
    assert emails.is_paused() is False
    assert [row[1] for row in recorded()] == ["pause", "resume"]
    assert AuditEntry.objects.get(action="pause", phase="intent").reason == "Stripe incident"


def test_remove_asks_first_and_leaves_a_page_that_is_about_to_be_gone(
    admin: Client, emails: Queue
) -> None:
    asked = admin.get("/queues/emails/jobs/failed-1/confirm/remove/")
    assert "Remove job failed-1" in asked.content.decode()
    answer = admin.post(
        "/queues/emails/jobs/failed-1/remove/",
        {"token": token_of(asked), "next": "/queues/emails/jobs/failed-1/?tab=data"},
    )
    assert answer["Location"] == "/queues/emails/jobs/"
    assert emails.get_job("failed-1") is None
    assert recorded() == [("ada", "remove", "emails", "failed-1", "done")]


def test_a_running_job_cannot_be_removed(admin: Client, emails: Queue) -> None:
    asked = admin.get("/queues/emails/jobs/active-1/confirm/remove/")
    assert "disabled" in asked.content.decode()
    admin.post("/queues/emails/jobs/active-1/remove/", {"token": token_of(asked)})
    assert state_of(emails, "active-1") == "active"
    assert "running the job now" in said(admin)


def test_ticked_jobs(admin: Client, emails: Queue) -> None:
    ids = ["failed-1", "completed-1", "active-1", "gone"]
    asked = admin.post("/queues/emails/bulk/retry/", {"id": ids})
    text = asked.content.decode()
    assert "Retry 4 jobs in emails" in text
    assert "Retry 2 jobs" in text
    assert state_of(emails, "failed-1") == "failed"
    admin.post("/queues/emails/bulk/retry/", {"id": ids, "token": token_of(asked)})
    assert [state_of(emails, one) for one in ids] == ["waiting", "waiting", "active", None]
    assert said(admin).startswith("Retried 2 jobs. 2 not:")
    entry = AuditEntry.objects.get(phase="result")
    assert json.loads(entry.target) == ids
    assert json.loads(entry.result)["count"] == 2
    assert set(json.loads(entry.result)["refused"]) == {"active-1", "gone"}


def test_ticked_jobs_are_the_ones_that_were_confirmed(admin: Client, emails: Queue) -> None:
    asked = admin.post("/queues/emails/bulk/remove/", {"id": ["failed-1"]})
    answer = admin.post(
        "/queues/emails/bulk/remove/", {"id": ["failed-1", "completed"], "token": token_of(asked)}
    )
    assert answer.status_code == 200  # asks again, for what is ticked now
    assert "Remove 2 jobs" in answer.content.decode()
    assert emails.get_job("completed-1") is not None


def test_nothing_ticked(admin: Client, emails: Queue) -> None:
    admin.post("/queues/emails/bulk/remove/")
    assert said(admin) == "No job was ticked."
    admin.post("/queues/emails/bulk/remove/", {"id": [str(n) for n in range(101)]})
    assert said(admin) == "Tick at most 100 jobs."
    assert recorded() == []


def test_clean_removes_what_was_counted_and_nothing_younger(admin: Client, server: Server) -> None:
    from tests.server.hands import Hands

    queue = Queue("old")
    hands = Hands(queue)
    queue.add_bulk([_spec(n) for n in range(4)])
    hands.complete_all(3)
    asked = admin.get("/queues/old/confirm/clean/", {"state": "completed", "age": "0"})
    assert "Remove 3 jobs" in asked.content.decode()
    hands.complete_all(1)  # ends after the count: it must stay
    form = {"state": "completed", "age": "0", "limit": "1000"}
    admin.post("/queues/old/clean/", form | {"token": token_of(asked)})
    assert said(admin) == "Removed 3 jobs."
    assert queue.get_job_counts()["completed"] == 1
    entry = AuditEntry.objects.get(phase="result")
    assert json.loads(entry.result) == {"count": 3}


def test_clean_takes_no_more_than_its_limit(admin: Client, server: Server) -> None:
    from tests.server.hands import Hands

    queue = Queue("many")
    queue.add_bulk([_spec(n) for n in range(130)])
    Hands(queue).complete_all(130)
    form = {"state": "completed", "age": "0", "limit": "100"}
    asked = admin.get("/queues/many/confirm/clean/", form)
    assert "Remove 100 jobs" in asked.content.decode()
    admin.post("/queues/many/clean/", form | {"token": token_of(asked)})
    assert queue.get_job_counts()["completed"] == 30


def test_another_choice_than_the_confirmed_one_is_asked_for_again(
    admin: Client, emails: Queue
) -> None:
    asked = admin.get("/queues/emails/confirm/clean/", {"state": "completed"})
    answer = admin.post("/queues/emails/clean/", {"state": "failed", "token": token_of(asked)})
    assert answer.status_code == 200
    assert emails.get_job_counts()["failed"] == 1


@pytest.mark.parametrize("bad", ["", "nonsense", "eyJhIjoxfQ:1abcde:zzzz", "\x00", "ü" * 300])
def test_nothing_is_done_without_a_token_that_holds(bad: str, admin: Client, emails: Queue) -> None:
    for path in (
        "/queues/emails/pause/",
        "/queues/emails/clean/",
        "/queues/emails/jobs/failed-1/remove/",
    ):
        assert admin.post(path, {"token": bad}).status_code == 200
    assert emails.is_paused() is False
    assert emails.get_job_counts()["failed"] == 1
    assert recorded() == []


def test_a_token_is_for_one_person_one_action_one_queue(
    admin: Client, person: Person, emails: Queue
) -> None:
    Queue("orders").add("x")
    other = person("view", "pause_queue")
    token = token_of(admin.get("/queues/emails/confirm/pause/"))
    assert other.post("/queues/emails/pause/", {"token": token}).status_code == 200
    assert admin.post("/queues/orders/pause/", {"token": token}).status_code == 200
    assert admin.post("/queues/emails/clean/", {"token": token}).status_code == 200
    assert not emails.is_paused()
    assert not Queue("orders").is_paused()


def test_a_token_works_once(admin: Client, emails: Queue) -> None:
    token = token_of(admin.get("/queues/emails/confirm/pause/"))
    admin.post("/queues/emails/pause/", {"token": token})
    admin.post("/queues/emails/resume/")
    admin.post("/queues/emails/pause/", {"token": token})
    assert emails.is_paused() is False
    assert said(admin) == "That was done already, by the first click."


def test_a_token_lasts_five_minutes(
    admin: Client, emails: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert confirmations._SECONDS == 300
    token = token_of(admin.post("/queues/emails/pause/"))
    # Not by moving the clock: the queues' own clock would go with it.
    monkeypatch.setattr(confirmations, "_SECONDS", -1)
    assert admin.post("/queues/emails/pause/", {"token": token}).status_code == 200
    assert not emails.is_paused()


def test_a_double_click_counts_once(admin: Client, emails: Queue) -> None:
    form = {"once": "abcdefghij123456"}
    admin.post("/queues/emails/jobs/failed-1/retry/", form)
    admin.post("/queues/emails/jobs/failed-1/retry/", form)
    assert said(admin) == "That was done already, by the first click."
    assert recorded() == [("ada", "retry", "emails", "failed-1", "done")]
    # The same page, another job: that is another action.
    admin.post("/queues/emails/jobs/completed-1/retry/", form)
    assert state_of(emails, "completed-1") == "waiting"


def test_refusals_are_recorded(person: Person, emails: Queue) -> None:
    path = "/queues/emails/jobs/failed-1/retry/"
    person("view").post(path)  # lacks `retry`
    person("retry", name="ole").post(path)  # lacks `view`
    person("view", "retry", name="pia", scope=("orders-*",)).post(path)
    person("view", "retry", name="rita").post(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert recorded() == [
        (who, "retry", "emails", "failed-1", "denied") for who in ("olga", "ole", "pia")
    ]


@pytest.mark.parametrize(
    ("path", "action", "target"),
    [
        ("groups/acme/limits/", "group_limits", "acme"),
        ("groups/a~2Fb/empty/", "empty_group", "a/b"),
        ("limits/crm/set/", "named_limit", "crm"),
        ("bulk/cancel/", "cancel", ""),
    ],
)
def test_a_refusal_says_what_it_was_about(
    path: str, action: str, target: str, person: Person, emails: Queue
) -> None:
    answer = person("view").post(f"/queues/emails/{path}", {"id": "active-1"})
    assert answer.status_code == 403
    assert recorded() == [("olga", action, "emails", target, "denied")]


def test_acting_on_a_queue_that_does_not_exist_makes_none(admin: Client, emails: Queue) -> None:
    assert admin.post("/queues/nowhere/resume/").status_code == 404
    assert admin.post("/queues/nowhere/pause/").status_code == 404
    assert recorded() == [("ada", "resume", "nowhere", "", "failed")]


def test_every_form_needs_its_csrf_token(emails: Queue, transactional_db: None) -> None:
    from django.contrib.auth import get_user_model

    from tests.dashboard.addresses import PAGES, address

    user = get_user_model().objects.create_superuser("ada", password="pw")
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    for name, (method, _) in PAGES.items():
        if method == "POST":
            assert client.post(address(name), {"id": "failed-1"}).status_code == 403, name
    assert recorded() == []
    page = client.get("/queues/emails/jobs/failed-1/").content.decode()
    match = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    answer = client.post(
        "/queues/emails/jobs/failed-1/retry/", {"csrfmiddlewaretoken": match[1] if match else ""}
    )
    assert answer.status_code == 302
    assert state_of(emails, "failed-1") == "waiting"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_forms_of_other_sites_are_refused_by_what_the_browser_says(
    site: str, admin: Client, emails: Queue
) -> None:
    answer = admin.post("/queues/emails/jobs/failed-1/retry/", headers={"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert state_of(emails, "failed-1") == "failed"


@pytest.mark.parametrize(
    "place", ["https://evil.example/queues/", "//evil.example/", "javascript:alert(1)", "/\\evil"]
)
def test_one_only_ever_goes_back_to_a_page_of_ours(
    place: str, admin: Client, emails: Queue
) -> None:
    answer = admin.post("/queues/emails/resume/", {"next": place})
    assert answer["Location"] in ("/", "/\\evil") or answer["Location"].startswith("/queues/")
    assert not answer["Location"].startswith(("//", "/\\", "http", "javascript"))


def test_a_server_that_is_away_is_said_and_recorded(
    admin: Client, emails: Queue, server: Server
) -> None:
    server.kill()
    try:
        answer = admin.post("/queues/emails/jobs/failed-1/retry/")
        assert answer.status_code == 503
        assert "The server is away" in answer.content.decode()
        assert recorded() == [("ada", "retry", "emails", "failed-1", "failed")]
    finally:
        server.start()


def test_messages_are_signed_and_cannot_be_put_into_somebodys_browser(
    admin: Client, emails: Queue
) -> None:
    admin.cookies[flash.COOKIE] = "WyJkb25lIiwiPGI-aGVsbG8iXQ:1abcde:xxxx"
    assert said(admin) == ""


def test_dialogs_are_the_same_form_without_the_page(admin: Client, emails: Queue) -> None:
    answer = admin.get(
        "/queues/emails/confirm/pause/", headers={"X-Queuecore-Dialog": "1", "HX-Request": "true"}
    )
    text = answer.content.decode()
    assert "<html" not in text
    assert token_of(answer)
    refused = admin.get(
        "/queues/emails/jobs/nothing/confirm/remove/", headers={"X-Queuecore-Dialog": "1"}
    )
    assert refused.status_code == 404
    assert "<html" not in refused.content.decode()


def _spec(number: int):
    from queuecore import JobSpec

    return JobSpec("old", {"n": number})
