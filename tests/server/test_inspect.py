"""The read side on data made by raw commands: what is there, what is spoilt, what is too big."""

import asyncio
import base64
import json
import time
from datetime import UTC, datetime, timedelta

import pytest
import redis

from queuecore import inspect
from queuecore.inspect import STATES, Inspector, Wants

MS = 1_700_000_000_000
AT = datetime.fromtimestamp(MS / 1000, UTC)


@pytest.fixture
def inspector(server):
    return Inspector()


@pytest.fixture
async def async_inspector(server):
    inspector = Inspector()
    yield inspector
    await inspector.connection.aclose()


def put_job(client, job_id, state=None, score=0.0, queue="emails", **fields):
    """Write a job as a peer would: its hash, and its id into a state."""
    base = f"bull:{queue}:"
    client.hset(base + "meta", "opts.maxLenEvents", "10000")
    job = {"name": "welcome", "data": '{"a":1}', "opts": '{"attempts":3}', "timestamp": MS}
    job |= {"delay": 0, "priority": 0} | fields
    client.hset(base + job_id, mapping={k: v for k, v in job.items() if v is not None})
    if state in ("wait", "paused", "active"):
        client.lpush(base + state, job_id)
    elif state:
        client.zadd(base + state, {job_id: score})


def test_a_queue_is_found_by_exactly_one_segment(inspector, redis_client):
    for key in ("bull:plain:meta", "bull:with space:meta", "bull:{tag}:meta", "bull:*:meta"):
        redis_client.hset(key, "paused", 0)
    for key in ("bull::meta", "bull:a:b:meta", "other:x:meta", "bull:y:met", "qc:bull:z:meta"):
        redis_client.hset(key, "paused", 0)
    redis_client.set("bull:text:meta", "no hash")
    assert inspector.discover(scan=True) == ["*", "plain", "with space", "{tag}"]


@pytest.mark.parity("Queue(connection, prefix)")
def test_a_prefix_with_pattern_characters_is_taken_literally(server, redis_client, settings):
    redis_client.hset("a[b]*?\\-^:in:meta", "x", 1)
    redis_client.hset("abZZ\\-^:out:meta", "x", 1)
    settings.QUEUECORE = settings.QUEUECORE | {
        "CONNECTIONS": {"default": {"URL": server.url, "PREFIX": "a[b]*?\\-^"}}
    }
    assert Inspector().discover(scan=True) == ["in"]


def test_a_registered_queue_is_known_without_a_scan_while_it_exists(inspector, redis_client):
    redis_client.sadd("qc:bull::queues", "emails", "gone")
    redis_client.hset("bull:emails:meta", "x", 1)
    assert inspector.discover(scan=False) == ["emails"]
    redis_client.delete("bull:emails:meta")
    assert inspector.discover(scan=False) == []


def test_a_queue_is_known_by_its_waiting_worker(server, inspector):
    with server.client() as worker, server.client() as stranger:
        worker.client_setname("bull:" + base64.b64encode(b"nightly").decode() + ":w:mule-1")
        stranger.client_setname("bull:" + base64.b64encode(b"events").decode() + ":qe")
        assert inspector.discover(scan=False) == ["nightly"]
        (found,) = inspector.workers()
        assert (found.queue, found.name, found.client_id) == (
            "nightly",
            "mule-1",
            worker.client_id(),
        )


def test_what_one_process_found_by_a_scan_others_know(inspector, redis_client):
    redis_client.hset("bull:emails:meta", "x", 1)
    inspector.discover(scan=True)
    assert redis_client.smembers("qc:bull::queues") == {"emails"}


def test_a_scan_goes_on_where_it_stopped_and_keeps_its_pace(inspector, redis_client, monkeypatch):
    monkeypatch.setattr(inspect, "STEP_KEYS", 10)
    monkeypatch.setattr(inspect, "FIRST_STEPS", 1)
    monkeypatch.setattr(inspect, "LATER_STEPS", 1)
    monkeypatch.setattr(inspect, "FIRST_REST", inspect.LATER_REST)
    monkeypatch.setattr(inspect, "_scans", {})
    for number in range(150):
        redis_client.hset(f"bull:q{number}:meta", "x", 1)
    redis_client.config_resetstat()
    counts = [len(inspector.discover())]
    deadline = time.monotonic() + 60
    while counts[-1] < 150:
        assert time.monotonic() < deadline
        counts.append(len(inspector.discover()))
    assert counts[0] < 100
    scans = redis_client.info("commandstats")["cmdstat_scan"]
    assert scans["calls"] >= 10
    # Most of the calls rested: a hundredth of the time is what the scan may take.
    assert scans["calls"] < len(counts) / 3


