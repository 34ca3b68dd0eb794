"""The server is killed again and again under load; its append-only file brings back all of it."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from queuecore import JobSpec, Queue
from queuecore.errors import ServerUnavailable
from tests import invariants
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.chaos.settings import WORKER
from tests.chaos.watch import finished, watched
from tests.servers import Server

Q = "bull:short:"
# What is sent while the server starts is carried out later, with the time of its sending.
TOLERANCE = 2_000
Connect = Callable[[Server], None]


class Producer(threading.Thread):
    """Adds jobs one by one, the server there or not; what it was told stands in its lists."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self.added: list[str] = []
        self.unknown: list[int] = []
        self.errors: list[Exception] = []

    def run(self) -> None:
        queue = Queue("short", connection="mortal")
        for n in range(self._count):
            try:
                self.added.append(queue.add("async", {"n": n}, attempts=1).id)
            except ServerUnavailable:
                self.unknown.append(n)
            except Exception as error:
                self.errors.append(error)


@pytest.mark.parametrize(
    ("count", "kills"),
    [
        pytest.param(1_500, 2, id="small"),
        pytest.param(
            10_000, 5, id="10,000 jobs", marks=[pytest.mark.slow, pytest.mark.timeout(600)]
        ),
    ],
)
def test_sigkill_of_the_server(
    new_server: Callable[..., Server],
    fleet: Fleet,
    ledger: Ledger,
    connect: Connect,
    count: int,
    kills: int,
) -> None:
    rng = random.Random()
    server = new_server(persist=True)
    connect(server)
    # Longer than any outage here, with the pauses between tries: that is another test's.
    fleet.start("short", url=server.url, LOCK_DURATION=8)
    producer = Producer(count)
    producer.start()
    moments = sorted(rng.sample(range(count // 50, count * 9 // 10), kills))
    killed = interrupted = 0
    with watched(server, "short", TOLERANCE) as wrong:
        for moment in moments:
            fleet.until(lambda m=moment: ledger.ends() > m, 120)  # type: ignore[misc]
            server.kill()
            killed += 1
            time.sleep(rng.random())
            server.start()
            with server.client() as client:
                interrupted += client.llen(f"{Q}active")
        producer.join(120)
        assert not producer.is_alive()
        with server.client() as client:
            told = len(producer.added)
            fleet.until(lambda: finished(client, "short") >= told, 60)
            # Adds of unknown fate may have come in.
            fleet.until(lambda: client.llen(f"{Q}wait") + client.llen(f"{Q}active") == 0, 60)
        code, _ = fleet.terminate(10)
    assert code == 0, fleet.said()
    assert wrong == []
    assert producer.errors == []

    with server.client() as client:
        counts = invariants.check(client, "short", tolerance=TOLERANCE)
        done = client.zrange(f"{Q}completed", 0, -1)
        events = [fields for _, fields in client.xrange(f"{Q}events")]
        made = Counter(client.hget(f"{Q}{id}", "data") for id in done)
        attempts = {client.hget(f"{Q}{id}", "atm") for id in done}
    # The faults were real, and met jobs at work.
    assert killed == kills
    assert interrupted > 0
    # Every add that was told to be done is there, once; one of unknown fate at most once.
    assert counts["completed"] == sum(counts.values()) == len(done)
    assert set(producer.added) <= set(done)
    assert len(done) - len(producer.added) <= len(producer.unknown)
    assert set(made.values()) == {1}
    assert len(producer.added) + len(producer.unknown) == count
    # One outcome each.
    assert attempts == {"1"}
    told_done = Counter(one["jobId"] for one in events if one["event"] == "completed")
    assert set(told_done.values()) <= {1}
    # No lock ran out, and the process lived on: nothing had a reason to run twice.
    assert {len(runs) for runs in ledger.runs().values()} == {1}
    print(
        f"{count} jobs, {kills} kills of the server, {interrupted} active then, none ran again, "
        f"{len(producer.unknown)} adds of unknown fate"
    )


def test_an_outage_longer_than_the_lock(
    new_server: Callable[..., Server], fleet: Fleet, ledger: Ledger, connect: Connect
) -> None:
    """Every lock runs out; the worker takes its own jobs again and none of them runs twice."""
    server = new_server(persist=True)
    connect(server)
    queue = Queue("long", connection="mortal")
    queue.add_bulk(JobSpec("async", {"seconds": 4}) for _ in range(10))
    fleet.start("long", url=server.url)
    fleet.until(lambda: len(ledger.runs()) == 10, 20)
    server.kill()
    # Longer than any lock can last: none is left when the server is back, but those that the
    # worker takes again at once.
    time.sleep(WORKER["LOCK_DURATION"] * 1.5)
    server.start()
    with server.client() as client:
        fleet.until(lambda: finished(client, "long") == 10, 30)
        counts = invariants.check(client, "long", tolerance=TOLERANCE)
    assert counts["completed"] == 10
    assert {len(runs) for runs in ledger.runs().values()} == {1}, fleet.said()
    fleet.terminate(10)


def test_adds_wait_for_a_short_outage(new_server: Callable[..., Server], connect: Connect) -> None:
    server = new_server(persist=True)
    connect(server)
    queue = Queue("q", connection="mortal")
    queue.add("before")
    server.kill()
    with ThreadPoolExecutor(1) as threads:
        during = threads.submit(queue.add, "during")
        # Started from here: it would end with the thread that started it.
        server.start()
        assert during.result(10).id == "2"
    assert [one.name for one in queue.get_jobs("waiting", asc=True)] == ["before", "during"]


def test_adds_fail_clearly_in_a_long_outage(
    new_server: Callable[..., Server], connect: Connect
) -> None:
    server = new_server(persist=True)
    connect(server)
    queue = Queue("q", connection="mortal")
    queue.add("before")
    server.kill()
    begun = time.monotonic()
    with pytest.raises(ServerUnavailable, match="'mortal'"):
        queue.add("during")
    assert time.monotonic() - begun < 3
    server.start()
    assert queue.add("after").id == "2"
