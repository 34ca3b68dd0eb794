"""``manage.py runworker``: what it takes, what it says, and how it ends."""

import re
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import redis

from queuecore import JobSpec, Queue
from tests import invariants
from tests.machine import ROOT
from tests.server.processes import Start


def count(client: redis.Redis, queue: str, state: str, prefix: str = "bull") -> int:
    return int(client.zcard(f"{prefix}:{queue}:{state}"))


def test_the_help_says_what_it_does(start: Start) -> None:
    worker = start("--help")
    assert worker.ends() == 0
    said = re.sub(r"\s+", " ", worker.said)
    assert "Work jobs: of the named queues, or of every queue that has a processor" in said
    assert "a second signal hands them back at once" in said
    assert "[QUEUE ...]" in said
    assert "queues to work: NAME, or ALIAS:NAME on another connection (default: all)" in said
    for option in ("--concurrency N", "--burst", "--shutdown-timeout S"):
        assert option in said
    assert "QUEUECORE['WORKER']['CONCURRENCY'], else 10)" in said
    assert "QUEUECORE['WORKER']['SHUTDOWN_TIMEOUT'], else 25)" in said


@pytest.mark.parametrize("command", ["runworker", "queueworker"])
def test_all_queues_without_a_name(
    start: Start, redis_client: redis.Redis, other: Queue, command: str
) -> None:
    Queue("quick").add_bulk([JobSpec(("x", "threaded")[n % 2]) for n in range(20)])
    other.add("x")
    worker = start(command=command, apps=["tests.server.jobs.good"])
    worker.until(lambda: count(redis_client, "quick", "completed") == 20)
    worker.until(lambda: count(redis_client, "second", "completed", "second") == 1)
    # One process works them all.
    values = {redis_client.hget(f"bull:quick:{n}", "returnvalue") for n in range(1, 21)}
    assert values == {str(worker.process.pid)}
    assert "works quick 10, second 3 (queue and jobs at a time)" in worker.said
    worker.tell(signal.SIGTERM)
    assert worker.ends() == 0
    assert "SIGTERM: shutting down" in worker.said


def test_only_the_named_queues(start: Start, redis_client: redis.Redis, other: Queue) -> None:
    Queue("quick").add("x")
    other.add("x")
    worker = start("other:second", "other:second", "--concurrency", "7", "--burst")
    assert worker.ends() == 0
    assert "works second 7 (" in worker.said
    assert count(redis_client, "second", "completed", "second") == 1
    assert redis_client.llen("bull:quick:wait") == 1


def test_burst_ends_by_itself(start: Start, redis_client: redis.Redis) -> None:
    Queue("quick").add_bulk([JobSpec("x") for _ in range(100)])
    worker = start("quick", "--burst")
    assert worker.ends() == 0
    assert count(redis_client, "quick", "completed") == 100
    invariants.check(redis_client, "quick", idle=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["quikc"], "no processor takes queue 'quikc'; did you mean 'quick'?; there are: "),
        (["nowhere:quick"], "no processor takes queue 'nowhere:quick'"),
        (["quick", "--concurrency", "0"], "--concurrency must be at least 1"),
        (["quick", "--processes", "0"], "--processes must be at least 1"),
        (["quick", "--processes", "40000"], "--processes must be at most 1000"),
        (["quick", "--concurrency", "x"], "invalid int value: 'x'"),
        (["quick", "--shutdown-timeout", "-1"], "--shutdown-timeout must be at least 0 seconds"),
        (["quick", "--shutdown-timeout", "nan"], "--shutdown-timeout must be at least 0 seconds"),
    ],
)
def test_what_it_refuses(start: Start, arguments: list[str], says: str) -> None:
    worker = start(*arguments)
    assert worker.ends() in (1, 2)
    assert says in worker.said
    assert "Traceback" not in worker.said


def test_a_project_without_processors(start: Start) -> None:
    worker = start(apps=[])
    assert worker.ends() == 1
    assert "no processor was found; put functions with @processor('queue') into" in worker.said


def test_settings_that_are_wrong(start: Start) -> None:
    worker = start("quick", LOCK_DURATION=-5)
    assert worker.ends() == 1
    assert (
        "QUEUECORE['WORKER']['LOCK_DURATION'] must be at least 0.1 seconds, not -5" in worker.said
    )
    assert "Traceback" not in worker.said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(
    start: Start, redis_client: redis.Redis, number: signal.Signals
) -> None:
    queue = Queue("slow")
    queue.add("x", {"seconds": 0.5})
    long = queue.add("x", {"seconds": 60})
    worker = start("slow", "--shutdown-timeout", "1.5")
    worker.until(lambda: redis_client.llen("bull:slow:active") == 2)
    worker.tell(number)
    assert worker.ends(6) == 0
    counts = queue.get_job_counts()
    assert (counts["completed"], counts["waiting"], counts["active"]) == (1, 1, 0)
    assert queue.get_job(long.id).attempts_made == 0
    assert f"{number.name}: shutting down" in worker.said
    assert "handed back 1 running jobs" in worker.said
    invariants.check(redis_client, "slow", idle=True)


