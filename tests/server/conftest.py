"""Every behaviour is tested twice: by the blocking methods and by their async twins."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from queuecore import Queue
from queuecore.wire.connections import get_connection
from tests.server.hands import Hands
from tests.server.processes import Start, starting
from tests.servers import Server

Do = Callable[..., Any]


@pytest.fixture
def queue(server: Server) -> Queue:
    """The queue ``q``, empty."""
    return Queue("q")


@pytest.fixture
def hands(queue: Queue) -> Hands:
    """A worker by hand on ``q``."""
    return Hands(queue)


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest, server: Server) -> Iterator[Do]:
    """``do(queue.pause)`` calls ``pause()``, or runs ``apause()`` in an event loop."""
    if request.param == "sync":
        yield lambda method, *args, **options: method(*args, **options)
        return
    with asyncio.Runner() as runner:

        def call(method: Callable[..., Any], *args: Any, **options: Any) -> Any:
            owner = method.__self__  # type: ignore[attr-defined]
            return runner.run(getattr(owner, f"a{method.__name__}")(*args, **options))

        yield call
        runner.run(get_connection().aclose())


@pytest.fixture
def start(child_environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """``start("emails", "--burst")`` starts ``runworker``; keywords are WORKER settings."""
    yield from starting(child_environment, tmp_path)


@pytest.fixture
def other(settings: Any) -> Queue:
    """The queue ``second`` of another connection, as the workers' settings name it."""
    url = settings.QUEUECORE["CONNECTIONS"]["default"]["URL"]
    connections = settings.QUEUECORE["CONNECTIONS"] | {"other": {"URL": url, "PREFIX": "second"}}
    settings.QUEUECORE = settings.QUEUECORE | {"CONNECTIONS": connections}
    return Queue("second", "other")