def test_a_snapshot_of_everything(inspector, redis_client):
    put_job(redis_client, "1", "wait", timestamp=MS + 5000)
    put_job(redis_client, "2", "paused", timestamp=MS)
    put_job(redis_client, "3", "active")
    put_job(redis_client, "4", "delayed", (MS + 60_000) * 4096 + 7)
    put_job(redis_client, "5", "prioritized", 3 * 2**32, timestamp=MS + 1000)
    put_job(redis_client, "6", "waiting-children", MS)
    put_job(redis_client, "7", "completed", MS)
    put_job(redis_client, "8", "failed", MS)
    put_job(redis_client, "9", "failed", MS)
    redis_client.hset(
        "bull:emails:meta",
        mapping={"paused": 1, "concurrency": 5, "max": 10, "duration": 1000, "version": "bullmq:6"},
    )
    redis_client.set("bull:emails:limiter", 10, px=60_000)
    redis_client.hset("bull:emails:metrics:completed", "count", 41)
    redis_client.hset("bull:emails:metrics:failed", "count", 2)
    event = redis_client.xadd("bull:emails:events", {"event": "added"})
    found = inspector.snapshots(["emails"])["emails"]
    assert found.counts == {
        "waiting": 2,
        "prioritized": 1,
        "active": 1,
        "delayed": 1,
        "waiting-children": 1,
        "completed": 1,
        "failed": 2,
    }
    assert tuple(found.counts) == STATES
    assert found.waiting == 3
    assert (found.paused, found.concurrency) == (True, 5)
    assert (found.limit_max, found.limit_duration_ms) == (10, 1000)
    assert 50_000 < found.limiter_ttl_ms <= 60_000
    assert found.oldest_wait == AT
    assert found.next_delayed.timestamp() * 1000 == MS + 60_000
    assert (found.completed_total, found.failed_total) == (41, 2)
    assert (found.version, found.event_id, found.alias) == ("bullmq:6", event, "default")
    assert abs(found.at.timestamp() - time.time()) < 5


def test_a_snapshot_of_a_queue_that_is_not_there(inspector):
    found = inspector.snapshots(["nothing"])["nothing"]
    assert set(found.counts.values()) == {0}
    assert (found.paused, found.concurrency, found.oldest_wait) == (False, None, None)
    assert (found.completed_total, found.event_id, found.version) == (None, "0-0", "")


@pytest.mark.parametrize(
    ("value", "limited"),
    [("9", False), ("10", True), ("9007199254740991", True), ("many", False)],
)
def test_a_rate_limit_holds_from_its_maximum_on(inspector, redis_client, value, limited):
    redis_client.hset("bull:emails:meta", "max", 10)
    redis_client.set("bull:emails:limiter", value, px=60_000)
    assert bool(inspector.snapshots(["emails"])["emails"].limiter_ttl_ms) is limited


KEYS = [
    *("wait", "paused", "prioritized", "active", "delayed", "waiting-children", "completed"),
    *("failed", "meta", "limiter", "metrics:completed", "metrics:failed", "events"),
    *("1", "1:lock", "1:logs"),
]


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("kind", ["string", "list", "set", "zset", "hash"])
def test_any_key_may_be_of_a_wrong_type(inspector, redis_client, key, kind):
    put_job(redis_client, "1", "active")
    redis_client.delete(f"bull:emails:{key}")
    {
        "string": lambda k: redis_client.set(k, "x"),
        "list": lambda k: redis_client.rpush(k, "x"),
        "set": lambda k: redis_client.sadd(k, "x"),
        "zset": lambda k: redis_client.zadd(k, {"x": 1}),
        "hash": lambda k: redis_client.hset(k, "x", "y"),
    }[kind](f"bull:emails:{key}")
    inspector.discover(scan=True)
    found = inspector.snapshots(["emails"], since=AT, event_ids={"emails": "1-1"})["emails"]
    assert set(found.counts) == set(STATES)
    for state in STATES:
        page = inspector.jobs("emails", state)
        assert page.total == found.counts[state]
    inspector.rows("emails", ["1", "x"])
    inspector.job("emails", "1")
    inspector.logs("emails", "1")
    reading = inspector.read(Wants(before=[("emails", state, "1") for state in STATES]))
    assert all(isinstance(count, int) for count in reading.before.values())


