"""The System page: a server's facts and who sees them; checks and repairs of queues, on record."""

import html
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.test import Client

from dashboard.draw import system_cells
from dashboard.live.fragments import fragments
from dashboard.live.state import Topic, Viewer, read
from dashboard.plans import repairs
from queuecore import Queue, history, vitals
from queuecore.access import Scope
from queuecore.models import AuditEntry
from queuecore.vitals import Vitals
from queuecore.wire.readings import server as read_info
from tests.dashboard import hostile
from tests.machine import ROOT
from tests.servers import Server

Person = Callable[..., Client]


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    vitals._memories.clear()


def bare(answer: Any) -> str:
    page = answer if isinstance(answer, str) else answer.content.decode()
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", page).split()))


def vital(info: str = "", **fields: Any) -> Vitals:
    """Vitals whose INFO says *info*, else a server that is well."""
    well = {
        "role": "master",
        "maxmemory_policy": "noeviction",
        "aof_enabled": "1",
        "used_memory": "1000000",
    } | dict(line.split(":", 1) for line in info.split())
    text = "\r\n".join(f"{name}:{value}" for name, value in well.items())
    given = {
        "alias": "default",
        "info": read_info(text.encode(), 0.1),
        "settings": {},
        "slow": [],
        "latency_ms": 0.1,
        "collecting": True,
        "memory": {},
    } | fields
    return Vitals(**given)


def judged(found: Vitals, lag_s: float | None = 1.0) -> str:
    return " ".join(
        f"[{one.level}] {one.what} {one.why}" for one in system_cells.judge(found, lag_s)
    )


def test_a_server_that_is_well_gets_no_remarks() -> None:
    assert judged(vital()) == ""


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ("maxmemory_policy:allkeys-lru", "[bad] The eviction policy is allkeys-lru."),
        ("evicted_keys:12", "[bad] 12 keys were evicted since the start."),
        ("maxmemory:1050000", "[bad] Memory is 95 % full."),
        ("maxmemory:1250000", "[warn] Memory is 80 % full."),
        ("total_system_memory:1050000", "[bad] Memory is 95 % full."),
        ("used_memory:200000000 mem_fragmentation_ratio:2.5", "[warn] Memory is fragmented"),
        ("loading:1", "[bad] The server is loading"),
        ("rdb_last_bgsave_status:err", "[bad] The last snapshot failed."),
        ("aof_last_write_status:err", "[bad] The append-only file could not be written."),
        ("aof_enabled:0 rdb_changes_since_last_save:7", "[warn] There are snapshots only"),
        ("role:slave master_link_status:down", "[bad] This server is a replica."),
        ("role:slave master_link_status:down", "[bad] It has lost its primary."),
        (
            "connected_slaves:1 slave0:ip=10.0.0.2,port=1,state=online,lag=40",
            "[warn] The replica 10.0.0.2:1 is behind.",
        ),
        ("connected_clients:95 maxclients:100", "[bad] Nearly all of the 100 connections"),
        ("rejected_connections:1", "[warn] 1 connection was refused"),
    ],
)
def test_what_is_wrong_with_a_server_is_said(info: str, said: str) -> None:
    assert said in judged(vital(info))


def test_what_else_may_be_wrong() -> None:
    assert "[bad] Nothing is persisted." in judged(vital("aof_enabled:0", settings={"save": ""}))
    assert "[warn] The append-only file is never" in judged(vital(settings={"appendfsync": "no"}))
    assert "[warn] A round trip takes 80 ms." in judged(vital(latency_ms=80.0))
    assert "[warn] Nobody collects history." in judged(vital(collecting=False))
    assert "[warn] History is 40.0 s behind." in judged(vital(), 40.0)
    silent = Vitals("default", None, {}, None, 0.1, True, None)
    assert judged(silent).startswith("[info] The server does not say")


def test_the_page_shows_the_server(admin: Client, emails: Queue, redis_client: redis.Redis) -> None:
    redis_client.config_set("slowlog-log-slower-than", 0)
    emails.add("x", {"secret": "hunter2"})
    redis_client.config_set("slowlog-log-slower-than", 10_000)
    answer = admin.get("/system/")
    page = bare(answer)
    for text in (
        "Commands per second",
        "noeviction",
        "Nothing is persisted.",
        "Nobody collects history.",
        "add_jobs",
        "emails",
        "Open sockets",
        "QueueCore",
        "primary",
    ):
        assert text in page, text
    assert "hunter2" not in answer.content.decode()
    assert 'aria-current="page"' in answer.content.decode().partition('href="/system/"')[2][:60]


