"""Grouped jobs: where they stand, in which order they run, and what becomes of them."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
import redis

from queuecore import (
    Deduplication,
    DelayedError,
    FlowJob,
    FlowProducer,
    Group,
    GroupLimits,
    GroupMaxSizeExceeded,
    Job,
    JobSpec,
    Queue,
    RateLimit,
    WaitingChildrenError,
    WaitingError,
    Worker,
)
from queuecore.errors import InvalidOption, JobNotInState
from queuecore.inspect import Inspector
from queuecore.wire.calls.adding import NewJob, add_jobs
from queuecore.wire.calls.base import Call
from queuecore.wire.calls.working import (
    Claim,
    ClaimOptions,
    Outcome,
    finish_and_claim,
    hand_back,
)
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands
from tests.server.working import finished, until, working

A, B = Group("a"), Group("b")
RAN: list[Any] = []


@pytest.fixture(autouse=True)
def ran() -> list[Any]:
    RAN.clear()
    return RAN


async def note(job: Job) -> None:
    RAN.append(job.data)


@pytest.mark.parity("Pro, Queue.add(group.id)", "Pro, Job.gid")
def test_a_grouped_job_stands_where_node_leaves_it(
    queue: Queue, redis_client: redis.Redis, do: Do
) -> None:
    job = do(queue.add, "n", 1, group=Group("tenant 3", priority=2))
    assert UUID(job.id)
    assert job.opts["group"] == {"id": "tenant 3", "priority": 2}
    assert job.gid == "tenant 3"
    assert do(queue.get_job, job.id).gid == "tenant 3"
    assert do(queue.get_job_counts) | {"waiting-children": 1} == do(queue.get_job_counts)
    assert [one.id for one in do(queue.get_group_jobs, "tenant 3")] == [job.id]
    assert redis_client.zrange("bull:q:waiting-children", 0, -1) == [job.id]
    assert redis_client.exists("bull:q:wait", "bull:q:prioritized", "bull:q:marker") == 0
    invariants.check(redis_client, "q", idle=True)


def test_ungrouped_queues_have_no_key_of_groups(queue: Queue, redis_client: redis.Redis) -> None:
    queue.add("n", 1)
    assert not redis_client.keys("qc:bull:q:group*")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"group": "a"}, "Group"),
        ({"group": A, "priority": 3}, "priority"),
        ({"group": A, "deduplication": Deduplication("d", replace=True)}, "replace"),
    ],
)
def test_what_a_group_excludes_is_refused(queue: Queue, options: Any, word: str) -> None:
    with pytest.raises(InvalidOption, match=word):
        queue.add("n", 1, **options)


@pytest.mark.parametrize("wrong", [{"id": ""}, {"id": 3}, {"id": "a", "priority": -1}])
def test_a_wrong_group_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        Group(**wrong)
    with pytest.raises(InvalidOption):
        Group("a", max_size=0)


def test_wrong_limits_are_refused() -> None:
    for wrong in ({}, {"concurrency": 0}, {"limit": 3}):
        with pytest.raises(InvalidOption):
            GroupLimits(**wrong)  # type: ignore[arg-type]


def test_a_parent_has_no_group_its_child_may(queue: Queue, redis_client: redis.Redis) -> None:
    child = FlowJob("c", 1, queue="q", group=A)
    with pytest.raises(InvalidOption, match="parent has no group"):
        FlowProducer().add(FlowJob("p", queue="q", children=[child], group=A))
    FlowProducer().add(FlowJob("p", queue="q", children=[child, FlowJob("c", 2, queue="q")]))
    assert [job.data for job in queue.get_group_jobs("a")] == [1]
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity("Pro, Queue.add(group.maxSize)")
def test_a_full_group_takes_no_more(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    do(queue.add, "n", 1, group=Group("a", max_size=2))
    do(queue.add, "n", 2, group=A, job_id="mine")
    with pytest.raises(GroupMaxSizeExceeded, match="'a'"):
        do(queue.add, "n", 3, group=Group("a", max_size=2))
    assert do(queue.add, "n", 2, group=Group("a", max_size=2), job_id="mine").id == "mine"
    assert do(queue.get_group_jobs_count, "a") == 2
    do(queue.add, "n", 3, group=Group("b", max_size=1), delay=100)
    with pytest.raises(GroupMaxSizeExceeded):
        do(queue.add, "n", 4, group=Group("b", max_size=1))
    with pytest.raises(InvalidOption, match="single adds"):
        do(queue.add_bulk, [JobSpec("n", 3, group=Group("b", max_size=1))])
    invariants.check(redis_client, "q", idle=True)


async def test_groups_take_turns_after_the_ungrouped(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    for group, count in (("a", 5), ("b", 2), ("c", 3)):
        await queue.aadd_bulk(
            [JobSpec("n", f"{group}{n}", group=Group(group)) for n in range(count)]
        )
    await queue.aadd_bulk([JobSpec("n", "plain"), JobSpec("n", "ranked", priority=9)])
    async with working(note, concurrency=1):
        await finished(queue, 12)
    assert ran[:2] == ["plain", "ranked"]
    assert ran[2:] == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "c2", "a3", "a4"]
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parametrize("concurrency", [1, 7, 100])
async def test_all_run_once_whatever_the_concurrency(
    queue: Queue, redis_client: redis.Redis, ran: list[Any], concurrency: int
) -> None:
    await queue.aadd_bulk(
        [
            JobSpec("n", n, group=Group(f"g{n % 23}")) if n % 3 else JobSpec("n", n)
            for n in range(1000)
        ]
    )
    async with working(note, concurrency=concurrency):
        counts = await finished(queue, 1000, 20)
    assert counts["completed"] == 1000
    assert sorted(ran) == list(range(1000))
    # In which order the server gave them out: two calls' answers may cross on their way.
    data = {job.id: job.data for job in await queue.aget_completed()}
    started = [
        data[entry["jobId"]]
        for _, entry in redis_client.xrange("bull:q:events")
        if entry["event"] == "active"
    ]
    by = {g: [n for n in started if n % 3 and n % 23 == g] for g in range(23)}
    assert all(some == sorted(some) for some in by.values())
    invariants.check(redis_client, "q", idle=True)
    assert await queue.aget_groups() == []


@pytest.mark.parity("Pro, Queue.add(group.priority)", "Pro, Queue.getCountsPerPriorityForGroup")
async def test_priority_counts_inside_a_group(queue: Queue, ran: list[Any]) -> None:
    for n, priority in enumerate((5, 0, 5, 1)):
        await queue.aadd("n", f"a{n}", group=Group("a", priority=priority))
    await queue.aadd("n", "b0", group=B)
    await queue.aadd("n", "first", group=A, lifo=True)
    assert await queue.aget_counts_per_priority_for_group("a", [0, 1, 5, 7]) == {
        0: 2,
        1: 1,
        5: 2,
        7: 0,
    }
    async with working(note, concurrency=1):
        await finished(queue, 6)
    assert [one for one in ran if one != "b0"] == ["first", "a1", "a3", "a0", "a2"]


async def test_a_delayed_job_joins_its_group_when_it_is_due(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    async with working(note):
        job = await queue.aadd("n", 1, group=A, delay=0.2)
        assert await queue.aget_group_jobs_count("a") == 0
        invariants.check(redis_client, "q")
        await finished(queue, 1)
    done = await queue.aget_job(job.id)
    assert done is not None
    assert done.processed_on is not None
    assert (done.processed_on - job.timestamp).total_seconds() >= 0.2  # type: ignore[operator]
    invariants.check(redis_client, "q", idle=True)


async def test_a_retry_goes_back_into_its_group(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    async def flaky(job: Job) -> None:
        RAN.append((job.data, job.attempts_started))
        if job.data == "bad" and job.attempts_started < 3:
            raise ValueError("not yet")

    await queue.aadd("n", "bad", group=A, attempts=3)
    await queue.aadd("n", "bad", group=B, attempts=3, backoff=0.05)
    await queue.aadd("n", "good", group=A)
    async with working(flaky, concurrency=1, group=GroupLimits(concurrency=1)):
        counts = await finished(queue, 3)
    assert counts["completed"] == 3
    assert len(ran) == 7
    invariants.check(redis_client, "q", idle=True)


async def test_a_failed_job_can_be_retried_into_its_group(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async def bad(job: Job) -> None:
        raise ValueError("no")

    jobs = await queue.aadd_bulk([JobSpec("n", n, group=A) for n in range(3)])
    async with working(bad):
        await finished(queue, 3)
    await (await queue.aget_job(jobs[0].id)).aretry()  # type: ignore[union-attr]
    assert await queue.aget_group_jobs_count("a") == 1
    assert await queue.aretry_jobs() == 2
    assert await queue.aget_group_jobs_count("a") == 3
    assert await queue.aget_waiting_count() == 0
    invariants.check(redis_client, "q", idle=True)
    async with working(note):
        counts = await finished(queue, 3)
    assert counts["completed"] == 3


async def most_at_once(
    queue: Queue, count: int, groups: int, seconds: float = 0.003, **options: Any
) -> dict[str, int]:
    """The most jobs of each group that ran at once."""
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def work(job: Job) -> None:
        group = str(job.gid)
        now[group] += 1
        most[group] = max(most[group], now[group])
        await asyncio.sleep(seconds)
        now[group] -= 1

    await queue.aadd_bulk([JobSpec("n", n, group=Group(f"g{n % groups}")) for n in range(count)])
    async with working(work, **options), working(work, **options):
        await finished(queue, count, 20)
    return dict(most)


@pytest.mark.parity(
    "Pro, Worker(group.concurrency, group.limit)",
    "Pro, Queue.setGroupConcurrency",
    "Pro, Queue.getGroupConcurrency",
)
async def test_the_concurrency_of_all_groups_and_of_a_single_one(
    queue: Queue, redis_client: redis.Redis
) -> None:
    await queue.aset_group_concurrency("g1", 4)
    assert await queue.aget_group_concurrency("g1") == 4
    assert await queue.aget_group_concurrency("g0") is None
    most = await most_at_once(queue, 120, 3, concurrency=20, group=GroupLimits(concurrency=2))
    assert most == {"g0": 2, "g1": 4, "g2": 2}
    assert await queue.aremove_group_concurrency("g1") is True
    assert await queue.aremove_group_concurrency("g1") is False
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity(
    "Pro, Worker(group.concurrency, group.limit)",
    "Pro, Queue.setGroupRateLimit",
    "Pro, Queue.removeGroupRateLimit",
)
async def test_a_rate_limit_of_all_groups(queue: Queue, redis_client: redis.Redis) -> None:
    limits = GroupLimits(limit=RateLimit(5, 0.3))
    await queue.aset_group_rate_limit("g1", 100, 0.3)
    assert await queue.aget_group_rate_limit("g1") == RateLimit(100, 0.3)
    await most_at_once(queue, 40, 2, seconds=0, concurrency=20, group=limits)
    started: dict[str, list[int]] = {"g0": [], "g1": []}
    for job in await queue.aget_completed():
        assert job.processed_on is not None
        started[str(job.gid)].append(round(job.processed_on.timestamp() * 1000))
    for first, sixth in zip(sorted(started["g0"]), sorted(started["g0"])[5:], strict=False):
        assert sixth - first >= 290
    assert max(started["g1"]) - min(started["g1"]) < 290
    assert await queue.aremove_group_rate_limit("g1") is True
    assert await queue.aget_group_rate_limit("g1") is None
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity("Pro, Queue.getGroupRateLimitTtl", "Pro, Worker.rateLimitGroup")
async def test_a_group_can_be_stopped_for_a_while(queue: Queue, ran: list[Any]) -> None:
    await queue.arate_limit_group("a", 0.4)
    assert 0.2 < await queue.aget_group_rate_limit_ttl("a") <= 0.4
    assert await queue.aget_group_rate_limit_ttl("b") == 0
    await queue.aadd("n", "a", group=A)
    await queue.aadd("n", "b", group=B)
    async with working(note):
        await until(lambda: ran == ["b"])
        assert [(one.id, one.status) for one in await queue.aget_groups()] == [("a", "limited")]
        await until(lambda: ran == ["b", "a"])


@pytest.mark.parity(
    "Pro, Queue.pauseGroup",
    "Pro, Queue.resumeGroup",
    "Pro, Queue.getGroupsCountByStatus",
    "Pro, Queue.getGroupsByStatus",
)
async def test_a_paused_group_waits_for_its_resume(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    await queue.aadd("n", "a", group=A)
    assert await queue.apause_group("a") is True
    assert await queue.apause_group("a") is False
    await queue.aadd("n", "a2", group=A)
    await queue.aadd("n", "b", group=B)
    async with working(note):
        await until(lambda: ran == ["b"])
        assert await queue.aget_groups_count_by_status() == {
            "waiting": 0, "limited": 0, "maxed": 0, "paused": 1,
        }  # fmt: skip
        found = await queue.aget_groups_by_status("paused")
        assert [(one.id, one.waiting, one.active) for one in found] == [("a", 2, 0)]
        invariants.check(redis_client, "q")
        assert await queue.aresume_group("a") is True
        await until(lambda: ran == ["b", "a", "a2"])
    assert await queue.aget_groups() == []


@pytest.mark.parity("Pro, Queue.getGroups", "Pro, Queue.getGroupsJobsCount")
def test_the_getters_say_what_each_group_does(queue: Queue, hands: Hands, do: Do) -> None:
    do(queue.add_bulk, [JobSpec("n", n, group=Group(f"g{n % 3}")) for n in range(9)])
    do(queue.pause_group, "g2")
    assert [(one.id, one.status, one.waiting) for one in do(queue.get_groups)] == [
        ("g0", "waiting", 3), ("g1", "waiting", 3), ("g2", "paused", 3),
    ]  # fmt: skip
    assert [one.id for one in do(queue.get_groups, 1, 1)] == ["g1"]
    assert [one.id for one in do(queue.get_groups, -1)] == ["g2"]
    assert do(queue.get_groups_jobs_count) == 9
    assert do(queue.get_group_active_count, "g0") == 0
    with pytest.raises(InvalidOption, match="waiting"):
        do(queue.get_groups_by_status, "waitin")


@pytest.mark.parity("Pro, Queue.getGroupActiveCount")
async def test_a_running_job_is_counted_for_its_group(queue: Queue) -> None:
    gate = asyncio.Event()

    async def wait(job: Job) -> None:
        await gate.wait()

    await queue.aadd_bulk([JobSpec("n", n, group=A) for n in range(4)])
    async with working(wait, group=GroupLimits(concurrency=2)):

        async def both() -> bool:
            return await queue.aget_group_active_count("a") == 2

        await until(both)
        assert [(one.status, one.active) for one in await queue.aget_groups()] == [("maxed", 2)]
        gate.set()
        await finished(queue, 4)
    assert await queue.aget_group_active_count("a") == 0


@pytest.mark.parity("Pro, Queue.getGroupJobs")
async def test_a_hand_back_keeps_the_order_of_the_group(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    async def stuck(job: Job) -> None:
        await asyncio.Event().wait()

    await queue.aadd_bulk([JobSpec("n", n, group=A) for n in range(12)])
    async with working(stuck, concurrency=5, timeout=0):

        async def some() -> bool:
            return await queue.aget_group_active_count("a") >= 3

        await until(some)
    assert await queue.aget_group_active_count("a") == 0
    assert [job.data for job in await queue.aget_group_jobs("a")] == list(range(12))
    invariants.check(redis_client, "q", idle=True)
    async with working(note, concurrency=1):
        await finished(queue, 12)
    assert ran == list(range(12))


async def test_a_stalled_job_goes_back_into_its_group(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    from queuecore.wire.calls.working import move_stalled_jobs_to_wait, recover_worker

    async def stuck(job: Job) -> None:
        await asyncio.Event().wait()

    await queue.aadd_bulk([JobSpec("n", n, group=A) for n in range(4)])
    async with working(stuck, concurrency=1, group=GroupLimits(concurrency=1)) as worker:

        async def one() -> bool:
            return await queue.aget_group_active_count("a") == 1

        await until(one)
        # As the parent of a dead child does, and as other workers do later.
        found, _ = await queue._arun(recover_worker(queue.keys, worker.id, 2, 1))
        assert len(found) == 1
        assert [job.data for job in await queue.aget_group_jobs("a")] == [0, 1, 2, 3]
        assert await queue.aget_group_active_count("a") == 0
    redis_client.lpush("bull:q:active", *await _claim_as_dead(queue, redis_client))
    redis_client.sadd("bull:q:stalled", *redis_client.lrange("bull:q:active", 0, -1))
    redis_client.delete("bull:q:stalled-check")
    now = await queue.connection.anow()
    found, _ = await queue._arun(move_stalled_jobs_to_wait(queue.keys, now, 1, 1))
    assert len(found) == 1
    invariants.check(redis_client, "q", idle=True)
    async with working(note, concurrency=1, group=GroupLimits(concurrency=1)):
        await finished(queue, 4)
    assert ran == [0, 1, 2, 3]


async def _claim_as_dead(queue: Queue, client: redis.Redis) -> list[str]:
    """What a claim writes, without the lock."""
    (id, score), *_ = client.zrange("qc:bull:q:group:a", 0, 0, withscores=True)
    client.zrem("qc:bull:q:group:a", id)
    client.zrem("bull:q:waiting-children", id)
    client.hset("qc:bull:q:group-active", id, f"{score:.0f} a")
    client.hset("qc:bull:q:group-running", "a", 1)
    now = await queue.connection.anow()
    client.hset(f"bull:q:{id}", mapping={"ats": 2, "processedOn": now})
    return [id]


async def test_a_group_that_a_peer_emptied_goes_on_after_the_check(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    from queuecore.wire.calls.working import move_stalled_jobs_to_wait

    await queue.aadd_bulk([JobSpec("n", n, group=A) for n in range(3)])
    gone = await _claim_as_dead(queue, redis_client)
    redis_client.delete(f"bull:q:{gone[0]}")
    async with working(note, skip_stalled_check=True, group=GroupLimits(concurrency=1)):

        async def maxed() -> bool:
            return [one.status for one in await queue.aget_groups()] == ["maxed"]

        await until(maxed)
        redis_client.delete("bull:q:stalled-check")
        now = await queue.connection.anow()
        await queue._arun(move_stalled_jobs_to_wait(queue.keys, now, 1, 1))
        await until(lambda: ran == [1, 2])


@pytest.mark.parity("Pro, Queue.getGroupJobsCount")
async def test_what_a_peer_put_into_wait_goes_back_into_its_group(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    jobs = await queue.aadd_bulk([JobSpec("n", n, group=A) for n in range(3)])
    await queue.apause_group("a")
    redis_client.zrem("bull:q:waiting-children", jobs[1].id)
    redis_client.lpush("bull:q:wait", jobs[1].id)
    redis_client.zadd("bull:q:marker", {"0": 0})
    async with working(note):
        await until(lambda: redis_client.llen("bull:q:wait") == 0)
        assert ran == []
        assert await queue.aget_group_jobs_count("a") == 3
        await queue.aresume_group("a")
        await finished(queue, 3)
    invariants.check(redis_client, "q", idle=True)


async def test_an_id_that_is_gone_is_dropped(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    jobs = await queue.aadd_bulk([JobSpec("n", n, group=A) for n in range(3)])
    redis_client.zrem("bull:q:waiting-children", jobs[0].id)  # as Node removes it
    redis_client.delete(f"bull:q:{jobs[0].id}")
    redis_client.delete(f"bull:q:{jobs[1].id}")  # as a keyspace loses it
    async with working(note):
        await finished(queue, 1)
        await until(lambda: redis_client.zcard("bull:q:waiting-children") == 0)
    assert ran == [2]
    invariants.check(redis_client, "q", idle=True)


def test_a_grouped_job_can_be_removed(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    first, second = do(queue.add_bulk, [JobSpec("n", n, group=A) for n in range(2)])
    later = do(queue.add, "n", 3, group=B, delay=100)
    assert do(queue.remove, first.id) is True
    assert [one.waiting for one in do(queue.get_groups)] == [1]
    assert do(queue.remove, second.id) is True
    assert do(queue.remove, later.id) is True
    assert do(queue.get_groups) == []
    assert redis_client.keys("qc:bull:q:group:*") == []
    invariants.check(redis_client, "q")


@pytest.mark.parity("Pro, Queue.getGroups")
def test_drain_takes_grouped_jobs_too(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    do(queue.add_bulk, [JobSpec("n", n, group=Group(f"g{n % 7}")) for n in range(600)])
    do(queue.add, "n", 1)
    do(queue.add, "n", 1, group=A, delay=100)
    do(queue.pause_group, "g2")
    assert do(queue.drain) == 601
    assert [(one.id, one.waiting) for one in do(queue.get_groups)] == [("g2", 0)]
    assert do(queue.drain, True) == 1
    counts = invariants.check(redis_client, "q")
    assert sum(counts.values()) == 0


def test_clean_takes_grouped_jobs_of_their_age(
    queue: Queue, redis_client: redis.Redis, do: Do
) -> None:
    old = do(queue.add_bulk, [JobSpec("n", n, group=Group(f"g{n % 3}")) for n in range(300)])
    later = do(queue.add_bulk, [JobSpec("n", n, group=A, delay=100) for n in range(3)])
    for job in (*old[:200], *later[:2]):
        redis_client.hset(f"bull:q:{job.id}", "timestamp", 1000)
    do(queue.pause_group, "g2")
    assert len(do(queue.clean, 60, state="waiting", limit=20)) == 20
    assert len(do(queue.clean, 60, state="waiting")) == 180
    assert do(queue.get_groups_jobs_count) == 100
    assert set(do(queue.clean, 60, state="delayed")) == {job.id for job in later[:2]}
    invariants.check(redis_client, "q", idle=True)
    assert len(do(queue.clean, 0, state="waiting")) == 100
    assert [(one.id, one.waiting) for one in do(queue.get_groups)] == [("g2", 0)]
    assert do(queue.clean, 0, state="delayed") == [later[2].id]
    assert sum(invariants.check(redis_client, "q", idle=True).values()) == 0


def test_obliterate_leaves_nothing_of_groups(
    queue: Queue, redis_client: redis.Redis, do: Do
) -> None:
    do(queue.add_bulk, [JobSpec("n", n, group=Group(f"g{n % 7}")) for n in range(600)])
    do(queue.add, "n", 1, group=A, delay=100)
    do(queue.set_group_concurrency, "g1", 2)
    do(queue.pause_group, "g3")
    do(queue.obliterate)
    left = [key for key in redis_client.keys("*:q:*") if ":add:" not in key]
    assert left == []


def test_a_delayed_one_can_be_promoted_and_moved(
    queue: Queue, redis_client: redis.Redis, do: Do
) -> None:
    job = do(queue.add, "n", 1, group=A, delay=100)
    do(job.change_delay, 50)
    do(job.promote)
    assert do(queue.get_group_jobs_count, "a") == 1
    do(queue.add_bulk, [JobSpec("n", n, group=B, delay=100) for n in range(3)])
    assert do(queue.promote_jobs, count=2) == 2
    assert do(queue.promote_jobs) == 1
    assert do(queue.get_group_jobs_count, "b") == 3
    invariants.check(redis_client, "q", idle=True)


def test_the_doctor_finds_nothing_wrong_with_groups(queue: Queue) -> None:
    from queuecore.wire.calls import mending

    queue.add_bulk([JobSpec("n", n, group=Group(f"g{n % 3}"), delay=n % 2) for n in range(9)])
    assert queue._run(_mend_parents(queue)) == []
    assert mending is not None
    assert queue.remove_orphaned_jobs() == 0


def _mend_parents(queue: Queue) -> Any:
    from queuecore.wire.calls.base import Call

    ids = [job.id for job in queue.get_waiting_children()]
    return Call("mend_parents", (queue.keys.waiting_children,), (queue.keys.base, 1, 100, *ids))


async def test_global_limits_hold_for_groups_too(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    await queue.aset_global_concurrency(3)
    most = 0

    async def work(job: Job) -> None:
        nonlocal most
        most = max(most, redis_client.llen("bull:q:active"))
        await asyncio.sleep(0.002)

    await queue.aadd_bulk([JobSpec("n", n, group=Group(f"g{n % 5}")) for n in range(60)])
    async with working(work, concurrency=10), working(work, concurrency=10):
        await finished(queue, 60)
    assert most == 3


async def test_a_paused_queue_runs_no_group(queue: Queue, ran: list[Any]) -> None:
    await queue.apause()
    await queue.aadd("n", 1, group=A)
    async with working(note):
        await queue.aadd("n", 2, group=A)
        await asyncio.sleep(0.1)
        assert ran == []
        await queue.aresume()
        await until(lambda: ran == [1, 2])


async def test_a_scheduler_may_feed_a_group(queue: Queue, ran: list[Any]) -> None:
    await queue.aupsert_job_scheduler("s", every=0.2, name="n", data=1, opts={"group": A})
    async with working(note):
        await until(lambda: len(ran) >= 3)
    for job in await queue.aget_completed():
        assert job.gid == "a"


async def test_idle_workers_share_what_groups_have(queue: Queue) -> None:
    by: Counter[str] = Counter()

    def as_worker(name: str) -> Any:
        async def work(job: Job) -> None:
            by[name] += 1
            await asyncio.sleep(0.4)

        return work

    async with (
        working(as_worker("one"), concurrency=20) as one,
        working(as_worker("two"), concurrency=20) as two,
    ):
        await until(lambda: all(hasattr(w, "_marker") and w._marker.client_id for w in (one, two)))
        await queue.aadd_bulk([JobSpec("n", n, group=Group(f"g{n % 4}")) for n in range(20)])
        await finished(queue, 20)
    assert min(by["one"], by["two"]) >= 4, by


async def test_a_repeated_claim_gives_the_same_grouped_jobs_and_changes_nothing(
    queue: Queue, redis_client: redis.Redis
) -> None:
    jobs = await queue.aadd_bulk([JobSpec("n", n, group=Group(f"g{n % 3}")) for n in range(12)])
    options = ClaimOptions("w", "", 30000, 0, group_limits="2,,")
    now = await queue.connection.anow()

    def call(number: int, outcomes: list[Outcome], claim: int) -> Call[Claim]:
        return finish_and_claim(
            queue.keys, "qc:bull:q:call:w:1", number, options, now, outcomes, claim
        )

    def everything() -> dict[str, bytes]:
        keys = [key for key in redis_client.keys("*") if key != "bull:q:events"]
        return {key: redis_client.dump(key) for key in keys}

    first = await queue._arun(call(1, [], 6))
    ids = [one.id for one in first.jobs]
    assert ids == [job.id for job in jobs[:3]]
    before = everything()
    again = await queue._arun(call(1, [], 6))
    assert {one.id for one in again.jobs} == set(ids)
    assert everything() == before
    ended = [Outcome(id, 1, "c", b"1", b"", "", "1") for id in ids]
    second = await queue._arun(call(2, ended, 6))
    assert [one.id for one in second.jobs] == [job.id for job in jobs[3:6]]
    before = everything()
    again = await queue._arun(call(2, ended, 6))
    assert {one.id for one in again.jobs} == {one.id for one in second.jobs}
    assert (await queue._arun(call(1, [], 6))).late
    assert everything() == before
    invariants.check(redis_client, "q")


def test_a_repeated_add_adds_once(queue: Queue, redis_client: redis.Redis) -> None:
    job = NewJob("x-1", "n", b"1", b'{"group":{"id":"a"}}', 5, 0, 0, False, group={"id": "a"})
    one = add_jobs(queue.keys, "qc:bull:q:add:p:1", 1, "queuecore:1", [job])
    assert queue._run(one) == queue._run(one) == ["x-1"]
    assert queue.get_group_jobs_count("a") == 1
    assert redis_client.get("qc:bull:q:group-turn") == "1"
    invariants.check(redis_client, "q", idle=True)


async def test_a_suspect_of_a_group_runs_alone(queue: Queue, redis_client: redis.Redis) -> None:
    jobs = await queue.aadd_bulk([JobSpec("n", n, group=Group(f"g{n}")) for n in range(6)])
    redis_client.hset(f"bull:q:{jobs[1].id}", mapping={"sa": "-2", "ats": "2"})
    options = ClaimOptions("w", "", 30000, 0)
    now = await queue.connection.anow()
    found = [
        await queue._arun(finish_and_claim(queue.keys, f"r{n}", n, options, now, [], 4))
        for n in (1, 2)
    ]
    assert [[one.id for one in claim.jobs] for claim in found] == [[jobs[0].id], [jobs[1].id]]
    invariants.check(redis_client, "q")


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_many_groups_share_many_workers_alike(
    queue: Queue, redis_client: redis.Redis
) -> None:
    await queue.aset_max_events(100_000)
    await queue.aadd_bulk([JobSpec("n", n, group=Group(f"g{n % 200}")) for n in range(10_000)])
    options: dict[str, Any] = {"concurrency": 20, "group": GroupLimits(concurrency=2)}
    async with working(note, **options), working(note, **options):
        await finished(queue, 10_000, 90)
    group_of = {job.id: (str(job.gid), job.data) for job in await queue.aget_completed()}
    running: Counter[str] = Counter()
    started: list[tuple[str, int]] = []
    for _, entry in redis_client.xrange("bull:q:events"):
        group, _ = group_of.get(entry.get("jobId", ""), ("", 0))
        if entry["event"] == "active":
            running[group] += 1
            assert running[group] <= 2
            started.append(group_of[entry["jobId"]])
        elif entry["event"] == "completed":
            running[group] -= 1
    for group in {one for one, _ in started}:
        ran = [n for one, n in started if one == group]
        assert ran == sorted(ran)
    half = Counter(group for group, _ in started[:5000])
    assert len(half) == 200
    assert all(abs(share - 25) <= 2.5 for share in half.values()), half
    invariants.check(redis_client, "q", idle=True)


async def test_a_burst_waits_for_limited_groups(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    await queue.aadd_bulk([JobSpec("n", n, group=A) for n in range(4)])
    limits = GroupLimits(limit=RateLimit(2, 0.3))
    async with asyncio.timeout(5):
        await Worker("q", note, burst=True, group=limits).arun()
    await queue.connection.aclose()
    assert ran == [0, 1, 2, 3]
    invariants.check(redis_client, "q", idle=True)


async def test_control_errors_keep_a_job_in_its_group(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    async def work(job: Job) -> None:
        RAN.append((job.data, job.attempts_started))
        if job.attempts_started == 1 and job.data == "wait":
            await job.amove_to_wait()
            raise WaitingError
        if job.attempts_started == 1 and job.data == "later":
            await job.amove_to_delayed(0.1)
            raise DelayedError

    await queue.aadd("n", "wait", group=A)
    await queue.aadd("n", "later", group=B)
    async with working(work, group=GroupLimits(concurrency=1)):
        counts = await finished(queue, 2)
    assert counts["completed"] == 2
    assert sorted(ran) == [("later", 1), ("later", 2), ("wait", 1), ("wait", 2)]
    invariants.check(redis_client, "q", idle=True)


async def test_a_running_grouped_job_may_wait_for_children(
    queue: Queue, redis_client: redis.Redis, ran: list[Any]
) -> None:
    async def work(job: Job) -> None:
        RAN.append(job.data)
        if job.data == "parent" and job.attempts_started == 1:
            await queue.aadd("n", "child", parent=job, group=A)
            await job.amove_to_waiting_children()
            raise WaitingChildrenError

    await queue.aadd("n", "parent", group=A)
    async with working(work, group=GroupLimits(concurrency=1)):
        counts = await finished(queue, 2)
    assert counts["completed"] == 2
    assert ran == ["parent", "child", "parent"]
    invariants.check(redis_client, "q", idle=True)


def test_pages_tell_of_many_groups(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    look = Inspector()
    assert look.groups("q").rows == []
    assert look.group("q", "a") is None
    queue.add_bulk([JobSpec("n", n, group=Group(f"g{n % 600}")) for n in range(1199)])
    queue.add_bulk([JobSpec("n", n, group=Group("g7")) for n in range(3)])
    queue.add("n", 1, group=Group("Later"), delay=50)
    queue.add("n", 1, group=Group("g7"), delay=100)
    queue.pause_group("g3")
    queue.set_group_concurrency("none", 4)
    queue.set_group_rate_limit("g9", 1, 60)
    hands = Hands(queue)
    assert [hands.claim(1)[0].gid for _ in range(10)][-1] == "g10"

    page = do(look.groups, "q", limit=3)
    first = page.rows[0]
    assert (first.id, first.waiting, first.delayed, first.active) == ("g7", 4, 1, 1)
    assert page.total == 602
    counts = page.counts
    assert (counts["paused"], counts["delayed"], counts["idle"]) == (1, 1, 1)
    assert counts["waiting"] + counts["limited"] == 599
    assert [one.id for one in do(look.groups, "q", sort="delayed", limit=2).rows] == ["Later", "g7"]
    turns = do(look.groups, "q", sort="turn", statuses=["waiting"], limit=2).rows
    assert [one.id for one in turns] == ["g11", "g12"]
    found = do(look.groups, "q", sort="id", search="LATE")
    assert (found.total, found.rows[0].status, found.rows[0].waiting) == (1, "delayed", 0)
    assert found.rows[0].next_due is not None
    limited = do(look.group, "q", "g9")
    assert (limited.status, limited.limit_max, limited.limit_duration_ms) == ("limited", 1, 60_000)
    assert 0 < limited.limit_ttl_ms <= 60_000
    assert do(look.group, "q", "none").concurrency == 4
    with pytest.raises(ValueError, match="order"):
        look.groups("q", sort="size")
    rows, told = do(look.group_rows, "q", ["g9", "nobody", "g7"])
    assert [row and row.id for row in rows] == ["g9", None, "g7"]
    assert (rows[2].waiting, told) == (4, counts)
    assert do(queue.remove_group_rate_limit_key, "g9") is True
    assert do(queue.remove_group_rate_limit_key, "g9") is False
    assert do(look.group, "q", "g9").limit_ttl_ms == 0
    assert do(look.group_rows, "empty", ["a"])[0] == [None]
    first, second, *_ = do(queue.get_group_jobs, "g7", 0, 1)
    assert do(look.place_in_group, "q", "g7", first.id) == 0
    assert do(look.place_in_group, "q", "g7", second.id) == 1
    assert do(look.place_in_group, "q", "g7", "nobody") is None

    (later,) = do(look.group_jobs, "q", "g7", "delayed").rows
    assert later.due == do(look.group, "q", "g7").next_due
    jobs = do(look.group_jobs, "q", "g7", limit=2)
    assert (jobs.total, len(jobs.rows)) == (4, 2)
    assert {one.state for one in jobs.rows} == {"waiting-children"}
    assert do(look.group_jobs, "q", "g7", "delayed").total == 1
    assert [one.state for one in do(look.group_jobs, "q", "g7", "active").rows] == ["active"]


@pytest.mark.parity("Pro, Queue.getGroupStatus")
def test_the_status_of_a_group_and_its_end(queue: Queue, redis_client: redis.Redis, do: Do) -> None:
    assert do(queue.get_group_status, "a") is None
    later = do(queue.add, "n", 1, group=A, delay=100)
    assert do(queue.get_group_status, "a") == "delayed"
    assert [one.id for one in do(queue.get_group_delayed, "a")] == [later.id]
    assert do(queue.get_group_delayed_count, "a") == 1
    do(queue.add_bulk, [JobSpec("n", n, group=A) for n in range(600)])
    assert do(queue.get_group_status, "a") == "waiting"
    do(queue.pause_group, "a")
    assert do(queue.get_group_status, "a") == "paused"
    other = do(queue.add, "n", 1, group=B)
    assert do(queue.delete_group, "a") == 601
    do(queue.resume_group, "a")
    assert do(queue.get_group_status, "a") is None
    assert [one.id for one in do(queue.get_group_jobs, "b")] == [other.id]
    invariants.check(redis_client, "q", idle=True)


def test_a_priority_is_changed_inside_the_group(
    queue: Queue, redis_client: redis.Redis, do: Do
) -> None:
    one, two, three = do(queue.add_bulk, [JobSpec("n", n, group=A) for n in range(3)])
    later = do(queue.add, "n", 9, group=A, delay=100)
    order = lambda: [job.id for job in queue.get_group_jobs("a")]  # noqa: E731
    do(one.change_priority, 5)
    assert order() == [two.id, three.id, one.id]
    assert do(queue.get_job, one.id).opts["group"] == {"id": "a", "priority": 5}
    do(three.change_priority, 0, lifo=True)
    assert order() == [three.id, two.id, one.id]
    do(later.change_priority, 7)
    do(later.promote)
    assert order()[-1] == later.id
    assert do(queue.get_counts_per_priority_for_group, "a", [0, 5, 7]) == {0: 2, 5: 1, 7: 1}
    hands = Hands(queue)
    (ran,) = hands.claim()
    do(ran.change_priority, 9)
    queue._run(hand_back(queue.keys, "hands", 1))
    assert order()[-1] == ran.id
    assert redis_client.exists("bull:q:prioritized", "bull:q:wait") == 0
    invariants.check(redis_client, "q")


async def test_what_an_operator_sees_and_does_of_grouped_jobs(
    queue: Queue, redis_client: redis.Redis
) -> None:
    ready = await queue.aadd("n", 1, group=A)
    later = await queue.aadd("n", 2, group=A, delay=100)
    states = [await job.aget_state() for job in (ready, later)]
    assert states == ["waiting-children"] * 2  # as Node says
    counts = await queue.aget_job_counts()
    assert (counts["waiting-children"], counts["waiting"], counts["delayed"]) == (2, 0, 0)
    assert {job.id for job in await queue.aget_waiting_children()} == {ready.id, later.id}
    with pytest.raises(JobNotInState):
        await ready.apromote()
    with pytest.raises(JobNotInState):
        await ready.achange_delay(5)
    await later.achange_delay(200)
    assert await queue.aget_group_delayed_count("a") == 1

    async def fail(job: Job) -> None:
        raise ValueError("no")

    async with working(fail):
        await finished(queue, 1)
    assert await ready.aget_state() == "failed"
    await ready.aretry()
    assert await ready.aget_state() == "waiting-children"
    assert [job.id for job in await queue.aget_group_jobs("a")] == [ready.id]
    assert await later.aremove()
    assert await queue.aget_group_status("a") == "waiting"
    invariants.check(redis_client, "q")
