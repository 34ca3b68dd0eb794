"""The invariant checker: silent on what BullMQ itself makes, loud on every planted fault."""

from collections.abc import Callable

import pytest
import redis

from tests import invariants
from tests.interop.node import Peer, numbered

Plant = Callable[[redis.Redis], object]
K = "bull:checked:"

FAULTS: list[tuple[str, Plant]] = [
    ("one place", lambda r: r.lpush(f"{K}wait", "1")),
    ("one place", lambda r: r.zadd(f"{K}failed", {r.lindex(f"{K}wait", 0): 1})),
    ("no ghost", lambda r: r.lpush(f"{K}wait", "ghost")),
    ("no ghost", lambda r: r.hdel(f"{K}1", "data")),
    ("orphan", lambda r: r.hset(f"{K}lost", mapping={"name": "n", "timestamp": 1})),
    ("orphan", lambda r: r.set(f"{K}lost:lock", "token", px=10_000)),
    ("orphan", lambda r: r.rpush(f"{K}lost:logs", "row")),
    ("lock", lambda r: r.set(f"{K}1:lock", "token", px=10_000)),
    ("lock", lambda r: r.persist(f"{K}{r.lindex(f'{K}active', 0)}:lock")),
    ("attempts", lambda r: r.hset(f"{K}1", "atm", 9)),
    ("counter", lambda r: r.set(f"{K}id", 1)),
    ("finished", lambda r: r.hdel(f"{K}1", "finishedOn")),
    ("finished", lambda r: r.hdel(f"{K}1", "returnvalue")),
    ("finished", lambda r: r.hset(f"{K}1", "sa", 1)),
    ("finished", lambda r: r.hset(f"{K}{r.lindex(f'{K}wait', 0)}", "finishedOn", 1)),
    ("time", lambda r: r.hset(f"{K}1", "processedOn", 9_999_999_999_999)),
    ("time", lambda r: r.hset(f"{K}1", "timestamp", 9_999_999_999_999)),
    ("time", lambda r: r.hdel(f"{K}{r.lindex(f'{K}active', 0)}", "processedOn")),
    ("priority", lambda r: r.hset(f"{K}{r.zrange(f'{K}prioritized', 0, 0)[0]}", "priority", 0)),
    ("delay", lambda r: r.zadd(f"{K}delayed", {r.zrange(f"{K}delayed", 0, 0)[0]: 4096})),
    ("parent", lambda r: r.delete(f"{K}{r.zrange(f'{K}waiting-children', 0, 0)[0]}:dependencies")),
    ("stalled", lambda r: r.sadd(f"{K}stalled", "1")),
    ("concurrency", lambda r: r.hset(f"{K}meta", "concurrency", 0)),
    ("limiter", lambda r: r.set(f"{K}limiter", 1)),
    ("events", lambda r: r.hset(f"{K}meta", "opts.maxLenEvents", -150)),
    ("paused", lambda r: r.lpush(f"{K}paused", "1")),
]


def fill(peer: Peer) -> None:
    """Jobs in every state, by BullMQ's own hand."""
    queue = peer.queue("checked")
    worker = peer.worker(
        "checked",
        """async job => {
            await job.log('a row');
            if (job.name === 'bad') throw new Error('broken');
            if (job.name === 'held') await gate('checked');
            return job.data;
        }""",
        concurrency=50,
    )
    queue.addBulk([{"name": "good", "data": {}} for _ in range(20)])
    queue.addBulk([{"name": "bad", "data": {}} for _ in range(5)])
    worker.wait_for("completed", 20)
    worker.wait_for("failed", 5)
    queue.addBulk([{"name": "held", "data": {}} for _ in range(3)])
    worker.wait_for("active", 28)
    # Nothing else starts, and the worker still renews its locks.
    queue.setGlobalConcurrency(3)
    queue.addBulk(list(numbered(10)))
    queue.addBulk([{"name": "late", "data": {}, "opts": {"delay": 99_000}} for _ in range(5)])
    queue.addBulk([{"name": "dear", "data": {}, "opts": {"priority": 7}} for _ in range(5)])
    flow = peer.make("FlowProducer", [{"connection": peer.connection}])
    flow.add({"name": "parent", "queueName": "checked", "data": {}, "children": [
        {"name": "child", "queueName": "checked", "data": {}, "opts": {"delay": 99_000}},
    ]})  # fmt: skip


def test_silent_on_bullmq_then_loud_on_each_fault(peer: Peer, redis_client: redis.Redis) -> None:
    fill(peer)
    counts = invariants.check(redis_client, "checked")
    assert counts == {
        "wait": 10,
        "paused": 0,
        "active": 3,
        "delayed": 6,
        "prioritized": 5,
        "completed": 20,
        "failed": 5,
        "waiting-children": 1,
    }
    healthy = {key: redis_client.dump(key) for key in redis_client.keys(f"{K}*")}
    for rule, plant in FAULTS:
        plant(redis_client)
        _, found = invariants.look(redis_client, "checked")
        assert any(one.startswith(rule) for one in found), f"{rule} was not seen: {found}"
        for key in redis_client.keys(f"{K}*"):
            if key not in healthy:
                redis_client.delete(key)
        for key, value in healthy.items():
            lasts = 60_000 if key.endswith((":lock", "stalled-check")) else 0
            redis_client.restore(key, lasts, value, replace=True)
    invariants.check(redis_client, "checked")
    peer.open("checked")


@pytest.mark.parametrize("add", [{}, {"delay": 60_000}], ids=["plain", "delayed"])
def test_an_idle_queue_without_a_marker_is_told(
    peer: Peer, redis_client: redis.Redis, add: dict[str, int]
) -> None:
    peer.queue("checked").add("job", {}, add)
    invariants.check(redis_client, "checked", idle=True)
    redis_client.delete(f"{K}marker")
    _, found = invariants.look(redis_client, "checked", idle=True)
    assert [one.split(":")[0] for one in found] == ["marker"]
