"""Help for tests of projects that use QueueCore: ``docs/howto/testing.md``.

Jobs of a test go to a private server of the test process (:mod:`.server`) and run when
the test says so (:mod:`.draining`), or at once (:mod:`.inlining`), in the thread of the test, where
they see its transaction. :mod:`.expectations` reads what was added, :mod:`.fake_clock` moves the
time. For ``manage.py test`` there is :class:`QueueCoreTestMixin`, for pytest
``queuecore.testing.pytest``.
"""

from ..services import override
from .cases import QueueCoreTestMixin
from .draining import Drained, adrain, drain
from .expectations import (
    aassert_enqueued,
    aassert_not_enqueued,
    aenqueued,
    assert_enqueued,
    assert_not_enqueued,
    enqueued,
)
from .fake_clock import FakeClock, clock
from .inlining import inline
from .server import flush, private_server

__all__ = [
    "Drained",
    "FakeClock",
    "QueueCoreTestMixin",
    "aassert_enqueued",
    "aassert_not_enqueued",
    "adrain",
    "aenqueued",
    "assert_enqueued",
    "assert_not_enqueued",
    "clock",
    "drain",
    "enqueued",
    "flush",
    "inline",
    "override",
    "private_server",
]
