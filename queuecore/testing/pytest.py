"""Fixtures for pytest: ``pytest_plugins = ["queuecore.testing.pytest"]`` in ``conftest.py``.

No entry point loads it: it would import Django and redis-py into every run of pytest on a machine
where the package happens to be installed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import server
from .cases import QueueCoreTestMixin
from .fake_clock import FakeClock, clock
from .inlining import inline


class Queues(QueueCoreTestMixin):
    """What the fixture ``queues`` gives: drain, enqueued, inline, clock and the assertions."""

    assert_enqueued = QueueCoreTestMixin.assertEnqueued
    assert_not_enqueued = QueueCoreTestMixin.assertNotEnqueued


@pytest.fixture
def queues() -> Iterator[Queues]:
    """Empty queues on a private server of this process; jobs run when the test drains them."""
    with server.private_server():
        server.flush()
        yield Queues()


@pytest.fixture
def queuecore_inline(queues: Queues) -> Iterator[Queues]:
    """The same, and each job runs at once where it is added."""
    with inline():
        yield queues


@pytest.fixture
def queuecore_clock(queues: Queues) -> FakeClock:
    """The time of the queues: ``queuecore_clock.advance(hours=1)``."""
    return clock
