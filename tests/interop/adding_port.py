"""PyPI's bullmq, which adds what it is told; run by the Python that has it: ``... SOCKET``.

A line of stdin is a list of jobs, each its options in Node's words and its ``data``; a line of
stdout is the list of the ids that it got. All go to the queue ``theirs``.
"""

import asyncio
import json
import sys

import redis.asyncio
from bullmq import Queue


async def main(path):
    connection = redis.asyncio.Redis(unix_socket_path=path, decode_responses=True)
    queue = Queue("theirs", {"connection": connection})
    while line := await asyncio.to_thread(sys.stdin.readline):
        ids = []
        for job in json.loads(line):
            data = job.pop("data", {})
            ids.append((await queue.add("job", data, job)).id)
        print(json.dumps(ids), flush=True)
    await queue.close()
    await connection.aclose()


asyncio.run(main(*sys.argv[1:]))
