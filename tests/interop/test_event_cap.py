"""One number of events for a queue, whichever side gave it: both cut the stream to it."""

import pytest
import redis

from queuecore import FlowJob, FlowProducer, JobSpec, Queue
from tests.interop.dump import compare
from tests.interop.node import Peer, numbered
from tests.server.hands import Hands

MANY = 400


@pytest.mark.parity("Queue.streams.events.maxLen")
def test_node_s_number_holds_for_us(peer: Peer, redis_client: redis.Redis) -> None:
    peer.queue("q", streams={"events": {"maxLen": 100}}).getVersion()
    queue = Queue("q")
    assert queue.get_meta().max_events == 100
    queue.add_bulk([JobSpec("n") for _ in range(MANY)])
    assert redis_client.xlen("bull:q:events") <= 200
    hands = Hands(queue)
    for job in hands.claim(MANY // 2):
        hands.complete(job)
    assert redis_client.xlen("bull:q:events") <= 200
    FlowProducer().add_bulk([FlowJob("n", queue="q") for _ in range(MANY)])
    assert redis_client.xlen("bull:q:events") <= 200
    assert queue.get_meta().max_events == 100


@pytest.mark.parity("Queue.streams.events.maxLen")
def test_our_number_holds_for_node(peer: Peer, redis_client: redis.Redis) -> None:
    theirs = peer.queue("q", skipMetasUpdate=True)
    Queue("q").set_max_events(100)
    theirs.addBulk(list(numbered(MANY)))
    assert redis_client.xlen("bull:q:events") <= 200
    assert redis_client.hget("bull:q:meta", "opts.maxLenEvents") == "100"


@pytest.mark.parity("Queue.streams.events.maxLen")
def test_both_write_the_same(six: Peer, redis_client: redis.Redis) -> None:
    six.queue("theirs", streams={"events": {"maxLen": 300}}).add("job", {})
    ours = Queue("ours")
    ours.set_max_events(300)
    ours.add("job")
    compare(redis_client)
