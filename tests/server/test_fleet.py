"""Real worker processes, seen and steered from another one: this."""

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.fleet import Fleet, FleetProcess, FleetWorker
from queuecore.wire.connections import Connection
from tests import invariants
from tests.server.processes import Start, Worker
from tests.servers import Server


def of(fleet: Fleet, worker: Worker) -> FleetProcess | None:
    """The record of a process."""
    return next((one for one in fleet.processes() if one.pid == worker.process.pid), None)


def when(fleet: Fleet, worker: Worker, what: Callable[[FleetWorker], Any]) -> FleetWorker:
    """The only worker of a process once ``what(it)`` holds."""

    def look() -> FleetWorker | None:
        process = of(fleet, worker)
        return next((one for one in process.workers if what(one)), None) if process else None

    found: FleetWorker = worker.until(look)
    return found


@pytest.mark.parametrize(
    "beat", [0.3, pytest.param(2, id="the default of 2 s", marks=pytest.mark.slow)]
)
def test_seen_paused_resumed_drained(start: Start, redis_client: redis.Redis, beat: float) -> None:
    """Each order arrives, and is told of, with the next heartbeat."""
    fleet, queue = Fleet(), Queue("slow")
    own = {} if beat == 2 else {"HEARTBEAT": beat}
    process = start("slow", "--shutdown-timeout", "0.1", **own)
    process.until(lambda: "works slow" in process.said)
    begun = time.monotonic()
    worker = when(fleet, process, bool)
    assert time.monotonic() - begun < beat + 3
    queue.add("x", {"seconds": 0})
    when(fleet, process, lambda one: one.done == 1)

    begun = time.monotonic()
    fleet.pause(worker.id)
    when(fleet, process, lambda one: one.state == "paused")
    assert time.monotonic() - begun < beat + 2
    queue.add_bulk([JobSpec("x", {"seconds": 0}) for _ in range(20)])
    time.sleep(0.5)  # a worker takes them within milliseconds
    assert queue.get_job_counts()["waiting"] == 20
    fleet.resume(worker.id)
    process.until(lambda: queue.get_completed_count() == 21)

    # Draining outlasts the shutdown's timeout: it takes the time that the jobs take.
    long = queue.add("x", {"seconds": 2 * beat + 0.5})
    process.until(lambda: redis_client.llen("bull:slow:active") == 1)
    sent = fleet.drain(worker.id)
    when(fleet, process, lambda one: one.state == "draining")
    rest = queue.add("x", {"seconds": 0})
    assert process.ends(10) == 0
    assert queue.get_job_state(long.id) == "completed"
    assert queue.get_job_state(rest.id) == "waiting"
    assert queue.get_job(long.id).attempts_made == 1
    assert of(fleet, process) is None
    assert fleet.confirmed(sent)
    assert "queue slow: ordered from afar: to drain and stop" in process.said
    invariants.check(redis_client, "slow", idle=True)


def test_a_signal_ends_a_drain(start: Start, redis_client: redis.Redis) -> None:
    fleet, queue = Fleet(), Queue("slow")
    process = start("slow", "--shutdown-timeout", "0.2", HEARTBEAT=0.2)
    queue.add("x", {"seconds": 60})
    worker = when(fleet, process, lambda one: one.busy == 1)
    fleet.drain(worker.id)
    when(fleet, process, lambda one: one.state == "draining")
    process.tell(signal.SIGTERM)
    assert process.ends(8) == 0
    assert queue.get_job_counts()["waiting"] == 1
    assert fleet.processes() == []


def test_one_of_two_workers_of_a_process_is_drained(start: Start, other: Queue) -> None:
    """The process goes on with the other one."""
    fleet = Fleet()
    process = start(apps=["tests.server.jobs.good"], HEARTBEAT=0.2)
    worker = when(fleet, process, lambda one: one.queue == "quick")
    fleet.drain(worker.id)
    process.until(lambda: not fleet.processes())
    other.add("x")
    process.until(lambda: other.get_completed_count() == 1)
    second = when(Fleet("other"), process, lambda one: one.queue == "second")
    Fleet("other").drain(second.id)
    assert process.ends() == 0


def test_a_killed_process_is_late_then_lost(start: Start) -> None:
    fleet, queue = Fleet(), Queue("slow")
    process = start("slow", HEARTBEAT=0.3)
    queue.add("x", {"seconds": 60})
    worker = when(fleet, process, lambda one: one.busy == 1)
    pid = process.process.pid
    process.process.kill()
    process.process.wait()
    seen: list[str] = []
    deadline = time.monotonic() + 10
    while "lost" not in seen:
        assert time.monotonic() < deadline, seen
        (found,) = fleet.processes()
        assert found.pid == pid
        if found.health not in seen:
            seen.append(found.health)
        time.sleep(0.05)  # between two looks; the deadline ends it
    assert seen == ["ok", "late", "lost"]
    assert found.workers[0].jobs[0].name == "x"
    assert fleet.pause(worker.id).missing == (worker.id,)
    assert [job.id for job in fleet.lost_jobs(["slow"])] in ([], ["1"])


def test_it_comes_back_with_the_server(start: Start, new_server: Callable[..., Server]) -> None:
    """A server that comes back empty has the records again with the next heartbeat."""
    server = new_server()
    process = start("slow", url=server.url, HEARTBEAT=0.3)
    fleet = Fleet()
    fleet.connection = Connection("default", server.url, "bull")
    first = when(fleet, process, bool)
    server.kill()
    server.start()
    server.flush()
    again = when(fleet, process, bool)
    assert again.id == first.id
    fleet.drain(again.id)
    assert process.ends() == 0
    fleet.connection.close()
