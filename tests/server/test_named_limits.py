"""Named limits: several queues share one number, which can be changed while workers run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Limit, Queue, RateLimit, Worker
from queuecore.errors import ConfigurationError, InvalidOption, LimitNotFound
from queuecore.limits import aget_limits, declare, get_limits
from tests import invariants
from tests.server.conftest import Do
from tests.server.working import finished, working

QUEUES = ("q", "r", "s")


@pytest.fixture
def limits(settings: Any) -> Any:
    """``limits(api={"CONCURRENCY": 2})`` puts limits into the settings."""

    def put(**values: Any) -> None:
        settings.QUEUECORE = settings.QUEUECORE | {"LIMITS": values}

    return put


def belong(queue: Queue, *names: str) -> None:
    """As a worker that starts lets its queue belong."""
    queue.connection.run(declare(queue.keys, names))


def test_what_the_settings_declare_and_what_stands_by_hand(
    queue: Queue, limits: Any, do: Do
) -> None:
    limits(api={"CONCURRENCY": 5, "MAX": 100, "DURATION": 60}, db={})
    limit, rate = Limit("api"), RateLimit(100, 60)
    assert do(limit.get) is None
    belong(queue, "api", "db")
    belong(Queue("r"), "api")
    found = do(limit.get)
    assert (found.concurrency, found.rate) == (5, rate)
    assert [one.name for one in found.queues] == ["q", "r"]
    assert (found.concurrency_by_hand, found.maxed, found.limited) == (False, False, False)
    assert [one.name for one in do(queue.get_limits)] == ["api", "db"]
    assert [one.name for one in get_limits()] == ["api", "db"]
    assert do(Queue("r").get_limits) == [found]

    do(limit.set_concurrency, 2)
    do(limit.set_rate_limit, 7, 0.5)
    belong(queue, "api", "db")  # a worker starts
    found = do(limit.get)
    assert (found.concurrency, found.rate) == (2, RateLimit(7, 0.5))
    assert (found.declared_concurrency, found.declared_rate) == (5, rate)
    assert (found.concurrency_by_hand, found.rate_by_hand) == (True, True)
    do(limit.remove_concurrency)
    do(limit.remove_rate_limit)
    belong(queue, "api", "db")
    found = do(limit.get)
    assert (found.concurrency, found.rate, found.declared_concurrency) == (None, None, 5)

    limits(api={"CONCURRENCY": 9}, db={})  # the settings change while an operator's word stands
    belong(queue, "api", "db")
    assert do(limit.get).concurrency is None
    assert do(limit.reset)
    assert not do(limit.reset)
    found = do(limit.get)
    assert (found.concurrency, found.rate, found.concurrency_by_hand) == (9, None, False)


def test_queues_leave_and_limits_go(
    queue: Queue, redis_client: redis.Redis, limits: Any, do: Do
) -> None:
    limits(api={"CONCURRENCY": 5}, db={"CONCURRENCY": 1})
    belong(queue, "api", "db")
    belong(Queue("r"), "db")
    belong(queue, "db")  # the code has changed
    assert do(Limit("api").get) is None
    assert do(Limit("db").remove)
    assert not do(Limit("db").remove)
    assert do(queue.get_limits) == []
    assert redis_client.keys("qc:bull:*limit*") == []
    belong(queue, "db")
    belong(queue)
    assert redis_client.keys("qc:bull:*limit*") == []


async def test_limits_of_one_prefix_are_no_others(queue: Queue, other: Queue, limits: Any) -> None:
    limits(api={"CONCURRENCY": 5})
    for one in (queue, other):
        await one.connection.arun(declare(one.keys, ["api"]))
    await Limit("api").aset_concurrency(2)
    (here,), (there,) = await aget_limits(), await aget_limits("other")
    assert (here.concurrency, here.queues[0].name) == (2, "q")
    assert (there.concurrency, there.queues[0].name) == (5, "second")
    for one in (queue, other):
        await one.connection.aclose()


def test_what_is_no_limit_is_refused(limits: Any, do: Do) -> None:
    limits(api={"CONCURRENCY": 5})
    with pytest.raises(LimitNotFound, match="strpe"):
        do(Limit("strpe").set_concurrency, 1)
    with pytest.raises(LimitNotFound):
        do(Limit("strpe").reset)
    do(Limit("api").set_concurrency, 1)  # before any worker has begun
    assert do(Limit("api").get).concurrency == 1
    with pytest.raises(InvalidOption):
        do(Limit("api").set_concurrency, 0)
    with pytest.raises(InvalidOption):
        do(Limit("api").set_rate_limit, 3, 0)
    for name in ("", "a:b", "a\nb", 3):
        with pytest.raises(InvalidOption):
            Limit(name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"api": 3}, "dict"),
        ({"api": {"CONCURENCY": 3}}, "CONCURRENCY"),
        ({"api": {"CONCURRENCY": 0}}, "at least 1"),
        ({"api": {"CONCURRENCY": True}}, "at least 1"),
        ({"api": {"MAX": 3}}, "duration"),
        ({"api": {"DURATION": 3}}, "max"),
        ({"a:b": {"CONCURRENCY": 3}}, "':'"),
    ],
)
def test_wrong_settings_are_refused(limits: Any, values: dict[str, Any], word: str) -> None:
    from queuecore.conf import get_settings

    limits(**values)
    with pytest.raises(ConfigurationError, match=word):
        get_settings()


async def nap(job: Job) -> None:
    await asyncio.sleep(job.data or 0)


@asynccontextmanager
async def fleet(*queues: str, each: int = 1, **options: Any) -> AsyncIterator[list[Worker]]:
    """*each* workers on each of *queues*, all with the limit ``api`` unless told otherwise."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                working(nap, queue, **{"limits": ["api"], "concurrency": 10} | options)
            )
            for queue in queues
            for _ in range(each)
        ]


