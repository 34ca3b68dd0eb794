"""Cleaning: the old jobs of one state go, as many as asked for, and nothing else."""

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.errors import InvalidOption
from queuecore.wire.calls import removing
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands


def events(client: redis.Redis) -> list[dict[str, str]]:
    return [fields for _, fields in client.xrange("bull:q:events")]


def age(client: redis.Redis, job_id: str, seconds: int, field: str = "timestamp") -> None:
    """Let a job be *seconds* older than it is."""
    then = int(client.hget(f"bull:q:{job_id}", field)) - seconds * 1000
    client.hset(f"bull:q:{job_id}", field, then)
    for state in ("completed", "failed"):
        if client.zscore(f"bull:q:{state}", job_id):
            client.zadd(f"bull:q:{state}", {job_id: then})


@pytest.mark.parity("Queue.clean")
@pytest.mark.parametrize("state", ["completed", "failed"])
def test_finished_jobs_by_when_they_finished(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis, state: str
) -> None:
    queue.add_bulk([JobSpec("x")] * 3)
    hands.complete_all(3) if state == "completed" else hands.fail_all(3)
    age(redis_client, "2", 100, "finishedOn")
    queue.get_job("2").log("a row")
    assert do(queue.clean, 50, state=state) == ["2"]
    assert list(redis_client.keys("bull:q:2*")) == []
    assert events(redis_client)[-1] == {"event": "cleaned", "count": "1"}
    assert do(queue.clean, 50, state=state) == []
    assert sorted(do(queue.clean, 0, state=state)) == ["1", "3"]
    invariants.check(redis_client, "q")


def test_completed_is_the_state_that_is_meant_where_none_is_given(
    do: Do, queue: Queue, hands: Hands
) -> None:
    queue.add_bulk([JobSpec("x")] * 2)
    hands.complete_all(1)
    hands.fail_all(1)
    assert do(queue.clean, 0) == ["1"]
    assert do(queue.get_job_counts, "failed") == {"failed": 1}


@pytest.mark.parity("Queue.clean")
@pytest.mark.parametrize(
    ("state", "options"),
    [("waiting", {}), ("wait", {}), ("prioritized", {"priority": 3}), ("delayed", {"delay": 60})],
)
def test_unfinished_jobs_by_when_they_were_made(
    do: Do, queue: Queue, redis_client: redis.Redis, state: str, options: dict
) -> None:
    queue.add_bulk(JobSpec("x", **options) for _ in range(4))
    age(redis_client, "1", 100)
    age(redis_client, "3", 100)
    assert do(queue.clean, 50, state=state) == ["1", "3"]
    invariants.check(redis_client, "q")
    assert do(queue.clean, 0, state=state) == ["2", "4"]
    invariants.check(redis_client, "q")


def test_the_limit_counts_deleted_jobs_the_oldest_first(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    queue.add_bulk([JobSpec("x")] * 5)
    age(redis_client, "3", 100)
    age(redis_client, "5", 100)
    assert do(queue.clean, 50, 1, "waiting") == ["3"]
    assert do(queue.clean, 0, 2, "waiting") == ["1", "2"]


def test_of_active_jobs_those_whose_worker_is_gone(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    queue.add_bulk([JobSpec("x")] * 2)
    hands.claim(2)
    assert do(queue.clean, 0, state="active") == []
    redis_client.delete("bull:q:1:lock")
    assert do(queue.clean, 50, state="active") == []
    assert do(queue.clean, 0, state="active") == ["1"]
    assert invariants.check(redis_client, "q")["active"] == 1


def test_what_a_paused_queue_holds_in_bullmq_5_s_list(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    queue.add_bulk([JobSpec("x")] * 2)
    redis_client.hset("bull:q:meta", "version", "bullmq:5.81.5")
    queue.pause()
    assert do(queue.clean, 0, state="waiting") == ["1", "2"]


def test_the_next_run_of_a_scheduler_stands(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    run = "repeat:daily:1700000000000"
    redis_client.zadd("bull:q:repeat", {"daily": 1700000000000})
    redis_client.hset(f"bull:q:{run}", mapping={"name": "x", "timestamp": 1, "rjk": "daily"})
    redis_client.zadd("bull:q:delayed", {run: 5})
    queue.add("x", delay=3600)
    assert do(queue.clean, 0, state="delayed") == ["1"]
    assert redis_client.zrange("bull:q:delayed", 0, -1) == [run]


def test_an_id_without_a_job_goes_too(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    redis_client.rpush("bull:q:wait", "ghost")
    redis_client.zadd("bull:q:failed", {"ghost 2": 1})
    assert do(queue.clean, 100, state="waiting") == ["ghost"]
    assert do(queue.clean, 100, state="failed") == ["ghost 2"]


def test_many_in_batches_with_young_ones_among_them(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    many = removing.BATCH * 3
    queue.add_bulk(JobSpec("x") for _ in range(many))
    with redis_client.pipeline() as pipeline:
        for n in range(1, many + 1, 3):
            pipeline.hset(f"bull:q:{n}", "timestamp", 1)
        pipeline.execute()
    assert do(queue.clean, 50, state="waiting") == [str(n) for n in range(1, many + 1, 3)]
    assert invariants.check(redis_client, "q")["wait"] == many // 3 * 2
    assert events(redis_client)[-1] == {"event": "cleaned", "count": str(many // 3)}
    assert [one["event"] for one in events(redis_client)].count("cleaned") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0, 0, "complete"), "did you mean 'completed'"),
        ((0, 0, "waiting-children"), "cannot be cleaned"),
        ((-1,), "grace must be at least 0"),
        ((0, -1), "limit must be a whole number"),
        ((0, 1.5), "limit must be a whole number"),
    ],
)
def test_wrong_arguments_are_refused(do: Do, queue: Queue, arguments: tuple, words: str) -> None:
    with pytest.raises(InvalidOption, match=words):
        do(queue.clean, *arguments)
