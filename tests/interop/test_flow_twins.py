"""The same flows made by Node under one prefix and by us under another: the same keys and events.

Each script is added by both sides, compared, worked off by each side's own worker, one job at a
time and many at once, and compared again.
"""

import asyncio
import json
import time
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
import redis

from queuecore import (
    Deduplication,
    FlowJob,
    FlowProducer,
    Job,
    JobSpec,
    Queue,
    WaitingChildrenError,
)
from queuecore.options import POLICIES
from queuecore.wire.calls.base import Command
from tests import invariants
from tests.interop.dump import by_job, dump
from tests.interop.five import otherwise_at
from tests.interop.node import Peer, Remote
from tests.interop.ours import working
from tests.interop.test_together import until

THEIRS, OURS = "node", "bull"
QUEUES = ("parents", "q", "other")
FPOF, CPOF, IDOF, RDOF = POLICIES
CAMEL = {
    "job_id": "jobId",
    "remove_on_complete": "removeOnComplete",
    "remove_on_fail": "removeOnFail",
    FPOF: "failParentOnFailure",
    CPOF: "continueParentOnFailure",
    IDOF: "ignoreDependencyOnFailure",
    RDOF: "removeDependencyOnFailure",
}


class Spec:
    """A flow in neither side's words; jobs named ``bad`` fail."""

    def __init__(self, id: str, *children: "Spec", queue: str = "", **options: Any) -> None:
        self.id = id
        self.name = id.partition("-")[0]
        self.queue = queue or ("parents" if children else "q")
        self.children = children
        self.options = {"job_id": id} | options

    def theirs(self) -> dict[str, Any]:
        opts = {CAMEL.get(name, name): value for name, value in self.options.items()}
        if "delay" in opts:
            opts["delay"] *= 1000
        if "deduplication" in opts:
            opts["deduplication"] = {"id": "once"} | opts["deduplication"]
        if "parent" in opts:
            opts["parent"] = {"id": opts["parent"], "queue": f"{THEIRS}:parents"}
        return {
            "name": self.name,
            "queueName": self.queue,
            "data": {"id": self.id},
            "opts": opts,
            "children": [one.theirs() for one in self.children],
        }

    def ours(self) -> FlowJob:
        options = dict(self.options)
        if "deduplication" in options:
            rule = dict(options["deduplication"])
            if "ttl" in rule:
                rule["ttl"] /= 1000
            if "keepLastIfActive" in rule:
                rule["keep_last_if_active"] = rule.pop("keepLastIfActive")
            options["deduplication"] = Deduplication("once", **rule)
        if "parent" in options:
            options["parent"] = {"id": options["parent"], "queue": f"{OURS}:parents"}
        return FlowJob(
            self.name,
            {"id": self.id},
            queue=self.queue,
            children=[one.ours() for one in self.children],
            **options,
        )


P, A, B, C, BAD = (partial(Spec, id) for id in ("parent", "a", "b", "c", "bad"))


def late(delay: float) -> dict[str, float]:
    """Options of a job that runs late, if it does: Node writes a delay of 0 down."""
    return {"delay": delay} if delay else {}