NAMES = ["x", "threaded", "to_thread", "sync_to_async", "stubborn"]
# Each alone is what the slow tier looks at.
WHATEVER = pytest.mark.parametrize(
    "names",
    [
        pytest.param(NAMES, id="all of them"),
        *(pytest.param([name], id=name, marks=pytest.mark.slow) for name in NAMES),
    ],
)


@WHATEVER
def test_it_ends_in_time_whatever_runs(
    start: Start, redis_client: redis.Redis, names: list[str]
) -> None:
    """Python itself would wait for some of these threads, and asyncio for some of these tasks."""
    queue = Queue("slow")
    queue.add_bulk([JobSpec(name, {"seconds": 60}) for name in names for _ in range(3)])
    count = 3 * len(names)
    worker = start("slow", "--concurrency", "20", SHUTDOWN_TIMEOUT=0.5)
    worker.until(lambda: redis_client.llen("bull:slow:active") == count)
    begun = time.monotonic()
    worker.tell(signal.SIGTERM)
    assert worker.ends(10) == 0
    assert time.monotonic() - begun < 4
    assert queue.get_job_counts()["waiting"] == count
    invariants.check(redis_client, "slow", idle=True)


@WHATEVER
def test_a_second_signal_ends_it_at_once(
    start: Start, redis_client: redis.Redis, names: list[str]
) -> None:
    queue = Queue("slow")
    queue.add_bulk([JobSpec(name, {"seconds": 60}) for name in names])
    worker = start("slow", "--concurrency", "20", "--shutdown-timeout", "60")
    worker.until(lambda: redis_client.llen("bull:slow:active") == len(names))
    worker.tell(signal.SIGTERM)
    worker.until(lambda: "SIGTERM: shutting down" in worker.said)
    begun = time.monotonic()
    worker.tell(signal.SIGINT)
    assert worker.ends(10) == 0
    assert time.monotonic() - begun < 4
    assert "SIGINT: handing back at once" in worker.said
    assert queue.get_job_counts()["waiting"] == len(names)


HOWS = ["plain", "gather", "wait_for", "shield", "task", "group", "cancelled"]


def test_an_exit_inside_a_job_ends_the_job_alone(start: Start, redis_client: redis.Redis) -> None:
    """asyncio lets SystemExit and KeyboardInterrupt of a task through to whoever runs the loop."""
    queue = Queue("exits")
    jobs = {
        name: queue.add(name)
        for kind in ("exit", "interrupt")
        for name in (f"{how}-{kind}" for how in HOWS)
    }
    worker = start("exits", "--burst")
    assert worker.ends() == 0
    for name, job in jobs.items():
        found = queue.get_job(job.id)
        if name.startswith("cancelled"):
            assert queue.get_job_state(job.id) == "completed"
        else:
            assert queue.get_job_state(job.id) == "failed", name
            assert "from inside" in "".join(found.stacktrace)
    assert "never awaited" not in worker.said
    assert "handed back" not in worker.said


def test_a_setup_that_raises_ends_it_with_1(start: Start) -> None:
    Queue("broken-setup").add("x")
    worker = start("broken-setup", "quick")
    assert worker.ends() == 1
    assert "LookupError: no model file" in worker.said
    assert Queue("broken-setup").get_job_counts()["waiting"] == 1


def test_a_part_that_dies_ends_it_with_1(start: Start, redis_client: redis.Redis) -> None:
    """The collector here; what runs is handed back first."""
    queue = Queue("slow")
    queue.add("x", {"seconds": 60})
    worker = start("slow", apps=["tests.server.jobs", "tests.server.jobs.dying"])
    assert worker.ends() == 1
    assert "LookupError: the collector died" in worker.said
    counts = queue.get_job_counts()
    assert (counts["active"], counts["waiting"]) == (0, 1)
    invariants.check(redis_client, "slow", idle=True)


