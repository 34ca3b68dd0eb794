"""Cancelling running jobs from the pages: who is told, what is said, what becomes of it."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.test import Client

from dashboard.live import state
from queuecore import Queue
from queuecore.models import AuditEntry
from tests.dashboard import fleet
from tests.dashboard.test_actions import recorded, said, token_of

Person = Callable[..., Client]
JOB = "/queues/emails/jobs/active-1/"
TOKEN = f"{fleet.WORKER}:7"


@pytest.fixture
def held(emails: Queue, redis_client: redis.Redis) -> Queue:
    """With its active job held by the worker of ours, a coroutine with a timeout."""
    redis_client.set("bull:emails:active-1:lock", TOKEN, ex=60)
    runs(redis_client, kind="coroutine", timeout=30_000)
    return emails


def runs(client: redis.Redis, *, age: float = 0, answers: Any = (), **about: Any) -> None:
    """Let the worker's process tell so of its run of ``active-1``."""
    began = int(client.hget("bull:emails:active-1", "processedOn") or 0)
    if timeout := about.get("timeout"):
        about["until"] = began + timeout
    state._facts.clear()
    mine = fleet.worker(jobs=[["active-1", "welcome", began, about]])
    fleet.process(client, mine, age=age, answers=dict(answers))


def order(client: redis.Redis) -> dict[str, Any]:
    (found,) = client.lrange(f"qc:bull::worker:{fleet.PROCESS}:orders", 0, -1)
    return json.loads(found)


def note(client: Client) -> str:
    """What the page says of the wish, live."""
    body = client.get("/live/poll/", {"topic": "job:default:emails:active-1"}).json()
    return next(one["html"] for one in body["patches"] if one["id"] == "job-cancel")


def test_cancel_asks_first_then_tells_the_worker_and_the_page_says_what_became_of_it(
    admin: Client, held: Queue, redis_client: redis.Redis
) -> None:
    assert 'id="cancel"' in admin.get(JOB).content.decode()
    asked = admin.post(f"{JOB}cancel/")
    text = asked.content.decode()
    assert "It is a coroutine: it is cancelled where it awaits." in text
    assert "It fails this try only: it is tried again, 2 more times at most." in text
    assert not redis_client.exists(f"qc:bull::worker:{fleet.PROCESS}:orders")
    form = {"token": token_of(asked), "reason": "the customer withdrew", "next": JOB}
    answer = admin.post(f"{JOB}cancel/", form)
    assert (answer.status_code, answer["Location"]) == (302, JOB)
    told = order(redis_client)
    assert (told["verb"], told["workers"], told["runs"], told["reason"]) == (
        *("cancel", [fleet.WORKER], [["active-1", TOKEN]], "the customer withdrew"),
    )
    assert recorded() == [("ada", "cancel", "emails", "active-1", "done")]
    assert AuditEntry.objects.filter(phase="intent").get().reason == "the customer withdrew"
    assert said(admin) == "Asked the worker to cancel job active-1."

    assert "asked" in note(admin)
    assert "not yet heard" in note(admin)
    assert "“the customer withdrew”" in note(admin)
    runs(redis_client, kind="thread", told=1)
    assert "heard, and not yet ended" in note(admin)
    assert "a function in a thread" in note(admin)
    # Its end is the state's to tell; another run is none of this wish's.
    redis_client.set("bull:emails:active-1:lock", f"{fleet.WORKER}:8")
    assert "hidden" in note(admin)
    redis_client.delete("bull:emails:active-1:lock")
    runs(redis_client, answers={told["id"]: "ended before"})
    assert "which had ended by then" in note(admin)


def test_a_wish_that_nobody_heard_is_said_to_be_that(
    admin: Client, held: Queue, redis_client: redis.Redis
) -> None:
    held.cancel_job("active-1", "", "ada")
    key = "qc:bull:emails:cancel:active-1"
    late = json.loads(redis_client.get(key)) | {"until": round(time.time() * 1000) - 1}
    redis_client.set(key, json.dumps(late))
    assert "nobody has heard it" in note(admin)
    assert 'data-cancel="missed"' in admin.get(JOB).content.decode()


@pytest.mark.parametrize(
    ("lock", "silent", "why"),
    [
        ("2c1f7a3e-1b2c-4d5e-8f90-000000000000:3", 0, "A worker of another library runs it"),
        ("b" * 32 + ":3", 0, "Its worker tells nothing of itself"),
        (TOKEN, 45, "has not been heard of for 45"),
        ("", 0, "Nobody holds its lock"),
    ],
)
def test_who_cannot_be_told_is_said_and_nothing_is_done(
    lock: str, silent: float, why: str, admin: Client, held: Queue, redis_client: redis.Redis
) -> None:
    redis_client.delete("bull:emails:active-1:lock")
    if lock:
        redis_client.set("bull:emails:active-1:lock", lock)
    runs(redis_client, age=silent)
    asked = admin.get(f"{JOB}confirm/cancel/")
    assert why in asked.content.decode()
    assert "disabled" in asked.content.decode().partition("ask-foot")[2]
    admin.post(f"{JOB}cancel/", {"token": token_of(asked)})
    assert "Nobody was told" in said(admin)
    assert recorded() == [("ada", "cancel", "emails", "active-1", "failed")]
    assert not redis_client.exists(f"qc:bull::worker:{fleet.PROCESS}:orders")


