"""PyPI's bullmq as a peer; run by the Python that has it: ``python_peer.py ROLE SOCKET``.

add: adds 100 jobs of several kinds to queue ``q``. work: works ``q`` until 100 jobs have completed,
returning ``[id, data]``. add_flow: adds a parent to ``parents``, three good children and a bad one
(its failure ignored) to ``q``. work_flow: works such a flow. Prints one JSON object at the end.
"""

import asyncio
import contextlib
import json
import sys

import redis.asyncio
from bullmq import FlowProducer, Queue, Worker

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


async def add_flow(connection):
    flows = FlowProducer({"connection": connection})
    children = [{"name": "good", "queueName": "q", "data": {"n": n}} for n in range(3)]
    ignored = {"ignoreDependencyOnFailure": True}
    children.append({"name": "bad", "queueName": "q", "data": {"n": 9}, "opts": ignored})
    tree = await flows.add(
        {"name": "parent", "queueName": "parents", "data": {}, "children": children}
    )
    await flows.close()
    return {"id": tree["job"].id}


async def work_flow(connection):
    done = asyncio.get_running_loop().create_future()

    async def process(job, token):
        if job.name == "bad":
            raise RuntimeError("boom")
        return await job.getChildrenValues() if job.name == "parent" else job.data["n"]

    workers = [Worker(name, process, {"connection": connection}) for name in ("q", "parents")]
    workers[1].on("completed", lambda job, result: done.set_result(result))
    values = await asyncio.wait_for(done, 30)
    for worker in workers:
        # Its close() hangs now and then; the flow is done, which is all that was asked for.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(worker.close(), 5)
    return {"values": values}


ROLES = {"add": add, "work": work, "add_flow": add_flow, "work_flow": work_flow}


async def main(role, path):
    connection = redis.asyncio.Redis(unix_socket_path=path, decode_responses=True)
    print(json.dumps(await ROLES[role](connection)))
    await connection.aclose()


asyncio.run(main(*sys.argv[1:]))
