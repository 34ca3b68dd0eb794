"""Operations on many jobs: what they do, and what becomes of them when something is in the way."""

import json
import random
import re
import signal
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import redis
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.exceptions import PermissionDenied

from queuecore import FlowJob, FlowProducer, Group, JobSpec, Queue, audit, operations
from queuecore.errors import InvalidOption, ServerUnavailable
from queuecore.matching import Filter
from queuecore.models import AuditEntry, Operation
from queuecore.operations import Runner, runner
from queuecore.wire.connections import Connection
from tests import invariants
from tests.server.hands import Hands
from tests.server.processes import Start
from tests.server.test_matching import put

pytestmark = pytest.mark.usefixtures("server", "transactional_db")

Status = Operation.Status


def order(queue: Queue, action: str, state: str, text: str = "", **options: Any) -> Operation:
    """Plan and start an operation, as everybody does."""
    filter, params = Filter.parse(state, text), options.pop("params", {})
    plan = operations.plan(queue, action, filter, params)
    return operations.start(
        **{
            "actor": "test",
            "action": action,
            "alias": "default",
            "queue": queue.name,
            "filter": filter,
            "bound_ms": plan.bound_ms,
            "planned": plan.tally.count,
            "params": params,
            **options,
        }
    )


def carry_out(operation: Operation, by: Runner | None = None, steps: int = 200) -> Operation:
    """Run operations until this one is over, as a process of its own would."""
    by = by or Runner()
    for _ in range(steps):
        by.step()
        operation.refresh_from_db()
        if operation.ended_at:
            break
    by.let_go()
    return operation


def fail_many(client: redis.Redis, count: int, at: int = 1000, **fields: Any) -> None:
    """Put *count* failed jobs into `q`, each a millisecond after the other."""
    pipe = client.pipeline()
    for number in range(count):
        put(pipe, f"f{number:05}", "failed", at + number, failedReason="boom", atm=3, **fields)
    pipe.execute()


def events(client: redis.Redis, queue: str = "q") -> list[dict[str, str]]:
    return [fields for _, fields in client.xrange(f"bull:{queue}:events")]


def keys_of(client: redis.Redis, base: str) -> dict[str, Any]:
    """All that stands under *base*, but what no two runs have alike."""
    read = {"hash": client.hgetall, "string": client.get, "set": client.smembers}
    read |= {
        "list": lambda key: client.lrange(key, 0, -1),
        "zset": lambda key: client.zrange(key, 0, -1),
        "stream": lambda key: [fields for _, fields in client.xrange(key)],
    }
    found = {}
    for key in client.scan_iter(base + "*"):
        value = read[client.type(key)](key)
        if isinstance(value, dict):
            value = {k: v for k, v in value.items() if k not in ("timestamp", "parent", "opts")}
        found[key.removeprefix(base)] = json.loads(
            re.sub(
                r"\b[0-9]{13,16}\b", "a time", json.dumps(value, default=sorted).replace(base, "")
            )
        )
    return found


def twice(prepare: Callable[[Queue], None]) -> tuple[Queue, Queue]:
    """Two queues with the same jobs."""
    one, many = Queue("one"), Queue("many")
    prepare(one)
    prepare(many)
    return one, many


def mixed_failures(queue: Queue) -> None:
    hands = Hands(queue, "w")
    queue.add_bulk(
        [
            JobSpec("a", job_id="a"),
            JobSpec("b", job_id="b", priority=2),
            JobSpec("c", job_id="c"),
            JobSpec("d", job_id="d", priority=1),
        ]
    )
    flow = FlowJob("parent", queue=queue.name, job_id="p")
    flow.children.append(FlowJob("child", queue=queue.name, job_id="k"))
    FlowProducer().add(flow)
    hands.fail_all(5)