def test_a_queue_that_is_all_strings_reads_as_empty(inspector, redis_client):
    for key in KEYS:
        redis_client.set(f"bull:emails:{key}", "x" * 100)
    found = inspector.snapshots(["emails"])["emails"]
    assert set(found.counts.values()) == {0}
    assert (found.event_id, found.concurrency) == ("", None)


def test_pages_stand_in_the_order_of_bullmq(inspector, redis_client):
    for number in range(1, 8):
        put_job(redis_client, f"w{number}", "wait")
        put_job(redis_client, f"c{number}", "completed", MS + number)
        put_job(redis_client, f"d{number}", "delayed", (MS + number) * 4096)
    put_job(redis_client, "p1", "paused")
    put_job(redis_client, "p2", "paused")

    def ids(state, offset, limit):
        page = inspector.jobs("emails", state, offset=offset, limit=limit)
        return page.total, [row.id for row in page.rows]

    assert ids("waiting", 0, 3) == (9, ["w1", "w2", "w3"])
    assert ids("waiting", 5, 3) == (9, ["w6", "w7", "p1"])
    assert ids("waiting", 7, 3) == (9, ["p1", "p2"])
    assert ids("waiting", 9, 3) == (9, [])
    assert ids("completed", 0, 2) == (7, ["c7", "c6"])
    assert ids("completed", 6, 2) == (7, ["c1"])
    assert ids("delayed", 0, 2) == (7, ["d1", "d2"])
    assert ids("failed", 0, 2) == (0, [])
    assert inspector.jobs("emails", "delayed").rows[0].due.timestamp() * 1000 == MS + 1


def test_a_page_is_bounded_whatever_is_asked(inspector, redis_client):
    for number in range(250):
        put_job(redis_client, f"j{number}", "completed", MS + number)
    assert len(inspector.jobs("emails", "completed", limit=10**9).rows) == 200
    assert inspector.jobs("emails", "completed", offset=-5, limit=-5).rows[0].id == "j249"
    assert inspector.jobs("emails", "completed", offset=10**30).rows == []
    with pytest.raises(ValueError, match="waiting-children"):
        inspector.jobs("emails", "wait")


def test_ids_without_a_hash_are_named_as_orphans(inspector, redis_client):
    put_job(redis_client, "1", "completed", MS)
    redis_client.zadd("bull:emails:completed", {"2": MS + 1, "3": MS - 1})
    page = inspector.jobs("emails", "completed")
    assert ([row.id for row in page.rows], page.orphans, page.total) == (["1"], ["2", "3"], 3)


def test_a_row_of_a_failed_job(inspector, redis_client):
    put_job(
        redis_client,
        "1",
        "failed",
        MS,
        processedOn=MS + 1,
        finishedOn=MS + 2,
        atm=3,
        ats=4,
        stc=1,
        progress="50",
        failedReason="e" * 1000,
        pb="mule",
        parentKey="bull:reports:9",
        rjk="nightly",
        priority=7,
        delay=250,
        data=json.dumps({"text": "ä" * 1000}, ensure_ascii=False),
    )
    (row,) = inspector.jobs("emails", "failed").rows
    assert (row.id, row.name, row.state) == ("1", "welcome", "failed")
    assert row.timestamp == AT
    assert (row.processed_on - row.timestamp).total_seconds() == 0.001
    assert (row.finished_on - row.timestamp).total_seconds() == 0.002
    assert (row.attempts_made, row.attempts_started, row.max_attempts) == (3, 4, 3)
    assert (row.stalled_count, row.progress, row.processed_by) == (1, "50", "mule")
    assert (row.parent_key, row.scheduler_id) == ("bull:reports:9", "nightly")
    assert (row.priority, row.delay_ms, row.due) == (7, 250, None)
    assert (row.failed_reason, row.reason_size) == ("e" * 299 + "…", 1000)
    assert row.data_preview == '{"text": "' + "ä" * 389 + "…"
    assert row.data_size == 2000 + len('{"text": ""}')


