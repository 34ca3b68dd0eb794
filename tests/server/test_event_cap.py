"""How many events a queue keeps: set for a queue or for all, written where peers look for it."""

import pytest
import redis
from django.test import override_settings

from queuecore import FlowJob, FlowProducer, JobSpec, Queue
from queuecore.errors import InvalidOption
from tests.server.conftest import Do
from tests.server.hands import Hands
from tests.settings import QUEUECORE

CAP = "opts.maxLenEvents"


def test_a_queue_keeps_as_many_events_as_it_was_told(
    queue: Queue, hands: Hands, redis_client: redis.Redis, do: Do
) -> None:
    do(queue.set_max_events, 100)
    assert do(queue.get_meta).max_events == 100
    queue.add_bulk([JobSpec("n") for _ in range(500)])
    # The server cuts whole nodes of the stream, of 100 entries each.
    assert 100 <= redis_client.xlen("bull:q:events") <= 200
    for job in hands.claim(300):
        hands.complete(job)
    assert 100 <= redis_client.xlen("bull:q:events") <= 200
    assert redis_client.hget("bull:q:meta", CAP) == "100"
    with pytest.raises(InvalidOption, match="length"):
        do(queue.set_max_events, -1)


@pytest.mark.parametrize("way", ["job", "flow", "scheduler"])
def test_the_setting_is_for_queues_that_have_no_number(redis_client: redis.Redis, way: str) -> None:
    redis_client.hset("bull:told:meta", CAP, 300)
    with override_settings(QUEUECORE={**QUEUECORE, "MAX_EVENTS": 200}):
        for name in ("new", "told"):
            if way == "job":
                Queue(name).add("n")
            elif way == "flow":
                FlowProducer().add(FlowJob("n", queue=name))
            else:
                Queue(name).upsert_job_scheduler("s", every=60)
    assert redis_client.hget("bull:new:meta", CAP) == "200"
    assert redis_client.hget("bull:told:meta", CAP) == "300"