# Each a list of steps: flows to add, or (their act, our act).
SCRIPTS: dict[str, list[Any]] = {
    "one child": [P(A())],
    "no child": [A()],
    "children of two queues": [P(A(), B(queue="other"), C())],
    "a family in one queue": [P(A(queue="q"), B(queue="q"), queue="q")],
    "three generations": [P(Spec("middle", A(), B(queue="other")), C())],
    "four generations, on one side": [P(Spec("m", Spec("n", Spec("o", A()))), B())],
    "a parent that runs with a priority": [P(A(), priority=3)],
    "a parent that runs late": [P(A(), delay=1000)],
    "children before all, by priority, late": [
        P(A(), B(lifo=True), C(priority=2), Spec("d", priority=1), Spec("e", delay=0.05))
    ],
    "children that try again": [P(A(attempts=3), BAD(attempts=2, **{IDOF: True}))],
    "children that are not kept": [P(A(remove_on_complete=True), BAD(remove_on_fail=True), B())],
    **{
        f"{policy or 'no policy'}, alone": [P(BAD(**({policy: True} if policy else {})))]
        for policy in (FPOF, CPOF, IDOF, RDOF, "")
    },
    **{
        f"{policy or 'no policy'}, with a sibling": [
            P(A(), BAD(**({policy: True} if policy else {})), B())
        ]
        for policy in (FPOF, IDOF, RDOF, "")
    },
    f"{CPOF}, with a sibling": [Spec("picky", BAD(**{CPOF: True}), B(delay=3600))],
    "a parent that completes too early": [
        Spec("hasty", BAD(**{CPOF: True}), B(delay=3600), attempts=2)
    ],
    "a failure that goes up": [
        P(Spec("middle", Spec("low", BAD(**{FPOF: True}), **{FPOF: True}), **{FPOF: True}))
    ],
    "a failure that goes up half the way": [P(Spec("middle", BAD(**{FPOF: True}), **{IDOF: True}))],
    "a failed parent that is late": [P(BAD(**{FPOF: True}), delay=1000)],
    "two flows at once": [[P(A()), Spec("second", B(), C(queue="other"))]],
    "a flow below another": [P(A()), Spec("middle", B(), parent="parent")],
    **{
        f"no child, deduplicated{name}": [
            A(deduplication=rule, **late(delay)),
            B(deduplication=rule, **late(2 * delay)),
            [P(C()), Spec("d", deduplication=rule), Spec("e", delay=0.2), Spec("a")],
        ]
        for name, rule, delay in (
            ("", {}, 0),
            (" for a time", {"ttl": 35_000}, 0),
            (" for ever more time", {"ttl": 35_000, "extend": True}, 0),
            (", the last one of those that are late", {"replace": True}, 0.3),
            (", kept for when it runs", {"keepLastIfActive": True}, 0),
            (", put off", {"reschedule": True}, 0.3),
        )
    },
    "a child that waits already": [A(), P(A(), B())],
    "a parent that is there already": [P(A()), P(B())],
    "a flow twice": [P(A(), B()), P(A(), B())],
    "a child whose parent was removed": [
        P(A()),
        (
            lambda q: q["parents"].remove("parent", {"removeChildren": False}),
            lambda q: q["parents"].remove("parent", remove_children=False),
        ),
        Spec("second", A()),
    ],
    "a child added to a parent that waits": [
        P(A()),
        (
            lambda q: q["q"].add(
                "b", {}, {"jobId": "b", "parent": {"id": "parent", "queue": f"{THEIRS}:parents"}}
            ),
            lambda q: q["q"].add("b", {}, job_id="b", parent=q["parents"].get_job("parent")),
        ),
    ],
    "children added in bulk": [
        P(A()),
        (
            lambda q: q["q"].addBulk(
                [
                    {
                        "name": name,
                        "data": {},
                        "opts": {
                            "jobId": name,
                            "parent": {"id": "parent", "queue": f"{THEIRS}:parents"},
                            "ignoreDependencyOnFailure": True,
                        },
                    }
                    for name in ("b", "bad")
                ]
            ),
            lambda q: q["q"].add_bulk(
                JobSpec(
                    name,
                    {},
                    job_id=name,
                    parent=q["parents"].get_job("parent"),
                    ignore_dependency_on_failure=True,
                )
                for name in ("b", "bad")
            ),
        ),
    ],
    "a child that exists, added to a parent": [
        [P(A()), B()],
        (
            lambda q: q["q"].add(
                "b", {}, {"jobId": "b", "parent": {"id": "parent", "queue": f"{THEIRS}:parents"}}
            ),
            lambda q: q["q"].add("b", {}, job_id="b", parent=q["parents"].get_job("parent")),
        ),
    ],
    **{
        f"remove {what}": [
            P(Spec("middle", A(), B()), C(queue="other")),
            (
                lambda q, queue=queue, id=id, deep=deep: q[queue].remove(
                    id, {"removeChildren": deep}
                ),
                lambda q, queue=queue, id=id, deep=deep: q[queue].remove(id, remove_children=deep),
            ),
        ]
        for what, queue, id, deep in (
            ("all", "parents", "parent", True),
            ("the parent alone", "parents", "parent", False),
            ("a branch", "parents", "middle", True),
            ("the top of a branch", "parents", "middle", False),
            ("a leaf", "q", "a", True),
            ("the other leaf", "other", "c", True),
        )
    },
    "remove the last leaf": [
        P(A(), delay=1000, priority=3),
        (lambda q: q["q"].remove("a"), lambda q: q["q"].remove("a")),
    ],
    "unlink a child": [
        P(A(), B()),
        (
            lambda q: q["q"].job("a").removeChildDependency(),
            lambda q: q["q"].get_job("a").remove_child_dependency(),
        ),
    ],
    "unlink the last child": [
        P(A()),
        (
            lambda q: q["q"].job("a").removeChildDependency(),
            lambda q: q["q"].get_job("a").remove_child_dependency(),
        ),
    ],
    "remove the unprocessed children": [
        P(Spec("middle", A(), B()), C(queue="other")),
        (
            lambda q: q["parents"].job("parent").removeUnprocessedChildren(),
            lambda q: q["parents"].get_job("parent").remove_unprocessed_children(),
        ),
    ],
    "drain": [
        P(A(), B(), C(queue="other")),
        (lambda q: q["q"].drain(), lambda q: q["q"].drain()),
    ],
    "drain all children": [
        P(A(), B()),
        (lambda q: q["q"].drain(), lambda q: q["q"].drain()),
    ],
    "clean all children": [
        P(A(), B()),
        (lambda q: q["q"].clean(0, 0, "waiting"), lambda q: q["q"].clean(0, state="waiting")),
    ],
}
# Why a parent cannot complete, in their words and in ours.
PENDING = (
    "Job hasty has pending dependencies. moveToFinished",
    "the job cannot complete: it has unfinished children",
    "Cannot complete job top because it has at least one failed child. moveToFinished",
    "the job cannot complete: it has failed children",
)


