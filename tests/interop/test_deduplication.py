"""Deduplication as the peers do it and as we do it: the same keys, fields, events and answers."""

import json
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from queuecore import Deduplication, Job, JobSpec, Queue
from tests import invariants
from tests.interop.dump import compare
from tests.interop.five import otherwise_at
from tests.interop.node import Peer
from tests.interop.ours import working
from tests.interop.sides import Ours, Side, Theirs

# A moment of both sides' clocks, so that what is counted from it is the same.
NOW = 2_000_000_000_000
LATE = 1_000_000
DAYS_AGO = int(time.time() * 1000) - 10 * 86_400_000


def job(n: int = 0, *, delay: int = 0, **options: Any) -> dict[str, Any]:
    """A job for :meth:`Side.add`; what is no job option belongs to its deduplication."""
    rule = {"id": "once"}
    for name in ("ttl", "extend", "replace", "keepLastIfActive", "reschedule"):
        if name in options:
            rule[name] = options.pop(name)
    made = {"data": {"n": n}, "deduplication": rule} | options
    return made | ({"delay": delay, "timestamp": NOW + n} if delay else {})


def _now(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if name != "timestamp"}


def simple(side: Side) -> list[Any]:
    return [side.add(job(1), job(2), job(3)), side.owner("once"), side.owner("other")]


def several_ids(side: Side) -> list[Any]:
    other = {"deduplication": {"id": "b:c ü"}}
    return [side.add(job(1), other, job(2), other, {"data": {}}), side.owner("b:c ü")]


def free_after_completing(side: Side) -> list[Any]:
    first = side.add(job(1), job(2))
    done = side.claim()
    said = [first, done, side.add(job(3))]
    side.complete("1")
    return [*said, side.owner("once"), side.add(job(4), job(5))]


def free_after_failing(side: Side) -> list[Any]:
    first = side.add(job(1), job(2))
    side.claim()
    side.fail("1")
    return [first, side.owner("once"), side.add(job(4))]


def nothing_is_kept(side: Side) -> list[Any]:
    first = side.add(job(1, removeOnComplete=True), job(2))
    side.claim()
    side.complete("1")
    return [first, side.owner("once"), side.add(job(3))]


def throttled(side: Side) -> list[Any]:
    first = side.add(job(1, ttl=105_000), job(2, ttl=55_000))
    side.claim()
    side.complete("1")
    return [first, side.owner("once"), side.add(job(3, ttl=55_000), job(4))]


def extended(side: Side) -> list[Any]:
    rule = {"extend": True}
    return [side.add(job(1, ttl=105_000, **rule), job(2, ttl=205_000, **rule)), side.owner("once")]


def extended_to_less(side: Side) -> list[Any]:
    return [side.add(job(1), job(2, ttl=55_000, extend=True), job(3, ttl=25_000, extend=True))]


def debounced(side: Side) -> list[Any]:
    return [
        side.add(*(job(n, delay=LATE, replace=True, ttl=105_000 - n * 10_000) for n in range(4))),
        side.owner("once"),
        side.add(job(9, replace=True)),
        side.owner("once"),
    ]


def debounced_and_extended(side: Side) -> list[Any]:
    rule = {"replace": True, "extend": True, "delay": LATE}
    return [side.add(job(1, ttl=105_000, **rule), job(2, ttl=55_000, **rule)), side.owner("once")]


def debounced_without_ttl(side: Side) -> list[Any]:
    said = [side.add(job(1, delay=LATE, replace=True), job(2, delay=LATE, replace=True))]
    side.promote("2")
    return [*said, side.add(job(3, delay=LATE, replace=True)), side.owner("once")]


def replaced_by_another_kind(side: Side) -> list[Any]:
    return [
        side.add(
            job(1, delay=LATE, replace=True),
            job(2, replace=True, priority=3, delay=LATE),
            job(3, replace=True, priority=3),
            job(4, replace=True),
            {"data": 5, "delay": LATE},
        )
    ]


def nothing_to_replace(side: Side) -> list[Any]:
    first = side.add(job(1, replace=True), job(2, replace=True))
    side.claim()
    return [first, side.add(job(3, replace=True))]