@pytest.mark.parametrize("value", ["", "x", "-1", "1e999", "9" * 5000, "NaN", " ", "\x00", "🎉"])
def test_a_row_of_spoilt_numbers(inspector, redis_client, value):
    numbers = ["timestamp", "processedOn", "finishedOn", "delay", "priority", "atm"]
    numbers += ["attemptsMade", "ats", "stc"]
    put_job(redis_client, "1", "delayed", float("inf"), opts=value, **dict.fromkeys(numbers, value))
    (row,) = inspector.jobs("emails", "delayed").rows
    assert (row.timestamp, row.due) == (None, None)
    assert (row.max_attempts, row.initial_delay_ms) == (None, 0)
    assert inspector.job("emails", "1").row == row
    assert inspector.snapshots(["emails"])["emails"].next_delayed is None


def test_bytes_that_are_no_text_stay_visible(inspector, server):
    with redis.Redis(unix_socket_path=str(server.socket)) as client:
        client.hset(b"bull:emails:1\xff", mapping={b"name": b"\xfe!", b"timestamp": b"1"})
        client.zadd("bull:emails:failed", {b"1\xff": 1})
    (row,) = inspector.jobs("emails", "failed").rows
    assert (row.id, row.name) == ("1\\xff", "\\xfe!")


def test_a_character_cut_in_two_does_not_show(inspector, redis_client):
    put_job(redis_client, "1", "failed", MS, data="x" + "🎉" * 1000)
    (row,) = inspector.jobs("emails", "failed").rows
    assert row.data_preview == "x" + "🎉" * 398 + "…"


def test_deep_json_in_options_is_no_error(inspector, redis_client):
    put_job(redis_client, "1", "failed", MS, opts="[" * 60_000)
    assert inspector.jobs("emails", "failed").rows[0].max_attempts is None


def test_big_values_are_not_loaded_into_a_list(inspector, redis_client):
    big = "x" * 5_000_000
    for number in range(8):
        put_job(redis_client, f"j{number}", "failed", number, data=big, failedReason=big, name=big)
    before = redis_client.info("stats")["total_net_output_bytes"]
    page = inspector.jobs("emails", "failed", limit=50)
    assert redis_client.info("stats")["total_net_output_bytes"] - before < 100_000
    assert len(page.rows) == 8
    for row in page.rows:
        assert (row.data_preview, row.failed_reason, row.name) == ("", "", "")
        assert (row.data_size, row.reason_size) == (5_000_000, 5_000_000)


def test_rows_on_screen_are_followed_into_their_state(inspector, redis_client):
    states = {
        "a": ("wait", "waiting"),
        "b": ("paused", "waiting"),
        "c": ("active", "active"),
        "d": ("delayed", "delayed"),
        "e": ("prioritized", "prioritized"),
        "f": ("waiting-children", "waiting-children"),
        "g": ("completed", "completed"),
        "h": ("failed", "failed"),
        "i": (None, "unknown"),
    }
    for job_id, (key, _) in states.items():
        put_job(redis_client, job_id, key, 4096)
    rows = inspector.rows("emails", [*states, "gone"])
    assert [row and row.state for row in rows] == [*(state for _, state in states.values()), None]


def test_in_a_long_wait_list_a_row_is_taken_for_waiting(inspector, redis_client):
    for number in range(1001):
        redis_client.lpush("bull:emails:wait", f"x{number}")
    put_job(redis_client, "1")
    assert inspector.rows("emails", ["1"])[0].state == "waiting"
    assert inspector.job("emails", "1").row.state == "unknown"


