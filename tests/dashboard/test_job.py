"""The page of a job, tab by tab: flow, peers, log, values, history; bounded, scoped, hostile."""

import json
import re
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest
import redis
from django.test import Client

from dashboard.draw import copies, logs
from dashboard.live.fragments import fragments
from dashboard.live.state import Topic, read
from queuecore import Backoff, Deduplication, FlowJob, FlowProducer, Keep, Queue
from queuecore.inspect import LogPage
from tests.dashboard.hostile import CORPUS, PageReader, assert_harmless
from tests.dashboard.test_fragments import viewer
from tests.machine import PEERS
from tests.server.hands import Hands
from tests.server.test_inspect import put_job
from tests.servers import Server

Person = Callable[..., Client]
AT = "/queues/emails/jobs/"
TABS = (
    "summary",
    "attempts",
    "data",
    "result",
    "options",
    "logs",
    "flow",
    "peers",
    "raw",
    "history",
)


def page(client: Client, job: str, tab: str = "", **more: str) -> str:
    answer = client.get(f"{AT}{job}/", {"tab": tab, **more} if tab else more)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.fixture
def flow(emails: Queue) -> Queue:
    """emails: digest-1 waits for reports: page-1, page-2 and secrets: key-1."""
    FlowProducer().add(
        FlowJob(
            "digest",
            queue="emails",
            job_id="digest-1",
            children=[
                FlowJob("page", queue="reports", job_id="page-1"),
                FlowJob("page", queue="reports", job_id="page-2"),
                FlowJob("private-name", queue="secrets", job_id="key-1"),
            ],
        )
    )
    hands = Hands(Queue("reports"))
    (job,) = hands.claim()
    hands.complete(job, {"ok": True})
    return emails


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("job", ["failed-1", "completed-1", "active-1", "delayed-1", "digest-1"])
def test_every_tab_of_every_kind_of_job(tab: str, job: str, admin: Client, flow: Queue) -> None:
    text = page(admin, job, tab)
    assert f'id="tab-{tab}" data-tab aria-current="page"' in text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids)), sorted(id for id in ids if ids.count(id) > 1)


@pytest.mark.parametrize("shape", ["tree", "graph"])
def test_a_flow_leads_to_its_jobs(shape: str, admin: Client, flow: Queue) -> None:
    text = page(admin, "digest-1", "flow", **{"as": shape})
    for queue, job in (("reports", "page-1"), ("reports", "page-2"), ("secrets", "key-1")):
        assert f'href="/queues/{queue}/jobs/{job}/?tab=flow' in text
    assert "1 done" in text
    assert "2 waited for" in text
    child = admin.get("/queues/reports/jobs/page-2/", {"tab": "flow"}).content.decode()
    assert 'href="/queues/emails/jobs/digest-1/?tab=flow"' in child


@pytest.mark.parametrize("shape", ["tree", "graph"])
def test_jobs_of_queues_out_of_scope_are_not_told(shape: str, person: Person, flow: Queue) -> None:
    client = person("view", "view_payload", scope=("emails", "reports"))
    text = page(client, "digest-1", "flow", **{"as": shape})
    assert "/queues/reports/jobs/page-1/" in text
    for secret in ("secrets", "key-1", "private-name"):
        assert secret not in text
        assert secret not in page(client, "digest-1")
    assert "not yours to see" in text


def test_those_above_a_job_stand_in_one_row_with_it(admin: Client, flow: Queue) -> None:
    answer = admin.get("/queues/secrets/jobs/key-1/", {"tab": "flow", "as": "graph"})
    boxes = re.findall(r'<rect x="(\d+)" y="([\d.]+)"[^>]*class="(flow-box[^"]*)"', answer.text)
    (mine,) = [box for box in boxes if "flow-box-this" in box[2]]
    root = min(boxes, key=lambda box: int(box[0]))
    assert root[1] == mine[1]
    assert len(set(boxes)) == 4  # and none lies on another


