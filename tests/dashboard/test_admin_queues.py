"""Django's admin: queues and jobs are listed and acted upon there, as on the dashboard's pages."""

import json
import re
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import redis
from django.contrib.admin import AdminSite
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import path
from django.utils import timezone
from pytest_django import Settings

from queuecore import FlowJob, FlowProducer, JobSpec, Queue, access, audit, audit_log
from queuecore.admin import register
from queuecore.admin.rows import key_of, parts_of
from queuecore.inspect import STATES, Inspector
from queuecore.models import AuditEntry, Operation, OutboxEntry
from queuecore.visible import visible
from tests.dashboard.conftest import state_of
from tests.servers import Server

Person = Callable[..., Client]
QUEUES, JOBS = "/admin/queuecore/queue/", "/admin/queuecore/job/"
EMAILS = key_of("default", "emails")
NAMES = [
    "two words",
    "a/b",
    'q"uote',
    "co:lon",
    "50%25_2F",
    "<b>bold</b>",
    "a+b&c=d?#",
    "\u202eevil",
]
ACTIONS = ("pause", "resume", "retry_failed", "promote_delayed", "clean", "drain")


def staff(client: Client) -> Client:
    get_user_model().objects.update(is_staff=True)
    return client


def jobs(state: str, queue: str = "emails") -> str:
    return f"{JOBS}?queue={key_of('default', queue).replace('%', '%25')}&state={state}"


def ask(client: Client, path: str, action: str, *keys: str, **more: str) -> Any:
    """What the action's own page says."""
    given = {"action": action, "_selected_action": keys, "index": "0", **more}
    return client.post(path, given)


def do(client: Client, path: str, action: str, *keys: str, **more: str) -> Any:
    """Send the action, answer its page, and follow to the list with the message."""
    page = ask(client, path, action, *keys, reason="", **more)
    assert page.status_code == 200, page
    token = re.search(r'name="token" value="([^"]+)"', page.content.decode())
    assert token, page.content.decode()
    answer = {"action": action, "_selected_action": keys, "token": token[1], "confirm": "yes"}
    answer |= {"reason": "too many", **more}
    return client.post(path, answer, follow=True)


def records() -> list[tuple[str, str, str, str]]:
    found = audit_log.page(access.Scope(), limit=20)
    return [(one.action, one.queue, one.target, one.outcome) for one in found]


def test_queues_are_listed_with_their_numbers(admin: Client, emails: Queue) -> None:
    page = admin.get(QUEUES).content.decode()
    for state in ("waiting", "prioritized", "active", "delayed", "completed", "failed"):
        assert f'href="{JOBS}?queue=default%2Femails&amp;state={state}">1</a>' in page
    columns = re.findall(r'class="(?:sortable )?column-([\w-]+)', page)
    assert columns[:5] == ["shown_name", "shown_pause", "waiting", "active", "delayed"]
    assert columns.index("failed") == 5
    assert set(columns[2:]) == {state.replace("-", "_") for state in STATES}
    assert "Show all" not in page  # nothing was searched for
    assert "1 total" in admin.get(f"{QUEUES}?q=orders").content.decode()
    assert "emails" not in admin.get(f"{QUEUES}?q=orders").content.decode().split("result_list")[-1]
    assert ">emails</a>" in admin.get(f"{QUEUES}?q=MAIL&o=-7.1&paused=0").content.decode()
    assert ">emails</a>" not in admin.get(f"{QUEUES}?paused=1").content.decode()
    assert admin.get(f"{QUEUES}?name=emails").status_code == 302  # nothing to filter by
    one = admin.get(f"{QUEUES}default_2Femails/change/").content.decode()
    assert one.count(">History<") == 1
    assert 'name="action" value="promote_delayed"' in one
    assert 'href="/queues/emails/"' in one  # the dashboard's page
    assert admin.get(f"{QUEUES}default_2Fnone/change/").status_code == 302
    assert admin.post(f"{QUEUES}default_2Femails/change/", {"name": "x"}).status_code == 403
    assert admin.get(f"{QUEUES}add/").status_code == 403
    assert admin.get(f"{QUEUES}default_2Femails/history/").status_code == 200


