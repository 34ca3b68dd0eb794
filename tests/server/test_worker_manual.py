"""Jobs that a program claims and ends itself, by the blocking methods and by their twins."""

import asyncio
import threading
import time
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue, RateLimit, Worker
from queuecore.errors import ConfigurationError, InvalidOption, LockLost, PendingChildren
from tests import invariants
from tests.server.conftest import Do
from tests.server.working import finished, until


@pytest.mark.parity("Worker.getNextJob", "Job.moveToCompleted", "Job.moveToFailed")
def test_jobs_are_claimed_and_ended_by_hand(
    queue: Queue, redis_client: redis.Redis, do: Do
) -> None:
    queue.add_bulk(
        [JobSpec("n", {"n": 1}), JobSpec("n", {"n": 2}), JobSpec("n", {"n": 3}, attempts=2)]
    )
    worker = Worker("q", name="anna", drain_delay=0.1)
    good, bad, again = (do(worker.get_next_job) for _ in range(3))
    assert (good.data, good.attempts_started, good.processed_by) == ({"n": 1}, 1, "anna")
    assert good.get_state() == "active"
    assert redis_client.get(f"bull:q:{good.id}:lock") == good.token
    assert do(worker.get_next_job, block=False) is None
    do(good.move_to_completed, {"sum": 3})
    do(bad.move_to_failed, ValueError("boom"))
    do(again.move_to_failed, "not yet")
    assert (good.returnvalue, good.attempts_made) == ({"sum": 3}, 1)
    assert (bad.failed_reason, bad.attempts_made) == ("boom", 1)
    assert [queue.get_job_state(one.id) for one in (good, bad, again)] == [
        "completed", "failed", "waiting",
    ]  # fmt: skip
    assert good.result() == {"sum": 3}
    last = do(worker.get_next_job)
    assert last.attempts_made == 1
    do(last.move_to_completed)
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity("Worker.getNextJob(block)")
@pytest.mark.parity("Worker.getNextJob", "Worker.drainDelay")
def test_it_waits_for_a_job_and_not_for_ever(queue: Queue) -> None:
    worker = Worker("q", drain_delay=0.2)
    begun = time.monotonic()
    assert worker.get_next_job() is None
    assert 0.15 < time.monotonic() - begun < 3
    patient = Worker("q", drain_delay=10)
    adding = threading.Timer(0.2, lambda: queue.add("n"))
    adding.start()
    begun = time.monotonic()
    job = patient.get_next_job()
    assert job is not None
    assert time.monotonic() - begun < 5
    queue.add("later", delay=0.3)
    later = patient.get_next_job()
    assert later is not None
    assert later.name == "later"


@pytest.mark.parity("Job.extendLock")
def test_a_lock_is_extended(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    queue.add("n")
    job = do(Worker("q", lock_duration=5).get_next_job)
    do(job.extend_lock, 60)
    assert 50_000 < redis_client.pttl(f"bull:q:{job.id}:lock") <= 60_000
    do(job.extend_lock)
    assert redis_client.pttl(f"bull:q:{job.id}:lock") <= 5_000
    with pytest.raises(InvalidOption, match="millisecond"):
        do(job.extend_lock, 0)
    redis_client.set(f"bull:q:{job.id}:lock", "another's")
    with pytest.raises(LockLost):
        do(job.extend_lock)
    with pytest.raises(LockLost):
        do(job.move_to_completed)
    assert queue.get_job_state(job.id) == "active"


def test_only_who_got_it_ends_a_job(queue: Queue, do: Do) -> None:
    job = queue.add("n")
    with pytest.raises(InvalidOption, match="get_next_job"):
        do(job.move_to_completed)
    worker = Worker("q")
    mine = do(worker.get_next_job)
    with pytest.raises(LockLost):
        do(mine.move_to_completed, None, "somebody:1")
    with pytest.raises(InvalidOption, match="token"):
        do(mine.move_to_failed, "no", "no token")
    do(mine.move_to_completed, "mine")
    with pytest.raises(LockLost):
        do(mine.move_to_completed, "twice")


def test_a_deferred_failure_and_too_many_starts_end_without_a_run(
    queue: Queue, redis_client: redis.Redis, do: Do
) -> None:
    queue.add_bulk([JobSpec("n") for _ in range(3)])
    redis_client.hset("bull:q:1", "defa", "a child failed")
    redis_client.hset("bull:q:2", "ats", 5)
    job = do(Worker("q", max_started_attempts=3).get_next_job)
    assert job.id == "3"
    assert [one.failed_reason for one in queue.get_failed()][::-1] == [
        "a child failed",
        "job started more than allowable limit",
    ]


@pytest.mark.parity("Worker.limiter(max, duration)")
def test_a_rate_limit_holds(queue: Queue, do: Do) -> None:
    queue.add_bulk([JobSpec("n") for _ in range(3)])
    worker = Worker("q", limiter=RateLimit(2, 60))
    assert do(worker.get_next_job) is not None
    assert do(worker.get_next_job) is not None
    assert do(worker.get_next_job) is None


def test_a_run_of_a_scheduler_goes_on(queue: Queue, do: Do) -> None:
    queue.upsert_job_scheduler("s", every=3600)
    job = do(Worker("q").get_next_job)
    assert job.repeat_job_key == "s"
    assert queue.get_delayed_count() == 1


def test_many_threads_share_one_worker(queue: Queue, redis_client: redis.Redis) -> None:
    queue.add_bulk([JobSpec("n") for _ in range(200)])
    worker = Worker("q")
    done: list[str] = []

    def work() -> None:
        while (job := worker.get_next_job(block=False)) is not None:
            job.move_to_completed()
            done.append(job.id)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done, key=int) == [str(n) for n in range(1, 201)]
    assert queue.get_job_counts("completed") == {"completed": 200}
    invariants.check(redis_client, "q", idle=True)


