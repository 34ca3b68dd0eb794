"""What worker processes say of themselves, and what they do when told from another process."""

import asyncio
import json
import os
import socket
import time
from typing import Any

import pytest
import redis

from queuecore import Job, Queue, Worker
from queuecore.errors import ConfigurationError
from queuecore.fleet import Fleet, FleetProcess, FleetWorker, WorkerInfo, peers_of
from queuecore.wire.attendance import Order
from queuecore.wire.calls import attending
from queuecore.wire.connections import get_connection
from tests.server.conftest import Do
from tests.server.working import finished, until, working

P, W = "a" * 32, "b" * 32
FAST: dict[str, Any] = {"heartbeat": 0.1}


async def sleep(job: Job) -> None:
    await asyncio.sleep(job.data or 0)
    if job.name == "bad":
        raise ValueError("bad")


async def one(fleet: Fleet, queue: str = "q") -> tuple[FleetProcess, FleetWorker] | None:
    for process in await fleet.aprocesses():
        for worker in process.workers:
            if worker.queue == queue:
                return process, worker
    return None


async def when(fleet: Fleet, what: Any, queue: str = "q") -> tuple[FleetProcess, FleetWorker]:
    """The process and the worker once ``what(worker)`` holds."""

    async def look() -> Any:
        found = await one(fleet, queue)
        return found if found and what(found[1]) else None

    found: tuple[FleetProcess, FleetWorker] = await until(look)
    return found


async def test_it_says_how_it_is(queue: Queue, redis_client: redis.Redis) -> None:
    fleet = Fleet()
    async with working(sleep, timeout=0.2, name="left", concurrency=3, **FAST) as worker:
        long = await queue.aadd("long", 60)
        for name in ("a", "b", "bad"):
            await queue.aadd(name, 0)
        process, found = await when(fleet, lambda w: w.done == 2 and w.failed == 1)
        assert (found.id, found.queue, found.name) == (worker.id, "q", "left")
        assert (found.state, found.concurrency, found.busy) == ("running", 3, 1)
        assert (found.done_per_minute, found.failed_per_minute) == (2, 1)
        (job,) = found.jobs
        assert (job.id, job.name) == (long.id, "long")
        assert job.since is not None
        assert process.heartbeat is not None
        assert process.started is not None
        # A beat may come between the reading of the last beats and that of the record.
        assert -FAST["heartbeat"] <= (process.heartbeat - job.since).total_seconds() < 5
        assert (process.pid, process.host) == (os.getpid(), socket.gethostname())
        assert process.health == "ok"
        assert process.age_s < 0.5
        assert process.memory > 10 * 2**20
        assert process.queuecore
        assert process.python
        assert process.django[0].isdigit()
        listed = {int(client["id"]): client for client in redis_client.client_list()}
        assert listed[found.client_id]["name"] == "bull:cQ==:w:left"
        assert [peer.client_id for peer in await fleet.apeers() or ()] == []
        assert redis_client.ttl(f"qc:bull::worker:{process.id}") <= 900
    assert await fleet.aprocesses() == []
    assert redis_client.keys("qc:bull::worker*") == []


async def test_all_workers_of_a_process_are_one_record(redis_client: redis.Redis) -> None:
    fleet = Fleet()
    async with working(sleep, "q", **FAST), working(sleep, "p", **FAST):
        await when(fleet, bool, "q")
        process, _ = await when(fleet, bool, "p")
        assert sorted(worker.queue for worker in process.workers) == ["p", "q"]
        assert redis_client.zcard("qc:bull::workers") == 1
        async with working(sleep, "r", **FAST):
            again, _ = await when(fleet, bool, "r")
            assert again.id == process.id

        async def gone() -> bool:
            return await one(fleet, "r") is None

        await until(gone)
    assert await fleet.aworkers() == []


async def test_it_may_be_switched_off(redis_client: redis.Redis, queue: Queue) -> None:
    async with working(sleep, heartbeat=None):
        await queue.aadd("a")
        await finished(queue, 1)
        assert redis_client.keys("qc:bull::worker*") == []
    for wrong in (0, 31, "x", True):
        with pytest.raises(ConfigurationError, match="heartbeat"):
            Worker("q", sleep, heartbeat=wrong)


