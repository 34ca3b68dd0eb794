"""Metrics: the same finishes, counted by Node one by one and by us in batches."""

import json
from collections.abc import Iterator

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.wire.calls.working import ClaimOptions, Outcome, finish_and_claim
from tests.interop.node import Peer, numbered

MINUTE = 60_000
START = 1_800_000_030_000
# Offsets in ms at which jobs finish: several in a minute, quiet minutes, one long gap.
FINISHES = [
    0,
    10,
    20,
    MINUTE,
    MINUTE,
    MINUTE + 5,
    4 * MINUTE,
    4 * MINUTE + 1,
    9 * MINUTE,
    9 * MINUTE,
]

# A worker whose clock stands where the job says when it finishes.
CLOCK = """async job => {
  globalThis.realNow ??= Date.now;
  Date.now = job.data.at ? () => job.data.at : globalThis.realNow;
  if (job.data.bad) throw new Error("no");
}"""


@pytest.fixture
def real_clock(peer: Peer) -> Iterator[None]:
    yield
    queue = peer.queue("clock")
    worker = peer.worker("clock", CLOCK)
    queue.add("back", {})
    worker.wait_for("completed")


def ours(queue: Queue, kind: str, batches: list[list[int]]) -> None:
    """Finish a job at each moment, a batch in one call."""
    options = ClaimOptions("hands", "", 30_000, 7)
    receipt, number = queue.keys.receipt("call", "hands", 1), 0
    for batch in batches:
        held = []
        while len(held) < len(batch):
            number += 1
            claim = queue.connection.run(
                finish_and_claim(
                    queue.keys, receipt, number, options, batch[0], [], len(batch) - len(held)
                )
            )
            held += [(one.id, number) for one in claim.jobs]
        number += 1
        value = b"null" if kind == "c" else "no"
        outcomes = [Outcome(id, at, kind, value, b"[]", "", "1") for id, at in held]
        answer = queue.connection.run(
            finish_and_claim(queue.keys, receipt, number, options, batch[0], outcomes, 0)
        )
        assert not answer.codes


@pytest.mark.usefixtures("real_clock")
@pytest.mark.parity("Queue.getMetrics", "Worker.metrics")
@pytest.mark.parametrize("state", ["completed", "failed"])
def test_the_same_finishes_make_the_same_metrics(
    peer: Peer, redis_client: redis.Redis, state: str
) -> None:
    theirs = peer.queue("theirs")
    moments = [START + offset for offset in FINISHES]
    theirs.addBulk([{"name": "n", "data": {"at": at, "bad": state == "failed"}} for at in moments])
    worker = peer.worker("theirs", CLOCK, concurrency=1, metrics={"maxDataPoints": 7})
    worker.wait_for(state, len(moments))
    queue = Queue("ours")
    queue.add_bulk([JobSpec("n") for _ in moments])
    # By minute, as batches that fell together.
    batches: dict[int, list[int]] = {}
    for at in moments:
        batches.setdefault(at // MINUTE, []).append(at)
    ours(queue, state[0], list(batches.values()))
    rows = [
        (
            redis_client.hmget(f"bull:{name}:metrics:{state}", "count", "prevCount"),
            redis_client.lrange(f"bull:{name}:metrics:{state}:data", 0, -1),
        )
        for name in ("theirs", "ours")
    ]
    assert rows[0] == rows[1]
    # Each side reads the other's.
    told = peer.queue("ours").getMetrics(state, 0, 3)
    found = Queue("theirs").get_metrics(state, 0, 3)
    assert [int(one) for one in told["data"]] == found.data
    assert int(told["meta"]["count"]) == found.count == len(moments)
    assert int(told["meta"]["prevCount"]) == found.previous_count


@pytest.mark.parity("Queue.exportPrometheusMetrics")
def test_prometheus_gets_the_same_text(six: Peer, redis_client: redis.Redis) -> None:
    queue = Queue("shared")
    theirs = six.queue("shared")
    theirs.addBulk(list(numbered(5)))
    queue.add_bulk([JobSpec("n", delay=3600), JobSpec("n", priority=1)])
    ours(queue, "c", [[START, START], [START + MINUTE]])
    labels = {"shop": 'the "first"\nof\\all'}
    assert queue.export_prometheus_metrics(labels) == theirs.exportPrometheusMetrics(labels)
    assert queue.export_prometheus_metrics() == theirs.exportPrometheusMetrics()
    assert json.dumps(queue.get_delayed_count()) == str(theirs.getDelayedCount())