async def fill(count: int, seconds: float = 0.0, *queues: str, **options: Any) -> None:
    for name in queues or QUEUES:
        await Queue(name).aadd_bulk([JobSpec("n", seconds, **options) for _ in range(count)])


def story(client: redis.Redis, *queues: str) -> list[tuple[tuple[int, int], str, str]]:
    """When and in which queue jobs began and ended, by the server's event streams."""
    found = []
    for queue in queues or QUEUES:
        for id, fields in client.xrange(f"bull:{queue}:events"):
            at, number = id.split("-")
            found.append(((int(at), int(number)), fields["event"], queue))
    return sorted(found)


def most_at_once(client: redis.Redis, *queues: str) -> int:
    """How many jobs ran at once at most.

    Streams number their own entries, so that the order of two queues within a millisecond is not
    known: what ended in it is counted as ended before what began.
    """
    running = most = 0
    ends = {"completed", "failed", "delayed", "waiting"}
    running_ids: set[tuple[str, str]] = set()
    steps = []
    for queue in queues or QUEUES:
        for id, fields in client.xrange(f"bull:{queue}:events"):
            event = fields["event"]
            if event == "active" or (event in ends and fields.get("prev") == "active"):
                at = int(id.split("-")[0])
                steps.append((at, event == "active", queue, fields["jobId"]))
    for _, begins, queue, job in sorted(steps):
        if begins:
            running_ids.add((queue, job))
        else:
            running_ids.discard((queue, job))
        running = len(running_ids)
        most = max(most, running)
    return most


def most_in(client: redis.Redis, ms: int, *queues: str) -> int:
    """How many jobs began at most in a window, which opens with the first start after another."""
    starts = [at[0] for at, event, _ in story(client, *queues) if event == "active"]
    most = 0
    while starts:
        inside = [at for at in starts if at < starts[0] + ms - 1]
        most, starts = max(most, len(inside)), starts[len(inside) :]
    return most


async def all_finished(count: int, *queues: str, timeout: float = 20) -> None:
    for name in queues or QUEUES:
        await finished(Queue(name), count, timeout)


async def test_a_concurrency_over_three_queues(
    server: Any, redis_client: redis.Redis, limits: Any
) -> None:
    limits(api={"CONCURRENCY": 3})
    await fill(60, 0.005)
    async with fleet(*QUEUES, each=2):
        await all_finished(60)
    assert most_at_once(redis_client) == 3
    # None was starved: of the first half of all starts each queue had about a third.
    starts = [queue for _, event, queue in story(redis_client) if event == "active"][:90]
    assert min(starts.count(queue) for queue in QUEUES) >= 20
    for queue in QUEUES:
        invariants.check(redis_client, queue, idle=True)
    assert redis_client.exists("qc:bull::limit:api:waiting") == 0