def the_last_while_active(side: Side) -> list[Any]:
    rule = {"keepLastIfActive": True}
    said: list[Any] = [side.add(job(1, **rule), job(2, **rule)), side.claim()]
    said += [side.add(job(3, **rule)), side.add(job(4, **rule), job(5, **rule))]
    side.complete("1")
    said += [side.owner("once"), side.claim()]
    side.complete("5" if said[-1] == "5" else said[-1])
    return [*said, side.owner("once")]


def the_last_while_active_in_its_place(side: Side) -> list[Any]:
    rule = {"keepLastIfActive": True}
    said: list[Any] = []
    for options in ({"priority": 5}, {"delay": LATE}, {"lifo": True}, {"attempts": 3}):
        added = side.add(job(1, **rule))
        said.append((added, side.claim(), side.add(_now(job(2, **rule) | options))))
        side.add({"data": "beside"})
        side.complete(added[0])
        owner = side.owner("once")
        assert owner is not None
        side.remove(owner)
        said.append((owner, side.owner("once")))
        side.drain(True)
    return said


def the_last_follows_a_failure(side: Side) -> list[Any]:
    rule = {"keepLastIfActive": True}
    said: list[Any] = [side.add(job(1, **rule)), side.claim(), side.add(job(2, **rule))]
    side.fail("1")
    return [*said, side.owner("once"), side.add(job(3, **rule))]


def the_last_with_an_id_of_its_own(side: Side) -> list[Any]:
    rule = {"keepLastIfActive": True}
    said: list[Any] = [side.add(job(1, jobId="first", **rule)), side.claim()]
    said.append(side.add(job(2, jobId="second", **rule), job(3, jobId="first", **rule)))
    side.complete("first")
    return [*said, side.owner("once"), side.claim()]


def the_last_and_a_ttl(side: Side) -> list[Any]:
    rule = {"keepLastIfActive": True, "ttl": 55_000, "extend": True}
    said: list[Any] = [side.add(job(1, ttl=105_000), job(2, **rule)), side.claim()]
    said.append(side.add(job(3, **rule)))
    side.complete("1")
    return [*said, side.owner("once")]


def a_ttl_is_lifted_for_the_last(side: Side) -> list[Any]:
    said: list[Any] = [side.add(job(1, ttl=105_000)), side.claim()]
    said.append(side.add(job(2, keepLastIfActive=True)))
    side.complete("1")
    return [*said, side.owner("once"), side.claim()]


def a_ttl_is_lifted_while_the_last_waits(side: Side) -> list[Any]:
    said: list[Any] = [side.add(job(1, ttl=105_000)), side.claim()]
    return [*said, side.add(job(2, keepLastIfActive=True)), side.owner("once")]


def the_last_is_removed_with_what_it_follows(side: Side) -> list[Any]:
    said: list[Any] = []
    for end in (side.remove, lambda _: side.drain(True), lambda _: side.clean("delayed")):
        (first,) = side.add(job(1, keepLastIfActive=True, timestamp=1_700_000_000_000))
        said += [first, side.claim(), side.add(job(2, keepLastIfActive=True))]
        side.later(first, LATE)
        end(first)
        said.append(side.owner("once"))
    return said


def the_last_replaces_what_is_late(side: Side) -> list[Any]:
    rule = {"keepLastIfActive": True, "replace": True}
    late = (_now(job(n, delay=LATE, **rule)) for n in (1, 2))
    said: list[Any] = [side.add(*late)]
    side.promote("2")
    said += [side.claim(), side.add(job(3, **rule), job(4, **rule))]
    side.complete("2")
    return [*said, side.owner("once"), side.claim()]


def the_last_outlives_removed_keys(side: Side) -> list[Any]:
    rule = {"keepLastIfActive": True}
    said: list[Any] = [side.add(job(1, **rule)), side.claim(), side.add(job(2, **rule))]
    said += [side.free("once"), side.add(job(3, **rule))]
    side.complete("1")
    return [*said, side.owner("once")]


def keys_removed_by_hand(side: Side) -> list[Any]:
    said: list[Any] = [side.add(job(1)), side.free("once"), side.free("once"), side.free("none")]
    said += [side.add(job(2)), side.give_up("1"), side.give_up("2"), side.owner("once")]
    return [*said, side.add({"data": 1}, job(3)), side.give_up("3")]


