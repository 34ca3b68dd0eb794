"""Jobs that are added once a transaction of the database has committed."""

import pytest
from django.db import transaction

from queuecore import JobSpec, Queue
from queuecore.errors import InvalidOption, NotSerializable

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_job_is_there_after_the_commit(queue: Queue) -> None:
    with transaction.atomic():
        queue.add_on_commit("x", {"n": 1}, priority=3)
        assert queue.count() == 0
    (job,) = queue.get_jobs()
    assert (job.name, job.data, job.priority) == ("x", {"n": 1}, 3)


def test_there_is_none_after_a_rollback(queue: Queue) -> None:
    with transaction.atomic():
        queue.add_on_commit("x")
        transaction.set_rollback(True)
    assert queue.count() == 0


def test_outside_of_a_transaction_it_is_there_at_once(queue: Queue) -> None:
    queue.add_on_commit("x", using="default")
    assert queue.count() == 1


def test_what_is_wrong_is_told_before_the_commit(queue: Queue) -> None:
    for data, options, error in ((b"", {}, NotSerializable), ({}, {"delay": -1}, InvalidOption)):
        with pytest.raises(error), transaction.atomic():
            queue.add_on_commit("x", data, **options)  # type: ignore[arg-type]
    assert queue.count() == 0


def test_the_payload_is_as_it_was_when_it_was_given(queue: Queue) -> None:
    data = {"n": 1}
    with transaction.atomic():
        queue.add_on_commit("x", data)
        data["n"] = 2
    (job,) = queue.get_jobs()
    assert job.data == {"n": 1}


def test_many_at_once(queue: Queue) -> None:
    with transaction.atomic():
        queue.add_bulk_on_commit(JobSpec("x", {"n": n}) for n in range(3))
        with pytest.raises(InvalidOption, match="job 1"):
            queue.add_bulk_on_commit([JobSpec("x"), JobSpec("x", delay=-1)])
        assert queue.count() == 0
    assert [job.data["n"] for job in queue.get_jobs(["waiting"], asc=True)] == [0, 1, 2]
