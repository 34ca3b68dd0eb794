"""What the fault tests share: a proxy before the server, worker processes, a ledger of runs."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.chaos.proxy import Proxy
from tests.servers import Server


@pytest.fixture
def proxy(server: Server, settings: Any) -> Iterator[Proxy]:
    """A proxy before the tests' server; the connection ``faulty`` goes through it."""
    with Proxy(server) as proxy:
        connections = settings.QUEUECORE["CONNECTIONS"]
        settings.QUEUECORE = settings.QUEUECORE | {
            "CONNECTIONS": connections | {"faulty": {"URL": proxy.url}}
        }
        yield proxy


@pytest.fixture
def connect(settings: Any) -> Callable[[Server], None]:
    """Makes a server the connection ``mortal`` of this test."""

    def connect(server: Server) -> None:
        connections = settings.QUEUECORE["CONNECTIONS"]
        settings.QUEUECORE = settings.QUEUECORE | {
            "CONNECTIONS": connections | {"mortal": {"URL": server.url}}
        }

    return connect


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """The ledger of this test's worker processes."""
    ledger = Ledger(tmp_path / "ledger")
    yield ledger
    ledger.close()


@pytest.fixture
def fleet(child_environment: dict[str, str], ledger: Ledger, tmp_path: Path) -> Iterator[Fleet]:
    """Worker processes on the tests' server; all ended with the test."""
    fleet = Fleet(child_environment, ledger, tmp_path / "log")
    yield fleet
    fleet.close()
