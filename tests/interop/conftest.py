"""The Node peers: one process a version, its objects closed after each test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.node import Peer, Port
from tests.machine import PEERS
from tests.servers import Server


@pytest.fixture(scope="session")
def _peer(node: Path, bullmq: Path) -> Iterator[Peer]:
    peer = Peer(node, bullmq)
    yield peer
    peer.end()


@pytest.fixture(scope="session")
def _five(node: Path) -> Iterator[Peer]:
    peer = Peer(node, PEERS / "bullmq-5")
    yield peer
    peer.end()


@pytest.fixture(scope="session")
def _six(node: Path) -> Iterator[Peer]:
    peer = Peer(node, PEERS / "bullmq-6")
    yield peer
    peer.end()


@pytest.fixture(scope="session")
def _port(peer_python: Path) -> Iterator[Port]:
    port = Port(peer_python)
    yield port
    port.end()


@contextmanager
def connected(peer: Peer, server: Server) -> Iterator[Peer]:
    """``peer`` on ``server``; an ``error`` that one of its objects emitted fails the test."""
    peer.connection = {"path": str(server.socket)}
    yield peer
    errors = peer.reset()
    assert not errors, "\n".join(errors)


@pytest.fixture
def peer(_peer: Peer, server: Server) -> Iterator[Peer]:
    """A Node process with BullMQ, on the tests' server; such a test runs with each version."""
    with connected(_peer, server) as peer:
        yield peer


@pytest.fixture
def five(_five: Peer, server: Server) -> Iterator[Peer]:
    """A Node process with BullMQ 5, where a test needs that or both."""
    with connected(_five, server) as peer:
        yield peer


@pytest.fixture
def six(_six: Peer, server: Server) -> Iterator[Peer]:
    """A Node process with BullMQ 6, where a test needs that or both."""
    with connected(_six, server) as peer:
        yield peer


@pytest.fixture
def port(_port: Port, server: Server) -> Iterator[Peer]:
    """A process with PyPI's bullmq."""
    with connected(_port, server) as port:
        yield port