def fields_of(client: redis.Redis, prefix: str, *, worked: bool) -> dict[str, Any]:
    """All that stands under ``prefix``, the prefix itself taken out."""
    found: dict[str, Any] = {}
    for queue in QUEUES:
        held = dump(client, queue, prefix=prefix)
        events = held.get("events", [])
        # 5 tells this besides `deduplicated`; 6 does no more.
        held["events"] = by_job([one for one in events if one["event"] != "debounced"])
        if worked:
            held["events"].pop(None, None)  # `drained` is a matter of moments
            # What wakes workers, and what watches them: it depends on who slept last.
            for name in ("marker", "stalled-check", "stalled"):
                held.pop(name, None)
            # Who looks for prioritized jobs and finds none forgets how many there have been; a
            # worker that was ended after its last job has not looked again.
            if "prioritized" not in held:
                held.pop("pc", None)
        for name in held:
            if name.endswith(":unsuccessful"):
                held[name] = sorted(key for key, _ in held[name])  # the score is a time
        found[queue] = held
        assert not invariants.look(client, queue, prefix=prefix)[1]
    text = json.dumps(found, default=str).replace(f"{prefix}:", "<prefix>:")
    for words in PENDING:
        text = text.replace(words, "children")
    return json.loads(text)


def compare(client: redis.Redis, *, worked: bool = False) -> None:
    theirs, ours = (fields_of(client, one, worked=worked) for one in (THEIRS, OURS))
    different = [
        f"{queue}:{key}\n  theirs {theirs[queue].get(key)}\n  ours   {ours[queue].get(key)}"
        for queue in QUEUES
        for key in sorted(theirs[queue].keys() | ours[queue].keys())
        if theirs[queue].get(key) != ours[queue].get(key)
    ]
    assert not different, "\n".join(different)


