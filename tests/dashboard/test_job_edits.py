"""One job changed from its page: each change on record, refused where it does not fit, undone by
nobody's stale form."""

import html
import json
import re
from collections.abc import Callable

import pytest
import redis
from django.contrib.auth.models import Group, Permission
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from dashboard import payload_form
from queuecore import FlowJob, FlowProducer, Queue, audit_log, processors
from tests.dashboard.conftest import state_of
from tests.dashboard.hostile import CORPUS, PageReader

Person = Callable[..., Client]
AT = "/queues/emails/jobs/"


def form(client: Client, job: str, kind: str) -> dict[str, str]:
    """The fields of a confirmation, as a browser would send them."""
    page = client.get(f"{AT}{job}/confirm/{kind}/")
    assert page.status_code == 200
    text = page.content.decode()
    fields = {
        name: html.unescape(value)
        for name, value in re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', text)
    }
    areas = re.findall(r'<textarea[^>]* name="(\w+)"[^>]*>\n(.*?)</textarea>', text, re.DOTALL)
    return fields | {name: html.unescape(value) for name, value in areas}


def send(client: Client, job: str, kind: str, **changes: str):
    return client.post(f"{AT}{job}/{kind}/", form(client, job, kind) | changes)


def last(job: str) -> audit_log.Action:
    return audit_log.entries("default", "emails", job)[0]


def test_another_priority(admin: Client, emails: Queue) -> None:
    answer = send(admin, "waiting-1", "priority", priority="7")
    assert answer.status_code == 302
    assert state_of(emails, "waiting-1") == "prioritized"
    assert emails.get_job("waiting-1").priority == 7
    assert (last("waiting-1").action, last("waiting-1").params["priority"]) == ("priority", 7)


@pytest.mark.parametrize("value", ["", "-1", "1.5", "2097152", "x", "٣", "9" * 40])
def test_a_priority_that_is_none_is_refused_in_words(
    value: str, admin: Client, emails: Queue
) -> None:
    answer = send(admin, "waiting-1", "priority", priority=value)
    assert answer.status_code == 200
    assert "must be a whole number" in answer.content.decode()
    assert emails.get_job("waiting-1").priority == 0
    assert audit_log.entries("default", "emails", "waiting-1") == []


def test_another_delay(admin: Client, emails: Queue) -> None:
    assert send(admin, "delayed-1", "delay", delay="60.5").status_code == 302
    assert emails.get_job("delayed-1").delay == 60.5
    assert last("delayed-1").params == {"seconds": 60.5}


@pytest.mark.parametrize("value", ["", "-1", "inf", "nan", "1e30", "soon"])
def test_a_delay_that_is_none_is_refused(value: str, admin: Client, emails: Queue) -> None:
    assert "number of seconds" in send(admin, "delayed-1", "delay", delay=value).content.decode()
    assert emails.get_job("delayed-1").delay == 3600


def test_what_is_not_delayed_has_no_delay_to_change(admin: Client, emails: Queue) -> None:
    page = admin.get(f"{AT}waiting-1/confirm/delay/").content.decode()
    assert "is not delayed" in page
    assert "disabled" in page
    answer = send(admin, "waiting-1", "delay", delay="5")
    assert "no longer in a state" in admin.get(answer["Location"]).content.decode()
    assert last("waiting-1").outcome == "failed"


def test_a_note_in_the_log(admin: Client, emails: Queue) -> None:
    assert send(admin, "failed-1", "note", note="  asked\nthe relay's owner ").status_code == 302
    assert emails.get_job("failed-1").get_logs()[0][-1] == "[ada] asked the relay's owner"
    assert "Write what" in send(admin, "failed-1", "note", note=" ").content.decode()


def test_data_is_edited_as_json_and_masked_values_stay(admin: Client, emails: Queue) -> None:
    shown = form(admin, "failed-1", "data")["data"]
    assert "hunter2" not in shown
    assert json.loads(shown) == {"to": "failed@example.com", "password": "••••••••"}
    answer = send(admin, "failed-1", "data", data=shown.replace("failed@", "other@"))
    assert answer.status_code == 302
    assert emails.get_job("failed-1").data == {"to": "other@example.com", "password": "hunter2"}
    assert "example" not in str(last("failed-1").params) + str(last("failed-1").result)


