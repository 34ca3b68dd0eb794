"""Flows that we make: what is stored, what is refused, what is read; the peers are compared with in
tests/interop/test_flow_twins.py, what children do to parents of others in test_flow_children.py."""

import asyncio
import json
import re
from typing import Any

import pytest
import redis

from queuecore import Deduplication, FlowJob, FlowProducer, Job, JobSpec, Queue
from queuecore.errors import (
    FailedChildren,
    InvalidOption,
    JobNotFound,
    JobNotInState,
    LockLost,
    NotSerializable,
    ParentConflict,
    ParentNotFound,
    ScriptError,
    ServerRefused,
    SynchronousCall,
)
from queuecore.flow import MOST_JOBS, JobNode
from queuecore.handle import WIRE_VERSION
from queuecore.options import POLICIES
from queuecore.wire.calls import flows
from queuecore.wire.calls.adding import NewJob
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def producer(queue: Queue) -> FlowProducer:
    return FlowProducer()


def child(name: str = "c", queue: str = "q", **options: Any) -> FlowJob:
    return FlowJob(name, {"n": name}, queue=queue, **options)


def parent(*children: FlowJob, **options: Any) -> FlowJob:
    return FlowJob("p", queue="parents", children=children, **{"job_id": "P", **options})


def jobs_of(node: JobNode) -> list[Job]:
    return [node.job, *(job for one in node.children for job in jobs_of(one))]


def stored(client: redis.Redis) -> dict[str, Any]:
    """All that is stored, but for our own keys, which no job stands in."""
    read = {
        "string": client.get,
        "hash": client.hgetall,
        "list": lambda key: client.lrange(key, 0, -1),
        "set": client.smembers,
        "zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        "stream": client.xrange,
    }
    keys = [key for key in client.keys("*") if not key.startswith("qc:")]
    return {key: read[client.type(key)](key) for key in keys}


def fails(
    do: Do, client: redis.Redis, kind: type[Exception], words: str, act: Any, *a: Any
) -> None:
    """``act`` raises ``kind`` with ``words``, and leaves nothing behind."""
    before = stored(client)
    with pytest.raises(kind, match=words):
        do(act, *a)
    assert stored(client) == before


