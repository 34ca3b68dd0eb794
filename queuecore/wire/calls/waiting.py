"""Waiting for the end of a job: its event, or what stands in its hash."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ...errors import JobNotFound
from ..keys import Keys
from .base import Command, Operation, text
from .reading import events, get_events, is_finished

# A read waits less long than a socket does for an answer.
BLOCK_MS = 4000
PAGE = 1000

Ended = tuple[str, str]  # "completed" and the result as JSON, or "failed" and the reason


def wait_until_finished(keys: Keys, job_id: str, timeout: float | None) -> Operation[Ended | None]:
    """How job *job_id* ended; None if it has not after *timeout* seconds (``waitUntilFinished``).

    Raises:
        JobNotFound: there is no such job, and the event stream knows no end of it either.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    # The place in the stream first, then the job: an end between the two is seen twice, not never.
    newest = yield get_events(keys, count=1)
    last = newest[0][0] if newest else "0-0"
    while True:
        code, value = yield is_finished(keys, job_id)
        if code > 0:
            return ("completed" if code == 1 else "failed"), text(value)
        if code < 0:
            # Deleted as it finished, maybe: the stream tells for a while.
            found = yield from _look_back(keys, job_id)
            if found is None:
                raise JobNotFound(f"there is no job {job_id} in queue {keys.name}")
            return found
        # Read on until the stream is quiet; what was missed there stands in the job's hash.
        while True:
            left = BLOCK_MS
            if deadline is not None:
                left = min(left, int((deadline - time.monotonic()) * 1000))
                if left <= 0:
                    return None
            entries = yield Command(
                ("XREAD", "COUNT", PAGE, "BLOCK", left, "STREAMS", keys.events, last),
                lambda answer: events(answer[0][1]) if answer else [],
            )
            if not entries:
                break
            last = entries[-1][0]
            found = _end_of(job_id, (fields for _, fields in entries))
            if found is not None:
                return found


def _look_back(keys: Keys, job_id: str) -> Operation[Ended | None]:
    end = "+"
    while True:
        entries = yield get_events(keys, end, count=PAGE)
        found = _end_of(job_id, (fields for _, fields in entries))
        if found is not None or len(entries) < PAGE:
            return found
        end = f"({entries[-1][0]}"


def _end_of(job_id: str, events: Iterable[dict[str, str]]) -> Ended | None:
    for fields in events:
        if fields.get("jobId") == job_id:
            if fields.get("event") == "completed":
                return "completed", fields.get("returnvalue", "null")
            if fields.get("event") == "failed":
                return "failed", fields.get("failedReason", "")
    return None
