"""Remembers that a server does not answer, so that whoever is in a hurry need not find out again.

A server that is frozen takes connections and says nothing: each question to it lasts until its
deadline. A web page asks several, and many pages are opened at once. Inside of :func:`hurried` a
question to a server that is known to be away fails at once; one of all who ask looks after it
again every :data:`REMEMBERED` seconds. Workers and everybody else ask as if nothing were known.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..errors import ServerRefused, ServerUnavailable

#: Seconds for which others' word is taken, and that a look at a server may last.
REMEMBERED, LOOK = 2.0, 1.0

_in_a_hurry: ContextVar[bool] = ContextVar("queuecore_in_a_hurry", default=False)


@contextmanager
def hurried() -> Iterator[None]:
    """Let what is asked inside fail at once while the server is known to be away."""
    token = _in_a_hurry.set(True)
    try:
        yield
    finally:
        _in_a_hurry.reset(token)


class Absence:
    """What one connection knows of its server's absence.

    *answers* looks whether the server is there again: at most one does at a time.
    """

    def __init__(self, answers: Callable[[], bool]) -> None:
        self._answers = answers
        self._words = ""
        self._until = 0.0
        self._lock = threading.Lock()

    def note(self, error: ServerUnavailable) -> None:
        """A request got no answer; one that refuses is there."""
        if not isinstance(error, ServerRefused):
            self._words = str(error)
            self._until = time.monotonic() + REMEMBERED

    def over(self) -> None:
        """The server has answered."""
        if self._words:
            self._words = ""

    def spare(self) -> None:
        """Spare whoever is in a hurry a question that would get no answer.

        Raises:
            ServerUnavailable: it is away, as it was when somebody asked; nothing was sent.
        """
        if not self._words or not _in_a_hurry.get():
            return
        with self._lock:
            words, mine = self._words, self._until <= time.monotonic()
            if words and mine:
                self._until = time.monotonic() + REMEMBERED + LOOK
        if not words:
            return
        if mine and self._answers():
            self.over()
            return
        raise ServerUnavailable(words, sent=False)