class Sides:
    """Both sides: what adds flows, and the queues by name."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        options = {"connection": peer.connection, "prefix": THEIRS}
        self.producer: Remote = peer.make("FlowProducer", [options])
        self.theirs = {name: peer.queue(name, prefix=THEIRS) for name in QUEUES}
        self.ours = {name: Queue(name) for name in QUEUES}
        for queue in self.ours.values():  # a Node queue writes its settings at once
            queue.connection.run(Command(("HSET", queue.keys.meta, "opts.maxLenEvents", 10000)))

    def do(self, step: Any) -> None:
        if isinstance(step, Spec):
            self.producer.add(step.theirs())
            FlowProducer().add(step.ours())
        elif isinstance(step, list):
            self.producer.addBulk([one.theirs() for one in step])
            FlowProducer().add_bulk(one.ours() for one in step)
        else:
            theirs, ours = step
            theirs(self.theirs)
            ours(self.ours)


NODE_WORK = """async job => {
    if (job.name === 'bad') throw new Error('boom');
    if (job.name === 'picky') await job.removeUnprocessedChildren();
    // In whose order the children ended is a matter of moments.
    const sorted = (found) => Object.entries(found).sort((a, b) => (a[0] < b[0] ? -1 : 1));
    const ignored = await job.getIgnoredChildrenFailures();
    return [job.id, sorted(await job.getChildrenValues()), sorted(ignored)];
}"""


async def work(job: Job) -> Any:
    if job.name == "bad":
        raise RuntimeError("boom")
    if job.name == "picky":
        await job.aremove_unprocessed_children()
    return [
        job.id,
        sorted((await job.aget_children_values()).items()),
        sorted((await job.aget_ignored_children_failures()).items()),
    ]


def settled(client: redis.Redis, prefix: str) -> bool:
    """Whether nothing is left that a worker would do in the next ten seconds."""
    soon = (time.time() + 10) * 1000 * 4096
    look = client.pipeline(transaction=True)  # a child's end is its parent's beginning
    for queue in QUEUES:
        base = f"{prefix}:{queue}:"
        look.llen(f"{base}wait")
        look.llen(f"{base}active")
        look.zcard(f"{base}prioritized")
        look.zcount(f"{base}delayed", 0, soon)
    return not any(look.execute())


def work_off(sides: Sides, client: redis.Redis, concurrency: int) -> None:
    with ExitStack() as stack:
        for name in QUEUES:
            worker = sides.peer.worker(name, NODE_WORK, prefix=THEIRS, concurrency=concurrency)
            stack.callback(worker.close)
            stack.enter_context(
                working(name, work, concurrency=concurrency, metrics_max_data_points=0)
            )
        until(lambda: settled(client, THEIRS) and settled(client, OURS))


@pytest.mark.parity(
    "FlowProducer.add",
    "FlowProducer.addBulk",
    "JobOptions.parent",
    "JobOptions.failParentOnFailure",
    "JobOptions.continueParentOnFailure",
    "JobOptions.ignoreDependencyOnFailure",
    "JobOptions.removeDependencyOnFailure",
    "Job.removeChildDependency",
    "Job.removeUnprocessedChildren",
)
@pytest.mark.crosswise(concurrency=1)
@pytest.mark.parametrize("concurrency", [1, 10], ids=["one by one", "in batches"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_flows(peer: Peer, redis_client: redis.Redis, script: str, concurrency: int) -> None:
    sides = Sides(peer)
    with otherwise_at(peer, "flows", script):
        for step in SCRIPTS[script]:
            sides.do(step)
            compare(redis_client)
        work_off(sides, redis_client, concurrency)
        compare(redis_client, worked=True)


@pytest.mark.parametrize("script", ["one child", "three generations", "children of two queues"])
def test_flows_of_paused_queues(peer: Peer, redis_client: redis.Redis, script: str) -> None:
    sides = Sides(peer)
    for name in QUEUES:
        sides.theirs[name].pause()
        sides.ours[name].connection.run(
            Command(("HSET", f"{OURS}:{name}:meta", "version", f"bullmq:{peer.version}"))
        )
        sides.ours[name].pause()
    for step in SCRIPTS[script]:
        sides.do(step)
    compare(redis_client)
    for name in QUEUES:
        sides.theirs[name].resume()
        sides.ours[name].resume()
    compare(redis_client)
    work_off(sides, redis_client, 1)
    compare(redis_client, worked=True)


def test_children_that_have_completed_already(six: Peer, redis_client: redis.Redis) -> None:
    """5 releases the parent while its other children are still to be added."""
    sides = Sides(six)
    sides.do([A(), B()])
    work_off(sides, redis_client, 1)
    sides.do(P(A(), B(), priority=4))
    compare(redis_client, worked=True)
    sides.do(Spec("second", C(), Spec("d")))
    compare(redis_client, worked=True)
    work_off(sides, redis_client, 1)
    compare(redis_client, worked=True)


# What is done when a parent with a good, a bad and a late child has been worked as far as it goes.
AFTERWARDS: dict[str, Any] = {
    "retry the bad child": (
        lambda q: q["q"].job("bad").retry(),
        lambda q: q["q"].get_job("bad").retry(),
    ),
    "retry all failed children": (
        lambda q: q["q"].retryJobs(),
        lambda q: q["q"].retry_jobs(),
    ),
    "remove the bad child": (lambda q: q["q"].remove("bad"), lambda q: q["q"].remove("bad")),
    "remove the good child": (lambda q: q["q"].remove("a"), lambda q: q["q"].remove("a")),
    "clean the failed children": (
        lambda q: q["q"].clean(0, 0, "failed"),
        lambda q: q["q"].clean(0, state="failed"),
    ),
    "unlink the bad child": (
        lambda q: q["q"].job("bad").removeChildDependency(),
        lambda q: q["q"].get_job("bad").remove_child_dependency(),
    ),
    "promote the late child": (
        lambda q: q["q"].job("b").promote(),
        lambda q: q["q"].get_job("b").promote(),
    ),
    "remove all": (
        lambda q: q["parents"].remove("parent", {"removeChildren": True}),
        lambda q: q["parents"].remove("parent", remove_children=True),
    ),
    "remove the parent": (
        lambda q: q["parents"].remove("parent", {"removeChildren": False}),
        lambda q: q["parents"].remove("parent", remove_children=False),
    ),
    "remove what is unprocessed": (
        lambda q: q["parents"].job("parent").removeUnprocessedChildren(),
        lambda q: q["parents"].get_job("parent").remove_unprocessed_children(),
    ),
    "drain with the delayed": (
        lambda q: q["q"].drain(True),
        lambda q: q["q"].drain(delayed=True),
    ),
}


@pytest.mark.parametrize(
    ("act", "policy"),
    [
        (act, policy)
        for act in AFTERWARDS
        for policy in (FPOF, IDOF, RDOF, "")
        if "retry" in act or policy in (FPOF, "")
    ],
    ids=lambda one: one or "no policy",
)
def test_afterwards(peer: Peer, redis_client: redis.Redis, act: str, policy: str) -> None:
    sides = Sides(peer)
    sides.do(P(A(), BAD(**({policy: True} if policy else {})), B(delay=3600)))
    work_off(sides, redis_client, 1)
    compare(redis_client, worked=True)
    with otherwise_at(peer, "flows afterwards", f"{act}, {policy}"):
        sides.do(AFTERWARDS[act])
        compare(redis_client, worked=True)
        work_off(sides, redis_client, 10)
        compare(redis_client, worked=True)


NODE_RUNNING = """async job => {
    if (job.name === 'bad') throw new Error('boom');
    while (!(await job.getDependenciesCount({failed: true})).failed) {
        await new Promise(resolve => setTimeout(resolve, 5));
    }
}"""


def test_a_child_that_fails_its_running_parent(peer: Peer, redis_client: redis.Redis) -> None:
    sides = Sides(peer)

    async def running(job: Job) -> None:
        if job.name == "bad":
            raise RuntimeError("boom")
        while not (await job.aget_dependencies_count("failed"))["failed"]:  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # between two looks

    sides.theirs["parents"].add("top", {}, {"jobId": "top", "attempts": 3})
    sides.ours["parents"].add("top", {}, job_id="top", attempts=3)
    with ExitStack() as stack:
        for name in ("parents", "q"):
            stack.callback(peer.worker(name, NODE_RUNNING, prefix=THEIRS).close)
            stack.enter_context(working(name, running, metrics_max_data_points=0))
        until(lambda: all(redis_client.llen(f"{one}:parents:active") for one in (THEIRS, OURS)))
        sides.theirs["q"].add(
            "bad",
            {},
            {
                "jobId": "bad",
                "parent": {"id": "top", "queue": f"{THEIRS}:parents"},
                "failParentOnFailure": True,
            },
        )
        sides.ours["q"].add(
            "bad",
            {},
            job_id="bad",
            parent=sides.ours["parents"].get_job("top"),
            fail_parent_on_failure=True,
        )
        until(lambda: settled(redis_client, THEIRS) and settled(redis_client, OURS))
    compare(redis_client, worked=True)
    assert Queue("parents").get_job_state("top") == "failed"


@pytest.mark.parametrize("outcome", ["completed", "failed"])
def test_retrying_a_child(peer: Peer, redis_client: redis.Redis, outcome: str) -> None:
    sides = Sides(peer)
    sides.do(P(A(), BAD(), B(delay=100)))
    work_off(sides, redis_client, 1)
    id = "a" if outcome == "completed" else "bad"
    sides.theirs["q"].job(id).retry(outcome)
    sides.ours["q"].get_job(id).retry(outcome)
    compare(redis_client, worked=True)


# Children added while the parent runs


NODE_STEPS = """async (job, token) => {
    if (job.name !== 'steps') return job.id;
    if (!job.data.step) {
        const queue = new bullmq.Queue('q', OPTIONS);
        await queue.waitUntilReady();
        for (const id of ['x', 'y']) {
            const parent = {id: job.id, queue: job.queueQualifiedName};
            await queue.add('child', {}, {jobId: id, parent});
        }
        await queue.close();
        await job.updateData({step: 1});
    }
    if (await job.moveToWaitingChildren(token)) throw new bullmq.WaitingChildrenError();
    return job.getChildrenValues();
}"""


@pytest.mark.parity("Job.moveToWaitingChildren", "WaitingChildrenError")
@pytest.mark.crosswise(concurrency=1)
@pytest.mark.parametrize("concurrency", [1, 10], ids=["one by one", "in batches"])
def test_children_added_at_run_time(
    peer: Peer, redis_client: redis.Redis, concurrency: int
) -> None:
    sides = Sides(peer)
    sides.theirs["parents"].add("steps", {}, {"jobId": "steps"})
    sides.ours["parents"].add("steps", {}, job_id="steps")
    compare(redis_client)

    async def steps(job: Job) -> Any:
        if job.name != "steps":
            return job.id
        if not job.data.get("step"):
            for id in ("x", "y"):
                await sides.ours["q"].aadd("child", {}, job_id=id, parent=job)
            await job.aupdate_data({"step": 1})
        if await job.amove_to_waiting_children():
            raise WaitingChildrenError
        return await job.aget_children_values()

    def stands(state: str) -> bool:
        return all(redis_client.zscore(f"{one}:parents:{state}", "steps") for one in (THEIRS, OURS))

    theirs = NODE_STEPS.replace(
        "OPTIONS", json.dumps({"connection": peer.connection, "prefix": THEIRS})
    )
    with ExitStack() as stack:
        # Children are worked off when both parents wait: else it would be a race.
        for name, state in (("parents", "waiting-children"), ("q", "completed")):
            worker = peer.worker(name, theirs, prefix=THEIRS, concurrency=concurrency)
            stack.callback(worker.close)
            stack.enter_context(
                working(name, steps, concurrency=concurrency, metrics_max_data_points=0)
            )
            until(partial(stands, state))
    compare(redis_client, worked=True)
    assert json.loads(redis_client.hget("bull:parents:steps", "returnvalue")) == {
        "bull:q:x": "x",
        "bull:q:y": "y",
    }
