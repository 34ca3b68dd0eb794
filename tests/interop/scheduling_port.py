"""PyPI's bullmq makes the scheduler of test_schedulers.py, or works off four of its runs."""

import asyncio
import sys

import redis.asyncio
from bullmq import Queue, Worker

RUNS = 4


async def make(connection):
    queue = Queue("q", {"connection": connection})
    await queue.upsertJobScheduler("s", {"every": 60}, "sum", {"n": 7})
    await queue.close()


async def work(connection):
    left, done = RUNS, asyncio.Event()

    async def process(job, token):
        return job.data["n"]

    def completed(job, result):
        nonlocal left
        left -= 1
        if left == 0:
            done.set()

    worker = Worker("q", process, {"connection": connection})
    worker.on("completed", completed)
    await asyncio.wait_for(done.wait(), 30)
    await worker.close()


async def main(role, path):
    connection = redis.asyncio.Redis(unix_socket_path=path, decode_responses=True)
    await {"make": make, "work": work}[role](connection)
    await connection.aclose()


asyncio.run(main(*sys.argv[1:]))
