"""Adds whose answer is lost, whose request arrives late or twice: each job is there once."""

import asyncio
from collections.abc import Callable

import pytest
import redis

from queuecore import JobSpec, Queue
from tests import invariants
from tests.chaos.proxy import Proxy


def one(queue: Queue) -> list[str]:
    return [queue.add("job", {"n": n}).id for n in range(3)]


def bulk(queue: Queue) -> list[str]:
    jobs = queue.add_bulk(JobSpec("job", {"n": n}) for n in range(1200))
    return [job.id for job in jobs]


def own_ids(queue: Queue) -> list[str]:
    jobs = queue.add_bulk(JobSpec("job", {"n": n}, job_id=f"own-{n}") for n in range(5))
    return [job.id for job in jobs]


def of_every_kind(queue: Queue) -> list[str]:
    kinds = [{}, {"delay": 60}, {"priority": 3}, {"lifo": True}, {"job_id": "own"}, {"delay": 60}]
    jobs = queue.add_bulk(JobSpec("job", {}, **kinds[n % 6]) for n in range(6))
    return [job.id for job in jobs]


def concurrently(queue: Queue) -> list[str]:
    async def add() -> list[str]:
        jobs = await asyncio.gather(*(queue.aadd("job", {"n": n}) for n in range(50)))
        await queue.connection.aclose()
        return [job.id for job in jobs]

    return asyncio.run(add())


ADDS = [one, bulk, own_ids, of_every_kind, concurrently]


def is_once(client: redis.Redis, queue: str, ids: list[str]) -> None:
    counts = invariants.check(client, queue, idle=True)
    assert len(set(ids)) == len(ids) == sum(counts.values())
    events = [fields["event"] for _, fields in client.xrange(f"bull:{queue}:events")]
    assert events.count("added") == len(ids)
    assert "duplicated" not in events


@pytest.mark.parametrize("add", ADDS)
@pytest.mark.parametrize("fault", ["lose_reply", "deliver_late", "deliver_twice"])
def test_each_job_is_added_once(
    proxy: Proxy, redis_client: redis.Redis, fault: str, add: Callable[[Queue], list[str]]
) -> None:
    getattr(proxy, fault)("add_jobs")
    ids = add(Queue("adds", connection="faulty"))
    assert len(proxy.spoiled) == 1
    is_once(redis_client, "adds", ids)
    answers = proxy.deliver()
    assert not any(answer.startswith(b"-") for answer in answers)
    is_once(redis_client, "adds", ids)


def test_several_losses_in_a_row(proxy: Proxy, redis_client: redis.Redis) -> None:
    proxy.lose_reply("add_jobs", times=3)
    job = Queue("adds", connection="faulty").add("job", {})
    assert len(proxy.spoiled) == 3
    is_once(redis_client, "adds", [job.id])


def test_a_late_request_changes_nothing_after_later_adds(
    proxy: Proxy, redis_client: redis.Redis
) -> None:
    queue = Queue("adds", connection="faulty")
    proxy.deliver_late("add_jobs")
    ids = [queue.add("job", {}).id for _ in range(5)]
    assert [b"late" in answer for answer in proxy.deliver()] == [True]
    is_once(redis_client, "adds", ids)
