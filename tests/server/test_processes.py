"""``runworker --processes``: started, watched, replaced, stopped, and their jobs."""

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.fleet import Fleet
from tests import invariants
from tests.server.processes import Start, Worker


def children(worker: Worker) -> list[int]:
    """The worker processes of a supervisor that have told of themselves."""
    places = [one for one in Fleet().processes() if one.health == "ok"]
    return sorted(one.pid for one in places if one.place and one.place.pid == worker.process.pid)


def of(worker: Worker, count: int) -> list[int]:
    found: list[int] = worker.until(lambda: len(children(worker)) == count and children(worker), 30)
    return found


@pytest.mark.slow
def test_they_work_together_and_stop_together(start: Start, redis_client: redis.Redis) -> None:
    Queue("quick").add_bulk([JobSpec("x") for _ in range(2)])
    worker = start("quick", "--processes", "2", HEARTBEAT=0.1)
    pids = of(worker, 2)
    assert worker.process.pid not in pids
    Queue("quick").add_bulk([JobSpec("x") for _ in range(400)])
    worker.until(lambda: Queue("quick").get_completed_count() == 402)
    worker.tell(signal.SIGTERM)
    assert worker.ends() == 0
    assert "SIGTERM: passed on to 2 processes" in worker.said
    assert not any(_lives(pid) for pid in pids)
    invariants.check(redis_client, "quick", idle=True, tolerance=1000)


def test_the_jobs_of_one_that_is_killed_run_again_at_once(
    start: Start, redis_client: redis.Redis
) -> None:
    """Their locks would hold for 30 s, and nobody would look for them before that."""
    queue = Queue("slow")
    worker = start("slow", "--processes", "4", HEARTBEAT=0.1)
    pids = of(worker, 4)
    jobs = queue.add_bulk([JobSpec("x", {"seconds": 3}) for _ in range(8)])
    worker.until(lambda: queue.get_active_count() == 8)
    victim = worker.until(
        lambda: next((one for one in Fleet().processes() if one.workers[0].jobs), None)
    )
    seconds, micros = redis_client.time()
    killed = seconds * 1000 + micros // 1000
    os.kill(victim.pid, signal.SIGKILL)
    worker.until(lambda: "runs again" in worker.said)
    worker.until(lambda: queue.get_completed_count() == 8, 30)
    assert re.search(rf"process \d of 4 \(pid {victim.pid}\) was killed by SIGKILL", worker.said)
    again = {job.id for job in jobs if _started_twice(queue, job.id)}
    # The record of what it held may be a beat old.
    assert {job.id for job in victim.workers[0].jobs} <= again
    told: dict[str, list[tuple[str, int]]] = {id: [] for id in again}
    for at, fields in redis_client.xrange("bull:slow:events", min=killed):
        if fields.get("jobId") in again:
            late = int(at.partition("-")[0]) - killed
            told[fields["jobId"]].append((fields["event"], late))
    for events in told.values():
        assert [name for name, _ in events] == ["waiting", "stalled", "active", "completed"]
        assert events[2][1] < 5000, "as if a lock of 30 s had to run out"
    print(f"run again {[events[2][1] for events in told.values()]} ms after the kill")
    (replaced,) = set(of(worker, 4)) - set(pids)
    place = next(one.place for one in Fleet().processes() if one.pid == replaced)
    assert place is not None
    assert (place.size, place.restarts, place.recycles) == (4, 1, 0)
    (supervisor,) = Fleet().supervisors()
    assert (supervisor.id, supervisor.pid, supervisor.health) == (place.fleet, place.pid, "ok")
    assert (supervisor.queues, supervisor.restarts, supervisor.recycles) == (("slow",), 1, 0)
    assert victim.pid not in {one.pid for one in Fleet().processes()}  # not even as lost
    seat = supervisor.seats[place.number - 1]
    assert (seat.pid, seat.state, seat.restarts, seat.failures) == (replaced, "running", 1, 1)
    assert seat.why == "was killed by SIGKILL"
    assert seat.at is not None
    invariants.check(redis_client, "slow", idle=True, tolerance=1000)


