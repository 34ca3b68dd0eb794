"""The fleet of a queue that Node and Python work together."""

import asyncio

import pytest
import redis

from queuecore import Queue, Worker
from queuecore.fleet import Fleet
from tests.interop.node import Peer
from tests.server.working import until


@pytest.mark.parametrize("name", ["", "blue-7"])
async def test_node_workers_are_listed_beside_ours(
    peer: Peer, redis_client: redis.Redis, name: str
) -> None:
    """By what the server knows of them; ours by their own words, and not a second time."""

    async def work(job: object) -> None: ...

    queue, fleet = Queue("q"), Fleet()
    options = {"name": name} if name else {}
    node = peer.worker("q", "async () => 1", **options)
    ours = Worker("q", work, heartbeat=0.1)
    task = asyncio.create_task(ours.arun())

    async def both() -> bool:
        told = [one for one in await fleet.aworkers() if one.client_id]
        return bool(told) and len(await queue.aget_workers() or ()) == 2

    async def alone() -> bool:
        return await fleet.apeers() == []

    await until(both, 10)
    (other,) = await fleet.apeers() or ()
    assert (other.queue, other.name) == ("q", name)
    assert other.address
    assert other.age_s >= 0
    if "lib-name" in redis_client.client_list()[0]:
        assert other.library.startswith("ioredis")
    (worker,) = await fleet.aworkers()
    assert worker.id == ours.id
    node.close()
    await until(alone, 10)
    await fleet.adrain(ours.id)
    await asyncio.wait_for(task, 10)
    await queue.connection.aclose()
