"""Flows of which one side works the children and the other the parent, whoever has added them."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from queuecore import (
    FlowJob,
    FlowProducer,
    Job,
    JobSpec,
    Queue,
    WaitingChildrenError,
)
from queuecore.errors import JobIsLocked
from queuecore.flow import JobNode
from queuecore.options import POLICIES
from tests import invariants
from tests.interop.node import Peer
from tests.interop.ours import working
from tests.interop.test_flow_twins import CAMEL
from tests.interop.test_python_port import run
from tests.interop.test_together import until
from tests.servers import Server

# A child named `bad` fails as long as it has not been retried; a parent returns what it reads.
NODE = """async job => {
    if (job.name === 'bad' && job.attemptsMade === 0) throw new Error('boom');
    if (job.name !== 'parent') return job.data.n;
    return [await job.getChildrenValues(), await job.getIgnoredChildrenFailures()];
}"""


async def ours(job: Job) -> Any:
    if job.name == "bad" and job.attempts_made == 0:
        raise RuntimeError("boom")
    if job.name != "parent":
        return job.data["n"]
    return [await job.aget_children_values(), await job.aget_ignored_children_failures()]


@contextmanager
def worked(peer: Peer, queue: str, side: str) -> Iterator[None]:
    """``queue`` is worked by one side."""
    with ExitStack() as stack:
        if side == "node":
            stack.callback(peer.worker(queue, NODE).close)
        else:
            stack.enter_context(working(queue, ours, concurrency=1))
        yield


def add(peer: Peer, side: str, policy: str) -> None:
    """A parent with a good and a bad child."""
    if side == "ours":
        flags: dict[str, Any] = {policy: True} if policy else {}
        FlowProducer().add(
            FlowJob(
                "parent",
                {"n": 0},
                queue="parents",
                job_id="P",
                children=[
                    FlowJob("good", {"n": 1}, queue="q", job_id="good"),
                    FlowJob("bad", {"n": 2}, queue="q", job_id="bad", **flags),
                ],
            )
        )
    else:
        peer.make("FlowProducer", [{"connection": peer.connection}]).add(
            {
                "name": "parent",
                "data": {"n": 0},
                "queueName": "parents",
                "opts": {"jobId": "P"},
                "children": [
                    {"name": "good", "data": {"n": 1}, "queueName": "q", "opts": {"jobId": "good"}},
                    {
                        "name": "bad",
                        "data": {"n": 2},
                        "queueName": "q",
                        "opts": {"jobId": "bad"} | ({CAMEL[policy]: True} if policy else {}),
                    },
                ],
            }
        )


GOOD, BAD = "bull:q:good", "bull:q:bad"
RETURNED: dict[str, Any] = {
    "continue_parent_on_failure": [{GOOD: 1}, {BAD: "boom"}],
    "ignore_dependency_on_failure": [{GOOD: 1}, {BAD: "boom"}],
    "remove_dependency_on_failure": [{GOOD: 1}, {}],
    "": [{GOOD: 1, BAD: 2}, {}],
}


@pytest.mark.parity(
    "Job.getChildrenValues",
    "Job.getIgnoredChildrenFailures",
    "Job.getDependencies",
    "Job.getDependenciesCount",
)
@pytest.mark.parametrize("policy", [*POLICIES, ""], ids=lambda one: one or "no policy")
@pytest.mark.parametrize(
    ("adds", "children", "parent"),
    [
        ("ours", "node", "ours"),
        ("ours", "ours", "node"),
        ("ours", "node", "node"),
        ("node", "ours", "node"),
        ("node", "node", "ours"),
        ("node", "ours", "ours"),
    ],
)
def test_both_sides_work_a_flow(
    peer: Peer, redis_client: redis.Redis, adds: str, children: str, parent: str, policy: str
) -> None:
    events = peer.queue_events("parents")
    add(peer, adds, policy)
    with worked(peer, "q", children), worked(peer, "parents", parent):
        if not policy:
            until(lambda: redis_client.zscore("bull:q:failed", "bad"))
            assert peer.queue("parents").job("P").getState() == "waiting-children"
            assert Queue("parents").get_job_state("P") == "waiting-children"
            if children == "node":
                Queue("q").get_job("bad").retry()
            else:
                peer.queue("q").job("bad").retry()
        if policy == "fail_parent_on_failure":
            ((failed, _),) = events.wait_for("failed")
            assert failed["failedReason"] == f"child {BAD} failed"
        else:
            ((completed, _),) = events.wait_for("completed")
            assert completed["jobId"] == "P"
            assert completed["returnvalue"] == RETURNED[policy]
    names = [args[0].get("prev") for args in events.of("waiting")]
    assert names == ["waiting-children"]
    job = Queue("parents").get_job("P")
    assert job is not None
    assert (job.attempts_made, job.attempts_started) == (1, 1)
    theirs = peer.queue("parents").job("P")
    assert theirs.getChildrenValues() == job.get_children_values()
    assert theirs.getIgnoredChildrenFailures() == job.get_ignored_children_failures()
    read = job.get_dependencies()
    assert theirs.getDependencies() == {
        "processed": read.processed,
        "unprocessed": read.unprocessed,
        "ignored": read.ignored,
        "failed": read.failed,
    }
    assert theirs.getDependenciesCount() == job.get_dependencies_count()
    for queue in ("q", "parents"):
        counts = invariants.check(redis_client, queue)
        assert counts["active"] == counts["wait"] == counts["waiting-children"] == 0


def ids(node: Any) -> Any:
    """A tree by its ids, of either side's nodes."""
    if isinstance(node, JobNode):
        return node.job.id, sorted(ids(one) for one in node.children)
    return node["job"]["id"], sorted(ids(one) for one in node.get("children") or [])