async def test_pause_and_resume(queue: Queue) -> None:
    fleet = Fleet()
    async with working(sleep, concurrency=2, **FAST) as worker:
        long = await queue.aadd("long", 0.6)
        await when(fleet, lambda w: w.busy == 1)
        sent = await fleet.apause(worker.id)
        assert (sent.workers, sent.missing) == ((worker.id,), ())

        async def confirmed() -> bool:
            return await fleet.aconfirmed(sent)

        await until(confirmed)
        # What is said to be done shows at once.
        assert [one.state for one in await fleet.aworkers()] == ["paused"]
        await queue.aadd("next")
        await finished(queue, 1)
        assert await queue.aget_job_state(long.id) == "completed"
        await asyncio.sleep(0.3)  # it would have been taken by now
        assert (await queue.aget_job_counts())["waiting"] == 1
        await fleet.aresume(worker.id)
        await finished(queue, 2)
        await when(fleet, lambda w: w.state == "running")


async def test_drain_and_stop(queue: Queue, redis_client: redis.Redis) -> None:
    fleet = Fleet()
    worker = Worker("q", sleep, **FAST)
    task = asyncio.create_task(worker.arun())
    long = await queue.aadd("long", 1)
    await when(fleet, lambda w: w.busy == 1)
    sent = await fleet.adrain(worker.id)
    await when(fleet, lambda w: w.state == "draining")
    rest = await queue.aadd("rest")
    await asyncio.wait_for(task, 5)
    assert await queue.aget_job_state(long.id) == "completed"
    assert await queue.aget_job_state(rest.id) == "waiting"
    assert redis_client.keys("qc:bull::worker*") == []
    assert await fleet.aconfirmed(sent), "a process that has ended has done it"
    await queue.connection.aclose()


async def test_a_worker_that_is_being_closed(queue: Queue) -> None:
    fleet = Fleet()
    async with working(sleep, **FAST) as worker:
        await queue.aadd("long", 1)
        await when(fleet, lambda w: w.busy == 1)
        closing = asyncio.create_task(worker.close(5))
        await when(fleet, lambda w: w.state == "closing")
        await closing
    assert await fleet.aworkers() == []


async def test_only_the_workers_that_were_meant(queue: Queue) -> None:
    fleet = Fleet()
    async with working(sleep, "q", **FAST) as mine, working(sleep, "p", **FAST) as other:
        await when(fleet, bool, "p")
        sent = await fleet.apause(mine.id, "c" * 32, "no id")
        assert (sent.workers, sent.missing) == ((mine.id,), ("c" * 32, "no id"))
        await when(fleet, lambda w: w.state == "paused")
        assert not other.is_paused()


async def test_an_order_is_carried_out_once_and_in_time_or_not_at_all(queue: Queue) -> None:
    fleet, connection = Fleet(), queue.connection
    async with working(sleep, **FAST) as worker:
        process, _ = await when(fleet, bool)
        order = Order("d" * 32, "pause", (worker.id,))
        for _ in range(3):  # its answer was lost, twice
            await connection.arun(attending.give("bull", process.id, order))
        await until(worker.is_paused)
        worker.resume()
        await connection.arun(attending.give("bull", process.id, order))
        await asyncio.sleep(0.3)  # three heartbeats
        assert not worker.is_paused()

        late = attending.attendance.encoded(
            Order("e" * 32, "pause", (worker.id,), connection.clock.now_ms() - 1)
        )
        key = f"qc:bull::worker:{process.id}:orders"
        await connection.arun(attending.Command(("RPUSH", key, late)))

        async def answered() -> dict[str, str] | None:
            found = await one(fleet)
            return found[0].answers if found and "e" * 32 in found[0].answers else None

        assert await until(answered) == {"d" * 32: "done", "e" * 32: "too late"}
        assert not worker.is_paused()


