"""How long jobs wait and run, and what fails: on the pages of queues, on the overview, and live."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import redis
from asgiref.sync import sync_to_async
from django.test import Client

from dashboard import tempo
from dashboard.draw import failures, quantiles
from dashboard.draw.frame import LogScale
from dashboard.live import state as live_state
from dashboard.live.fragments import fragments
from dashboard.live.sources import SOURCES
from dashboard.live.state import Topic, Viewer, read
from queuecore import Queue
from queuecore.access import Scope
from queuecore.histogram import bucket
from queuecore.statistics import Failure
from queuecore.wire.calls.counting import count_runs
from tests.dashboard import fleet
from tests.dashboard.test_live import application as application  # a fixture
from tests.dashboard.test_live import make_user
from tests.dashboard.test_live import pages as pages  # a fixture

Person = Callable[..., Client]
TOPIC = Topic("queue", "default", "emails")
RELAY = "550 no relay for user 4711 (password=hunter2)"


def counted(
    queue: Queue,
    names: dict[str, tuple[int, float, int]],
    errors: dict[str, dict[str, Any]] | None = None,
    ago: int = 0,
) -> None:
    """Have a worker tell: by name how many ran, how long (s), and how many of them failed."""
    now = round(time.time() * 1000)
    told = {}
    for name, (count, seconds, bad) in names.items():
        ms = seconds * 1000
        told[name] = {
            "n": count, "c": count - bad, "f": bad, f"r{bucket(ms)}": count,
            f"w{bucket(ms / 10)}": count,
        }  # fmt: skip
    some = []
    for id, what in (errors or {}).items():
        first = now - what.pop("first", 60_000)
        some.append((id, what.pop("count"), first, now, json.dumps(what).encode()))
    minute = now // 60_000 - ago
    number = time.monotonic_ns()
    names_told = {name: {k: v for k, v in one.items() if v} for name, one in told.items()}
    queue._run(count_runs(queue.keys, "w", number, minute, now, names_told, some))


def refused(name: str = "welcome", count: int = 12, **more: Any) -> dict[str, Any]:
    """What a worker tells of the relay's refusal."""
    what = {
        "name": name,
        "kind": "smtplib.SMTPRecipientsRefused",
        "message": "550 no relay for user <n> (password=hunter<n>)",
        "frame": "shop.mail:send",
        "reason": RELAY,
        "count": count,
    }
    return what | more


def plain(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub("<[^>]*>", " ", html))


def part(html: str, begin: str, end: str) -> str:
    return html.partition(begin)[2].partition(end)[0]


def test_a_scale_of_decades_holds_what_it_shall() -> None:
    for least, most in ((0.0, 0.0), (1e-5, 1e9), (0.2, 0.9), (0.003, 40.0), (59, 61), (7, 7)):
        scale = LogScale.between(least, most, height=100)
        assert 2 <= len(scale.steps) <= 8
        assert scale.steps[0] <= max(least, 1e-5)
        assert scale.y(most) >= scale.y(1e12)
        assert scale.y(least) >= scale.y(most) >= 8
    labels = re.findall(r">([^<]+)</text>", LogScale.between(0.002, 700, height=100).labels())
    assert labels == ["1 ms", "100 ms", "10 s", "10 m"] + ["10 h"] * (len(labels) - 4)


def test_a_point_alone_is_a_dot_and_the_last_one_is_not_over() -> None:
    points = [(1.0, 2.0, 3.0), None, (1.0, 2.0, 3.0), (1.0, 2.0, 4.0), (1.0, 2.0, 4.0)]
    drawn = quantiles.Quantiles(
        "run-chart",
        "Run time",
        "words",
        [60_000 * i for i in range(5)],
        points,
        [1] * 5,
        60,
        60,
        30,
    )
    html = quantiles.chart(drawn)
    assert html.count("<circle") == 3
    assert html.count("dashed") == 3
    assert "Timeout of 30.0 s" in html
    assert quantiles.table(drawn).count('<th scope="row">') == 4


