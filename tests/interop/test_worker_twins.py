"""The same jobs worked by Node under one prefix and by us under another: the same keys and events.

What a job does at each of its starts stands in its data (``steps``), and each side's processor
follows it: one job at a time, and many at once.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
import redis

from queuecore import (
    DelayedError,
    Job,
    JobSpec,
    Queue,
    RateLimitError,
    UnrecoverableError,
    WaitingError,
)
from tests.interop.node import Peer
from tests.interop.ours import working
from tests.interop.sides import in_our_words
from tests.interop.test_flow_twins import OURS, THEIRS, Sides, compare, settled
from tests.interop.test_together import until

NODE = """async (job, token) => {
    switch ((job.data.steps ?? [])[job.attemptsStarted - 1] ?? 'ok') {
        case 'ok':
            return [job.name, job.attemptsMade, job.attemptsStarted, job.data.n];
        case 'nothing':
            return;
        case 'fail':
            throw new Error(`boom ${job.attemptsMade}`);
        case 'give up':
            throw new bullmq.UnrecoverableError('no hope');
        case 'later':
            await job.moveToDelayed(Date.now() + 30, token);
            throw new bullmq.DelayedError();
        case 'next hour':
            await job.moveToDelayed(Date.now() + 3_600_000, token);
            throw new bullmq.DelayedError();
        case 'again':
            await job.moveToWait(token);
            throw new bullmq.WaitingError();
        case 'limited':
            throw new bullmq.RateLimitError();
        case 'tell':
            for (const one of [10, {done: [1, 'ü']}, 'half', false]) await job.updateProgress(one);
            for (const row of ['first', 'ü\\nsecond', 'third']) await job.log(row);
            await job.updateData({...job.data, new: [null]});
            return 'told';
        case 'clear':
            for (const row of ['first', 'second', 'third']) await job.log(row);
            await job.clearLogs(1);
            throw new Error('after all');
    }
}"""


async def work(job: Job) -> Any:
    match dict(enumerate(job.data.get("steps", ()))).get(job.attempts_started - 1, "ok"):
        case "ok":
            return [job.name, job.attempts_made, job.attempts_started, job.data["n"]]
        case "fail":
            raise RuntimeError(f"boom {job.attempts_made}")
        case "give up":
            raise UnrecoverableError("no hope")
        case "later":
            await job.amove_to_delayed(0.03)
            raise DelayedError
        case "next hour":
            await job.amove_to_delayed(3600)
            raise DelayedError
        case "again":
            await job.amove_to_wait()
            raise WaitingError
        case "limited":
            raise RateLimitError
        case "tell":
            for progress in (10, {"done": [1, "ü"]}, "half", False):
                await job.aupdate_progress(progress)
            for row in ("first", "ü\nsecond", "third"):
                await job.alog(row)
            await job.aupdate_data({**job.data, "new": [None]})
            return "told"
        case "clear":
            for row in ("first", "second", "third"):
                await job.alog(row)
            await job.aclear_logs(1)
            raise RuntimeError("after all")
    return None


def job(*steps: str, **options: Any) -> dict[str, Any]:
    """A job in Node's words, for which the steps are what it does at each start."""
    return {"steps": [*steps], "options": options}


FIXED = {"type": "fixed", "delay": 20}
GROWING = {"type": "exponential", "delay": 10}
KINDS: list[dict[str, Any]] = [{}, {"priority": 3}, {"lifo": True}, {"delay": 20}]

