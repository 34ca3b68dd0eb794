"""Manual: jobs that a program claims and finishes itself, instead of letting a worker run them.

Each call borrows a lane with a worker id of its own, so that a call whose answer was lost can be
sent again without claiming or finishing twice, from as many threads as there are.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from ..backoff import Strategy
from ..errors import InvalidOption, LockLost, UnrecoverableError
from ..job import Job
from ..limits import declare
from ..queue import Queue
from ..wire.calls.base import NOW, Command, Operation, check
from ..wire.calls.working import Claim, ClaimOptions, Outcome, finish_and_claim
from . import finish
from .advance import advance

logger = logging.getLogger("queuecore.worker")

# Under the socket's deadline for answers, and how soon a slot that was freed in silence is found.
_LONGEST_WAIT, _MAXED, _SHORTEST_WAIT = 4.0, 1.0, 0.002


class _Lane:
    __slots__ = ("number", "receipt", "worker")

    def __init__(self, queue: Queue) -> None:
        self.worker = uuid4().hex
        self.receipt = queue.keys.receipt("call", self.worker, 1)
        self.number = 0


class Manual:
    """Claims jobs of *queue* one by one, and finishes them, as its worker's settings say."""

    def __init__(
        self,
        queue: Queue,
        options: ClaimOptions,
        retention: finish.Retention,
        strategy: Strategy | None,
        drain_delay: float,
        max_starts: int | None,
        limits: Sequence[str] | None,
    ) -> None:
        self._queue = queue
        self._options = options
        self._retention = retention
        self._strategy = strategy
        self._drain_delay = drain_delay
        self._max_starts = max_starts
        self._limits = limits
        self._free: deque[_Lane] = deque()
        self.lock_duration = options.lock_duration

    def fetch(self, block: bool) -> Operation[Job | None]:
        """Claim the next job; None if there is none, or after the drain delay if *block*."""
        if self._limits is not None:
            yield declare(self._queue.keys, self._limits)
            self._limits = None
        deadline = time.monotonic() + self._drain_delay
        while True:
            claim, token = yield from self._call([], 1)
            now = yield NOW
            job = yield from self._taken(claim, token)
            if job is not None:
                return job
            if claim.jobs:
                continue
            left = deadline - time.monotonic()
            if not block or claim.limit_ttl or left <= 0:
                return None
            if claim.next_due:
                left = min(left, (claim.next_due - now) / 1000)
            if claim.maxed:
                left = min(left, _MAXED)
            left = min(max(left, _SHORTEST_WAIT), _LONGEST_WAIT)
            keys = self._queue.keys
            yield Command(("BZPOPMIN", keys.marker, keys.own_marker, f"{left:.3f}"))

    def completed(
        self, job: Job, value: Any, token: str | None, fetch_next: bool = False
    ) -> Operation[Job | None]:
        """Complete *job* with *value*; gives the next one if *fetch_next*."""
        owner, number = _parts(job, token)
        outcome = finish.completed(job, number, value, self._retention)
        return (yield from self._end(job, owner, outcome, b"returnvalue", fetch_next))

    def failed(
        self, job: Job, error: BaseException, token: str | None, fetch_next: bool = False
    ) -> Operation[Job | None]:
        """Let *job* fail with *error*, or be tried again where tries are left."""
        owner, number = _parts(job, token)
        outcome = finish.failed(job, number, error, self._retention, self._strategy)
        return (yield from self._end(job, owner, outcome, b"failedReason", fetch_next))

    def _end(
        self, job: Job, owner: str, outcome: Outcome, field: bytes, fetch_next: bool
    ) -> Operation[Job | None]:
        lane = self._lane_of(owner) if fetch_next else None
        claim, token = yield from self._call([outcome], 1 if lane else 0, owner, lane)
        if claim.late:
            raise LockLost(f"job {job.id} of queue {self._queue.name} runs elsewhere")
        if (code := claim.codes.get(0)) and claim.jobs:
            # Who is told of the error gets no job, so nobody would work what was claimed besides.
            number = int(token.rpartition(":")[2])
            back = [
                finish.put_back(Job.from_flat(self._queue, one.id, one.fields, token), number)
                for one in claim.jobs
            ]
            yield from self._call(back, 0, owner)
        check(code, queue=self._queue.name, id=job.id, state="active")
        job._ended(outcome.attempts.rstrip("!"), field, outcome.value)
        if not fetch_next:
            return None
        found = yield from self._taken(claim, token)
        if found is None and (claim.jobs or lane is None):
            found = yield from self.fetch(block=False)
        return found

    def _taken(self, claim: Claim, token: str) -> Operation[Job | None]:
        """The job of a claim of one; None if there is none, or it must not run and was failed."""
        for claimed in claim.jobs:
            job = Job.from_flat(self._queue, claimed.id, claimed.fields, token)
            if claim.begun:
                job._begun(claim.begun, self._options.name)
            if job.repeat_job_key is not None:
                yield from self._advance(job)
            refused = job.deferred_failure
            if refused is None and self._max_starts and job.attempts_started > self._max_starts:
                refused = "job started more than allowable limit"
            if refused is None:
                return job
            yield from self.failed(job, UnrecoverableError(refused), None)
        return None

    def _lane_of(self, owner: str) -> _Lane | None:
        """The lane that claimed, if it is free: one call then finishes and claims by its token."""
        for lane in list(self._free):
            if lane.worker == owner:
                try:
                    self._free.remove(lane)
                except ValueError:  # another thread has it by now
                    return None
                return lane
        return None

    def _advance(self, job: Job) -> Operation[None]:
        try:
            yield from advance(self._queue, job)
        except Exception as error:  # the project's own repeat strategy may raise anything
            logger.error(
                "queue %s: job %s is not followed by another: %s",
                self._queue.name, job.id, error,
            )  # fmt: skip

    def _call(
        self, outcomes: list[Outcome], claim: int, owner: str = "", lane: _Lane | None = None
    ) -> Operation[tuple[Claim, str]]:
        """One call of *lane*, or a free one; its answer, and the token of what it claimed."""
        if lane is None:
            try:
                lane = self._free.pop()
            except IndexError:
                lane = _Lane(self._queue)
        lane.number = number = lane.number + 1
        # What is finished holds the token of the lane that claimed it.
        options = replace(self._options, worker=owner or lane.worker)
        try:
            now = yield NOW
            answer = yield finish_and_claim(
                self._queue.keys, lane.receipt, number, options, now, outcomes, claim
            )
        finally:
            self._free.append(lane)
        return answer, f"{lane.worker}:{number}"


def _parts(job: Job, token: str | None) -> tuple[str, int]:
    owner, _, number = (job.token if token is None else token).rpartition(":")
    if not owner or not number.isdecimal():
        raise InvalidOption(
            f"job {job.id} has no token by which it could be finished: get it by "
            "Worker.get_next_job()"
        )
    return owner, int(number)