def test_retrying_many_is_retrying_each(redis_client: redis.Redis) -> None:
    one, many = twice(mixed_failures)
    for number, job_id in enumerate("abcdk"):
        for queue in ("one", "many"):
            redis_client.zadd(f"bull:{queue}:failed", {job_id: 1000 + number})
    for job_id in redis_client.zrange("bull:one:failed", 0, -1):
        one.get_job(job_id).retry("failed", reset_attempts_made=True, reset_attempts_started=True)
    done = carry_out(order(many, "retry", "failed"))
    assert (done.status, done.done, done.skipped, done.failed) == (Status.DONE, 5, 0, 0)
    assert keys_of(redis_client, "bull:many:") == keys_of(redis_client, "bull:one:")
    assert [job.id for job in Hands(many, "v").claim(5)] == ["a", "c", "k", "d", "b"]
    invariants.check(redis_client, "many")


def test_attempts_may_be_kept(queue: Queue, redis_client: redis.Redis) -> None:
    fail_many(redis_client, 2)
    assert carry_out(order(queue, "retry", "failed", params={"reset": False})).done == 2
    assert redis_client.hget("bull:q:f00000", "atm") == "3"
    assert not redis_client.hexists("bull:q:f00000", "failedReason")


def test_promoting_many_is_promoting_each(redis_client: redis.Redis) -> None:
    def prepare(queue: Queue) -> None:
        for job_id, priority in (("a", 0), ("b", 3), ("c", 0)):
            queue.add("x", delay=3600, priority=priority, job_id=job_id)

    one, many = twice(prepare)
    for job_id in "abc":
        one.get_job(job_id).promote()
    assert carry_out(order(many, "promote", "delayed")).done == 3
    assert keys_of(redis_client, "bull:many:") == keys_of(redis_client, "bull:one:")


@pytest.mark.parametrize("state", ["waiting", "failed", "prioritized", "delayed"])
def test_removing_many_is_removing_each(redis_client: redis.Redis, state: str) -> None:
    options = {"prioritized": {"priority": 2}, "delayed": {"delay": 60}}.get(state, {})

    def prepare(queue: Queue) -> None:
        for number in range(6):
            queue.add(
                "odd" if number % 2 else "even", {"n": number}, job_id=f"j{number}", **options
            )
            queue.get_job(f"j{number}").log("a row")
        if state == "failed":
            Hands(queue, "w").fail_all(6)

    one, many = twice(prepare)
    for number in (1, 3, 5):
        one.remove(f"j{number}")
    assert carry_out(order(many, "remove", state, "name:odd")).done == 3
    assert keys_of(redis_client, "bull:many:") == keys_of(redis_client, "bull:one:")


def test_what_a_worker_holds_is_a_failure_with_its_reason(
    queue: Queue, redis_client: redis.Redis
) -> None:
    queue.add_bulk([JobSpec("x")] * 3)
    Hands(queue).claim(2)
    redis_client.delete("bull:q:2:lock")  # its worker is gone
    done = carry_out(order(queue, "remove", "active"))
    assert (done.done, done.failed, done.failures) == (1, 1, [["1", "running"]])
    assert redis_client.lrange("bull:q:active", 0, -1) == ["1"]
    assert queue.get_job("3").get_state() == "waiting"


def test_children_go_with_their_parents_or_stay(queue: Queue, redis_client: redis.Redis) -> None:
    for name in ("p", "r"):
        flow = FlowJob("parent", queue="q", job_id=name)
        flow.children.append(FlowJob("child", queue="q", job_id=f"{name}-child"))
        FlowProducer().add(flow)
    hands = Hands(queue)
    for job in hands.claim(2):
        hands.complete(job)
    assert carry_out(order(queue, "remove", "waiting", "id:p")).done == 1
    assert not redis_client.exists("bull:q:p", "bull:q:p-child")
    assert carry_out(order(queue, "remove", "waiting", "id:r", params={"children": False})).done
    assert redis_client.exists("bull:q:r-child")
    assert not redis_client.exists("bull:q:r")


