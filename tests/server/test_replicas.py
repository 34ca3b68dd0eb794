"""``WAIT_REPLICAS``: an add says when too few replicas have it."""

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from queuecore import JobSpec, Queue
from queuecore.errors import NotReplicated, ServerUnavailable
from tests.ensembles import Ensemble, online, wait


@pytest.fixture
def ensemble() -> Iterator[Ensemble]:
    """A primary and its only replica; both end with the test."""
    ensemble = Ensemble()
    primary, replica = ensemble.start_server(), ensemble.start_server()
    try:
        with replica.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", ensemble.ports[primary])
        with primary.client() as client:
            wait(lambda: online(client) == 1, "replica that has all")
        yield ensemble
    finally:
        ensemble.close()


def test_an_add_that_no_replica_has(ensemble: Ensemble, settings: Any) -> None:
    primary, replica = ensemble.servers
    waits = {"URL": primary.url, "WAIT_REPLICAS": 1, "WAIT_TIMEOUT": 4}
    brief = waits | {"WAIT_TIMEOUT": 0.05}
    connections = settings.QUEUECORE["CONNECTIONS"] | {"waits": waits, "brief": brief}
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": connections}
    queue = Queue("short", connection="waits")
    assert queue.add("kept", {}).id == "1"
    assert async_to_sync(queue.aadd)("kept", {}).id == "2"
    replica.kill()
    queue = Queue("short", connection="brief")
    with pytest.raises(NotReplicated, match=r"connection 'brief'.*0 of 1.*0\.05 s") as caught:
        queue.add("unsafe", {})
    assert "WAIT_REPLICAS" in str(caught.value)
    assert isinstance(caught.value, ServerUnavailable)
    with pytest.raises(NotReplicated):
        async_to_sync(queue.aadd)("unsafe", {})
    with pytest.raises(NotReplicated):
        queue.add_bulk([JobSpec("unsafe", {})])
    # They are there; only adds are waited for.
    queue.pause()
    assert queue.get_job_counts("waiting") == {"waiting": 5}
