"""Waiting for what a job returns."""

import asyncio
import threading

import pytest
import redis

from queuecore import JobFailed, JobSpec, Queue
from queuecore.errors import InvalidOption, JobNotFound
from queuecore.wire.calls import waiting
from tests.server.conftest import Do
from tests.server.hands import Hands


def test_a_job_that_is_finished_already(do: Do, queue: Queue, hands: Hands) -> None:
    queue.add_bulk([JobSpec("x")] * 3)
    (job,) = hands.claim()
    hands.complete(job, {"sent": True})
    assert do(queue.get_job("1").result) == {"sent": True}
    hands.fail_all(1)
    with pytest.raises(JobFailed, match=r"^boom$"):
        do(queue.get_job("2").result, timeout=5)
    (job,) = hands.claim()
    hands.complete(job, None)
    assert do(queue.get_job("3").result) is None


@pytest.mark.parity("Job.waitUntilFinished")
def test_a_job_that_finishes_meanwhile(do: Do, queue: Queue, hands: Hands) -> None:
    job = queue.add("x")
    (claimed,) = hands.claim()
    timer = threading.Timer(0.1, hands.complete, (claimed, [1]))
    timer.start()
    assert do(job.result, timeout=20) == [1]
    timer.join()


@pytest.mark.parity("Job.waitUntilFinished")
def test_a_job_that_fails_meanwhile(do: Do, queue: Queue, hands: Hands) -> None:
    job = queue.add("x")
    (claimed,) = hands.claim()
    timer = threading.Timer(0.1, hands.fail, (claimed, "no such address"))
    timer.start()
    with pytest.raises(JobFailed, match=r"^no such address$"):
        do(job.result, timeout=20)
    timer.join()


def test_a_job_that_is_not_kept(do: Do, queue: Queue, hands: Hands) -> None:
    job = queue.add("x")
    (claimed,) = hands.claim()
    hands.complete(claimed, "done", rule="0")
    queue.add_bulk(JobSpec("y") for _ in range(waiting.PAGE))  # far back in the stream
    assert do(queue.get_job, job.id) is None
    assert do(job.result, timeout=5) == "done"


def test_among_the_events_of_many_others(do: Do, queue: Queue, hands: Hands) -> None:
    job = queue.add("x")
    (claimed,) = hands.claim()

    def busy() -> None:
        queue.add_bulk(JobSpec("y") for _ in range(waiting.PAGE * 2))
        hands.complete(claimed, 7)

    thread = threading.Thread(target=busy)
    thread.start()
    assert do(job.result, timeout=20) == 7
    thread.join()


def test_time_runs_out(do: Do, queue: Queue) -> None:
    job = queue.add("x")
    with pytest.raises(TimeoutError, match=r"job 1 of queue q is not finished after 0\.05 s"):
        do(job.result, timeout=0.05)
    with pytest.raises(InvalidOption):
        do(job.result, timeout=-1)


def test_a_deleted_job(do: Do, queue: Queue) -> None:
    job = queue.add("x")
    queue.remove(job.id)
    with pytest.raises(JobNotFound, match="there is no job 1 in queue q"):
        do(job.result, timeout=5)


def test_a_missed_event_is_made_good_by_the_job_s_hash(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "BLOCK_MS", 50)
    job = queue.add("x")
    (claimed,) = hands.claim()

    def finish_unseen() -> None:
        with redis_client.pipeline() as pipeline:  # the stream is gone before anybody can read
            pipeline.zadd("bull:q:completed", {claimed.id: 1})
            pipeline.hset("bull:q:1", "returnvalue", "5")
            pipeline.delete("bull:q:events")
            pipeline.execute()

    timer = threading.Timer(0.1, finish_unseen)
    timer.start()
    assert do(job.result, timeout=20) == 5
    timer.join()


def test_many_wait_at_once_in_one_event_loop(queue: Queue, hands: Hands) -> None:
    async def main() -> list[object]:
        jobs = await queue.aadd_bulk([JobSpec("x")] * 30)
        waiting_for = [asyncio.ensure_future(job.aresult(timeout=20)) for job in jobs]
        await asyncio.to_thread(hands.complete_all, 30)
        results = await asyncio.gather(*waiting_for)
        await queue.connection.aclose()
        return results

    assert asyncio.run(main()) == [str(n) for n in range(1, 31)]
