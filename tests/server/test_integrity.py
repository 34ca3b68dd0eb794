"""Damage is found and put right; a sound queue has none, and jobs in motion are never hurt."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import Deduplication, Group, JobSpec, Queue
from queuecore.integrity import BY_HAND, KINDS, Finding, Integrity, Report
from queuecore.wire.calls import mending
from queuecore.wire.calls.base import Call, Command
from tests import invariants
from tests.server.conftest import Do
from tests.server.flows import put_flow
from tests.server.hands import Hands
from tests.server.working import until, working

Client = redis.Redis


def check(do: Do, *queues: str, **options: Any) -> Report:
    report: Report = do(Integrity().check, list(queues) or ["q"], **options)
    return report


def found(report: Report) -> set[tuple[str, str]]:
    return {(one.kind, one.id) for one in report.findings}


def sound(queue: Queue, hands: Hands, client: Client) -> None:
    """A queue with a job in every state, a flow, a scheduler, deduplication ids, events."""
    queue.add("x", job_id="done")
    hands.complete_all(1)
    queue.add("x", job_id="lost")
    hands.fail_all(1)
    queue.add("x", job_id="runs")
    hands.claim(1)
    queue.add("x", job_id="waits")
    queue.add("x", job_id="a:b:logs")
    queue.add("x", job_id="first", priority=3)
    queue.add("x", job_id="later", delay=3600)
    queue.get_job("waits").log("a row")
    queue.upsert_job_scheduler("daily", every=86_400)
    queue.upsert_job_scheduler("rests", every=86_400)
    queue.pause_job_scheduler("rests")
    queue.add("x", job_id="once", deduplication=Deduplication("one"))
    client.set("bull:q:de:brief", "gone", px=60_000)
    queue.add("x", job_id="placed", group=Group("a"))
    queue.add("x", job_id="placed later", group=Group("a"), delay=3600)
    put_flow(client, {"child": {}}, parent_queue="q")


def damage(queue: Queue, client: Client) -> dict[str, str]:
    """Every kind of damage, one of each; the ids by kind."""
    base = "bull:q:"
    for job_id in ("ghost", "twice", "locked", "orphan", "ended", "parts", "stalls", "odd"):
        queue.add("x", {"n": 1}, job_id=job_id)
    client.delete(base + "ghost")
    client.zadd(base + "failed", {"twice": 5})
    client.set(base + "locked:lock", "w:1")
    client.lrem(base + "wait", 0, "orphan")
    client.lrem(base + "wait", 0, "ended")
    client.hset(base + "ended", mapping={"finishedOn": "5", "returnvalue": "1"})
    client.lrem(base + "wait", 0, "parts")
    queue.get_job("parts").log("a row")
    client.delete(base + "parts")
    client.lrem(base + "wait", 0, "stalls")
    client.lpush(base + "active", "stalls")
    client.lrem(base + "wait", 0, "odd")
    client.hdel(base + "odd", "data")
    client.hset(base + "mother", mapping=_job())
    client.zadd(base + "waiting-children", {"mother": 5})
    client.hset(base + "father", mapping=_job())
    client.zadd(base + "waiting-children", {"father": 5})
    client.sadd(base + "father:dependencies", "bull:q:never", "bull:q:waits")
    queue.add("x", job_id="placeless", group=Group("b"))
    client.delete("qc:bull:q:group:b")
    client.set(base + "de:stuck", "nobody")
    client.hset(base + "meta", "opts.maxLenEvents", "10")
    for _ in range(400):
        client.xadd(base + "events", {"event": "drained"})
    client.lpush(base + "paused", "elsewhere")
    client.hset(base + "elsewhere", mapping=_job())
    return {
        "ghost": "ghost",
        "twice": "twice",
        "lock": "locked",
        "orphan": "orphan",
        "parts": "parts",
        "unknown": "odd",
        "stalled": "stalls",
        "parent": "mother",
        "child": "father",
        "group": "placeless",
        "deduplication": "stuck",
        "events": "",
        "paused": "",
    }


def _job() -> dict[str, str]:
    return {"name": "x", "data": "{}", "opts": "{}", "timestamp": "1000"}


@pytest.mark.parametrize("paused", [False, True])
def test_a_sound_queue_has_no_findings(
    do: Do, queue: Queue, hands: Hands, redis_client: Client, paused: bool
) -> None:
    sound(queue, hands, redis_client)
    if paused:
        queue.pause()
    before = snapshot(redis_client)
    report = check(do, "q", "nothing")
    assert (report.findings, report.whole, report.total) == ([], True, 0)
    assert report.jobs == 14
    assert report.keys == len([key for key in before if key.startswith("bull:")])
    mended = do(Integrity().repair, ["q"])
    assert mended.total == 0
    assert snapshot(redis_client) == before


def test_a_queue_that_bullmq_5_paused_is_sound(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    redis_client.hset("bull:q:meta", "version", "bullmq:5.81.5")
    queue.add("x")
    queue.pause()
    queue.add("x")
    assert redis_client.exists("bull:q:paused")
    assert check(do).findings == []
    queue.resume()
    assert check(do).findings == []


def test_every_kind_is_found_and_the_check_changes_nothing(
    do: Do, queue: Queue, hands: Hands, redis_client: Client
) -> None:
    sound(queue, hands, redis_client)
    expected = damage(queue, redis_client)
    before = snapshot(redis_client)
    report = check(do)
    assert found(report) == set(expected.items()) | {("orphan", "ended")}
    assert {*expected, "marker", "overdue"} == set(KINDS)
    assert snapshot(redis_client) == before
    assert report.repairable == report.total - sum(report.kinds()[kind] for kind in BY_HAND)
    # All the queues there are: the damage of this one and nothing else.
    assert found(do(Integrity().check)) == found(report)


def test_a_repair_leaves_a_sound_queue(
    do: Do, queue: Queue, hands: Hands, redis_client: Client
) -> None:
    sound(queue, hands, redis_client)
    expected = damage(queue, redis_client)
    untouched = {name: redis_client.hgetall(f"bull:q:{name}") for name in ("waits", "done", "lost")}
    mended = do(Integrity().repair, ["q"])
    assert set(mended.kinds()) == set(expected) - BY_HAND
    after = check(do)
    assert set(after.kinds()) == {"unknown", "paused", "stalled"}
    assert do(Integrity().repair, ["q"]).total == 0  # idempotent
    state = {name: redis_client.lrange(f"bull:q:{name}", 0, -1) for name in ("wait", "active")}
    assert {"orphan", "twice", "locked", "mother"} <= set(state["wait"])
    assert "ghost" not in state["wait"]
    assert not redis_client.exists("bull:q:locked:lock", "bull:q:ended", "bull:q:parts:logs")
    assert redis_client.zscore("bull:q:failed", "twice") is None
    assert redis_client.smembers("bull:q:father:dependencies") == {"bull:q:waits"}
    assert redis_client.zscore("bull:q:waiting-children", "father") == 5
    assert not redis_client.exists("bull:q:de:stuck")
    assert redis_client.exists("bull:q:de:one", "bull:q:de:brief") == 2
    assert redis_client.xlen("bull:q:events") <= 10 + mending.SLACK
    assert redis_client.sismember("bull:q:stalled", "stalls")
    for name, before in untouched.items():
        assert redis_client.hgetall(f"bull:q:{name}") == before


def test_only_the_kinds_that_were_asked_for(
    do: Do, queue: Queue, hands: Hands, redis_client: Client
) -> None:
    damage(queue, redis_client)
    before = found(check(do))
    assert do(Integrity().repair, ["q"], kinds=["lock"]).kinds() == {"lock": 1}
    assert before - found(check(do)) == {("lock", "locked")}
    with pytest.raises(ValueError, match="no kind of finding"):
        do(Integrity().repair, ["q"], kinds=["locks"])


def test_jobs_that_nothing_announces(do: Do, queue: Queue, redis_client: Client) -> None:
    queue.add("x", job_id="a1")
    queue.add("x", job_id="a2", delay=3600)
    redis_client.delete("bull:q:marker")
    redis_client.zadd("bull:q:delayed", {"a2": (time.time() * 1000 - 60_000) * 4096})
    report = check(do)
    assert report.kinds() == {"marker": 1, "overdue": 1}
    queue.pause()
    assert check(do).kinds() == {}
    queue.resume()
    redis_client.delete("bull:q:marker")
    redis_client.set("bull:q:limiter", 5, px=60_000)
    assert check(do).kinds() == {"overdue": 1}
    redis_client.delete("bull:q:limiter")
    assert do(Integrity().repair, ["q"]).kinds() == {"marker": 1}  # which wakes one for both
    assert redis_client.zscore("bull:q:marker", "0") == 0
    assert check(do).kinds() == {}


@pytest.mark.parametrize(
    ("where", "stays"),
    [
        ({"active": True, "wait": True, "lock": True}, "active"),
        ({"active": True, "wait": True}, "wait"),
        ({"wait": True, "completed": 7, "finishedOn": 7}, "completed"),
        ({"wait": True, "failed": 7, "finishedOn": 7}, "failed"),
        ({"wait": True, "failed": 7}, "wait"),
        ({"completed": 7, "failed": 7, "finishedOn": 7}, "completed"),
        ({"delayed": 9e15, "prioritized": 5}, "prioritized"),
        ({"waiting-children": 5, "wait": True, "pending": True}, "waiting-children"),
        ({"waiting-children": 5, "wait": True}, "wait"),
        ({"active": True, "completed": 7, "finishedOn": 7}, "completed"),
        ({"wait": 2}, "wait"),
        ({"wait": True, "paused": True}, "wait"),
    ],
)
def test_where_a_job_that_stands_twice_stays(
    do: Do, queue: Queue, redis_client: Client, where: dict[str, Any], stays: str
) -> None:
    base = "bull:q:"
    redis_client.hset(base + "7", mapping=_job())
    for name, value in where.items():
        if name == "lock":
            redis_client.set(base + "7:lock", "w:1", px=60_000)
        elif name == "pending":
            redis_client.sadd(base + "7:dependencies", base + "8")
            redis_client.hset(base + "8", mapping=_job())
            redis_client.lpush(base + "wait", "8")
        elif name == "finishedOn":
            redis_client.hset(base + "7", "finishedOn", value)
        elif name in mending.LISTS:
            redis_client.lpush(base + name, *["7"] * int(value))
        else:
            redis_client.zadd(base + name, {"7": value})
    (finding,) = [one for one in check(do).findings if one.kind == "twice"]
    assert finding == Finding("q", "twice", "7", stays)
    do(Integrity().repair, ["q"], kinds=["twice"])
    at = [
        name
        for name in (*mending.LISTS, *mending.SETS)
        for one in (
            redis_client.lrange(base + name, 0, -1)
            if name in mending.LISTS
            else redis_client.zrange(base + name, 0, -1)
        )
        if one == "7"
    ]
    assert at == [stays]


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "waiting"),
        ({"priority": "3"}, "prioritized"),
        ({"delay": "3600000"}, "delayed"),
        ({"delay": "5", "timestamp": "1000"}, "waiting"),
        ({"pending": "1"}, "waiting-children"),
    ],
)
def test_an_orphan_that_never_ended_is_back_where_it_belongs(
    do: Do, queue: Queue, redis_client: Client, fields: dict[str, str], state: str
) -> None:
    row = _job() | {"timestamp": str(round(time.time() * 1000))} | fields
    if row.pop("pending", ""):
        redis_client.sadd("bull:q:7:dependencies", "bull:other:8")
    redis_client.hset("bull:q:7", mapping=row)
    report = check(do)
    assert [(one.kind, one.id, one.detail) for one in report.findings] == [
        ("orphan", "7", "restored")
    ]
    do(Integrity().repair, ["q"])
    assert queue.get_job("7").get_state() == state
    if state in ("waiting", "prioritized"):
        assert redis_client.zscore("bull:q:marker", "0") == 0
    elif state == "delayed":
        assert redis_client.zscore("bull:q:marker", "1")
    assert redis_client.xrevrange("bull:q:events", count=1)[0][1]["jobId"] == "7"
    assert "orphan" not in check(do).kinds()


def test_groups_find_their_jobs_their_turns_and_their_counts(
    do: Do, queue: Queue, hands: Hands, redis_client: Client
) -> None:
    own = "qc:bull:q:"
    queue.add_bulk([JobSpec("x", n, group=Group("lost")) for n in range(150)])
    queue.add("x", job_id="soon", group=Group("late"), delay=3600)
    queue.add("x", job_id="later", group=Group("late"), delay=7200)
    queue.add("x", job_id="never", group=Group("late"), delay=7200)
    queue.add("x", job_id="orphan", group=Group("late"), delay=3600)
    queue.add_bulk([JobSpec("x", n, group=Group("runs")) for n in range(3)])
    assert [job.gid for job in hands.claim(2)] == ["lost", "runs"]
    redis_client.zrem(own + "groups", "lost")  # it never has a turn
    redis_client.zrem(own + "group-delayed", "late")
    redis_client.zrem(own + "group-later:late", "never")
    redis_client.zrem("bull:q:waiting-children", "orphan")
    redis_client.zrem(own + "group-later:late", "orphan")
    redis_client.zadd(own + "group:runs", {"gone": 1})
    redis_client.hset(own + "group-running", "runs", 7)
    redis_client.hset(own + "group-active", "ended", "1 lost")
    redis_client.zrem(own + "groups", "runs")
    redis_client.sadd(own + "groups-maxed", "runs")
    before = snapshot(redis_client)
    report = check(do)
    details = {(one.kind, one.id, one.detail) for one in report.findings if one.detail}
    assert details == {
        ("group", "gone", "gone"),
        ("group", "runs", "count"),
        ("group", "lost", "count"),
        ("orphan", "orphan", "restored"),
    }
    assert {one.id for one in report.findings} >= {"soon", "later", "never"}
    assert report.counts["q", "group"] == 149 + 3 + 3
    assert snapshot(redis_client) == before
    do(Integrity().repair, ["q"])
    assert check(do).findings == []
    invariants.check(redis_client, "q")
    assert {(one.id, one.active, one.waiting) for one in queue.get_groups()} == {
        ("lost", 1, 149),
        ("runs", 1, 2),
    }
    assert queue.get_group_delayed_count("late") == 4


def test_groups_that_nothing_announces_are_announced(
    do: Do, queue: Queue, redis_client: Client
) -> None:
    queue.add("x", group=Group("a"))
    redis_client.delete("qc:bull:q:marker")
    assert check(do).kinds() == {"marker": 1}
    do(Integrity().repair, ["q"])
    assert redis_client.zscore("qc:bull:q:marker", "0") == 0
    queue.drain()
    queue.add("x", group=Group("a"), delay=0.001)
    redis_client.delete("qc:bull:q:marker")
    redis_client.zadd("qc:bull:q:group-delayed", {"a": 5})
    (job_id,) = redis_client.zrange("qc:bull:q:group-later:a", 0, -1)
    redis_client.zadd("qc:bull:q:group-later:a", {job_id: 5})
    assert check(do).kinds() == {"overdue": 1}
    do(Integrity().repair, ["q"])
    assert redis_client.zcard("qc:bull:q:marker") == 1


def test_what_a_worker_holds_is_let_be(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    """A lock says that somebody is about to end the job, wherever it seems to stand."""
    queue.add("x", job_id="held")
    queue.add("x", job_id="taken")
    hands.claim(2)
    redis_client.delete("bull:q:held")  # removed by force while it runs
    redis_client.lrem("bull:q:active", 0, "taken")
    assert found(check(do)) == set()
    assert do(Integrity().repair, ["q"]).total == 0
    assert redis_client.lrange("bull:q:active", 0, -1) == ["held"]
    now = queue.connection.clock.now_ms()
    for call in (
        mending.mend_ghosts(queue.keys, "active", ["held"]),
        mending.mend_orphans(queue.keys, now, ["held", "taken"], False),
    ):
        assert queue.connection.run(call) == []
    assert redis_client.exists("bull:q:taken", "bull:q:taken:lock", "bull:q:held:lock") == 3
    assert redis_client.lrange("bull:q:active", 0, -1) == ["held"]


def test_while_jobs_run_nothing_need_be_announced(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add("x")
    hands.claim(1)
    queue.add("x")
    redis_client.delete("bull:q:marker")
    assert check(do).findings == []
    assert do(Integrity().repair, ["q"]).total == 0
    assert not redis_client.exists("bull:q:marker")


def test_a_lost_run_of_a_scheduler_is_for_somebody_to_look_at(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    redis_client.hset("bull:q:repeat:daily:1000", mapping=_job() | {"rjk": "daily"})
    assert found(check(do)) == {("unknown", "repeat:daily:1000")}
    assert do(Integrity().repair, ["q"]).total == 0
    assert redis_client.exists("bull:q:repeat:daily:1000")
    assert not redis_client.exists("bull:q:wait")


def test_a_restored_job_of_a_paused_queue_wakes_nobody(
    do: Do, queue: Queue, redis_client: Client
) -> None:
    queue.pause()
    redis_client.hset("bull:q:7", mapping=_job())
    do(Integrity().repair, ["q"])
    assert redis_client.lrange("bull:q:wait", 0, -1) == ["7"]
    assert not redis_client.exists("bull:q:marker")


@pytest.mark.parametrize("delay", ["0", "60000"])
def test_a_parent_whose_children_are_gone_runs(
    do: Do, queue: Queue, redis_client: Client, delay: str
) -> None:
    redis_client.hset("bull:q:mother", mapping=_job() | {"delay": delay})
    redis_client.zadd("bull:q:waiting-children", {"mother": 5})
    redis_client.sadd("bull:q:mother:dependencies", "bull:q:a", "bull:other:b")
    assert check(do).kinds() == {"child": 1}
    assert do(Integrity().repair, ["q"]).kinds() == {"child": 1}
    assert queue.get_job("mother").get_state() == ("waiting" if delay == "0" else "delayed")


def test_lists_too_long_to_walk_are_said_and_left(
    do: Do, queue: Queue, redis_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mending, "STEPS", 4)
    damage(queue, redis_client)
    report = check(do)
    assert report.long_lists == {"q"}
    assert not {"orphan", "twice", "parts"} & set(report.kinds())
    kinds = do(Integrity().repair, ["q"]).kinds()
    assert not {"orphan", "twice", "parts"} & set(kinds)
    assert redis_client.exists("bull:q:orphan")


def test_keys_of_other_types_and_hostile_names(
    do: Do, redis_client: Client, hands: Hands, queue: Queue
) -> None:
    name = "q*[a]<b>"
    base = f"bull:{name}:"
    Queue(name).add("x", job_id="a:b:c")
    redis_client.set(base + "completed", "text")
    redis_client.lpush(base + "delayed", "text")
    redis_client.set(base + "paused", "text")
    redis_client.set(base + "events:x", "text")
    redis_client.set(base + "text", "no job")
    redis_client.hset(base + "de:hash", "a", "b")
    redis_client.lpush("bull:qqa:wait", "of another queue")
    report = check(do, name)
    assert report.findings == []


def test_no_more_than_so_many_are_kept_and_all_are_counted(
    do: Do, queue: Queue, redis_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queuecore.integrity.KEPT", 10)
    redis_client.rpush("bull:q:wait", *map(str, range(700)))
    redis_client.zadd("bull:q:marker", {"0": 0})
    report = check(do)
    assert (report.kinds(), len(report.findings), report.jobs) == ({"ghost": 700}, 10, 700)
    assert do(Integrity().repair, ["q"]).kinds() == {"ghost": 10}


def test_out_of_time_it_says_that_it_saw_a_part(do: Do, queue: Queue, redis_client: Client) -> None:
    queue.add("x")
    report = check(do, seconds=0)
    assert (report.whole, report.keys) == (False, 0)


def test_events_are_trimmed_in_pieces(do: Do, queue: Queue, redis_client: Client) -> None:
    pipe = redis_client.pipeline()
    for index in range(25_000):
        pipe.xadd("bull:q:events", {"event": "drained", "n": index})
    pipe.execute()
    redis_client.hset("bull:q:meta", "opts.maxLenEvents", "500")
    (finding,) = check(do).findings
    assert finding == Finding("q", "events", "", "24500")
    trimmed = do(Integrity().trim_events, "q")
    assert 500 <= redis_client.xlen("bull:q:events") == 25_000 - trimmed <= 700
    newest = redis_client.xrevrange("bull:q:events", count=1)[0][1]
    assert newest["n"] == "24999"


def snapshot(client: Client) -> dict[str, Any]:
    """Every key with its content."""
    read: dict[str, Callable[[str], Any]] = {
        "string": client.get,
        "list": lambda key: client.lrange(key, 0, -1),
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "hash": client.hgetall,
        "stream": client.xrange,
    }
    keys = [key for key in client.keys("*") if not key.startswith("qc:")]
    return {key: read[client.type(key)](key) for key in keys}


async def test_a_repair_beside_busy_workers_loses_and_doubles_nothing(
    queue: Queue, redis_client: Client
) -> None:
    """Checks and repairs run without pause while two workers go through retries and delays."""
    runs: dict[str, int] = {}

    async def process(job: Any) -> int:
        runs[job.id] = runs.get(job.id, 0) + 1
        await asyncio.sleep(random.choice((0, 0, 0.001)))
        if job.data["n"] % 7 == 0 and job.attempts_made == 0:
            raise RuntimeError("once more")
        return int(job.data["n"])

    total, integrity = 1500, Integrity()
    options = {"concurrency": 20}
    mended: list[Any] = []
    async with working(process, **options), working(process, **options):

        async def mend() -> None:
            while redis_client.zcard("bull:q:completed") < total:
                mended.append(await integrity.arepair(["q"]))

        task = asyncio.create_task(mend())
        for start in range(0, total, 50):
            for n in range(start, start + 50):
                kind = {1: {"delay": 0.02}, 2: {"priority": 2}}.get(n % 5, {})
                await queue.aadd("x", {"n": n}, job_id=f"j{n}", attempts=2, **kind)
        await asyncio.wait_for(task, 60)
    assert len(mended) > 5
    # A marker too many harms nobody; nothing else may ever be found on a queue that is well.
    assert {kind for one in mended for kind in one.kinds()} <= {"marker", "overdue"}
    assert runs == {f"j{n}": 2 if n % 7 == 0 else 1 for n in range(total)}
    invariants.check(redis_client, "q", tolerance=2_000)  # a busy loop sends its calls late


async def test_findings_that_are_out_of_date_hurt_no_job_in_motion(
    queue: Queue, redis_client: redis.Redis
) -> None:
    """Every job is held to be damaged in every way, again and again, while workers run them."""
    runs: dict[str, int] = {}

    async def process(job: Any) -> None:
        runs[job.id] = runs.get(job.id, 0) + 1
        await asyncio.sleep(random.choice((0, 0.001)))
        if job.data["n"] % 7 == 0 and job.attempts_made == 0:
            raise RuntimeError("once more")

    total, keys, connection = 400, queue.keys, queue.connection
    ids = [f"j{n}" for n in range(total)]
    mended: list[Any] = []

    async def mend() -> None:
        while redis_client.zcard("bull:q:completed") < total:
            some = random.sample(ids, 50)
            now = connection.clock.now_ms()
            for call in (
                mending.mend_locks(keys, some, False),
                mending.mend_orphans(keys, now, some, False),
                mending.mend_twice(keys, some, False),
                mending.mend_stalled(keys, some),
                mending.mend_parents(keys, now, some),
                *(mending.mend_ghosts(keys, one, some) for one in (*mending.LISTS, *mending.SETS)),
            ):
                mended.append(await connection.arun(call))

    for n in range(total):
        kind: dict[str, Any] = {1: {"delay": 0.02}, 2: {"priority": 2}}.get(n % 5, {})
        await queue.aadd("x", {"n": n}, job_id=f"j{n}", attempts=2, **kind)
    async with working(process, concurrency=10), working(process, concurrency=10):
        await asyncio.wait_for(asyncio.create_task(mend()), 60)
    assert len(mended) > 50
    assert [one for one in mended if one] == []
    assert runs == {f"j{n}": 2 if n % 7 == 0 else 1 for n in range(total)}
    invariants.check(redis_client, "q", tolerance=2_000)


async def test_real_damage_beside_busy_workers_is_mended_and_all_jobs_run(
    queue: Queue, redis_client: Client
) -> None:
    runs: dict[str, int] = {}

    async def process(job: Any) -> None:
        runs[job.id] = runs.get(job.id, 0) + 1
        await asyncio.sleep(0.001)

    total = 600
    integrity = Integrity()
    for n in range(total):
        await queue.aadd("x", {"n": n}, job_id=f"j{n}")
    # Torn out of the list while nobody looks: their hashes are all that is left.
    torn = random.sample(range(total), 60)
    for n in torn:
        redis_client.lrem("bull:q:wait", 0, f"j{n}")
    async with working(process, concurrency=10):
        mended = await integrity.arepair(["q"])
        await until(lambda: redis_client.zcard("bull:q:completed") == total, 30)
    assert mended.kinds() == {"orphan": 60}
    assert runs == {f"j{n}": 1 for n in range(total)}
    assert (await integrity.acheck(["q"])).findings == []
    invariants.check(redis_client, "q", tolerance=2_000)  # a busy loop sends its calls late


def test_no_call_of_a_check_asks_for_much(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = redis_client.pipeline(transaction=False)
    for n in range(3_000):
        pipe.hset(f"bull:q:{n}", mapping=_job() | {"finishedOn": "5", "returnvalue": "1"})
        pipe.zadd("bull:q:completed", {str(n): 5})
        pipe.hset(f"bull:q:w{n}", mapping=_job())
        pipe.lpush("bull:q:wait", f"w{n}")
    pipe.zadd("bull:q:marker", {"0": 0})
    pipe.execute()
    asked: list[Any] = []
    integrity = Integrity()
    exchange = integrity.connection.exchange

    def record(request: Any) -> Any:
        asked.extend(request if isinstance(request, list) else [request])
        return exchange(request)

    monkeypatch.setattr(integrity.connection, "exchange", record)
    report = integrity.check(["q"])
    assert (report.jobs, report.findings) == (6_000, [])
    scripts = [one for one in asked if isinstance(one, Call)]
    assert max(len(one.args) for one in scripts) <= 2 * mending.SLICE + 10
    assert len([one for one in scripts if one.script == "check_state"]) >= 6_000 / mending.SLICE
    plain = {str(one.args[0]) for one in asked if isinstance(one, Command)}
    assert plain <= {"TIME", "SCAN", "LLEN", "XLEN", "HGET", "HEXISTS", "EXISTS"}
    assert mending.SLICE <= 500