def test_data_that_changed_meanwhile_is_not_written_over(admin: Client, emails: Queue) -> None:
    fields = form(admin, "failed-1", "data")
    emails.get_job("failed-1").update_data({"to": "theirs@example.com"})
    answer = admin.post(f"{AT}failed-1/data/", fields | {"data": '{"to": "mine@example.com"}'})
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "has changed since" in text
    assert "theirs@example.com" in text
    assert emails.get_job("failed-1").data == {"to": "theirs@example.com"}
    # The form that came back is made of what stands there now.
    again = send(admin, "failed-1", "data", data='{"to": "mine@example.com"}')
    assert again.status_code == 302
    assert emails.get_job("failed-1").data == {"to": "mine@example.com"}


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("{", "This is no JSON"),
        ("", "This is no JSON"),
        ("NaN", "This is no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"card": "••••••••"}', "A masked value stands"),
        ('"' + "x" * 600_000 + '"', "too long"),
    ],
)
def test_data_that_is_none_is_refused_and_stays_in_the_form(
    typed: str, words: str, admin: Client, emails: Queue
) -> None:
    answer = send(admin, "failed-1", "data", data=typed)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert words in text
    assert html.escape(typed[:200]) in text
    assert emails.get_job("failed-1").data["to"] == "failed@example.com"


def test_a_refused_form_still_knows_what_it_was_made_from(admin: Client, emails: Queue) -> None:
    text = send(admin, "failed-1", "data", data="{").content.decode()
    token = re.search(r'name="token" value="([^"]+)"', text)
    emails.get_job("failed-1").update_data({"to": "theirs@example.com"})
    admin.post(f"{AT}failed-1/data/", {"token": token[1], "data": "{}"})
    assert emails.get_job("failed-1").data == {"to": "theirs@example.com"}