def family(generations: int, width: int, place: str = "g") -> FlowJob:
    if not generations:
        return FlowJob("x", queue="leaves", job_id=place)
    below = [family(generations - 1, width, f"{place}{n}") for n in range(width)]
    return FlowJob("x", queue="q", job_id=place, children=below)


@pytest.mark.parity("FlowProducer.getFlow", "Queue.getDependencies")
@pytest.mark.parametrize("adds", ["node", "ours"])
def test_both_sides_read_a_flow(peer: Peer, redis_client: redis.Redis, adds: str) -> None:
    producer = peer.make("FlowProducer", [{"connection": peer.connection}])

    def node(place: str, left: int) -> dict[str, Any]:
        return {
            "name": "x",
            "queueName": "q" if left else "leaves",
            "opts": {"jobId": place},
            "children": [node(f"{place}{n}", left - 1) for n in range(2 * bool(left))],
        }

    if adds == "node":
        added = ids(producer.add(node("g", 3)))
    else:
        added = ids(FlowProducer().add(family(3, 2)))
    for depth, most in ((10, 20), (1, 20), (2, 20), (3, 20), (10, 1)):
        theirs = ids(
            producer.getFlow({"id": "g", "queueName": "q", "depth": depth, "maxChildren": most})
        )
        read = FlowProducer().get_flow("g", "q", depth=depth, max_children=most)
        if most == 20:
            assert ids(read) == theirs
        # A page of theirs is as large as the server likes.
        assert len(str(ids(read))) <= len(str(theirs))
        if depth == 10 and most == 20:
            assert theirs == added
    page = peer.queue("q").getDependencies("g00", "pending", 0, 10)
    ours = Queue("q").get_dependencies("g00", "pending", 0, 10)
    assert (sorted(one["id"] for one in page["items"]), page["total"]) == (ours.keys, ours.total)


@pytest.mark.parametrize(("upper", "lower"), [("node", "ours"), ("ours", "node")])
@pytest.mark.parametrize("batched", [1, 10])
def test_a_failure_goes_up_through_both_sides(
    peer: Peer, redis_client: redis.Redis, upper: str, lower: str, batched: int
) -> None:
    """The generations stand in two queues by turns, and many such flows fail at once."""
    flows = []
    for n in range(batched):
        flow = FlowJob("bad", {"n": 0}, queue="q", fail_parent_on_failure=True)
        for generation in range(5):
            flow = FlowJob(
                "parent",
                queue=("parents", "q")[generation % 2],
                children=[flow],
                job_id=f"f{n}-{generation}",
                **({"fail_parent_on_failure": True} if generation < 4 else {}),
            )
        flows.append(flow)
    FlowProducer().add_bulk(flows)
    with worked(peer, "parents", upper), worked(peer, "q", lower):
        until(
            lambda: all(
                redis_client.zscore("bull:parents:failed", f"f{n}-4") for n in range(batched)
            )
        )
    for n in range(batched):
        reason = redis_client.hget(f"bull:parents:f{n}-4", "failedReason")
        assert reason == f"child bull:q:f{n}-3 failed"
    for queue in ("q", "parents"):
        counts = invariants.check(redis_client, queue)
        assert counts["failed"] == 3 * batched


def test_many_flows_worked_by_both_sides_at_once(peer: Peer, redis_client: redis.Redis) -> None:
    """Each parent runs once, when all of its children are done, whoever takes which job."""
    events = peer.queue_events("parents")
    count, width = 150, 5
    FlowProducer().add_bulk(
        FlowJob(
            "parent",
            queue="parents",
            job_id=f"p{n}",
            children=[FlowJob("good", {"n": one}, queue="q") for one in range(width)],
        )
        for n in range(count)
    )
    with ExitStack() as stack:
        for queue in ("q", "parents"):
            stack.callback(peer.worker(queue, NODE, concurrency=10).close)
            stack.enter_context(working(queue, ours, concurrency=10))
        done = [args[0] for args in events.wait_for("completed", count)]
    assert len({one["jobId"] for one in done}) == len(done) == count
    for one in done:
        values, ignored = one["returnvalue"]
        assert (sorted(values.values()), ignored) == ([*range(width)], {})
    for queue, most in (("q", count * width), ("parents", count)):
        counts = invariants.check(redis_client, queue)
        assert counts["completed"] == sum(counts.values()) == most
    assert {redis_client.hget(f"bull:parents:p{n}", "ats") for n in range(count)} == {"1"}