@pytest.mark.parametrize(
    ("about", "what"),
    [
        ({"kind": "thread"}, "a function in a thread, which cannot be ended"),
        ({"kind": "sandbox", "pid": 4712}, "a process of its own"),
        ({"kind": "coroutine", "batch": 12}, "one of a batch of 12 jobs"),
        ({}, "has not told how it runs"),
    ],
)
def test_the_question_says_what_can_be_done_with_each_kind(
    about: dict[str, Any], what: str, admin: Client, held: Queue, redis_client: redis.Redis
) -> None:
    runs(redis_client, **about)
    assert what in admin.get(f"{JOB}confirm/cancel/").content.decode()


def test_the_ticked_jobs_of_the_list_are_cancelled_together(
    admin: Client, person: Person, held: Queue, redis_client: redis.Redis
) -> None:
    page = admin.get("/queues/emails/jobs/?state=active").content.decode()
    assert f'href="{JOB}confirm/cancel/"' in page
    assert 'formaction="/queues/emails/bulk/cancel/"' in page
    assert "operations/confirm" not in page
    reader = person("view", "bulk").get("/queues/emails/jobs/?state=active").content.decode()
    assert "cancel/" not in reader
    form: dict[str, Any] = {"id": ["active-1", "waiting-1"]}
    asked = admin.post("/queues/emails/bulk/cancel/", form)
    admin.post("/queues/emails/bulk/cancel/", form | {"token": token_of(asked)})
    assert order(redis_client)["runs"] == [["active-1", TOKEN]]
    assert order(redis_client)["reason"] == "cancelled by ada"
    assert said(admin) == ("Asked for the end of 1 job. 1 does not run any more, or hears nothing.")
    result = json.loads(AuditEntry.objects.get(phase="result").result)
    assert (result["count"], result["missing"]) == (1, ["waiting-1"])
    assert "Tick" in str(admin.get("/queues/emails/jobs/?state=active").content)


def test_the_page_counts_the_time_of_a_run_and_says_where_it_is(
    admin: Client, person: Person, held: Queue, redis_client: redis.Redis
) -> None:
    runs(redis_client, kind="sandbox", pid=4712, timeout=30_000, batch=0)
    page = admin.get(JOB).content.decode()
    run = page.partition('id="job-run"')[2].partition("</dl>")[0]
    assert 'data-time="run"' in run
    assert "web-1, process 4711, in a sandbox with process 4712" in run
    assert "<dt>Timeout</dt>" in run
    assert 'class="limit"' in page  # the dashed rule of the drawing
    assert "Its timeout is over" in page
    runs(redis_client, kind="coroutine", batch=12)
    assert "one of a batch of 12" in admin.get(JOB).content.decode()


def test_what_expires_is_counted_down_and_what_has_expired_is_told_as_that(
    admin: Client, person: Person, emails: Queue, redis_client: redis.Redis
) -> None:
    emails.add("offer", {}, job_id="soon", expires=600, timeout=5)
    page = admin.get("/queues/emails/jobs/soon/").content.decode()
    run = page.partition('id="job-run"')[2].partition("</dl>")[0]
    assert "<dt>Expires</dt>" in run
    assert 'data-time="until"' in run
    assert "a try" in run
    assert "It expires" in page
    for reason, word, told in (
        ("the job expired 41.5 s before it was started", "Expired", "Failed as expired"),
        ("the job ran longer than its timeout of 5 s", "Timed out", "Stopped by its timeout"),
    ):
        times = {"timestamp": 1_000, "processedOn": 61_000, "finishedOn": 62_000}
        redis_client.hset("bull:emails:failed-1", mapping={"failedReason": reason, **times})
        page = admin.get("/queues/emails/jobs/failed-1/").content.decode()
        assert told in page
        assert ("<title>Active" in page) == (word == "Timed out")  # the other never began
        reader = person("view", name=word)
        for client in (admin, reader):
            page = client.get("/queues/emails/jobs/?state=failed").content.decode()
            assert f'<b class="err-name">{word}</b>' in page


def test_a_letter_and_its_job_lead_to_each_other_and_a_trace_can_be_copied(
    admin: Client, person: Person, emails: Queue, redis_client: redis.Redis
) -> None:
    dead = Queue("dead")
    for job in ("other", "failed-1"):
        data = {"queue": "bull:emails", "id": job, "name": "welcome", "data": {"to": "x" * 9_000}}
        dead.add("welcome", data | {"failedReason": "no", "attemptsMade": 1, "finishedOn": 1})
    (letter,) = [job.id for job in dead.get_jobs(["waiting"]) if job.data["id"] == "failed-1"]
    fleet.process(redis_client, fleet.worker(dead_letter="dead"))
    page = admin.get("/queues/emails/jobs/failed-1/").content.decode()
    assert f'<a href="/queues/dead/jobs/{letter}/">dead {letter}</a>' in page
    page = admin.get(f"/queues/dead/jobs/{letter}/").content.decode()
    assert '<a href="/queues/emails/jobs/failed-1/">emails failed-1</a>' in page
    near = person("view", scope=("dead",)).get(f"/queues/dead/jobs/{letter}/")
    assert "/queues/emails/" not in near.content.decode()

    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    carried = json.dumps({"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    emails.add("traced", job_id="traced", telemetry={"metadata": carried})
    emails.add("odd", job_id="odd", telemetry={"metadata": "<b>no trace</b>"})
    page = admin.get("/queues/emails/jobs/traced/").content.decode()
    assert f'<code id="job-trace">{trace}</code>' in page
    assert 'data-copy="#job-trace"' in page
    assert 'id="job-trace"' not in admin.get("/queues/emails/jobs/odd/").content.decode()