def test_draining_spares_the_next_runs_of_schedulers_and_what_comes_later(
    queue: Queue, redis_client: redis.Redis
) -> None:
    queue.upsert_job_scheduler("s", every=3600)
    queue.add_bulk([JobSpec("x"), JobSpec("y", priority=1), JobSpec("z", delay=3600)])
    operation = order(queue, "drain", "waiting", params={"delayed": True})
    assert operation.planned == 4
    redis_client.hset(f"bull:q:{queue.add('later').id}", "timestamp", operation.bound + 1)
    done = carry_out(operation)
    assert done.done == 3
    assert queue.get_job_counts("waiting", "prioritized", "delayed") == {
        "waiting": 2,
        "prioritized": 0,
        "delayed": 0,
    }
    invariants.check(redis_client, "q")


def test_grouped_jobs_are_removed_and_retried_as_others(
    queue: Queue, redis_client: redis.Redis
) -> None:
    specs = [("bad", "a", None), ("bad", "b", 60), ("good", "a", None), ("good", "b", 60)]
    for name, group, delay in specs * 60:
        queue.add(name, group=Group(group), **({"delay": delay} if delay else {}))
    FlowProducer().add(FlowJob("bad", queue="q", children=[FlowJob("c", queue="other")]))
    redis_client.delete("bull:other:wait")
    assert carry_out(order(queue, "remove", "waiting-children", "name:bad")).done == 121
    assert (queue.get_group_jobs_count("a"), queue.get_group_delayed_count("b")) == (60, 60)
    invariants.check(redis_client, "q", idle=True)
    hands = Hands(queue)
    hands.fail_all(60)
    assert carry_out(order(queue, "retry", "failed")).done == 60
    assert queue.get_group_jobs_count("a") == 60
    assert redis_client.exists("bull:q:wait") == 0
    done = carry_out(order(queue, "obliterate", "waiting"))
    assert done.status == Status.DONE
    assert redis_client.keys("bull:q:*") == []
    left = redis_client.keys("qc:bull:q:group*")
    assert left == []


def test_what_is_done_to_waiting_and_delayed_jobs_is_done_to_grouped_ones(
    queue: Queue, redis_client: redis.Redis
) -> None:
    def counts() -> tuple[int, int, int]:
        return (
            queue.get_groups_jobs_count(),
            queue.get_group_delayed_count("b"),
            queue.get_job_counts("waiting-children")["waiting-children"],
        )

    for name in ("x", "y"):
        queue.add_bulk([JobSpec(name, group=Group("a")) for _ in range(60)])
        queue.add_bulk([JobSpec(name, group=Group("b"), delay=3600) for _ in range(60)])
    FlowProducer().add(FlowJob("x", queue="q", children=[FlowJob("c", queue="other")]))
    operation = order(queue, "clean", "waiting", "name:x")
    assert (operation.planned, carry_out(operation).done) == (60, 60)
    assert counts() == (60, 120, 181)
    operation = order(queue, "promote", "delayed", "name:x")
    assert (operation.planned, carry_out(operation).done) == (60, 60)
    assert counts() == (120, 60, 181)
    invariants.check(redis_client, "q", idle=True)
    queue.add("late", group=Group("a"))
    operation = order(queue, "drain", "waiting")
    redis_client.hset(
        f"bull:q:{queue.add('z', group=Group('a')).id}", "timestamp", operation.bound + 1
    )
    assert (operation.planned, carry_out(operation).done) == (121, 121)
    assert counts() == (1, 60, 62)  # what came later, what is due later, and the parent
    assert carry_out(order(queue, "drain", "waiting", params={"delayed": True})).done == 61
    assert counts() == (0, 0, 1)
    invariants.check(redis_client, "q", idle=True)


