"""Grouped jobs beside a worker of Node's: it works the ungrouped ones and leaves these alone."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import redis

from queuecore import Group, GroupLimits, Job, JobSpec, Queue
from tests import invariants
from tests.interop.node import Peer
from tests.interop.ours import working
from tests.interop.test_together import until

GROUPS, IN_GROUPS, PLAIN = 20, 1000, 500


async def ours(job: Job) -> str:
    return "ours"


def events_of(client: redis.Redis) -> list[dict[str, str]]:
    return [entry for _, entry in client.xrange("bull:q:events")]


def done(client: redis.Redis, count: int) -> Callable[[], Any]:
    return lambda: client.zcard("bull:q:completed") == count


def test_node_works_the_ungrouped_jobs_alone(peer: Peer, redis_client: redis.Redis) -> None:
    queue = Queue("q")
    queue.set_max_events(20_000)
    queue.add_bulk(JobSpec("n", n, group=Group(f"g{n % GROUPS}")) for n in range(IN_GROUPS))
    queue.add_bulk(JobSpec("n", n) for n in range(PLAIN))
    worker = peer.worker("q", "async () => 'node'", concurrency=10)
    until(done(redis_client, PLAIN))
    assert queue.get_groups_jobs_count() == IN_GROUPS
    assert {job.returnvalue for job in queue.get_completed()} == {"node"}
    invariants.check(redis_client, "q")

    queue.add_bulk(JobSpec("n", n) for n in range(PLAIN))
    with working("q", ours, concurrency=10, group=GroupLimits(concurrency=2)):
        until(done(redis_client, IN_GROUPS + 2 * PLAIN))
    worker.close()
    counts = invariants.check(redis_client, "q")
    assert counts["completed"] == sum(counts.values()) == IN_GROUPS + 2 * PLAIN
    jobs = {job.id: job for job in queue.get_completed()}
    assert {job.returnvalue for job in jobs.values() if job.gid} == {"ours"}

    # What the event stream tells: order and limits of each group, and that they had their turns.
    running: Counter[str] = Counter()
    started: dict[str, list[int]] = {f"g{n}": [] for n in range(GROUPS)}
    turns: list[str] = []
    for entry in events_of(redis_client):
        job = jobs.get(entry.get("jobId", ""))
        group = job.gid if job is not None else None
        if job is None or group is None:
            continue
        if entry["event"] == "active":
            running[group] += 1
            assert running[group] <= 2
            started[group].append(job.data)
            turns.append(group)
        elif entry["event"] == "completed":
            running[group] -= 1
    assert all(some == sorted(some) for some in started.values())
    half = Counter(turns[: IN_GROUPS // 2])
    share = IN_GROUPS / 2 / GROUPS
    assert all(abs(half[group] - share) <= share / 10 for group in started), half


def test_what_node_does_to_a_queue_spares_grouped_jobs(
    peer: Peer, redis_client: redis.Redis
) -> None:
    queue, theirs = Queue("q"), peer.queue("q")
    jobs = queue.add_bulk([JobSpec("n", n, group=Group("a")) for n in range(4)])
    later = queue.add("n", 9, group=Group("a"), delay=1000)
    queue.add("n", 5)
    theirs.drain(True)
    if peer.major >= 6:
        theirs.removeOrphanedJobs()
    assert theirs.getWaitingChildrenCount() == 5
    assert theirs.job(jobs[0].id).getState() == "waiting-children"
    assert theirs.remove(jobs[1].id) == 1
    assert theirs.remove(later.id) == 1
    with working("q", ours):
        until(done(redis_client, 3))
    counts = invariants.check(redis_client, "q")
    assert counts["completed"] == sum(counts.values()) == 3


def test_a_job_that_node_retries_goes_back_into_its_group(
    peer: Peer, redis_client: redis.Redis
) -> None:
    queue, theirs = Queue("q"), peer.queue("q")

    async def bad(job: Job) -> None:
        raise ValueError("no")

    job = queue.add("n", 1, group=Group("a"))
    with working("q", bad):
        until(lambda: redis_client.zcard("bull:q:failed") == 1)
    queue.pause_group("a")
    theirs.job(job.id).retry()
    assert redis_client.lrange("bull:q:wait", 0, -1) == [job.id]
    with working("q", ours):
        until(lambda: queue.get_group_jobs_count("a") == 1)
        assert redis_client.llen("bull:q:wait") == 0
        queue.resume_group("a")
        until(done(redis_client, 1))
    invariants.check(redis_client, "q")