def test_a_collector_is_seen(admin: Client, emails: Queue) -> None:
    import asyncio

    asyncio.run(history.Collector("default").tick())
    assert "Nobody collects history." not in bare(admin.get("/system/"))


def test_a_server_that_forbids_questions_is_unknown_and_no_error(
    admin: Client, emails: Queue, redis_client: redis.Redis, server: Server, settings: Any
) -> None:
    redis_client.execute_command(
        *("ACL", "SETUSER", "poor", "on", ">pw", "~*", "&*", "+@all"),
        *("-info", "-config", "-slowlog", "-memory", "-client"),
    )
    url = server.url.replace("unix://", "unix://poor:pw@")
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": {"default": {"URL": url}}}
    answer = admin.get("/system/")
    assert answer.status_code == 200
    page = bare(answer)
    assert "The server does not say how it does." in page
    assert "Unknown: the server's user may not call SLOWLOG." in page
    assert "Unknown: the server's user may not call MEMORY." in page
    assert page.count("unknown") > 10


def test_the_rights_that_the_documents_name_suffice(
    admin: Client, emails: Queue, redis_client: redis.Redis, server: Server, settings: Any
) -> None:
    text = (ROOT / "docs" / "howto" / "production.md").read_text()
    (line,) = re.findall(r"^ACL SETUSER queuecore (.*)$", text, re.MULTILINE)
    (more,) = re.findall(r"`(\+slowlog[^`]*)`", text)
    damage(redis_client)
    redis_client.execute_command("ACL", "SETUSER", "queuecore", *line.split())
    url = server.url.replace("unix://", "unix://queuecore:a-long-password@")
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": {"default": {"URL": url}}}
    page = bare(admin.get("/system/"))
    assert "may not call SLOWLOG" in page
    assert "may not call MEMORY" not in page
    assert "noeviction" in page
    asked = admin.get("/system/confirm/repair/")
    admin.post("/system/repair/", {"token": token_of(asked), "queue": "", "kind": ""})
    assert not redis_client.exists("bull:emails:failed-1:lock")
    redis_client.execute_command("ACL", "SETUSER", "queuecore", *more.split())
    assert "may not call SLOWLOG" not in bare(admin.get("/system/"))


def test_server_facts_are_for_those_who_see_every_queue(person: Person, emails: Queue) -> None:
    Queue("orders").add("x")
    client = person("view", "clean_queue", scope=("emails",))
    page = bare(client.get("/system/"))
    assert "The server is not shown to you" in page
    assert "Check 1 queue" in page
    assert "noeviction" not in page
    assert "orders" not in page
    answer = client.get("/live/poll/", {"topic": "system:default"}).json()
    assert answer == {"topic": "system:default", "gone": True}
    seen = Viewer(Scope((("*", "emails"),)), payload=False, language="en", mount="/")
    topic = Topic("system", "default")
    assert fragments(read(topic), topic, seen) == {}


def test_each_connection_has_a_page_of_its_own(
    admin: Client, emails: Queue, server: Server, settings: Any
) -> None:
    settings.QUEUECORE = settings.QUEUECORE | {
        "CONNECTIONS": {
            "default": {"URL": server.url},
            "second": {"URL": server.url, "PREFIX": "other"},
        }
    }
    Queue("orders", connection="second").add("x")
    page = admin.get("/@second/system/").content.decode()
    sizes = bare(page.partition('id="sys-queues"')[2].partition("</tbody>")[0])
    assert "orders" in sizes
    assert "emails" not in sizes
    assert 'href="/@second/system/" aria-current="true"' in page
    assert 'href="/@second/system/integrity/"' in page
    assert "Looked at 1 places of jobs" in bare(admin.get("/@second/system/integrity/"))
    assert admin.get("/@default/system/").status_code == 404
    assert admin.get("/@third/system/").status_code == 404
    shown = admin.get("/live/poll/", {"topic": "system:second"}).json()
    assert any("orders" in one.get("html", "") for one in shown["patches"])


