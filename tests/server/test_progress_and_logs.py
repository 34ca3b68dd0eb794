"""What belongs to one job and changes while it runs: progress, log, data."""

import pytest
import redis

from queuecore import Queue
from queuecore.errors import InvalidOption, JobNotFound, NotSerializable
from tests.server.conftest import Do


@pytest.mark.parity("Job.updateProgress", "Queue.updateJobProgress")
@pytest.mark.parametrize("progress", [50, 0, None, "half", {"done": 3, "of": [4]}, 0.5])
def test_progress_is_stored_and_told(
    do: Do, queue: Queue, redis_client: redis.Redis, progress: object
) -> None:
    job = do(queue.add, "x")
    do(job.update_progress, progress)
    assert job.progress == do(queue.get_job, "1").progress == progress
    ((_, last),) = redis_client.xrevrange("bull:q:events", count=1)
    assert (last["event"], last["jobId"]) == ("progress", "1")
    assert last["data"] == redis_client.hget("bull:q:1", "progress")
    do(queue.update_job_progress, "1", 99)
    do(job.refresh)
    assert job.progress == 99


@pytest.mark.parity("Job.updateData")
def test_data_is_replaced(do: Do, queue: Queue) -> None:
    job = do(queue.add, "x", {"n": 1})
    assert job.data == {"n": 1}
    do(job.update_data, {"n": 2})
    assert job.data == do(queue.get_job, "1").data == {"n": 2}


@pytest.mark.parity("Job.log", "Job.clearLogs", "Queue.addJobLog", "Queue.getJobLogs")
def test_rows_are_logged_in_order_and_the_newest_kept(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    job = do(queue.add, "x", keep_logs=3)
    counts = [do(job.log, f"row {n}") for n in range(5)]
    assert counts == [1, 2, 3, 3, 3]
    assert do(job.get_logs) == (["row 2", "row 3", "row 4"], 3)
    assert do(queue.get_job_logs, "1", 0, 1) == (["row 2", "row 3"], 3)
    assert do(queue.get_job_logs, "1", 0, 1, asc=False) == (["row 4", "row 3"], 3)
    assert do(queue.add_job_log, "1", "more", keep_logs=2) == 2
    assert do(job.get_logs) == (["row 4", "more"], 2)
    do(job.clear_logs, 1)
    assert do(job.get_logs) == (["more"], 1)
    do(job.clear_logs)
    assert do(job.get_logs) == ([], 0)
    assert not redis_client.exists("bull:q:1:logs")


def test_anything_can_be_logged(do: Do, queue: Queue) -> None:
    job = do(queue.add, "x")
    for row in (None, 5, "", "<script>", "a\ud800b", "line\nline"):
        do(job.log, row)
    assert do(job.get_logs)[0] == ["None", "5", "", "<script>", "a?b", "line\nline"]


def test_of_a_job_that_is_gone_nothing_is_left_behind(
    do: Do, queue: Queue, redis_client: redis.Redis
) -> None:
    job = do(queue.add, "x")
    do(job.remove)
    for method, arguments in (
        (job.update_progress, (1,)),
        (job.update_data, (1,)),
        (job.log, ("row",)),
        (job.refresh, ()),
        (queue.update_job_progress, ("1", 5)),
        (queue.add_job_log, ("1", "row")),
    ):
        with pytest.raises(JobNotFound, match="no job 1 in queue q"):
            do(method, *arguments)
    assert redis_client.keys("bull:q:1*") == []


@pytest.mark.parametrize("key", ["meta", "wait", "events", "id"])
def test_a_key_of_the_queue_is_no_job(do: Do, queue: Queue, redis_client: redis.Redis, key: str):
    do(queue.add, "x")
    before = redis_client.dump(f"bull:q:{key}")
    for method, arguments in (
        (queue.update_job_progress, (key, 5)),
        (queue.add_job_log, (key, "row")),
    ):
        with pytest.raises(JobNotFound):
            do(method, *arguments)
    assert redis_client.dump(f"bull:q:{key}") == before
    assert do(queue.get_job, key) is None


def test_what_cannot_be_written_is_refused(do: Do, queue: Queue) -> None:
    job = do(queue.add, "x", {"n": 1})
    with pytest.raises(NotSerializable, match="the progress is bytes"):
        do(job.update_progress, b"1")
    with pytest.raises(NotSerializable, match="data is bytes"):
        do(job.update_data, b"1")
    with pytest.raises(InvalidOption, match="keep_logs"):
        do(job.clear_logs, -1)
    assert do(queue.get_job, "1").data == {"n": 1}
