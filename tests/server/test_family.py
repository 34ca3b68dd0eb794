"""A flow as one of its jobs sees it: bounded, paged, and true about what is not read."""

import json

import pytest

from queuecore import FlowJob, FlowProducer, Queue
from queuecore.family import afamily_of, family_of, queues_below
from tests.server.test_inspect import put_job


@pytest.fixture
def shop(server, redis_client):
    """orders: order-1 -> payments: pay-1, and parcels: box-1 -> labels: label-1, label-2."""
    return FlowProducer().add(
        FlowJob(
            "order",
            queue="orders",
            job_id="order-1",
            children=[
                FlowJob("pay", queue="payments", job_id="pay-1"),
                FlowJob(
                    "box",
                    queue="parcels",
                    job_id="box-1",
                    children=[
                        FlowJob("label", queue="labels", job_id="label-1"),
                        FlowJob("label", queue="labels", job_id="label-2"),
                    ],
                ),
            ],
        )
    )


def shape(member):
    """The ids of a member and of what stands below it."""
    return {member.id: [shape(one) for one in sorted(member.children, key=lambda one: one.id)]}


WHOLE = {"order-1": [{"box-1": [{"label-1": []}, {"label-2": []}]}, {"pay-1": []}]}


@pytest.mark.parametrize(
    ("queue", "job"), [("orders", "order-1"), ("parcels", "box-1"), ("labels", "label-2")]
)
def test_each_job_sees_the_whole_flow(shop, queue, job):
    family = family_of("default", queue, job)
    assert shape(family.root) == WHOLE
    assert (family.job.queue, family.job.id) == (queue, job)
    assert family.size == 5
    assert not family.cut
    assert all(one.row.name for one in family.root.walk())
    assert {one.row.state for one in family.root.walk()} == {"waiting-children", "waiting"}


async def test_the_async_twin_sees_the_same(shop):
    family = await afamily_of("default", "parcels", "box-1")
    assert shape(family.root) == WHOLE


def test_a_job_without_a_flow_stands_alone(server, redis_client):
    Queue("orders").add("x", job_id="alone")
    family = family_of("default", "orders", "alone")
    assert shape(family.root) == {"alone": []}
    assert family.root is family.job
    assert family.job.total == 0


def test_no_job_no_family(server, redis_client):
    assert family_of("default", "orders", "nothing") is None
    assert family_of("default", "orders", "wait") is None


def test_of_ten_thousand_children_a_page_is_read_and_the_rest_counted(server, redis_client):
    put_job(redis_client, "parent", "waiting-children", queue="big")
    for first in range(0, 10_000, 1_000):
        keys = [f"bull:big:c{n}" for n in range(first, first + 1_000)]
        redis_client.sadd("bull:big:parent:dependencies", *keys)
    seen, place, pages = set(), "", 0
    while True:
        job = family_of("default", "big", "parent", place=place).job
        assert job.total == 10_000
        assert 1 <= len(job.children) <= 199
        assert job.more == 10_000 - len(job.children)
        seen |= {one.id for one in job.children}
        pages, place = pages + 1, job.after
        if not place:
            break
    assert len(seen) == 10_000
    assert pages == pytest.approx(100, abs=10)


def test_children_of_each_kind_are_told_apart_those_that_failed_first(server, redis_client):
    put_job(redis_client, "parent", "waiting-children", queue="big")
    base = "bull:big:parent:"
    redis_client.hset(base + "processed", mapping={"bull:big:done": '"' + "x" * 9_000 + '"'})
    redis_client.sadd(base + "dependencies", "bull:big:open", "bull:far:open")
    redis_client.zadd(base + "unsuccessful", {"bull:big:broke": 1})
    redis_client.hset(base + "failed", "bull:big:let-go", "why")
    job = family_of("default", "big", "parent").job
    assert job.counts == {"failed": 1, "ignored": 1, "unprocessed": 2, "processed": 1}
    kinds = [one.kind for one in job.children]
    assert kinds == ["failed", "ignored", "unprocessed", "unprocessed", "processed"]
    # None of them has a hash: they are gone, and still told by their keys.
    assert {(one.queue, one.id, one.row) for one in job.children} >= {
        ("big", "done", None),
        ("far", "open", None),
    }


