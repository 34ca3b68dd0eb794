"""The socket against a real server: who may open it, what it shows, and when it goes away."""

import asyncio
import json
import logging
import time

import pytest
from asgiref.sync import sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.test import Client

from dashboard.asgi import live
from dashboard.live import asgi, consumer, hub, outbox, sources
from dashboard.live import state as state_module
from queuecore import access, inspect
from queuecore.models import QueueScope
from queuecore.wire.connections import get_connection

pytestmark = pytest.mark.django_db(transaction=True)

HOST = "testserver"
ORIGIN = "http://testserver"


async def elsewhere(scope, receive, send):
    """The host's own application."""
    await receive()
    await send({"type": "websocket.close", "code": 4000})


@pytest.fixture
async def application(server):
    yield live(elsewhere)
    await hub.get_hub().close()
    await get_connection().aclose()
    asgi._active = False


def make_user(name="olga", *codenames, scope=()):
    """A user whose group has *codenames*, on the queues of *scope*."""
    user = get_user_model().objects.create_user(name, password="x")
    group = Group.objects.create(name=name)
    user.groups.add(group)
    ours = Permission.objects.filter(content_type__app_label="queuecore")
    group.permissions.add(*ours.filter(codename__in=codenames))
    for pattern in scope:
        QueueScope.objects.create(group=group, pattern=pattern)
    return user


def cookie_of(user):
    client = Client()
    client.force_login(user)
    return client.cookies["sessionid"].value