def free_after_removal(side: Side) -> list[Any]:
    said: list[Any] = []
    for end in (side.remove, lambda _: side.drain(False), lambda _: side.clean("wait")):
        (added,) = side.add(job(1))
        end(added)
        said.append((added, side.owner("once"), side.add(job(2))))
        side.drain(False)
    (added,) = side.add(job(1, delay=LATE))
    side.drain(True)
    return [*said, added, side.owner("once")]


def removing_another_frees_nothing(side: Side) -> list[Any]:
    side.add(job(1))
    side.free("once")
    side.add(job(2))
    side.remove("1")
    return [side.owner("once")]


def a_retried_one_has_no_id(side: Side) -> list[Any]:
    side.add(job(1))
    side.claim()
    side.fail("1")
    side.retry("1", "failed")
    return [side.owner("once"), side.add(job(2)), side.owner("once")]


def one_that_comes_back_later(side: Side) -> list[Any]:
    side.add(job(1, timestamp=1_700_000_000_000))
    said: list[Any] = [side.claim()]
    side.later("1", LATE)
    return [*said, side.add(job(2)), side.add(job(3, replace=True)), side.owner("once")]


def ids_and_kinds(side: Side) -> list[Any]:
    return [
        side.add(
            job(1, jobId="own", priority=2),
            job(2, jobId="own"),
            job(3, jobId="another"),
            {"data": 4, "jobId": "own", "deduplication": {"id": "else"}},
            job(5, lifo=True),
        ),
        side.owner("once"),
        side.owner("else"),
    ]


def paused(side: Side) -> list[Any]:
    said: list[Any] = [side.add(job(1, keepLastIfActive=True)), side.claim()]
    side.pause()
    said.append(side.add(job(2, keepLastIfActive=True), {"deduplication": {"id": "b"}}))
    side.complete("1")
    return [*said, side.owner("once")]


