"""Operations on jobs of a Node queue: Node hears and counts what it would after single calls."""

import pytest
import redis

from queuecore import Queue
from tests import invariants
from tests.interop.node import Peer
from tests.server.test_operations import carry_out, order

pytestmark = pytest.mark.django_db(transaction=True)

FAILS_ONCE = """async job => {
    if (job.data.broken && !job.data.mended) {
        await job.updateData({...job.data, mended: true});
        throw new Error('broken');
    }
    return job.data.n;
}"""


def test_node_sees_its_failed_jobs_come_back_and_works_them(
    peer: Peer, redis_client: redis.Redis
) -> None:
    theirs, events = peer.queue("q"), peer.queue_events("q")
    theirs.addBulk(
        [
            {
                "name": "job",
                "data": {"n": n, "broken": True},
                "opts": {"priority": 3} if n % 5 == 0 else {},
            }
            for n in range(60)
        ]
    )
    worker = peer.worker("q", FAILS_ONCE, concurrency=20)
    events.wait_for("failed", 60)
    assert theirs.getJobCounts("failed") == {"failed": 60}
    operation = carry_out(order(Queue("q"), "retry", "failed"))
    assert (operation.done, operation.failed) == (60, 0)
    events.wait_for("completed", 60)
    again = [args[0] for args in events.of("waiting") if args[0].get("prev") == "failed"]
    assert len({one["jobId"] for one in again}) == 60
    worker.close()
    counts = theirs.getJobCounts("completed", "failed", "waiting", "prioritized")
    assert (counts.pop("completed"), sum(counts.values())) == (60, 0)
    # The first attempt is forgotten, as Job.retry with both of its options forgets it.
    job = theirs.getJob(again[0]["jobId"])
    assert (job["attemptsMade"], job["returnvalue"] is not None) == (1, True)
    invariants.check(redis_client, "q")


def test_node_hears_of_removed_and_promoted_ones(peer: Peer, redis_client: redis.Redis) -> None:
    theirs, events = peer.queue("q"), peer.queue_events("q")
    ids = [theirs.add("late", {"n": n}, {"delay": 600_000})["id"] for n in range(6)]
    assert carry_out(order(Queue("q"), "promote", "delayed")).done == 6
    told = [args[0] for args in events.wait_for("waiting", 6)]
    assert [one["jobId"] for one in told] == ids
    assert carry_out(order(Queue("q"), "remove", "waiting", "name:late")).done == 6
    told = [args[0] for args in events.wait_for("removed", 6)]
    assert {one["jobId"] for one in told} == set(ids)
    assert {one["prev"] for one in told} <= {"wait", "waiting"}
    assert sum(theirs.getJobCounts("waiting", "delayed").values()) == 0
    invariants.check(redis_client, "q")