@pytest.mark.slow
def test_one_that_has_worked_enough_is_replaced_without_a_stall(
    start: Start, redis_client: redis.Redis
) -> None:
    queue = Queue("quick")
    worker = start("quick", "--processes", "1", "--max-jobs", "5")
    assert "process" not in worker.said
    queue.add_bulk([JobSpec("x") for _ in range(5)])
    assert worker.ends() == 0  # nobody is there who would start another

    worker = start("quick", "--processes", "2", "--max-jobs", "20", HEARTBEAT=0.1)
    first = of(worker, 2)
    for _ in range(30):
        queue.add_bulk([JobSpec("x") for _ in range(10)])
        time.sleep(0.05)
    worker.until(lambda: queue.get_completed_count() == 305)
    worker.until(lambda: not set(first) & set(children(worker)), 30)
    assert "is replaced" in worker.said
    (supervisor,) = Fleet().supervisors()
    assert supervisor.recycles == sum(seat.recycles for seat in supervisor.seats) >= 2
    assert re.fullmatch(r"had worked enough: \d+ jobs", supervisor.seats[0].why)
    assert (supervisor.restarts, supervisor.unsteady) == (0, ())
    assert not any(job.stalled_counter for job in queue.get_jobs(["completed"]))
    worker.tell(signal.SIGINT)
    assert worker.ends() == 0
    invariants.check(redis_client, "quick", idle=True, tolerance=1000)