def test_of_very_many_children_a_page_and_the_number_of_the_rest(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    put_job(redis_client, "wide", "waiting-children", 1, queue="emails")
    keys = [f"bull:emails:c{n}" for n in range(10_000)]
    redis_client.sadd("bull:emails:wide:dependencies", *keys)
    for shape in ("tree", "graph"):
        text = page(admin, "wide", "flow", **{"as": shape})
        (more,) = re.findall(r"\+ ([\d,]+) more", text)
        drawn = text.count('class="flow-row') if shape == "tree" else text.count('flow-box"') + 1
        assert int(more.replace(",", "")) == 10_000 - drawn + 1
        assert drawn <= 200
    following = re.search(r'\?tab=flow&amp;from=([\d.]+)">Next', page(admin, "wide", "flow"))
    first = set(re.findall(r"flow-name\">(c\d+)|>(c\d+)<", page(admin, "wide", "flow")))
    second = set(
        re.findall(
            r"flow-name\">(c\d+)|>(c\d+)<", page(admin, "wide", "flow", **{"from": following[1]})
        )
    )
    assert first
    assert second
    assert not first & second


def test_a_place_in_the_address_that_is_none_begins_anew(admin: Client, flow: Queue) -> None:
    for place in ("x", "9.9.9", "1.-1.0", "1.9999999999999999999999.0", "3.0.99999999"):
        assert "digest" in page(admin, "digest-1", "flow", **{"from": place})


def test_a_job_alone_has_no_flow(admin: Client, emails: Queue) -> None:
    assert "belongs to no flow" in page(admin, "failed-1", "flow")


def test_peers_are_drawn_and_this_one_is_marked(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    text = page(admin, "failed-1", "peers")
    assert text.count("peer-this") == 1
    assert f'href="{AT}completed-1/"' in text
    assert "1 of 2 failed." in text
    assert 'class="peer-strip"' in page(admin, "failed-1")
    assert "This job is not among them." in page(admin, "waiting-1", "peers")
    assert "ended last has this name" in page(admin, "prioritized-1", "peers")


def test_a_log_is_live_at_its_end_and_paged_and_searched_before(
    admin: Client, emails: Queue
) -> None:
    job = emails.get_job("failed-1")
    for n in range(420):
        job.log(f"step {n}" if n % 100 else f"TimeoutError at step {n}")
    text = page(admin, "failed-1", "logs")
    assert "last 200 of 420 lines" in text
    assert "step 419<" in text
    assert "step 219<" not in text
    assert text.count('class="log-error"') == 2
    assert "data-to-error" in text
    older = page(admin, "failed-1", "logs", before="220")
    assert "lines 1 to 220" in older
    assert "step 219<" in older
    assert "step 220<" not in older
    found = page(admin, "failed-1", "logs", q="TIMEOUT")
    assert found.count('class="log-error"') == 5
    assert "<mark>Timeout</mark>Error at step 0" in found
    assert "5 of lines 1 to 420" in found
    assert "No line holds it" in page(admin, "failed-1", "logs", q="nothing like it")
    for junk in ("x", "-1", "9" * 50, "0"):
        page(admin, "failed-1", "logs", before=junk)


def test_new_lines_change_the_last_block_alone(emails: Queue) -> None:
    lines = [f"line {n}" for n in range(180)]
    before = logs.blocks(LogPage(lines, 0, 180))
    after = logs.blocks(LogPage([*lines, "one more"], 0, 181))
    assert [*before] == [f"job-log-{n}" for n in range(4)]
    assert [id for id in after if after[id] != before.get(id)] == ["job-log-3"]
    full = logs.blocks(LogPage([f"line {n}" for n in range(200)], 0, 200))
    assert 'id="job-log-4"' in full["job-log-3"]
    # A window that has moved on sends whole blocks only, so what stands on the page stays.
    moved = logs.blocks(LogPage([f"line {n}" for n in range(30, 230)], 30, 230))
    assert [*moved] == [f"job-log-{n}" for n in range(1, 5)]
    assert moved["job-log-3"] == full["job-log-3"]


def test_the_log_of_a_page_holds_the_places_of_its_patches(emails: Queue) -> None:
    for count in (0, 1, 49, 50, 51, 199, 200, 230):
        window = LogPage([f"line {n}" for n in range(max(0, count - 200), count)], 0, count)
        shown = logs.live(window)
        assert len(re.findall(r"<p[ >]", shown)) == min(count, 200)
        for id in logs.blocks(window):
            assert shown.count(f'id="{id}"') == 1, (count, id)


def test_a_long_value_is_cut_loaded_whole_and_sent_as_a_file(
    admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    data = {"password": "hunter2", "text": "x" * 100_000 + "the end"}
    redis_client.hset("bull:emails:failed-1", "data", json.dumps(data))
    text = page(admin, "failed-1", "data")
    assert "Cut after" in text
    assert "the end" not in text
    assert "?tab=data&amp;all=1" in text
    whole = page(admin, "failed-1", "data", all="1")
    assert "the end" in whole
    assert "hunter2" not in whole
    sent = admin.get(f"{AT}failed-1/value/data/")
    assert sent["Content-Disposition"] == 'attachment; filename="job-data.json"'
    assert json.loads(sent.content) == data | {"password": "••••••••"}
    redis_client.hset("bull:emails:failed-1", "data", json.dumps("y" * 2_500_000))
    text = page(admin, "failed-1", "data", all="1")
    assert len(text) < 300_000
    assert "/value/data/" in text
    redis_client.hset("bull:emails:failed-1", "data", json.dumps("y" * 9_000_000))
    assert "too long for a browser" in page(admin, "failed-1", "data")
    assert admin.get(f"{AT}failed-1/value/data/").status_code == 404


@pytest.mark.parametrize("field", ["name", "token", "pb", "stacktrace"])
def test_only_three_fields_are_sent(field: str, admin: Client, emails: Queue) -> None:
    assert admin.get(f"{AT}failed-1/value/{field}/").status_code == 404


def test_a_job_as_python_runs_and_adds_such_a_job(admin: Client, emails: Queue) -> None:
    job = emails.add(
        "welcome",
        {"n": 1, "list": ["ü", None, True], "token": "t"},
        attempts=3,
        priority=2,
        backoff=Backoff.exponential(2, 0.5),
        remove_on_complete=Keep(count=5, age=60),
    )
    assert "<dt>Backoff</dt><dd>exponential, 2.0 s</dd>" in page(admin, job.id)
    text = page(admin, job.id, "data", **{"as": "python"})
    assert "Backoff.exponential(2, jitter=0.5)" in text
    code = copies.as_python("emails", job.name, json.dumps(job.data), json.dumps(job.opts))
    assert "'t'" not in code
    before = emails.get_job_counts()["prioritized"]
    exec(code, {})
    assert emails.get_job_counts()["prioritized"] == before + 1
    (new,) = [one for one in emails.get_jobs("prioritized") if one.data.get("token") == "••••••••"]
    assert new.opts == job.opts
    assert new.data == job.data | {"token": "••••••••"}
    given = json.loads(copies.as_json(job.name, json.dumps(job.data), json.dumps(job.opts)))
    assert given["opts"] == job.opts


def test_a_job_as_node_runs_and_adds_such_a_job(
    admin: Client, emails: Queue, node: Path, server: Server
) -> None:
    job = emails.add(
        "wel\u2028come",
        {"n": 1, "__proto__": {"x": 1}, "list": ["ü", None, True], "token": "t"},
        attempts=3,
        priority=2,
        keep_logs=7,
        backoff=Backoff.exponential(2, 0.5),
        remove_on_complete=Keep(count=5, age=60),
        deduplication=Deduplication("mine"),
    )
    text = unescape(page(admin, job.id, "data", **{"as": "node"}))
    assert 'await queue.add("wel⟨U+2028⟩come", {' in text
    code = copies.as_node("emails", "welcome", json.dumps(job.data), json.dumps(job.opts))
    assert '"t"' not in code
    code = code.replace('{ host: "localhost", port: 6379 }', f'{{ path: "{server.socket}" }}')
    subprocess.run(
        [node, "--input-type=module", "--eval", code],
        cwd=PEERS / "bullmq-6",
        check=True,
        timeout=60,
    )
    (new,) = [one for one in emails.get_jobs("prioritized") if one.name == "welcome"]
    assert new.data == job.data | {"token": "••••••••"}
    alone = {"de", "timestamp"}
    assert {k: v for k, v in new.opts.items() if k not in alone} == {
        k: v for k, v in job.opts.items() if k not in alone
    }
    assert 'prefix: "own"' in copies.as_node("emails", "x", "1", "{}", "own")
    assert copies.as_node("emails", "x", "{", "{}") == ""


def test_what_was_done_is_told_with_its_outcome(person: Person, emails: Queue) -> None:
    client = person("view", "view_audit", "retry")
    client.post(f"{AT}failed-1/retry/", {"reason": "relay <b>back</b>"})
    client.post(f"{AT}failed-1/retry/")
    text = page(client, "failed-1", "history")
    assert "“relay &lt;b&gt;back&lt;/b&gt;”" in text
    assert "no longer in a state" in text or "is not failed" in text
    assert re.search(r'href="/audit/[\w-]+/">Retry', text)
    stranger = person("view", name="ole")
    assert "view_audit" in page(stranger, "failed-1", "history")
    assert "relay" not in page(stranger, "failed-1", "history")


@pytest.mark.parametrize("tab", TABS)
def test_without_view_payload_no_tab_tells_what_a_job_holds(
    tab: str, person: Person, flow: Queue
) -> None:
    client = person("view", "view_audit", "retry", "edit_job", "add_job")
    for job in ("failed-1", "completed-1", "digest-1"):
        for more in ({}, {"as": "python", "q": "half", "all": "1"}):
            text = page(client, job, tab, **more)
            for secret in (
                "@example.com",
                "hunter2",
                "the relay is away",
                "half way",
                "sent&quot;",
            ):
                assert secret not in text
    text = page(client, "failed-1")
    assert "confirm/data/" not in text
    assert "confirm/duplicate/" not in text
    assert "confirm/priority/" in text


@pytest.mark.parametrize("tab", TABS)
def test_hostile_jobs_are_text_on_every_tab(
    tab: str, admin: Client, emails: Queue, redis_client: redis.Redis
) -> None:
    # Four of them a job: each page is asked for a few times instead of seventy.
    for number, text in enumerate("\n".join(CORPUS[n::5]) for n in range(5)):
        job, child = f"h{number}", f"{text[:300]}"
        put_job(
            redis_client,
            job,
            "failed",
            1_700_000_000_000 + number,
            name=text,
            data=json.dumps({text: text}),
            opts=json.dumps({"attempts": 2, "backoff": {"type": text}, text[:50]: text}),
            failedReason=text,
            stacktrace=json.dumps([text, f"Error: {text}\n    at f ({text}:1:2)"]),
            returnvalue=json.dumps([text]),
            progress=json.dumps(text),
            pb=text,
            rjk=text,
            deid=text,
            parentKey=f"bull:{text[:50]}:{text[:50]}",
            processedOn=1_700_000_000_000,
            finishedOn=1_700_000_001_000,
        )
        redis_client.rpush(f"bull:emails:{job}:logs", text, f"Error {text}")
        redis_client.sadd(f"bull:emails:{job}:dependencies", f"bull:emails:{child}", text)
        ways = {"flow": {"as": "graph"}, "data": {"as": "python"}, "logs": {"q": text[:100]}}
        for more in ({}, ways[tab]) if tab in ways else ({},):
            reader = PageReader()
            shown = page(admin, job, tab, **more)
            reader.feed(shown)
            assert reader.bad == [], (tab, text[:40], more)
            for character in "\x00\x07\x1b\x7f\u202e\u2066\u200b":
                assert character not in shown, (tab, more)
        if tab != "summary":
            continue
        topic = Topic("job", "default", "emails", id=job)
        for patch in fragments(read(topic), topic, viewer()).values():
            assert_harmless(patch.html or "")


def test_a_page_with_everything_is_asked_for_in_few_steps(
    admin: Client, flow: Queue, redis_client: redis.Redis
) -> None:
    page(admin, "digest-1")
    before = redis_client.info("commandstats")
    page(admin, "digest-1")
    after = redis_client.info("commandstats")
    calls = sum(
        after[name]["calls"] - before.get(name, {}).get("calls", 0)
        for name in after
        if name in ("cmdstat_evalsha", "cmdstat_eval", "cmdstat_fcall")
    )
    assert calls <= 16