def test_the_job_itself_is_seen_among_thousands_of_siblings(server, redis_client):
    put_job(redis_client, "parent", "waiting-children", queue="big")
    keys = [f"bull:big:c{n}" for n in range(3_000)]
    redis_client.sadd("bull:big:parent:dependencies", *keys)
    put_job(redis_client, "c2999", "wait", queue="big", parentKey="bull:big:parent")
    family = family_of("default", "big", "c2999")
    assert family.root.id == "parent"
    assert family.job in family.root.children
    assert 40 <= len(family.root.children) <= 60


def test_at_most_so_many_jobs_are_read_of_a_wide_and_deep_flow(server, redis_client):
    put_job(redis_client, "root", "waiting-children", queue="wide")
    for a in range(60):
        put_job(redis_client, f"a{a}", None, queue="wide", parentKey="bull:wide:root")
        redis_client.sadd("bull:wide:root:dependencies", f"bull:wide:a{a}")
        redis_client.sadd(
            f"bull:wide:a{a}:dependencies", *(f"bull:wide:a{a}b{b}" for b in range(30))
        )
    family = family_of("default", "wide", "root")
    assert family.size == 200
    assert sum(one.total for one in family.root.walk()) == 60 + 60 * 30
    assert sum(one.more for one in family.root.walk()) == 60 + 60 * 30 - 199


def test_a_ring_of_parents_ends(server, redis_client):
    put_job(redis_client, "a", "wait", queue="ring", parentKey="bull:ring:b")
    put_job(redis_client, "b", "wait", queue="ring", parentKey="bull:ring:a")
    redis_client.sadd("bull:ring:a:dependencies", "bull:ring:b")
    redis_client.sadd("bull:ring:b:dependencies", "bull:ring:a")
    family = family_of("default", "ring", "a")
    assert family.size == 2


def test_a_long_line_of_parents_is_cut_and_says_so(server, redis_client):
    for n in range(40):
        put_job(redis_client, f"j{n}", "wait", queue="line", parentKey=f"bull:line:j{n + 1}")
        redis_client.sadd(f"bull:line:j{n + 1}:dependencies", f"bull:line:j{n}")
    family = family_of("default", "line", "j0")
    assert family.cut
    assert family.root.id == "j20"


def test_keys_that_lie_are_no_jobs(server, redis_client):
    put_job(redis_client, "p", "wait", queue="q", parentKey="elsewhere:q:1")
    redis_client.sadd("bull:q:p:dependencies", "bull:q:wait", "nonsense", "bull:q:", "x:q:7")
    redis_client.set("bull:q:p:processed", "no hash")
    family = family_of("default", "q", "p")
    assert family.root.key == "elsewhere:q:1"
    assert family.root.row is None
    assert all(one.row is None and not one.queue for one in family.job.children)
    assert len(family.job.children) == 4


def test_the_queues_of_all_generations_below(shop):
    assert queues_below("default", "orders", "order-1") == {
        ("default", "payments"),
        ("default", "parcels"),
        ("default", "labels"),
    }
    assert queues_below("default", "labels", "label-1") == set()


def test_too_many_children_to_check_are_not_checked(server, redis_client):
    put_job(redis_client, "p", "waiting-children", queue="q")
    for first in range(0, 6_000, 1_000):
        redis_client.sadd(
            "bull:q:p:dependencies", *(f"bull:q:{n}" for n in range(first, first + 1_000))
        )
    assert queues_below("default", "q", "p") is None


def test_the_policy_of_a_child_shows_in_its_kind(shop, redis_client):
    redis_client.srem("bull:parcels:box-1:dependencies", "bull:labels:label-1")
    redis_client.hset("bull:parcels:box-1:processed", "bull:labels:label-1", json.dumps({"n": 1}))
    family = family_of("default", "parcels", "box-1")
    assert {one.id: one.kind for one in family.job.children} == {
        "label-1": "processed",
        "label-2": "unprocessed",
    }
