"""Workers: who is shown, in which words, and who may order them about."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import redis
from django.test import Client

from dashboard.live.fragments import fragments
from dashboard.live.state import LiveState, Topic, Viewer, facts_of
from queuecore import Queue, access
from queuecore.models import AuditEntry
from tests.dashboard import fleet
from tests.dashboard.hostile import CORPUS, PageReader, assert_harmless
from tests.dashboard.test_actions import recorded, said, token_of
from tests.servers import Server

Person = Callable[..., Client]
A, B = fleet.WORKER, "b" * 32
SEEN = "seen:2:1790000000000"
KEYS = {one: f"default:{one}" for one in (A, B)}


def text_of(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status
    return answer.content.decode()


def plain(markup: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup))


def polled(client: Client, topic: str, *ids: str) -> dict[str, str]:
    answer = client.get("/live/poll/", {"topic": topic, "id": ids}).json()
    return {one["id"]: one.get("html", one.get("text", "")) for one in answer.get("patches", ())}


@pytest.fixture
def crew(server: Server, redis_client: redis.Redis) -> redis.Redis:
    """One process that works ``emails`` and ``orders``."""
    Queue("emails").add("x")
    Queue("orders").add("x")
    fleet.process(
        redis_client, fleet.worker(A, "emails"), fleet.worker(B, "orders", busy=0, jobs=[])
    )
    return redis_client


def test_the_fleet(admin: Client, crew: redis.Redis) -> None:
    page = plain(text_of(admin, "/workers/"))
    assert "2 workers in 1 process on 1 host · 1 of 20 busy" in page
    for words in (
        "web-1 1 process", "Process 4711", "OK heard", "Memory 88.0 MB", "CPU 25.0 %",
        "Loop lag 3 ms", "QueueCore 0.1.0 · Python 3.12.4 · Django 6.0", "1 of 10", "Running",
    ):  # fmt: skip
        assert words in page, words
    assert f'href="/workers/{A}/"' in text_of(admin, "/workers/")
    assert 'href="/queues/emails/jobs/active-1/"' in text_of(admin, "/workers/")
    assert "No worker" not in page
    found = plain(text_of(admin, "/workers/?q=ord"))
    assert "orders" in found
    assert "1 of 10" not in found
    assert "No worker matches" in text_of(admin, "/workers/?q=nothing")


@pytest.mark.parametrize(("age", "word"), [(0, "OK"), (15, "Late"), (40, "Lost")])
def test_heartbeats_in_words(admin: Client, redis_client: redis.Redis, age: int, word: str) -> None:
    fleet.process(redis_client, age=age)
    page = plain(text_of(admin, "/workers/"))
    assert f"{word} heard" in page
    assert ("Running" in page) is (word != "Lost"), "what a lost worker last said is not believed"


def test_nobody_works(admin: Client, server: Server) -> None:
    page = text_of(admin, "/workers/")
    assert "No worker of this project is running" in page
    assert "None is connected." in page
    assert text_of(admin, f"/workers/{A}/", 404)
    assert text_of(admin, "/workers/meta/", 404)


def test_unknown_is_not_none(admin: Client, crew: redis.Redis) -> None:
    """A server that keeps its clients secret."""
    crew.execute_command("ACL", "SETUSER", "default", "-client|list")
    try:
        page = text_of(admin, "/workers/")
    finally:
        crew.execute_command("ACL", "SETUSER", "default", "+client|list")
    assert "Unknown: the server does not let the dashboard list its clients." in page
    assert "None is connected." not in page


def test_what_was_not_read_yet_is_not_told(crew: redis.Redis) -> None:
    """A socket opens before the fleet is read: no page may say meanwhile that nobody works."""
    viewer = Viewer(access.Scope(), payload=True, language="en", mount="/")
    assert fragments(LiveState(), Topic("workers"), viewer, [KEYS[A], SEEN]) == {}
    assert fragments(LiveState(), Topic("worker", "default", id=A), viewer) == {}


def test_peers_are_listed_and_ours_are_not_a_second_time(
    admin: Client, crew: redis.Redis, server: Server
) -> None:
    with server.client() as node, server.client() as ours:
        node.client_setname("bull:ZW1haWxz:w:blue-7")
        node.client_setinfo("LIB-NAME", "ioredis")
        ours.client_setname("bull:ZW1haWxz")
        fleet.process(crew, fleet.worker(client=ours.client_id()))
        peers = polled(admin, "workers")["workers-peers"]
        assert plain(peers).split()[:4] == ["blue-7", "emails", "nothing", "Node"]
        assert peers.count("<tr>") == 1


def test_what_can_be_known_of_a_peer(
    admin: Client, emails: Queue, redis_client: redis.Redis, server: Server
) -> None:
    """The jobs that it holds, by its name or because it is alone; else how many they share."""
    uuid = "6b1f0c0e-1111-4222-8333-444455556666"
    for number, name in enumerate(("alone", "second", "third"), 5):
        redis_client.lpush("bull:emails:active", str(number))
        redis_client.hset(f"bull:emails:{number}", mapping={"name": name, "processedOn": "1"})
        redis_client.set(f"bull:emails:{number}:lock", f"{uuid}:{number}")
    redis_client.set("bull:emails:active-1:lock", f"{A}:1")  # our own worker's

    def rows() -> list[str]:
        markup = polled(admin, "workers")["workers-peers"]
        return [plain(one).strip() for one in markup.split("<tr>")[1:]]

    with server.client() as one, server.client() as other:
        one.client_setname("bull:ZW1haWxz")
        one.client_setinfo("LIB-NAME", "ioredis")
        one.client_setinfo("LIB-VER", "5.9.0")
        (row,) = rows()
        assert row.startswith("unnamed emails alone")
        assert "+1 more Node ioredis 5.9.0" in row
        facts_of("default")._until["workers"] = 0
        other.client_setname("bull:ZW1haWxz:w:blue-7")
        redis_client.hset("bull:emails:7", "pb", "blue-7")
        first, second = rows()
        assert first.startswith("unnamed emails alone")
        assert "third" not in first
        assert second.startswith("blue-7 emails third")
        facts_of("default")._until["workers"] = 0
        other.client_setname("bull:ZW1haWxz")
        assert all("3 jobs of its queue run on these workers" in row for row in rows())


def test_a_fleet_that_was_replaced(admin: Client, crew: redis.Redis) -> None:
    page = text_of(admin, "/workers/")
    assert f'data-live-id="{SEEN}"' in page
    crew.delete(f"qc:bull::worker:{fleet.PROCESS}")
    crew.zrem("qc:bull::workers", fleet.PROCESS)
    new = [fleet.worker("c" * 32, "emails"), fleet.worker("d" * 32, "orders")]
    fleet.process(crew, *new, id="9" * 32, pid=4800, started=1_790_000_600_000)
    after = polled(admin, "workers", *KEYS.values(), SEEN)
    assert after["workers-newer"] == "+2 new"
    assert after["workers-crowd"].startswith("2 workers in 1 process on 1 host")
    for one in (A, B):
        assert "Ended" in after[f"w~~default~~{one}~~state"]
    page = plain(text_of(admin, "/workers/"))
    assert "Process 4800" in page
    assert "4711" not in page


def test_jobs_without_a_lock(admin: Client, emails: Queue, redis_client: redis.Redis) -> None:
    assert "every active job is held by a worker" in text_of(admin, "/workers/")
    redis_client.delete("bull:emails:active-1:lock")
    shown = text_of(admin, "/workers/")
    lost = shown[shown.index('id="workers-lost"') :]
    assert 'href="/queues/emails/jobs/active-1/"' in lost


def test_one_worker(admin: Client, crew: redis.Redis) -> None:
    minutes = [
        {"at": 1_790_000_000_000 + n * 60_000, "memory": 1, "cpu": 0.5, "lag": 700,
         "workers": {A: [1234, 5, 6]}}
        for n in range(3)
    ]  # fmt: skip
    crew.set(f"qc:bull::worker:{fleet.PROCESS}:recent", json.dumps(minutes))
    markup = text_of(admin, f"/workers/{A}/")
    page = plain(markup)
    for words in ("emails aaaaaaaa", "Running", "Host web-1", "Process 4711", "of 10", "1,234"):
        assert words in page, words
    assert markup.count("<polyline") == 6
    assert 'href="/queues/emails/jobs/active-1/"' in markup
    assert "700" in page


def test_a_worker_that_ends_while_the_page_is_open(admin: Client, crew: redis.Redis) -> None:
    before = polled(admin, "workers", KEYS[A], SEEN)
    assert "Running" in before[f"w~~default~~{A}~~state"]
    assert before["workers-newer"] == ""
    assert polled(admin, "workers", SEEN.replace("2", "1", 1))["workers-newer"] == "+1 new"
    crew.delete(f"qc:bull::worker:{fleet.PROCESS}")
    after = polled(admin, "workers", KEYS[A], SEEN)
    assert "Ended" in after[f"w~~default~~{A}~~state"]
    assert 'data-state="gone"' in after[f"w~~default~~{A}~~state"]
    assert "Ended" in polled(admin, f"worker:default:{A}")["worker-state"]


def test_who_has_a_scope_sees_and_orders_the_workers_of_its_queues_alone(
    person: Person, crew: redis.Redis
) -> None:
    client = person("view", "manage_workers", scope=("emails",))
    page = plain(text_of(client, "/workers/"))
    assert "1 worker in 1 process" in page
    assert "orders" not in page.replace("orders/", "")
    text_of(client, f"/workers/{B}/", 404)
    assert polled(client, f"worker:default:{B}").keys() == {"worker-state"}
    assert KEYS[B] not in str(polled(client, "workers", KEYS[B]).get("workers-crowd"))
    # The whole process, and the hidden worker by its id: only the visible one is meant.
    asked = client.get("/workers/confirm/drain/", {"process": f"default:{fleet.PROCESS}"})
    assert "Drain and stop a worker of emails" in asked.content.decode()
    both = client.post("/workers/order/drain/", {"id": [KEYS[A], KEYS[B]]})
    assert "Drain and stop a worker of emails" in both.content.decode()
    client.post("/workers/order/drain/", {"id": KEYS[A], "token": token_of(both)})
    assert fleet.orders(crew) == [("drain", [A])]
    gone = client.get("/workers/confirm/pause/", {"id": KEYS[B]})
    assert "None of these workers is there any more." in gone.content.decode()


@pytest.mark.parametrize(
    ("verb", "words"),
    [
        ("pause", "Asked 2 workers to pause."),
        ("resume", "Asked 2 workers to go on."),
        ("drain", "Asked 2 workers to drain and stop."),
    ],
)
def test_an_order_is_confirmed_given_and_recorded(
    admin: Client, crew: redis.Redis, verb: str, words: str
) -> None:
    path, form = f"/workers/order/{verb}/", {"id": [KEYS[A], KEYS[B]]}
    asked = admin.post(path, form)
    assert asked.status_code == 200
    assert fleet.orders(crew) == []
    assert not AuditEntry.objects.exists()
    ids = re.findall(r'name="id" value="([^"]+)"', asked.content.decode())
    sent = {"id": ids, "token": token_of(asked), "reason": "a deploy", "next": "/workers/"}
    answer = admin.post(path, sent)
    assert (answer.status_code, answer["Location"]) == (302, "/workers/")
    assert sorted(fleet.orders(crew)) == [(verb, [A]), (verb, [B])]
    assert words in said(admin)
    rows = [("ada", f"{verb}_worker", queue, one, "done") for queue, one in
            (("emails", A), ("orders", B))]  # fmt: skip
    assert recorded() == rows
    entry = AuditEntry.objects.filter(phase="intent").order_by("number").first()
    assert entry.reason == "a deploy"
    assert json.loads(entry.params)["workers"] == [{"id": A, "host": "web-1", "pid": 4711}]
    # A second click, and another choice with the same token.
    admin.post(path, sent)
    assert "done already" in said(admin)
    assert admin.post(path, sent | {"id": ids[:1]}).status_code == 200
    assert len(fleet.orders(crew)) == 2


def test_an_order_to_all_workers_of_a_process(admin: Client, crew: redis.Redis) -> None:
    whole = {"process": f"default:{fleet.PROCESS}"}
    asked = admin.get("/workers/confirm/pause/", whole).content.decode()
    assert "Pause 2 workers" in asked
    assert set(re.findall(r'name="id" value="([^"]+)"', asked)) == set(KEYS.values())


def test_a_lost_worker_gets_no_order(admin: Client, redis_client: redis.Redis) -> None:
    fleet.process(redis_client, age=60)
    asked = admin.get("/workers/confirm/pause/", {"id": KEYS[A]}).content.decode()
    assert "has not been heard of for too long" in asked
    assert "disabled" in asked
    fleet.process(redis_client)
    token = token_of(admin.post("/workers/order/pause/", {"id": KEYS[A]}))
    fleet.process(redis_client, age=60)
    admin.post("/workers/order/pause/", {"id": KEYS[A], "token": token})
    assert fleet.orders(redis_client) == []
    assert "was not there any more" in said(admin)


def test_whoever_may_not_is_refused_on_record(person: Person, crew: redis.Redis) -> None:
    client = person("view")
    assert "confirm/pause" not in text_of(client, "/workers/")
    answer = client.post("/workers/order/drain/", {"id": KEYS[A]})
    assert answer.status_code == 403
    assert "queuecore.manage_workers" in answer.content.decode()
    assert [(row[0], row[1], row[4]) for row in recorded()] == [("olga", "drain_worker", "denied")]
    assert fleet.orders(crew) == []


def test_a_right_that_is_taken_meanwhile(person: Person, crew: redis.Redis, settings: Any) -> None:
    client = person("view", "manage_workers")
    token = token_of(client.post("/workers/order/pause/", {"id": KEYS[A]}))
    settings.QUEUECORE = settings.QUEUECORE | {"DASHBOARD": {"READ_ONLY": True, "COLLECT": False}}
    answer = client.post("/workers/order/pause/", {"id": KEYS[A], "token": token})
    assert answer.status_code == 403
    assert recorded() == [("olga", "pause_worker", "emails", A, "denied")]
    assert fleet.orders(crew) == []


def test_orders_that_there_are_none_of(admin: Client, crew: redis.Redis) -> None:
    assert admin.get("/workers/confirm/kill/", {"id": KEYS[A]}).status_code == 404
    assert admin.post("/workers/order/kill/", {"id": KEYS[A]}).status_code == 404
    for ids in (["x"], ["default:"], [f"other:{A}"], ["\x00"], ["a" * 5000] * 200):
        answer = admin.post("/workers/order/pause/", {"id": ids})
        assert "None of these workers is there any more." in answer.content.decode()


@pytest.mark.parametrize("name", CORPUS[::7])  # all of it: test_hostile.py
def test_hostile_records_stay_texts(
    name: str, admin: Client, server: Server, redis_client: redis.Redis
) -> None:
    mine = fleet.worker(
        A, name, name=name, state=name, jobs=[[name, name, 1_790_000_000_000], [name, name, name]]
    )
    facts = {"host": name, "queuecore": name, "python": name, "django": name, "pid": name}
    fleet.process(redis_client, mine, **facts)
    with server.client() as node:
        encoded = "bull:ZW1haWxz:w:" + re.sub(r"[^!-~]", "_", name)[:100]
        node.client_setname(encoded)
        paths = ["/workers/", f"/workers/{A}/", f"/workers/confirm/drain/?id={KEYS[A]}"]
        for path in paths:
            reader = PageReader()
            reader.feed(text_of(admin, path))
            assert reader.bad == [], path
        for topic, ids in (("workers", [KEYS[A]]), (f"worker:default:{A}", [])):
            for markup in polled(admin, topic, *ids).values():
                assert_harmless(markup)


def test_a_large_fleet_is_shown_in_pages(admin: Client, redis_client: redis.Redis) -> None:
    many = [fleet.worker(f"{n:032x}", f"q{n:03}") for n in range(200)]
    fleet.process(redis_client, *many)
    first = text_of(admin, "/workers/")
    assert first.count("data-row") == 90
    assert "1–90 of 200" in plain(first)
    last = text_of(admin, "/workers/?page=3")
    assert last.count("data-row") == 20
    assert len(re.findall(r'data-live-id="default:', first)) <= 99


def test_workers_of_another_connection(
    admin: Client, crew: redis.Redis, server: Server, settings: Any
) -> None:
    """Beside those of the default one, each said to be of which; orders go where they work."""
    other = {"URL": server.url, "PREFIX": "second"}
    connections = settings.QUEUECORE["CONNECTIONS"] | {"other": other}
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": connections}
    mine = fleet.worker("c" * 32, "emails")
    fleet.process(crew, mine, id="d" * 32, prefix="second", pid=4712)
    page = plain(text_of(admin, "/workers/"))
    assert "3 workers in 2 processes on 1 host" in page
    assert "Process 4712 other" in page
    assert "c" * 32 in text_of(admin, f"/@other/workers/{'c' * 32}/")
    text_of(admin, f"/workers/{'c' * 32}/", 404)
    key = f"other:{'c' * 32}"
    token = token_of(admin.post("/workers/order/pause/", {"id": key}))
    admin.post("/workers/order/pause/", {"id": key, "token": token})
    assert crew.llen(f"qc:second::worker:{'d' * 32}:orders") == 1
    assert fleet.orders(crew) == []
    assert recorded() == [("ada", "pause_worker", "emails", "c" * 32, "done")]


def test_the_server_is_away(admin: Client, crew: redis.Redis, server: Server) -> None:
    server.stop()
    try:
        page = text_of(admin, "/workers/", 503)
        assert "The server is away" in page
        assert "No worker of this project" not in page
        assert admin.get(f"/workers/{A}/").status_code == 503
    finally:
        server.start()