async def test_orders_that_are_none(queue: Queue, redis_client: redis.Redis) -> None:
    fleet = Fleet()
    async with working(sleep, **FAST) as worker:
        process, _ = await when(fleet, bool)
        key = f"qc:bull::worker:{process.id}:orders"
        good = {"id": "d" * 32, "verb": "pause", "workers": [worker.id], "until": 2**52}
        for wrong in (
            b"", b"{", b"[]", b"null", b"\xff", b"[" * 5000, b"7" * 70_000,
            *(json.dumps(good | {name: value}).encode() for name, value in (
                ("id", 7), ("id", "x"), ("verb", "kill"), ("verb", ["pause"]), ("verb", None),
                ("workers", "b" * 32), ("workers", {worker.id: 1}), ("workers", [[worker.id]]),
                ("until", "later"), ("until", None), ("until", True),
            )),
        ):  # fmt: skip
            redis_client.rpush(key, wrong)
        await asyncio.sleep(0.3)  # three heartbeats
        assert not worker.is_paused()
        redis_client.delete(key)
        redis_client.set(key, "no list")
        await asyncio.sleep(0.3)
        assert await one(fleet) is not None
        assert worker.is_running()


async def test_a_blocked_loop_is_told_of(queue: Queue) -> None:
    """And is told of meanwhile; an order that comes then is carried out afterwards."""
    fleet = Fleet()

    async def block(job: Job) -> None:
        time.sleep(2)  # noqa: ASYNC251

    async def watch() -> None:
        found = await asyncio.to_thread(_lagging, fleet)
        assert found.health == "ok"

    def start() -> None:
        asyncio.run(worker.arun())

    worker = Worker("q", block, **FAST)
    thread = asyncio.create_task(asyncio.to_thread(start))
    await queue.aadd("a")
    await watch()
    # What was to be done by then is void when the loop is free again.
    (process,) = await fleet.aprocesses()
    void = Order("d" * 32, "drain", (worker.id,), queue.connection.clock.now_ms() + 50)
    key = f"qc:bull::worker:{process.id}:orders"
    await queue.connection.arun(
        attending.Command(("RPUSH", key, attending.attendance.encoded(void)))
    )
    await fleet.apause(worker.id)
    assert not worker.is_paused()
    await until(worker.is_paused)
    assert worker.is_running()
    await fleet.adrain(worker.id)
    await asyncio.wait_for(thread, 10)
    await queue.connection.aclose()


def _lagging(fleet: Fleet) -> FleetProcess:
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        for process in fleet.processes():
            if process.lag_ms > 500:
                return process
        time.sleep(0.02)  # between two looks; the deadline ends it
    raise AssertionError("no lag was told")


