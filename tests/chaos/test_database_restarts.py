"""Postgres is restarted under jobs that use the ORM: what failed runs again, nothing is left."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from queuecore import Backoff, JobSpec, Queue
from tests.chaos.fleet import Fleet, migrate
from tests.chaos.ledger import Ledger
from tests.postgres import Postgres
from tests.servers import Server

CONCURRENCY = 20
# Each process has some of its own: the relay's and that of operations.
OWN = 3
ADD = """
import django
django.setup()
from queuecore import Queue
Queue("orm").add_in_transaction("sync")
"""
OTHERS = """
    SELECT count(*) FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    postgres = Postgres().start()
    yield postgres
    postgres.close()


def restart(postgres: Postgres) -> None:
    postgres.stop()
    time.sleep(0.5)  # away for long enough that jobs try to connect
    postgres.start()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("keep", [0, 3600], ids=["closed after each job", "kept"])
def test_jobs_that_use_the_orm_outlive_restarts(
    server: Server,
    postgres: Postgres,
    child_environment: dict[str, str],
    ledger: Ledger,
    tmp_path: Path,
    keep: int,
) -> None:
    environment = child_environment | {
        "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
        "QUEUECORE_TEST_POSTGRES_URL": postgres.url,
        "QUEUECORE_TEST_KEEP": str(keep),
    }
    migrate(environment)
    queue = Queue("orm")
    names = ["sync", "async"]
    fleet = Fleet(environment, ledger, tmp_path / "log")
    try:
        fleet.start("orm", CONCURRENCY=CONCURRENCY)
        patient = {"attempts": 50, "backoff": Backoff.fixed(0.1)}
        jobs = queue.add_bulk(
            JobSpec(names[n % 2], **patient)  # type: ignore[arg-type]
            for n in range(1000)
        )
        for moment in (100, 400, 700):
            fleet.until(lambda m=moment: queue.get_completed_count() > m, 60)  # type: ignore[misc]
            restart(postgres)
        fleet.until(lambda: queue.get_completed_count() == 1000, 120)
        assert queue.get_failed_count() == 0
        again = [job for job in map(queue.get_job, [one.id for one in jobs]) if job]
        retried = dict.fromkeys(names, 0)
        for job in again:
            retried[job.name] += job.attempts_made > 1
        assert all(retried.values())  # both kinds were hit
        assert postgres.ask("SELECT count(*) FROM auth_group") == [(3 * 1000,)]

        # Its connections were kept, or not, and all are dead by now: no job may hear of that.
        restart(postgres)
        once = queue.add_bulk(JobSpec(names[n % 2], attempts=1) for n in range(200))
        fleet.until(lambda: queue.get_job_counts()["active"] + queue.count() == 0, 60)
        assert [job.failed_reason for job in queue.get_failed()] == []
        assert queue.get_completed_count() == 1000 + len(once)

        # The relay of the outbox has found its database again, too.
        subprocess.run([sys.executable, "-c", ADD], env=environment, check=True)
        fleet.until(lambda: queue.get_completed_count() == 1000 + len(once) + 1, 60)

        most = OWN + (2 * CONCURRENCY if keep else 0)
        fleet.until(lambda: postgres.ask(OTHERS)[0][0] <= most, 30)
        code, _ = fleet.terminate(15)
        assert code == 0, fleet.said()
        deadline = time.monotonic() + 30
        while (left := postgres.ask(OTHERS)[0][0]) and time.monotonic() < deadline:
            time.sleep(0.05)  # its backends end after it
        assert left == 0
        print(f"tried again: {retried}")
    finally:
        fleet.close()