@pytest.mark.parametrize(
    "job_id",
    [
        "meta",
        "wait",
        "events",
        "1:lock",
        "1:logs",
        "metrics:completed",
        "repeat:nightly",
        "",
        "x" * 2000,
    ],
)
def test_other_keys_are_no_jobs(inspector, redis_client, job_id):
    put_job(redis_client, "1", "wait")
    redis_client.set("bull:emails:1:lock", "token")
    redis_client.rpush("bull:emails:1:logs", "line")
    redis_client.hset("bull:emails:metrics:completed", "count", 4)
    redis_client.hset("bull:emails:repeat:nightly", mapping={"name": "n", "data": "{}", "ic": 1})
    assert inspector.job("emails", job_id) is None
    assert inspector.rows("emails", [job_id]) == [None]
    redis_client.lpush("bull:emails:wait", *(f"x{n}" for n in range(1500)))
    assert inspector.rows("emails", [job_id]) == [None]


def test_everything_about_one_job(inspector, redis_client):
    put_job(
        redis_client,
        "1",
        "active",
        returnvalue='{"sent":true}',
        failedReason="why",
        stacktrace=json.dumps(["Error: a", "Error: b"]),
        own="field",
    )
    redis_client.set("bull:emails:1:lock", "token", px=30_000)
    redis_client.rpush("bull:emails:1:logs", "one", "two")
    job = inspector.job("emails", "1")
    assert (job.row.id, job.row.state) == ("1", "active")
    assert (job.data, job.data_size) == ('{"a":1}', 7)
    assert (job.returnvalue, job.opts) == ('{"sent":true}', '{"attempts":3}')
    assert (job.failed_reason, job.stacktrace) == ("why", ["Error: a", "Error: b"])
    assert 0 < job.lock_ttl_ms <= 30_000
    assert job.log_count == 2
    assert (job.fields["own"], job.field_sizes["own"]) == ("field", 5)
    assert inspector.job("emails", "2") is None


def test_big_values_of_one_job_are_cut(inspector, redis_client):
    put_job(
        redis_client,
        "1",
        "completed",
        MS,
        data="x" * 5_000_000,
        returnvalue="y" * 20_000_000,
        stacktrace='["' + "z" * 100_000 + '"]',
    )
    job = inspector.job("emails", "1")
    assert (len(job.data), job.data_size) == (65_536, 5_000_000)
    assert (job.returnvalue, job.returnvalue_size) == ("", 20_000_000)
    assert (len(job.stacktrace), len(job.stacktrace[0])) == (1, 65_536)
    assert len(job.fields["data"]) == 2048
    assert job.field_sizes["data"] == 5_000_000
    assert job.fields["returnvalue"] == ""


def test_a_hash_of_thousands_of_fields_is_not_listed(inspector, redis_client):
    put_job(redis_client, "1", "completed", MS, **{f"f{n}": "x" for n in range(5000)})
    job = inspector.job("emails", "1")
    assert job.fields == {}
    assert job.data == '{"a":1}'


def test_log_lines_are_paged_and_cut(inspector, redis_client):
    redis_client.rpush("bull:emails:1:logs", *(f"line {n}" for n in range(3000)))
    page = inspector.logs("emails", "1")
    assert (page.total, page.start, len(page.lines), page.lines[-1]) == (3000, 0, 1000, "line 999")
    assert inspector.logs("emails", "1", 2998, 10**12).lines == ["line 2998", "line 2999"]
    assert inspector.logs("emails", "1", -2, -1).lines == ["line 2998", "line 2999"]
    redis_client.rpush("bull:emails:2:logs", *["x" * 1_000_000] * 200)
    page = inspector.logs("emails", "2")
    assert (page.total, len(page.lines), {len(line) for line in page.lines}) == (200, 128, {4096})


def test_a_job_that_was_delayed_still_tells_by_how_much(inspector, redis_client):
    put_job(redis_client, "1", "wait", opts='{"attempts":3,"delay":60000.0}')
    (row,) = inspector.jobs("emails", "waiting").rows
    assert (row.delay_ms, row.initial_delay_ms) == (0, 60_000)


def test_finished_jobs_are_counted_by_their_time(inspector, redis_client):
    for number in range(5):
        put_job(redis_client, f"j{number}", "failed", MS + number)
    assert inspector.count_before("emails", "failed", AT) == 1
    assert inspector.count_before("emails", "failed", AT + timedelta(seconds=1)) == 5
    assert inspector.count_before("emails", "completed", AT) == 0
    assert inspector.count_before("emails", "waiting", AT) is None


