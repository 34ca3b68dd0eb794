"""The same scheduler acts done by Node and by us: the same records, runs, fields and events.

Moments become their rank (t1, t2 ...), the rest of a delay becomes a word; that each delayed run
is due at the moment in its id is checked before.
"""

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from queuecore import Backoff, Queue
from tests import invariants
from tests.interop.dump import by_job, dump
from tests.interop.node import Peer, Remote
from tests.interop.ours import working

FAR = "0 0 1 1 *"
BERLIN = "Europe/Berlin"
START, END = datetime(2040, 1, 1, tzinfo=UTC), datetime(2045, 6, 1, tzinfo=UTC)
START_MS, END_MS = int(START.timestamp() * 1000), int(END.timestamp() * 1000)
HOUR = 3_600_000
SOON = int(time.time()) * 1000 + HOUR // 2
# Of our worker: one finishes and claims job by job, the other in batches.
CONCURRENCY = 1

Theirs = Callable[[Remote], Any]
Ours = Callable[[Queue], Any]


def work(remote: Remote, count: int, event: str = "completed", **options: Any) -> None:
    """Let a worker of Node's start runs until it emitted *event* so many times."""
    worker = remote.peer.worker("theirs", PROCESSOR, **options)
    worker.wait_for(event, count)
    worker.close()


def work_ours(queue: Queue, count: int, state: str = "completed", **options: Any) -> None:
    """Let a worker of ours run until so many are in *state*."""

    async def process(job: Any) -> Any:
        if job.name == "bad":
            raise ValueError("broken")
        return 1

    options.setdefault("concurrency", CONCURRENCY)
    with working("ours", process, metrics_max_data_points=0, **options):
        wait(lambda: queue.get_job_counts()[state] >= count)


def past() -> Callable[[], bool]:
    """Whether a millisecond is over: two runs of one moment would be one."""
    begun = time.time_ns() // 1_000_000
    return lambda: time.time_ns() // 1_000_000 > begun + 1


