"""Events across the peers: custom ones, those of one job, and who listens."""

import pytest

from queuecore import Queue, QueueEvents, QueueEventsProducer
from tests.interop.node import Peer


@pytest.mark.parity("QueueEventsProducer.publishEvent")
def test_node_hears_our_custom_events(peer: Peer) -> None:
    Queue("shared").add("n")
    theirs = peer.queue_events("shared")
    QueueEventsProducer("shared").publish_event("shipped", job_id="1", carrier="post")
    ((told, _),) = theirs.wait_for("shipped")
    assert told == {"jobId": "1", "carrier": "post"}


@pytest.mark.parity("QueueEventsProducer.publishEvent", "QueueEvents")
def test_we_hear_node_s_custom_events(peer: Peer) -> None:
    producer = peer.make("QueueEventsProducer", ["shared", {"connection": peer.connection}])
    events = QueueEvents("shared", last_event_id="0-0", events=["shipped"])
    producer.publishEvent({"eventName": "shipped", "jobId": "7", "carrier": "post"})
    event = next(iter(events))
    assert (event.event, event.job_id, event.fields) == ("shipped", "7", {"carrier": "post"})


@pytest.mark.parity("Queue.getQueueEvents")
def test_node_sees_who_listens(peer: Peer) -> None:
    queue = Queue("shared")
    queue.add("n")
    events = QueueEvents("shared", last_event_id="0-0")
    iteration = iter(events)
    next(iteration)
    assert len(peer.queue("shared").getQueueEvents()) == 1
    iteration.close()
    assert peer.queue("shared").getQueueEvents() == []