def test_the_charts_tell_of_the_period_and_of_what_is_new(admin: Client, emails: Queue) -> None:
    counted(emails, {"welcome": (50, 0.1, 0)}, ago=90)
    counted(emails, {"welcome": (100, 0.4, 5), "urgent": (10, 20.0, 0)})
    page = admin.get("/queues/emails/?period=1h").content.decode()
    run = part(page, 'id="run-title"', 'id="wait-title"')
    said = re.search(r'aria-label="(Run time[^"]*)"', run)
    assert said is not None
    assert said[1].startswith("Run time of 110 jobs: half up to 3")
    assert "p95 is 2" in plain(run)
    assert "times that of the period before" in plain(run)
    names = plain(part(page, 'id="queue-names"', "</table>"))
    assert re.search(r"welcome 100 5\.0 % (3|4)\d\d ms (3|4)\d\d ms urgent 10 0 ", names)
    assert "in the last hour" in page
    # The same as a table, and of one name alone.
    table = admin.get("/queues/emails/?period=1h&table=1&job=urgent").content.decode()
    run = plain(part(table, 'id="run-chart"', "</table>"))
    assert re.search(r"From p50 p95 p99 Jobs \d\d:\d\d:\d\d (\d\d\.\d s ){3}10 ", run)
    assert '<option value="urgent" selected>urgent</option>' in table
    assert 'data-live-id="name:urgent"' in table
    assert "?period=6h&amp;table=1&amp;job=urgent" in table
    # Longer periods are made of quarters and hours.
    for period in ("6h", "24h", "7d"):
        page = admin.get(f"/queues/emails/?period={period}").content.decode()
        assert 'aria-label="Run time of 160 jobs' in page


def test_errors_are_counted_by_their_kind(admin: Client, person: Person, emails: Queue) -> None:
    errors = {
        "a" * 16: refused(),
        "b" * 16: refused("urgent", 3),
        "c" * 16: {"name": "welcome", "kind": "KeyError", "message": "KeyError: 'x'", "count": 2,
                   "reason": "KeyError: 'x'", "first": 90_000_000},
    }  # fmt: skip
    counted(emails, {"welcome": (20, 0.4, 14), "urgent": (4, 0.1, 3)}, errors)
    page = admin.get("/queues/emails/").content.decode()
    table = part(page, 'id="queue-errors"', "</section>")
    first, second = re.findall(r'<tr><th scope="row" class="q-error">.*?</tr>', table)
    words = plain(first)
    assert "SMTPRecipientsRefused 550 no relay for user <n>" in words.replace("&lt;n&gt;", "<n>")
    assert "urgent, welcome · shop.mail:send New 15 " in words
    assert "hunter" not in table  # a secret is masked, also in the link to the jobs
    assert "state=failed&amp;q=error%3A%22550+no+relay+for+user%22" in first
    assert first.count('class="spark bad"') == 1
    assert "New" not in plain(second)
    assert "'x'" in plain(second).replace("&#x27;", "'")
    # The sample of failed jobs is of the same workers: it is not shown beside it.
    assert "the relay is away" not in page
    one = admin.get("/queues/emails/?job=urgent").content.decode()
    assert len(re.findall(r'class="q-error"', one)) == 1
    blind = person("view").get("/queues/emails/").content.decode()
    assert "SMTP" not in blind
    assert "may be read by those who may see payloads" in blind