def test_one_read_of_many_things(inspector, redis_client):
    for number in range(5):
        put_job(redis_client, f"j{number}", "failed", MS + number)
    put_job(redis_client, "1", "active", queue="reports")
    reading = inspector.read(
        Wants(
            queues=["emails", "reports"],
            rows={"emails": ["j1", "gone"], "reports": ["1", "meta"]},
            jobs=[("emails", "j2"), ("emails", "meta")],
            logs=[("reports", "1", 0, 9)],
            before=[
                ("emails", "failed", "j3"),
                ("emails", "failed", "x"),
                ("reports", "active", "1"),
            ],
        )
    )
    assert reading.queues["reports"].counts["active"] == 1
    assert {key: row and row.state for key, row in reading.rows.items()} == {
        ("emails", "j1"): "failed",
        ("emails", "gone"): None,
        ("reports", "1"): "active",
        ("reports", "meta"): None,
    }
    assert reading.jobs["emails", "j2"].row.id == "j2"
    assert reading.jobs["emails", "meta"] is None
    assert reading.logs["reports", "1"].total == 0
    assert reading.before == {("emails", "failed", "j3"): 1}


async def test_the_async_twins_read_the_same(async_inspector, redis_client):
    put_job(redis_client, "1", "failed", MS)
    redis_client.rpush("bull:emails:1:logs", "line")
    assert await async_inspector.adiscover(scan=True) == ["emails"]
    assert (await async_inspector.asnapshots(["emails"]))["emails"].counts["failed"] == 1
    assert (await async_inspector.ajobs("emails", "failed")).rows[0].id == "1"
    assert (await async_inspector.arows("emails", ["1"]))[0].id == "1"
    assert (await async_inspector.ajob("emails", "1")).row.id == "1"
    assert (await async_inspector.alogs("emails", "1")).lines == ["line"]
    assert await async_inspector.aworkers() == []
    assert (await async_inspector.aserver()).used_memory > 0
    assert (await async_inspector.aread(Wants(queues=["emails"]))).queues["emails"].name == "emails"


def test_the_server_tells_about_itself(inspector):
    info = inspector.server()
    assert info.kind in {"Redis", "Valkey"}
    assert int(info.version.split(".")[0]) >= 6
    assert (info.role, info.eviction_policy) == ("master", "noeviction")
    assert info.used_memory > 100_000
    assert info.uptime_s >= 0
    assert 0 < info.latency_ms < 1000
    assert not info.append_only


def test_a_server_that_keeps_its_secrets_is_unknown_not_empty(server, redis_client, settings):
    redis_client.acl_setuser(
        "reader",
        enabled=True,
        passwords=["+pw"],
        keys=["*"],
        commands=["+@all", "-client", "-info"],
    )
    settings.QUEUECORE = settings.QUEUECORE | {
        "CONNECTIONS": {"default": {"URL": server.url.replace("unix://", "unix://reader:pw@")}}
    }
    redis_client.sadd("qc:bull::queues", "emails")
    redis_client.hset("bull:emails:meta", "x", 1)
    try:
        reader = Inspector()
        assert reader.workers() is None
        assert reader.server() is None
        assert reader.discover(scan=False) == ["emails"]
    finally:
        redis_client.acl_deluser("reader")


def finished(client, queue, state, count, *, keep):
    """What a peer without metrics leaves of finished jobs."""
    now = round(time.time() * 1000)
    for number in range(count):
        client.xadd(f"bull:{queue}:events", {"event": state, "jobId": number, "prev": "active"})
        client.xadd(f"bull:{queue}:events", {"event": "waiting", "jobId": number})
        if keep:
            client.zadd(f"bull:{queue}:{state}", {str(number): now})


@pytest.mark.parametrize("keep", [True, False])
def test_finished_jobs_are_counted_without_metrics(inspector, redis_client, keep):
    finished(redis_client, "emails", "completed", 5, keep=keep)
    first = inspector.snapshots(["emails"])["emails"]
    time.sleep(0.002)
    finished(redis_client, "emails", "completed", 7, keep=False)
    if keep:
        now = round(time.time() * 1000)
        redis_client.zadd("bull:emails:completed", {f"n{n}": now for n in range(7)})
    finished(redis_client, "emails", "failed", 2, keep=keep)
    (found,) = inspector.snapshots(
        ["emails"], since=first.at, event_ids={"emails": first.event_id}
    ).values()
    assert (found.done, found.lost) == (7, 2)


