"""Operations on the pages: confirmed, started, watched, steered; and refused."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client

from dashboard.draw import operation_cells
from dashboard.live.fragments import fragments
from dashboard.live.state import Topic, Viewer, read
from queuecore import Queue, access, operations
from queuecore.models import AuditEntry, Operation
from tests.dashboard.hostile import CORPUS, PageReader, assert_harmless
from tests.server.test_inspect import put_job
from tests.server.test_operations import carry_out

Person = Callable[..., Client]
CONFIRM, START = "/queues/emails/operations/confirm/", "/queues/emails/operations/start/"


def fail_more(client: redis.Redis, count: int, **fields: Any) -> None:
    pipe = client.pipeline()
    for number in range(count):
        put_job(
            pipe, f"f{number:05}", "failed", 1000 + number, finishedOn=1000 + number,
            failedReason="TimeoutError: too slow", **fields,
        )  # fmt: skip
    pipe.execute()


def form_of(page: str) -> dict[str, str]:
    """The fields of the confirmation's form, those that point at it too."""
    form = page[page.index('id="confirm-form"') :].partition("</form>")[0]
    found = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form))
    for name, options in re.findall(
        r'<select [^>]*form="confirm-form"[^>]*name="([^"]+)">(.*?)</select>', page
    ):
        found[name] = re.search(r'value="([^"]*)" selected', options)[1]
    found.pop("csrfmiddlewaretoken", None)
    return {name: unescape(value) for name, value in found.items()}


def confirm(client: Client, **query: str) -> tuple[str, dict[str, str]]:
    page = client.get(CONFIRM, query).content.decode()
    return page, form_of(page)


def start(client: Client, **query: str) -> Operation:
    _, form = confirm(client, **query)
    answer = client.post(START, {**form, "reason": "the relay is back", "typed": "emails"})
    made = Operation.objects.latest("pk")
    assert answer["Location"] == f"/operations/{made.pk}/"
    return made


def test_a_filter_is_counted_started_and_carried_out(
    person: Person, emails: Queue, redis_client: redis.Redis
) -> None:
    fail_more(redis_client, 30)
    client = person("view", "retry", "bulk")
    page, _ = confirm(client, action="retry", state="failed", q="id:f0*")
    assert "Retry 30 failed jobs of emails" in page
    assert re.search(r'<dd class="num">30</dd>', page)
    assert "id:f0000" not in page
    made = start(client, action="retry", state="failed", q="id:f00*")
    assert (made.action, made.state, made.query) == ("retry", "failed", "id:f00*")
    assert (made.planned, made.reason, made.actor) == (30, "the relay is back", "olga")
    # What fails after the confirmation is not meant.
    put_job(redis_client, "f99999", "failed", made.bound + 1, finishedOn=made.bound + 1)
    assert carry_out(made).done == 30
    assert redis_client.zscore("bull:emails:failed", "f99999")
    page = client.get(f"/operations/{made.pk}/").content.decode()
    for shown in ("Done", "id:f00*", "the relay is back", "olga", 'data-status="done"'):
        assert shown in page
    assert "state=failed&amp;q=id%3Af00%2A" in page


def test_the_confirmation_cannot_be_skipped_replayed_or_changed(
    person: Person, emails: Queue
) -> None:
    client = person("view", "retry", "remove", "bulk")
    assert client.post(START, {"action": "retry", "state": "failed"}).status_code == 200
    _, form = confirm(client, action="retry", state="failed", q="name:welcome")
    for change in (
        {"q": ""},
        {"action": "remove"},
        {"state": "completed"},
        {"reset": "0"},
        {"maximum": "5"},
        {"token": "x"},
    ):
        assert client.post(START, {**form, **change}).status_code == 200
        assert not Operation.objects.exists(), change
    assert client.post(START.replace("emails", "other"), form).status_code == 404
    assert client.post(START, form).status_code == 302
    again = client.post(START, form, follow=True).content.decode()
    assert "was started already" in again
    assert Operation.objects.count() == 1


def test_choices_lead_to_other_figures_and_hold(person: Person, emails: Queue) -> None:
    client = person("view", "retry", "bulk")
    _, form = confirm(client, action="retry", state="failed")
    answer = client.post(START, {**form, "reset": "0", "rate": "100", "count": "1"})
    form = form_of(answer.content.decode())
    assert (form["reset"], form["rate"]) == ("0", "100")
    client.post(START, form)
    made = Operation.objects.get()
    assert (made.params["reset"], made.rate) == (False, 100)
    carry_out(made)
    assert emails.get_job("failed-1").attempts_made == 1


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"action": "retyr"}, "did you mean"),
        ({"state": "waiting"}, "failed or completed"),
        ({"q": "age:7"}, "Write age"),
    ],
)
def test_what_cannot_be_done_is_told(admin: Client, emails: Queue, query, told) -> None:
    page = admin.get(CONFIRM, query, follow=True).content.decode()
    assert told in unescape(page)
    page = admin.post(START, query, follow=True).content.decode()
    assert told in unescape(page)