def test_where_others_work_the_page_says_what_bullmq_knows(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    redis_client.delete(*redis_client.keys("qc:bull::worker*"))
    page = admin.get("/queues/emails/").content.decode()
    assert "Only workers of QueueCore tell times; none ran a job in this period." in page
    figures = plain(part(page, 'id="run-figures"', "</dl>"))
    assert re.search(r"p50 \d+ ms p95 \d+ ms p99 \d+ ms", figures)
    assert "ConnectionError" in part(page, 'id="queue-errors"', "</section>")
    assert "of all that failed" in page
    # Both work: what ours counted first, then what else the newest failed jobs say.
    connection = redis_client.connection_pool.get_connection()
    connection.send_command("CLIENT", "SETNAME", "bull:ZW1haWxz")
    connection.read_response()
    live_state._facts.clear()  # workers are listed every ten seconds
    counted(emails, {"welcome": (20, 0.4, 14)}, {"a" * 16: refused()})
    page = admin.get("/queues/emails/").content.decode()
    errors = plain(part(page, 'id="queue-errors"', "</section>"))
    assert "In the newest failed jobs, of other workers" in errors
    assert errors.index("SMTPRecipients") < errors.index("ConnectionError")
    assert "Jobs that other workers ran are not counted in it." in page
    connection.disconnect()


def test_what_is_over_is_read_once(
    emails: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(emails, {"welcome": (5, 0.1, 0)}, ago=30)
    asked = [(TOPIC, ["panels", "period:1h"])]
    tempo.look("default", asked)
    redis_client.config_resetstat()
    counted(emails, {"welcome": (7, 0.1, 0)})
    found = tempo.look("default", asked)["emails"]
    # A small part of 120 minutes, in each of two pipelines.
    assert redis_client.info("commandstats")["cmdstat_hlen"]["calls"] <= 6 + 4
    assert tempo.figures(found.last("1h"), "welcome").completed == 12
    assert tempo.figures(found.last("15m"), "welcome").completed == 7
    # All of it again now and then, for what was told late.
    counted(emails, {"welcome": (3, 0.1, 0)}, ago=40)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 150)
    found = tempo.look("default", asked)["emails"]
    assert tempo.figures(found.last("1h"), "welcome").completed == 15
    assert tempo.look("default", [(TOPIC, ["period:1h"])]) == {}


def test_it_is_drawn_once_for_all_who_see_the_same(
    emails: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(emails, {"welcome": (5, 0.1, 0)})
    ids = ["panels", "period:1h"]
    state = read(TOPIC, ids)
    drawn = []
    draw = quantiles.chart
    monkeypatch.setattr(quantiles, "chart", lambda one: drawn.append(one) or draw(one))
    for payload in (True, True, False):
        fragments(state, TOPIC, Viewer(Scope(), payload, "en", "/"), ids)
    assert len(drawn) == 4
    fragments(state, TOPIC, Viewer(Scope(), True, "de", "/"), ids)
    assert len(drawn) == 6


@pytest.mark.django_db(transaction=True)
async def test_an_open_page_hears_of_it(
    pages: Any, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOURCES, "tempo", replace(SOURCES["tempo"], period=0.3))
    queue = Queue("emails")
    await queue.aadd("welcome")
    await sync_to_async(counted)(queue, {"welcome": (5, 0.1, 0)})
    user = await sync_to_async(make_user)("olga", "view", "view_payload")
    page = await pages(user)
    await page.subscribe(str(TOPIC), "panels", "period:1h")
    await page.until(lambda p: "of 5 jobs" in p.shown.get("run-chart", ""))
    await sync_to_async(counted)(queue, {"welcome": (6, 0.1, 2)}, {"a" * 16: refused()})
    await page.until(lambda p: "of 11 jobs" in p.shown["run-chart"])
    await page.until(lambda p: "SMTPRecipientsRefused" in p.shown["queue-errors"])
    assert "button" not in page.shown["queue-errors"]


def test_queues_are_sorted_by_their_times(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    for name, seconds in (("emails", 2.0), ("slow", 50.0), ("quick", 0.01)):
        Queue(name).add("x")
        counted(Queue(name), {"a": (20, seconds, 0)})
    Queue("quiet").add("x")
    workers = [
        fleet.worker(f"{n:032x}", name)
        for n, name in enumerate(("emails", "slow", "quick", "quiet"))
    ]
    fleet.process(redis_client, *workers)
    page = admin.get("/queues/?times=1&sort=run").content.decode()
    order = re.findall(r'data-live-id="default:(\w+)" data-row', page)
    assert order[:3] == ["slow", "emails", "quick"]
    assert 'class="table table-full queue-table with-times"' in page
    # Of the queues that workers of ours serve, and once for all who look in ten seconds.
    redis_client.config_resetstat()
    assert admin.get("/queues/").status_code == 200
    assert "cmdstat_zrangebyscore" not in redis_client.info("commandstats")
    row = plain(part(page, 'data-live-id="default:slow"', "</tr>"))
    assert re.search(r" [45]\.\d s (4|5)\d\.\d s ", row)
    assert re.search(r'sort=-run&amp;times=1">Run p95', page)


def test_a_new_error_needs_attention(
    admin: Client, person: Person, emails: Queue, redis_client: redis.Redis
) -> None:
    counted(emails, {"welcome": (200, 0.1, 12)}, {"a" * 16: refused(), "b" * 16: refused("x", 6)})
    page = admin.get("/").content.decode()
    line = part(page, 'id="attention"', "</ul>")
    words = plain(line)
    assert "New error in welcome: SMTPRecipientsRefused 12 times so far, and 1 more kind" in words
    assert "550" not in words  # what a message tells is for those who may see payloads
    assert 'href="/queues/emails/#errors-title"' in line
    assert "kind=new-error" in line
    blind = person("view").get("/").content.decode()
    assert "New error in welcome: SMTPRecipientsRefused" in plain(blind)
    hidden = person("view", name="other", scope=("orders",)).get("/").content.decode()
    assert "SMTPRecipientsRefused" not in hidden
    # It is muted as other trouble is; one that comes after that is heard of.
    dialog = admin.get("/queues/emails/confirm/mute/?kind=new-error").content.decode()
    assert "Mute “a new kind of error” of emails" in dialog
    # What is an hour old, or came rarely, is no news.
    redis_client.delete("qc:bull:emails:errors", "qc:bull:emails:sightings")
    old = {"c" * 16: refused(first=4_000_000), "d" * 16: refused(count=4)}
    counted(emails, {"welcome": (200, 0.1, 12)}, old)
    live_state._facts.clear()
    assert "New error" not in plain(admin.get("/").content.decode())


def test_jobs_of_a_kind_are_found_by_what_all_share() -> None:
    def found(message: str, reason: str) -> str:
        one = Failure("a", 1, None, None, "n", "E", message, "", "1", reason, "")
        return failures.findable(one)

    assert found("no user <n> in <uuid>, sorry", "no user 7 in 0-0, sorry") == "no user"
    assert found("<n>", "7") == ""
    assert found("token=<hex> of <n> things", "token=abc of 7 things") == "token="
    assert found("a b c d e", "a b\nc d e") == ""
    assert found("", "") == ""


def test_a_job_is_compared_with_a_day_of_its_name(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    counted(emails, {"welcome": (30, 2.0, 0)}, ago=60 * 23)
    counted(emails, {"welcome": (30, 0.02, 0), "urgent": (7, 9.0, 0)})
    counted(emails, {"welcome": (500, 100.0, 0)}, ago=60 * 30)
    done = int(redis_client.hget("bull:emails:completed-1", "processedOn") or 0) + 3_000
    redis_client.hset("bull:emails:completed-1", "finishedOn", done)
    page = plain(admin.get("/queues/emails/jobs/completed-1/?tab=peers").content.decode())
    assert re.search(r"60 runs in the last 24 hours: half took up to \d\d ms, 95 % up to", page)
    assert re.search(r"Half of them waited up to \d ms before, 95 % up to \d\d\d ms\.", page)
    assert "This one took longer than 99.9 % of them." in page