def test_cleaning_takes_the_oldest_up_to_a_maximum(queue: Queue, redis_client: redis.Redis) -> None:
    fail_many(redis_client, 500)
    done = carry_out(order(queue, "clean", "failed", "ended>1h", params={"maximum": 420}))
    assert (done.status, done.done) == (Status.DONE, 420)
    assert redis_client.zrange("bull:q:failed", 0, 0) == ["f00420"]
    assert events(redis_client)[-1] == {"event": "cleaned", "count": "420"}


@pytest.mark.parametrize("force", [False, True])
def test_obliterating_pauses_and_leaves_nothing(
    queue: Queue, redis_client: redis.Redis, force: bool
) -> None:
    queue.upsert_job_scheduler("s", every=3600)
    queue.add_bulk([JobSpec("x"), JobSpec("y", priority=1), JobSpec("z", delay=3600)] * 3)
    fail_many(redis_client, 300)
    if force:
        Hands(queue).claim(2)
    done = carry_out(order(queue, "obliterate", "waiting", params={"force": force}))
    assert done.status == Status.DONE
    assert redis_client.keys("bull:q:*") == []


def test_obliterating_stops_at_jobs_that_run(queue: Queue) -> None:
    queue.add("x")
    Hands(queue).claim(1)
    done = carry_out(order(queue, "obliterate", "waiting"))
    assert (done.status, "are running" in done.error) == (Status.FAILED, True)
    assert queue.is_paused()


def test_a_filtered_removal_from_a_long_list_leaves_the_others_in_their_order(
    queue: Queue, redis_client: redis.Redis
) -> None:
    queue.add_bulk([JobSpec("odd" if n % 2 else "even", job_id=f"j{n}") for n in range(1200)])
    assert carry_out(order(queue, "remove", "waiting", "name:odd")).done == 600
    left = redis_client.lrange("bull:q:wait", 0, -1)[::-1]
    assert left == [f"j{n}" for n in range(0, 1200, 2)]


def test_what_ends_or_comes_after_the_confirmation_is_not_touched(
    queue: Queue, redis_client: redis.Redis
) -> None:
    fail_many(redis_client, 450)
    operation = order(queue, "retry", "failed")
    put(redis_client, "later", "failed", operation.bound + 1)
    by = Runner()
    by.step()
    # One that was retried fails again meanwhile: that is another end.
    redis_client.lrem("bull:q:wait", 0, "f00001")
    put(redis_client, "f00001", "failed", operation.bound + 2)
    assert carry_out(operation, by).done == 450
    assert redis_client.zrange("bull:q:failed", 0, -1) == ["later", "f00001"]


def test_ids_without_a_job_are_failures(queue: Queue, redis_client: redis.Redis) -> None:
    fail_many(redis_client, 2)
    redis_client.zadd("bull:q:failed", {"orphan": 5, b"\x00\xff": 6})
    done = carry_out(order(queue, "retry", "failed"))
    assert (done.done, done.failed) == (2, 2)
    assert done.failures == [["orphan", "gone"], ["\\x00\\xff", "gone"]]


# What is in the way


def test_it_stands_on_record_when_it_begins_and_when_it_ends(
    queue: Queue, redis_client: redis.Redis
) -> None:
    fail_many(redis_client, 3)
    operation = order(queue, "retry", "failed", "name:welcome", reason="the relay is back")
    (intent,) = AuditEntry.objects.all()
    assert (intent.action, intent.queue, intent.reason) == ("retry", "q", "the relay is back")
    assert intent.target == "state:failed name:welcome"
    carry_out(operation)
    result = AuditEntry.objects.get(phase="result")
    assert (result.record, result.outcome) == (intent.record, "done")
    assert json.loads(result.result) == {"count": 3, "operation": operation.pk}
    assert audit.verify().intact


def test_a_confirmation_works_once(queue: Queue) -> None:
    order(queue, "retry", "failed", once="confirm:7")
    with pytest.raises(audit.AlreadyDone):
        order(queue, "retry", "failed", once="confirm:7")
    assert Operation.objects.count() == 1


