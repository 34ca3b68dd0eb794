"""Pausing beside BullMQ 5, which moves what waits to ``paused``, and 6, which leaves it there.

A resume by 5 renames ``paused`` over ``wait`` and so destroys what stands there: whatever we do to
a queue that 5 may resume must not leave anything in ``wait``.
"""

from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import JobSpec, Queue
from tests import invariants
from tests.interop.node import Peer, Remote, numbered

WAIT, PAUSED = "bull:q:wait", "bull:q:paused"


def work_all(peer: Peer, queue: str, count: int) -> list[str]:
    """Let a Node worker work the queue until ``count`` have completed; their names in order."""
    worker = peer.worker(queue, "async job => null")
    names = [args[0]["name"] for args in worker.wait_for("completed", count)]
    worker.close()
    return names


def three(queue: Queue) -> None:
    queue.add_bulk([JobSpec("first"), JobSpec("second"), JobSpec("third")])


def test_each_sees_the_others_pause(peer: Peer) -> None:
    theirs, ours = peer.queue("q"), Queue("q")
    events = peer.queue_events("q")
    assert (theirs.isPaused(), ours.is_paused()) == (False, False)
    ours.pause()
    assert (theirs.isPaused(), ours.is_paused()) == (True, True)
    events.wait_for("paused")
    theirs.resume()
    assert (theirs.isPaused(), ours.is_paused()) == (False, False)
    events.wait_for("resumed")
    theirs.pause()
    assert (theirs.isPaused(), ours.is_paused()) == (True, True)
    ours.resume()
    assert (theirs.isPaused(), ours.is_paused()) == (False, False)
    events.wait_for("paused", 2)
    events.wait_for("resumed", 2)


def test_a_node_worker_heeds_our_pause_and_resume(peer: Peer) -> None:
    worker = peer.worker("q", "async job => null")
    queue = Queue("q")
    queue.pause()
    three(queue)
    queue.add("dear", priority=1)
    # It looked after the pause and took nothing: an idle worker is blocked, or about to be.
    counts = peer.queue("q").getJobCounts("wait", "paused", "prioritized", "active", "completed")
    assert counts["completed"] == counts["active"] == 0
    assert counts["wait"] + counts["paused"] == 3
    queue.resume()
    worker.wait_for("completed", 4)
    assert [args[0]["name"] for args in worker.of("completed")] == [
        "first",
        "second",
        "third",
        "dear",
    ]


# Who does what to a queue that 6 or we ourselves made: jobs stay in `wait`.
Step = Callable[[Remote, Queue], Any]
NODE: dict[str, Step] = {
    "pause": lambda theirs, ours: theirs.pause(),
    "resume": lambda theirs, ours: theirs.resume(),
    "add": lambda theirs, ours: theirs.add("job", {}),
}
OURS: dict[str, Step] = {
    "pause": lambda theirs, ours: ours.pause(),
    "resume": lambda theirs, ours: ours.resume(),
    "add": lambda theirs, ours: ours.add("job"),
}


@pytest.mark.parametrize("who_pauses", [NODE, OURS], ids=["node pauses", "we pause"])
@pytest.mark.parametrize("who_adds", [NODE, OURS], ids=["node adds", "we add"])
@pytest.mark.parametrize("who_resumes", [NODE, OURS], ids=["node resumes", "we resume"])
def test_nothing_is_lost_by_any_mix(
    peer: Peer,
    redis_client: redis.Redis,
    who_pauses: dict[str, Step],
    who_adds: dict[str, Step],
    who_resumes: dict[str, Step],
) -> None:
    both = peer.queue("q"), Queue("q")
    NODE["add"](*both)
    OURS["add"](*both)
    who_pauses["pause"](*both)
    who_adds["add"](*both)
    NODE["add"](*both)
    OURS["add"](*both)
    stands, empty = (PAUSED, WAIT) if peer.major == 5 else (WAIT, PAUSED)
    assert (redis_client.llen(stands), redis_client.llen(empty)) == (5, 0)
    invariants.check(redis_client, "q")
    who_resumes["resume"](*both)
    assert (redis_client.llen(WAIT), redis_client.llen(PAUSED)) == (5, 0)
    invariants.check(redis_client, "q", idle=True)
    assert len(work_all(peer, "q", 5)) == 5


def test_a_queue_of_ours_alone_keeps_its_jobs_in_wait(redis_client: redis.Redis) -> None:
    queue = Queue("q")
    three(queue)
    queue.pause()
    queue.add("fourth")
    assert (redis_client.llen(WAIT), redis_client.exists(PAUSED)) == (4, 0)


def test_our_resume_merges_what_5_put_beside_it(five: Peer, redis_client: redis.Redis) -> None:
    queue = Queue("q")
    three(queue)
    queue.pause()  # 6's layout: nobody of 5 has been here
    theirs = five.queue("q")
    theirs.add("of 5", {})
    queue.add("ours again")  # follows 5 now
    assert redis_client.lrange(PAUSED, 0, -1) == ["5", "4"]
    assert redis_client.lrange(WAIT, 0, -1) == ["3", "2", "1"]
    queue.resume()
    invariants.check(redis_client, "q", idle=True)
    assert sorted(work_all(five, "q", 5)) == ["first", "of 5", "ours again", "second", "third"]


def test_our_pause_moves_the_rest_where_5_would_look(five: Peer, redis_client: redis.Redis) -> None:
    # 5 pauses an empty queue, a program of 6 adds to `wait`, we pause again, 5 resumes.
    theirs = five.queue("q")
    theirs.pause()
    theirs.add("of 5", {})
    redis_client.lpush(WAIT, "2")
    redis_client.hset("bull:q:2", mapping={"name": "of 6", "data": "{}", "opts": "{}"})
    redis_client.hset("bull:q:2", mapping={"timestamp": 1, "delay": 0, "priority": 0})
    redis_client.set("bull:q:id", 2)
    Queue("q").pause()
    assert redis_client.exists(WAIT) == 0
    theirs.resume()
    assert sorted(work_all(five, "q", 2)) == ["of 5", "of 6"]


def test_a_program_of_6_and_one_of_5_and_ours(
    five: Peer, six: Peer, redis_client: redis.Redis
) -> None:
    ours = Queue("q")
    new = six.queue("q")
    new.addBulk(list(numbered(3)))
    new.pause()
    assert redis_client.llen(WAIT) == 3
    old = five.queue("q")  # `meta.version` says 5 from here on
    ours.add("ours")
    ours.pause()
    # All of it where a resume by 5 finds it.
    assert (redis_client.llen(WAIT), redis_client.llen(PAUSED)) == (0, 4)
    old.resume()
    invariants.check(redis_client, "q", idle=True)
    assert len(work_all(six, "q", 4)) == 4


def test_many_jobs_are_merged_in_order(five: Peer, redis_client: redis.Redis) -> None:
    count = 20_000
    queue = Queue("q")
    queue.add_bulk(JobSpec("job") for _ in range(count))
    five.queue("q").pause()
    queue.add("last")
    assert redis_client.llen(PAUSED) == count + 1
    queue.resume()
    assert redis_client.exists(PAUSED) == 0
    waiting = redis_client.lrange(WAIT, 0, -1)[::-1]
    assert waiting == [str(n) for n in range(1, count + 2)]
