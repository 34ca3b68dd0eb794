"""Worker processes as they stand in the server, for pages that show and steer them."""

import json
import time
from typing import Any

import redis

PROCESS, WORKER, FLEET = "f" * 32, "a" * 32, "9" * 32


def process(
    client: redis.Redis,
    *workers: dict[str, Any],
    id: str = PROCESS,
    age: float = 0.0,
    prefix: str = "bull",
    **facts: Any,
) -> None:
    """A process that was heard of *age* seconds ago; of ``emails`` where no *workers* are named."""
    mine = workers or (worker(),)
    record = {
        "host": "web-1",
        "pid": 4711,
        "started": 1_790_000_000_000,
        "every": 2000,
        "memory": 88_000_000,
        "cpu": 0.25,
        "lag": 3,
        "worst_lag": 12,
        "queuecore": "0.1.0",
        "python": "3.12.4",
        "django": "6.0",
        "workers": list(mine),
    }
    client.zadd(f"qc:{prefix}::workers", {id: (time.time() - age) * 1000})
    client.set(f"qc:{prefix}::worker:{id}", json.dumps(record | facts))


def worker(id: str = WORKER, queue: str = "emails", **facts: Any) -> dict[str, Any]:
    """The record of one worker."""
    known = {"state": "running", "concurrency": 10, "busy": 1, "done_minute": 42}
    jobs = [["active-1", "welcome", round(time.time() * 1000) - 5000]]
    return {"id": id, "queue": queue, "jobs": jobs, **known, **facts}


def orders(client: redis.Redis, id: str = PROCESS) -> list[tuple[str, list[str]]]:
    """The orders that a process will find: the verb and the workers of each."""
    found = client.lrange(f"qc:bull::worker:{id}:orders", 0, -1)
    return [(order["verb"], order["workers"]) for order in map(json.loads, found)]


def supervisor(client: redis.Redis, *seats: dict[str, Any], age: float = 0.0, **facts: Any) -> None:
    """A supervisor of two processes, of which those of *seats* are told to be otherwise."""
    taken = {one["number"]: one for one in seats}
    record = {
        "host": "web-1",
        "pid": 4700,
        "started": 1_790_000_000_000,
        "every": 2000,
        "restarts": 2,
        "recycles": 5,
        "queues": ["emails"],
        "seats": [taken.get(n, {"number": n, "state": "running", "pid": 4710 + n}) for n in (1, 2)],
    }
    client.zadd("qc:bull::fleets", {FLEET: (time.time() - age) * 1000})
    client.set(f"qc:bull::fleet:{FLEET}", json.dumps(record | facts))


def place(number: int = 1) -> dict[str, Any]:
    """Where in that fleet a process is, for its own record."""
    figures = {"number": number, "size": 2, "restarts": 0, "recycles": 0}
    return {"fleet": FLEET, "pid": 4700, **figures}
