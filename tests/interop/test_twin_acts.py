"""The same act done by Node and by us: the same keys, fields, events, and answers.

Node fills one queue and we the other, one by one or in batches; then one act is done to each,
spelled in Node's words and in ours, on a running and on a paused queue (in the layout of the peer's
version). PyPI's bullmq does the acts that it has, too.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue
from tests.interop.dump import by_job
from tests.interop.dump import compare as same
from tests.interop.five import otherwise_at
from tests.interop.node import Peer, Remote, numbered
from tests.interop.ours import working
from tests.interop.sides import in_our_words
from tests.interop.test_deduplication import without_zero_delays
from tests.interop.test_states import seen_by_node, seen_by_us
from tests.interop.test_together import until

Act = tuple[Callable[[Remote], Any], Callable[[Queue], Any]]

# What `fill` makes.
COMPLETED, FAILED, WAITING, PRIORITIZED, DELAYED = "2", "5", "8", "10", "13"

ACTS: dict[str, Act] = {
    "pause": (lambda q: q.pause(), lambda q: q.pause()),
    "resume": (lambda q: q.resume(), lambda q: q.resume()),
    "pause and resume": (
        lambda q: [q.pause(), q.resume()],
        lambda q: [q.pause(), q.resume()],
    ),
    "add": (
        lambda q: q.addBulk(list(numbered(3))),
        lambda q: [q.add("job", {"n": n}) for n in range(3)],
    ),
    "add before all": (
        lambda q: q.add("job", {}, {"lifo": True}),
        lambda q: q.add("job", {}, lifo=True),
    ),
    "add with a priority": (
        lambda q: q.add("job", {}, {"priority": 1}),
        lambda q: q.add("job", {}, priority=1),
    ),
    "add delayed": (
        lambda q: q.add("job", {}, {"delay": 5000}),
        lambda q: q.add("job", {}, delay=5),
    ),
    "promote": (lambda q: q.job("12").promote(), lambda q: q.get_job("12").promote()),
    "promote a prioritized one": (
        lambda q: q.job("13").promote(),
        lambda q: q.get_job("13").promote(),
    ),
    "promote all": (lambda q: q.promoteJobs(), lambda q: q.promote_jobs()),
    "retry a failed one": (lambda q: q.job("5").retry(), lambda q: q.get_job("5").retry()),
    "retry a failed one from scratch": (
        lambda q: q.job("5").retry(
            "failed", {"resetAttemptsMade": True, "resetAttemptsStarted": True}
        ),
        lambda q: q.get_job("5").retry(
            "failed", reset_attempts_made=True, reset_attempts_started=True
        ),
    ),
    "retry a completed one": (
        lambda q: q.job("2").retry("completed"),
        lambda q: q.get_job("2").retry("completed"),
    ),
    "retry all failed": (lambda q: q.retryJobs(), lambda q: q.retry_jobs()),
    "retry all completed": (
        lambda q: q.retryJobs({"state": "completed"}),
        lambda q: q.retry_jobs("completed"),
    ),
    "change the delay": (
        lambda q: q.job("12").changeDelay(7_000_000),
        lambda q: q.get_job("12").change_delay(7_000),
    ),
    "give a priority": (
        lambda q: q.job("8").changePriority({"priority": 4}),
        lambda q: q.get_job("8").change_priority(4),
    ),
    "give a priority, first of it": (
        lambda q: q.job("8").changePriority({"priority": 3, "lifo": True}),
        lambda q: q.get_job("8").change_priority(3, lifo=True),
    ),
    "change the priority": (
        lambda q: q.job("10").changePriority({"priority": 9}),
        lambda q: q.get_job("10").change_priority(9),
    ),
    "take the priority away": (
        lambda q: q.job("10").changePriority({"priority": 0}),
        lambda q: q.get_job("10").change_priority(0),
    ),
    "take the priority away, first of all": (
        lambda q: q.job("10").changePriority({"priority": 0, "lifo": True}),
        lambda q: q.get_job("10").change_priority(0, lifo=True),
    ),
    "change the priority of a delayed one": (
        lambda q: q.job("12").changePriority({"priority": 9}),
        lambda q: q.get_job("12").change_priority(9),
    ),
    "change the priority of a finished one": (
        lambda q: q.job("2").changePriority({"priority": 9}),
        lambda q: q.get_job("2").change_priority(9),
    ),
    **{
        f"remove {what}": (
            lambda q, id=id: q.job(id).remove(),
            lambda q, id=id: q.get_job(id).remove(),
        )
        for what, id in (
            ("a completed one", "2"),
            ("a failed one", "5"),
            ("a waiting one", "8"),
            ("a prioritized one", "10"),
            ("a delayed one", "12"),
        )
    },
    "remove by id": (lambda q: q.remove("8"), lambda q: q.remove("8")),
    "remove what is not there": (lambda q: q.remove("99"), lambda q: q.remove("99")),
    **{
        f"clean {state}, at most {limit}": (
            lambda q, state=state, limit=limit: q.clean(0, limit, state),
            lambda q, state=state, limit=limit: q.clean(0, limit, state),
        )
        for state in ("completed", "failed", "waiting", "prioritized", "delayed")
        for limit in (0, 1)
    },
    "clean what is old": (
        lambda q: q.clean(60_000, 0, "completed"),
        lambda q: q.clean(60, 0, "completed"),
    ),
    "drain": (lambda q: q.drain(), lambda q: q.drain()),
    "drain with the delayed": (lambda q: q.drain(True), lambda q: q.drain(delayed=True)),
    "update the data": (
        lambda q: q.job("8").updateData({"new": ["ü", None]}),
        lambda q: q.get_job("8").update_data({"new": ["ü", None]}),
    ),
    "report progress": (
        lambda q: [q.job("8").updateProgress(one) for one in (50, {"done": 3}, "text", True)],
        lambda q: [q.get_job("8").update_progress(one) for one in (50, {"done": 3}, "text", True)],
    ),
    "log": (
        lambda q: [q.job("8").log(row) for row in ("a", "ü\nb", "")],
        lambda q: [q.get_job("8").log(row) for row in ("a", "ü\nb", "")],
    ),
    "log more than is kept": (
        lambda q: [q.job("9").log(str(n)) for n in range(5)],
        lambda q: [q.get_job("9").log(str(n)) for n in range(5)],
    ),
    "clear the log": (
        lambda q: q.job("2").clearLogs(),
        lambda q: q.get_job("2").clear_logs(),
    ),
    "clear the log but for a row": (
        lambda q: q.job("2").clearLogs(1),
        lambda q: q.get_job("2").clear_logs(1),
    ),
    "report progress by id": (
        lambda q: q.updateJobProgress("8", {"done": 3}),
        lambda q: q.update_job_progress("8", {"done": 3}),
    ),
    "log by id": (
        lambda q: [q.addJobLog("9", str(n), 2) for n in range(4)],
        lambda q: [q.add_job_log("9", str(n), 2) for n in range(4)],
    ),
    "retry some failed": (
        lambda q: q.retryJobs({"count": 1}),
        lambda q: q.retry_jobs(),  # their count is a step's, ours a limit
    ),
    "promote some": (
        lambda q: q.promoteJobs({"count": 1}),
        lambda q: q.promote_jobs(),
    ),
    "remove orphans": (
        lambda q: q.removeOrphanedJobs(),
        lambda q: q.remove_orphaned_jobs(),
    ),
    "trim the events": (lambda q: q.trimEvents(0), lambda q: q.trim_events(0)),
    "stop for a while": (lambda q: q.rateLimit(65_000), lambda q: q.rate_limit(65)),
    "stop and go on": (
        lambda q: [q.rateLimit(65_000), q.removeRateLimitKey()],
        lambda q: [q.rate_limit(65), q.remove_rate_limit_key()],
    ),
    "limit the concurrency": (
        lambda q: q.setGlobalConcurrency(3),
        lambda q: q.set_global_concurrency(3),
    ),
    "free the concurrency": (
        lambda q: [q.setGlobalConcurrency(3), q.removeGlobalConcurrency()],
        lambda q: [q.set_global_concurrency(3), q.remove_global_concurrency()],
    ),
    "limit the rate": (
        lambda q: q.setGlobalRateLimit(10, 1500),
        lambda q: q.set_global_rate_limit(10, 1.5),
    ),
    "free the rate": (
        lambda q: [q.setGlobalRateLimit(10, 1500), q.removeGlobalRateLimit()],
        lambda q: [q.set_global_rate_limit(10, 1.5), q.remove_global_rate_limit()],
    ),
}

# What the port has no method for, or does in a way of its own.
NOT_OF_THE_PORT = {
    "change the delay": "it has no changeDelay",
    "log more than is kept": "its log() keeps all",
    "clear the log": "it has no clearLogs",
    "clean waiting, at most 0": "its word is `wait`",
    "clean waiting, at most 1": "the same",
    "clear the log but for a row": "the same",
    "report progress by id": "it has no updateJobProgress",
    "log by id": "only as a function of its class",
    "remove orphans": "it has no removeOrphanedJobs",
    "promote a prioritized one": "it promotes what is not delayed without a word",
}

NODE_FILLS = """async job => {
    await job.log('first');
    await job.log('second');
    // Well apart, also on a busy machine: else the order of their ends would be by chance.
    await new Promise(resolve => setTimeout(resolve, 10 * (job.data.n + 1)));
    if (job.name === 'bad') throw new Error('broken');
    return {n: job.data.n};
}"""


async def we_fill(job: Job) -> Any:
    await job.alog("first")
    await job.alog("second")
    await asyncio.sleep(0.01 * (job.data["n"] + 1))
    if job.name == "bad":
        raise RuntimeError("broken")
    return {"n": job.data["n"]}


# 1-3 complete, 4-6 fail; then 7-9 wait, 10-11 wait prioritized, 12-13 are late.
WORKED: list[dict[str, Any]] = [
    *({"name": "good", "data": {"n": n}} for n in range(3)),
    {"name": "bad", "data": {"n": 3}},
    {"name": "bad", "data": {"n": 4}, "opts": {"priority": 2}},
    {"name": "bad", "data": {"n": 5}},
]
LEFT: list[dict[str, Any]] = [
    {"name": "plain", "data": {}},
    {"name": "plain", "data": {}},
    {"name": "plain", "data": {}, "opts": {"keepLogs": 2}},
    {"name": "dear", "data": {}, "opts": {"priority": 3}},
    {"name": "dear", "data": {}, "opts": {"priority": 3}},
    {"name": "late", "data": {}, "opts": {"delay": 1_000_000}},
    {"name": "late", "data": {}, "opts": {"delay": 2_000_000, "priority": 7}},
]


def fill(peer: Peer, name: str, *, batched: bool = True) -> None:
    """Fill a queue by Node: all at once, or one by one."""
    queue = peer.queue(name)
    add = queue.addBulk if batched else lambda jobs: [queue.add(*_args(one)) for one in jobs]
    add(WORKED)
    worker = peer.worker(name, NODE_FILLS, concurrency=10 if batched else 1)
    worker.wait_for("completed", 3)
    worker.wait_for("failed", 3)
    worker.close()
    add(LEFT)


def fill_ours(*, batched: bool) -> None:
    """The same by us."""
    queue = Queue("ours")

    def add(jobs: list[dict[str, Any]]) -> None:
        specs = [
            JobSpec(one["name"], one["data"], **in_our_words(one.get("opts", {}))) for one in jobs
        ]
        if batched:
            queue.add_bulk(specs)
        else:
            for one in specs:
                queue.add(one.name, one.data, **one.options)

    add(WORKED)
    # As Node's worker does, which counts no metrics unless it is told to.
    options: dict[str, Any] = {"metrics_max_data_points": 0, "concurrency": 10 if batched else 1}
    with working("ours", we_fill, **options):
        until(lambda: queue.get_job_counts("completed", "failed") == {"completed": 3, "failed": 3})
    add(LEFT)


def _args(job: dict[str, Any]) -> list[Any]:
    return [job["name"], job["data"], job.get("opts", {})]


SLOW = pytest.mark.slow
HOW = [
    pytest.param(False, False, id="running-single", marks=SLOW),
    pytest.param(False, True, id="running-batched"),
    pytest.param(True, False, id="paused-single"),
    pytest.param(True, True, id="paused-batched", marks=SLOW),
]


@pytest.mark.crosswise(batched=False)
@pytest.mark.parametrize(("paused", "batched"), HOW)
@pytest.mark.parametrize("act", ACTS)
def test_acting(
    peer: Peer, redis_client: redis.Redis, act: str, paused: bool, batched: bool
) -> None:
    """The whole script by Node and by us: what it leaves, returns, and tells who listens."""
    events = {name: peer.queue_events(name) for name in ("theirs", "ours")}
    peer.queue("ours")  # a queue of the same version
    fill(peer, "theirs", batched=batched)
    fill_ours(batched=batched)
    if paused:
        for name in ("theirs", "ours"):
            peer.queue(name).pause()
    same(redis_client)
    theirs, ours = ACTS[act]
    with otherwise_at(peer, "acts of a paused queue" if paused else "acts", act):
        returned = theirs(peer.queue("theirs")), ours(Queue("ours"))
        same(redis_client)
        assert act in OTHER_RETURNS or agree(*returned), returned
        look_across(peer, "theirs", "ours")
        if act != "trim the events":
            heard(redis_client, events)


@pytest.mark.parametrize("act", [act for act in ACTS if act not in NOT_OF_THE_PORT])
def test_acting_as_the_port(port: Peer, six: Peer, redis_client: redis.Redis, act: str) -> None:
    """PyPI's bullmq acts on what Node has made."""
    fill(six, "theirs")
    fill(six, "ours")
    theirs, ours = ACTS[act]
    returned = theirs(port.queue("theirs")), ours(Queue("ours"))
    without_zero_delays(redis_client)
    same(redis_client)
    assert act in OTHER_RETURNS or agree(*returned), returned
    look_across(port, "theirs", "ours")


