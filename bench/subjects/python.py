"""PyPI's bullmq, measured, in the virtual environment that holds it; started by `bench.trials`."""

import asyncio
from typing import Any

from bullmq import Queue, Worker
from protocol import Notes, answer, measured, read_task, say_ready, wait_for_stop


async def work(task: dict[str, Any]) -> None:
    """Work the queue until told to stop."""
    notes = Notes()

    async def noop(job: Any, token: str) -> None:
        notes.start()

    async def latency(job: Any, token: str) -> None:
        notes.start()
        notes.pick_up(job.data["sent"])

    worker = Worker(
        task["queue"],
        latency if task["processor"] == "latency" else noop,
        {
            "connection": f"unix://{task['socket']}",
            "concurrency": task["concurrency"],
            "autorun": False,
        },
    )
    worker.on("completed", lambda job, result: notes.acknowledge())
    say_ready()
    running = asyncio.ensure_future(worker.run())
    await asyncio.to_thread(wait_for_stop)
    # What the server has said, the worker has then heard. Now and then closing never ends, although
    # every job was acknowledged.
    closing = asyncio.gather(worker.close(), running)
    await asyncio.wait({closing}, timeout=10)
    notes.tell()


async def add(task: dict[str, Any]) -> None:
    """Add jobs: one by one, concurrently, or in bulk."""
    queue = Queue(task["queue"], {"connection": f"unix://{task['socket']}"})
    await queue.add("warm", {})
    jobs = [{"name": "noop", "data": {"n": i}} for i in range(task["jobs"])]
    say_ready()
    with measured() as result:
        if task["act"] == "add-bulk":
            await queue.addBulk(jobs)
        elif task["act"] == "add-concurrently":
            await asyncio.gather(*(queue.add("noop", {"n": i}) for i in range(task["jobs"])))
        else:
            for i in range(task["jobs"]):
                await queue.add("noop", {"n": i})
    answer(**result)
    await queue.close()


async def main() -> None:
    task = read_task()
    await (work if task["act"] == "work" else add)(task)


if __name__ == "__main__":
    asyncio.run(main())