def test_the_live_topic_brings_the_same_as_the_page(admin: Client, emails: Queue) -> None:
    page = admin.get("/system/").content.decode()
    patches = admin.get("/live/poll/", {"topic": "system:default"}).json()["patches"]
    assert len(patches) > 12
    for patch in patches:
        assert f'id="{patch["id"]}"' in page
        hostile.assert_harmless(patch["html"])


def damage(client: redis.Redis, queue: str = "emails") -> None:
    client.rpush(f"bull:{queue}:wait", "ghost-1", "ghost-2")
    client.set(f"bull:{queue}:failed-1:lock", "w:1")
    client.hset(f"bull:{queue}:odd", "timestamp", "1")


def test_a_sound_queue_is_said_to_be(admin: Client, emails: Queue) -> None:
    page = bare(admin.get("/system/integrity/"))
    assert "Everything is sound" in page
    assert "Looked at 6 places of jobs" in page


def test_a_check_names_what_it_finds_and_changes_nothing(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    damage(redis_client)
    answer = admin.get("/system/integrity/")
    page = bare(answer)
    for text in ("Ids without a job 2", "ghost-1", "Locks that nobody needs 1", "failed-1"):
        assert text in page
    assert "Jobs that nobody can place 1" in page
    assert "look at it, and remove it by hand" in page
    main = answer.content.decode().partition("<main")[2].partition("</main>")[0]
    assert main.count("data-dialog") == 3  # two kinds, and all of them
    assert redis_client.exists("bull:emails:failed-1:lock")
    assert not AuditEntry.objects.exists()


def test_a_check_stays_inside_the_scope(
    person: Person, emails: Queue, redis_client: redis.Redis
) -> None:
    Queue("orders").add("x")
    damage(redis_client, "orders")
    client = person("view", "clean_queue", scope=("emails",))
    assert "Everything is sound" in bare(client.get("/system/integrity/"))
    assert client.get("/system/integrity/", {"queue": "orders"}).status_code == 404
    assert client.get("/system/integrity/", {"queue": "nothing"}).status_code == 404
    assert "orders" not in client.get("/system/integrity/").content.decode()
    assert client.get("/system/confirm/repair/", {"queue": "orders"}).status_code in (403, 404)


def token_of(answer: Any) -> str:
    return re.search(r'name="token" value="([^"]*)"', answer.content.decode())[1]


def test_a_repair_asks_with_figures_and_is_on_record_queue_by_queue(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    Queue("orders").add("x")
    damage(redis_client)
    damage(redis_client, "orders")
    asked = admin.get("/system/confirm/repair/")
    page = bare(asked)
    assert "Repair 6 findings" in page
    assert "Ids without a job 4" in page
    given = {"token": token_of(asked), "queue": "", "kind": "", "reason": "after the restore"}
    answer = admin.post("/system/repair/", given, follow=True)
    assert "Repaired 6 findings." in bare(answer)
    assert not redis_client.exists("bull:emails:failed-1:lock", "bull:orders:failed-1:lock")
    assert redis_client.lrange("bull:emails:wait", 0, -1) == ["waiting-1"]
    rows = AuditEntry.objects.order_by("number")
    assert [(one.phase, one.action, one.queue) for one in rows] == [
        ("intent", "repair", "emails"),
        ("result", "repair", "emails"),
        ("intent", "repair", "orders"),
        ("result", "repair", "orders"),
    ]
    assert {one.reason for one in rows} == {"after the restore"}
    assert json.loads(rows[1].result)["repaired"] == {"ghost": 2, "lock": 1}
    # The same form once more does nothing.
    damage(redis_client)
    assert "done already" in bare(admin.post("/system/repair/", given, follow=True))
    assert redis_client.exists("bull:emails:failed-1:lock")


def test_one_kind_in_one_queue(admin: Client, emails: Queue, redis_client: redis.Redis) -> None:
    damage(redis_client)
    choice = {"queue": "emails", "kind": "lock"}
    asked = admin.get("/system/confirm/repair/", choice)
    assert "Repair locks that nobody needs" in bare(asked)
    admin.post("/system/repair/", {"token": token_of(asked), **choice})
    assert not redis_client.exists("bull:emails:failed-1:lock")
    assert "ghost-1" in redis_client.lrange("bull:emails:wait", 0, -1)


def test_a_token_fits_what_it_was_made_for_alone(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    damage(redis_client)
    token = token_of(admin.get("/system/confirm/repair/", {"queue": "emails", "kind": "lock"}))
    for given in ({"kind": "ghost"}, {"kind": ""}, {"kind": "lock", "queue": ""}):
        answer = admin.post("/system/repair/", {"queue": "emails", "token": token} | given)
        assert answer.status_code == 200  # asks again
    assert redis_client.exists("bull:emails:failed-1:lock")
    assert not AuditEntry.objects.exists()


def test_a_right_taken_between_question_and_answer_is_missed(
    person: Person, emails: Queue, redis_client: redis.Redis
) -> None:
    from django.contrib.auth.models import Group

    damage(redis_client)
    client = person("view", "clean_queue")
    token = token_of(client.get("/system/confirm/repair/"))
    Group.objects.get().permissions.remove(
        *Group.objects.get().permissions.filter(codename="clean_queue")
    )
    answer = client.post("/system/repair/", {"token": token, "queue": "", "kind": ""})
    assert answer.status_code == 403
    assert redis_client.exists("bull:emails:failed-1:lock")
    assert AuditEntry.objects.get(phase="result").outcome == "denied"


def test_whoever_may_not_repair_is_on_record(person: Person, emails: Queue) -> None:
    client = person("view")
    assert client.post("/system/repair/", {"queue": "emails"}).status_code == 403
    row = AuditEntry.objects.get(phase="result")
    assert (row.actor, row.action, row.queue, row.outcome) == (
        "olga",
        "repair",
        "emails",
        "denied",
    )


def test_trimming_is_a_repair_of_one_kind(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    redis_client.hset("bull:emails:meta", "opts.maxLenEvents", "10")
    pipe = redis_client.pipeline()
    for _ in range(1_000):
        pipe.xadd("bull:emails:events", {"event": "drained"})
    pipe.execute()
    asked = admin.get("/system/confirm/repair/", {"kind": "events"})
    assert "Event streams over their limit" in bare(asked)
    admin.post("/system/repair/", {"token": token_of(asked), "queue": "", "kind": "events"})
    assert redis_client.xlen("bull:emails:events") <= 210


def test_nothing_to_repair_cannot_be_confirmed(admin: Client, emails: Queue) -> None:
    answer = admin.get("/system/confirm/repair/")
    assert "There is nothing that a repair could put right." in bare(answer)
    assert re.search(r'type="submit" disabled', answer.content.decode())


def test_one_check_at_a_time(admin: Client, emails: Queue) -> None:
    turn = repairs._running.setdefault("default", repairs.threading.Lock())
    with turn:
        assert "Another check is running" in bare(admin.get("/system/integrity/"))
        assert "Another check is running" in bare(admin.get("/system/confirm/repair/"))
    assert "Everything is sound" in bare(admin.get("/system/integrity/"))


def test_hostile_names_on_both_pages(admin: Client, redis_client: redis.Redis) -> None:
    for index, text in enumerate(hostile.CORPUS):
        name = text.replace(":", "_") or "x"
        Queue.existing(name).pause()
        redis_client.rpush(f"bull:{name}:wait", f"{text}-{index}")
        redis_client.set(f"bull:{name}:de:{text}", "gone")
    redis_client.config_set("slowlog-log-slower-than", 0)
    redis_client.slowlog_reset()
    for text in hostile.CORPUS[:15]:
        redis_client.get(text)
        redis_client.eval(f"--[[ {text[:90]} ]] return 1", 1, text)
    redis_client.config_set("slowlog-log-slower-than", 10_000)
    for path in ("/system/", "/system/", "/system/integrity/", "/system/confirm/repair/"):
        answer = admin.get(path)
        assert answer.status_code == 200
        reader = hostile.PageReader()
        reader.feed(answer.content.decode())
        assert not reader.bad, (path, reader.bad)
        text = re.sub(r"<[^>]*>", "", answer.content.decode())
        assert not re.search("[\x07\x1b\x7f\u202e\u2066\u200b]", text)
