"""QueueCore, measured: ``python -m bench.subjects.ours``, started by :mod:`bench.trials`."""

import asyncio
import cProfile
import os
import signal
import threading
import time
from typing import Any

from django.conf import settings

from bench.profile import shares
from bench.subjects.protocol import Notes, answer, measured, read_task, say_ready, wait_for_stop


def configure(url: str) -> None:
    """A small Django project: the server, and a database whose connections are kept clean."""
    settings.configure(
        QUEUECORE={"CONNECTIONS": {"default": {"URL": url}}},
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    )


def work(task: dict[str, Any]) -> None:
    """Work the queue until told to stop."""
    from queuecore import Job, Worker
    from queuecore.worker.runs import Runs

    notes = Notes()

    class Counted(Runs):
        """Notes each acknowledgement, as the peers' `completed` listeners do."""

        def acknowledged(self, outcomes: Any, claim: Any) -> None:
            super().acknowledged(outcomes, claim)
            notes.acknowledge(len(outcomes))

    async def noop(job: Job) -> None:
        notes.start()

    def in_thread(job: Job) -> None:
        notes.start()

    async def latency(job: Job) -> None:
        notes.start()
        notes.pick_up(job.data["sent"])

    async def spin(job: Job) -> None:
        """So many microseconds of this thread's CPU in Python."""
        notes.start()
        until = time.thread_time_ns() + task["spin"] * 1000
        while time.thread_time_ns() < until:
            pass

    processors = {"async": noop, "threads": in_thread, "latency": latency, "spin": spin}
    processor = processors[task["processor"]]
    worker = Worker(task["queue"], processor, concurrency=task["concurrency"])
    worker._runs.__class__ = Counted

    def stop() -> None:
        wait_for_stop()
        os.kill(os.getpid(), signal.SIGTERM)

    say_ready()
    threading.Thread(target=stop, daemon=True).start()
    if not task.get("profile"):
        worker.run()
        notes.tell()
        return
    profile = cProfile.Profile()
    profile.runcall(worker.run)
    notes.tell(profile=shares(profile))


def add(task: dict[str, Any]) -> None:
    """Add jobs one by one, each when the one before is there."""
    from queuecore import Queue

    queue = Queue(task["queue"])
    queue.add("warm", {})
    say_ready()
    with measured() as result:
        for i in range(task["jobs"]):
            queue.add("noop", {"n": i})
    answer(**result)


def add_awaited(task: dict[str, Any]) -> None:
    """The same by ``aadd``."""
    from queuecore import Queue

    async def main() -> None:
        queue = Queue(task["queue"])
        await queue.aadd("warm", {})
        say_ready()
        with measured() as result:
            for i in range(task["jobs"]):
                await queue.aadd("noop", {"n": i})
        answer(**result)

    asyncio.run(main())


def add_concurrently(task: dict[str, Any]) -> None:
    """Add all jobs by concurrent calls of ``aadd``."""
    from queuecore import Queue

    async def main() -> None:
        queue = Queue(task["queue"])
        await queue.aadd("warm", {})
        say_ready()
        with measured() as result:
            await asyncio.gather(*(queue.aadd("noop", {"n": i}) for i in range(task["jobs"])))
        answer(**result)

    asyncio.run(main())


def add_bulk(task: dict[str, Any]) -> None:
    """Add all jobs by one call of ``add_bulk``."""
    from queuecore import JobSpec, Queue

    queue = Queue(task["queue"])
    queue.add("warm", {})
    jobs = [JobSpec("noop", {"n": i}) for i in range(task["jobs"])]
    say_ready()
    with measured() as result:
        queue.add_bulk(jobs)
    answer(**result)


if __name__ == "__main__":
    task = read_task()
    configure(f"unix://{task['socket']}")
    acts = {
        "work": work,
        "add": add,
        "add-awaited": add_awaited,
        "add-concurrently": add_concurrently,
        "add-bulk": add_bulk,
    }
    acts[task["act"]](task)