@pytest.mark.parametrize(
    ("action", "state", "params", "told"),
    [
        ("retyr", "failed", {}, "did you mean 'retry'"),
        ("retry", "waiting", {}, "failed or completed, not waiting"),
        ("retry", "failed", {"rest": True}, "did you mean 'reset'"),
        ("retry", "failed", {"reset": 1}, "cannot be 1"),
        ("clean", "failed", {"maximum": -1}, "cannot be -1"),
    ],
)
def test_what_does_not_fit_is_refused(queue, action, state, params, told) -> None:
    with pytest.raises(InvalidOption, match=told):
        order(queue, action, state, params=params)
    assert not Operation.objects.exists()


@pytest.fixture
def author():
    """Somebody who may retry many jobs."""
    user = get_user_model().objects.create_user("olga")
    user.user_permissions.set(Permission.objects.filter(codename__in=["retry", "bulk"]))
    return user


def test_who_may_not_is_refused_on_record(queue: Queue, author) -> None:
    with pytest.raises(PermissionDenied, match=r"queuecore\.remove"):
        order(queue, "remove", "failed", actor=author)
    with pytest.raises(PermissionDenied, match=r"queuecore\.view_payload"):
        order(queue, "retry", "failed", "error:boom", actor=author)
    assert [one.outcome for one in AuditEntry.objects.filter(phase="result")] == ["denied"] * 2
    assert not Operation.objects.exists()