class TestAdding:
    @pytest.mark.parity("FlowProducer.add")
    def test_a_flow_stands_in_its_queues(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        node = do(
            producer.add,
            parent(child("a", job_id="a"), child("b", "other", priority=2), child("c", delay=3600)),
        )
        assert [one.get_state() for one in jobs_of(node)] == [
            "waiting-children",
            "waiting",
            "prioritized",
            "delayed",
        ]
        assert node.job.id == "P"
        assert UUID.fullmatch(node.children[1].job.id)
        assert redis_client.smembers("bull:parents:P:dependencies") == {
            one.job.parent and f"bull:{one.job.queue.name}:{one.job.id}" for one in node.children
        }
        assert redis_client.hgetall("bull:q:a") == {
            "name": "a",
            "data": '{"n":"a"}',
            "opts": '{"attempts":0,"jobId":"a","parent":{"id":"P","queue":"bull:parents"}}',
            "timestamp": redis_client.hget("bull:parents:P", "timestamp"),
            "delay": "0",
            "priority": "0",
            "parentKey": "bull:parents:P",
            "parent": '{"id":"P","queueKey":"bull:parents"}',
        }
        for one in jobs_of(node):
            fields = dict(one._fields)
            one.refresh()
            assert one._fields == fields, "what was returned is what is stored"
        for name in ("parents", "q", "other"):
            invariants.check(redis_client, name, idle=True)

    def test_queues_are_registered(self, producer: FlowProducer, redis_client: redis.Redis) -> None:
        producer.add(parent(child("a"), child("b", "other")))
        assert redis_client.smembers("qc:bull::queues") == {"parents", "q", "other"}

    @pytest.mark.parametrize("policy", POLICIES)
    def test_a_policy_stands_in_the_parent_field(
        self, do: Do, producer: FlowProducer, policy: str
    ) -> None:
        node = do(producer.add, parent(child(**{policy: True})))
        (one,) = node.children
        assert one.job.parent == {"id": "P", "queueKey": "bull:parents", POLICIES[policy]: True}
        assert one.job.opts[POLICIES[policy]] is True

    @pytest.mark.parity("FlowProducer.addBulk")
    def test_several_at_once(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        nodes = do(producer.add_bulk, (parent(child(), job_id=f"p{i}") for i in range(3)))
        assert [one.job.id for one in nodes] == ["p0", "p1", "p2"]
        assert redis_client.zcard("bull:parents:waiting-children") == 3
        assert do(producer.add_bulk, []) == []

    @pytest.mark.parity("FlowProducer.add(queuesOptions)")
    def test_options_by_queue(self, do: Do, producer: FlowProducer) -> None:
        node = do(
            producer.add,
            parent(child(), child(attempts=7), child(queue="other")),
            queues_options={"q": {"attempts": 3}},
        )
        assert [one.opts["attempts"] for one in jobs_of(node)] == [0, 3, 7, 0]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"qs": {"attempts": 3}}, "names 'qs', .* did you mean 'q'"),
            ({"q": 3}, "queues_options is like"),
            ([("q", {})], "queues_options is like"),
            ({"q": {"attempt": 3}}, "child 0, job 'c': there is no job option 'attempt'"),
        ],
    )
    def test_wrong_options_by_queue(
        self, producer: FlowProducer, redis_client: redis.Redis, options: Any, words: str
    ) -> None:
        with pytest.raises(InvalidOption, match=words):
            producer.add(parent(child()), queues_options=options)
        assert not stored(redis_client)

    def test_a_job_alone_is_a_flow(self, do: Do, producer: FlowProducer, queue: Queue) -> None:
        node = do(producer.add, child())
        assert not node.children
        assert UUID.fullmatch(node.job.id)
        assert node.job.get_state() == "waiting"

    def test_a_flow_below_a_job(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        top = producer.add(parent(child())).job
        node = do(producer.add, parent(child(), job_id="M", parent=top))
        assert node.job.parent_key == "bull:parents:P"
        assert redis_client.scard("bull:parents:P:dependencies") == 2

    def test_the_same_nodes_can_be_added_again(self, producer: FlowProducer) -> None:
        flow = FlowJob("p", queue="parents", children=[child()])
        first, second = producer.add(flow), producer.add(flow)
        assert first.job.id != second.job.id
        assert flow.options == flow.children[0].options == {}

    def test_one_child_in_two_places_of_a_flow_is_two_jobs(self, producer: FlowProducer) -> None:
        one = child()
        node = producer.add(parent(one, one))
        assert node.children[0].job.id != node.children[1].job.id

    def test_ten_thousand_children(self, producer: FlowProducer, redis_client: redis.Redis) -> None:
        producer.add(parent(*(child() for _ in range(10_000))))
        assert redis_client.scard("bull:parents:P:dependencies") == 10_000
        assert redis_client.llen("bull:q:wait") == 10_000
        job = Queue("parents").get_job("P")
        assert job is not None
        assert job.get_dependencies_count()["unprocessed"] == 10_000
        assert len(job.get_dependencies().unprocessed) == 10_000
        assert job.remove() is True
        assert redis_client.keys("bull:q:*-*") == []

    def test_fifty_generations(
        self, do: Do, producer: FlowProducer, hands: Hands, redis_client: redis.Redis
    ) -> None:
        flow = child("last")
        for n in range(50):
            flow = FlowJob(f"g{n}", queue="q", children=[flow], fail_parent_on_failure=True)
        flow.options = {}
        node = do(producer.add, flow)
        assert len(jobs_of(node)) == 51
        read = do(producer.get_flow, node.job.id, "q", depth=60)
        assert [one.id for one in jobs_of(read)] == [one.id for one in jobs_of(node)]
        hands.complete_all(51)
        assert node.job.get_state() == "completed"
        invariants.check(redis_client, "q")

    def test_an_answer_that_was_lost_adds_nothing_twice(
        self, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        queue = Queue("parents")
        node = flows.Node(queue.keys, NewJob("x", "x", b"{}", b"{}", 1, 0, 0, False), False)
        call = flows.add_flow("qc:bull:parents:add:me:1", 5, WIRE_VERSION, 1, [node])
        queue.connection.run(call)
        before = stored(redis_client)
        queue.connection.run(call)
        assert stored(redis_client) == before
        late = flows.add_flow("qc:bull:parents:add:me:1", 4, WIRE_VERSION, 1, [node])
        with pytest.raises(ConnectionError, match="overtaken"):
            queue.connection.run(late)
        assert stored(redis_client) == before


class TestWhatIsThereAlready:
    def test_a_child_that_waits_is_taken_over(
        self, do: Do, producer: FlowProducer, hands: Hands, redis_client: redis.Redis
    ) -> None:
        own = Queue("q").add("own", {"n": 1}, job_id="own")
        do(producer.add, parent(child(job_id="own")))
        own.refresh()
        assert (own.name, own.parent_key) == ("own", "bull:parents:P")
        hands.complete_all(1)
        assert Queue("parents").get_job_state("P") == "waiting"

    def test_children_that_have_completed_count_at_once(
        self, do: Do, producer: FlowProducer, queue: Queue, hands: Hands
    ) -> None:
        queue.add_bulk(JobSpec("x", job_id=id) for id in ("a", "b"))
        hands.complete_all(2)
        node = do(producer.add, parent(child(job_id="a"), child(job_id="new"), child(job_id="b")))
        assert node.job.get_state() == "waiting-children"
        assert node.job.get_children_values() == {"bull:q:a": "a", "bull:q:b": "b"}
        hands.complete_all(1)
        assert node.job.get_state() == "waiting"
        other = do(producer.add, parent(child("c", job_id="late"), job_id="Q"))
        assert other.job.get_state() == "waiting-children"

    def test_a_parent_whose_children_have_all_completed_waits_for_nothing(
        self, do: Do, producer: FlowProducer, queue: Queue, hands: Hands, redis_client: redis.Redis
    ) -> None:
        queue.add("x", job_id="a")
        hands.complete_all(1)
        node = do(producer.add, parent(child(job_id="a"), priority=4))
        assert node.job.get_state() == "prioritized"
        invariants.check(redis_client, "parents", idle=True)

    def test_a_child_of_another(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        producer.add(parent(child(job_id="a")))
        second = parent(child(job_id="b"), child(job_id="a"), job_id="Q")
        fails(
            do,
            redis_client,
            ParentConflict,
            "job a exists as the child of another job .*bull:parents:Q",
            producer.add,
            second,
        )
        Queue("parents").remove("P", remove_children=False)
        do(producer.add, second)
        assert redis_client.hget("bull:q:a", "parentKey") == "bull:parents:Q"

    def test_a_job_that_waits_for_its_own_child(
        self, do: Do, producer: FlowProducer, queue: Queue, redis_client: redis.Redis
    ) -> None:
        producer.add(parent(FlowJob("m", queue="q", job_id="m", children=[child(job_id="low")])))
        top = FlowJob("m", queue="parents", job_id="P", parent=queue.get_job("low"))
        fails(do, redis_client, ParentConflict, "both would wait for ever", producer.add, top)
        itself = FlowJob("x", queue="q", job_id="x", parent=queue.add("x", job_id="x"))
        fails(do, redis_client, ParentConflict, "both would wait for ever", producer.add, itself)

    def test_a_parent_that_waits_gets_more_children(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        do(producer.add, parent(child()))
        do(producer.add, parent(child()))
        assert redis_client.scard("bull:parents:P:dependencies") == 2
        invariants.check(redis_client, "q")


class TestRefusals:
    @pytest.mark.parametrize(
        ("flow", "words"),
        [
            (parent(child(), child("x", "a:b")), "the flow, child 1, job 'x': the queue name"),
            (parent(child("x", "")), "the flow, child 0, job 'x': the name of a queue"),
            (parent(child(queue=["q"])), "the name of a queue"),
            (parent(child(""), child()), "child 0, job '': the name of a job"),
            (parent(child(job_id="7")), "looks like one of the queue's own numbers"),
            (parent(child(job_id="wait")), "one of the queue's own keys"),
            (parent(child(group="g")), "group must be a Group"),
            (parent(child(), group="g"), "a parent has no group"),
            (parent(child(priority=-1)), "priority must be"),
            (
                parent(child(fail_parent_on_failure=True, remove_dependency_on_failure=True)),
                "fail_parent_on_failure and remove_dependency_on_failure exclude each other",
            ),
            (parent(child(fail_parent_on_failure=1)), "must be True or False"),
            (parent(child(deduplication=Deduplication("d"))), "a child has no deduplication"),
            (parent(child(), deduplication=Deduplication("d")), "a parent or a child has no"),
            (parent(child(job_id="a"), child(job_id="a")), "child 1 and the flow, child 0 have"),
            (parent(FlowJob("m", queue="parents", job_id="P")), "child 0 and the flow have"),
            (parent(child(parent={"id": "x", "queue": "bull:q"})), "leave parent out"),
            (parent("no job"), "child 0 is of type str; give FlowJob"),
            (parent(child(connection="nope")), "has no 'nope'"),
            ("no flow", "the flow is of type str"),
            (JobSpec("x"), "the flow is of type JobSpec"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_what_is_wrong_is_said_by_its_place(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis, flow: Any, words: str
    ) -> None:
        fails(do, redis_client, Exception, words, producer.add, flow)

    def test_what_cannot_be_json(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        flow = parent(child(), FlowJob("x", object(), queue="q"))
        fails(do, redis_client, NotSerializable, "child 1, job 'x'", producer.add, flow)

    def test_a_job_below_itself(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        low = child("low")
        flow = parent(FlowJob("m", queue="q", children=[low]))
        low.children.append(flow)
        fails(do, redis_client, InvalidOption, "stands below itself", producer.add, flow)
        low.children[:] = [low]
        fails(do, redis_client, InvalidOption, "stands below itself", producer.add, low)

    @pytest.mark.parametrize("children", [child(), "ab", 7])
    def test_what_are_no_children(self, children: Any) -> None:
        with pytest.raises(InvalidOption, match="give a list of FlowJob"):
            FlowJob("p", queue="q", children=children)

    def test_a_full_server_takes_none_of_it(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        producer.add(child())  # the queue's own keys, and its registration
        limit = redis_client.config_get("maxmemory")["maxmemory"]
        redis_client.config_set("maxmemory", 1)
        try:
            fails(
                do, redis_client, ServerRefused, "is full",
                producer.add, FlowJob("p", queue="q", children=[child(), child()]),
            )  # fmt: skip
        finally:
            redis_client.config_set("maxmemory", limit)

    @pytest.mark.parametrize("name", ["add", "add_bulk", "get_flow"])
    def test_a_blocking_method_in_a_loop(self, producer: FlowProducer, name: str) -> None:
        arguments: dict[str, list[Any]] = {
            "add": [child()],
            "add_bulk": [[child()]],
            "get_flow": ["P", "q"],
        }

        async def call() -> None:
            getattr(producer, name)(*arguments[name])

        with pytest.raises(SynchronousCall, match=rf"^{name}\(\) would block .* await a{name}"):
            asyncio.run(call())

    def test_too_many(self, do: Do, producer: FlowProducer, redis_client: redis.Redis) -> None:
        flow = parent(*[child()] * MOST_JOBS)
        fails(do, redis_client, InvalidOption, "more than 20000 jobs", producer.add, flow)

    def test_one_of_several(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        flows = [parent(child()), parent(child("x", "a:b"), job_id="Q")]
        fails(do, redis_client, InvalidOption, "flow 1, child 0", producer.add_bulk, flows)
        fails(do, redis_client, InvalidOption, "give a list", producer.add_bulk, flows[0])

    def test_a_parent_that_does_not_exist(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        flow = parent(child(), parent={"id": "gone", "queue": "bull:parents"})
        fails(
            do, redis_client, ParentNotFound, "job P .* bull:parents:gone, .* does not exist",
            producer.add, flow,
        )  # fmt: skip

    @pytest.mark.parametrize("key", ["wait", "delayed", "waiting-children", "events", "id"])
    def test_a_key_of_a_wrong_type(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis, key: str
    ) -> None:
        redis_client.hset(f"bull:q:{key}", "not", "a list")
        fails(do, redis_client, ScriptError, "WRONGTYPE", producer.add, parent(child()))

    def test_a_server_of_another_connection(
        self, do: Do, producer: FlowProducer, settings: Any, redis_client: redis.Redis
    ) -> None:
        url = settings.QUEUECORE["CONNECTIONS"]["default"]["URL"]
        settings.QUEUECORE = {
            "CONNECTIONS": {
                "default": {"URL": url},
                "near": {"URL": url, "PREFIX": "bull:near"},
                "far": {"URL": "redis://localhost:1/0"},
            }
        }
        producer = FlowProducer()
        fails(
            do, redis_client, InvalidOption, "another server",
            producer.add, parent(child(connection="far")),
        )  # fmt: skip
        near = producer.add(parent(child(job_id="a", connection="near"))).children[0].job
        assert redis_client.smembers("bull:parents:P:dependencies") == {"bull:near:q:a"}
        with pytest.raises(InvalidOption, match="both must be on one server"):
            Queue("q", "far").add("x", parent=near)
        read = producer.get_flow("P", "parents")
        assert read is not None
        assert [repr(one.queue) for one in jobs_of(read)] == [
            "<Queue 'parents' on 'default'>",
            "<Queue 'q' on 'near'>",
        ]
        Hands(Queue("q", "near")).complete_all(1)
        assert read.job.get_state() == "waiting"


class TestTheParentOption:
    @pytest.mark.parity("JobOptions.parent(id, queue)")
    def test_a_job_becomes_a_child(
        self, do: Do, producer: FlowProducer, queue: Queue, redis_client: redis.Redis
    ) -> None:
        top = Queue("parents").add("p")
        jobs = [
            do(queue.add, "x", parent=top, ignore_dependency_on_failure=True),
            do(queue.add, "x", parent={"id": top.id, "queue": "bull:parents"}, delay=3600),
            *do(queue.add_bulk, [JobSpec("x", parent=top), JobSpec("alone")]),
        ]
        assert [one.parent_key for one in jobs] == ["bull:parents:1"] * 3 + [None]
        assert redis_client.smembers("bull:parents:1:dependencies") == {
            "bull:q:1",
            "bull:q:2",
            "bull:q:3",
        }
        for one in jobs:
            fields = dict(one._fields)
            one.refresh()
            assert one._fields == fields
        invariants.check(redis_client, "q")

    def test_a_missing_parent_refuses_the_whole_batch(
        self, do: Do, queue: Queue, redis_client: redis.Redis
    ) -> None:
        gone = {"id": "gone", "queue": "bull:parents"}
        jobs = [JobSpec("x"), JobSpec("x", job_id="child", parent=gone)]
        fails(do, redis_client, ParentNotFound, "job child", queue.add_bulk, jobs)
        with pytest.raises(ParentNotFound, match="a job was to be a child of"):
            do(queue.add, "x", parent=gone)

    @pytest.mark.parametrize("id", ["wait", "meta", "id"])
    def test_a_key_of_the_queue_is_no_parent(self, do: Do, queue: Queue, id: str) -> None:
        queue.add("x")
        with pytest.raises(ParentNotFound):
            do(queue.add, "x", parent={"id": id, "queue": "bull:q"})

    def test_others_of_the_same_moment_are_added(self, queue: Queue) -> None:
        async def add() -> list[Any]:
            gone = {"id": "gone", "queue": "bull:parents"}
            found = await asyncio.gather(
                *(queue.aadd("x", **({"parent": gone} if n == 3 else {})) for n in range(6)),
                return_exceptions=True,
            )
            await queue.connection.aclose()
            return found

        found = asyncio.run(add())
        assert isinstance(found.pop(3), ParentNotFound)
        assert all(isinstance(one, Job) for one in found)
        assert queue.count() == 5

    def test_two_parents_for_one_id_in_a_batch(
        self, do: Do, queue: Queue, redis_client: redis.Redis
    ) -> None:
        one, other = Queue("parents").add_bulk([JobSpec("p"), JobSpec("p")])
        jobs = [JobSpec("x", job_id="a", parent=top) for top in (one, other)]
        fails(do, redis_client, ParentConflict, "job a", queue.add_bulk, jobs)
        do(queue.add_bulk, jobs[:1] * 2)
        assert redis_client.smembers("bull:parents:1:dependencies") == {"bull:q:a"}

    @pytest.mark.parametrize(
        ("parent", "words"),
        [
            ("P", "parent must be a job or"),
            ({"id": "P"}, "has the keys id and queue"),
            ({"id": "P", "queue": "bull:parents", "more": 1}, "has the keys id and queue"),
            ({"id": "", "queue": "bull:parents"}, "parent must be a job or"),
            ({"id": "P", "queue": "parents"}, "such as 'bull:parents'"),
            ({"id": "P", "queue": ":parents"}, "such as 'bull:parents'"),
            ({"id": "P", "queue": "bull:"}, "with its prefix"),
            ({"id": 7, "queue": "bull:parents"}, "parent must be a job or"),
        ],
    )
    def test_what_is_no_parent(self, queue: Queue, parent: Any, words: str) -> None:
        with pytest.raises(InvalidOption, match=words):
            queue.add("x", parent=parent)

    def test_a_lone_job_that_another_stands_for(
        self, do: Do, producer: FlowProducer, queue: Queue, redis_client: redis.Redis
    ) -> None:
        rule = Deduplication("d")
        first = do(producer.add, child(deduplication=rule))
        assert first.job.deduplication_id == "d"
        again, other = do(producer.add_bulk, [child(deduplication=rule), parent(child())])
        assert again.job.id == first.job.id
        assert other.job.get_state() == "waiting-children"
        assert queue.get_waiting_count() == 2
        invariants.check(redis_client, "q")

    def test_a_repeat_of_the_call_gives_the_same_ids(
        self, queue: Queue, redis_client: redis.Redis
    ) -> None:
        rule = {"id": "d"}
        jobs = [NewJob(id, "n", b"{}", b"{}", 1, 0, 0, False, rule) for id in "abc"]
        nodes = [flows.Node(queue.keys, job, False) for job in jobs]
        for _ in range(2):
            call = flows.add_flow("qc:receipt", 1, WIRE_VERSION, 1, nodes)
            assert queue._run(call) == {1: "a", 2: "a"}
        assert queue.get_waiting_count() == 1

    def test_deduplication_and_a_parent(self, queue: Queue) -> None:
        top = queue.add("p")
        with pytest.raises(InvalidOption, match="cannot be used together with a parent"):
            queue.add("x", parent=top, deduplication=Deduplication("d"))

    def test_a_completed_job_releases_the_parent_it_gets(
        self, do: Do, producer: FlowProducer, queue: Queue, hands: Hands, redis_client: redis.Redis
    ) -> None:
        queue.add("x", job_id="a")
        hands.complete_all(1)
        node = producer.add(parent(child(queue="other", job_id="b")))
        node.children[0].job.remove_child_dependency()
        redis_client.lrem("bull:parents:wait", 0, "P")
        redis_client.zadd("bull:parents:waiting-children", {"P": 1})
        do(queue.add, "x", job_id="a", parent=node.job)
        assert node.job.get_state() == "waiting"
        assert node.job.get_children_values() == {"bull:q:a": "a"}


class TestWaiting:
    def begin(self, queue: Queue, hands: Hands, *children: str) -> Job:
        top = queue.add("top", job_id="top")
        (job,) = hands.claim()
        Queue("other").add_bulk(JobSpec("c", job_id=one, parent=top) for one in children)
        return job

    def test_a_running_job_waits_for_its_children(
        self, do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
    ) -> None:
        job = self.begin(queue, hands, "a", "b")
        assert do(job.move_to_waiting_children) is True
        assert job.get_state() == "waiting-children"
        assert not redis_client.exists("bull:q:top:lock")
        assert invariants.check(redis_client, "q")["active"] == 0
        Hands(Queue("other")).complete_all(2)
        (again,) = hands.claim()
        assert again.attempts_made == 0
        assert do(again.move_to_waiting_children) is False
        assert again.token, "it still runs"
        assert again.get_children_values() == {"bull:other:a": "a", "bull:other:b": "b"}
        hands.complete(again, 1)

    @pytest.mark.parity("Job.moveToWaitingChildren(child)")
    def test_for_one_of_them(self, do: Do, queue: Queue, hands: Hands) -> None:
        job = self.begin(queue, hands, "a", "b")
        Hands(Queue("other")).complete_all(1)
        assert do(job.move_to_waiting_children, child="bull:other:a") is False
        assert do(job.move_to_waiting_children, child=Queue("other").get_job("b")) is True

    def test_a_failed_child_is_in_the_way(
        self, do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
    ) -> None:
        job = self.begin(queue, hands)
        Queue("other").add("c", job_id="bad", parent=job, fail_parent_on_failure=True)
        Hands(Queue("other")).fail_all(1)
        with pytest.raises(FailedChildren):
            do(job.move_to_waiting_children)
        assert job.token
        assert redis_client.hget("bull:q:top", "defa") == "child bull:other:bad failed"

    def test_without_its_lock(self, do: Do, queue: Queue, hands: Hands) -> None:
        job = self.begin(queue, hands, "a")
        with pytest.raises(LockLost):
            do(job.move_to_waiting_children, "another")
        assert do(job.move_to_waiting_children) is True
        with pytest.raises(LockLost):
            do(job.move_to_waiting_children, "another")
        with pytest.raises(JobNotInState):
            do(job.move_to_waiting_children, "0")
        queue.remove("top")
        with pytest.raises(JobNotFound):
            do(job.move_to_waiting_children)

    def test_the_slot_of_the_global_concurrency_is_free(
        self, do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
    ) -> None:
        queue.set_global_concurrency(1)
        job = self.begin(queue, hands, "a")
        queue.add("next")
        redis_client.delete("bull:q:marker")
        do(job.move_to_waiting_children)
        assert redis_client.zrange("bull:q:marker", 0, -1) == ["0"]


class TestReading:
    @pytest.fixture
    def node(self, producer: FlowProducer, hands: Hands) -> JobNode:
        """A parent with children of every kind; ``i`` and ``f`` have failed, ``d`` completed."""
        node = producer.add(
            parent(
                child("d", job_id="d"),
                child("i", job_id="i", ignore_dependency_on_failure=True),
                child("f", job_id="f", fail_parent_on_failure=True),
                child("w", job_id="w"),
                child("x:y:z", job_id="x:y:z"),
            )
        )
        hands.complete_all(1)
        hands.fail_all(2)
        return node

    def test_dependencies(self, do: Do, node: JobNode) -> None:
        found = do(node.job.get_dependencies)
        assert found.processed == {"bull:q:d": "d"}
        assert sorted(found.unprocessed) == ["bull:q:w", "bull:q:x:y:z"]
        assert found.ignored == {"bull:q:i": "boom"}
        assert found.failed == ["bull:q:f"]
        assert found.cursors == {}
        counts = {"processed": 1, "unprocessed": 2, "ignored": 1, "failed": 1}
        assert do(node.job.get_dependencies_count) == counts
        assert do(node.job.get_dependencies_count, "failed", "processed") == {
            "failed": 1,
            "processed": 1,
        }
        assert do(node.job.get_children_values) == {"bull:q:d": "d"}
        assert do(node.job.get_ignored_children_failures) == {"bull:q:i": "boom"}

    def test_of_a_job_without_children(self, do: Do, queue: Queue) -> None:
        job = queue.add("x")
        assert do(job.get_dependencies) == flows.Dependencies()
        assert set(do(job.get_dependencies_count).values()) == {0}
        assert do(job.get_children_values) == do(job.get_ignored_children_failures) == {}

    @pytest.mark.parity(
        "Job.getDependencies(processed, unprocessed, ignored, failed, cursor, count)"
    )
    def test_dependencies_by_pages(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        job = producer.add(parent(*(child() for _ in range(1000)))).job
        for n in range(300):
            redis_client.zadd("bull:parents:P:unsuccessful", {f"bull:q:{n}": n})
        seen: list[str] = []
        page = do(job.get_dependencies, unprocessed={"count": 100}, failed=True)
        assert page.failed == [f"bull:q:{n}" for n in range(20)]
        assert page.cursors["failed"] == 20
        while True:
            seen += page.unprocessed
            cursor = page.cursors["unprocessed"]
            if not cursor:
                break
            page = do(job.get_dependencies, unprocessed={"cursor": cursor, "count": 100})
            assert (page.processed, page.failed, [*page.cursors]) == ({}, [], ["unprocessed"])
        assert len(set(seen)) == 1000
        last = do(job.get_dependencies, failed={"cursor": 290, "count": 20})
        assert (last.failed[-1], last.cursors) == ("bull:q:299", {"failed": 0})

    @pytest.mark.parametrize("page", [{"count": 0}, {"cursor": -1}, {"from": 3}, 7, "all"])
    def test_what_is_no_page(self, queue: Queue, page: Any) -> None:
        with pytest.raises(InvalidOption):
            queue.add("x").get_dependencies(processed=page)

    def test_what_is_no_kind(self, queue: Queue) -> None:
        with pytest.raises(InvalidOption, match="did you mean 'processed'"):
            queue.add("x").get_dependencies_count("procesed")
        with pytest.raises(InvalidOption, match="processed or pending"):
            queue.get_dependencies("1", "failed")

    def test_dependencies_with_their_jobs(
        self, do: Do, node: JobNode, redis_client: redis.Redis
    ) -> None:
        parents = Queue("parents")
        page = do(parents.get_dependencies, "P", "pending")
        assert page.keys == ["bull:q:w", "bull:q:x:y:z"]
        assert [(one.id, one.queue.name) for one in page.jobs] == [("w", "q"), ("x:y:z", "q")]
        assert (page.values, page.total) == ({}, 2)
        assert do(parents.get_dependencies, "P", "pending", 1, 1).keys == ["bull:q:x:y:z"]
        redis_client.delete("bull:q:d")
        page = do(parents.get_dependencies, "P")
        assert (page.values, page.jobs, page.total) == ({"bull:q:d": "d"}, [], 1)
        assert do(parents.get_dependencies, "none").total == 0

    @pytest.mark.parity(
        "FlowProducer.getFlow",
        "FlowProducer.getFlow(id, queueName, depth, maxChildren)",
        "FlowJob(name, queueName, data, opts, children)",
    )
    def test_a_flow(self, do: Do, producer: FlowProducer, node: JobNode) -> None:
        read = do(producer.get_flow, "P", "parents")
        assert [one.id for one in jobs_of(read)] == ["P", "d", "w", "x:y:z", "f", "i"]
        assert read.children[0].job.returnvalue == "d"
        assert do(producer.get_flow, "none", "parents") is None
        assert len(jobs_of(do(producer.get_flow, "P", "parents", depth=1))) == 1
        assert len(do(producer.get_flow, "P", "parents", max_children=1).children) == 4

    def test_a_flow_of_a_prefix_that_no_connection_has(
        self, do: Do, producer: FlowProducer, node: JobNode, redis_client: redis.Redis
    ) -> None:
        redis_client.rename("bull:q:w", "a:b:other:w")
        redis_client.srem("bull:parents:P:dependencies", "bull:q:w")
        redis_client.sadd("bull:parents:P:dependencies", "a:b:other:w")
        redis_client.lpush("a:b:other:wait", "w")
        read = do(producer.get_flow, "P", "parents")
        job = read.children[1].job
        assert (job.name, job.queue.name, job.queue.keys.prefix) == ("w", "other", "a:b")
        assert job.get_state() == "waiting"

    def test_children_that_are_gone_are_left_out(
        self, do: Do, producer: FlowProducer, node: JobNode, redis_client: redis.Redis
    ) -> None:
        redis_client.delete("bull:q:w", "bull:q:f")
        read = do(producer.get_flow, "P", "parents")
        assert [one.id for one in jobs_of(read)] == ["P", "d", "x:y:z", "i"]

    def test_a_spoilt_result_is_an_error_that_names_json(
        self, do: Do, node: JobNode, redis_client: redis.Redis
    ) -> None:
        redis_client.hset("bull:parents:P:processed", "bull:q:d", "{")
        with pytest.raises(ValueError, match=r"Expecting|unexpected end"):
            do(node.job.get_children_values)


class TestUnlinking:
    def test_a_child_goes_on_by_itself(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        node = producer.add(parent(child(job_id="a"), child(job_id="b")))
        one, other = (one.job for one in node.children)
        assert do(one.remove_child_dependency) is True
        assert (one.parent_key, one.parent) == (None, None)
        assert node.job.get_state() == "waiting-children"
        assert do(one.remove_child_dependency) is False
        assert do(other.remove_child_dependency) is True
        assert node.job.get_state() == "waiting"
        for name in ("q", "parents"):
            invariants.check(redis_client, name, idle=True)

    def test_one_that_is_done_stays_the_parents(
        self, do: Do, producer: FlowProducer, hands: Hands
    ) -> None:
        job = producer.add(parent(child())).children[0].job
        hands.complete_all(1)
        assert do(job.remove_child_dependency) is False
        assert job.parent_key == "bull:parents:P"

    def test_of_what_is_gone(self, do: Do, producer: FlowProducer) -> None:
        node = producer.add(parent(child()))
        job = node.children[0].job
        node.job.remove(remove_children=False)
        with pytest.raises(ParentNotFound, match="nothing waits for the job"):
            do(job.remove_child_dependency)
        job.remove()
        with pytest.raises(JobNotFound):
            do(job.remove_child_dependency)

    def test_unprocessed_children_are_deleted(
        self, do: Do, producer: FlowProducer, hands: Hands, redis_client: redis.Redis
    ) -> None:
        low = FlowJob("m", queue="other", children=[child("low")])
        node = producer.add(
            parent(*(child(one, job_id=one) for one in ("done", "bad", "runs", "waits")), low)
        )
        hands.complete_all(1)
        hands.fail_all(1)
        (running,) = hands.claim()
        assert do(node.job.remove_unprocessed_children) == 2
        assert set(node.job.get_dependencies().unprocessed) == {"bull:q:bad", "bull:q:runs"}
        assert sorted(redis_client.keys("bull:q:*-*")) == []
        assert Queue("other").get_job_counts("waiting", "waiting-children") == {
            "waiting": 0,
            "waiting-children": 0,
        }
        hands.complete(running, 1)
        for name in ("q", "parents", "other"):
            invariants.check(redis_client, name)
        node.job.remove()
        with pytest.raises(JobNotFound):
            do(node.job.remove_unprocessed_children)

    def test_ids_with_colons_are_deleted_with_their_parent(
        self, do: Do, producer: FlowProducer, redis_client: redis.Redis
    ) -> None:
        node = producer.add(parent(child(job_id="a:b:c")))
        assert do(node.job.remove) is True
        assert redis_client.keys("bull:q:a*") == redis_client.lrange("bull:q:wait", 0, -1) == []


class TestFailures:
    def test_a_failure_goes_up(
        self, producer: FlowProducer, hands: Hands, redis_client: redis.Redis
    ) -> None:
        flow = child("low")
        for n in range(3):
            flow.options["fail_parent_on_failure"] = True
            flow = FlowJob(f"g{n}", queue="q", children=[flow], job_id=f"g{n}")
        node = producer.add(flow)
        hands.fail_all(1)
        for n in range(3):
            (job,) = hands.claim()
            assert job.id == f"g{n}"
            assert job.deferred_failure is not None
            hands.fail(job, job.deferred_failure)
        node.job.refresh()
        assert node.job.failed_reason == "child bull:q:g1 failed"
        assert json.loads(redis_client.hget("bull:q:g2", "opts"))["jobId"] == "g2"
        invariants.check(redis_client, "q")
