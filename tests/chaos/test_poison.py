"""A job that kills its process each time, among good ones."""

import redis

from queuecore import JobSpec, Queue
from tests import invariants
from tests.chaos.fleet import Fleet
from tests.chaos.ledger import Ledger
from tests.chaos.watch import finished

Q = "bull:short:"
ALLOWED_STALLS = 1
GOOD = 1000


def test_a_poison_job_fails_and_the_good_ones_complete(
    redis_client: redis.Redis, fleet: Fleet, ledger: Ledger
) -> None:
    queue = Queue("short")
    good = queue.add_bulk(JobSpec("async", {"n": n}) for n in range(GOOD // 2))
    poison = queue.add("poison", {"n": -1})
    good += queue.add_bulk(JobSpec("async", {"n": n}) for n in range(GOOD // 2))

    deaths = 0

    def over() -> bool:
        nonlocal deaths
        if fleet.exit_code is not None:
            # As systemd or a container engine would: it has died, start it again.
            assert fleet.wait(1) != 0
            deaths += 1
            fleet.start("short", MAX_STALLED_COUNT=ALLOWED_STALLS)
        return finished(redis_client, "short") == GOOD + 1

    fleet.start("short", MAX_STALLED_COUNT=ALLOWED_STALLS)
    fleet.until(over, 90, dies=True)
    code, _ = fleet.terminate(10)
    assert code == 0, fleet.said()

    counts = invariants.check(redis_client, "short")
    assert (counts["completed"], counts["failed"]) == (GOOD, 1)
    assert redis_client.zrange(f"{Q}failed", 0, -1) == [poison.id]
    reason = redis_client.hget(f"{Q}{poison.id}", "failedReason")
    starts = len(ledger.runs()[poison.id])
    assert 1 <= starts <= ALLOWED_STALLS + 4, reason
    assert deaths == starts
    for job in good:
        assert redis_client.hget(f"{Q}{job.id}", "stc") in (None, "1")
    print(f"{starts} starts of the poison job; {reason}")