def test_nodes_parent_waits_for_children_that_we_add_and_work(
    peer: Peer, redis_client: redis.Redis
) -> None:
    theirs = peer.queue("parents")
    events = peer.queue_events("parents")
    worker = peer.worker(
        "parents",
        """async (job, token) => {
            await job.updateProgress((job.progress || 0) + 1);
            if (job.attemptsStarted === 1) await gate('children');
            if (await job.moveToWaitingChildren(token)) throw new bullmq.WaitingChildrenError();
            return job.getChildrenValues();
        }""",
    )
    theirs.add("steps", {}, {"jobId": "steps"})
    worker.wait_for("active")
    parent = Queue("parents").get_job("steps")
    assert parent is not None
    Queue("q").add_bulk(JobSpec("good", {"n": n}, parent=parent) for n in range(3))
    peer.open("children")
    events.wait_for("waiting-children")
    with working("q", ours, concurrency=3):
        ((completed, _),) = events.wait_for("completed")
    assert completed["returnvalue"] == {f"bull:q:{n + 1}": n for n in range(3)}
    invariants.check(redis_client, "parents")


def test_our_parent_waits_for_children_that_node_adds_and_works(
    peer: Peer, redis_client: redis.Redis
) -> None:
    events = peer.queue_events("parents")
    go = asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def steps(job: Job) -> Any:
        if job.attempts_started == 1:
            loops.append(asyncio.get_running_loop())
            await go.wait()
        if await job.amove_to_waiting_children():
            raise WaitingChildrenError
        return await job.aget_children_values()

    Queue("parents").add("steps", job_id="steps")
    with working("parents", steps):
        until(lambda: loops)
        parent = {"id": "steps", "queue": "bull:parents"}
        queue = peer.queue("q")
        queue.add("good", {"n": 0}, {"parent": parent})
        queue.addBulk(
            [{"name": "good", "data": {"n": n}, "opts": {"parent": parent}} for n in (1, 2)]
        )
        loops[0].call_soon_threadsafe(go.set)
        events.wait_for("waiting-children")
        with worked(peer, "q", "node"):
            ((completed, _),) = events.wait_for("completed")
    assert completed["returnvalue"] == {f"bull:q:{n + 1}": n for n in range(3)}
    invariants.check(redis_client, "parents")


def test_a_family_is_removed_by_either_side(peer: Peer, redis_client: redis.Redis) -> None:
    worker = peer.worker("leaves", "() => gate('held')")
    FlowProducer().add(family(2, 2))
    worker.wait_for("active")
    with pytest.raises(JobIsLocked, match="or one of its children"):
        Queue("q").remove("g")
    with pytest.raises(Exception, match="locked"):
        peer.queue("q").job("g").remove({"removeChildren": True})
    peer.open("held")
    worker.wait_for("completed", 4)
    worker.close()
    peer.queue("q").job("g0").remove({"removeChildren": True})
    assert Queue("q").remove("g") is True
    for queue in ("q", "leaves"):
        assert sum(invariants.check(redis_client, queue).values()) == 0


def test_the_port_adds_a_flow_and_we_work_it(
    peer_python: Path, server: Server, redis_client: redis.Redis
) -> None:
    added = run(peer_python, "add_flow", server)
    with working("q", ours), working("parents", ours):
        until(lambda: redis_client.zscore("bull:parents:completed", added["id"]))
    job = Queue("parents").get_job(added["id"])
    assert job is not None
    values, ignored = job.returnvalue
    assert sorted(values.values()) == [0, 1, 2]
    assert [*ignored.values()] == ["boom"]
    for queue in ("q", "parents"):
        invariants.check(redis_client, queue)


def test_the_port_works_a_flow_that_we_add(
    peer_python: Path, server: Server, redis_client: redis.Redis
) -> None:
    node = FlowProducer().add(
        FlowJob(
            "parent",
            queue="parents",
            children=[
                *(FlowJob("good", {"n": n}, queue="q") for n in range(3)),
                FlowJob("bad", {"n": 9}, queue="q", ignore_dependency_on_failure=True),
            ],
        )
    )
    done = run(peer_python, "work_flow", server)
    assert sorted(done["values"].values()) == [0, 1, 2]
    node.job.refresh()
    assert node.job.returnvalue == done["values"]
    assert [*node.job.get_ignored_children_failures().values()] == ["boom"]
    for queue in ("q", "parents"):
        invariants.check(redis_client, queue)