# Standard output closed, and a pipe that nobody reads.
OUTPUTS = {"closed": 'exec "$@" >&-', "a broken pipe": '{ "$@"; echo $? >"$CODE"; } | true'}


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_output_that_takes_nothing_is_no_failure(
    child_environment: dict[str, str], redis_client: redis.Redis, tmp_path: Any, output: str
) -> None:
    Queue("quick").add_bulk([JobSpec("loud") for _ in range(20)])
    code = tmp_path / "code"
    environment = child_environment | {
        "DJANGO_SETTINGS_MODULE": "tests.server.jobs.settings",
        "CODE": str(code),
        "PYTHONUNBUFFERED": "",  # what is printed reaches the pipe at the end, not within the job
    }
    command = [sys.executable, str(ROOT / "manage.py"), "runworker", "quick", "--burst"]
    ended = subprocess.run(
        ["sh", "-c", OUTPUTS[output], "sh", *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 0
    assert not code.exists() or code.read_text() == "0\n"
    assert count(redis_client, "quick", "completed") == 20


def test_failures_are_logged(start: Start) -> None:
    queue = Queue("exits")
    queue.add("plain-exit", attempts=2)
    worker = start("exits", "--burst")
    assert worker.ends() == 0
    assert "INFO job 1 'plain-exit' of exits is tried again after attempt 1: from in" in worker.said
    assert "ERROR job 1 'plain-exit' of exits failed: from inside" in worker.said
    assert "Traceback (most recent call last)" in worker.said


def test_a_worker_that_slept_too_long(start: Start, redis_client: redis.Redis) -> None:
    """Stopped (as a frozen machine is) for longer than a lock lives: its late outcome is void."""
    short = {"LOCK_DURATION": 0.6, "STALLED_INTERVAL": 0.2}
    queue = Queue("slow")
    job = queue.add("threaded", {"seconds": 1})
    first = start("slow", **short)
    first.until(lambda: redis_client.llen("bull:slow:active") == 1)
    token = redis_client.get(f"bull:slow:{job.id}:lock")
    first.tell(signal.SIGSTOP)
    second = start("slow", **short)
    second.until(lambda: redis_client.get(f"bull:slow:{job.id}:lock") not in (None, token))
    first.tell(signal.SIGCONT)
    second.until(lambda: count(redis_client, "slow", "completed") == 1)
    first.until(lambda: "its outcome is void" in first.said)
    events = [one["event"] for _, one in redis_client.xrange("bull:slow:events")]
    assert events.count("completed") == 1
    assert events.count("stalled") == 1
    found = queue.get_job(job.id)
    assert (found.attempts_started, found.attempts_made) == (2, 1)
    for worker in (first, second):
        worker.tell(signal.SIGTERM)
        assert worker.ends() == 0
    invariants.check(redis_client, "slow", idle=True)


def test_a_sleeper_whose_job_nobody_took_goes_on(start: Start, redis_client: redis.Redis) -> None:
    queue = Queue("slow")
    job = queue.add("x", {"seconds": 1})
    worker = start("slow", LOCK_DURATION=0.6, STALLED_INTERVAL=30)
    worker.until(lambda: redis_client.llen("bull:slow:active") == 1)
    worker.tell(signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while redis_client.exists(f"bull:slow:{job.id}:lock"):
        assert time.monotonic() < deadline
        time.sleep(0.01)  # until the lock has run out
    worker.tell(signal.SIGCONT)
    worker.until(lambda: count(redis_client, "slow", "completed") == 1)
    assert queue.get_job(job.id).attempts_started == 1


def test_the_server_goes_and_comes_back(
    start: Start, new_server: Any, child_environment: dict[str, str]
) -> None:
    server = new_server(persist=True)
    child_environment["QUEUECORE_TEST_URL"] = server.url
    with server.client() as client:
        worker = start("quick")
        worker.until(lambda: "works quick" in worker.said)
        server.kill()
        worker.until(lambda: "it is tried again" in worker.said)
        server.start()
        worker.until(lambda: "the server is back after" in worker.said)
    # Told once when it goes and once when it is back.
    assert worker.said.count("cannot be reached") + worker.said.count("did not answer") <= 2
    with server.client() as client:
        client.ping()
    worker.tell(signal.SIGTERM)
    assert worker.ends() == 0


def test_a_server_that_is_not_there_yet(
    start: Start, new_server: Any, child_environment: dict[str, str]
) -> None:
    server = new_server()
    server.stop()
    child_environment["QUEUECORE_TEST_URL"] = server.url
    worker = start("quick")
    worker.until(lambda: "cannot be reached" in worker.said)
    server.start()
    worker.until(lambda: "the server is back after" in worker.said)
    server.stop()
    worker.tell(signal.SIGTERM)
    # Without a server, too, it ends in time and says what it could not do.
    assert worker.ends(10) == 0