# BullMQ answers 1 whether there was such a job or not.
OTHER_RETURNS = ("remove what is not there",)


def agree(theirs: Any, ours: Any) -> bool:
    """Whether both return the same, where both return something; of a job, its id."""
    if isinstance(theirs, list) and all(isinstance(one, str) for one in theirs):
        return sorted(theirs) == sorted(ours)  # ids
    if isinstance(theirs, list) and isinstance(ours, list | tuple):
        return len(theirs) == len(ours) and all(map(agree, theirs, ours))
    if isinstance(ours, Job):
        return bool(theirs["id"] == ours.id)
    return theirs is None or ours is None or bool(theirs == ours)


STATES = ("waiting", "prioritized", "active", "delayed", "completed", "failed")


def look_across(peer: Peer, theirs: str, ours: str) -> None:
    """What we see of the peer's queue is what the peer sees of ours: states, counts and jobs."""
    mine, other = Queue(theirs), peer.queue(ours)
    counts = {one: n for one, n in other.getJobCounts().items() if n}
    counts["waiting"] = counts.pop("waiting", 0) + counts.pop("wait", 0) + counts.pop("paused", 0)
    assert {one: n for one, n in counts.items() if n} == {
        one: n for one, n in mine.get_job_counts().items() if n
    }
    for state in STATES:
        for job in mine.get_jobs(state):
            seen = other.getJob(job.id)
            assert seen is not None, job.id
            found = seen_by_node(seen) | TIMELESS
            assert found == seen_by_us(job) | TIMELESS, job.id
            told = other.getJobState(job.id)
            assert ("waiting" if told in ("wait", "paused") else told) == state, job.id


