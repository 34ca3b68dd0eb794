"""Flows whose answer is lost, whose request arrives late or twice, whose server dies: whole."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

import pytest
import redis

from queuecore import FlowJob, FlowProducer
from queuecore.errors import ServerUnavailable
from tests import invariants
from tests.chaos.proxy import Proxy
from tests.servers import Server

QUEUES = ["roots", "middles", "leaves"]
SIZE = 1 + 2 + 4


def flow(n: int, **own: str) -> FlowJob:
    """A root, two below it, two below each of these: in three queues."""
    middles = [
        FlowJob(
            "middle", queue="middles",
            children=[FlowJob("leaf", {"n": n}, queue="leaves", priority=i * 3) for i in range(2)],
        )
        for _ in range(2)
    ]  # fmt: skip
    return FlowJob("root", {"n": n}, queue="roots", children=middles, **own)


def wholes(client: redis.Redis) -> list[str]:
    """The ids of the roots; every flow is all there, each job of it once and in its place."""
    counts = {queue: invariants.check(client, queue) for queue in QUEUES}
    roots: list[str] = client.zrange("bull:roots:waiting-children", 0, -1)
    below = Counter[int]()
    for root in roots:
        for middle in client.smembers(f"bull:roots:{root}:dependencies"):
            below[2] += 1
            below[4] += client.scard(f"{middle}:dependencies")
    jobs = [sum(counts[queue].values()) for queue in QUEUES]
    assert jobs == [len(roots), below[2], below[4]] == [len(roots) * n for n in (1, 2, 4)]
    for queue, expected in zip(QUEUES, jobs, strict=True):
        events = [fields["event"] for _, fields in client.xrange(f"bull:{queue}:events")]
        assert events.count("added") == expected, queue
        assert "duplicated" not in events
    return roots


@pytest.mark.parametrize("own", [{}, {"job_id": "own"}], ids=["any id", "own id"])
@pytest.mark.parametrize("bulk", [False, True], ids=["one", "several"])
@pytest.mark.parametrize("fault", ["lose_reply", "deliver_late", "deliver_twice"])
def test_a_flow_is_added_once(
    proxy: Proxy, redis_client: redis.Redis, fault: str, bulk: bool, own: dict[str, str]
) -> None:
    producer = FlowProducer("faulty")
    getattr(proxy, fault)("add_flow")
    flows = [flow(0, **own), *([flow(1), flow(2)] if bulk else [])]
    trees = producer.add_bulk(flows) if bulk else [producer.add(flows[0])]
    assert len(proxy.spoiled) == 1
    for _ in range(2):
        assert set(wholes(redis_client)) == {tree.job.id for tree in trees}
        assert not any(answer.startswith(b"-") for answer in proxy.deliver())


def test_a_late_flow_changes_nothing_after_later_ones(
    proxy: Proxy, redis_client: redis.Redis
) -> None:
    producer = FlowProducer("faulty")
    proxy.deliver_late("add_flow")
    roots = {producer.add(flow(n)).job.id for n in range(5)}
    assert [b"late" in answer for answer in proxy.deliver()] == [True]
    assert set(wholes(redis_client)) == roots


@pytest.mark.parametrize(
    ("count", "kills"), [(150, 2), pytest.param(3_000, 12, marks=pytest.mark.slow)]
)
def test_no_kill_of_the_server_leaves_a_part(
    new_server: Callable[..., Server], connect: Callable[[Server], None], count: int, kills: int
) -> None:
    """Killed while flows are added: each that was told is there, none is there in part or twice."""
    server = new_server(persist=True)
    connect(server)
    told: list[str] = []
    unknown: list[int] = []
    errors: list[Exception] = []

    up = threading.Event()

    def produce() -> None:
        producer = FlowProducer("mortal")
        for n in range(count):
            try:
                told.append(producer.add(flow(n)).job.id)
            except ServerUnavailable:
                unknown.append(n)
                up.wait(30)  # else an outage on a busy machine takes all that is left
            except Exception as error:
                errors.append(error)

    thread = threading.Thread(target=produce)
    thread.start()
    for moment in sorted(random.sample(range(count // 10, count * 9 // 10), kills)):
        while len(told) < moment and thread.is_alive():
            time.sleep(0.001)  # between two looks; the producer ends
        assert thread.is_alive(), "killed too late: nothing was being added"
        up.clear()
        server.kill()
        server.start()
        up.set()
    thread.join(60)
    assert not thread.is_alive()
    assert errors == []
    assert len(told) + len(unknown) == count
    with server.client() as client:
        roots = wholes(client)
        made = Counter(client.hget(f"bull:roots:{root}", "data") for root in roots)
    assert set(told) <= set(roots)
    assert len(roots) - len(told) <= len(unknown)
    assert set(made.values()) == {1}
