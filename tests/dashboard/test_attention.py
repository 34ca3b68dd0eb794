"""What needs attention: late schedulers are named, and lines of it can be muted."""

import re
import time
from collections.abc import Callable

import pytest
import redis
from django.test import Client

from dashboard import notices
from queuecore import Queue
from queuecore.models import AuditEntry
from queuecore.mutes import Mutes
from queuecore.timetable import Timetable
from tests.servers import Server

Person = Callable[..., Client]


@pytest.fixture
def paused(server: Server) -> Queue:
    """A queue that is paused while a job waits, which is a line of the list."""
    queue = Queue("reports")
    queue.add("monthly", {})
    queue.pause(reason="stocktaking", by="kim")
    return queue


def late(queue: Queue, client: redis.Redis, *ids: str, minutes: float = 30) -> None:
    """Schedulers whose run nobody has taken."""
    for id in ids:
        queue.upsert_job_scheduler(id, pattern="30 2 * * *")
        client.zadd("bull:reports:repeat", {id: (time.time() - 60 * minutes) * 1000})


def lines(page: str) -> str:
    return re.search(r'<ul id="attention".*?</ul>', page, re.DOTALL)[0]  # type: ignore[index]


def folded(page: str) -> str:
    return re.search(r'<ul id="muted".*?</ul>', page, re.DOTALL)[0]  # type: ignore[index]


def mute(client: Client, kind: str, span: int, **more: str):
    given = {"kind": kind, **more}
    asked = client.get("/queues/reports/confirm/mute/", given).content.decode()
    token = re.search(r'name="token" value="([^"]+)"', asked)[1]  # type: ignore[index]
    given |= {"token": token, "for": str(span), "next": "/"}
    return client.post("/queues/reports/mute/", given)


def test_a_late_scheduler_is_named_with_the_way_to_run_it(
    admin: Client, server: Server, redis_client: redis.Redis
) -> None:
    queue = Queue("reports")
    late(queue, redis_client, "nightly")
    late(queue, redis_client, "just-now", minutes=0.5)
    assert [place.id for place in Timetable().late(["reports", "none"])] == ["nightly"]
    shown = lines(admin.get("/").content.decode())
    assert "The run of scheduler nightly is late" in shown
    assert "no worker listens" in shown
    assert "just-now" not in shown
    assert 'href="/schedulers/reports/nightly/confirm/run/"' in shown
    asked = admin.get("/schedulers/reports/nightly/confirm/run/").content.decode()
    assert 'action="/schedulers/reports/nightly/run/"' in asked
    assert admin.get("/schedulers/reports/nobody/confirm/run/").status_code == 404
    assert "late by" in admin.get("/queues/reports/").content.decode()
    # That a paused queue's runs are late follows from its pause.
    queue.pause()
    assert "nightly" not in lines(admin.get("/").content.decode())


def test_what_is_muted_folds_for_everybody_until_it_is_unmuted(
    person: Person, paused: Queue
) -> None:
    kim, sam = person("view", "pause_queue", name="kim"), person("view", name="sam")
    assert "Paused, 1 job waits" in lines(kim.get("/").content.decode())
    assert mute(kim, "paused", 3_600, reason="known").status_code == 302
    page = sam.get("/").content.decode()
    assert "Nothing needs attention" in lines(page)
    assert "1 muted" in page
    assert "muted by kim" in folded(page)
    assert "known" in folded(page)
    assert re.search(r'data-time="until"', folded(page))
    assert "(1)" not in re.search("<title>(.*?)</title>", page, re.DOTALL)[1]  # type: ignore[index]
    assert sam.get("/queues/reports/confirm/mute/", {"kind": "paused"}).status_code == 403
    assert sam.post("/queues/reports/unmute/", {"kind": "paused"}).status_code == 403
    kim.post("/queues/reports/unmute/", {"kind": "paused"})
    assert "Paused, 1 job waits" in lines(sam.get("/").content.decode())
    done = AuditEntry.objects.filter(phase="result").values_list("action", "outcome")
    assert set(done) >= {("mute", "done"), ("unmute", "done"), ("unmute", "denied")}


def test_a_mute_of_one_scheduler_leaves_the_others(
    admin: Client, server: Server, redis_client: redis.Redis
) -> None:
    late(Queue("reports"), redis_client, "nightly", "hourly")
    assert mute(admin, "scheduler", 0, target="nightly").status_code == 302
    page = admin.get("/").content.decode()
    assert "scheduler hourly" in lines(page)
    assert "nightly" not in lines(page)
    assert "nightly" in folded(page)
    assert "until it ends" in folded(page)


@pytest.mark.parametrize(
    "given", [{"kind": "weather"}, {}, {"kind": "paused", "target": "x"}, {"kind": "scheduler"}]
)
def test_only_what_can_be_wrong_can_be_muted(
    admin: Client, paused: Queue, given: dict[str, str]
) -> None:
    assert admin.get("/queues/reports/confirm/mute/", given).status_code == 404
    assert admin.post("/queues/reports/mute/", given).status_code == 404


def test_a_mute_until_it_ends_does_not_hold_for_the_next_time(
    admin: Client, paused: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute(admin, "paused", 0)
    assert "Nothing needs" in lines(admin.get("/").content.decode())
    paused.resume()
    time.sleep(0.005)  # the server's times are whole milliseconds
    paused.pause()
    assert "Paused, 1 job waits" in lines(admin.get("/").content.decode())
    # And what was not seen for a minute is forgotten.
    paused.resume()
    admin.get("/")
    assert len(Mutes().all()) == 1
    monkeypatch.setattr(notices, "_GONE_S", 0.0)
    admin.get("/")
    assert Mutes().all() == []


def test_what_lies_in_the_key_of_mutes_is_bounded_and_harmless(
    server: Server, redis_client: redis.Redis
) -> None:
    mutes = Mutes()
    mutes.put("paused", "a", by="x" * 900, seconds=-5)
    mutes.put("paused", "b", seconds=60)
    assert [one.queue for one in mutes.all()] == ["b"]
    assert redis_client.hlen("qc:bull::mutes") == 1  # what is over is forgotten
    hostile = {"{": "{", "[1]": "{}", '["a","b","c"]': '{"by":1,"reason":"","since":0,"until":0}'}
    hostile['["a","b","d"]'] = '{"by":"","reason":"","since":1e400,"until":true}'
    redis_client.hset("qc:bull::mutes", mapping=hostile)
    assert [one.queue for one in mutes.all()] == ["b"]
    assert mutes.lift([("paused", "b", "")]) == 1
    assert mutes.lift([]) == 0
    redis_client.delete("qc:bull::mutes")
    redis_client.set("qc:bull::mutes", "text")
    assert mutes.all() == []