TIMELESS = {"timestamp": 0, "processed": 0, "finished": 0}


def heard(client: redis.Redis, events: dict[str, Remote]) -> None:
    """Node's listeners have heard the same of both queues, job by job."""
    said = {}
    for name, remote in events.items():
        count = client.xlen(f"bull:{name}:events")
        remote.peer.wait(lambda r=remote, n=count: len(told(r)) >= n, f"{count} events of {name}")
        said[name] = by_job([_timeless(client, name, event, one) for event, one in told(remote)])
    assert said["ours"] == said["theirs"]


def told(remote: Remote) -> list[tuple[str, dict[str, Any]]]:
    return [(event, args[0]) for event, args in remote.events if event not in ("ready", "error")]


def _timeless(client: redis.Redis, queue: str, event: str, told: dict[str, Any]) -> dict[str, Any]:
    fields = {"event": event} | (told if isinstance(told, dict) else {})
    if int(fields.get("delay") or 0) > 1e12:
        fields["delay"] = "a time"
    return fields


@pytest.mark.parametrize("force", [False, True])
def test_obliterating(peer: Peer, redis_client: redis.Redis, force: bool) -> None:
    fill(peer, "theirs")
    fill(peer, "ours")
    peer.queue("theirs").obliterate({"force": force})
    Queue("ours").obliterate(force=force)
    left = {key.split(":", 2)[2] for key in redis_client.keys("bull:theirs:*")}
    assert {key.split(":", 2)[2] for key in redis_client.keys("bull:ours:*")} <= left
