"""QueueCoreTestMixin: for Django's ``TestCase``, ``TransactionTestCase`` and their like."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, ClassVar

from ..job import Job
from ..queue import Queue
from . import draining, expectations, server
from .draining import Drained
from .fake_clock import FakeClock, clock
from .inlining import inline


class QueueCoreTestMixin:
    """Gives each test empty queues on a private server of this process.

    It stands before Django's class: ``class OrderTests(QueueCoreTestMixin, TestCase)``.
    """

    #: Run each job at once where it is added: see :func:`queuecore.testing.inline`.
    queues_inline: ClassVar[bool] = False

    @classmethod
    def setUpClass(cls) -> None:
        """Lead all connections to the private server, before data of the class is made."""
        server.begin()
        cls.addClassCleanup(server.end)  # type: ignore[attr-defined]
        server.flush()
        super().setUpClass()  # type: ignore[misc]

    def setUp(self) -> None:
        """Empty all queues."""
        server.flush()
        if self.queues_inline:
            context = inline()
            context.__enter__()
            self.addCleanup(context.__exit__, None, None, None)  # type: ignore[attr-defined]
        super().setUp()  # type: ignore[misc]

    @property
    def clock(self) -> FakeClock:
        """The time of the queues; see :class:`FakeClock`."""
        return clock

    def drain(self, *queues: str | Queue, **options: Any) -> Drained:
        """See :func:`queuecore.testing.drain`."""
        return draining.drain(*queues, **options)

    async def adrain(self, *queues: str | Queue, **options: Any) -> Drained:
        """See :func:`queuecore.testing.drain`."""
        return await draining.adrain(*queues, **options)

    def inline(self, *, raise_errors: bool = True) -> AbstractContextManager[None]:
        """See :func:`queuecore.testing.inline`."""
        return inline(raise_errors=raise_errors)

    def enqueued(self, queue: str | Queue | None = None, **options: Any) -> list[Job]:
        """See :func:`queuecore.testing.enqueued`."""
        return expectations.enqueued(queue, **options)

    def assertEnqueued(self, *arguments: Any, **options: Any) -> Job:
        """See :func:`queuecore.testing.assert_enqueued`."""
        return expectations.assert_enqueued(*arguments, **options)

    def assertNotEnqueued(self, *arguments: Any, **options: Any) -> None:
        """See :func:`queuecore.testing.assert_not_enqueued`."""
        expectations.assert_not_enqueued(*arguments, **options)
