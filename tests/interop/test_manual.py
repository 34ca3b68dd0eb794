"""Jobs got by hand on one side, beside the other's workers: each is done once, the same way."""

import asyncio
import threading
import time
from typing import Any

import redis

from queuecore import JobSpec, Queue, RateLimit, Worker
from tests import invariants
from tests.interop.dump import compare
from tests.interop.node import Peer, numbered
from tests.interop.test_together import until

JOBS = 120


def test_a_program_of_ours_works_beside_a_worker_of_node_s(
    peer: Peer, redis_client: redis.Redis
) -> None:
    theirs = peer.worker("q", "async job => 'node'", concurrency=2)
    queue = Queue("q")
    mine = Worker("q", name="by hand", drain_delay=0.2)
    done: dict[str, str] = {}

    def work() -> None:
        job = mine.get_next_job()
        while job is not None:
            done[job.id] = job.token
            # Every other by one call, which ends a job and claims the next.
            if len(done) % 2:
                job = job.move_to_completed("ours", fetch_next=True)
            else:
                job.move_to_completed("ours")
                job = mine.get_next_job()

    threads = [threading.Thread(target=work) for _ in range(2)]
    peer.queue("q").addBulk(list(numbered(JOBS // 2)))
    for thread in threads:
        thread.start()
    queue.add_bulk([JobSpec("job", {"n": n}) for n in range(JOBS // 2)])
    until(lambda: queue.get_completed_count() == JOBS)
    for thread in threads:
        thread.join(30)
    theirs.close()
    by = [job.returnvalue for job in queue.get_completed(0, -1)]
    assert by.count("ours") == len(done) > 0
    assert by.count("node") == JOBS - len(done)
    assert all(job.attempts_made == 1 for job in queue.get_completed(0, -1))
    assert len(set(done.values())) == len(done)
    invariants.check(redis_client, "q", idle=True)


def test_node_ends_by_its_token_what_we_claimed(peer: Peer, redis_client: redis.Redis) -> None:
    queue = Queue("q")
    queue.add_bulk([JobSpec("n"), JobSpec("n")])
    worker = Worker("q")
    first, second = worker.get_next_job(), worker.get_next_job()
    assert first is not None
    assert second is not None
    peer.queue("q").job(first.id).moveToCompleted({"by": "node"}, first.token, False)
    peer.queue("q").job(second.id).moveToFailed({"message": "boom"}, second.token, False)
    assert first.result() == {"by": "node"}
    assert queue.get_job_state(second.id) == "failed"
    invariants.check(redis_client, "q", idle=True)


def test_the_end_of_one_and_the_next_leave_the_same(six: Peer, redis_client: redis.Redis) -> None:
    # What a job needs to fetch the next it takes from its queue's options.
    options = {"name": "anna", "lockDuration": 30_000, "metrics": {"maxDataPoints": 10_080}}
    queue = six.make("Queue", ["theirs", six._options(options)])
    queue.addBulk([{"name": "job", "data": {}} for _ in range(3)])
    worker = six.make("Worker", ["theirs", None, six._options({"autorun": False} | options)])
    job = worker.getNextJob("token", {"block": False})
    following = queue.job(job["id"]).moveToCompleted("a", "token", True)
    assert following[1] == "2"
    ours = Queue("ours")
    ours.add_bulk([JobSpec("job") for _ in range(3)])
    mine = Worker("ours", name="anna").get_next_job()
    assert mine is not None
    found = mine.move_to_completed("a", fetch_next=True)
    assert found is not None
    assert found.id == "2"
    compare(redis_client)


def test_while_a_limit_holds_both_give_none_at_once(six: Peer) -> None:
    options: dict[str, Any] = {"connection": six.connection, "autorun": False, "drainDelay": 60}
    options["limiter"] = {"max": 1, "duration": 60_000}
    six.queue("q").addBulk(list(numbered(3)))
    theirs = six.make("Worker", ["q", None, options])
    mine = Worker("q", limiter=RateLimit(1, 60), drain_delay=60)
    begun = time.monotonic()
    assert theirs.getNextJob("token")["id"] == "1"
    assert mine.get_next_job() is None
    assert theirs.getNextJob("token") is None
    assert theirs.getNextJob("token") is None
    assert time.monotonic() - begun < 10


def test_while_they_are_paused_both_give_none_at_once(six: Peer) -> None:
    six.queue("q").addBulk(list(numbered(1)))
    options = {"connection": six.connection, "autorun": False, "drainDelay": 60}
    theirs = six.make("Worker", ["q", None, options])
    theirs.pause()
    mine = Worker("q", drain_delay=60)
    asyncio.run(mine.pause())
    begun = time.monotonic()
    assert theirs.getNextJob("token") is None
    assert mine.get_next_job() is None
    assert time.monotonic() - begun < 10
