"""The primary of a Sentinel set is killed under load."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from tests.chaos import failover
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.ensembles import SentinelSet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PREFIX = "bull"


@pytest.fixture
def ensemble() -> Iterator[SentinelSet]:
    """Its servers; all of them end with the test."""
    ensemble = SentinelSet()
    yield ensemble
    ensemble.close()


def test_everything_goes_on_after_a_failover(
    ensemble: SentinelSet, settings: Any, fleet: Fleet, ledger: Ledger, admin_client: Client
) -> None:
    failover.connect(settings, ensemble, PREFIX)
    primary = ensemble.primary
    failover.survive(ensemble, primary, PREFIX, fleet, ledger, admin_client)
