"""A scheduler that is paused here, beside Node: gone for it meanwhile, and going on afterwards."""

import redis

from queuecore import Queue
from queuecore.timetable import Timetable
from tests import invariants
from tests.interop.node import Peer
from tests.interop.test_schedulers import completed, node_makes, node_works, until


def test_a_pause_beside_a_node_worker(peer: Peer, redis_client: redis.Redis) -> None:
    node = peer.queue("q")
    node_makes(peer)
    with node_works(peer):
        until(lambda: len(completed(redis_client)) >= 3)
        assert Queue("q").pause_job_scheduler("s")
        assert node.getJobSchedulersCount() == 0
        assert node.getJobScheduler("s") is None
        # What was ready or running still ends, and nothing follows it.
        until(lambda: not Queue("q").get_jobs(["active", "waiting", "prioritized"]))
        done = len(completed(redis_client))
        assert not redis_client.exists("bull:q:repeat", "bull:q:repeat:s", "bull:q:delayed")
        assert len(completed(redis_client)) == done
        assert Queue("q").run_job_scheduler("s").result(timeout=20) == 7  # by Node, by hand
        Queue("q").resume_job_scheduler("s")
        assert node.getJobScheduler("s")["key"] == "s"
        until(lambda: len(completed(redis_client)) >= done + 4)
    invariants.check(redis_client, "q")
    (timing,) = Timetable().timings([("q", "s")])
    assert timing is not None
    # Its runs are Node's; what was due during the pause was not missed.
    assert any(run.by_hand for run in timing.runs)
    assert len([run for run in timing.runs if run.state == "completed"]) >= 6


def test_nodes_upsert_ends_the_pause(peer: Peer, redis_client: redis.Redis) -> None:
    node_makes(peer)
    queue = Queue("q")
    queue.pause_job_scheduler("s")
    node_makes(peer)
    (place,) = Timetable().places(["q"])
    assert place.paused is None
    assert peer.queue("q").getJobSchedulersCount() == 1
    (timing,) = Timetable().timings([("q", "s")])
    assert timing is not None
    assert timing.scheduler.paused_at is None
    # Nor does what is left of the pause stay once anybody here touches the scheduler.
    queue.change_job_scheduler("s", every=3600)
    assert queue.get_paused_job_schedulers() == []
