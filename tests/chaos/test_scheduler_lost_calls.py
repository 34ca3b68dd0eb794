"""Schedulers' calls whose answer is lost, or whose request arrives late or twice: each run once."""

from collections import Counter

import pytest
import redis

from queuecore import Job, Queue
from tests import invariants
from tests.chaos.proxy import Proxy
from tests.server.working import finished, working

R = "bull:q:repeat"


@pytest.mark.parametrize("fault", ["lose_reply", "deliver_late", "deliver_twice"])
@pytest.mark.parametrize("script", ["advance_job_scheduler", "finish_and_claim"])
async def test_a_spoiled_call(
    proxy: Proxy, redis_client: redis.Redis, fault: str, script: str
) -> None:
    queue = Queue("q")
    runs: Counter[str] = Counter()

    async def work(job: Job) -> None:
        runs[job.id] += 1

    await queue.aupsert_job_scheduler("s", every=0.05)
    proxy.skip(script, 2)
    getattr(proxy, fault)(script, times=3)
    async with working(work, connection="faulty"):
        await finished(queue, 8, timeout=20)
        assert not any(answer.startswith(b"-") for answer in proxy.deliver())
        await finished(queue, 12, timeout=20)
    assert len(proxy.spoiled) == 3
    assert set(runs.values()) == {1}
    added = Counter(
        fields["jobId"]
        for _, fields in redis_client.xrange("bull:q:events")
        if fields["event"] == "added"
    )
    assert set(added.values()) == {1}
    assert int(redis_client.hget(f"{R}:s", "ic")) == len(added)
    invariants.check(redis_client, "q")


@pytest.mark.parametrize("fault", ["lose_reply", "deliver_late", "deliver_twice"])
async def test_a_spoiled_upsert(proxy: Proxy, redis_client: redis.Redis, fault: str) -> None:
    queue = Queue("q", connection="faulty")
    getattr(proxy, fault)("upsert_job_scheduler")
    job = await queue.aupsert_job_scheduler("s", every=3600, data={"n": 1})
    proxy.deliver()
    assert redis_client.lrange("bull:q:wait", 0, -1) == [job.id]
    assert redis_client.zrange(R, 0, -1) == ["s"]
    assert redis_client.hget(f"{R}:s", "ic") == "1"
    invariants.check(redis_client, "q")
    await queue.connection.aclose()
