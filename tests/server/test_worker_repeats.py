"""A call that is sent again: the second answer describes the same runs as the first."""

from typing import Any

from queuecore import Job, JobSpec, Queue
from queuecore.wire.calls.working import Claim, ClaimOptions, Outcome, finish_and_claim

OPTIONS = ClaimOptions("w", "worker-1", 30_000, 0)


def call(queue: Queue, number: int, outcomes: list[Outcome], claim: int) -> Claim:
    request: Any = finish_and_claim(
        queue.keys, queue.keys.receipt("call", "w", 1), number, OPTIONS, 1000, outcomes, claim
    )
    return queue.connection.run(request)


def jobs(queue: Queue, claim: Claim) -> list[Job]:
    """The jobs as a worker sees them."""
    found = [Job.from_flat(queue, one.id, one.fields) for one in claim.jobs]
    if claim.begun:
        for job in found:
            job._begun(claim.begun, OPTIONS.name)
    return found


def test_a_repeated_claim_tells_the_same_jobs(queue: Queue) -> None:
    queue.add_bulk([JobSpec("x") for _ in range(4)])
    first, again = call(queue, 1, [], 2), call(queue, 1, [], 2)
    assert (first.begun, again.begun) == (1000, 0)
    told = [
        [(job.id, job.attempts_started, job.processed_on, job.processed_by) for job in one]
        for one in (jobs(queue, first), jobs(queue, again))
    ]
    assert told[0] == told[1]
    assert [one[:2] for one in told[0]] == [("1", 1), ("2", 1)]
    assert queue.get_job_counts()["active"] == 2


def test_a_repeated_finish_tells_the_same_codes(queue: Queue) -> None:
    queue.add_bulk([JobSpec("x") for _ in range(3)])
    assert len(call(queue, 1, [], 2).jobs) == 2
    outcomes = [
        Outcome("1", 1, "c", b"1", attempts="1"),
        Outcome("2", 7, "c", b"2", attempts="1"),  # not this run's token
        Outcome("9", 1, "c", b"3", attempts="1"),  # no such job
    ]
    first, again = call(queue, 2, outcomes, 1), call(queue, 2, outcomes, 1)
    assert first.codes == again.codes == {1: -6, 2: -1}
    assert [one.id for one in first.jobs] == [one.id for one in again.jobs] == ["3"]
    assert call(queue, 1, [], 2).late
    assert queue.get_job_counts()["completed"] == 1
