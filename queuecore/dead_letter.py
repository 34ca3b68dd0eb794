"""Dead letters: what is left of jobs that failed for good, as jobs of another queue.

A queue gets them by ``dead_letter=`` of its processor or worker. The letter is added by the same
script that fails the job, so there is one letter for each failure, whatever dies in between; the
failed job stays with its queue as long as its retention says. Ours alone: jobs that a worker of
Node fails have none.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .errors import InvalidOption
from .job import Job
from .queue import Queue

__all__ = ["DeadLetter"]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """The job that failed: ``queue``, ``id``, ``name``, ``data``, and how it ended."""

    queue: Queue
    id: str
    name: str
    data: Any
    failed_reason: str
    attempts_made: int
    finished_on: datetime

    @classmethod
    def of(cls, job: Job) -> DeadLetter:
        """Read the letter that *job*, one of a dead-letter queue, carries.

        Raises:
            InvalidOption: it carries none.
        """
        try:
            told = job.data
            queue, _ = job.queue._sibling(f"{told['queue']}:{told['id']}")
            return cls(
                queue,
                str(told["id"]),
                str(told["name"]),
                told["data"],
                str(told["failedReason"]),
                int(told["attemptsMade"]),
                datetime.fromtimestamp(told["finishedOn"] / 1000, UTC),
            )
        except (TypeError, KeyError, ValueError, OverflowError, OSError) as error:
            raise InvalidOption(
                f"job {job.id} of queue {job.queue.name!r} carries no dead letter"
            ) from error

    def send_again(self, **options: Any) -> Job:
        """Add the job anew to its queue, with *options* of ``Queue.add``; the failed one stays."""
        return self.queue.add(self.name, self.data, **options)

    async def asend_again(self, **options: Any) -> Job:
        """See :meth:`send_again`."""
        return await self.queue.aadd(self.name, self.data, **options)
