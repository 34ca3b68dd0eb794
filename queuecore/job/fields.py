"""Fields: what stands in a job's hash, decoded when it is read.

Whoever wrote a field may have written anything: what cannot be read is empty, but for ``data``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import sha1
from typing import Any

from ..wire.calls.base import text
from ..wire.codec import loads


class Fields:
    """The hash of one job as it was when it was read."""

    __slots__ = ("_data", "_fields", "_opts")

    def __init__(self, fields: dict[bytes, bytes]) -> None:
        self._take(fields)

    def _take(self, fields: dict[bytes, bytes]) -> None:
        self._fields = fields
        self._data: Any = _UNREAD
        self._opts: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """The job's name, which chooses its processor."""
        return self._text(b"name")

    @property
    def data(self) -> Any:
        """The payload, decoded from JSON at the first reading.

        Raises:
            ValueError: what stands in Redis is no JSON.
        """
        if self._data is _UNREAD:
            self._data = loads(self._fields.get(b"data") or b"null")
        return self._data

    @property
    def data_digest(self) -> str:
        """The SHA-1 of the payload as it was read, to tell later whether it is still that."""
        return sha1(self._fields.get(b"data") or b"", usedforsecurity=False).hexdigest()

    @property
    def opts(self) -> dict[str, Any]:
        """BullMQ's options object, with its short names; empty where it cannot be read."""
        if self._opts is None:
            decoded = self._json(b"opts", {})
            self._opts = decoded if isinstance(decoded, dict) else {}
        return self._opts

    @property
    def gid(self) -> str | None:
        """The group that it waits in, None if it has none (BullMQ Pro ``gid``)."""
        group = self.opts.get("group")
        id = group.get("id") if isinstance(group, dict) else None
        return None if id is None else str(id)

    @property
    def timestamp(self) -> datetime | None:
        """When the job was made, by its producer."""
        return self._time(b"timestamp")

    @property
    def processed_on(self) -> datetime | None:
        """When a worker last started it."""
        return self._time(b"processedOn")

    @property
    def finished_on(self) -> datetime | None:
        """When it completed or finally failed."""
        return self._time(b"finishedOn")

    @property
    def delay(self) -> float:
        """Seconds it was, or is, to wait; 0 once promoted."""
        return self._int(b"delay") / 1000

    @property
    def priority(self) -> int:
        """Its priority; 0 is none, and runs before all others."""
        return self._int(b"priority")

    @property
    def attempts_made(self) -> int:
        """Runs that completed, failed or are to be tried again."""
        return self._int(b"attemptsMade") or self._int(b"atm")

    @property
    def attempts_started(self) -> int:
        """Runs that began."""
        return self._int(b"ats")

    @property
    def stalled_counter(self) -> int:
        """How often it was recovered from a dead worker in the middle of a run."""
        return self._int(b"stc")

    @property
    def progress(self) -> Any:
        """What the processor last gave to ``update_progress``; 0 before."""
        return self._json(b"progress", 0)

    @property
    def returnvalue(self) -> Any:
        """What the processor returned; None until it completed."""
        return self._json(b"returnvalue", None)

    @property
    def failed_reason(self) -> str | None:
        """The message of the last failure, retried ones too."""
        return self._text(b"failedReason") if b"failedReason" in self._fields else None

    @property
    def stacktrace(self) -> list[str]:
        """The tracebacks of failed attempts, oldest first."""
        decoded = self._json(b"stacktrace", [])
        return [str(one) for one in decoded] if isinstance(decoded, list) else []

    @property
    def processed_by(self) -> str | None:
        """The name of the worker that last started it, if that has one."""
        return self._text(b"pb") if b"pb" in self._fields else None

    @property
    def deferred_failure(self) -> str | None:
        """The text with which the job must be failed, without running, by whoever claims it."""
        return self._text(b"defa") if b"defa" in self._fields else None

    @property
    def parent_key(self) -> str | None:
        """The parent's job key, for a child of a flow."""
        return self._text(b"parentKey") if b"parentKey" in self._fields else None

    @property
    def parent(self) -> dict[str, Any] | None:
        """BullMQ's parent object: its id, qualified queue name, and failure policy."""
        decoded = self._json(b"parent", None)
        return decoded if isinstance(decoded, dict) else None

    @property
    def repeat_job_key(self) -> str | None:
        """The id of the scheduler that made it."""
        return self._text(b"rjk") if b"rjk" in self._fields else None

    @property
    def deduplication_id(self) -> str | None:
        """The deduplication id it was added with."""
        return self._text(b"deid") if b"deid" in self._fields else None

    def _text(self, field: bytes) -> str:
        return text(self._fields.get(field, b""))

    def _int(self, field: bytes) -> int:
        try:
            return int(self._fields.get(field) or 0)
        except ValueError:
            return 0

    def _time(self, field: bytes) -> datetime | None:
        try:
            return datetime.fromtimestamp(int(self._fields[field]) / 1000, UTC)
        except (KeyError, ValueError, OverflowError, OSError):
            return None

    def _json(self, field: bytes, default: Any) -> Any:
        try:
            return loads(self._fields[field])
        except (KeyError, ValueError):
            return default


_UNREAD = object()