def test_data_too_long_to_edit_says_so(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    redis_client.hset("bull:emails:failed-1", "data", json.dumps("x" * 300_000))
    page = admin.get(f"{AT}failed-1/confirm/data/").content.decode()
    assert "can be edited here" in page
    assert "textarea" not in page


def test_data_that_is_no_json_may_be_replaced(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    redis_client.hset("bull:emails:failed-1", "data", "<b>broken")
    assert "replaces all of it" in admin.get(f"{AT}failed-1/confirm/data/").content.decode()
    assert send(admin, "failed-1", "data", data="[1]").status_code == 302
    assert emails.get_job("failed-1").data == [1]


def test_data_is_held_against_the_type_that_the_processor_declares(
    admin: Client, emails: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "registry", processors.Registry())
    processors.processor("emails", payload=dict[str, int])(lambda job: None)
    before = emails.get_job("failed-1").data
    for kind in ("data", "duplicate"):
        answer = send(admin, "failed-1", kind, data='{"a": 1, "b <i>": "x"}')
        assert answer.status_code == 200
        text = html.unescape(answer.content.decode())
        assert "['b <i>'] must be int, not str; correct it where the job is added" in text
        assert '{"a": 1, "b <i>": "x"}' in text  # what was typed is still there
    assert emails.get_job("failed-1").data == before
    assert send(admin, "failed-1", "data", data='{"a": 1}').status_code == 302
    assert emails.get_job("failed-1").data == {"a": 1}


def test_a_duplicate_with_changes(admin: Client, emails: Queue) -> None:
    shown = form(admin, "failed-1", "duplicate")
    assert (shown["name"], shown["attempts"]) == ("welcome", "3")
    answer = send(admin, "failed-1", "duplicate", name="again", priority="4", delay="90")
    new = answer["Location"].removeprefix(AT).strip("/")
    job = emails.get_job(new)
    assert new != "failed-1"
    assert (job.name, job.priority, job.delay) == ("again", 4, 90)
    assert job.opts["attempts"] == 3
    assert job.data == {"to": "failed@example.com", "password": "hunter2"}
    assert last("failed-1").result["job"] == new
    assert f"Added job {new}" in admin.get(answer["Location"]).content.decode()


def test_a_double_click_adds_one(admin: Client, emails: Queue) -> None:
    before = sum(emails.get_job_counts().values())
    fields = form(admin, "failed-1", "duplicate")
    for _ in range(2):
        admin.post(f"{AT}failed-1/duplicate/", fields)
    assert sum(emails.get_job_counts().values()) == before + 1


def test_a_deduplication_id_is_released(admin: Client, emails: Queue) -> None:
    from queuecore import Deduplication

    first = emails.add("once", {}, deduplication=Deduplication("user-7"))
    assert emails.add("once", {}, deduplication=Deduplication("user-7")).id == first.id
    assert f"{AT}{first.id}/release/" in admin.get(f"{AT}{first.id}/").content.decode()
    admin.post(f"{AT}{first.id}/release/")
    assert emails.add("once", {}, deduplication=Deduplication("user-7")).id != first.id
    answer = admin.post(f"{AT}{first.id}/release/", follow=True)
    assert "holds no deduplication id" in answer.content.decode()


def test_a_retry_keeps_the_attempts_if_asked(admin: Client, emails: Queue) -> None:
    admin.post(f"{AT}failed-1/retry/", {"keep": "1"})
    assert emails.get_job("failed-1").attempts_made == 1
    emails.get_job("completed-1")
    admin.post(f"{AT}completed-1/retry/")
    assert emails.get_job("completed-1").attempts_made == 0


@pytest.fixture
def flow(emails: Queue) -> Queue:
    FlowProducer().add(
        FlowJob(
            "digest",
            queue="emails",
            job_id="digest-1",
            children=[FlowJob("page", queue="reports", job_id="page-1")],
        )
    )
    return emails


@pytest.mark.parametrize(("choice", "left"), [("1", None), ("0", "waiting")])
def test_a_parent_goes_with_its_children_or_without(
    choice: str, left: str | None, admin: Client, flow: Queue
) -> None:
    page = admin.get(f"{AT}digest-1/confirm/remove/").content.decode()
    assert 'name="children"' in page
    send(admin, "digest-1", "remove", children=choice)
    assert state_of(flow, "digest-1") is None
    assert state_of(Queue("reports"), "page-1") == left


def test_children_outside_of_ones_queues_are_not_removed(person: Person, flow: Queue) -> None:
    client = person("view", "remove", "bulk", scope=("emails",))
    page = client.get(f"{AT}digest-1/confirm/remove/").content.decode()
    assert 'value="1"' not in page.split('name="children"')[1].split("</select>")[0]
    answer = send(client, "digest-1", "remove", children="1")
    assert "none" not in answer["Location"]
    assert "remove nothing" in client.get(answer["Location"]).content.decode()
    assert state_of(flow, "digest-1") == "waiting-children"
    assert state_of(Queue("reports"), "page-1") == "waiting"
    many = client.post("/queues/emails/bulk/remove/", {"id": "digest-1"}).content.decode()
    token = re.search(r'name="token" value="([^"]+)"', many)
    client.post("/queues/emails/bulk/remove/", {"id": "digest-1", "token": token[1]})
    assert state_of(Queue("reports"), "page-1") == "waiting"
    send(client, "digest-1", "remove", children="0")
    assert state_of(flow, "digest-1") is None
    assert state_of(Queue("reports"), "page-1") == "waiting"


@pytest.mark.parametrize("kind", ["priority", "delay", "note", "data", "duplicate"])
def test_without_a_confirmation_nothing_happens(kind: str, admin: Client, emails: Queue) -> None:
    fields = {
        "priority": "5",
        "delay": "5",
        "note": "x",
        "data": "{}",
        "name": "x",
        "attempts": "1",
    }
    before = emails.get_job_counts()
    assert admin.post(f"{AT}delayed-1/{kind}/", fields).status_code == 200
    assert emails.get_job_counts() == before
    assert emails.get_job("delayed-1").data == {"to": "later@example.com"}


@pytest.mark.parametrize("kind", ["priority", "delay", "note", "data", "duplicate", "remove"])
def test_the_form_of_a_job_that_is_gone_says_so(kind: str, admin: Client, emails: Queue) -> None:
    assert admin.get(f"{AT}nothing/confirm/{kind}/").status_code == 404


@pytest.mark.parametrize("kind", ["data", "duplicate"])
def test_hostile_data_stays_text_in_forms(
    kind: str, admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    for text in ("\n".join(CORPUS[n::3]) for n in range(3)):
        data = json.dumps({text: [text]}, ensure_ascii=False)
        redis_client.hset("bull:emails:failed-1", mapping={"data": data, "name": text})
        page = admin.get(f"{AT}failed-1/confirm/{kind}/").content.decode()
        reader = PageReader()
        reader.feed(page)
        assert reader.bad == []
        assert "\u202e" not in page
        shown = form(admin, "failed-1", kind)["data"]
        assert json.loads(shown) == {text: [text]}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text() | st.sampled_from(["password", "card", "x"]), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_a_form_shows_comes_back_as_it_was(value: object) -> None:
    text = json.dumps(value)
    shown = payload_form.shown(text)
    assert shown is not None
    assert payload_form.read(shown, text) == value


def test_a_masked_value_is_not_moved_to_where_it_would_be_seen() -> None:
    original = '{"password": "hunter2", "list": [{"token": "t"}]}'
    assert payload_form.read('{"note": "••••••••"}', original) == {"note": "••••••••"}
    with pytest.raises(payload_form.WrongPayload):
        payload_form.read('{"secret": "••••••••"}', original)
    with pytest.raises(payload_form.WrongPayload):
        payload_form.read('{"list": [1, {"token": "••••••••"}]}', original)


@pytest.mark.parametrize(
    ("kind", "job", "needed"),
    [
        ("priority", "waiting-1", "edit_job"),
        ("delay", "delayed-1", "edit_job"),
        ("note", "failed-1", "edit_job"),
        ("data", "failed-1", "edit_job"),
        ("duplicate", "failed-1", "add_job"),
        ("remove", "failed-1", "remove"),
    ],
)
def test_a_right_taken_while_the_form_is_open_is_refused_and_on_record(
    kind: str, job: str, needed: str, person: Person, emails: Queue
) -> None:
    client = person("view", "view_payload", needed)
    fields = form(client, job, kind)
    Group.objects.get(name="olga").permissions.remove(
        Permission.objects.get(content_type__app_label="queuecore", codename=needed)
    )
    before = [emails.get_job(job).opts, emails.get_job(job).data, emails.get_job_counts()]
    for sent in (fields, {}):  # also one that skipped the form
        answer = client.post(f"{AT}{job}/{kind}/", sent)
        assert answer.status_code == 403
        assert f"queuecore.{needed}" in answer.content.decode()
    found = audit_log.entries("default", "emails", job)
    assert {(one.action, one.outcome) for one in found} == {(kind, "denied")}
    assert [emails.get_job(job).opts, emails.get_job(job).data, emails.get_job_counts()] == before
    assert client.get(f"{AT}{job}/confirm/{kind}/").status_code == 403


@pytest.mark.parametrize("kind", ["retry", "promote", "release"])
def test_what_is_done_at_once_is_refused_without_the_right_and_on_record(
    kind: str, person: Person, emails: Queue
) -> None:
    client = person("view", "view_payload")
    job = {"promote": "delayed-1"}.get(kind, "failed-1")
    state = state_of(emails, job)
    assert client.post(f"{AT}{job}/{kind}/").status_code == 403
    assert state_of(emails, job) == state
    (entry,) = audit_log.entries("default", "emails", job)
    assert (entry.action, entry.outcome) == ({"release": "release_key"}.get(kind, kind), "denied")