# Each the jobs, and the options of both workers.
SCRIPTS: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "what completes": ([job(**kind) for kind in KINDS] + [job("nothing"), job(jobId="own")], {}),
    "what fails": ([job("fail", **kind) for kind in KINDS] + [job("fail", jobId="own")], {}),
    "tried again at once": ([job("fail", "fail", attempts=3, **kind) for kind in KINDS], {}),
    "tried again in a while": (
        [job("fail", "fail", attempts=3, backoff=FIXED, **kind) for kind in KINDS],
        {},
    ),
    "tried again later and later": (
        [job("fail", "fail", attempts=3, backoff=GROWING, **kind) for kind in KINDS],
        {},
    ),
    "all tries in vain": (
        [job(*["fail"] * 3, attempts=3), job(*["fail"] * 2, attempts=2, backoff=FIXED)],
        {},
    ),
    "tried again in the next hour": (
        [job("fail", attempts=2, backoff={"type": "fixed", "delay": 3_600_000})],
        {},
    ),
    "few traces are kept": (
        [job(*["fail"] * 4, attempts=4, stackTraceLimit=limit) for limit in (0, 1, 2, 9)],
        {},
    ),
    "given up": ([job("give up", attempts=5), job("fail", "give up", attempts=5)], {}),
    "put off": ([job("later", "later", **kind) for kind in KINDS], {}),
    "put off to the next hour": ([job("next hour", priority=3)], {}),
    "put off and failed": ([job("later", "fail", "later", attempts=2)], {}),
    "put back": ([job("again", "again", **kind) for kind in KINDS], {}),
    "put back and failed": ([job("again", "fail", "fail", "again", attempts=2)], {}),
    "held up by a limit": ([job("limited", **kind) for kind in KINDS[:2]], {}),
    "what it tells": ([job("tell"), job("tell", keepLogs=2), job("tell", "fail")], {}),
    "what it tells and takes back": ([job("clear", "clear", attempts=2)], {}),
    "kept by its own rule": (
        [
            *(job(removeOnComplete=rule) for rule in (True, 1, {"age": 60, "count": 2}, False)),
            *(job("fail", removeOnFail=rule) for rule in (True, {"age": 60}, {"count": 0})),
            job("fail", "ok", attempts=2, removeOnFail=True),
        ],
        {},
    ),
    "kept by the worker's rule": (
        [*(job() for _ in range(4)), *(job("fail") for _ in range(4)), job(removeOnComplete=False)],
        {"removeOnComplete": {"count": 2}, "removeOnFail": {"count": 1}},
    ),
    "none is kept by the worker's rule": (
        [job(), job("fail"), job(removeOnComplete=3)],
        {"removeOnComplete": {"count": 0}, "removeOnFail": {"count": 0}},
    ),
    "started too often": (
        [job(*["later"] * 5), job("fail", "later", "later", attempts=4), job("again")],
        {"maxStartedAttempts": 2},
    ),
    "by a worker with a name": ([job(), job("fail"), job("fail", attempts=2)], {"name": "anna"}),
}

# What is kept of these depends on who ended last: at many at a time, a matter of moments.
IN_ORDER = ("kept by its own rule", "kept by the worker's rule")


@pytest.mark.parity(
    "Worker",
    "Worker.name",
    "Worker.removeOnComplete",
    "Worker.removeOnFail",
    "Worker.maxStartedAttempts",
    "UnrecoverableError",
    "DelayedError",
    "WaitingError",
    "Job.moveToDelayed",
    "Job.moveToWait",
    "JobOptions.attempts",
    "JobOptions.backoff",
    "JobOptions.stackTraceLimit",
    "JobOptions.keepLogs",
    "JobOptions.removeOnComplete",
    "JobOptions.removeOnFail",
)
@pytest.mark.parametrize(
    ("script", "batched"),
    [
        pytest.param(
            script,
            batched,
            id=f"{script}-{'batched' if batched else 'single'}",
            marks=() if script in IN_ORDER else pytest.mark.crosswise(batched=False),
        )
        for script in SCRIPTS
        for batched in (False, True)
        if not (batched and script in IN_ORDER)
    ],
)
def test_working(peer: Peer, redis_client: redis.Redis, script: str, batched: bool) -> None:
    sides = Sides(peer)
    jobs, options = SCRIPTS[script]
    add(sides, jobs, batched)
    compare(redis_client)
    concurrency = 10 if batched else 1
    with ExitStack() as stack:
        worker = peer.worker("q", NODE, prefix=THEIRS, concurrency=concurrency, **options)
        stack.callback(worker.close)
        ours = {"metrics_max_data_points": 0} | in_our_words(options)
        stack.enter_context(working("q", work, concurrency=concurrency, **ours))
        until(lambda: settled(redis_client, THEIRS) and settled(redis_client, OURS))
    compare(redis_client, worked=True)


def add(sides: Sides, jobs: list[dict[str, Any]], batched: bool) -> None:
    theirs, ours = sides.theirs["q"], Queue("q")
    told = [{"n": n, "steps": one["steps"]} for n, one in enumerate(jobs)]
    specs = [
        {"name": "job", "data": data, "opts": one["options"]}
        for data, one in zip(told, jobs, strict=True)
    ]
    mine = [JobSpec("job", one["data"], **in_our_words(one["opts"])) for one in specs]
    if batched:
        theirs.addBulk(specs)
        ours.add_bulk(mine)
    else:
        for one, spec in zip(specs, mine, strict=True):
            theirs.add(one["name"], one["data"], one["opts"])
            ours.add(spec.name, spec.data, **spec.options)