class Page:
    """A browser's side of one socket: its patches as the page would show them."""

    def __init__(self, application, cookie=None, path="/ws/", origin=ORIGIN, headers=()):
        sent = [(b"host", HOST.encode()), *headers]
        if origin is not None:
            sent.append((b"origin", origin.encode()))
        if cookie:
            sent.append((b"cookie", f"sessionid={cookie}".encode()))
        self.line = WebsocketCommunicator(application, path, headers=sent)
        self.shown = {}
        self.messages = []
        self.code = None
        self.acknowledges = True

    async def open(self):
        accepted, code = await self.line.connect(10)
        self.code = None if accepted else code
        return self

    async def send(self, kind, **fields):
        await self.line.send_to(json.dumps({"type": kind, **fields}))

    async def subscribe(self, topic, *ids):
        await self.send("subscribe", topic=topic, ids=ids)

    async def next(self, seconds=10.0):
        """The next message, or None once the socket was closed."""
        if self.code is not None:
            return None
        raw = await asyncio.wait_for(self.line.output_queue.get(), seconds)
        if raw["type"] == "websocket.close":
            self.code = raw["code"]
            return None
        message = json.loads(raw["text"])
        self.messages.append(message)
        for patch in message.get("patches", ()):
            self.shown[patch["id"]] = patch.get("text", patch.get("html"))
        if "seq" in message and self.acknowledges:
            await self.send("ack", seq=message["seq"])
        return message

    async def until(self, condition, seconds=15.0):
        """Read on until *condition*, of the page, holds."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            assert self.code is None, f"closed with {self.code}"
            await self.next(deadline - time.monotonic())
        return self

    async def closed(self, seconds=15.0):
        """Read on until the socket is closed, and return the code."""
        deadline = time.monotonic() + seconds
        while self.code is None:
            await self.next(deadline - time.monotonic())
        return self.code

    async def silent(self, seconds=0.6):
        """Read for a while and return the patches that came."""
        before = len(self.messages)
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                await self.next(left)
            except TimeoutError:
                break
        return [one for one in self.messages[before:] if "patches" in one]

    async def leave(self):
        await self.line.send_input({"type": "websocket.disconnect", "code": 1001})
        await self.line.wait(10)


@pytest.fixture
async def pages(application):
    """Opens pages, and closes them in the end."""
    opened = []

    async def open_page(user=None, **options):
        cookie = await sync_to_async(cookie_of)(user) if user else None
        page = await Page(application, cookie, **options).open()
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        await page.leave()


@pytest.fixture
def viewer(db):
    return make_user("olga", "view")


@pytest.fixture
def fragments(monkeypatch):
    """Fragments that say just what the state holds, so that these tests know every patch."""

    def plain(state, topic, viewer, ids):
        patches = {}
        for alias, connection in state.connections.items():
            if topic.alias not in ("", alias):
                continue
            for name, queue in connection.queues.items():
                if viewer.allows(alias, name) and topic.queue in ("", name):
                    counts = "/".join(str(count) for count in queue.counts.values())
                    patches[f"{alias}:{name}"] = hub.Patch(text=counts)
            for (queue, job_id), row in connection.rows.items():
                if job_id in ids and queue == topic.queue:
                    patches[f"row:{job_id}"] = hub.Patch(text=row.state if row else "gone")
            for (queue, job_id), job in connection.jobs.items():
                if (queue, job_id) == (topic.queue, topic.id):
                    secret = job.data if job and viewer.payload else "hidden"
                    patches["job"] = hub.Patch(html=f"<p id=job>{secret}</p>")
            patches[f"{alias}:newer"] = hub.Patch(
                text=str(connection.newer.get((topic.queue, topic.state, ids[0] if ids else ""), 0))
            )
        return patches

    monkeypatch.setattr(hub, "fragments", plain)


def put_job(client, job_id, state="wait", queue="emails", **fields):
    base = f"bull:{queue}:"
    client.hset(base + "meta", "opts.maxLenEvents", "10000")
    client.sadd("qc:bull::queues", queue)
    job = {"name": "welcome", "data": "{}", "opts": "{}", "timestamp": 1_700_000_000_000}
    client.hset(base + job_id, mapping=job | fields)
    if state == "wait":
        client.lpush(base + state, job_id)
    else:
        client.zadd(base + state, {job_id: time.time() * 1000})
    client.xadd(base + "events", {"event": "waiting", "jobId": job_id})


def count(page, queue="emails", place=0):
    return int(page.shown.get(f"default:{queue}", "-1").split("/")[place])


# Who may open it


async def test_whoever_is_not_signed_in_is_told_so_after_the_handshake(pages):
    page = await pages()
    assert page.code is None
    assert await page.closed() == 4401
    assert page.messages == []


@pytest.mark.parametrize("cookie", ["", "x", "a" * 5000, "ä\x00"])
async def test_a_wrong_session_is_no_session(pages, cookie):
    page = await pages(headers=[(b"cookie", b"sessionid=" + cookie.encode())])
    assert await page.closed() == 4401


async def test_whoever_may_see_nothing_is_told_so_after_the_handshake(pages, db):
    page = await pages(await sync_to_async(make_user)("nobody", "retry"))
    assert page.code is None
    assert await page.closed() == 4403
    assert page.messages == []


async def test_who_may_see_queues_stays(pages, viewer):
    page = await pages(viewer)
    assert await page.silent(0.2) == []
    assert page.code is None


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "",
        "null",
        "http://evil.example",
        "http://testserver.evil.example",
        "http://eviltestserver",
        "https://testserver",
        "http://testserver:8000",
        "http://sub.testserver",
        "http://testserver/",
        "ws://testserver",
        "http://[",
        "http://xn--testserver-",
        "http://testserver, http://evil.example",
        "https://other.trusted.example",
        "http://deep.wild.example",
        "https://wild.example.evil",
    ],
)
async def test_another_site_is_refused_before_the_handshake(
    pages, viewer, settings, caplog, origin
):
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example", "https://*.wild.example"]
    with caplog.at_level(logging.WARNING, "queuecore_dashboard.live"):
        page = await pages(viewer, origin=origin)
    assert page.code == 1008
    assert "CSRF_TRUSTED_ORIGINS" in caplog.text


@pytest.mark.parametrize(
    "origin", ["http://testserver", "https://trusted.example", "https://deep.wild.example"]
)
async def test_this_site_and_trusted_ones_are_let_in(pages, viewer, settings, origin):
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example", "https://*.wild.example"]
    page = await pages(viewer, origin=origin)
    assert await page.silent(0.2) == []
    assert page.code is None


@pytest.mark.parametrize(("forwarded", "code"), [(b"https", None), (b"http", 1008)])
async def test_behind_a_proxy_the_scheme_is_the_one_it_tells(
    pages, viewer, settings, forwarded, code
):
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = [(b"x-forwarded-proto", forwarded)]
    page = await pages(viewer, origin="https://testserver", headers=headers)
    assert page.code == code


async def test_a_host_that_is_not_allowed_is_refused(pages, viewer, settings):
    settings.ALLOWED_HOSTS = ["other.example"]
    assert (await pages(viewer)).code == 1008


@pytest.mark.parametrize("path", ["/", "/ws", "/queues/ws/", "/other/ws/", "/ws/ws/", "//ws/"])
async def test_other_addresses_are_the_host_s(pages, viewer, path):
    assert (await pages(viewer, path=path)).code == 4000


async def test_a_query_that_is_no_text_is_no_error(application, viewer):
    page = Page(application)
    page.line.scope["query_string"] = b"\xff"
    assert (await page.open()).code == 4000
    await page.leave()


async def test_a_mount_below_another_path_is_respected(application, viewer):
    cookie = await sync_to_async(cookie_of)(viewer)
    page = Page(application, cookie, path="/below/ws/")
    page.line.scope["root_path"] = "/below"
    await page.open()
    await page.subscribe("overview")
    await page.next()
    (socket,) = hub.get_hub().sockets
    assert socket.viewer.mount == "/below/"
    await page.leave()


async def test_the_language_is_the_page_s(pages, viewer, settings):
    for asked, spoken in (("de", "de"), ("xx", "en"), ("de-at", "de"), ("", "en")):
        page = await pages(viewer, path=f"/ws/?lang={asked}")
        await page.silent(0.05)
        (socket,) = hub.get_hub().sockets
        assert socket.viewer.language == spoken
        await page.leave()


async def test_one_user_has_so_many_sockets_and_another_still_gets_one(pages, viewer, db):
    for _ in range(consumer.SOCKETS):
        await pages(viewer)
    assert await (await pages(viewer)).closed() == 4429
    other = await pages(await sync_to_async(make_user)("otto", "view"))
    assert await other.silent(0.1) == []
    assert other.code is None


# What it shows


async def test_a_topic_is_answered_with_everything_and_then_with_what_changed(
    pages, viewer, redis_client, fragments
):
    put_job(redis_client, "1")
    put_job(redis_client, "1", queue="reports")
    page = await pages(viewer)
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1 and count(p, "reports") == 1)
    first = next(one for one in page.messages if "patches" in one)
    assert first["topic"] == "overview"
    assert abs(first["at"] - time.time() * 1000) < 5000
    assert first["now"] >= first["at"]
    put_job(redis_client, "2")
    before = len(page.messages)
    await page.until(lambda p: count(p) == 2)
    news = [one for one in page.messages[before:] if "patches" in one]
    assert [[patch["id"] for patch in one["patches"]] for one in news] == [["default:emails"]]


async def test_an_event_is_on_the_page_before_the_next_period(
    pages, viewer, redis_client, fragments, monkeypatch
):
    monkeypatch.setattr(hub, "PERIOD_S", 30.0)
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.subscribe("queue:default:emails")
    await page.until(lambda p: count(p) == 1)
    for number in range(1, 6):
        await asyncio.sleep(0.1)
        begun = time.monotonic()
        put_job(redis_client, str(number))
        await page.until(lambda p, number=number: count(p) == number + 1)
        assert time.monotonic() - begun < 1.0


async def test_what_has_no_event_is_seen_after_a_period(pages, viewer, redis_client, fragments):
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.subscribe("queue:default:emails")
    await page.until(lambda p: count(p) == 1)
    redis_client.lpush("bull:emails:wait", "x")
    await page.until(lambda p: count(p) == 2, 4)


async def test_a_new_queue_appears_on_the_overview_and_a_gone_one_is_read_no_more(
    pages, viewer, redis_client, fragments, monkeypatch
):
    monkeypatch.setattr(state_module, "NAMES_S", 0.5)
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1)
    put_job(redis_client, "0", queue="reports")
    await page.until(lambda p: count(p, "reports") == 1)
    redis_client.delete("bull:reports:meta", "bull:reports:wait")
    state = hub.get_hub().state["default"]
    await page.until(lambda p: "reports" not in state.queues)
    assert "emails" in state.queues


async def test_rows_on_screen_follow_their_jobs(pages, viewer, redis_client, fragments):
    for number in range(3):
        put_job(redis_client, f"j{number}", "failed")
    page = await pages(viewer)
    await page.subscribe("jobs:default:emails:failed", "j2", "j1", "meta")
    await page.until(lambda p: p.shown.get("row:j1") == "failed" and "row:meta" in p.shown)
    assert "row:j0" not in page.shown
    assert page.shown["row:meta"] == "gone"
    redis_client.zrem("bull:emails:failed", "j1")
    put_job(redis_client, "j1", "completed")
    await page.until(lambda p: p.shown["row:j1"] == "completed")
    put_job(redis_client, "j9", "failed")
    await page.until(lambda p: p.shown["default:newer"] == "1")
    await page.subscribe("jobs:default:emails:failed", "j9")
    await page.until(lambda p: p.shown.get("row:j9") == "failed")
    assert len(hub.get_hub().groups("default")) == 1, "the same topic is not held twice"


async def test_a_job_is_followed_and_may_go_away(pages, db, redis_client, fragments):
    put_job(redis_client, "a:b", data='"hunter2"')
    user = await sync_to_async(make_user)("oskar", "view", "view_payload")
    page = await pages(user)
    await page.subscribe("job:default:emails:a:b")
    await page.until(lambda p: "hunter2" in p.shown.get("job", ""))
    redis_client.delete("bull:emails:a:b")
    await page.until(lambda p: "hidden" in p.shown["job"])


async def test_payloads_go_to_their_class_alone(pages, viewer, db, redis_client, fragments):
    put_job(redis_client, "1", data='"hunter2"')
    allowed = await pages(await sync_to_async(make_user)("oskar", "view", "view_payload"))
    other = await pages(viewer)
    for page in (allowed, other):
        await page.subscribe("job:default:emails:1")
        await page.until(lambda p: "job" in p.shown)
    assert "hunter2" in allowed.shown["job"]
    assert "hunter2" not in json.dumps(other.messages)


async def test_the_scope_cuts_the_overview_and_hides_topics(pages, db, redis_client, fragments):
    put_job(redis_client, "1", queue="mail-out")
    put_job(redis_client, "1", queue="secret")
    page = await pages(await sync_to_async(make_user)("otto", "view", scope=["mail-*"]))
    await page.subscribe("overview")
    await page.until(lambda p: count(p, "mail-out") == 1)
    hidden = [
        "queue:default:secret",
        "jobs:default:secret:failed",
        "job:default:secret:1",
        "queue:default:nothing",
        "queue:nowhere:mail-out",
        "nonsense",
        "overview:x",
        "jobs:default:mail-out:nonsense",
    ]
    for topic in hidden:
        await page.subscribe(topic)
    await page.until(lambda p: sum("gone" in one for one in p.messages) == len(hidden))
    answers = [one for one in page.messages if "gone" in one]
    assert answers == [{"topic": topic, "gone": True} for topic in hidden]
    await page.silent(1.2)
    assert "secret" not in json.dumps([one for one in page.messages if "patches" in one])


async def test_paused_is_silent_and_resumed_is_whole(pages, viewer, redis_client, fragments):
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1)
    await page.send("pause")
    await page.silent(0.3)
    put_job(redis_client, "1")
    assert await page.silent(1.5) == []
    assert hub.get_hub().groups("default") == [], "nothing is read for nobody"
    page.shown.clear()
    await page.send("resume")
    await page.until(lambda p: count(p) == 2)
    page.shown.clear()
    await page.send("resume")
    await page.until(lambda p: count(p) == 2)


async def test_a_page_that_leaves_leaves_no_task_behind(pages, viewer, redis_client, fragments):
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1)
    assert any(_waits(task) for task in asyncio.all_tasks())
    await page.leave()
    await asyncio.sleep(0.05)
    assert not any(_waits(task) for task in asyncio.all_tasks())


def _waits(task: asyncio.Task) -> bool:
    return "Outbox.next" in repr(task.get_coro())


async def test_an_unsubscribed_topic_is_silent(pages, viewer, redis_client, fragments):
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1)
    await page.send("unsubscribe", topic="overview")
    await page.silent(0.3)
    put_job(redis_client, "1")
    assert await page.silent(1.2) == []


async def test_an_interval_makes_fewer_messages_with_the_last_state(
    pages, viewer, redis_client, fragments
):
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.send("interval", seconds=1)
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1)
    for number in range(1, 10):
        put_job(redis_client, str(number))
        await asyncio.sleep(0.1)
    before = len(page.messages)
    await page.until(lambda p: count(p) == 10)
    assert sum("patches" in one for one in page.messages[before:]) <= 2


async def test_a_reader_that_stands_still_is_closed_and_others_go_on(
    pages, viewer, redis_client, fragments, monkeypatch
):
    monkeypatch.setattr(outbox, "WINDOW", 3)
    monkeypatch.setattr(outbox, "PATIENCE_S", 1.0)
    put_job(redis_client, "0")
    still, good = await pages(viewer), await pages(viewer)
    still.acknowledges = False
    for page in (still, good):
        await page.subscribe("overview")
    for number in range(1, 8):
        put_job(redis_client, str(number))
        await good.until(lambda p, number=number: count(p) == number + 1)
    assert await still.closed() == 4408
    assert sum("patches" in one for one in still.messages) == 3
    put_job(redis_client, "9")
    await good.until(lambda p: count(p) == 9)


async def test_a_page_whose_fragments_fail_does_not_stop_the_others(
    pages, viewer, redis_client, fragments, monkeypatch, caplog
):
    good = hub.fragments

    def broken(state, topic, viewer, ids):
        if topic.kind == "queue":
            raise ZeroDivisionError
        return good(state, topic, viewer, ids)

    monkeypatch.setattr(hub, "fragments", broken)
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.subscribe("queue:default:emails")
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1)
    assert "fragments of queue:default:emails" in caplog.text


async def test_the_real_fragments_are_sent(pages, viewer, redis_client):
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.subscribe("queue:default:emails", "period:1h")
    await page.until(lambda p: "card-waiting" in p.shown)
    assert "1" in page.shown["card-waiting"]


# What it may send


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "[]",
        "null",
        "[" * 10_000,
        '{"type":"subscribe"}',
        '{"type":"subscribe","topic":5,"ids":7}',
        '{"type":"subscribe","topic":"overview","ids":[1]}',
        '{"type":"subscribe","topic":"overview","ids":"abc"}',
        '{"type":["subscribe"]}',
        '{"type":"unsubscribe","topic":"jobs"}',
        '{"type":"interval","seconds":-1}',
        '{"type":"interval","seconds":NaN}',
        '{"type":"interval","seconds":1e9}',
        '{"type":"ack","seq":"x"}',
        '{"type":"ack","seq":99999}',
        '{"type":"obliterate"}',
    ],
)
async def test_odd_messages_do_no_harm(pages, viewer, redis_client, fragments, text):
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.line.send_to(text)
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1)
    (socket,) = hub.get_hub().sockets
    assert socket.outbox.interval == 0.0


async def test_too_much_is_refused(pages, viewer):
    page = await pages(viewer)
    await page.line.send_to("x" * (consumer.MESSAGE_BYTES + 1))
    assert await page.closed() == 4413
    page = await pages(viewer)
    await page.line.send_to(bytes_data=b"\x00")
    assert await page.closed() == 4400
    page = await pages(viewer)
    for _ in range(50):
        await page.send("ack", seq=0)
    assert await page.closed() == 4400
    page = await pages(viewer)
    await page.subscribe("overview", *(str(n) for n in range(101)))
    assert await page.next() == {"topic": "overview", "gone": True}


async def test_a_socket_holds_so_many_topics(pages, viewer):
    page = await pages(viewer)
    for number in range(consumer.TOPICS + 1):
        await page.subscribe(f"queue:default:q{number}")
    await page.until(lambda p: any("gone" in one for one in p.messages))
    refused = [one["topic"] for one in page.messages if "gone" in one]
    assert refused == [f"queue:default:q{consumer.TOPICS}"]


# When rights change


def log_out(user):
    Session.objects.all().delete()


def sign_out_properly(user):
    session = Session.objects.get()
    client = Client()
    client.cookies["sessionid"] = session.session_key
    client.post("/logout/")


def deactivate(user):
    get_user_model().objects.filter(pk=user.pk).update(is_active=False)


def delete(user):
    get_user_model().objects.filter(pk=user.pk).delete()


def change_password(user):
    user.set_password("another")
    user.save()


def take_the_right(user):
    Group.objects.get(name=user.username).permissions.clear()


def leave_the_group(user):
    user.groups.clear()


def remove_the_group(user):
    Group.objects.get(name=user.username).delete()


def let_the_session_expire(user):
    from django.utils import timezone

    Session.objects.update(expire_date=timezone.now())


CHANGES = [
    (log_out, 4401),
    (let_the_session_expire, 4401),
    (deactivate, 4401),
    (delete, 4401),
    (change_password, 4401),
    (take_the_right, 4403),
    (leave_the_group, 4403),
    (remove_the_group, 4403),
]


@pytest.mark.parametrize(("change", "code"), CHANGES)
async def test_a_lost_right_closes_the_socket(
    pages, viewer, db, redis_client, fragments, monkeypatch, change, code
):
    monkeypatch.setattr(hub, "RIGHTS_S", 0.3)
    put_job(redis_client, "0")
    other = await pages(await sync_to_async(make_user)("otto", "view"))
    page = await pages(viewer)
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1)
    if change in (log_out, let_the_session_expire):
        await other.leave()
    await sync_to_async(change)(viewer)
    assert await page.closed() == code
    put_job(redis_client, "1")
    assert page.line.output_queue.empty(), "nothing is sent after the close"
    if change not in (log_out, let_the_session_expire):
        await other.subscribe("overview")
        await other.until(lambda p: count(p) == 2)


async def test_who_comes_while_the_last_one_leaves_is_served(
    pages, viewer, redis_client, fragments, monkeypatch
):
    leaving, end = asyncio.Event(), hub._end

    async def slowly(tasks):
        leaving.set()
        await asyncio.sleep(0.5)
        await end(tasks)

    monkeypatch.setattr(hub, "_end", slowly)
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1)
    await page.send("unsubscribe", topic="overview")
    await leaving.wait()
    await page.subscribe("overview")
    put_job(redis_client, "1")
    await page.until(lambda p: count(p) == 2)


@pytest.mark.parametrize(
    "change",
    [change_password, take_the_right, leave_the_group, remove_the_group, delete, sign_out_properly],
)
async def test_what_django_tells_is_acted_upon_at_once(pages, viewer, monkeypatch, change):
    monkeypatch.setattr(hub, "RIGHTS_S", 600.0)
    page = await pages(viewer)
    await page.silent(0.1)
    await sync_to_async(change)(viewer)
    assert await page.closed() in (4401, 4403)


async def test_a_narrowed_scope_takes_its_topics_away(
    pages, viewer, redis_client, fragments, monkeypatch
):
    monkeypatch.setattr(hub, "RIGHTS_S", 600.0)
    put_job(redis_client, "0", queue="mail")
    put_job(redis_client, "0", queue="secret")
    page = await pages(viewer)
    for topic in ("overview", "queue:default:secret"):
        await page.subscribe(topic)
    await page.until(lambda p: count(p, "secret") == 1)
    group = await sync_to_async(Group.objects.get)(name="olga")
    await sync_to_async(QueueScope.objects.create)(group=group, pattern="mail")
    await page.until(lambda p: {"topic": "queue:default:secret", "gone": True} in p.messages)
    before = len(page.messages)
    put_job(redis_client, "1", queue="secret")
    put_job(redis_client, "1", queue="mail")
    await page.until(lambda p: count(p, "mail") == 2)
    assert "secret" not in json.dumps(page.messages[before:])
    assert page.code is None


async def test_a_taken_payload_right_hides_payloads_at_once(
    pages, db, redis_client, fragments, monkeypatch
):
    monkeypatch.setattr(hub, "RIGHTS_S", 600.0)
    put_job(redis_client, "1", data='"hunter2"')
    user = await sync_to_async(make_user)("oskar", "view", "view_payload")
    page = await pages(user)
    await page.subscribe("job:default:emails:1")
    await page.until(lambda p: "hunter2" in p.shown.get("job", ""))
    permission = await sync_to_async(Permission.objects.get)(codename="view_payload")
    group = await sync_to_async(Group.objects.get)(name="oskar")
    await sync_to_async(group.permissions.remove)(permission)
    await page.until(lambda p: "hidden" in p.shown["job"])


async def test_rights_that_cannot_be_looked_at_are_no_rights(pages, viewer, monkeypatch, caplog):
    monkeypatch.setattr(hub, "RIGHTS_S", 0.1)
    monkeypatch.setattr(hub, "RIGHTS_PAUSE_S", 0.1)

    def away(identities):
        raise OSError("the database is away")

    page = await pages(viewer)
    monkeypatch.setattr(hub, "recheck", away)
    assert await page.closed() == 4503
    assert "could not be looked at" in caplog.text


async def test_rights_of_many_sockets_cost_the_same_few_queries(
    pages, db, django_assert_max_num_queries
):
    for number in range(4):
        await pages(await sync_to_async(make_user)(f"user {number}", "view"))

    identities = {one.identity for one in hub.get_hub().sockets}

    def look():
        with django_assert_max_num_queries(5):
            return hub.recheck(identities)

    found = await sync_to_async(look)()
    assert len(found) == 4
    assert {one.scope for one in found.values()} == {access.Scope()}


@pytest.mark.parametrize("engine", ["cache", "cached_db", "file", "signed_cookies"])
async def test_other_session_engines_work(pages, viewer, settings, engine, tmp_path, monkeypatch):
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    settings.SESSION_FILE_PATH = str(tmp_path)
    monkeypatch.setattr(hub, "RIGHTS_S", 0.2)
    page = await pages(viewer)
    await page.silent(0.8)
    assert page.code is None
    await sync_to_async(deactivate)(viewer)
    assert await page.closed() == 4401


# How much it reads


def commands(client):
    return client.info("stats")["total_commands_processed"]


async def test_many_viewers_cost_the_server_what_one_costs(
    pages, db, quiet_server, fragments, monkeypatch
):
    # Queues that are read anew by and by would fall into one span or the other.
    monkeypatch.setattr(inspect, "CENSUS_S", 1_000.0)
    for queue in range(20):
        put_job(quiet_server, "0", queue=f"q{queue}")
    users = [await sync_to_async(make_user)(f"user {n}", "view") for n in range(3)]

    async def measure(seconds=2.5):
        before = commands(quiet_server)
        await asyncio.gather(*(page.silent(seconds) for page in opened))
        return commands(quiet_server) - before

    opened = [await pages(users[0])]
    await opened[0].subscribe("overview")
    await opened[0].until(lambda p: count(p, "q19") == 1)
    alone = await measure()
    for user in users:
        for _ in range(6):
            opened.append(await pages(user))
            await opened[-1].subscribe("overview")
    await asyncio.gather(*(page.until(lambda p: count(p, "q19") == 1) for page in opened))
    together = await measure()
    # Two rounds or three: each of nineteen readers' own, or three users' own, would be more.
    assert together < alone * 2, (alone, together)
    assert len(hub.get_hub().groups("default")) == 1


@pytest.fixture
def quiet_server(new_server, settings):
    """A client of a server that nobody else uses, so that its commands can be counted."""
    server = new_server()
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": {"default": {"URL": server.url}}}
    with server.client() as client:
        yield client


async def test_nobody_looking_costs_nothing(pages, viewer, quiet_server, fragments):
    put_job(quiet_server, "0")
    page = await pages(viewer)
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1)
    await page.leave()
    follower = hub.get_hub()._followers["default"]
    deadline = time.monotonic() + 10
    while follower.runs:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    before = commands(quiet_server)
    await asyncio.sleep(1.5)
    assert commands(quiet_server) - before <= 1
    assert hub.get_hub()._guard is None


# When the server goes away


async def test_the_server_goes_and_comes_back(new_server, settings, pages, viewer, fragments):
    server = new_server(persist=True)
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": {"default": {"URL": server.url}}}

    def error(page):
        told = [one for one in page.messages if one.get("type") == "status"]
        return told[-1]["connections"]["default"]["error"] if told else None

    with server.client() as client:
        put_job(client, "0")
    page = await pages(viewer)
    await page.subscribe("overview")
    await page.until(lambda p: count(p) == 1)
    server.kill()
    begun = time.monotonic()
    await page.until(error)
    assert time.monotonic() - begun < 3
    known = page.messages[-1]["connections"]["default"]["at"]
    assert abs(known - time.time() * 1000) < 10_000, "the age of the last good data is told"
    late = await pages(viewer)
    await late.subscribe("overview")
    await late.until(error)
    server.start()
    begun = time.monotonic()
    await page.until(lambda p: not error(p), 20)
    assert time.monotonic() - begun < 5
    with server.client() as client:
        put_job(client, "1")
    await page.until(lambda p: count(p) == 2)
    await late.until(lambda p: count(p) == 2)


# Without a socket


def test_live_says_whether_it_serves(application):
    assert asgi.active()


@pytest.fixture
def polled(server, viewer):
    client = Client()
    client.force_login(viewer)
    return client


def test_polling_gives_the_same_patches(polled, redis_client):
    put_job(redis_client, "0")
    body = polled.get("/live/poll/", {"topic": "queue:default:emails", "id": ["period:1h"]}).json()
    shown = {patch["id"]: patch.get("text", patch.get("html")) for patch in body["patches"]}
    assert "1" in shown["card-waiting"]
    assert body["topic"] == "queue:default:emails"
    assert body["connections"]["default"]["error"] is None
    assert 0 <= body["now"] - body["at"] < 5000


def test_polling_asks_for_the_same_rights(polled, viewer, redis_client, client):
    assert client.get("/live/poll/", {"topic": "overview"}).status_code == 401
    for topic in ("queue:nowhere:x", "nonsense", ""):
        answer = polled.get("/live/poll/", {"topic": topic})
        assert answer.json() == {"topic": topic, "gone": True}
    too_many = polled.get("/live/poll/", {"topic": "overview", "id": ["x"] * 101})
    assert too_many.json()["gone"]
    QueueScope.objects.create(group=viewer.groups.get(), pattern="mail")
    assert polled.get("/live/poll/", {"topic": "queue:default:emails"}).json()["gone"]
    take_the_right(viewer)
    assert polled.get("/live/poll/", {"topic": "overview"}).status_code == 403
    assert polled.post("/live/poll/").status_code == 405


def test_polling_tells_that_the_server_is_away(viewer, settings):
    settings.QUEUECORE = settings.QUEUECORE | {
        "CONNECTIONS": {"default": {"URL": "unix:///nowhere/socket"}}
    }
    client = Client()
    client.force_login(viewer)
    body = client.get("/live/poll/", {"topic": "overview"}).json()
    assert "cannot be reached" in body["connections"]["default"]["error"]
    assert body["at"] == 0
    assert body["patches"] == []  # what the page has shown last stays


@pytest.fixture
def source(fragments, monkeypatch):
    """A source of the topic `audit` that counts its reads, and fragments that show its value."""
    reads = []

    def read(asked):
        reads.append([str(topic) for topic, _ids in asked])
        return len(reads)

    monkeypatch.setitem(sources.SOURCES, "audit", sources.of_database(0.3, read))
    make = hub.fragments

    def shown(state, topic, viewer, ids):
        if topic.kind != "audit":
            return make(state, topic, viewer, ids)
        return {"reads": hub.Patch(text=str(state.extra["audit"]))} if state.extra else {}

    monkeypatch.setattr(hub, "fragments", shown)
    return reads


async def test_a_source_is_read_for_all_at_once_and_only_while_somebody_looks(pages, source):
    user = await sync_to_async(make_user)("olga", "view", "view_audit")
    one, other = await pages(user), await pages(user)
    for page in (one, other):
        await page.subscribe("audit")
    await one.until(lambda page: int(page.shown.get("reads", 0)) >= 3)
    await other.until(lambda page: int(page.shown.get("reads", 0)) >= 3)
    assert len(source) < 10  # not one for each of them
    assert set(map(tuple, source)) == {("audit",)}
    for page in (one, other):
        await page.send("unsubscribe", topic="audit")
    await asyncio.sleep(1.5)
    seen = len(source)
    await asyncio.sleep(1)
    assert len(source) == seen


async def test_what_was_done_is_shown_to_those_who_may_see_it(pages, source, viewer):
    page = await pages(viewer)
    await page.subscribe("audit")
    await page.until(lambda page: {"topic": "audit", "gone": True} in page.messages)
    assert not source


async def test_a_source_that_breaks_stops_nobody(pages, source, monkeypatch, caplog, redis_client):
    def broken(asked):
        raise ValueError("no such table")

    monkeypatch.setitem(sources.SOURCES, "audit", sources.of_database(0.3, broken))
    redis_client.hset("bull:emails:meta", "version", "bullmq:6.7.0")
    page = await pages(await sync_to_async(make_user)("olga", "view", "view_audit"))
    await page.subscribe("audit")
    await page.subscribe("queue:default:emails")
    await page.until(lambda page: "default:emails" in page.shown)
    assert "what audit shows could not be read" in caplog.text
    caplog.clear()


async def test_whoever_comes_is_not_told_what_was_read_for_somebody_long_gone(
    pages, viewer, redis_client, monkeypatch
):
    readings = []

    async def read(alias, asked):
        await asyncio.sleep(0.2)  # what a slow server takes
        readings.append(alias)
        return len(readings)

    def plain(state, topic, viewer, ids):
        value = state["default"].extra.get("workers")
        return {} if value is None else {"read": hub.Patch(text=str(value))}

    monkeypatch.setattr(hub, "fragments", plain)
    monkeypatch.setitem(sources.SOURCES, "workers", sources.Source(0.1, lambda *_: 0, read))
    put_job(redis_client, "0")
    page = await pages(viewer)
    await page.subscribe("workers")
    await page.until(lambda page: int(page.shown.get("read", 0)) >= 2)
    await page.send("unsubscribe", topic="workers")
    await page.silent(1)
    old = len(readings)
    page.shown.clear()
    await page.subscribe("workers")
    await page.until(lambda page: "read" in page.shown)
    assert int(page.shown["read"]) > old
