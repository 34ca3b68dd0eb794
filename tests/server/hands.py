"""A worker by hand: claims and finishes jobs step by step, so that a test knows where each is."""

import json
from typing import Any

from queuecore import Job, Queue, RateLimit
from queuecore.options import milliseconds
from queuecore.wire.calls.working import ClaimOptions, Outcome, finish_and_claim


class Hands:
    """One lane of one worker on *queue*; ``claim`` gives jobs that hold their token."""

    def __init__(
        self,
        queue: Queue,
        name: str = "hands",
        *,
        metrics: int = 0,
        limiter: RateLimit | None = None,
    ) -> None:
        self.queue = queue
        self.name = name
        self.number = 0
        limit = (limiter.max, milliseconds(limiter.duration, "limiter")) if limiter else ()
        self._options = ClaimOptions(name, "", 30_000, metrics, *limit)

    def claim(self, most: int = 1) -> list[Job]:
        """Claim up to *most* jobs; a claim takes half of what waits, so several may be needed."""
        jobs: list[Job] = []
        while len(jobs) < most:
            found = self._call([], most - len(jobs))
            if not found:
                break
            jobs += found
        return jobs

    def complete(self, job: Job, value: Any = None, *, rule: str = "") -> None:
        """Finish *job*; *rule* says what is kept, as the finish script's."""
        self._end(job, "c", json.dumps(value).encode(), rule, str(job.attempts_made + 1))

    def fail(self, job: Job, reason: str = "boom", *, rule: str = "") -> None:
        """Fail *job* for good."""
        self._end(job, "f", reason, rule, f"{job.attempts_made + 1}!")

    def complete_all(self, count: int) -> list[Job]:
        """Claim and complete *count* jobs one by one, each with its number as result."""
        done = []
        for _ in range(count):
            (job,) = self.claim()
            self.complete(job, job.id)
            done.append(job)
        return done

    def fail_all(self, count: int) -> list[Job]:
        """Claim and fail *count* jobs one by one."""
        done = []
        for _ in range(count):
            (job,) = self.claim()
            self.fail(job)
            done.append(job)
        return done

    def fail_together(self, *jobs: Job) -> None:
        """Fail *jobs* for good in one call, in this order."""
        self._call([_outcome(job, "f", "boom", "", f"{job.attempts_made + 1}!") for job in jobs], 0)

    def exchange(self, done: list[Job], most: int) -> list[Job]:
        """Complete *done* and claim up to *most* jobs, in one call."""
        outcomes = [_outcome(job, "c", b"null", "", str(job.attempts_made + 1)) for job in done]
        return self._call(outcomes, most)

    def _end(self, job: Job, kind: str, value: Any, rule: str, attempts: str) -> None:
        self._call([_outcome(job, kind, value, rule, attempts)], 0)

    def _call(self, outcomes: list[Outcome], most: int) -> list[Job]:
        self.number += 1
        keys, connection = self.queue.keys, self.queue.connection
        receipt = keys.receipt("call", self.name, 1)
        now = connection.clock.now_ms()
        answer = connection.run(
            finish_and_claim(keys, receipt, self.number, self._options, now, outcomes, most)
        )
        assert not answer.codes, answer.codes
        token = f"{self.name}:{self.number}"
        return [Job.from_flat(self.queue, one.id, one.fields, token) for one in answer.jobs]


def _outcome(job: Job, kind: str, value: Any, rule: str, attempts: str) -> Outcome:
    number = int(job.token.rpartition(":")[2])
    return Outcome(job.id, number, kind, value, b"[]" if kind == "f" else b"", rule, attempts)