def test_a_queue_is_paused_with_a_reason_and_resumed(admin: Client, emails: Queue) -> None:
    asked = ask(admin, QUEUES, "pause", EMAILS).content.decode()
    assert "Pause 1 queue" in asked
    assert "2 jobs wait" in asked
    assert not emails.is_paused()
    done = do(admin, QUEUES, "pause", EMAILS, ends="900").content.decode()
    assert "Paused 1 queue." in done
    assert emails.is_paused()
    note = Inspector().snapshots(["emails"])["emails"].pause
    assert note is not None
    assert (note.reason, note.by) == ("too many", "ada")
    assert "Paused: too many" in admin.get(QUEUES).content.decode()
    assert records()[0] == ("pause", "emails", "", "done")
    entry = AuditEntry.objects.filter(action="pause", phase="intent").get()
    assert (entry.actor, entry.reason, entry.ip) == ("ada", "too many", "127.0.0.1")
    assert "until" in json.loads(entry.params)
    logged = LogEntry.objects.get()
    assert (logged.object_id, logged.action_flag) == (EMAILS, CHANGE)
    assert (str(logged.user), logged.change_message) == ("ada", "Paused. too many")
    assert admin.get(logged.get_admin_url()).status_code == 200
    assert "Resumed 1 queue." in do(admin, QUEUES, "resume", EMAILS).content.decode()
    assert not emails.is_paused()
    assert audit.verify().intact


def test_a_token_works_once_for_what_it_names(admin: Client, emails: Queue) -> None:
    page = ask(admin, QUEUES, "pause", EMAILS).content.decode()
    token = re.search(r'name="token" value="([^"]+)"', page)
    assert token
    answer = {"_selected_action": [EMAILS], "token": token[1], "confirm": "yes", "reason": ""}
    wrong = admin.post(QUEUES, {**answer, "action": "resume"})
    assert "Resume 1 queue" in wrong.content.decode()  # it is asked for anew
    admin.post(QUEUES, {**answer, "action": "pause"})
    assert emails.is_paused()
    emails.resume()
    again = admin.post(QUEUES, {**answer, "action": "pause"}, follow=True).content.decode()
    assert "done already" in again
    assert not emails.is_paused()
    admin.post(QUEUES, {**answer, "action": "pause", "token": "x"})
    assert not emails.is_paused()


@pytest.mark.parametrize(
    ("action", "operation", "state", "more", "count"),
    [
        ("retry_failed", "retry", "failed", {}, 1),
        ("promote_delayed", "promote", "delayed", {}, 1),
        ("clean", "clean", "completed", {"state": "completed", "age": ""}, 1),
        ("drain", "drain", "waiting", {"typed": "emails", "delayed": "on"}, 3),
    ],
)
def test_many_jobs_are_left_to_an_operation(
    admin: Client,
    emails: Queue,
    action: str,
    operation: str,
    state: str,
    more: dict[str, str],
    count: int,
) -> None:
    page = do(admin, QUEUES, action, EMAILS, **more).content.decode()
    made = Operation.objects.get()
    assert f'href="/admin/queuecore/operation/{made.pk}/change/"' in page
    assert (made.action, made.state, made.planned) == (operation, state, count)
    assert (made.reason, made.actor) == ("too many", "ada")
    assert made.status == "waiting"  # nothing was done in the request
    assert emails.get_job_counts()["failed"] == 1
    assert LogEntry.objects.get().object_id == EMAILS
    assert "Started" in page
    assert f">{made.pk}</a>" in admin.get("/admin/queuecore/operation/").content.decode()
    assert "too many" in admin.get(f"/admin/queuecore/operation/{made.pk}/change/").content.decode()


def test_draining_asks_for_the_queues_name(admin: Client, emails: Queue) -> None:
    page = do(admin, QUEUES, "drain", EMAILS, typed="email").content.decode()
    assert "That is not what stands beside it." in page
    # What was counted is what is done: another choice is counted anew.
    asked = ask(admin, QUEUES, "drain", EMAILS).content.decode()
    token = re.search(r'name="token" value="([^"]+)"', asked)
    assert token
    answer = {"action": "drain", "_selected_action": [EMAILS], "token": token[1], "confirm": "1"}
    again = admin.post(QUEUES, answer | {"reason": "", "typed": "emails", "delayed": "on"})
    assert "(3 jobs)" in again.content.decode()
    assert not Operation.objects.exists()


