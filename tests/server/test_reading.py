"""Reading a queue: jobs, ranges, counts, states, metrics, settings."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import redis

from queuecore import JobSpec, Queue, RateLimit
from queuecore.errors import InvalidOption, SynchronousCall
from queuecore.reading import QueueMeta
from tests.server.conftest import Do
from tests.server.flows import put_flow
from tests.server.hands import Hands


def ids(jobs: list) -> list[str]:
    return [job.id for job in jobs]


@pytest.fixture
def full(queue: Queue, hands: Hands, redis_client: redis.Redis) -> Queue:
    """Jobs 1 to 12 and ``P`` on ``q``: at least one in each state."""
    queue.add_bulk([JobSpec("x")] * 5)
    hands.complete_all(2)  # 1, 2
    hands.fail_all(1)  # 3
    hands.claim(2)  # 4, 5
    for score, job_id in enumerate(("1", "2"), 1000):
        redis_client.zadd("bull:q:completed", {job_id: score})
    queue.add_bulk([JobSpec("x")] * 3)  # 6, 7, 8
    queue.add_bulk([JobSpec("x", priority=p) for p in (5, 1)])  # 9, 10
    queue.add_bulk([JobSpec("x", delay=d) for d in (60, 30)])  # 11, 12
    put_flow(redis_client, {"child": {}}, queue="elsewhere", parent_queue="q")
    return queue


@pytest.mark.parity("Queue.getJobCounts", "Queue.count", "Queue.getCountsPerPriority")
def test_counts(do: Do, full: Queue) -> None:
    assert do(full.get_job_counts) == {
        "waiting": 3,
        "prioritized": 2,
        "active": 2,
        "delayed": 2,
        "waiting-children": 1,
        "completed": 2,
        "failed": 1,
    }
    assert do(full.get_job_counts, "failed", "wait") == {"failed": 1, "waiting": 3}
    assert do(full.count) == 8
    assert do(full.get_counts_per_priority, [0, 1, 2, 5]) == {0: 3, 1: 1, 2: 0, 5: 1}


@pytest.mark.parity("Queue.getJobs")
def test_ranges_in_bullmq_s_order(do: Do, full: Queue) -> None:
    assert ids(do(full.get_jobs, "waiting")) == ["8", "7", "6"]
    assert ids(do(full.get_jobs, "waiting", asc=True)) == ["6", "7", "8"]
    assert ids(do(full.get_jobs, ["waiting"], 0, 1, True)) == ["6", "7"]
    assert ids(do(full.get_jobs, ["waiting"], 1, 1)) == ["7"]
    assert ids(do(full.get_jobs, "active", asc=True)) == ["4", "5"]
    assert ids(do(full.get_jobs, "prioritized", asc=True)) == ["10", "9"]
    assert ids(do(full.get_jobs, "delayed", asc=True)) == ["12", "11"]
    assert ids(do(full.get_jobs, ["completed", "failed"])) == ["2", "1", "3"]
    assert ids(do(full.get_jobs, "completed", -1, -1)) == ["1"]
    assert ids(do(full.get_jobs, "waiting-children")) == ["P"]
    assert len(do(full.get_jobs)) == 13
    assert do(full.get_jobs, []) == []


@pytest.mark.parity("Queue.getJobState", "Job.getState")
def test_states(do: Do, full: Queue) -> None:
    states = [do(full.get_job_state, id) for id in ("1", "3", "4", "6", "9", "11", "P", "99")]
    assert states == [
        "completed",
        "failed",
        "active",
        "waiting",
        "prioritized",
        "delayed",
        "waiting-children",
        "unknown",
    ]
    assert do(do(full.get_job, "1").get_state) == "completed"


@pytest.mark.parity("Queue.getJob")
def test_a_job(do: Do, queue: Queue, hands: Hands) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    do(queue.add, "welcome", {"user": 7}, attempts=3, priority=2)
    hands.complete_all(1)
    job = do(queue.get_job, "1")
    assert (job.id, job.name, job.data, job.priority) == ("1", "welcome", {"user": 7}, 2)
    assert job.opts == {"attempts": 3, "priority": 2}
    assert (job.returnvalue, job.attempts_made, job.attempts_started) == ("1", 1, 1)
    after = datetime.now(UTC) + timedelta(seconds=1)
    assert before < job.timestamp <= job.processed_on <= job.finished_on < after
    assert do(queue.get_job, "2") is None
    assert do(queue.get_job, 1).id == "1"


def test_an_id_without_a_job_is_left_out(do: Do, full: Queue, redis_client: redis.Redis) -> None:
    redis_client.delete("bull:q:7")
    assert ids(do(full.get_jobs, "waiting")) == ["8", "6"]


def test_many_jobs_are_read_in_batches(do: Do, queue: Queue) -> None:
    queue.add_bulk(JobSpec("x", {"n": n}) for n in range(1203))
    assert [job.data["n"] for job in do(queue.get_jobs, "waiting", asc=True)] == list(range(1203))


def test_no_such_state(do: Do, queue: Queue) -> None:
    with pytest.raises(InvalidOption, match="no state 'waitng'; did you mean 'waiting'"):
        do(queue.get_jobs, "waitng")
    with pytest.raises(InvalidOption, match="no state 'all'; the states are waiting, "):
        do(queue.get_job_counts, "all")
    with pytest.raises(InvalidOption, match="those of a paused queue are 'waiting'"):
        do(queue.get_jobs, "paused")
    with pytest.raises(InvalidOption, match="no state 7"):
        do(queue.get_jobs, [7])


@pytest.mark.parity("Queue.getMetrics")
def test_metrics(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    assert do(queue.get_metrics).count == 0
    assert do(queue.get_metrics).previous_at is None
    hands = Hands(queue, metrics=10)
    queue.add_bulk([JobSpec("x")] * 4)
    hands.complete_all(2)
    hands.fail_all(1)
    minute = 60_000
    now = int(redis_client.hget("bull:q:metrics:completed", "prevTS"))
    redis_client.hset("bull:q:metrics:completed", "prevTS", now - 3 * minute)
    hands.complete_all(1)
    found = do(queue.get_metrics)
    assert (found.count, found.data, found.previous_count) == (3, [0, 0, 2], 2)
    assert do(queue.get_metrics, "completed", 2, 2).data == [2]
    assert do(queue.get_metrics, "failed").count == 1
    with pytest.raises(InvalidOption, match="not of 'waiting'"):
        do(queue.get_metrics, "waiting")


@pytest.mark.parity("Queue.getMeta", "Queue.getVersion")
def test_meta(do: Do, queue: Queue, redis_client: redis.Redis) -> None:
    assert do(queue.get_meta) == QueueMeta(False, None, None, None, None)
    assert do(queue.get_version) is None
    do(queue.add, "x")
    do(queue.set_global_concurrency, 4)
    do(queue.set_global_rate_limit, 10, 1.5)
    do(queue.pause)
    found = do(queue.get_meta)
    assert (found.paused, found.concurrency, found.limit) == (True, 4, RateLimit(10, 1.5))
    assert found.max_events == 10000
    redis_client.hset("bull:q:meta", mapping={"version": "bullmq:6.7.0", "concurrency": "many"})
    assert do(queue.get_version) == "bullmq:6.7.0"
    assert do(queue.get_meta).concurrency is None


def test_a_queue_of_any_name_can_be_read(do: Do, redis_client: redis.Redis) -> None:
    with pytest.raises(InvalidOption):
        Queue("a:b")
    redis_client.lpush("bull:a:b:wait", "1")
    queue = Queue.existing("a:b")
    assert repr(queue) == "<Queue 'a:b' on 'default'>"
    assert do(queue.get_job_counts, "waiting") == {"waiting": 1}


def test_keys_of_a_wrong_type_count_as_empty(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    redis_client.set("bull:q:wait", "text")
    assert do(queue.get_job_counts, "waiting", "failed") == {"waiting": 0, "failed": 0}


def test_a_blocking_method_in_an_event_loop_names_its_twin(queue: Queue) -> None:
    async def wrong() -> None:
        queue.get_job_counts()

    with pytest.raises(SynchronousCall, match=r"^get_job_counts\(\) .* await aget_job_counts\(\)"):
        asyncio.run(wrong())

    async def job() -> None:
        (await queue.aadd("x")).update_progress(5)

    with pytest.raises(SynchronousCall, match=r"await aupdate_progress\(\) instead"):
        asyncio.run(job())
