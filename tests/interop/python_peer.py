"""PyPI's bullmq as a peer; run by the Python that has it: ``python_peer.py ROLE SOCKET``.

add: adds 100 jobs of several kinds to queue ``q``. work: works ``q`` until 100 jobs have completed,
returning ``[id, data]``. Prints one JSON object at the end.
"""

import asyncio
import json
import sys

import redis.asyncio
from bullmq import Queue, Worker

COUNT = 100
KINDS = [{}, {"priority": 2}, {"delay": 100}, {"lifo": True}, {"attempts": 3, "backoff": 50}]


async def add(connection):
    queue = Queue("q", {"connection": connection})
    ids = []
    for n in range(COUNT):
        options = dict(KINDS[n % 5])
        if n % 10 == 9:
            options["jobId"] = f"own-{n}"
        job = await queue.add("job", {"n": n, "ü": [None]}, options)
        ids.append(job.id)
    counts = await queue.getJobCounts("wait", "delayed", "prioritized")
    await queue.close()
    return {"ids": ids, "counts": counts}


async def work(connection):
    done, all_done = [], asyncio.Event()

    async def process(job, token):
        return [job.id, job.data]

    def completed(job, result):
        done.append(job.id)
        if len(done) == COUNT:
            all_done.set()

    worker = Worker("q", process, {"connection": connection, "concurrency": 5})
    worker.on("completed", completed)
    await asyncio.wait_for(all_done.wait(), 30)
    await worker.close()
    return {"done": done}


async def main(role, path):
    connection = redis.asyncio.Redis(unix_socket_path=path, decode_responses=True)
    print(json.dumps(await {"add": add, "work": work}[role](connection)))
    await connection.aclose()


asyncio.run(main(*sys.argv[1:]))
