"""Relays and the server are killed while transactions commit: just their jobs run, once each."""

import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import invariants
from tests.chaos.fleet import Fleet, migrate
from tests.chaos.ledger import Ledger
from tests.machine import ROOT
from tests.postgres import Postgres
from tests.servers import Server

Count = Callable[[], int]
Q = "bull:short:"
WAITING = "SELECT count(*) FROM queuecore_outboxentry"


@pytest.fixture(params=["sqlite", "postgres"])
def database(
    request: pytest.FixtureRequest, child_environment: dict[str, str], tmp_path: Path
) -> Iterator[tuple[dict[str, str], Count]]:
    """An empty database with its tables: the environment for its users, and its outbox's rows."""
    environment = child_environment | {"DJANGO_SETTINGS_MODULE": "tests.chaos.settings"}
    postgres = None
    if request.param == "postgres":
        postgres = Postgres().start()
        environment |= {
            "QUEUECORE_TEST_POSTGRES_URL": postgres.url,
            "QUEUECORE_TEST_KEEP": "3600",
        }
        asked: Count = lambda: int(postgres.ask(WAITING)[0][0])  # noqa: E731
    else:
        path = tmp_path / "db.sqlite3"
        environment |= {"QUEUECORE_TEST_DATABASE": str(path)}

        def asked() -> int:
            with sqlite3.connect(path, timeout=30) as connection:
                return int(connection.execute(WAITING).fetchone()[0])

    migrate(environment)
    yield environment, asked
    if postgres is not None:
        postgres.close()


class Relay(Fleet):
    """A process that does nothing else."""

    _told = 0

    def begin(self, server: Server) -> None:
        """Start it; it says when it is ready."""
        self._told = len(self.log.read_text()) if self.log.exists() else 0
        self.start("--relay", url=server.url)

    def began(self) -> bool:
        """Whether the present one is ready."""
        return "is moved to Redis" in self.log.read_text()[self._told :]


@pytest.mark.parametrize(
    ("count", "seconds", "kills", "outages"),
    [
        pytest.param(
            10_000,
            60,
            20,
            5,
            id="10,000 transactions",
            marks=[pytest.mark.slow, pytest.mark.timeout(600)],
        ),
    ],
)
def test_just_the_committed_jobs_run(
    database: tuple[dict[str, str], Count],
    new_server: Callable[..., Server],
    ledger: Ledger,
    tmp_path: Path,
    count: int,
    seconds: float,
    kills: int,
    outages: int,
) -> None:
    environment, waiting = database
    rng = random.Random()
    server = new_server(persist=True)
    environment |= {"QUEUECORE_TEST_URL": server.url}
    # Its jobs are to run once: it works on, and longer than any outage here.
    worker = Fleet(
        environment | {"QUEUECORE_TEST_OUTBOX": '{"POLL": null}'}, ledger, tmp_path / "worker"
    )
    relays = [Relay(environment, ledger, tmp_path / f"relay-{n}", "outbox") for n in range(2)]
    committed = tmp_path / "committed"
    fleets = [worker, *relays]
    producer = None
    try:
        worker.start("short", url=server.url, LOCK_DURATION=8)
        for relay in relays:
            relay.begin(server)
        producer = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.transactions", f"{count}", f"{seconds}", committed],
            env=environment,
            cwd=ROOT,
        )
        cut_off = down = 0
        for number in range(kills):
            relay = relays[number % 2]
            relay.until(relay.began, 60)
            moved = added(server)
            # There may be nothing left to move: killed then, it is killed, too.
            deadline = time.monotonic() + 10
            while added(server) == moved and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(rng.random() * 0.3)
            if number % (kills // outages) == 1:
                server.kill()
                time.sleep(rng.random() * 2)
                down += 1
            relay.kill()
            if server.pid is None:
                server.start()
            with server.client() as client:
                for key in client.keys("qc:*:outbox:*"):
                    cut_off += len(client.hkeys(key)) > 2
            relay.begin(server)
        assert producer.wait(180) == 0
        worker.until(lambda: waiting() == 0, 120)
        with server.client() as client:
            worker.until(lambda: client.llen(f"{Q}wait") + client.llen(f"{Q}active") == 0, 60)
        for relay in relays:
            relay.until(relay.began, 60)  # before that it hears no signal
        for fleet in fleets:
            code, _ = fleet.terminate(15)
            assert code == 0, fleet.said()
    finally:
        if producer is not None:
            producer.kill()
            producer.wait()
        for fleet in fleets:
            fleet.close()

    assert down == outages
    promised = dict(line.split() for line in committed.read_text().splitlines())
    assert len(promised) == count - count // 3
    runs = ledger.runs()
    assert set(runs) == set(promised.values())
    assert Counter(len(one) for one in runs.values()) == {1: len(promised)}
    with server.client() as client:
        counts = invariants.check(client, "short")
        kept = client.zrange(f"{Q}completed", 0, -1)
        numbers = Counter(client.hget(f"{Q}{id}", "data") for id in kept)
        left = client.keys("qc:*:outbox:*")
    assert counts["completed"] == sum(counts.values()) == len(kept)
    assert len(kept) == sum(int(n) % 4 != 0 for n in promised)
    assert set(numbers.values()) == {1}
    assert left == []  # nothing is remembered of what is done with
    print(f"{len(promised)} jobs, {kills} relays killed, {cut_off} between Redis and the database")


def added(server: Server) -> int:
    """How many jobs were ever added to the queue."""
    with server.client() as client:
        return int(client.get(f"{Q}id") or 0)
