"""The pages of schedulers: the day, each one's page, the forms, the actions and their record."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import redis
from django.test import Client
from django.utils import timezone

from dashboard.draw import schedule_strip
from dashboard.draw.schedule_strip import Day
from dashboard.live.fragments import fragments
from dashboard.live.state import Topic, Viewer, read
from queuecore import Queue, access
from queuecore.models import AuditEntry
from queuecore.runs import Run, Timing
from queuecore.schedulers import JobScheduler
from queuecore.worker.advance import advance
from tests.dashboard.hostile import CORPUS, PageReader, assert_harmless
from tests.dashboard.test_actions import recorded, said, token_of
from tests.server.hands import Hands

Person = Callable[..., Client]
HOUR = 3_600_000


@pytest.fixture
def nightly(emails: Queue) -> Queue:
    """The queue ``emails`` with three schedulers, one of which has run."""
    emails.upsert_job_scheduler("nightly", pattern="30 2 * * *", tz="Asia/Tokyo", data={"n": 17})
    emails.upsert_job_scheduler("often", every=600, name="sweep", data={"password": "hunter2"})
    emails.upsert_job_scheduler("aside", pattern="0 0 1 1 *")
    emails.pause_job_scheduler("aside")
    hands = Hands(emails, "mail-3")
    while True:
        (job,) = hands.claim()
        if job.repeat_job_key:
            emails.connection.run(advance(emails, job))
        hands.complete(job, None)
        if job.repeat_job_key:
            return emails


def text_of(answer) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode())))


def test_the_list(admin: Client, nightly: Queue) -> None:
    answer = admin.get("/schedulers/")
    shown = text_of(answer)
    assert "3 in 1 queue" in shown
    assert "next run in" in shown
    for words in ("At 02:30", "30 2 * * * · Asia/Tokyo", "Every 10 minutes", "every 600 s"):
        assert words in shown
    page = answer.content.decode()
    # The next to run first, what is paused last; the strip in the same order.
    order = re.findall(r'href="/schedulers/emails/(\w+)/"', page)
    assert order == ["often", "nightly", "aside"] * 2
    assert 'data-live-topic="schedulers"' in page
    assert page.count('data-live-id="default:emails:nightly"') == 2
    assert "Done in" in shown
    assert 'href="/schedulers/new/"' in page


def test_the_filter(admin: Client, nightly: Queue) -> None:
    Queue("other").upsert_job_scheduler("night-shift", every=60)
    assert "2 in 2" not in text_of(admin.get("/schedulers/"))
    page = admin.get("/schedulers/", {"q": "NIGHT"}).content.decode()
    assert set(re.findall(r'href="/schedulers/\w+/([\w-]+)/"', page)) == {"nightly", "night-shift"}
    page = admin.get("/schedulers/", {"show": "paused"}).content.decode()
    assert set(re.findall(r'href="/schedulers/\w+/([\w-]+)/"', page)) == {"aside"}
    assert "No scheduler matches" in text_of(admin.get("/schedulers/", {"q": "nothing"}))


def test_it_teaches_where_there_is_none(admin: Client, emails: Queue) -> None:
    shown = text_of(admin.get("/schedulers/"))
    assert "No scheduler yet" in shown
    assert "upsert_job_scheduler" in shown


def test_pages(admin: Client, emails: Queue) -> None:
    for number in range(60):
        emails.upsert_job_scheduler(f"s-{number:03}", pattern=f"{number % 60} 0 1 1 *")
    first = admin.get("/schedulers/").content.decode()
    assert first.count("<tr data-live-id") == 50
    assert "1–50 of 60" in first
    second = admin.get("/schedulers/?page=2").content.decode()
    assert second.count("<tr data-live-id") == 10


def test_only_what_is_in_ones_scope(person: Person, nightly: Queue) -> None:
    Queue("orders").upsert_job_scheduler("mine", every=60)
    client = person("view", scope=("orders*",))
    shown = text_of(client.get("/schedulers/"))
    assert "1 in 1 queue" in shown
    assert "nightly" not in shown
    assert client.get("/schedulers/emails/nightly/").status_code == 404
    assert client.get("/schedulers/orders/mine/").status_code == 200


def test_one(admin: Client, nightly: Queue) -> None:
    answer = admin.get("/schedulers/emails/often/")
    shown = text_of(answer)
    for words in (
        "Every 10 minutes",
        "Run now",
        "Pause…",
        "Completed",
        "sweep",
        "Next runs",
        "UTC",
    ):
        assert words in shown
    page = answer.content.decode()
    assert "hunter2" not in page  # masked
    assert re.search(r'href="/queues/emails/jobs/repeat~3Aoften~3A\d+/"', page)
    assert page.count("<time datetime") >= 20  # ten runs by two clocks
    assert 'data-scheduler="on"' in page
    tokyo = admin.get("/schedulers/emails/nightly/").content.decode()
    assert re.search(r"02:30</time></th><td[^>]*><time[^>]*>\w+ 17:30<", tokyo)
    assert 'data-scheduler="paused"' in admin.get("/schedulers/emails/aside/").content.decode()
    assert admin.get("/schedulers/emails/gone/").status_code == 404
    assert admin.get("/schedulers/nothing/often/").status_code == 404


def test_data_is_for_those_who_may_see_it(person: Person, nightly: Queue) -> None:
    closed = text_of(person("view", name="ole").get("/schedulers/emails/nightly/"))
    assert "queuecore.view_payload" in closed
    assert '"n": 17' not in closed
    assert "Run now" not in closed
    opened = text_of(person("view", "view_payload", name="pia").get("/schedulers/emails/nightly/"))
    assert '"n": 17' in opened


def test_it_says_who_made_it(admin: Client, emails: Queue) -> None:
    emails.upsert_job_scheduler("coded", pattern="0 7 * * *", tz="UTC")
    form = {"id": "handmade", "kind": "every", "every": "2", "unit": "hours"}
    admin.post("/queues/emails/schedulers/create/", form)

    def source(id: str) -> str:
        page = admin.get("/schedulers/").content.decode()
        row = page.partition(f'<tr data-live-id="default:emails:{id}"')[2].partition("</tr>")[0]
        cell = row.partition('class="c-source">')[2].partition('<span class="row-acts"')[0]
        return re.sub("<[^>]+>", "", cell)

    assert (source("coded"), source("handmade")) == ("Code", "ada")
    assert "next deploy" in text_of(admin.get("/schedulers/emails/coded/edit/"))
    assert "Made by hand, by ada" in text_of(admin.get("/schedulers/emails/handmade/"))
    change = {"kind": "pattern", "pattern": "0 8 * * *", "tz": "UTC"}
    for id in ("coded", "handmade"):
        admin.post(f"/schedulers/emails/{id}/change/", change)
    assert (source("coded"), source("handmade")) == ("Code*", "ada")
    assert "changed here by ada" in text_of(admin.get("/schedulers/emails/coded/"))
    # A pause does not make it anybody else's; a program that upserts it does.
    emails.pause_job_scheduler("handmade")
    assert source("handmade") == "ada"
    emails.resume_job_scheduler("handmade")
    assert source("handmade") == "ada"
    for id in ("coded", "handmade"):
        emails.upsert_job_scheduler(id, pattern="0 8 * * *", tz="UTC")
    assert (source("coded"), source("handmade")) == ("Code", "Code")


def test_what_a_peer_has_upserted_is_code(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    emails.upsert_job_scheduler("s", every=60, by="mara")
    assert "by mara" in text_of(admin.get("/schedulers/emails/s/"))
    redis_client.hset("bull:emails:repeat:s", "every", "90000")
    assert "by mara" not in text_of(admin.get("/schedulers/emails/s/"))
    for wrong in ("", "{", "[]", '{"when":null}', '{"made":5,"changed":[],"when":[]}'):
        redis_client.hset("qc:bull:emails:scheduler-authors", "s", wrong)
        assert admin.get("/schedulers/emails/s/").status_code == 200
    redis_client.delete("qc:bull:emails:scheduler-authors")
    redis_client.set("qc:bull:emails:scheduler-authors", "no hash")
    assert "Defined in code" in text_of(admin.get("/schedulers/emails/s/"))


# Actions


def test_run_now(admin: Client, nightly: Queue) -> None:
    before = nightly.get_job_scheduler("often")
    admin.post("/schedulers/emails/often/run/", {"once": "k" * 12})
    admin.post("/schedulers/emails/often/run/", {"once": "k" * 12})  # a double click
    assert nightly.get_job_scheduler("often") == before
    (entry,) = AuditEntry.objects.filter(action="run_scheduler", phase="result", outcome="done")
    job = nightly.get_job(json.loads(entry.result)["job"])
    assert job is not None
    assert (job.name, job.get_state()) == ("sweep", "waiting")
    assert "by hand" in text_of(admin.get("/schedulers/emails/often/"))


def test_pause_and_resume(admin: Client, nightly: Queue) -> None:
    asked = admin.get("/schedulers/emails/often/confirm/pause/")
    assert "ends the pause" in text_of(asked)
    assert nightly.get_job_scheduler("often") is not None
    admin.post("/schedulers/emails/often/pause/", {"token": token_of(asked), "reason": "too dear"})
    assert said(admin) == "Paused scheduler often."
    assert nightly.get_job_scheduler("often") is None
    admin.post("/schedulers/emails/often/resume/")
    assert said(admin) == "Resumed scheduler often."
    assert nightly.get_job_scheduler("often") is not None
    admin.post("/schedulers/emails/often/resume/")
    assert "not paused any more" in said(admin)
    assert recorded() == [
        ("ada", "pause_scheduler", "emails", "often", "done"),
        ("ada", "resume_scheduler", "emails", "often", "done"),
        ("ada", "resume_scheduler", "emails", "often", "failed"),
    ]
    assert AuditEntry.objects.get(action="pause_scheduler", phase="intent").reason == "too dear"


def test_nothing_without_the_token(admin: Client, nightly: Queue) -> None:
    for verb in ("pause", "remove"):
        answer = admin.post(f"/schedulers/emails/often/{verb}/", {"token": "forged"})
        assert answer.status_code == 200
        assert 'name="token"' in answer.content.decode()
    # The token of one is none for the other, nor for another scheduler.
    token = token_of(admin.get("/schedulers/emails/often/confirm/pause/"))
    admin.post("/schedulers/emails/often/remove/", {"token": token})
    admin.post("/schedulers/emails/nightly/pause/", {"token": token})
    assert nightly.get_job_schedulers_count() == 2
    assert recorded() == []


@pytest.mark.parametrize("id", ["often", "aside"])
def test_remove(admin: Client, nightly: Queue, id: str) -> None:
    asked = admin.get(f"/schedulers/emails/{id}/confirm/remove/")
    answer = admin.post(
        f"/schedulers/emails/{id}/remove/",
        {"token": token_of(asked), "next": f"/schedulers/emails/{id}/"},
    )
    assert answer["Location"] == "/schedulers/"
    assert admin.get(f"/schedulers/emails/{id}/").status_code == 404
    assert recorded() == [("ada", "remove_scheduler", "emails", id, "done")]


def test_edit(admin: Client, nightly: Queue) -> None:
    page = admin.get("/schedulers/emails/often/edit/").content.decode()
    assert 'name="every" value="10"' in page
    assert '<option value="minutes" selected>' in page
    assert "hunter2" not in page
    typed = {"kind": "pattern", "pattern": "15 6 * * mon", "tz": "Europe/Berlin", "limit": "4"}
    answer = admin.post("/schedulers/emails/often/change/", {**typed, "reason": "new hours"})
    assert answer["Location"] == "/schedulers/emails/often/"
    found = nightly.get_job_scheduler("often")
    assert found is not None
    assert (found.pattern, found.tz, found.every, found.limit) == (
        "15 6 * * mon",
        "Europe/Berlin",
        None,
        4,
    )
    assert (found.name, found.data) == ("sweep", {"password": "hunter2"})
    entry = AuditEntry.objects.get(action="change_scheduler", phase="intent")
    assert json.loads(entry.params) == {
        "pattern": "15 6 * * mon",
        "tz": "Europe/Berlin",
        "limit": 4,
    }
    assert entry.reason == "new hours"


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"kind": "pattern", "pattern": "61 * * * *"}, "lies outside of 0 to 59"),
        ({"kind": "pattern", "pattern": "* * *"}, "it needs 5"),
        ({"kind": "pattern", "pattern": "0 0 30 2 *"}, "It never comes."),
        ({"kind": "pattern", "pattern": "0 0 * * *", "tz": "Moon/Base"}, "no time zone"),
        ({"kind": "every"}, "Say how often."),
        ({"kind": "every", "every": "0"}, "greater than or equal"),
        ({"kind": "every", "every": "5", "unit": "days", "end": "2001-01-01T00:00"}, "future"),
        ({"kind": "every", "every": "5", "limit": "0"}, "greater than or equal"),
        ({"kind": "never"}, "not one of the available choices"),
    ],
)
def test_what_makes_no_sense_is_said_beside_the_field(
    admin: Client, nightly: Queue, typed: dict[str, str], wrong: str
) -> None:
    before = nightly.get_job_scheduler("often")
    answer = admin.post("/schedulers/emails/often/change/", typed)
    assert answer["HX-Replace-Url"] == "/schedulers/emails/often/edit/"
    if typed["kind"] != "never":
        assert wrong in text_of(answer)
    assert nightly.get_job_scheduler("often") == before
    assert recorded() == []


def test_a_preview_changes_nothing(admin: Client, nightly: Queue) -> None:
    typed = {"kind": "pattern", "pattern": "0 9 * * *", "tz": "Europe/Berlin"}
    for answer in (
        admin.get("/schedulers/preview/", typed),
        admin.post("/schedulers/emails/often/change/", {**typed, "preview": "1"}),
    ):
        assert answer.status_code == 200
        assert "At 09:00" in text_of(answer)
        assert answer.content.decode().count("09:00</time></th>") == 10
    assert nightly.get_job_scheduler("often").every == 600
    part = admin.get("/schedulers/preview/", {"kind": "pattern", "pattern": "x"})
    assert "it needs 5" in text_of(part)
    assert recorded() == []


def test_create(admin: Client, nightly: Queue) -> None:
    page = admin.get("/schedulers/new/", {"queue": "default:emails"}).content.decode()
    assert 'action="/queues/emails/schedulers/create/"' in page
    typed = {
        "id": "hourly",
        "kind": "every",
        "every": "1",
        "unit": "hours",
        "name": "sums",
        "payload": '{"deep": [1, "ü"]}',
        "attempts": "3",
    }
    answer = admin.post("/queues/emails/schedulers/create/", typed)
    assert answer["Location"] == "/schedulers/emails/hourly/"
    found = nightly.get_job_scheduler("hourly")
    assert found is not None
    assert (found.every, found.name, found.data) == (3600, "sums", {"deep": [1, "ü"]})
    assert found.opts["attempts"] == 3
    assert recorded() == [("ada", "create_scheduler", "emails", "hourly", "done")]


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"id": "often"}, "There is a scheduler of this id"),
        ({"id": "aside"}, "There is a scheduler of this id"),
        ({"id": ""}, "required"),
        ({"payload": "{not json"}, "This is no JSON"),
    ],
)
def test_what_cannot_be_made(
    admin: Client, nightly: Queue, more: dict[str, str], wrong: str
) -> None:
    typed = {"id": "new", "kind": "every", "every": "1", "unit": "hours", "payload": "[1]"}
    answer = admin.post("/queues/emails/schedulers/create/", {**typed, **more})
    assert answer["HX-Replace-Url"] == "/schedulers/new/?queue=default%3Aemails"
    assert wrong in text_of(answer)
    assert nightly.get_job_schedulers_count() == 2
    assert nightly.get_job_scheduler("often").every == 600
    # What was typed is still there.
    assert "[1]" in text_of(answer) or "{not json" in text_of(answer)


def test_an_id_that_is_refused_by_the_rules(admin: Client, nightly: Queue) -> None:
    typed = {"id": "a:b", "kind": "every", "every": "1", "unit": "hours"}
    admin.post("/queues/emails/schedulers/create/", typed)
    assert "holds ':'" in html.unescape(said(admin))
    assert recorded() == [("ada", "create_scheduler", "emails", "a:b", "failed")]


# Live, and what is hostile


def test_a_page_and_its_patches_say_the_same(admin: Client, nightly: Queue) -> None:
    for path, topic, ids in (
        ("/schedulers/", "schedulers", ["default:emails:often"]),
        ("/schedulers/emails/often/", "scheduler:default:emails:often", []),
    ):
        page = admin.get(path).content.decode()
        answer = admin.get("/live/poll/", {"topic": topic, "id": ids}).json()
        names = {patch["id"] for patch in answer["patches"]}
        assert "schedulers-now" in names
        for patch in answer["patches"]:
            if "until" in patch.get("html", "") or patch["id"] == "schedulers-now":
                continue
            assert patch["html"] in page, patch["id"]
            assert not re.search(r"<(form|button|input|a )", patch["html"]) or "runs" in patch["id"]


def test_hostile_ids_names_and_patterns(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    due = round(timezone.now().timestamp() * 1000) + HOUR
    for number, text in enumerate(CORPUS):
        raw = text.encode("utf-8", "surrogatepass")
        redis_client.zadd("bull:emails:repeat", {raw: due + number})
        redis_client.hset(
            b"bull:emails:repeat:" + raw,
            mapping={"name": raw, "pattern": raw, "tz": raw, "ic": 1, "data": raw, "opts": raw},
        )
    names = []
    for page in (1, 2):
        answer = admin.get(f"/schedulers/?page={page}")
        assert answer.status_code == 200
        reader = PageReader()
        reader.feed(answer.content.decode())
        assert not reader.bad, reader.bad
        names += re.findall(r'class="q-name" href="([^"]+)"', answer.content.decode())
    assert len(names) >= min(len(CORPUS), 50)
    for path in names[::4]:
        for more in ("", "edit/", "confirm/pause/", "confirm/remove/"):
            answer = admin.get(path + more)
            assert answer.status_code == 200, path + more
            reader = PageReader()
            reader.feed(answer.content.decode())
            assert not reader.bad, (path, reader.bad)
    for text in CORPUS[:10]:
        answer = admin.get("/schedulers/preview/", {"kind": "pattern", "pattern": text, "tz": text})
        assert_harmless(answer.content.decode())


def test_records_of_any_kind(admin: Client, emails: Queue, redis_client: redis.Redis) -> None:
    redis_client.zadd("bull:emails:repeat", {"bare": 5, "wrong": 1e300, "x::::60000": 9})
    redis_client.set("bull:emails:repeat:wrong", "no hash")
    redis_client.hset(
        "bull:emails:repeat:bare", mapping={"every": "-7", "ic": "many", "limit": "NaN"}
    )
    shown = text_of(admin.get("/schedulers/"))
    assert "Repeatable job of BullMQ 5" in shown
    for id in ("bare", "wrong", "x~3A~3A~3A~3A60000"):
        assert admin.get(f"/schedulers/emails/{id}/").status_code == 200


# The strip


def timing(scheduler: JobScheduler, now: int, *runs: Run) -> Timing:
    return Timing("q", scheduler, runs, now)


def run(due: int, number: int, state: str = "completed", began: int | None = None) -> Run:
    begun = due if began is None else began
    ended = begun + 1000 if state in ("completed", "failed") else None
    return Run(f"repeat:s:{due}", due, number, state, "n", due, begun, ended, 1, 1, "", "")


def test_a_lane() -> None:
    noon = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp() * 1000)
    day = Day.of(noon)
    assert day.end - day.start == 24 * HOUR
    hourly = JobScheduler(
        "s", "n", datetime.fromtimestamp((noon + 600_000) / 1000, UTC), pattern="0 * * * *"
    )
    drawn = schedule_strip.lane(
        "lane",
        timing(
            hourly,
            noon + 60_000,
            run(noon - HOUR, 7),
            run(noon - 2 * HOUR, 6, "failed"),
            run(noon - 5 * HOUR, 5),
            run(noon, 8, "active"),
        ),
        day,
    )
    assert "strip-ran" in drawn
    assert drawn.count('class="strip-failed"') == 1
    # Of 7:00 and 10:00 it is known that none came between.
    assert drawn.count('class="strip-missed"') == 2
    assert drawn.count('class="strip-running"') == 1
    assert "2 ran, 1 failed" in drawn or "3 ran, 1 failed" in drawn
    assert "style" not in drawn


def test_boxes_that_would_touch_are_one() -> None:
    noon = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp() * 1000)
    due = datetime.fromtimestamp((noon - 2 * HOUR) / 1000, UTC)
    for pattern, boxes in (("*/30 * * * *", 4), ("* * * * *", 1)):
        scheduler = JobScheduler("s", "n", due, pattern=pattern)
        waits = replace(run(noon - 2 * HOUR, 1, "delayed"), began=None)
        found = timing(scheduler, noon, waits)
        assert found.late
        drawn = schedule_strip.lane("lane", found, Day.of(noon))
        assert drawn.count('class="strip-missed"') == boxes


def test_many_fires_are_a_band() -> None:
    noon = int(datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp() * 1000)
    day = Day.of(noon)
    due = datetime.fromtimestamp((noon + 60_000) / 1000, UTC)
    every_minute = JobScheduler("s", "n", due, pattern="* * * * *", iteration_count=5000)
    drawn = schedule_strip.lane("lane", timing(every_minute, noon, run(noon - HOUR, 1)), day)
    for part in ("before", "ran", "planned"):
        assert drawn.count(f'class="strip-band-{part}"') == 1
    assert len(drawn) < 1500
    assert 'x="0.000%"' in drawn
    # Nothing before the first run: it has made so many, and no more.
    for schedule in ({"pattern": "* * * * *"}, {"every": 60.0}):
        young = JobScheduler("s", "n", due, **schedule, iteration_count=121)
        drawn = schedule_strip.lane("lane", timing(young, noon, run(noon - HOUR, 61)), day)
        (before,) = re.findall(r'<rect x="([\d.]+)%"[^>]*class="strip-band-before"', drawn)
        assert float(before) == pytest.approx(100 * 10 / 24, abs=0.2)
        fresh = JobScheduler("s", "n", due, **schedule, iteration_count=1)
        drawn = schedule_strip.lane("lane", timing(fresh, noon), day)
        assert re.findall(r"strip-band-\w+", drawn) == ["strip-band-planned"]
    evenings = JobScheduler("s", "n", due, pattern="* 18-19,22 * * *")
    plan = schedule_strip.plan(timing(evenings, noon), day)
    assert [(b - a) // HOUR for a, b in plan.spans] == [2, 1]


def test_a_day_of_23_hours(settings) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    with timezone.override("Europe/Berlin"):
        noon = int(datetime(2026, 3, 29, 12, tzinfo=UTC).timestamp() * 1000)
        day = Day.of(noon)
        assert day.end - day.start == 23 * HOUR
        assert "24:00" in schedule_strip.axis(day, noon)


def test_an_hour_gives_way_to_the_time_of_now() -> None:
    for hour, wide, phone in (
        (13, {"12:00", "14:00"}, {"10:00", "12:00", "14:00", "16:00"}),
        (12, {"12:00"}, {"08:00", "10:00", "12:00", "14:00", "16:00"}),
    ):
        now = int(datetime(2026, 1, 1, hour, tzinfo=UTC).timestamp() * 1000)
        drawn = schedule_strip.axis(Day.of(now), now)
        found = [
            (at, names.split()) for names, at in re.findall(r'class="([^"]*)">(\d\d:\d\d)', drawn)
        ]
        assert {at for at, names in found if "near" in names} == wide
        assert {at for at, names in found if "near-phone" in names} == phone


def test_what_comes_another_day_says_when() -> None:
    noon = int(datetime(2026, 1, 2, 12, tzinfo=UTC).timestamp() * 1000)
    later = datetime(timezone.now().year, 12, 1, tzinfo=UTC)
    yearly = JobScheduler("s", "n", later, pattern="0 0 1 12 *")
    assert "next on 1 December" in schedule_strip.lane("x", timing(yearly, noon), Day.of(noon))


def test_fragments_are_harmless(nightly: Queue, admin: Client) -> None:
    viewer = Viewer(access.Scope(), True, "en", "/")
    topic = Topic("schedulers")
    ids = ["default:emails:often", "default:emails:nothing", "broken"]
    found = fragments(read(topic, ids), topic, viewer, ids)
    for patch in found.values():
        assert_harmless(patch.html or "")
    assert json.dumps({name: patch.html for name, patch in found.items()})