def test_where_there_is_nothing_to_do_another_choice_can_be_counted(
    admin: Client, emails: Queue
) -> None:
    page = ask(admin, QUEUES, "clean", EMAILS).content.decode()
    assert "There are no such jobs now." in page
    assert 'name="confirm"' not in page
    assert 'name="reason"' not in page
    assert page.index('name="state"') < page.index('name="age"') < page.index('name="again"')


def test_ticked_jobs_are_retried_promoted_and_removed(admin: Client, emails: Queue) -> None:
    keys = [key_of("default", "emails", name) for name in ("failed-1", "completed-1", "waiting-1")]
    asked = ask(admin, jobs("failed"), "retry", *keys).content.decode()
    assert "Retry 2 jobs" in asked
    assert "1 job is not in a fitting state" in asked
    page = do(admin, jobs("failed"), "retry", *keys).content.decode()
    assert "Retried 2 jobs." in page
    assert "1 job not: The job is no longer in a state" in page
    assert state_of(emails, "failed-1") == "waiting"
    (record,) = records()
    assert record == (
        "retry",
        "emails",
        json.dumps(["failed-1", "completed-1", "waiting-1"]),
        "done",
    )
    assert LogEntry.objects.filter(action_flag=CHANGE).count() == 2
    delayed = key_of("default", "emails", "delayed-1")
    assert "Promoted 1 job." in do(admin, jobs("delayed"), "promote", delayed).content.decode()
    assert state_of(emails, "delayed-1") == "waiting"
    assert records()[0] == ("promote", "emails", "delayed-1", "done")
    page = do(admin, jobs("waiting"), "remove", delayed).content.decode()
    assert "Removed 1 job." in page
    assert state_of(emails, "delayed-1") is None
    assert LogEntry.objects.get(action_flag=DELETION).object_id == delayed
    active = key_of("default", "emails", "active-1")
    asked = ask(admin, jobs("active"), "remove", active).content.decode()
    assert 'name="confirm"' not in asked  # a worker has it


def test_all_jobs_of_a_state_are_left_to_an_operation(admin: Client, emails: Queue) -> None:
    key = key_of("default", "emails", "failed-1")
    do(admin, jobs("failed"), "retry", key, select_across="1")
    made = Operation.objects.get()
    assert (made.action, made.state, made.planned, made.queue) == ("retry", "failed", 1, "emails")
    page = ask(admin, jobs("waiting"), "retry", key, select_across="1")
    assert page.status_code == 302  # that is nothing to be done to waiting jobs
    assert Operation.objects.count() == 1


def test_pages_of_jobs_are_read_by_their_range(admin: Client, redis_client: redis.Redis) -> None:
    queue = Queue("long")
    queue.add_bulk([JobSpec("n", {"n": number}) for number in range(250)])
    page = admin.get(f"{jobs('waiting', 'long')}&p=3").content.decode()
    assert page.count('name="_selected_action"') == 50
    assert "250 jobs" in page
    assert admin.get(f"{jobs('waiting', 'long')}&p=9").status_code == 302
    found = admin.get(f"{jobs('failed', 'long')}&q=17").content.decode()
    assert found.count('name="_selected_action"') == 1
    assert "Choose a queue" in admin.get(JOBS).content.decode()


def test_a_job_is_shown_with_what_is_stored_about_it(
    admin: Client, person: Person, emails: Queue
) -> None:
    one = f"{JOBS}default_2Femails_2Ffailed-1/change/"
    page = admin.get(one).content.decode()
    for text in (
        "failed@example.com",
        "relay is away",
        "/srv/shop/mail.py",
        "&quot;attempts&quot;",
    ):
        assert text in page
    assert "hunter2" not in page  # masked, as on the dashboard
    assert 'href="/queues/emails/jobs/failed-1/"' in page
    assert "half way" in admin.get(f"{JOBS}default_2Femails_2Fcompleted-1/change/").content.decode()
    reader = staff(person("view"))
    page = reader.get(one).content.decode()
    assert "they need queuecore.view_payload" in page
    for text in ("failed@example.com", "relay is away", "/srv/shop/mail.py"):
        assert text not in page
    listed = reader.get(jobs("failed")).content.decode()
    assert "failed-1" in listed
    assert "relay is away" not in listed
    assert '<select name="action"' not in listed
    assert admin.get(f"{JOBS}default_2Femails_2Fnone/change/").status_code == 302