def test_what_a_killed_process_ran_in_sandboxes_ends_with_it(
    start: Start, redis_client: redis.Redis
) -> None:
    """The sandbox, what it has started and what it has forked: another process runs the job."""
    queue = Queue("boxed")
    worker = start("boxed", "--processes", "2", HEARTBEAT=0.1)
    of(worker, 2)
    job = queue.add("x")
    running: list[int] = worker.until(lambda: queue.get_job(job.id).progress or [], 30)  # type: ignore[union-attr, arg-type, return-value]
    parent = int(Path(f"/proc/{running[0]}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(parent, signal.SIGKILL)
    assert job.result(30) == "done"
    worker.until(lambda: not any(_lives(pid) for pid in running))
    job.refresh()
    assert (job.attempts_started, job.attempts_made, job.stalled_counter) == (2, 1, 0)
    worker.tell(signal.SIGTERM)
    assert worker.ends() == 0
    invariants.check(redis_client, "boxed", idle=True, tolerance=1000)


def test_they_end_when_their_supervisor_is_killed(start: Start) -> None:
    worker = start("quick", "--processes", "2", HEARTBEAT=0.1)
    pids = of(worker, 2)
    worker.process.kill()
    deadline = time.monotonic() + 15
    while any(_lives(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_one_that_dies_again_and_again_is_started_ever_more_rarely(start: Start) -> None:
    worker = start("quick", "--processes", "2", HEARTBEAT=0.1)
    for times in range(1, 4):
        pid = of(worker, 2)[-1] if times == 1 else _newest(worker)
        os.kill(pid, signal.SIGKILL)
        worker.until(lambda times=times: worker.said.count("another starts in") == times)
    pauses = re.findall(r"another starts in ([\d.]+) s", worker.said)
    assert pauses == ["0.5", "1", "2"]
    (seat,) = worker.until(lambda: Fleet().supervisors()[0].unsteady)
    assert (seat.state, seat.restarts, seat.failures) == ("waiting", 3, 3)
    assert seat.until is not None
    worker.tell(signal.SIGTERM)
    assert worker.ends() == 0
    assert not Fleet().supervisors()


@pytest.mark.slow
def test_none_stops_before_another_works_in_its_place(
    start: Start, redis_client: redis.Redis
) -> None:
    """All four are worn at about the same time."""
    queue = Queue("quick")
    worker = start("quick", "--processes", "4", "--max-jobs", "30", HEARTBEAT=0.1)
    of(worker, 4)
    added, ends = 0, "ends with what it runs"
    while worker.said.count(ends) < 8 and added < 6000:
        queue.add_bulk([JobSpec("x") for _ in range(4)])
        added += 4
        time.sleep(0.02)
    worker.until(lambda: queue.get_completed_count() == added, 30)
    working = 0
    for line in worker.said.splitlines():
        working += "QueueCore" in line and "works quick" in line
        if ends in line:
            working -= 1
            assert working >= 4, worker.said
    assert worker.said.count(ends) >= 8
    assert not any(job.stalled_counter for job in queue.get_jobs(["completed"]))
    worker.tell(signal.SIGHUP)
    assert worker.ends() == 0
    assert "SIGHUP: passed on" in worker.said
    invariants.check(redis_client, "quick", idle=True, tolerance=1000)


@pytest.mark.slow
def test_a_second_signal_leaves_no_time(start: Start, redis_client: redis.Redis) -> None:
    queue = Queue("slow")
    worker = start("slow", "--processes", "2", HEARTBEAT=0.1)
    of(worker, 2)
    jobs = queue.add_bulk([JobSpec("x", {"seconds": 60}) for _ in range(6)])
    worker.until(lambda: queue.get_active_count() == 6)
    worker.tell(signal.SIGINT)
    worker.until(lambda: worker.said.count("SIGINT: shutting down") == 2)
    assert queue.get_active_count() == 6
    worker.tell(signal.SIGINT)
    assert worker.ends() == 0
    assert {queue.get_job_state(job.id) for job in jobs} == {"waiting"}
    for job in jobs:
        job.refresh()
        assert (job.attempts_made, job.stalled_counter) == (0, 0)
    invariants.check(redis_client, "slow", tolerance=1000)


@pytest.mark.slow
def test_those_that_have_not_begun_when_all_are_told_to_stop_are_no_failure(start: Start) -> None:
    worker = start("quick", "--processes", "2", HEARTBEAT=0.1)
    worker.until(lambda: "starts 2 processes" in worker.said)
    time.sleep(0.1)
    worker.tell(signal.SIGTERM)
    assert worker.ends() == 0


@pytest.mark.slow
def test_one_that_cannot_start_any_more_is_tried_ever_more_rarely_beside_the_others(
    start: Start, tmp_path: Path, child_environment: dict[str, str]
) -> None:
    broken = tmp_path / "broken"
    child_environment["QUEUECORE_TEST_BROKEN"] = str(broken)
    queue = Queue("quick")
    worker = start("quick", "--processes", "2", HEARTBEAT=0.1)
    pids = of(worker, 2)
    broken.touch()
    os.kill(pids[0], signal.SIGKILL)
    worker.until(lambda: worker.said.count("another starts in") == 3, 30)
    assert re.findall(r"another starts in ([\d.]+) s", worker.said) == ["0.5", "1", "2"]
    assert "broken since it was started" in worker.said
    assert queue.add("x").result(10) == pids[1]
    broken.unlink()
    of(worker, 2)
    worker.tell(signal.SIGTERM)
    assert worker.ends() == 0


@pytest.mark.slow
@pytest.mark.parametrize("dies", ["supervisor", "nobody"])
def test_one_that_hears_no_signal_is_killed_in_the_end(
    start: Start, redis_client: redis.Redis, child_environment: dict[str, str], dies: str
) -> None:
    child_environment["QUEUECORE_TEST_UNWIND"] = "2"
    queue = Queue("slow")
    worker = start("slow", "--processes", "2", SHUTDOWN_TIMEOUT=0.2, HEARTBEAT=0.1)
    pids = of(worker, 2)
    job = queue.add("blocking")
    worker.until(lambda: queue.get_active_count() == 1)
    if dies == "supervisor":
        worker.process.kill()
    else:
        worker.tell(signal.SIGTERM)
        assert worker.ends(30) == 1
        assert "does not stop, and is killed" in worker.said
        assert queue.get_job_state(job.id) == "waiting"  # given back, with no lock to run out
        invariants.check(redis_client, "slow", tolerance=1000)
    deadline = time.monotonic() + 30
    while any(_lives(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _newest(worker: Worker) -> int:
    """The process that was started last, once it is there."""

    def look() -> int | None:
        restarts = worker.said.count("another starts in")
        places = [one for one in Fleet().processes() if one.place and one.health == "ok"]
        return next((one.pid for one in places if one.place.restarts == restarts), None)  # type: ignore[union-attr]

    found: int = worker.until(look, 30)
    return found


def test_a_burst_ends_with_its_work(start: Start) -> None:
    Queue("quick").add_bulk([JobSpec("x") for _ in range(100)])
    worker = start("quick", "--processes", "2", "--burst")
    assert worker.ends() == 0
    assert Queue("quick").get_completed_count() == 100


def _started_twice(queue: Queue, id: str) -> bool:
    job: Any = queue.get_job(id)
    return bool(job.attempts_started == 2)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
