"""What a finished, retried or removed child does to its parent, which peers may have made."""

import pytest
import redis

from queuecore import JobSpec, Queue
from queuecore.errors import JobIsLocked
from tests import invariants
from tests.server.conftest import Do
from tests.server.flows import put_flow, state_of_parent
from tests.server.hands import Hands

P = "bull:parents:P"


def prev_of(client: redis.Redis, queue: str) -> list[tuple[str, str]]:
    return [
        (fields["event"], fields.get("prev", ""))
        for _, fields in client.xrange(f"bull:{queue}:events")
    ]


def test_the_last_child_lets_its_parent_run(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a": {}, "b": {}})
    one, other = hands.claim(2)
    hands.complete(one, {"n": 1})
    assert state_of_parent(redis_client) == "waiting-children"
    hands.complete(other, None)
    assert state_of_parent(redis_client) == "wait"
    assert redis_client.hgetall(f"{P}:processed") == {"bull:q:a": '{"n": 1}', "bull:q:b": "null"}
    assert not redis_client.exists(f"{P}:dependencies")
    assert redis_client.zrange("bull:parents:marker", 0, -1) == ["0"]
    assert prev_of(redis_client, "parents") == [("waiting", "waiting-children")]


@pytest.mark.parametrize(
    ("options", "state", "event"),
    [
        ({"priority": 3}, "prioritized", "waiting"),
        ({"delay": 5000}, "delayed", "delayed"),
        ({"delay": 5000, "priority": 3}, "delayed", "delayed"),
    ],
)
def test_a_released_parent_heeds_its_own_delay_and_priority(
    queue: Queue, hands: Hands, redis_client: redis.Redis, options: dict, state: str, event: str
) -> None:
    put_flow(redis_client, {"a": {}}, **options)
    hands.complete_all(1)
    assert state_of_parent(redis_client) == state
    assert prev_of(redis_client, "parents")[-1][0] == event


def test_a_parent_of_a_paused_queue_wakes_nobody(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a": {}})
    Queue("parents").pause()
    hands.complete_all(1)
    assert state_of_parent(redis_client) == "wait"
    assert not redis_client.exists("bull:parents:marker")


@pytest.mark.parametrize(
    ("flags", "state", "noted"),
    [
        ({}, "waiting-children", {}),
        ({"fpof": True}, "wait", {"unsuccessful"}),
        ({"cpof": True}, "wait", {"failed"}),
        ({"idof": True}, "waiting-children", {"failed"}),
        ({"rdof": True}, "waiting-children", {}),
    ],
    ids=str,
)
def test_a_failed_child_by_its_policy(
    queue: Queue, hands: Hands, redis_client: redis.Redis, flags: dict, state: str, noted: set
) -> None:
    put_flow(redis_client, {"a": flags, "b": flags})
    one, other = hands.claim(2)
    hands.fail(one, "boom")
    assert state_of_parent(redis_client) == state
    assert {
        name
        for name in ("processed", "failed", "unsuccessful")
        if redis_client.exists(f"{P}:{name}")
    } == set(noted)
    left = {"bull:q:b"} if flags else {"bull:q:a", "bull:q:b"}
    assert redis_client.smembers(f"{P}:dependencies") == left
    if flags.get("fpof"):
        assert redis_client.hget(P, "defa") == "child bull:q:a failed"
        assert redis_client.zrange(f"{P}:unsuccessful", 0, -1) == ["bull:q:a"]
    elif "failed" in noted:
        assert redis_client.hgetall(f"{P}:failed") == {"bull:q:a": "boom"}
    hands.complete(other)
    assert state_of_parent(redis_client) == ("wait" if flags else "waiting-children")


def test_a_running_parent_is_told_by_its_hash(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a": {"fpof": True}})
    redis_client.zrem("bull:parents:waiting-children", "P")
    redis_client.lpush("bull:parents:active", "P")
    hands.fail_all(1)
    assert state_of_parent(redis_client) == "active"
    assert redis_client.hget(P, "defa") == "child bull:q:a failed"


def test_a_parent_that_fails_in_the_call_of_its_child(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    """As in two calls: what has failed already is not told to fail once more when it is retried."""
    queue.add("parent", job_id="P")
    (parent,) = hands.claim()
    queue.add("child", job_id="a", parent=parent, fail_parent_on_failure=True)
    (child,) = hands.claim()
    hands.fail_together(parent, child)
    assert redis_client.zrange("bull:q:failed", 0, -1) == ["P", "a"]
    assert redis_client.zrange("bull:q:P:unsuccessful", 0, -1) == ["bull:q:a"]
    assert redis_client.hget("bull:q:P", "defa") is None


def test_a_delayed_parent_fails_at_once(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a": {"fpof": True}}, delay=60_000)
    redis_client.zrem("bull:parents:waiting-children", "P")
    redis_client.zadd("bull:parents:delayed", {"P": 2e12 * 4096})
    hands.fail_all(1)
    assert state_of_parent(redis_client) == "wait"
    assert redis_client.hget(P, "delay") == "0"


def test_a_parent_that_is_gone_is_not_half_made_again(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a": {"fpof": True}, "b": {"cpof": True}, "c": {}})
    redis_client.delete(P, "bull:parents:waiting-children")
    one, two, three = hands.claim(3)
    hands.fail(one)
    hands.fail(two)
    hands.complete(three)
    assert not redis_client.exists(P)
    assert state_of_parent(redis_client) == "nowhere"
    assert invariants.check(redis_client, "q")["failed"] == 2


@pytest.mark.parametrize("spoilt", ["{", "[]", "null", '{"queueKey": 7}', '{"queueKey": "other"}'])
def test_a_spoilt_parent_field_costs_no_job(
    queue: Queue, hands: Hands, redis_client: redis.Redis, spoilt: str
) -> None:
    put_flow(redis_client, {"a": {}})
    redis_client.hset("bull:q:a", "parent", spoilt)
    hands.complete_all(1)
    assert queue.get_job_state("a") == "completed"
    assert state_of_parent(redis_client) == "wait"


def test_a_child_that_is_not_kept_leaves_its_parent_free(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a": {}})
    (job,) = hands.claim()
    hands.fail(job, rule="0")
    assert not redis_client.exists("bull:q:a")
    assert state_of_parent(redis_client) == "wait"


@pytest.mark.parametrize("flags", [{"fpof": True}, {"cpof": True}, {"idof": True}, {}], ids=str)
def test_a_retried_child_is_waited_for_again(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis, flags: dict
) -> None:
    put_flow(redis_client, {"a": flags})
    hands.fail_all(1)
    do(do(queue.get_job, "a").retry)
    assert redis_client.smembers(f"{P}:dependencies") == {"bull:q:a"}
    assert not redis_client.exists(f"{P}:failed", f"{P}:unsuccessful")


def test_many_retried_children_are_waited_for_again(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a": {}, "b": {}, "c": {}})
    hands.complete_all(2)
    assert do(queue.retry_jobs, "completed") == 2
    assert redis_client.scard(f"{P}:dependencies") == 3
    assert not redis_client.exists(f"{P}:processed")


def test_removing_the_last_child_lets_the_parent_run(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a": {}, "b": {}}, delay=60_000, priority=3)
    do(queue.remove, "a")
    assert state_of_parent(redis_client) == "waiting-children"
    do(queue.remove, "b")
    assert state_of_parent(redis_client) == "wait"


def test_a_parent_is_removed_with_its_children(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a": {}, "b": {}, "c": {}})
    hands.complete_all(1)
    (running,) = hands.claim()
    with pytest.raises(JobIsLocked, match="or one of its children is running"):
        do(Queue("parents").remove, "P")
    assert redis_client.exists(P, "bull:q:a", "bull:q:b", "bull:q:c") == 4
    hands.fail(running)
    assert do(Queue("parents").remove, "P") is True
    assert redis_client.keys("bull:q:[abc]*") == redis_client.keys(f"{P}*") == []
    # As BullMQ does it: without children the parent waits to run, for a moment.
    assert ("removed", "wait") in prev_of(redis_client, "parents")
    removed = [prev for event, prev in prev_of(redis_client, "q") if event == "removed"]
    assert sorted(removed) == ["completed", "failed", "wait"]
    invariants.check(redis_client, "q")


def test_a_parent_is_removed_without_its_children(
    do: Do, queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a": {}})
    (running,) = hands.claim()
    assert do(Queue("parents").remove, "P", remove_children=False) is True
    hands.complete(running, 1)
    assert redis_client.keys("bull:parents:P*") == []
    assert do(queue.get_job_state, "a") == "completed"


def test_a_drained_queue_takes_parents_of_its_own_along_and_lets_others_run(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a": {}})
    put_flow(redis_client, {"b": {}, "c": {}}, parent_queue="q")
    assert do(queue.drain) == 3
    assert state_of_parent(redis_client) == "wait"
    assert redis_client.keys("bull:q:P*") == []
    assert state_of_parent(redis_client, "q") == "nowhere"


def test_a_child_whose_id_holds_colons_finds_its_parent(
    queue: Queue, hands: Hands, redis_client: redis.Redis
) -> None:
    put_flow(redis_client, {"a:b:c": {}}, parent_queue="q")
    redis_client.rename("bull:q:P", "bull:q:x:y:z")
    redis_client.rename("bull:q:P:dependencies", "bull:q:x:y:z:dependencies")
    redis_client.zadd("bull:q:waiting-children", {"x:y:z": 1})
    redis_client.zrem("bull:q:waiting-children", "P")
    redis_client.hset(
        "bull:q:a:b:c",
        mapping={"parentKey": "bull:q:x:y:z", "parent": '{"id":"x:y:z","queueKey":"bull:q"}'},
    )
    hands.complete_all(1)
    assert queue.get_job_state("x:y:z") == "waiting"


def test_a_job_without_a_parent_needs_none(queue: Queue, hands: Hands) -> None:
    queue.add_bulk([JobSpec("x")] * 2)
    hands.complete_all(1)
    hands.fail_all(1)
    assert queue.get_job_counts("completed", "failed") == {"completed": 1, "failed": 1}