@pytest.mark.parametrize("lost", ["permission", "account"])
def test_it_stops_when_its_author_may_no_longer(
    queue: Queue, redis_client: redis.Redis, author, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHUNK", 200)
    fail_many(redis_client, 1000)
    operation = order(queue, "retry", "failed", actor=author)
    by = Runner()
    by.step()
    if lost == "permission":
        author.user_permissions.clear()
    else:
        author.delete()
    carry_out(operation, by)
    assert operation.status == Status.FAILED
    assert ("queuecore.bulk" if lost == "permission" else "olga is gone") in operation.error
    assert (operation.done, redis_client.zcard("bull:q:failed")) == (200, 800)
    result = AuditEntry.objects.get(phase="result")
    assert (result.outcome, json.loads(result.result)["count"]) == ("failed", 200)


def test_pause_resume_abort(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHUNK", 200)
    fail_many(redis_client, 1000)
    operation = order(queue, "retry", "failed")
    by = Runner()
    by.step()
    assert operations.pause(operation)
    assert not operations.pause(operation)
    for _ in range(3):
        by.step()
    operation.refresh_from_db()
    assert (operation.status, operation.done) == (Status.PAUSED, 200)
    assert operations.resume(operation)
    by.step()
    operation.refresh_from_db()
    assert (operation.status, operation.done) == (Status.RUNNING, 400)
    assert operations.abort(operation, "ada")
    carry_out(operation, by)
    assert (operation.status, operation.done) == (Status.ABORTED, 400)
    assert redis_client.zcard("bull:q:failed") == 600
    result = AuditEntry.objects.get(phase="result")
    assert result.outcome == "aborted"
    assert json.loads(result.result) == {"count": 400, "by": "ada", "operation": operation.pk}
    assert not operations.abort(operation)
    assert redis_client.keys("qc:bull:q:operation:*") == []


def test_an_abort_during_a_chunk_loses_no_count(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_many(redis_client, 300)
    operation = order(queue, "retry", "failed")
    save = Runner._save

    def aborted_before(self, *args):
        operations.abort(operation)
        save(self, *args)

    monkeypatch.setattr(Runner, "_save", aborted_before)
    carry_out(operation)
    assert (operation.status, operation.done) == (Status.ABORTED, 300)


@pytest.mark.parametrize("action", ["retry", "remove"])
def test_workers_go_on_meanwhile_and_no_job_is_met_twice(
    queue: Queue, redis_client: redis.Redis, action: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHUNK", 50)
    dice = random.Random(3)
    hands = Hands(queue)
    queue.add_bulk(
        [JobSpec("x", priority=dice.choice([0, 0, 1, 2]), job_id=f"j{n}") for n in range(400)]
    )
    hands.fail_all(400)
    operation = order(queue, action, "failed")
    by = Runner()
    for _ in range(40):
        by.step()
        queue.add("late", job_id=f"late{_}")
        for job in hands.claim(dice.randrange(20)):
            hands.complete(job) if dice.random() < 0.5 else hands.fail(job)
    carry_out(operation, by)
    assert (operation.status, operation.done, operation.failed) == (Status.DONE, 400, 0)
    invariants.check(redis_client, "q")
    counts = queue.get_job_counts()
    assert sum(counts.values()) == (440 if action == "retry" else 40)
    # What failed again, after the confirmation, has failed.
    again = redis_client.zrange("bull:q:failed", 0, -1, withscores=True)
    assert again
    assert all(score > operation.bound for _, score in again)


class Killed(BaseException):
    """The process ends here, and cleans nothing up."""


@pytest.mark.parametrize("at", range(14))
def test_a_crash_anywhere_loses_nothing_and_counts_nothing_twice(
    queue: Queue, redis_client: redis.Redis, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "CHUNK", 400)
    fail_many(redis_client, 700, priority=1)
    redis_client.zadd("bull:q:failed", {"orphan": 1})
    operation = order(queue, "retry", "failed")
    exchange, sent = Connection.exchange, 0

    def killed(self, request):
        nonlocal sent
        answer = exchange(self, request)
        sent += 1
        if sent == at + 4:
            raise Killed
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "exchange", killed)
        with pytest.raises(Killed):
            carry_out(operation)
    redis_client.delete("qc:bull::operator")  # its lock has run out
    carry_out(operation)
    assert (operation.status, operation.done, operation.skipped) == (Status.DONE, 700, 0)
    assert operation.failures == [["orphan", "gone"]]
    assert (redis_client.zcard("bull:q:prioritized"), redis_client.zcard("bull:q:failed")) == (
        700, 1,
    )  # fmt: skip
    assert len(events(redis_client)) == 700


def test_lost_answers_are_asked_for_again(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_many(redis_client, 900)
    operation = order(queue, "retry", "failed")
    exchange, sent = Connection.exchange, 0

    def lossy(self, request):
        nonlocal sent
        answer = exchange(self, request)
        sent += 1
        if sent % 3 == 0:
            raise ServerUnavailable("the answer was lost", sent=True)
        return answer

    monkeypatch.setattr(Connection, "exchange", lossy)
    carry_out(operation)
    assert (operation.status, operation.done) == (Status.DONE, 900)
    assert redis_client.llen("bull:q:wait") == 900


def test_a_process_that_lost_the_lead_does_no_harm(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_many(redis_client, 1500)
    operation = order(queue, "retry", "failed")
    first, second = Runner(), Runner()
    work = runner.ACTIONS["retry"].work
    steps = 0

    def overtaken(keys, step, params):
        nonlocal steps
        steps += 1
        if steps == 3:  # the first one hangs here for longer than its lease
            redis_client.delete("qc:bull::operator")
            second.step()
        return work(keys, step, params)

    retry = runner.ACTIONS["retry"]
    monkeypatch.setitem(
        runner.ACTIONS, "retry", operations.Action(*_fields(retry)[:3], overtaken, retry.options)
    )
    first.step()
    carry_out(operation, second)
    assert (operation.status, operation.done, operation.skipped) == (Status.DONE, 1500, 0)
    assert redis_client.llen("bull:q:wait") == 1500


def _fields(action: operations.Action) -> list[Any]:
    return [getattr(action, name) for name in action.__slots__]


def test_one_process_leads(queue: Queue, redis_client: redis.Redis) -> None:
    first, second = Runner(), Runner()
    first.step()
    fail_many(redis_client, 10)
    operation = order(queue, "retry", "failed")
    assert second.step() == runner.STANDBY_S
    operation.refresh_from_db()
    assert operation.status == Status.WAITING
    first.step()
    operation.refresh_from_db()
    assert operation.done == 10
    first.let_go()
    second.step()
    assert second.leads


def test_a_rate_is_kept_to(
    queue: Queue, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(runner.time, "monotonic", lambda: clock[0])
    fail_many(redis_client, 300)
    operation = order(queue, "retry", "failed", rate=20)
    by = Runner()
    done = []
    for _ in range(40):
        by.step()
        operation.refresh_from_db()
        done.append(operation.done)
        clock[0] += 0.25
    assert done[-1] == 200
    assert all(later - earlier <= 10 for earlier, later in pairwise(done))
    # A pause is no time that it ran, and what began stays begun.
    began = operation.started_at
    assert operations.pause(operation)
    by.step()
    clock[0] += 600
    assert operations.set_rate(operation, None)
    assert operations.resume(operation)
    carry_out(operation, by)
    assert operation.done == 300
    assert operation.started_at == began
    assert operation.ran == pytest.approx(10, abs=0.6)


def test_it_runs_by_itself_in_a_thread_of_any_process(
    queue: Queue, redis_client: redis.Redis
) -> None:
    fail_many(redis_client, 2500)
    operation = order(queue, "retry", "failed")
    operations.ensure_running()
    operations.ensure_running()
    try:
        hands = Hands(queue)
        for _ in range(500):
            operation.refresh_from_db()
            if operation.ended_at:
                break
            hands.claim(1)  # and everything else goes on
    finally:
        operations.stop()
    assert (operation.status, operation.done) == (Status.DONE, 2500)
    assert operation.speed > 0
    assert redis_client.get("qc:bull::operator") is None


def test_an_outage_is_waited_out(queue: Queue, redis_client: redis.Redis, monkeypatch) -> None:
    fail_many(redis_client, 5)
    operation = order(queue, "retry", "failed")
    by, step, away = Runner(), Runner.step, [True]
    waits: list[float] = []

    def sometimes(self):
        if away[0]:
            raise ServerUnavailable("away", sent=False)
        return step(self)

    def wait(seconds):
        waits.append(seconds)
        away[0] = len(waits) < 3
        operation.refresh_from_db()
        if operation.ended_at:
            by.end()

    monkeypatch.setattr(Runner, "step", sometimes)
    monkeypatch.setattr(by._stopping, "wait", wait)
    by.run()
    assert operation.done == 5
    assert waits[:3] == [1.0, 2.0, 4.0]


def test_a_process_that_is_killed_is_gone_on_for_by_another(
    start: Start, queue: Queue, redis_client: redis.Redis
) -> None:
    fail_many(redis_client, 6000)
    queue.pause()
    operation = order(queue, "retry", "failed", rate=2000)
    first = start("quick")

    def done() -> int:
        operation.refresh_from_db()
        return operation.done

    first.until(lambda: done() > 0)
    first.tell(signal.SIGKILL)
    first.ends()
    assert 0 < done() < 6000
    assert redis_client.zcard("bull:q:failed") + redis_client.llen("bull:q:wait") == 6000
    redis_client.delete("qc:bull::operator")  # its lease has run out
    operations.set_rate(operation, None)
    second = start("quick")
    second.until(lambda: done() and operation.ended_at)
    assert (operation.status, operation.done, operation.skipped) == (Status.DONE, 6000, 0)
    assert redis_client.llen("bull:q:wait") == 6000
    # A process that ends in peace lets go of the lead.
    second.tell(signal.SIGTERM)
    assert second.ends() == 0
    assert redis_client.get("qc:bull::operator") is None