@pytest.mark.parametrize("action", ACTIONS)
def test_who_may_not_sees_no_action_and_is_refused_on_record(
    person: Person, emails: Queue, action: str
) -> None:
    reader = staff(person("view", "view_payload", "view_audit"))
    assert 'name="action"' not in reader.get(QUEUES).content.decode()
    before = emails.get_job_counts()
    for more in ({"index": "0"}, {"confirm": "yes", "token": "x", "typed": "emails"}):
        sent = {"action": action, "_selected_action": [EMAILS], "reason": "", **more}
        assert reader.post(QUEUES, sent).status_code == 403
    assert emails.get_job_counts() == before
    assert not emails.is_paused()
    assert not Operation.objects.exists()
    assert not LogEntry.objects.exists()
    assert {one[1:] for one in records()} == {("emails", "", "denied")}


@pytest.mark.parametrize("action", ["retry", "promote", "remove"])
def test_who_may_not_act_on_jobs_is_refused_on_record(
    person: Person, emails: Queue, action: str
) -> None:
    other = {"retry": "promote", "promote": "remove", "remove": "retry"}[action]
    client = staff(person("view", other))
    page = client.get(jobs("failed")).content.decode()
    assert f'value="{other}"' in page
    assert f'value="{action}"' not in page
    key = key_of("default", "emails", "failed-1")
    sent = {"action": action, "_selected_action": [key], "index": "0"}
    assert client.post(jobs("failed"), sent).status_code == 403
    assert state_of(emails, "failed-1") == "failed"
    assert records() == [(action, "emails", "failed-1", "denied")]


def test_scopes_hold(person: Person, emails: Queue) -> None:
    Queue("mail-eu").add("n")
    client = staff(person("view", "pause_queue", "retry", "bulk", scope=("mail-*",)))
    page = client.get(QUEUES).content.decode()
    assert "mail-eu" in page
    assert "emails" not in page
    assert client.get(f"{QUEUES}default_2Femails/change/").status_code == 302
    assert client.get(f"{JOBS}default_2Femails_2Ffailed-1/change/").status_code == 302
    assert "_selected_action" not in client.get(jobs("failed")).content.decode()
    ask(client, QUEUES, "pause", EMAILS)
    answer = {"action": "pause", "_selected_action": [EMAILS], "confirm": "1", "token": "x"}
    client.post(QUEUES, answer)
    assert not emails.is_paused()
    key = key_of("default", "emails", "failed-1")
    ask(client, jobs("failed", "mail-eu"), "retry", key)
    assert state_of(emails, "failed-1") == "failed"


def test_nobody_changes_anything_while_it_is_read_only(
    admin: Client, emails: Queue, settings: Settings
) -> None:
    settings.QUEUECORE = settings.QUEUECORE | {"DASHBOARD": {"READ_ONLY": True, "COLLECT": False}}
    assert 'name="action"' not in admin.get(QUEUES).content.decode()
    assert ask(admin, QUEUES, "pause", EMAILS).status_code == 403
    assert not emails.is_paused()


