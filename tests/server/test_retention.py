"""Which finished jobs are kept: all, none, the newest so many, the youngest."""

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.wire.calls.working import Outcome
from tests import invariants
from tests.server.hands import Hands


def finish(hands: Hands, kind: str, count: int, rule: str) -> None:
    for _ in range(count):
        (job,) = hands.claim()
        (hands.complete if kind == "completed" else hands.fail)(job, "x", rule=rule)


def kept(client: redis.Redis, kind: str) -> list[str]:
    """The ids in the set; they and those that wait must be all that have keys."""
    ids = sorted(client.zrange(f"bull:q:{kind}", 0, -1), key=int)
    there = {*ids, *client.lrange("bull:q:wait", 0, -1)}
    assert {key.split(":")[2] for key in client.keys("bull:q:[0-9]*")} == there
    return ids


@pytest.fixture(params=["completed", "failed"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("", ["1", "2", "3", "4", "5"]),
        ("0", []),
        ("2", ["4", "5"]),
        ("2,,", ["4", "5"]),
        ("9,,", ["1", "2", "3", "4", "5"]),
        (",60,", ["1", "2", "3", "4", "5"]),
        ("3,60,", ["3", "4", "5"]),
        ("no rule", ["1", "2", "3", "4", "5"]),
    ],
)
def test_by_rule(
    queue: Queue, hands: Hands, redis_client: redis.Redis, kind: str, rule: str, left: list[str]
) -> None:
    queue.add_bulk([JobSpec("x")] * 5)
    finish(hands, kind, 5, rule)
    assert kept(redis_client, kind) == left
    invariants.check(redis_client, "q")


def test_old_ones_go_when_another_finishes_as_many_as_the_limit_says(
    queue: Queue, hands: Hands, redis_client: redis.Redis, kind: str
) -> None:
    queue.add_bulk([JobSpec("x")] * 8)
    finish(hands, kind, 5, "")
    then = queue.connection.clock.now_ms() - 100_000
    redis_client.zadd(f"bull:q:{kind}", {str(n): then + n for n in range(1, 5)})
    finish(hands, kind, 1, ",200,")
    assert len(kept(redis_client, kind)) == 6
    finish(hands, kind, 1, ",50,3")  # of the old ones the newest first, as BullMQ
    assert kept(redis_client, kind) == ["1", "5", "6", "7"]
    finish(hands, kind, 1, ",50,3")
    assert kept(redis_client, kind) == ["5", "6", "7", "8"]


def test_a_set_that_is_far_too_long_is_shortened_step_by_step(
    queue: Queue, hands: Hands, redis_client: redis.Redis, kind: str
) -> None:
    many = 500
    queue.add_bulk(JobSpec("x") for _ in range(many))
    redis_client.zadd(f"bull:q:{kind}", {str(n): n for n in range(1, many + 1)})
    redis_client.delete("bull:q:wait")
    queue.add_bulk([JobSpec("x")] * 3)
    lengths = []
    for _ in range(3):
        finish(hands, kind, 1, "10,,")
        lengths.append(len(kept(redis_client, kind)))
    assert lengths == [300, 100, 10]
    assert kept(redis_client, kind)[-3:] == ["501", "502", "503"]


def test_what_is_evicted_leaves_nothing_but_its_deduplication_id(
    queue: Queue, hands: Hands, redis_client: redis.Redis, kind: str
) -> None:
    queue.add_bulk([JobSpec("x")] * 2)
    redis_client.hset("bull:q:1", "deid", "once")
    redis_client.set("bull:q:de:once", "1", px=60_000)
    queue.get_job("1").log("a row")
    finish(hands, kind, 2, "1,,")
    assert kept(redis_client, kind) == ["2"]
    assert redis_client.get("bull:q:de:once") == "1"
    events = [fields["event"] for _, fields in redis_client.xrange("bull:q:events")]
    assert "removed" not in events
    assert "cleaned" not in events


def test_each_rule_of_a_batch_holds_when_its_job_ends(
    queue: Queue, hands: Hands, redis_client: redis.Redis, kind: str
) -> None:
    """What ends behind it in the same call is not there yet, as if they had come one by one."""
    queue.add_bulk([JobSpec("x")] * 5)
    jobs = hands.claim(5)
    rules = {"1": "", "2": "1", "3": "", "4": "2", "5": ""}
    outcomes = [
        Outcome(job.id, int(job.token.rpartition(":")[2]), kind[0], b"1", b"[]", rules[job.id], "1")
        for job in jobs
    ]
    hands._call(outcomes, 0)
    assert kept(redis_client, kind) == ["3", "4", "5"]
    invariants.check(redis_client, "q")
