"""Jobs got by hand whose calls lose their answer, arrive late or twice: one claim, one end."""

import pytest
import redis

from queuecore import JobSpec, Queue, Worker
from tests import invariants
from tests.chaos.proxy import Proxy


@pytest.mark.parametrize("fault", ["lose_reply", "deliver_late", "deliver_twice"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_each_job_is_claimed_and_ended_once(
    proxy: Proxy, redis_client: redis.Redis, fault: str, nth: int
) -> None:
    """The ``nth`` call is spoiled: claims and ends take turns."""
    Queue("q").add_bulk([JobSpec("n") for _ in range(5)])
    worker = Worker("q", connection="faulty")
    proxy.skip("finish_and_claim", nth - 1)
    getattr(proxy, fault)("finish_and_claim")
    got = []
    while (job := worker.get_next_job(block=False)) is not None:
        got.append(job.id)
        if job.id == "3":
            job.move_to_failed("no")
        else:
            job.move_to_completed(job.id)
    assert not any(answer.startswith(b"-") for answer in proxy.deliver())
    assert len(proxy.spoiled) == 1
    assert got == ["1", "2", "3", "4", "5"]
    events = [fields["event"] for _, fields in redis_client.xrange("bull:q:events")]
    assert (events.count("completed"), events.count("failed")) == (4, 1)
    assert events.count("active") == 5
    counts = invariants.check(redis_client, "q", idle=True)
    assert (counts["completed"], counts["failed"]) == (4, 1)
