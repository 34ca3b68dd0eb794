"""The Node peers: one process a version, its objects closed after each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.node import Peer
from tests.servers import Server


@pytest.fixture(scope="session")
def _peer(node: Path, bullmq: Path) -> Iterator[Peer]:
    peer = Peer(node, bullmq)
    yield peer
    peer.end()


@pytest.fixture
def peer(_peer: Peer, server: Server) -> Iterator[Peer]:
    """A Node process with BullMQ, on the tests' server; a test that asks for it runs on each
    version. An ``error`` that one of its objects emitted fails the test."""
    _peer.connection = {"path": str(server.socket)}
    yield _peer
    errors = _peer.reset()
    assert not errors, "\n".join(errors)
