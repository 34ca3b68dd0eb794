"""The harness itself: Node beside Node, so that a failure elsewhere is about us."""

import pytest

from tests.interop.node import Peer, PeerError, numbered


def test_node_works_off_what_node_added(peer: Peer) -> None:
    queue, events = peer.queue("harness"), peer.queue_events("harness")
    queue.addBulk(list(numbered(100)))
    peer.worker("harness", "async job => job.data.n * 2", concurrency=10)
    done = events.wait_for("completed", 100)
    assert {args[0]["returnvalue"] for args in done} == {n * 2 for n in range(100)}
    assert queue.getJobCounts()["completed"] == 100


def test_an_error_of_node_is_raised_here(peer: Peer) -> None:
    with pytest.raises(PeerError, match="integers"):
        peer.queue("harness").add("job", {}, {"jobId": "5"})


def test_a_gate_holds_a_processor(peer: Peer) -> None:
    queue = peer.queue("harness")
    worker = peer.worker("harness", "async () => { await gate('here'); }")
    job = queue.add("job", {})
    worker.wait_for("active")
    assert queue.job(job["id"]).getState() == "active"
    peer.open("here")
    worker.wait_for("completed")
    assert queue.job(job["id"]).getState() == "completed"
