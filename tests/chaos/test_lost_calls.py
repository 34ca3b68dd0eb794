"""The worker's calls whose answer is lost, whose request arrives late or twice: one run, one end.

The worker runs in this process behind the proxy; the test adds and looks on the server directly.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue, UnrecoverableError
from queuecore.errors import ServerUnavailable
from tests import invariants
from tests.chaos.proxy import Proxy
from tests.interop.dump import dump
from tests.interop.ours import working

FAULTS = ["lose_reply", "deliver_late", "deliver_twice"]
K = "bull:q:"


def ends(client: redis.Redis) -> Counter[str]:
    """How often each event of an end was told."""
    told = (fields["event"] for _, fields in client.xrange(f"{K}events"))
    return Counter(event for event in told if event in ("completed", "failed", "stalled"))


def until_finished(client: redis.Redis, count: int, waiter: threading.Event) -> None:
    for _ in range(2000):
        if client.zcard(f"{K}completed") + client.zcard(f"{K}failed") == count:
            return
        waiter.wait(0.01)
    raise AssertionError({key: client.type(key) for key in client.keys(f"{K}*")})


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("concurrency", [1, 10])
@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8])
def test_each_job_runs_and_ends_once(
    proxy: Proxy, redis_client: redis.Redis, fault: str, concurrency: int, nth: int
) -> None:
    """The ``nth`` call is spoiled: a claim alone, finishes with a claim, the last finishes."""
    count = 40
    queue = Queue("q")
    queue.add_bulk(
        JobSpec(("good", "bad", "again", "good")[n % 4], {"n": n}, attempts=1 + n % 4 // 2 * 2)
        for n in range(count)
    )
    runs: Counter[str] = Counter()
    idle = threading.Event()

    async def work(job: Job) -> int:
        runs[job.id] += 1
        if job.name == "bad":
            raise UnrecoverableError("bad")
        if job.name == "again" and job.attempts_made == 0:
            raise RuntimeError("once more")
        return job.data["n"]

    proxy.skip("finish_and_claim", nth - 1)
    getattr(proxy, fault)("finish_and_claim")
    with working("q", work, connection="faulty", concurrency=concurrency):
        until_finished(redis_client, count, idle)
        answers = proxy.deliver()
        assert not any(answer.startswith(b"-") for answer in answers)
        until_finished(redis_client, count, idle)
    assert len(proxy.spoiled) == 1
    expected = Counter({job.id: 2 if job.name == "again" else 1 for job in queue.get_jobs()})
    assert runs == expected
    assert ends(redis_client) == {"completed": 30, "failed": 10}
    counts = invariants.check(redis_client, "q")
    assert (counts["completed"], counts["failed"], sum(counts.values())) == (30, 10, count)
    for job in queue.get_jobs():
        assert job.attempts_started == job.attempts_made == expected[job.id]
    assert redis_client.hget(f"{K}metrics:completed", "count") == "30"
    assert redis_client.hget(f"{K}metrics:failed", "count") == "10"


@pytest.mark.parametrize("fault", FAULTS)
def test_many_faults_in_a_row(proxy: Proxy, redis_client: redis.Redis, fault: str) -> None:
    count = 300
    Queue("q").add_bulk(JobSpec("job", {"n": n}) for n in range(count))
    runs: Counter[str] = Counter()
    idle = threading.Event()

    async def work(job: Job) -> None:
        runs[job.id] += 1

    getattr(proxy, fault)("finish_and_claim", times=8)
    with working("q", work, connection="faulty", concurrency=20):
        proxy.wait(8, timeout=30)
        proxy.deliver()
        until_finished(redis_client, count, idle)
        proxy.deliver()
    assert len(proxy.spoiled) == 8
    assert set(runs.values()) == {1}
    assert len(runs) == count
    assert ends(redis_client) == {"completed": count}
    invariants.check(redis_client, "q")


def test_a_late_claim_of_a_closed_worker_takes_nothing(
    proxy: Proxy, redis_client: redis.Redis
) -> None:
    """It arrives when the worker is gone: nobody would run what it claims."""
    queue = Queue("q")
    queue.add_bulk(JobSpec("job") for _ in range(20))

    async def work(job: Job) -> None:
        raise AssertionError("no claim was answered")

    proxy.deliver_late("finish_and_claim", times=100)
    with working("q", work, connection="faulty", shutdown_timeout=0.2):
        proxy.wait(2)
    answers = proxy.deliver()
    assert len(answers) >= 2
    assert all(b"late" in answer for answer in answers)
    counts = invariants.check(redis_client, "q", idle=True)
    assert counts["wait"] == sum(counts.values()) == 20


def test_closing_while_a_claim_is_under_way(proxy: Proxy, redis_client: redis.Redis) -> None:
    """Its answer never comes; what it claimed is handed back at once, not after the lock."""
    queue = Queue("q")

    async def work(job: Job) -> None:
        return None

    proxy.lose_reply("finish_and_claim", times=100)
    with working("q", work, connection="faulty", shutdown_timeout=0.2):
        queue.add_bulk(JobSpec("job") for _ in range(20))
        proxy.wait(1)
    counts = invariants.check(redis_client, "q", idle=True)
    assert counts["wait"] == sum(counts.values()) == 20


@pytest.mark.parametrize("fault", FAULTS)
def test_handing_back(proxy: Proxy, redis_client: redis.Redis, fault: str) -> None:
    queue = Queue("q")
    jobs = queue.add_bulk(JobSpec("job") for _ in range(5))
    begun = threading.Semaphore(0)

    async def hold(job: Job) -> None:
        begun.release()
        await asyncio.Event().wait()

    getattr(proxy, fault)("hand_back")
    with working("q", hold, connection="faulty", shutdown_timeout=0.1):
        for _ in jobs:
            assert begun.acquire(timeout=10)
    assert len(proxy.spoiled) == 1
    proxy.deliver()
    counts = invariants.check(redis_client, "q", idle=True)
    assert counts["wait"] == sum(counts.values()) == 5
    assert [job.id for job in queue.get_jobs("waiting", asc=True)] == [job.id for job in jobs]
    waiting = [f for _, f in redis_client.xrange(f"{K}events") if f.get("prev") == "active"]
    assert len(waiting) == 5


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("script", ["extend_locks", "move_stalled_jobs_to_wait"])
def test_renewing_and_looking_for_stalls(
    proxy: Proxy, redis_client: redis.Redis, fault: str, script: str
) -> None:
    queue = Queue("q")
    queue.add_bulk(JobSpec("job") for _ in range(5))
    runs: Counter[str] = Counter()

    async def work(job: Job) -> None:
        runs[job.id] += 1
        await asyncio.sleep(1.5)  # three locks long

    getattr(proxy, fault)(script, times=2)
    options = {"lock_duration": 0.5, "stalled_interval": 0.2}
    with working("q", work, connection="faulty", **options):
        proxy.wait(2)
        proxy.deliver()
        until_finished(redis_client, 5, threading.Event())
    assert len(proxy.spoiled) == 2
    assert set(runs.values()) == {1}
    assert ends(redis_client) == {"completed": 5}
    invariants.check(redis_client, "q")


def test_a_marker_taken_whose_answer_is_lost(proxy: Proxy, redis_client: redis.Redis) -> None:
    """Nobody else is woken by it: the worker must look by itself, not after its long wait."""
    ran = threading.Event()

    async def work(job: Job) -> None:
        ran.set()

    with working("q", work, connection="faulty", drain_delay=60):
        until_blocked(redis_client)
        proxy.lose_reply("BZPOPMIN")
        # The wait that is under way is the old one's: another job begins the next.
        Queue("q").add("first")
        assert ran.wait(5)
        ran.clear()
        until_finished(redis_client, 1, threading.Event())
        proxy.wait(1)
        Queue("q").add("second")
        assert ran.wait(5)
        until_finished(redis_client, 2, threading.Event())
    assert ends(redis_client) == {"completed": 2}


def until_blocked(client: redis.Redis) -> None:
    pause = threading.Event()
    for _ in range(500):
        if any(one["cmd"] == "bzpopmin" for one in client.client_list()):
            return
        pause.wait(0.01)
    raise AssertionError("no worker waits for the marker")


# What an operator or a producer calls, each spoiled once: who is told of an error may find it done,
# but never done twice; who is told nothing finds it done.
Act = Callable[[Queue], Any]
ACTS: dict[str, tuple[str, Act]] = {
    "pause": ("pause", lambda q: q.pause()),
    "resume": ("resume", lambda q: q.resume()),
    "promote": ("promote", lambda q: q.get_job("7").promote()),
    "retry": ("reprocess_job", lambda q: q.get_job("1").retry()),
    "retry all": ("move_jobs_to_wait", lambda q: q.retry_jobs()),
    "retry some": ("move_jobs_to_wait", lambda q: q.retry_jobs(count=1)),
    "promote all": ("move_jobs_to_wait", lambda q: q.promote_jobs()),
    "promote some": ("move_jobs_to_wait", lambda q: q.promote_jobs(count=1)),
    "change the delay": ("change_delay", lambda q: q.get_job("7").change_delay(900)),
    "change the priority": ("change_priority", lambda q: q.get_job("5").change_priority(2)),
    "remove": ("remove_job", lambda q: q.remove("5")),
    "clean": ("clean_jobs", lambda q: q.clean(0, 0, "failed")),
    "drain": ("drain", lambda q: q.drain()),
    "report progress": ("update_progress", lambda q: q.get_job("5").update_progress(50)),
    "log": ("add_log", lambda q: q.get_job("5").log("a row")),
    "update the data": ("update_data", lambda q: q.get_job("5").update_data({"new": 1})),
}


@pytest.mark.parametrize("fault", ["lose_reply", "deliver_late"])
@pytest.mark.parametrize("act", ACTS)
def test_acts_are_done_once(proxy: Proxy, redis_client: redis.Redis, fault: str, act: str) -> None:
    script, do = ACTS[act]
    for name in ("reference", "q"):
        fill(name, paused=act == "resume")
    do(Queue("reference"))
    getattr(proxy, fault)(script)
    told = None
    try:
        do(Queue("q", connection="faulty"))
    except ServerUnavailable as error:
        told = error
    assert len(proxy.spoiled) == 1
    if told is None:
        # It was sent again, since that does no harm: done by now, and still the same afterwards.
        assert held(redis_client, "q") == held(redis_client, "reference")
    assert not any(answer.startswith(b"-") for answer in proxy.deliver())
    assert held(redis_client, "q") == held(redis_client, "reference")
    invariants.check(redis_client, "q")


@pytest.mark.parametrize(
    "act", ["drain", "clean", "retry some", "promote some", "log", "retry", "promote", "remove"]
)
def test_whose_repeat_would_do_harm_is_told(proxy: Proxy, act: str) -> None:
    """A drain done again would delete what was added since; a count would count twice."""
    script, do = ACTS[act]
    fill("q", paused=False)
    proxy.lose_reply(script)
    with pytest.raises(ServerUnavailable, match="did not answer"):
        do(Queue("q", connection="faulty"))


def fill(name: str, paused: bool) -> None:
    """Jobs 1-3 have failed, 4-6 wait, 7-8 are delayed."""
    queue = Queue(name)
    queue.add_bulk(JobSpec("job", {}) for _ in range(3))
    ended = threading.Event()

    async def fail(job: Job) -> None:
        if job.id == "3":
            ended.set()
        raise RuntimeError("bad")

    with working(name, fail, concurrency=1):
        assert ended.wait(10)
    queue.add_bulk(JobSpec("job", {}) for _ in range(3))
    queue.add_bulk(JobSpec("job", {}, delay=600) for _ in range(2))
    if paused:
        queue.pause()


def held(client: redis.Redis, queue: str) -> dict[str, Any]:
    """What the queue holds, but for what a repeat may do twice without harm: tell its event, and
    take another number of the sequence for equal priorities."""
    everything = dump(client, queue)
    del everything["events"]
    everything.pop("pc", None)
    everything["prioritized"] = [id for id, _ in everything.get("prioritized", [])]
    return everything