def test_with_metrics_no_events_are_read(inspector, redis_client):
    first = inspector.snapshots(["emails"])["emails"]
    finished(redis_client, "emails", "completed", 5, keep=True)
    for state in ("completed", "failed"):
        redis_client.hset(f"bull:emails:metrics:{state}", "count", 5)
    (found,) = inspector.snapshots(
        ["emails"], since=first.at, event_ids={"emails": first.event_id}
    ).values()
    assert (found.done, found.completed_total) == (0, 5)


def test_of_very_many_events_a_part_is_read_and_the_rest_estimated(inspector, redis_client):
    pipe = redis_client.pipeline()
    for ms in range(1, 2001):
        pipe.xadd("bull:emails:events", {"event": "completed", "jobId": ms}, id=f"{MS + ms}-0")
    pipe.execute()
    (found,) = inspector.snapshots(["emails"], since=AT, event_ids={"emails": f"{MS}-0"}).values()
    assert found.done == 2000


async def test_a_watch_wakes_for_the_queue_that_has_news(async_inspector, redis_client):
    watch = async_inspector.watch()
    for queue in ("emails", "reports", "odd"):
        redis_client.xadd(f"bull:{queue}:events", {"event": "added"})
    seen = {
        name: one.event_id
        for name, one in (await async_inspector.asnapshots(["emails", "reports", "new"])).items()
    }
    assert await watch.changes(seen, 0.05) == set()
    waiting = asyncio.ensure_future(watch.changes(seen, 30))
    await asyncio.sleep(0.05)
    redis_client.xadd("bull:reports:events", {"event": "x"})
    assert await waiting == {"reports"}
    redis_client.xadd("bull:new:events", {"event": "x"})
    assert await watch.changes(seen, 30) == {"reports", "new"}
    await watch.close()


async def test_a_watch_of_a_key_that_is_no_stream_rests(async_inspector, redis_client):
    watch = async_inspector.watch()
    redis_client.set("bull:emails:events", "x")
    begun = time.monotonic()
    assert await watch.changes({"emails": "0-0"}, 0.2) == set()
    assert await watch.changes({"emails": ""}, 0.2) == set()
    assert time.monotonic() - begun >= 0.4
    await watch.close()


def test_deduplication_keys_are_found_with_their_jobs(inspector, redis_client):
    redis_client.set("bull:emails:de:of *[a]:1", "7", px=60_000)
    redis_client.set("bull:emails:de:for ever", "8")
    redis_client.set("bull:emailsXde:no", "9")
    redis_client.set("bull:other:de:no", "9")
    redis_client.hset("bull:emails:de:a hash", "x", "y")
    page = inspector.deduplication("emails")
    found = {one.id: one for one in page.keys}
    assert found.keys() == {"of *[a]:1", "for ever"}
    assert found["for ever"].ttl_ms is None
    assert 0 < found["of *[a]:1"].ttl_ms <= 60_000
    assert found["of *[a]:1"].job_id == "7"
    assert page.cursor == ""


def test_deduplication_keys_are_found_page_by_page(inspector, redis_client, monkeypatch):
    monkeypatch.setattr(inspect, "DEDUPLICATION_KEYS", 10)
    monkeypatch.setattr(inspect, "STEP_KEYS", 10)
    names = {f"id-{n}" for n in range(40)}
    for name in names:
        redis_client.set(f"bull:emails:de:{name}", "7")
    seen, cursor = set(), ""
    for _ in range(40):
        page = inspector.deduplication("emails", cursor)
        seen |= {one.id for one in page.keys}
        cursor = page.cursor
        if not cursor:
            break
    assert seen == names


@pytest.mark.parametrize("cursor", ["x", "-1", "9" * 30, "'; --"])
def test_a_cursor_that_is_none_begins_anew(inspector, redis_client, cursor):
    redis_client.set("bull:emails:de:one", "7")
    assert [one.id for one in inspector.deduplication("emails", cursor).keys] == ["one"]
