"""What belongs to one job: its progress, its data, its log."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import DataChanged
from ..keys import Keys
from .base import Call, Command, check


def update_progress(keys: Keys, job_id: str, progress: bytes) -> Call[int]:
    """Set the progress (JSON) and tell the event stream (BullMQ ``updateProgress``)."""
    return Call(
        "update_progress",
        (keys.meta, keys.events),
        (keys.base, job_id, progress),
        lambda code: check(code, queue=keys.name, id=job_id),
        repeatable=True,
    )


def update_data(keys: Keys, job_id: str, data: bytes, digest: str = "") -> Call[int]:
    """Replace the payload (JSON) of a job (BullMQ ``updateData``).

    *digest*: the SHA-1 of the payload as it was read; only that one is replaced.

    Raises (when decoded):
        JobNotFound
        DataChanged: it is another one by now.
    """

    def decode(code: int) -> int:
        if code == -11:
            raise DataChanged(
                f"the data of job {job_id} of queue {keys.name} has changed since it was read; "
                "nothing was written: read it again"
            )
        return int(check(code, queue=keys.name, id=job_id))

    return Call("update_data", (keys.job(job_id),), (data, digest), decode, repeatable=True)


def add_log(keys: Keys, job_id: str, rows: Sequence[str], keep: int) -> Call[int]:
    """Add *rows* to the log, keep the newest *keep* (0: all); how many there are (``addLog``)."""
    return Call(
        "add_log",
        (keys.job(job_id), keys.logs(job_id)),
        (keep, *rows),
        lambda code: check(code, queue=keys.name, id=job_id),
    )


def clear_logs(keys: Keys, job_id: str, keep: int) -> Command[None]:
    """Delete the log but for its newest *keep* rows (BullMQ ``clearLogs``)."""
    key = keys.logs(job_id)
    args = ("LTRIM", key, -keep, -1) if keep else ("DEL", key)
    return Command(args, lambda _: None)