def test_nothing_to_do_cannot_be_started(admin: Client, emails: Queue) -> None:
    page, _ = confirm(admin, action="retry", state="failed", q="name:nobody")
    assert "There are none now." in page
    assert re.search(r'type="submit" disabled', page)


@pytest.mark.parametrize(
    ("query", "gone"),
    [
        ({"action": "drain", "state": "waiting"}, ["waiting-1", "prioritized-1"]),
        ({"action": "promote", "state": "delayed"}, []),
        ({"action": "remove", "state": "completed"}, ["completed-1"]),
        ({"action": "clean", "state": "failed"}, ["failed-1"]),
    ],
)
def test_every_action_has_its_confirmation(
    admin: Client, emails: Queue, redis_client: redis.Redis, query, gone
) -> None:
    assert carry_out(start(admin, **query)).status == "done"
    for job in ("waiting", "prioritized", "delayed", "completed", "failed"):
        there = redis_client.exists(f"bull:emails:{job}-1")
        assert there == (f"{job}-1" not in gone)


@pytest.mark.parametrize("action", ["drain", "obliterate"])
@pytest.mark.parametrize("typed", ["", "Emails", "email"])
def test_what_ends_much_asks_for_the_queue_s_name(
    admin: Client, emails: Queue, action: str, typed: str
) -> None:
    page, form = confirm(admin, action=action, state="waiting")
    assert "Type the name of the queue, emails" in page
    answer = admin.post(START, {**form, "typed": typed})
    assert "That is not the queue's name." in unescape(answer.content.decode())
    assert not Operation.objects.exists()


