"""Schedulers that go through the hands of Node, PyPI's bullmq and ours, run by run."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis

from queuecore import Job, Queue
from tests import invariants
from tests.interop.node import Peer
from tests.interop.ours import working
from tests.servers import Server

EVERY = 60  # ms
RUNS = 20
NODE = "async job => job.data.n"


async def ours(job: Job) -> Any:
    return job.data["n"]


def until(what: Callable[[], Any], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def completed(client: redis.Redis) -> list[str]:
    return list(client.zrange("bull:q:completed", 0, -1))


@contextmanager
def node_works(peer: Peer) -> Iterator[None]:
    worker = peer.worker("q", NODE)
    yield
    worker.close()


@contextmanager
def we_work() -> Iterator[None]:
    with working("q", ours):
        yield


def sound(client: redis.Redis, runs: int, every: int = EVERY, *, dense: bool = True) -> None:
    """Every run has its own moment on the grid, its number and its data, and one run waits."""
    invariants.check(client, "q")
    ids = sorted(completed(client), key=moment)
    assert len(ids) >= runs
    moments = [moment(id) for id in ids]
    assert len(set(moments)) == len(moments)
    assert {(m - moments[0]) % every for m in moments} == {0}
    # A busy machine may miss some; most must be there.
    assert not dense or (moments[-1] - moments[0]) / every < 3 * len(moments)
    for number, id in enumerate(ids, start=1):
        row = client.hgetall(f"bull:q:{id}")
        opts = json.loads(row["opts"])
        assert (opts["repeat"]["count"], opts["jobId"], opts["repeatJobKey"]) == (number, id, "s")
        assert (row["rjk"], row["atm"], row["returnvalue"]) == ("s", "1", "7")
        assert row["ats"] in ("1", "2")  # a claim under way at a change of hands is handed back
        assert (json.loads(row["data"]), row["name"]) == ({"n": 7}, "sum")
    pending = int(client.zscore("bull:q:repeat", "s"))
    assert client.exists(f"bull:q:repeat:s:{pending}")
    assert pending not in moments
    assert int(client.hget("bull:q:repeat:s", "ic")) == len(ids) + 1


def moment(id: str) -> int:
    return int(id.rpartition(":")[2])


def node_makes(peer: Peer) -> None:
    peer.queue("q").upsertJobScheduler("s", {"every": EVERY}, {"name": "sum", "data": {"n": 7}})


def we_make() -> None:
    Queue("q").upsert_job_scheduler("s", every=EVERY / 1000, name="sum", data={"n": 7})


def test_node_makes_and_we_go_on(peer: Peer, redis_client: redis.Redis) -> None:
    node_makes(peer)
    with we_work():
        until(lambda: len(completed(redis_client)) >= RUNS)
    sound(redis_client, RUNS)


def test_we_make_and_node_goes_on(peer: Peer, redis_client: redis.Redis) -> None:
    we_make()
    with node_works(peer):
        until(lambda: len(completed(redis_client)) >= RUNS)
    sound(redis_client, RUNS)


@pytest.mark.parametrize("makers", ["node", "us"])
def test_a_change_of_hands(peer: Peer, redis_client: redis.Redis, makers: str) -> None:
    """One goes, the other comes; then both at once, and one of them leaves."""
    node_makes(peer) if makers == "node" else we_make()
    for turn in range(4):
        done = len(completed(redis_client))
        with node_works(peer) if turn % 2 else we_work():
            until(lambda done=done: len(completed(redis_client)) >= done + 5)
    done = len(completed(redis_client))
    with node_works(peer), we_work():
        until(lambda: len(completed(redis_client)) >= done + 10)
    sound(redis_client, 30)


@pytest.mark.crosswise
def test_a_pattern_in_both_hands(peer: Peer, redis_client: redis.Redis) -> None:
    peer.queue("q").upsertJobScheduler(
        "s", {"pattern": "* * * * * *", "tz": "Asia/Kathmandu"}, {"name": "sum", "data": {"n": 7}}
    )
    for hands in (we_work(), node_works(peer), we_work()):
        done = len(completed(redis_client))
        with hands:
            until(lambda done=done: len(completed(redis_client)) >= done + 2)
    sound(redis_client, 6, every=1000)


def test_three_versions_take_turns(five: Peer, six: Peer, redis_client: redis.Redis) -> None:
    node_makes(five)
    for turn in range(6):
        done = len(completed(redis_client))
        with (we_work(), node_works(five), node_works(six))[turn % 3]:
            until(lambda done=done: len(completed(redis_client)) >= done + 4)
    sound(redis_client, 24)


def test_limit_and_failures_through_both_hands(peer: Peer, redis_client: redis.Redis) -> None:
    """Retries count for nothing, and the limit holds whoever made the runs before."""
    peer.queue("q").upsertJobScheduler(
        "s",
        {"every": EVERY, "limit": 6},
        {"name": "sum", "data": {"n": 7}, "opts": {"attempts": 2}},
    )

    async def fails_once(job: Job) -> int:
        if job.attempts_made == 0:
            raise ValueError("once")
        return 7

    with working("q", fails_once):
        until(lambda: len(completed(redis_client)) >= 3)
    with node_works(peer):
        until(lambda: len(completed(redis_client)) == 6)
        time.sleep(4 * EVERY / 1000)  # nothing more may come
    assert len(completed(redis_client)) == 6
    counts = [
        json.loads(redis_client.hget(f"bull:q:{id}", "opts"))["repeat"]["count"]
        for id in sorted(completed(redis_client), key=moment)
    ]
    assert counts == [1, 2, 3, 4, 5, 6]
    assert redis_client.hget("bull:q:repeat:s", "ic") == "6"


def test_node_hears_of_our_runs(peer: Peer, redis_client: redis.Redis) -> None:
    events = peer.queue_events("q")
    we_make()
    with we_work():
        until(lambda: len(completed(redis_client)) >= 3)
    done = [one["jobId"] for one, _ in events.wait_for("completed", 3)]
    heard = {
        event: [args[0]["jobId"] for args in events.of(event)]
        for event in ("added", "waiting", "delayed", "active")
    }
    for id in done[:3]:
        assert heard["added"].count(id) == heard["active"].count(id) == 1
        assert heard["waiting"].count(id) == 1
    assert set(done[1:3]) <= set(heard["delayed"])
    Queue("q").remove_job_scheduler("s")
    removed = events.wait_for("removed")
    assert removed[0][0]["prev"] == "delayed"


@pytest.mark.parity(
    "Queue.getJobScheduler", "Queue.getJobSchedulers", "Queue.getJobSchedulersCount"
)
def test_each_reads_the_others(peer: Peer, redis_client: redis.Redis) -> None:
    theirs, ours = peer.queue("q"), Queue("q")
    start, end = datetime(2040, 1, 1, tzinfo=UTC), datetime(2041, 1, 1, tzinfo=UTC)
    repeat = {"pattern": "0 8 * * 1-5", "tz": "Europe/Berlin", "limit": 9}
    dates = {"startDate": int(start.timestamp() * 1000), "endDate": int(end.timestamp() * 1000)}
    theirs.upsertJobScheduler(
        "theirs", repeat | dates, {"name": "sum", "data": {"n": 1}, "opts": {"attempts": 3}}
    )
    ours.upsert_job_scheduler(
        "ours",
        pattern=repeat["pattern"],
        tz=repeat["tz"],
        limit=9,
        start_date=start,
        end_date=end,
        name="sum",
        data={"n": 1},
        opts={"attempts": 3},
    )
    ours.upsert_job_scheduler("beat", every=1.5, offset=0.2)
    read = {one["key"]: one for one in theirs.getJobSchedulers()}
    assert read["ours"] | {"key": "theirs"} == read["theirs"] == theirs.getJobScheduler("theirs")
    assert (read["beat"]["every"], read["beat"]["offset"]) == (1500, 200)
    assert theirs.getJobSchedulersCount() == ours.get_job_schedulers_count() == 3
    found = {one.key: one for one in ours.get_job_schedulers()}
    mine, others = found["ours"], found["theirs"]
    for name in ("next", "pattern", "tz", "limit", "start_date", "end_date", "data", "opts"):
        assert getattr(mine, name) == getattr(others, name), name
    assert ours.remove_job_scheduler("theirs") is True
    assert theirs.removeJobScheduler("ours") is True
    assert theirs.removeJobScheduler("ours") is False
    invariants.check(redis_client, "q")


# Repeatable jobs, which only BullMQ 5 makes


def test_repeatable_jobs_go_on_with_their_data(five: Peer, redis_client: redis.Redis) -> None:
    five.queue("q").add("sum", {"n": 7}, {"repeat": {"every": EVERY}, "attempts": 3})
    (shown,) = Queue("q").get_job_schedulers()
    assert (shown.name, shown.every, shown.legacy) == ("sum", EVERY / 1000, True)
    for hands in (we_work(), node_works(five), we_work()):
        done = len(completed(redis_client))
        with hands:
            until(lambda done=done: len(completed(redis_client)) >= done + 5)
    rows = [redis_client.hgetall(f"bull:q:{id}") for id in completed(redis_client)]
    assert {row["returnvalue"] for row in rows} == {"7"}
    assert {json.loads(row["opts"])["attempts"] for row in rows} == {3}
    (shown,) = Queue("q").get_job_schedulers()
    assert shown.legacy is False
    invariants.check(redis_client, "q")


def test_repeatable_jobs_migrated_for_six(five: Peer, six: Peer, redis_client: redis.Redis) -> None:
    queue = five.queue("q")
    queue.add("sum", {"n": 7}, {"repeat": {"every": EVERY}})
    queue.add("week", {"n": 8}, {"repeat": {"pattern": "0 8 * * 1", "tz": "UTC"}, "priority": 3})
    queue.add("raw", {"n": 9}, {"repeat": {"pattern": "0 9 * * 1", "key": "a:b:::0 9 * * 1"}})
    before = {one["key"]: one for one in queue.getRepeatableJobs()}
    made = Queue("q").migrate_repeatable_jobs()
    assert len(made) == 3
    schedulers = {one["name"]: one for one in six.queue("q").getJobSchedulers()}
    for old in before.values():
        new = schedulers[old["name"]]
        assert (new["next"], new.get("pattern")) == (old["next"], old["pattern"])
    assert schedulers["week"]["template"] == {"data": {"n": 8}, "opts": {"priority": 3}}
    assert schedulers["raw"]["template"]["data"] == {"n": 9}
    assert sum(Queue("q").get_job_counts("delayed", "waiting").values()) == 3
    invariants.check(redis_client, "q")
    with node_works(six):
        until(lambda: len(completed(redis_client)) >= 5)
    assert {redis_client.hget(f"bull:q:{id}", "returnvalue") for id in completed(redis_client)} == {
        "7"
    }


# PyPI's bullmq


def port(peer_python: Path, server: Server, role: str) -> None:
    script = Path(__file__).with_name("scheduling_port.py")
    subprocess.run([peer_python, script, role, server.socket], check=True, timeout=60)


def test_the_port_makes_and_we_go_on(
    peer_python: Path, server: Server, redis_client: redis.Redis
) -> None:
    port(peer_python, server, "make")
    with we_work():
        until(lambda: len(completed(redis_client)) >= RUNS)
    sound(redis_client, RUNS)


def test_we_make_and_the_port_goes_on(
    peer_python: Path, server: Server, redis_client: redis.Redis
) -> None:
    we_make()
    for _ in range(2):
        port(peer_python, server, "work")
        done = len(completed(redis_client))
        with we_work():
            until(lambda done=done: len(completed(redis_client)) >= done + 5)
    sound(redis_client, 18, dense=False)  # the port looks for delayed jobs once a second