def test_what_strangers_call_things_is_shown_and_acted_upon(
    admin: Client, server: Server, redis_client: redis.Redis
) -> None:
    for name in NAMES:
        queue = Queue.existing(name)
        queue.add("<script>alert(1)</script>", {"a": "<b>\u202e"})
        job_id = f"{name} / \"'<1>"
        redis_client.hset(f"bull:{name}:{job_id}", mapping={"name": "n", "data": "{", "opts": "{}"})
        redis_client.zadd(f"bull:{name}:failed", {job_id: 1})
        key = key_of("default", name, job_id)
        assert parts_of(key, 3) == ("default", name, job_id)
        page = admin.get(f"{QUEUES}?q={name[:1]}").content.decode()
        assert "<script>alert" not in page
        listed = admin.get(JOBS, {"queue": key_of("default", name), "state": "failed"})
        link = re.search(
            r'href="(/admin/queuecore/job/[^"]+/change/[^"]*)"', listed.content.decode()
        )
        assert link, visible(name)
        shown = admin.get(link[1].replace("&amp;", "&"))
        assert shown.status_code == 200
        assert "\u202e" not in shown.content.decode()
        do(admin, QUEUES, "pause", key_of("default", name))
        assert queue.is_paused()


def test_a_server_that_is_away_is_told_of(
    admin: Client, emails: Queue, settings: Settings, tmp_path: Any
) -> None:
    settings.QUEUECORE = settings.QUEUECORE | {
        "CONNECTIONS": settings.QUEUECORE["CONNECTIONS"]
        | {"other": {"URL": f"unix://{tmp_path}/nobody"}},
    }
    page = admin.get(QUEUES).content.decode()
    assert "Redis cannot be reached on the connection other" in page
    assert ">emails</a>" in page  # the other connection's are there
    assert "?connection=other" in page
    away = key_of("other", "emails")
    assert admin.get(f"{QUEUES}other_2Femails/change/").status_code == 200
    assert admin.get(f"{JOBS}other_2Femails_2F1/change/").status_code == 200
    sent = ask(admin, QUEUES, "drain", away)  # its form was open when the server went
    assert sent.status_code == 302
    assert "is to be found" in admin.get(QUEUES).content.decode()
    key = key_of("other", "emails", "failed-1")
    assert ask(admin, f"{JOBS}?queue=other%2Femails&state=failed", "retry", key).status_code == 302
    listed = admin.get(JOBS, {"queue": away, "state": "failed"})
    assert "Redis cannot be reached" in listed.content.decode()


def test_it_works_in_requests_that_are_transactions(
    admin: Client, emails: Queue, settings: Settings
) -> None:
    from django.db import connection

    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        assert "Paused 1 queue." in do(admin, QUEUES, "pause", EMAILS).content.decode()
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert emails.is_paused()


def test_times_are_told_without_time_zones_too(
    admin: Client, emails: Queue, settings: Settings
) -> None:
    settings.USE_TZ = False
    settings.TIME_ZONE = "Asia/Tokyo"
    assert "failed-1" in admin.get(jobs("failed")).content.decode()
    assert admin.get(f"{JOBS}default_2Femails_2Ffailed-1/change/").status_code == 200


def test_a_site_of_the_projects_own_has_it_too(
    admin: Client, emails: Queue, settings: Settings
) -> None:
    site = AdminSite(name="ops")
    register(site)
    mounted = ModuleType("mounted")
    mounted.urlpatterns = [path("ops/", site.urls)]  # type: ignore[attr-defined]
    settings.ROOT_URLCONF = mounted
    listed = admin.get("/ops/queuecore/queue/").content.decode()
    assert 'href="/ops/queuecore/job/?queue=default%2Femails&amp;state=failed"' in listed
    page = admin.get("/ops/queuecore/queue/default_2Femails/change/").content.decode()
    assert "On the dashboard" not in page  # it is not mounted
    key = key_of("default", "emails", "failed-1")
    path_of = jobs("failed").replace("/admin/", "/ops/")
    assert "Retried 1 job." in do(admin, path_of, "retry", key).content.decode()


def test_children_out_of_reach_keep_their_parent(person: Person, server: Server) -> None:
    child = FlowJob("c", queue="orders")
    FlowProducer().add(FlowJob("n", queue="mail-eu", job_id="top", children=[child]))
    client = staff(person("view", "remove", scope=("mail-*",)))
    listed = jobs("waiting-children", "mail-eu")
    page = do(client, listed, "remove", key_of("default", "mail-eu", "top")).content.decode()
    assert "Children of the job, which go with it" in page
    assert Queue("mail-eu").get_job("top") is not None


