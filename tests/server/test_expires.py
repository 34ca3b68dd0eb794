"""Jobs that are no use later: who fails when, and who is told."""

import asyncio
from typing import Any

import pytest
import redis

from queuecore import Batch, FlowJob, FlowProducer, Job, Queue
from queuecore.dead_letter import DeadLetter
from tests import invariants
from tests.server.working import finished, until, working

RAN: list[str] = []


@pytest.fixture(autouse=True)
def _ran() -> None:
    RAN.clear()


async def work(job: Job) -> str:
    RAN.append(job.name)
    if job.name == "once" and job.attempts_made == 0:
        raise ValueError("once")
    return job.name


async def test_what_counts_is_when_it_might_have_run_first(
    queue: Queue, redis_client: redis.Redis
) -> None:
    jobs = {
        "late": await queue.aadd("late", expires=0.05, attempts=5),
        "ranked": await queue.aadd("ranked", expires=0.05, priority=3),
        "delayed": await queue.aadd("delayed", delay=0.4, expires=0.2),
        "promoted": await queue.aadd("promoted", delay=3600, expires=0.05),
        "once": await queue.aadd("once", expires=5, attempts=2, backoff=0.2),
    }
    await jobs["promoted"].apromote()
    await asyncio.sleep(0.15)
    async with working(work):
        await finished(queue, len(jobs))
    assert sorted(RAN) == ["delayed", "once", "once", "promoted"]
    for name in ("late", "ranked"):
        await jobs[name].arefresh()
        assert str(jobs[name].failed_reason).startswith("the job expired 0.")
        assert (jobs[name].attempts_made, jobs[name].attempts_started) == (1, 1)
    invariants.check(redis_client, "q", idle=True)


async def test_one_that_is_retried_by_hand_runs(queue: Queue) -> None:
    job = await queue.aadd("n", expires=0.01)
    await asyncio.sleep(0.05)
    async with working(work):
        await finished(queue, 1)
        await job.arefresh()
        assert "expired" in str(job.failed_reason)
        await job.aretry()
        assert await job.aresult(4) == "n"


async def test_a_child_that_expires_is_a_failed_one_to_its_parent(
    queue: Queue, redis_client: redis.Redis
) -> None:
    policies: list[dict[str, Any]] = [
        {"fail_parent_on_failure": True},
        {"ignore_dependency_on_failure": True},
        {"continue_parent_on_failure": True},
        {"remove_dependency_on_failure": True},
    ]
    nodes = [
        await FlowProducer().aadd(
            FlowJob("p", queue="q", children=[FlowJob("c", queue="q", expires=0.01, **policy)])
        )
        for policy in policies
    ]
    await asyncio.sleep(0.05)
    async with working(work):
        await finished(queue, 8)
    parents = [node.job for node in nodes]
    for job in parents:
        await job.arefresh()
    assert RAN == ["p"] * 3
    assert [await job.aget_state() for job in parents] == ["failed"] + ["completed"] * 3
    assert nodes[0].children[0].job.id in str(parents[0].failed_reason)
    (reason,) = (await parents[1].aget_ignored_children_failures()).values()
    assert str(reason).startswith("the job expired")
    invariants.check(redis_client, "q", idle=True)


async def test_a_schedulers_run_that_expires_is_followed_by_the_next(
    queue: Queue, redis_client: redis.Redis
) -> None:
    await queue.aupsert_job_scheduler("beat", every=0.5, name="beat", opts={"expires": 0.4})
    await asyncio.sleep(1)  # nobody is there: its first run is late
    async with working(work):
        await until(lambda: len(RAN) >= 2)
        await queue.aremove_job_scheduler("beat")
        counts = await queue.aget_job_counts()
    assert counts["failed"] == 1
    (job,) = await queue.aget_jobs(["failed"])
    assert str(job.failed_reason).startswith("the job expired")
    invariants.check(redis_client, "q")


@pytest.mark.parametrize("options", [{"batch": Batch(3, min_size=2, timeout=0.1)}, {}])
async def test_it_leaves_a_letter_and_takes_no_place_in_a_batch(
    queue: Queue, options: dict[str, Any]
) -> None:
    sizes: list[int] = []

    async def count(jobs: Any) -> None:
        sizes.append(len(jobs) if isinstance(jobs, list) else 1)

    await queue.aadd("n", "gone", expires=0.01)
    await queue.aadd("n", "here")
    await asyncio.sleep(0.05)
    async with working(count, dead_letter="q-dead", **options):
        await finished(queue, 2)
    assert sizes == [1]
    (letter,) = await Queue("q-dead").aget_jobs(["waiting"])
    assert DeadLetter.of(letter).data == "gone"
    assert DeadLetter.of(letter).failed_reason.startswith("the job expired")
