"""Node's BullMQ and ours beside each other on a Sentinel set and on a Cluster."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from queuecore import Job, Queue, Worker
from tests.ensembles import Cluster, Ensemble, SentinelSet
from tests.interop.node import Peer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def sentinel() -> tuple[Ensemble, dict[str, Any]]:
    ensemble = SentinelSet()
    hosts = [{"host": "127.0.0.1", "port": port} for port in ensemble.sentinels]
    return ensemble, {"sentinels": hosts, "name": "jobs"}


def cluster() -> tuple[Ensemble, dict[str, Any]]:
    ensemble = Cluster()
    nodes = [{"host": "127.0.0.1", "port": port} for port in ensemble.ports.values()]
    return ensemble, {"nodes": nodes}


@pytest.fixture(params=[sentinel, cluster])
def beside(request: Any, node: Path, bullmq: Path, settings: Any) -> Iterator[Peer]:
    """A Node process on the servers that are our connection ``several``."""
    ensemble, connection = request.param()
    peer = Peer(node, bullmq)
    try:
        several = {"URL": ensemble.url, "PREFIX": "{bull}"}
        connections = settings.QUEUECORE["CONNECTIONS"] | {"several": several}
        settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": connections}
        peer.connection = connection
        yield peer
        assert not peer.reset()
    finally:
        peer.end()
        ensemble.close()


def test_each_runs_what_the_other_adds(beside: Peer) -> None:
    theirs = beside.worker("to-node", "async job => job.data.n + 1", prefix="{bull}")
    job = Queue("to-node", connection="several").add("ours", {"n": 1})
    assert theirs.wait_for("completed")[0][1] == 2
    assert job.get_state() == "completed"

    producer = beside.queue("to-us", prefix="{bull}")
    added = producer.add("theirs", {"n": 3})["id"]

    async def more(job: Job) -> int:
        return int(job.data["n"]) + 1

    asyncio.run(Worker("to-us", more, connection="several", burst=True).arun())
    assert producer.job(added).getState() == "completed"
