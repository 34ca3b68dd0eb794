"""Snapshot: one job of a queue, as its hash said when it was read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from .fields import Fields

if TYPE_CHECKING:
    from ..queue import Queue


class Snapshot(Fields):
    """The common ground of everything that can be done with a job; see :class:`Job`."""

    __slots__ = ("id", "queue", "token")

    def __init__(self, queue: Queue, id: str, fields: dict[bytes, bytes], token: str = "") -> None:
        super().__init__(fields)
        self.queue = queue
        self.id = id
        self.token = token

    @classmethod
    def from_flat(cls, queue: Queue, id: str, flat: Sequence[bytes], token: str = "") -> Self:
        """Make a job from the flat names and values of ``HGETALL``."""
        return cls(queue, id, dict(zip(flat[::2], flat[1::2], strict=True)), token)

    def _begun(self, now: int, worker: str) -> int:
        """Take over what a claim has just written into a snapshot from before it; its starts."""
        fields, starts = self._fields, self.attempts_started + 1
        fields[b"ats"] = b"%d" % starts
        fields[b"processedOn"] = b"%d" % now
        if worker:
            fields[b"pb"] = worker.encode()
        return starts

    def _ended(self, attempts: str, field: bytes, value: bytes | str) -> None:
        """Take over what the end of its run has written, for the hooks of its processor."""
        self._fields[field] = value if isinstance(value, bytes) else value.encode()
        if attempts:
            self._fields[b"atm"] = attempts.encode()

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.name!r} of {self.queue.name!r}>"
