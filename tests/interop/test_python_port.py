"""Beside BullMQ's official Python port (PyPI's bullmq), in a process of its own."""

import json
import subprocess
from pathlib import Path
from typing import Any

import redis

from queuecore import Job, JobSpec, Queue, QueueEvents
from tests import invariants
from tests.interop.ours import working
from tests.servers import Server

SCRIPT = Path(__file__).with_name("python_peer.py")


def run(python: Path, role: str, server: Server) -> dict[str, Any]:
    answer = subprocess.run(
        [str(python), str(SCRIPT), role, str(server.socket)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    parsed: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return parsed


def test_our_worker_works_what_the_port_adds(
    peer_python: Path, server: Server, redis_client: redis.Redis
) -> None:
    added = run(peer_python, "add", server)
    assert len(set(added["ids"])) == 100
    invariants.check(redis_client, "q", idle=True)

    async def work(job: Job) -> list[Any]:
        return [job.id, job.data]

    left = set(added["ids"])
    with working("q", work, concurrency=5):
        for event in QueueEvents("q", last_event_id="0-0"):
            if event.event == "completed":
                job_id, data = json.loads(event.fields["returnvalue"])
                assert job_id == event.job_id
                assert data["ü"] == [None]
                left.remove(job_id)
                if not left:
                    break
    counts = invariants.check(redis_client, "q")
    assert counts["completed"] == sum(counts.values()) == 100


def test_the_port_works_what_we_add(
    peer_python: Path, server: Server, redis_client: redis.Redis
) -> None:
    queue = Queue("q")
    kinds: list[dict[str, Any]] = [
        {},
        {"priority": 2},
        {"delay": 0.1},
        {"lifo": True},
        {"attempts": 3, "backoff": 0.05},
    ]
    jobs = queue.add_bulk(JobSpec("job", {"n": n, "ü": [None]}, **kinds[n % 5]) for n in range(100))
    done = run(peer_python, "work", server)["done"]
    assert sorted(done) == sorted(job.id for job in jobs)
    counts = invariants.check(redis_client, "q")
    assert counts["completed"] == sum(counts.values()) == 100
    for job in queue.get_jobs("completed"):
        assert job.returnvalue == [job.id, job.data]
        assert (job.attempts_made, job.attempts_started) == (1, 1)