async def test_a_full_server_takes_no_record_but_gives_orders(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = Fleet()
    async with working(sleep, **FAST) as worker:
        await when(fleet, bool)
        sent = await fleet.apause(worker.id)
        await until(worker.is_paused)
        redis_client.config_set("maxmemory", 1)
        try:
            await until(lambda: "the server takes no record" in caplog.text)
            assert caplog.text.count("the server takes no record") == 1
        finally:
            redis_client.config_set("maxmemory", 0)
        await when(fleet, lambda w: w.state == "paused")
        assert await fleet.aconfirmed(sent)


def test_records_that_are_none(do: Do, redis_client: redis.Redis) -> None:
    """They cost nobody anything: what cannot be understood is nothing."""
    fleet = Fleet()
    now = time.time() * 1000
    huge = {"workers": [{"id": W, "queue": "q", "jobs": [["1", "n" * 99, 10**30]] * 30}] * 99}
    wrong: list[Any] = [
        "", "{", "[]", "7", '"x"', "[" * 9000, "\xff" * 300_000, json.dumps(huge),
        json.dumps({"workers": [7, None, {"id": W}, {"id": "x", "queue": "q"}, {"queue": "q"}]}),
    ]  # fmt: skip
    ids = [f"{number:032x}" for number in range(len(wrong))]
    for id, value in zip(ids, wrong, strict=True):
        redis_client.zadd("qc:bull::workers", {id: now})
        redis_client.set(f"qc:bull::worker:{id}", value)
    redis_client.zadd("qc:bull::workers", {"../../etc": now, P: 9e17, "c" * 32: now, "": now})
    redis_client.lpush("qc:bull::worker:" + "c" * 32, "a list")
    redis_client.set(
        f"qc:bull::worker:{P}",
        json.dumps(
            {
                "host": ["x"],
                "pid": -5,
                "every": 10**12,
                "cpu": "NaN",
                "memory": 1e300,
                "lag": None,
                "started": "yesterday",
                "answers": {"x": 1, "d" * 32: 7, "e" * 32: "done" * 999},
                "workers": [
                    {
                        "id": W,
                        "queue": "<b>\u202e",
                        "state": "<script>",
                        "busy": -1,
                        "concurrency": 1e300,
                        "jobs": [[7, "a", 1], ["1"], "x", ["2", None, "never"]],
                    }
                ],
            }
        ),
    )
    found = do(fleet.processes)
    assert [(one.id, one.workers) for one in found if one.id != P] == [(ids[-1], ())]
    (process,) = (one for one in found if one.id == P)
    (worker,) = process.workers
    assert (process.host, process.pid, process.memory, process.cpu) == ("", 0, 0, 0.0)
    assert (process.started, process.every_s, process.age_s) == (None, 30.0, 0.0)
    assert [len(answer) for answer in process.answers.values()] == [40]
    assert (worker.queue, worker.state, worker.busy) == ("<b>\u202e", "running", 0)
    assert [(job.id, job.name, job.since) for job in worker.jobs] == [("2", "", None)]
    assert do(fleet.minutes, W) == []
    redis_client.delete("qc:bull::workers")
    redis_client.set("qc:bull::workers", "no set")
    assert do(fleet.processes) == []


def test_nobody_works(do: Do, redis_client: redis.Redis) -> None:
    fleet = Fleet()
    assert do(fleet.processes) == []
    assert do(fleet.workers) == []
    assert do(fleet.peers) == []
    sent = do(fleet.pause, W)
    assert (sent.workers, sent.missing, sent.orders) == ((), (W,), {})
    assert do(fleet.confirmed, sent)
    assert do(fleet.resume, W).missing == do(fleet.drain, W).missing == (W,)
    assert do(fleet.lost_jobs, ["q", "none"]) == []


def test_a_process_that_falls_silent(do: Do, redis_client: redis.Redis) -> None:
    """OK, late, lost, and gone after a quarter of an hour."""
    fleet = Fleet()
    key = f"qc:bull::worker:{P}"
    redis_client.set(key, json.dumps({"every": 2000, "workers": [{"id": W, "queue": "q"}]}))
    for age, health in ((0, "ok"), (9, "ok"), (11, "late"), (29, "late"), (31, "lost")):
        redis_client.zadd("qc:bull::workers", {P: (time.time() - age) * 1000})
        (process,) = do(fleet.processes)
        assert process.health == health
        assert age - 0.5 < process.age_s < age + 2
    sent = do(fleet.drain, W)
    assert (sent.workers, sent.missing) == ((), (W,))
    assert not redis_client.exists(f"{key}:orders")
    redis_client.zadd("qc:bull::workers", {P: (time.time() - 901) * 1000})
    assert do(fleet.processes) == []


def test_minutes(do: Do, redis_client: redis.Redis) -> None:
    fleet = Fleet()
    redis_client.zadd("qc:bull::workers", {P: time.time() * 1000})
    redis_client.set(f"qc:bull::worker:{P}", json.dumps({"workers": [{"id": W, "queue": "q"}]}))
    redis_client.set(
        f"qc:bull::worker:{P}:recent",
        json.dumps(
            [
                {"at": 1e12, "memory": 5, "cpu": 0.5, "lag": 3, "workers": {W: [10, 1, 4]}},
                {"at": "no"},
                7,
                {"at": 1e12 + 60_000, "workers": {W: ["x", -1, 4]}},
                {"at": 1e12, "workers": [1]},
            ]
        ),
    )
    first, second = do(fleet.minutes, W)
    assert (first.done, first.failed, first.busy) == (10, 1, 4)
    assert (first.memory, first.cpu, first.lag_ms) == (5, 0.5, 3)
    assert (second.done, second.failed, second.busy) == (0, 0, 4)
    assert do(fleet.minutes, "c" * 32) == []


def test_jobs_without_a_lock(do: Do, queue: Queue, hands: Any, redis_client: redis.Redis) -> None:
    for name in ("first", "second", "third"):
        queue.add(name)
    taken = hands.claim(3)
    redis_client.delete("bull:q:1:lock", "bull:q:3:lock")
    redis_client.hset("bull:q:3", mapping={"stc": "2", "pb": "left"})
    redis_client.rpush("bull:q:active", "gone", "x" * 2000)
    assert len(taken) == 3
    found = do(Fleet().lost_jobs, ["q", "other", "q"])
    assert [(job.queue, job.id, job.name) for job in found] == [
        ("q", "1", "first"), ("q", "3", "third")
    ]  # fmt: skip
    assert (found[1].processed_by, found[1].stalled_count) == ("left", 2)
    assert found[0].since is not None
    redis_client.set("bull:p:active", "no list")
    assert do(Fleet().lost_jobs, ["p"]) == []


def test_jobs_that_other_libraries_hold(
    do: Do, queue: Queue, hands: Any, redis_client: redis.Redis
) -> None:
    for name in ("ours", "named", "unnamed", "odd", "lost"):
        queue.add(name)
    assert len(hands.claim(5)) == 5
    redis_client.set("bull:q:1:lock", f"{W}:3")
    uuid = "6b1f0c0e-1111-4222-8333-444455556666"
    redis_client.set("bull:q:2:lock", f"{uuid}:7")
    redis_client.hset("bull:q:2", "pb", "blue-7")
    redis_client.set("bull:q:3:lock", "a" * 32)  # the Python port's
    redis_client.delete("bull:q:4:lock", "bull:q:5:lock")
    redis_client.rpush("bull:q:4:lock", "no text")
    redis_client.set("bull:p:active", "no list")
    found = do(Fleet().peer_jobs, ["q", "p", "other"])
    assert {name: one.count for name, one in found.items()} == {"q": 2, "p": 0, "other": 0}
    assert [(one.id, one.name, one.processed_by, one.holder) for one in found["q"].jobs] == [
        ("2", "named", "blue-7", uuid),
        ("3", "unnamed", "", "a" * 32),
    ]
    for number in range(6, 40):
        redis_client.lpush("bull:q:active", str(number))
        redis_client.hset(f"bull:q:{number}", "name", "x")
        redis_client.set(f"bull:q:{number}:lock", f"{uuid}:8")
    found = do(Fleet().peer_jobs, ["q"])
    assert (found["q"].count, len(found["q"].jobs)) == (36, 20)


@pytest.mark.parametrize("wrong", ["workers", f"worker:{P}:recent", f"worker:{P}:orders"])
def test_what_a_key_of_another_type_does_to_a_heartbeat(
    redis_client: redis.Redis, wrong: str
) -> None:
    connection = get_connection()
    connection.run(attending.give("bull", P, Order("d" * 32, "pause", (W,))))
    redis_client.delete(f"qc:bull::{wrong}")
    redis_client.hset(f"qc:bull::{wrong}", "x", "y")
    beat = attending.beat("bull", P, b"{}", 10**12, b"[]")
    told = connection.run(beat)
    assert redis_client.get(f"qc:bull::worker:{P}") == "{}"
    assert told.written is wrong.endswith(("recent", "orders"))
    assert [one.id for one in told.orders] == ([] if wrong.endswith("orders") else ["d" * 32])
    redis_client.delete(f"qc:bull::{wrong}")
    assert connection.run(beat).written
    assert redis_client.zrange("qc:bull::workers", 0, -1, withscores=True) == [(P, 1e12)]


def test_a_number_that_a_restarted_server_gave_to_a_peer() -> None:
    def connection(library: str) -> WorkerInfo:
        return WorkerInfo("q", "", "", 7, 1, 1, library)

    listed = [connection(""), connection("redis-py 8.1.0"), connection("ioredis 5.4.1")]
    assert [one.library for one in peers_of(listed, {7}) or ()] == ["ioredis 5.4.1"]
    assert peers_of(listed, {8}) == listed
    assert peers_of(None, {7}) is None