async def test_a_worker_without_a_processor_does_not_run(queue: Queue) -> None:
    with pytest.raises(ConfigurationError, match="get_next_job"):
        await Worker("q").arun()


async def test_what_was_got_by_hand_is_not_handed_back_by_a_worker_that_closes(
    queue: Queue,
) -> None:
    async def nothing(job: Job) -> Any:
        return None

    worker = Worker("q", nothing)
    await queue.aadd("n")
    mine = await worker.aget_next_job()
    assert mine is not None
    running = asyncio.create_task(worker.arun())
    await queue.aadd("n")
    await finished(queue, 1)
    await worker.close()
    await running
    await mine.amove_to_completed("mine")
    assert await mine.aget_state() == "completed"
    await queue.connection.aclose()


@pytest.mark.parity("Worker.startStalledCheckTimer", "QueueEvents.on(stalled)")
async def test_a_program_without_a_running_worker_recovers_jobs(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    job = await queue.aadd("n")
    worker = Worker("q", lock_duration=0.3, stalled_interval=0.2)
    held = await worker.aget_next_job()
    assert held is not None
    idle = Worker("q", skip_stalled_check=True)
    idle.start_stalled_check_timer()
    assert idle._checks is None
    worker.start_stalled_check_timer()
    thread = worker._checks
    worker.start_stalled_check_timer()
    assert worker._checks is thread
    await until(lambda: redis_client.lrange("bull:q:wait", 0, -1) == [job.id])
    assert "was left by its worker and runs again" in caplog.text
    events = [fields["event"] for _, fields in redis_client.xrange("bull:q:events")]
    assert "stalled" in events
    with pytest.raises(LockLost):
        await held.amove_to_completed()
    again = await worker.aget_next_job()
    assert again is not None
    await again.amove_to_completed()
    await worker.close()
    await until(lambda: thread is not None and not thread.is_alive())
    worker.start_stalled_check_timer()
    assert worker._checks is thread
    assert await worker.aget_next_job() is None


async def test_a_paused_worker_gets_no_job(queue: Queue) -> None:
    await queue.aadd("n")
    worker = Worker("q", drain_delay=60)
    await worker.pause()
    assert await worker.aget_next_job() is None
    worker.resume()
    assert await worker.aget_next_job() is not None


@pytest.mark.parity("Job.moveToCompleted", "Job.moveToFailed")
def test_the_end_of_a_job_gives_the_next(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    queue.add_bulk([JobSpec("n") for _ in range(3)])
    worker = Worker("q", name="anna")
    job = do(worker.get_next_job)
    calls = redis_client.info("commandstats")["cmdstat_evalsha"]["calls"]
    second = do(job.move_to_completed, fetch_next=True)
    assert redis_client.info("commandstats")["cmdstat_evalsha"]["calls"] == calls + 1
    assert (second.id, second.attempts_started, second.processed_by) == ("2", 1, "anna")
    third = do(second.move_to_failed, "boom", fetch_next=True)
    assert redis_client.get("bull:q:3:lock") == third.token != second.token
    assert do(third.move_to_completed, fetch_next=True) is None
    assert queue.get_job_counts("completed", "failed") == {"completed": 2, "failed": 1}
    invariants.check(redis_client, "q", idle=True)


def test_a_job_that_cannot_complete_gives_no_other(
    queue: Queue, redis_client: redis.Redis, do: Do
) -> None:
    queue.add("n")
    worker = Worker("q")
    parent = do(worker.get_next_job)
    Queue("children").add("child", parent=parent)
    other = queue.add("n")
    with pytest.raises(PendingChildren):
        do(parent.move_to_completed, fetch_next=True)
    assert other.get_state() == "waiting"
    assert redis_client.get(f"bull:q:{parent.id}:lock") == parent.token
    nearly = do(worker.get_next_job)
    assert (nearly.id, nearly.attempts_made) == (other.id, 0)
    invariants.check(redis_client, "q")


def test_what_must_not_run_is_passed_over(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    queue.add_bulk([JobSpec("n") for _ in range(3)])
    job = do(Worker("q").get_next_job)
    redis_client.hset("bull:q:2", "defa", "a child failed")
    assert do(job.move_to_completed, fetch_next=True).id == "3"
    assert queue.get_job("2").failed_reason == "a child failed"


def test_another_process_ends_a_job_by_its_token(
    queue: Queue, redis_client: redis.Redis, do: Do
) -> None:
    queue.add_bulk([JobSpec("n") for _ in range(3)])
    job = do(Worker("q").get_next_job)
    other = Worker("q")  # knows nothing but id and token
    same = other.queue.get_job(job.id)
    assert same is not None
    with pytest.raises(InvalidOption, match="token"):
        do(same.move_to_completed)
    following = do(same.move_to_completed, "there", job.token, fetch_next=True)
    assert following.id == "2"
    assert job.result() == "there"
    last = do(other.queue.get_job(following.id).move_to_failed, "no", following.token)
    assert last is None
    assert queue.get_job_counts("completed", "failed") == {"completed": 1, "failed": 1}
    invariants.check(redis_client, "q")


def test_a_limit_gives_none_at_once(queue: Queue, do: Do) -> None:
    queue.add_bulk([JobSpec("n") for _ in range(2)])
    worker = Worker("q", limiter=RateLimit(1, 60), drain_delay=60)
    job = do(worker.get_next_job)
    begun = time.monotonic()
    assert do(job.move_to_completed, fetch_next=True) is None
    assert do(worker.get_next_job) is None
    assert time.monotonic() - begun < 5
    assert 50 < queue.get_rate_limit_ttl(1) <= 60