def test_rows_of_the_outbox_are_shown_and_tried_again(
    admin: Client, person: Person, emails: Queue
) -> None:
    row = OutboxEntry.objects.create(
        connection="default", queue="emails", job_id="o-1", name="late", version=1, timestamp=1,
        data='{"password": "hunter2", "to": "ada"}', options="{}", created_at=timezone.now(),
        failed_at=timezone.now(), error="InvalidOption: no", tries=5,
    )  # fmt: skip
    at = "/admin/queuecore/outboxentry/"
    assert "InvalidOption: no" in admin.get(f"{at}?aside=1").content.decode()
    one = admin.get(f"{at}{row.pk}/change/").content.decode()
    assert "ada" in one
    assert "hunter2" not in one
    reader = staff(person("view", scope=("orders",)))
    assert "o-1" not in reader.get(at).content.decode()
    assert "Done to 1 job." in do(admin, at, "retry", str(row.pk)).content.decode()
    row.refresh_from_db()
    assert (row.failed_at, row.tries) == (None, 0)
    assert records()[0] == ("retry_outbox", "emails", '["o-1"]', "done")
    assert ask(admin, at, "remove", str(row.pk)).status_code == 302  # it is not set aside


def test_operations_are_steered(admin: Client, person: Person, emails: Queue) -> None:
    do(admin, QUEUES, "retry_failed", EMAILS)
    made = Operation.objects.get()
    at = "/admin/queuecore/operation/"
    assert "Done to 1 operation." in do(admin, at, "pause_operation", str(made.pk)).content.decode()
    made.refresh_from_db()
    assert made.status == "paused"
    assert records()[0] == ("pause_operation", "emails", str(made.pk), "done")
    reader = staff(person("view"))
    assert ask(reader, at, "abort_operation", str(made.pk)).status_code == 403
    page = do(admin, at, "abort_operation", str(made.pk)).content.decode()
    assert "Done to 1 operation." in page
    again = do(admin, at, "resume_operation", str(made.pk)).content.decode()
    assert "not in a state in which that can be done" in again
    made.refresh_from_db()
    assert made.status == "aborted"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_jobs_cost_as_much_as_ten(
    admin: Client, server: Server, redis_client: redis.Redis
) -> None:
    """By what the server is asked: the same commands, and no range longer than a page."""
    for name, count in (("short", 300), ("million", 1_000_000)):
        keys = [f"bull:{name}:{kind}" for kind in ("wait", "failed")]
        redis_client.hset(f"bull:{name}:meta", "version", "bullmq:6.7.0")
        for start in range(0, count, 20_000):
            ids = range(start, min(start + 20_000, count))
            pipe = redis_client.pipeline(transaction=False)
            pipe.lpush(keys[0], *ids)
            pipe.zadd(keys[1], {f"f{one}": one for one in ids})
            for one in ids:
                pipe.hset(f"bull:{name}:{one}", mapping={"name": "n", "data": "{}"})
                pipe.hset(f"bull:{name}:f{one}", mapping={"name": "n", "failedReason": "no"})
            pipe.execute()
    for state in ("waiting", "failed"):
        asked = {}
        for name, last in (("short", 3), ("million", 10_000)):
            for page in (1, last):
                admin.get(f"{jobs(state, name)}&p={page}")  # scripts and queues are known then
                redis_client.config_resetstat()
                begin = time.perf_counter()
                shown = admin.get(f"{jobs(state, name)}&p={page}").content.decode()
                print(state, name, page, f"{time.perf_counter() - begin:.3f} s")
                assert shown.count('name="_selected_action"') == 100
                stats = redis_client.info("commandstats")
                asked[name, page] = {
                    command: (value["calls"], value["usec"]) for command, value in stats.items()
                }
        calls = {
            where: {name: one for name, (one, _usec) in found.items() if "config" not in name}
            for where, found in asked.items()
        }
        assert calls["million", 1] == calls["short", 1]
        assert calls["million", 10_000] == calls["short", 3]
        assert not {"cmdstat_scan", "cmdstat_keys"} & calls["million", 1].keys()
        print({where: sum(usec for _, usec in one.values()) for where, one in asked.items()})
