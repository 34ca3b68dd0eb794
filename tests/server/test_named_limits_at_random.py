"""Named limits that overlap, under acts in random order: never exceeded, nobody waits for ever."""

import asyncio
import time
from random import Random
from typing import Any

import pytest
import redis

from queuecore import Group, Job, JobSpec, Limit, Queue, Worker
from tests import invariants
from tests.server.test_named_limits import clock, runs

LIMITS = {
    "a": {"CONCURRENCY": 3},
    "b": {"CONCURRENCY": 2, "MAX": 20, "DURATION": 0.3},
    "c": {"MAX": 30, "DURATION": 0.2},
}
QUEUES = {"q": ["a"], "r": ["a", "b"], "s": ["b"], "t": ["c", "a"]}
JOBS = 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
async def test_acts_in_random_order(
    server: Any, redis_client: redis.Redis, settings: Any, seed: int
) -> None:
    settings.QUEUECORE = settings.QUEUECORE | {"LIMITS": LIMITS}
    dice = Random(seed)
    # When which concurrency was set; what holds at first is known.
    said: dict[str, list[tuple[int, int]]] = {"a": [(0, 3)], "b": [(0, 2)]}

    async def work(job: Job) -> None:
        await asyncio.sleep(dice.random() * 0.02)
        if dice.random() < 0.1:
            raise ValueError

    for name in QUEUES:
        queue = Queue(name)
        for _ in range(JOBS):
            grouped = {"group": Group(dice.choice("xyz"))} if dice.random() < 0.2 else {}
            await queue.aadd_bulk([JobSpec("n", attempts=dice.choice((1, 3)), **grouped)])
    working: list[tuple[Worker, asyncio.Task[None]]] = []

    def start(name: str, concurrency: int) -> None:
        worker = Worker(name, work, concurrency=concurrency, limits=QUEUES[name])
        working.append((worker, asyncio.create_task(worker.arun())))

    for name in QUEUES:
        start(name, 4)
    deadline = time.monotonic() + 40
    while sum(
        redis_client.zcard(f"bull:{name}:{state}")
        for name in QUEUES
        for state in ("completed", "failed")
    ) < JOBS * len(QUEUES):
        assert time.monotonic() < deadline, await Limit("a").aget()
        await asyncio.sleep(0.02)  # between two acts
        act = dice.random()
        if act < 0.15 and len(working) < 12:
            start(dice.choice(list(QUEUES)), dice.choice((1, 3, 10)))
        elif act < 0.25 and len(working) > 4:
            worker, task = working.pop(dice.randrange(4, len(working)))
            await worker.close(dice.choice((0, 1)))
            await task
        elif act < 0.33:
            limit = dice.choice("ab")
            value = dice.randint(1, 6)
            before = clock(redis_client)
            await Limit(limit).aset_concurrency(value)
            # In between either may hold: the larger one does.
            said[limit] += [(before, max(value, said[limit][-1][1])), (clock(redis_client), value)]
        elif act < 0.35:
            queue = Queue(dice.choice("qrst"))
            await queue.apause()
            await asyncio.sleep(0.1)  # long enough for others to take its turn
            await queue.aresume()
    for worker, task in working:
        await worker.close()
        await task
    for name in QUEUES:
        invariants.check(redis_client, name, idle=True)
    for limit, steps in said.items():
        found = runs(redis_client, *(name for name in QUEUES if limit in QUEUES[name]))
        for at, _, _ in found:
            running = sum(begun <= at < ended for begun, ended, _ in found)
            # Streams tell milliseconds: in that of a change both may have held.
            held = [most for since, most in steps if since < at - 1][-1:]
            held += [most for since, most in steps if at - 1 <= since <= at]
            assert running <= max(held), (limit, at, steps)
