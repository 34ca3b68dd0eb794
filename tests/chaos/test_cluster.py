"""The primary of the queues' slot of a Cluster is killed under load."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from queuecore.wire.primary import slot
from tests.chaos import failover
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.ensembles import Cluster
from tests.servers import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PREFIX = "{bull}"


@pytest.fixture
def ensemble() -> Iterator[Cluster]:
    """Its servers; all of them end with the test."""
    ensemble = Cluster()
    yield ensemble
    ensemble.close()


def test_everything_goes_on_after_a_failover(
    ensemble: Cluster, settings: Any, fleet: Fleet, ledger: Ledger, admin_client: Client
) -> None:
    failover.connect(settings, ensemble, PREFIX)

    def primary() -> Server:
        return ensemble.owner(slot(PREFIX))

    failover.survive(ensemble, primary, PREFIX, fleet, ledger, admin_client)
