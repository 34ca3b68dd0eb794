"""What the fault tests share: a proxy before the server, worker processes, a ledger of runs."""

from collections.abc import Iterator
from typing import Any

import pytest

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