def test_a_queue_is_obliterated_by_its_name(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    redis_client.delete("bull:emails:active", "bull:emails:active-1:lock")
    made = start(admin, action="obliterate", state="waiting")
    assert carry_out(made).status == "done"
    assert redis_client.keys("bull:emails:*") == ["bull:emails:active-1"]


# Rights


def test_what_errors_say_is_searched_only_by_those_who_may_see_it(
    person: Person, emails: Queue
) -> None:
    client = person("view", "retry", "bulk", name="ole")
    answer = client.get(CONFIRM, {"q": "error:relay"})
    assert (answer.status_code, b"queuecore.view_payload" in answer.content) == (403, True)
    other = person("view", "view_payload", "retry", "bulk", name="pia")
    made = start(other, q="error:relay")
    page = client.get(f"/operations/{made.pk}/").content.decode()
    assert "error:relay" not in page
    assert "by what the error says" in page
    assert "error:relay" not in client.get("/operations/").content.decode()
    assert "error:relay" in other.get("/operations/").content.decode()


def test_a_refusal_is_on_record(person: Person, emails: Queue) -> None:
    client = person("view", "retry")
    assert client.post(START, {"action": "retry", "state": "failed"}).status_code == 403
    result = AuditEntry.objects.get(phase="result")
    assert (result.action, result.outcome, result.target) == ("retry", "denied", "state:failed")


def test_operations_of_queues_out_of_scope_do_not_exist(
    person: Person, admin: Client, emails: Queue
) -> None:
    made = start(admin)
    client = person("view", "retry", "bulk", scope=("orders-*",))
    assert client.get(f"/operations/{made.pk}/").status_code == 404
    assert client.post(f"/operations/{made.pk}/abort/").status_code == 404
    for path in ("/operations/", "/"):
        page = client.get(path).content.decode()
        assert "emails" not in page
        assert f"/operations/{made.pk}/" not in page
    viewer = Viewer(access.Scope((("*", "orders-*"),)), False, "en", "/")
    for topic in (Topic("operation", id=str(made.pk)), Topic("operations"), Topic("overview")):
        state = read(topic, [str(made.pk), "newer:0", "summary"])
        patches = fragments(state, topic, viewer, [str(made.pk), "newer:0", "summary"])
        assert not [name for name in patches if name.startswith(("op-1", f"op-{made.pk}"))]
        assert "emails" not in str(patches)
    assert client.get("/operations/999999/").status_code == 404


@pytest.mark.parametrize("verb", ["pause", "resume", "abort", "rate"])
@pytest.mark.parametrize("missing", ["bulk", "remove"])
def test_steering_asks_for_what_starting_asks_for(
    person: Person, admin: Client, emails: Queue, verb: str, missing: str
) -> None:
    made = start(admin, action="remove", state="failed")
    client = person("view", *{"bulk", "remove"} - {missing})
    answer = client.post(f"/operations/{made.pk}/{verb}/", {"rate": "10"})
    assert (answer.status_code, f"queuecore.{missing}" in answer.content.decode()) == (403, True)
    made.refresh_from_db()
    assert (made.status, made.rate) == ("waiting", None)
    assert AuditEntry.objects.filter(phase="result", outcome="denied").count() == 1
    page = client.get(f"/operations/{made.pk}/").content.decode()
    assert f"/operations/{made.pk}/{verb}/" not in page


def test_strangers_get_the_login_page(client: Client, emails: Queue, db: None) -> None:
    assert client.get("/operations/1/")["Location"].startswith("/login/")
    assert client.post("/operations/1/abort/")["Location"].startswith("/login/")
    assert client.get("/operations/x/").status_code in (302, 404)


def test_steering(admin: Client, emails: Queue, redis_client: redis.Redis) -> None:
    fail_more(redis_client, 3)
    made = start(admin, q="id:f0*")

    assert "Not over yet" in admin.get("/audit/").content.decode()

    def order(verb: str, **values: str) -> str:
        path = f"/operations/{made.pk}/{verb}/"
        page = admin.post(path, {"next": f"/operations/{made.pk}/", **values}, follow=True)
        made.refresh_from_db()
        return page.content.decode()

    assert "rests after" in order("pause")
    assert made.status == "paused"
    assert "not in a state" in order("pause")
    assert "rate is changed" in order("rate", rate="10")
    assert made.rate == 10
    assert "not in a state" in order("rate", rate="7")
    assert "goes on" in order("resume")
    assert "Aborted" in order("abort")
    carry_out(made)
    assert (made.status, made.done, made.error) == ("aborted", 0, "ada")
    record = admin.get("/audit/?outcome=aborted").content.decode()
    assert f"/audit/{made.record}/" in record
    assert 'title="Aborted by ada"' in record
    assert "not in a state" in order("abort")
    assert "Aborted by ada" in order("resume")
    assert admin.post(f"/operations/{made.pk}/nothing/").status_code == 404
    log = admin.get(f"/operations/{made.pk}/").content.decode().partition("<h2>Log</h2>")[2]
    log = re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", unescape(log.partition("</ul>")[0])))
    for words in ("ada Abort operation", "Set an operation's rate to 10 a second"):
        assert words in log
    actions = AuditEntry.objects.filter(phase="intent").values_list("action", flat=True)
    assert {"pause_operation", "rate_operation", "resume_operation", "abort_operation"} < {*actions}


# What is shown


def test_what_runs_comes_first_and_older_ones_page_by_page(
    admin: Client, emails: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dashboard.pages import operations as page_module

    monkeypatch.setattr(page_module, "PAGE", 3)
    first = start(admin)
    operations.pause(first)
    done = []
    for _ in range(5):
        made = start(admin)
        operations.abort(made)
        done.append(carry_out(made).pk)
    page = admin.get("/operations/").content.decode()
    assert "1 is not over" in page
    shown = [int(one) for one in re.findall(r'<a href="/operations/(\d+)/"><svg', page)]
    assert shown == [first.pk, done[4], done[3]]
    (older,) = re.findall(r'rel="next" href="([^"]+)"', page)
    page = admin.get(f"/operations/{older}").content.decode()
    shown = [int(one) for one in re.findall(r'<a href="/operations/(\d+)/"><svg', page)]
    assert shown == done[2::-1]
    assert 'rel="next"' not in page


def test_an_empty_page_teaches(admin: Client, emails: Queue) -> None:
    assert "No operations yet" in admin.get("/operations/").content.decode()


def test_the_rail_and_the_overview_say_what_runs(admin: Client, emails: Queue) -> None:
    assert re.search(r'id="rail-operations"></span>', admin.get("/").content.decode())
    made = start(admin)
    for path in ("/", "/queues/", "/operations/"):
        page = admin.get(path).content.decode()
        assert re.search(r'id="rail-operations">1</span>', page), path
    viewer = Viewer(access.Scope(), True, "en", "/")
    state = read(Topic("overview"), ["summary"])
    panel = fragments(state, Topic("overview"), viewer, ["summary"])["running-operations"].html
    assert f'href="/operations/{made.pk}/"' in panel
    assert "0 of 1" in panel
    carry_out(made)
    state = read(Topic("overview"), ["summary"])
    patches = fragments(state, Topic("overview"), viewer, ["summary"])
    assert "None runs now." in patches["running-operations"].html
    assert patches["rail-operations"].text == ""


def test_pages_and_patches_say_the_same(admin: Client, emails: Queue) -> None:
    made = start(admin)
    carry_out(made)
    viewer = Viewer(access.Scope(), True, "en", "/")
    topic = Topic("operation", id=str(made.pk))
    patches = fragments(read(topic), topic, viewer)
    page = admin.get(f"/operations/{made.pk}/").content.decode()
    for name, patch in patches.items():
        assert (patch.html or patch.text) in page, name
    topic, ids = Topic("operations"), [str(made.pk), f"newer:{made.pk}"]
    patches = fragments(read(topic, ids), topic, viewer, ids)
    page = admin.get("/operations/").content.decode()
    shown = [name for name, patch in patches.items() if (patch.html or patch.text) in page]
    assert {f"op-{made.pk}-status", f"op-{made.pk}-bar", f"op-{made.pk}-done"} < {*shown}
    later = start(admin, state="completed")
    patches = fragments(read(topic, ids), topic, viewer, ids)
    assert patches["op-newer"].text == "+1 new"
    assert f"op-{later.pk}-status" not in patches


def test_rate_and_time_are_of_the_time_it_ran() -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    ended = began + timedelta(hours=2)
    one = Operation(
        status="done", done=380, failed=20, ran=4.0, speed=250, started_at=began, ended_at=ended
    )
    shown = operation_cells.cells(one, ended)
    one.planned = 1000  # of which others had been retried meanwhile: it is done all the same
    assert 'width="95.00%"' in operation_cells.bar(one)
    assert re.sub("<[^>]*>", "", shown["rate"]) == "100/s"
    assert re.sub("<[^>]*>", "", shown["time"]) == "4.0s"


def test_nobody_running_it_is_said(admin: Client, emails: Queue) -> None:
    made = start(admin)
    Operation.objects.filter(pk=made.pk).update(updated_at=made.updated_at - timedelta(minutes=1))
    page = admin.get(f"/operations/{made.pk}/").content.decode()
    assert "No process runs it" in page
    assert "runworker" in page


def test_failures_are_listed_and_can_be_tried_again(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    made = start(admin, action="remove", state="active")
    done = carry_out(made)
    assert (done.failed, done.failures) == (1, [["active-1", "running"]])
    page = admin.get(f"/operations/{made.pk}/").content.decode()
    assert "A worker runs the job" in page
    assert 'formaction="/queues/emails/bulk/remove/"' in page
    assert '<input type="hidden" name="id" value="active-1">' in page
    answer = admin.post("/queues/emails/bulk/remove/", {"id": "active-1"})
    assert "Remove" in answer.content.decode()


def test_a_stopped_one_says_why(emails: Queue, person: Person, redis_client: redis.Redis) -> None:
    client = person("view", "retry", "bulk")
    made = start(client)
    Group.objects.get(name="olga").permissions.clear()
    get_user_model().objects.get(username="olga")
    carry_out(made)
    viewer = Viewer(access.Scope(), True, "en", "/")
    topic = Topic("operation", id=str(made.pk))
    note = fragments(read(topic), topic, viewer)["op-note"].html
    assert "queuecore.bulk" in note


def test_hostile_texts_stay_text(admin: Client, emails: Queue) -> None:
    made = start(admin)
    viewer = Viewer(access.Scope(), True, "en", "/")
    for text in CORPUS:
        hostile = text.replace("\x00", "\\x00")
        Operation.objects.filter(pk=made.pk).update(
            action=hostile[:60],
            queue=hostile[:500],
            query=hostile,
            actor=hostile[:190],
            reason=hostile,
            error=hostile,
            status="failed",
            failures=[[hostile, hostile]],
        )
        for path in ("/operations/", f"/operations/{made.pk}/", "/"):
            answer = admin.get(path)
            assert answer.status_code == 200
            reader = PageReader()
            reader.feed(answer.content.decode())
            assert not reader.bad, (path, reader.bad)
        for topic in (Topic("operation", id=str(made.pk)), Topic("operations"), Topic("overview")):
            patches = fragments(read(topic), topic, viewer, [str(made.pk), "summary"])
            assert_harmless("".join(patch.html or "" for patch in patches.values()))
