"""The Node peers: one process a version, its objects closed after each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop.node import Peer, Port
from tests.machine import PEERS
from tests.servers import Server

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Carry the mark ``crosswise`` out: of its two versions times two manners, two are quick."""
    for item in items:
        mark = item.get_closest_marker("crosswise")
        if mark is None or not item.path.is_relative_to(HERE):
            continue
        params: dict[str, object] = item.callspec.params  # type: ignore[attr-defined]
        as_five = all(params[name] == value for name, value in mark.kwargs.items())
        # Without a manner, it is 6 alone.
        is_quick = {
            "bullmq-5": as_five and bool(mark.kwargs),
            "bullmq-6": not (as_five and mark.kwargs),
        }
        if not is_quick[params.get("bullmq", "bullmq-6")]:  # type: ignore[index]
            item.add_marker(pytest.mark.slow)


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