def wait(what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


PROCESSOR = """async job => {
    if (job.name === 'bad') throw new Error('broken');
    return 1;
}"""
TEMPLATE = {
    "name": "welcome",
    "data": {"n": 7, "ü": [None, 1.5]},
    "opts": {"attempts": 3, "backoff": {"type": "fixed", "delay": 2000}, "priority": 4,
             "removeOnFail": {"count": 5}, "keepLogs": 9, "stackTraceLimit": 2},
}  # fmt: skip
OUR_TEMPLATE = {
    "name": "welcome",
    "data": {"n": 7, "ü": [None, 1.5]},
    "opts": {
        "attempts": 3,
        "backoff": Backoff.fixed(2),
        "priority": 4,
        "remove_on_fail": {"count": 5},
        "keep_logs": 9,
        "stack_trace_limit": 2,
    },
}
FAILING = {
    "name": "bad",
    "data": {},
    "opts": {"attempts": 2, "backoff": {"type": "fixed", "delay": 60_000}},
}
OUR_FAILING = {"name": "bad", "data": {}, "opts": {"attempts": 2, "backoff": Backoff.fixed(60)}}

ACTS: dict[str, tuple[Theirs, Ours]] = {
    "every": (
        lambda q: q.upsertJobScheduler("s", {"every": HOUR}),
        lambda q: q.upsert_job_scheduler("s", every=3600),
    ),
    "every, with a template": (
        lambda q: q.upsertJobScheduler("s", {"every": HOUR, "limit": 5}, TEMPLATE),
        lambda q: q.upsert_job_scheduler("s", every=3600, limit=5, **OUR_TEMPLATE),
    ),
    "every, with an offset": (
        lambda q: q.upsertJobScheduler("s", {"every": HOUR * 24, "offset": 1000}),
        lambda q: q.upsert_job_scheduler("s", every=3600 * 24, offset=1),
    ),
    "every, between two dates": (
        lambda q: q.upsertJobScheduler(
            "s", {"every": HOUR, "startDate": START_MS, "endDate": END_MS}
        ),
        lambda q: q.upsert_job_scheduler("s", every=3600, start_date=START, end_date=END),
    ),
    "a pattern": (
        lambda q: q.upsertJobScheduler("s", {"pattern": FAR, "tz": BERLIN}),
        lambda q: q.upsert_job_scheduler("s", pattern=FAR, tz=BERLIN),
    ),
    "a pattern, with everything": (
        lambda q: q.upsertJobScheduler(
            "s",
            {"pattern": FAR, "tz": "UTC", "limit": 9, "startDate": START_MS, "endDate": END_MS},
            TEMPLATE,
        ),
        lambda q: q.upsert_job_scheduler(
            "s", pattern=FAR, tz="UTC", limit=9, start_date=START, end_date=END, **OUR_TEMPLATE
        ),
    ),
    "a pattern, immediately": (
        lambda q: q.upsertJobScheduler("s", {"pattern": FAR, "tz": BERLIN, "immediately": True}),
        lambda q: q.upsert_job_scheduler("s", pattern=FAR, tz=BERLIN, immediately=True),
    ),
    "first of all": (
        lambda q: [
            q.add("job", {}),
            q.upsertJobScheduler("s", {"every": HOUR}, {"opts": {"lifo": True}}),
        ],
        lambda q: [q.add("job"), q.upsert_job_scheduler("s", every=3600, opts={"lifo": True})],
    ),
    "the same again": (
        lambda q: [q.upsertJobScheduler("s", {"every": HOUR}) for _ in range(2)],
        lambda q: [q.upsert_job_scheduler("s", every=3600) for _ in range(2)],
    ),
    "the same pattern with other data": (
        lambda q: [
            q.upsertJobScheduler("s", {"pattern": FAR, "tz": BERLIN}),
            q.upsertJobScheduler("s", {"pattern": FAR, "tz": BERLIN}, TEMPLATE),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", pattern=FAR, tz=BERLIN),
            q.upsert_job_scheduler("s", pattern=FAR, tz=BERLIN, **OUR_TEMPLATE),
        ],
    ),
    "from every to every": (
        lambda q: [
            q.upsertJobScheduler("s", {"every": HOUR}),
            wait(past()),
            q.upsertJobScheduler("s", {"every": HOUR * 2}),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", every=3600),
            wait(past()),
            q.upsert_job_scheduler("s", every=7200),
        ],
    ),
    "from every to a pattern": (
        lambda q: [
            q.upsertJobScheduler("s", {"every": HOUR}),
            q.upsertJobScheduler("s", {"pattern": FAR, "tz": BERLIN}),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", every=3600),
            q.upsert_job_scheduler("s", pattern=FAR, tz=BERLIN),
        ],
    ),
    "from a pattern to every": (
        lambda q: [
            q.upsertJobScheduler("s", {"pattern": FAR, "tz": BERLIN}),
            q.upsertJobScheduler("s", {"every": HOUR}),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", pattern=FAR, tz=BERLIN),
            q.upsert_job_scheduler("s", every=3600),
        ],
    ),
    "from one priority to none": (
        lambda q: [
            q.upsertJobScheduler("s", {"every": HOUR}, TEMPLATE),
            q.upsertJobScheduler("s", {"every": HOUR}),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", every=3600, **OUR_TEMPLATE),
            q.upsert_job_scheduler("s", every=3600),
        ],
    ),
    "remove one of two": (
        lambda q: [
            q.upsertJobScheduler("s", {"pattern": FAR, "tz": BERLIN}),
            q.upsertJobScheduler("other", {"pattern": FAR, "tz": BERLIN}),
            q.removeJobScheduler("s"),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", pattern=FAR, tz=BERLIN),
            q.upsert_job_scheduler("other", pattern=FAR, tz=BERLIN),
            q.remove_job_scheduler("s"),
        ],
    ),
    "remove one whose run is ready": (
        lambda q: [q.upsertJobScheduler("s", {"every": HOUR}), q.removeJobScheduler("s")],
        lambda q: [q.upsert_job_scheduler("s", every=3600), q.remove_job_scheduler("s")],
    ),
    "remove what is not there": (
        lambda q: [q.add("job", {}), q.removeJobScheduler("s")],
        lambda q: [q.add("job"), q.remove_job_scheduler("s")],
    ),
    "drain and clean around it": (
        lambda q: [
            q.upsertJobScheduler("s", {"every": HOUR}),
            q.upsertJobScheduler("late", {"pattern": FAR, "tz": BERLIN}),
            q.clean(0, 0, "delayed"),
            q.drain(True),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", every=3600),
            q.upsert_job_scheduler("late", pattern=FAR, tz=BERLIN),
            q.clean(0, 0, "delayed"),
            q.drain(delayed=True),
        ],
    ),
    "a run of every": (
        lambda q: [q.upsertJobScheduler("s", {"every": HOUR}, {"data": {"n": 1}}), work(q, 1)],
        lambda q: [q.upsert_job_scheduler("s", every=3600, data={"n": 1}), work_ours(q, 1)],
    ),
    "a run of a whole template": (
        lambda q: [q.upsertJobScheduler("s", {"every": HOUR}, TEMPLATE), work(q, 1)],
        lambda q: [q.upsert_job_scheduler("s", every=3600, **OUR_TEMPLATE), work_ours(q, 1)],
    ),
    "a run of a pattern": (
        lambda q: [
            q.upsertJobScheduler("s", {"pattern": FAR, "tz": BERLIN, "immediately": True}),
            work(q, 1),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", pattern=FAR, tz=BERLIN, immediately=True),
            work_ours(q, 1),
        ],
    ),
    "a run with an offset": (
        lambda q: [
            q.upsertJobScheduler("s", {"every": HOUR * 24, "offset": 1000}),
            q.promoteJobs(),
            work(q, 1),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", every=3600 * 24, offset=1),
            q.promote_jobs(),
            work_ours(q, 1),
        ],
    ),
    "runs before their time": (
        lambda q: [
            q.upsertJobScheduler("s", {"pattern": FAR, "tz": BERLIN}),
            *(step(q) for n in (1, 2) for step in (lambda q: q.promoteJobs(), once(n))),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", pattern=FAR, tz=BERLIN),
            *(step(q) for n in (1, 2) for step in (lambda q: q.promote_jobs(), once_ours(n))),
        ],
    ),
    "the last run": (
        lambda q: [q.upsertJobScheduler("s", {"every": HOUR, "limit": 1}), work(q, 1)],
        lambda q: [q.upsert_job_scheduler("s", every=3600, limit=1), work_ours(q, 1)],
    ),
    "a run before the end": (
        lambda q: [
            q.upsertJobScheduler("s", {"every": HOUR, "endDate": SOON}),
            work(q, 1),
        ],
        lambda q: [
            q.upsert_job_scheduler(
                "s", every=3600, end_date=datetime.fromtimestamp(SOON / 1000, UTC)
            ),
            work_ours(q, 1),
        ],
    ),
    "a run of a pattern before the end": (
        lambda q: [
            q.upsertJobScheduler(
                "s", {"pattern": FAR, "tz": "UTC", "immediately": True, "endDate": SOON}
            ),
            work(q, 1),
        ],
        lambda q: [
            q.upsert_job_scheduler(
                "s",
                pattern=FAR,
                tz="UTC",
                immediately=True,
                end_date=datetime.fromtimestamp(SOON / 1000, UTC),
            ),
            work_ours(q, 1),
        ],
    ),
    "a run that fails": (
        lambda q: [q.upsertJobScheduler("s", {"every": HOUR}, FAILING), work(q, 1, "failed")],
        lambda q: [
            q.upsert_job_scheduler("s", every=3600, **OUR_FAILING),
            work_ours(q, 2, "delayed"),
        ],
    ),
    "a run that fails for good": (
        lambda q: [
            q.upsertJobScheduler("s", {"every": HOUR}, {"name": "bad", "opts": {"attempts": 2}}),
            work(q, 2, "failed"),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", every=3600, name="bad", opts={"attempts": 2}),
            work_ours(q, 1, "failed"),
        ],
    ),
    "change it after a run": (
        lambda q: [
            q.upsertJobScheduler("s", {"every": HOUR}),
            work(q, 1),
            q.upsertJobScheduler("s", {"every": HOUR}, {"name": "new", "data": {"n": 2}}),
            q.upsertJobScheduler("s", {"every": HOUR * 2}),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", every=3600),
            work_ours(q, 1),
            q.upsert_job_scheduler("s", every=3600, name="new", data={"n": 2}),
            q.upsert_job_scheduler("s", every=7200),
        ],
    ),
    "a removed one whose run comes": (
        lambda q: [
            q.upsertJobScheduler("s", {"every": HOUR}),
            q.removeJobScheduler("s"),
            work(q, 1),
        ],
        lambda q: [
            q.upsert_job_scheduler("s", every=3600),
            q.remove_job_scheduler("s"),
            work_ours(q, 1),
        ],
    ),
}
# Where nothing is delayed or worked, and so a paused queue is another case.
PAUSED = [
    "every",
    "first of all",
    "the same again",
    "a pattern, immediately",
    "every, with a template",
]


def once(count: int) -> Theirs:
    return lambda q: work(q, 1) if count else None


def once_ours(count: int) -> Ours:
    return lambda q: work_ours(q, count)


@pytest.mark.parity(
    "Queue.upsertJobScheduler",
    "Queue.upsertJobScheduler(pattern, every, tz, limit, startDate, endDate, offset, immediately)",
    "Queue.removeJobScheduler",
)
@pytest.mark.parametrize("act", ACTS)
def test_acting(peer: Peer, redis_client: redis.Redis, act: str) -> None:
    theirs, ours = ACTS[act]
    theirs(peer.queue("theirs"))
    ours(Queue("ours"))
    same(redis_client, peer)


@pytest.mark.parametrize("act", [act for act in ACTS if "run" in act])
def test_acting_in_batches(
    peer: Peer, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    monkeypatch.setattr(f"{__name__}.CONCURRENCY", 20)
    theirs, ours = ACTS[act]
    theirs(peer.queue("theirs"))
    ours(Queue("ours"))
    same(redis_client, peer)


@pytest.mark.parametrize("act", PAUSED)
def test_acting_on_a_paused_queue(peer: Peer, redis_client: redis.Redis, act: str) -> None:
    theirs, ours = ACTS[act]
    for name in ("theirs", "ours"):
        peer.queue(name).pause()
    theirs(peer.queue("theirs"))
    ours(Queue("ours"))
    if act in AGAIN and peer.major == 6:
        # BullMQ 6 looks for the run in the wrong list, and leaves it beside its successor.
        assert redis_client.zcard("bull:theirs:delayed") == 1
        assert redis_client.zcard("bull:ours:delayed") == 0
        assert redis_client.llen("bull:ours:wait") == 1
        return
    same(redis_client, peer)


AGAIN = ("the same again",)


def same(client: redis.Redis, peer: Peer) -> None:
    """Fail unless both queues hold the same, moments aside."""
    theirs, ours = masked(client, "theirs", peer.major), masked(client, "ours", peer.major)
    different = [
        f"{key}:\n  theirs {theirs.get(key)}\n  ours   {ours.get(key)}"
        for key in sorted(theirs.keys() | ours.keys())
        if theirs.get(key) != ours.get(key)
    ]
    assert not different, "\n".join(different)
    for queue in ("theirs", "ours"):
        invariants.check(client, queue)


def masked(client: redis.Redis, queue: str, major: int) -> dict[str, Any]:
    found = dump(client, queue)
    for id, score in client.zrange(f"bull:{queue}:delayed", 0, -1, withscores=True):
        if "atm" not in client.hgetall(f"bull:{queue}:{id}"):
            assert int(id.rpartition(":")[2]) == int(score) // 4096, id
    for value in found.values():
        if isinstance(value, dict):
            _mask(value, major)
            if "ic" in value and "offset" in value:
                offset = int(value["offset"])
                assert 0 <= offset < int(value.get("every", 24 * HOUR))
                value["offset"] = offset if offset in (0, 1000) else "of the first run"
    found["events"] = {
        str(job_id): events for job_id, events in by_job(found.get("events", [])).items()
    }
    if any("processedOn" in fields for fields in found.values() if isinstance(fields, dict)):
        found.pop("marker", None)  # a worker has taken it, or not yet
    text = json.dumps(found, sort_keys=True)
    moments = sorted({int(ms) for ms in re.findall(r"repeat:\w+:(\d+)", text)})
    for rank, moment in enumerate(moments, 1):
        text = re.sub(rf"\b{moment}(\.0)?\b", f'"t{rank}"', text)
    text = re.sub(r'"(t\d+)"', r"\1", text)
    text = re.sub(r"(?<=[\[ :])(t\d+)(?=[\],} ])", r'"\1"', text)
    text = re.sub(r"\d+ after", "some after", text)
    masked: dict[str, Any] = json.loads(text)
    return masked


def _mask(value: dict[str, Any], major: int) -> None:
    for fields in (value, value.get("opts")):
        if isinstance(fields, dict) and int(fields.get("delay") or 0) > 0:
            fields["delay"] = "some"
    if major == 5:
        value.pop("nrjid", None)  # written by 5 alone, read by nobody
