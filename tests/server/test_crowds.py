"""Many callers at once: they wait for their turn, and none is told that the server is away."""

import asyncio
import threading
from collections import Counter

import redis

from queuecore import Queue
from queuecore.wire.connections import TURNS, get_connection


def clients(client: redis.Redis) -> int:
    return int(client.info("clients")["connected_clients"])


def test_many_threads(queue: Queue, redis_client: redis.Redis) -> None:
    before, crowd = clients(redis_client), 4 * TURNS
    together, seen = threading.Barrier(crowd), Counter[str]()

    def produce() -> None:
        together.wait()
        for _ in range(3):
            try:
                queue.add("x")
            except Exception as error:  # counted, not hidden
                seen[repr(error)] += 1
            else:
                seen["added"] += 1

    threads = [threading.Thread(target=produce) for _ in range(crowd)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert seen == {"added": 3 * crowd}
    assert queue.count() == 3 * crowd
    assert clients(redis_client) - before <= TURNS
    get_connection().close()


async def test_many_tasks(queue: Queue, redis_client: redis.Redis) -> None:
    before = clients(redis_client)
    job = await queue.aadd("x")
    found = await asyncio.gather(*(queue.aget_job(job.id) for _ in range(10 * TURNS)))
    assert {one and one.id for one in found} == {job.id}
    assert clients(redis_client) - before <= TURNS
    await get_connection().aclose()


async def test_many_who_wait_for_results_keep_nobody_from_asking(queue: Queue) -> None:
    job = await queue.aadd("x")
    waiting = [asyncio.create_task(job.aresult(1)) for _ in range(3 * TURNS)]
    await asyncio.sleep(0.2)
    async with asyncio.timeout(0.5):
        assert await job.aget_state() == "waiting"
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(one) for one in ended} == {TimeoutError}
    await get_connection().aclose()