def rescheduled(side: Side) -> list[Any]:
    rule = {"reschedule": True}
    return [
        side.add(*(job(n, delay=LATE * (n + 1), **rule) for n in range(3))),
        side.add(job(7, delay=LATE), {"data": 1, "delay": LATE, "timestamp": NOW}),
        side.add(job(8, delay=LATE // 2, ttl=105_000, extend=True, **rule)),
        side.owner("once"),
    ]


def nothing_to_reschedule(side: Side) -> list[Any]:
    first = side.add(job(1), job(2, delay=LATE, reschedule=True))
    side.claim()
    return [first, side.add(job(3, delay=LATE, reschedule=True))]


def the_last_is_forgotten_with_what_it_follows(side: Side) -> list[Any]:
    side.add(job(1, timestamp=1_700_000_000_000))
    said: list[Any] = [side.claim(), side.add(job(2, keepLastIfActive=True))]
    side.later("1", LATE)
    said.append(side.add(job(3, replace=True, delay=LATE)))
    return [*said, side.owner("once")]


SCRIPTS: list[Callable[[Side], list[Any]]] = [
    simple,
    several_ids,
    free_after_completing,
    free_after_failing,
    nothing_is_kept,
    throttled,
    extended,
    extended_to_less,
    debounced,
    debounced_and_extended,
    debounced_without_ttl,
    replaced_by_another_kind,
    nothing_to_replace,
    the_last_while_active,
    the_last_while_active_in_its_place,
    the_last_follows_a_failure,
    the_last_with_an_id_of_its_own,
    the_last_and_a_ttl,
    a_ttl_is_lifted_for_the_last,
    a_ttl_is_lifted_while_the_last_waits,
    the_last_is_removed_with_what_it_follows,
    the_last_replaces_what_is_late,
    the_last_outlives_removed_keys,
    keys_removed_by_hand,
    free_after_removal,
    removing_another_frees_nothing,
    a_retried_one_has_no_id,
    one_that_comes_back_later,
    ids_and_kinds,
    paused,
    nothing_to_reschedule,
]
# What came with 6.7: 5 neither reschedules nor forgets.
SIX_ONLY = [rescheduled, the_last_is_forgotten_with_what_it_follows]


@pytest.mark.parity(
    "JobOptions.deduplication",
    "Queue.getDeduplicationJobId",
    "Queue.removeDeduplicationKey",
    "Job.removeDeduplicationKey",
)
@pytest.mark.crosswise(batched=False)
@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
def test_the_same_by_both(
    peer: Peer, redis_client: redis.Redis, script: Callable[[Side], list[Any]], batched: bool
) -> None:
    same(peer, redis_client, script, batched)


@pytest.mark.parity("JobOptions.deduplication.reschedule")
@pytest.mark.crosswise(batched=False)
@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
@pytest.mark.parametrize("script", SIX_ONLY, ids=lambda script: script.__name__)
def test_the_same_as_6(
    peer: Peer, redis_client: redis.Redis, script: Callable[[Side], list[Any]], batched: bool
) -> None:
    with otherwise_at(peer, "deduplication", script.__name__):
        same(peer, redis_client, script, batched)


def same(
    peer: Peer, client: redis.Redis, script: Callable[[Side], list[Any]], batched: bool
) -> None:
    peer.queue("ours")  # a queue of the same version
    theirs = script(Theirs(peer, batched=batched))
    without_debounced(client)
    ours = script(Ours(batched=batched))
    assert theirs == ours
    compare(client)


def without_debounced(client: redis.Redis) -> None:
    """BullMQ 5 tells each ``deduplicated`` twice, by its older name, too; 6 does not, nor do we."""
    for entry, fields in client.xrange("bull:theirs:events"):
        if fields["event"] == "debounced":
            client.xdel("bull:theirs:events", entry)


def at_random(seed: int) -> Callable[[Side], list[Any]]:
    """Fifty steps that nobody thought of, the same ones for both sides."""

    def script(side: Side) -> list[Any]:
        chance = random.Random(seed)
        said: list[Any] = []
        known: list[str] = []
        active: list[str] = []

        def one(n: int) -> dict[str, Any]:
            # Made some days ago, and due in years: rescheduled to no delay at all, it runs.
            made = job(n) | {"timestamp": DAYS_AGO + n}
            if delay := chance.choice((0, 0, 1, 2)):
                made["delay"] = delay * 365 * 86_400_000
            rule = made["deduplication"]
            rule["id"] = chance.choice("ab")
            if chance.random() < 0.5:
                rule["ttl"] = chance.choice((55_000, 105_000))
                rule |= chance.choice(({}, {"extend": True}))
            rule |= chance.choice(({}, {"replace": True}, {"reschedule": True}))
            rule |= chance.choice(({}, {"keepLastIfActive": True}))
            made |= chance.choice(({}, {"priority": 3}, {"lifo": True}, {"removeOnComplete": True}))
            if chance.random() < 0.1:
                made["jobId"] = f"own-{chance.randrange(4)}"
            if chance.random() < 0.2:
                del made["deduplication"]
            return made

        for step in range(50):
            kind = chance.choice(("add", "add", "claim", "claim", "end", "end", "remove", "free"))
            if kind == "add":
                added = side.add(*(one(step * 10 + n) for n in range(chance.randint(1, 4))))
                known += added
                said.append(added)
            elif kind == "claim":
                if claimed := side.claim():
                    active.append(claimed)
                said.append(claimed)
            elif kind == "end" and active:
                ended = active.pop(chance.randrange(len(active)))
                chance.choice((side.complete, side.complete, side.fail))(ended)
                # What follows two jobs that end in one millisecond is due in one, too: by chance.
                time.sleep(0.002)
            elif kind == "remove" and known:
                removed = chance.choice(known)
                if removed not in active:
                    side.remove(removed)
            elif kind == "free":
                said.append(side.free("a") if chance.random() < 0.3 else side.owner("b"))
        return said

    return script


@pytest.mark.crosswise(batched=False)
@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
@pytest.mark.parametrize("seed", range(20))
def test_the_same_at_random(six: Peer, redis_client: redis.Redis, seed: int, batched: bool) -> None:
    theirs = at_random(seed)(Theirs(six, batched=batched))
    assert at_random(seed)(Ours(batched=batched)) == theirs
    for queue in ("theirs", "ours"):
        if not redis_client.exists(f"bull:{queue}:delayed"):
            # A hint of what is there no more: we give it at the end of a batch, if then.
            redis_client.zrem(f"bull:{queue}:marker", "1")
    compare(redis_client)


# It knows neither `reschedule` nor how to free an id, and has no word for some that are tested.
PORT_SCRIPTS = [
    simple,
    several_ids,
    free_after_completing,
    free_after_failing,
    throttled,
    extended,
    extended_to_less,
    debounced,
    debounced_and_extended,
    replaced_by_another_kind,
    nothing_to_replace,
    the_last_while_active,
    the_last_follows_a_failure,
    the_last_with_an_id_of_its_own,
    the_last_and_a_ttl,
    a_ttl_is_lifted_for_the_last,
    ids_and_kinds,
]


@pytest.mark.crosswise(batched=False)
@pytest.mark.parametrize("batched", [False, True], ids=["single", "batched"])
@pytest.mark.parametrize("script", PORT_SCRIPTS, ids=lambda script: script.__name__)
def test_the_same_as_the_port(
    port: Peer, redis_client: redis.Redis, script: Callable[[Side], list[Any]], batched: bool
) -> None:
    """The port adds; all else is done by our hands."""
    theirs = Ours(batched=False, queue="theirs")
    theirs.add = Theirs(port, batched=False).add  # type: ignore[method-assign]
    assert script(theirs) == script(Ours(batched=batched))
    without_zero_delays(redis_client)
    compare(redis_client)


def without_zero_delays(client: redis.Redis) -> None:
    """The port writes ``"delay": 0`` into the options of jobs that are not late; Node does not."""
    for key in client.scan_iter("bull:theirs:*", _type="hash"):
        opts = json.loads(client.hget(key, "opts") or "{}")
        if opts.get("delay") == 0:
            del opts["delay"]
            client.hset(key, "opts", json.dumps(opts))


@pytest.mark.parity("JobOptions.deduplication.keepLastIfActive")
@pytest.mark.parametrize("adder", ["node", "ours"])
@pytest.mark.parametrize("worker", ["node", "ours"])
def test_the_last_of_many_runs_after_the_one_that_runs(
    peer: Peer, redis_client: redis.Redis, adder: str, worker: str
) -> None:
    """The adds of one side, turned away while the other side's worker runs, are not lost."""
    theirs, mine, events = peer.queue("q"), Queue("q"), peer.queue_events("q")
    rule = Deduplication("once", keep_last_if_active=True)
    release = threading.Event()

    def add(n: int) -> str:
        if adder == "ours":
            return mine.add("job", {"n": n}, deduplication=rule).id
        opts = {"deduplication": rule.wire()}
        return str(theirs.add("job", {"n": n}, opts)["id"])

    def work(job: Job) -> int:
        release.wait(20)
        return int(job.data["n"])

    def scene() -> None:
        assert add(1) == "1"
        events.wait_for("active")
        assert [add(n) for n in range(2, 9)] == ["1"] * 7
        release.set()
        peer.open("held")
        done = events.wait_for("completed", 2)
        assert [args[0]["returnvalue"] for args in done] == [1, 8]
        # Its id is free again.
        assert add(9) not in ("1", done[1][0]["jobId"])
        assert events.wait_for("completed", 3)[2][0]["returnvalue"] == 9

    if worker == "ours":
        with working("q", work):
            scene()
    else:
        peer.worker("q", "async job => { await gate('held'); return job.data.n; }")
        scene()
    assert theirs.getDeduplicationJobId("once") is None
    assert mine.get_deduplication_job_id("once") is None
    counts = invariants.check(redis_client, "q")
    assert counts["completed"] == sum(counts.values()) == 3


def test_one_of_two_adders_at_a_time_wins(peer: Peer, redis_client: redis.Redis) -> None:
    theirs, mine = peer.queue("q"), Queue("q")
    opts = {"deduplication": {"id": "once"}}
    ids: list[str] = []

    def adding() -> None:
        spec = JobSpec("job", {}, deduplication=Deduplication("once"))
        ids.extend(job.id for job in mine.add_bulk([spec] * 50))
        ids.extend(mine.add(spec.name, **spec.options).id for _ in range(50))

    threads = [threading.Thread(target=adding) for _ in range(3)]
    for thread in threads:
        thread.start()
    ids += [job["id"] for job in theirs.addBulk([{"name": "job", "data": {}, "opts": opts}] * 50)]
    for thread in threads:
        thread.join()
    assert (len(ids), len(set(ids))) == (350, 1)
    counts = invariants.check(redis_client, "q")
    assert counts["wait"] == sum(counts.values()) == 1
