"""What holds a worker back: a paused queue, global concurrency, rate limits, set by anybody."""

import asyncio
import time
from typing import Any

import pytest
import redis

from queuecore import DelayedError, Job, JobSpec, Queue, RateLimit, RateLimitError, Worker
from queuecore.errors import ConfigurationError
from tests import invariants
from tests.server.test_worker_wakeups import blocked
from tests.server.working import fields, finished, until, working


class Counting:
    """A processor that counts how many of it run at a time."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds = seconds
        self.running = self.most = 0
        self.starts: list[float] = []

    async def __call__(self, job: Job) -> None:
        self.starts.append(time.monotonic())
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(self.seconds)
        self.running -= 1


def set_meta(client: redis.Redis, **values: Any) -> None:
    """As a peer sets it."""
    client.hset("bull:q:meta", mapping=values)


@pytest.mark.parametrize("workers", [1, 3])
async def test_global_concurrency_of_a_peer(
    queue: Queue, redis_client: redis.Redis, workers: int
) -> None:
    counting = Counting()
    set_meta(redis_client, concurrency=2)
    await queue.aadd_bulk([JobSpec("x") for _ in range(30)])
    stack = [working(counting, concurrency=10) for _ in range(workers)]
    for one in stack:
        await one.__aenter__()
    await finished(queue, 30, 10)
    for one in stack:
        await one.__aexit__(None, None, None)
    assert counting.most == 2
    invariants.check(redis_client, "q", idle=True)


async def test_global_concurrency_that_is_taken_away(queue: Queue) -> None:
    counting = Counting(0.05)
    await queue.aset_global_concurrency(1)
    await queue.aadd_bulk([JobSpec("x") for _ in range(40)])
    async with working(counting, concurrency=10):
        await finished(queue, 3)
        assert counting.most == 1
        await queue.aremove_global_concurrency()
        await finished(queue, 40)
    assert counting.most > 1


# The server's clock opens a window, the test's reads it a little later.
SLACK = 0.05


async def test_a_rate_limit_of_a_peer(queue: Queue, redis_client: redis.Redis) -> None:
    counting = Counting(0)
    set_meta(redis_client, max=5, duration=300)
    await queue.aadd_bulk([JobSpec("x") for _ in range(17)])
    async with working(counting, concurrency=3):
        await finished(queue, 17)
    windows(redis_client, 5, 0.3)
    # 17 of 5 each: three whole windows have passed.
    assert counting.starts[-1] - counting.starts[0] >= 0.9 - SLACK


async def test_a_rate_limit_of_the_worker(queue: Queue, redis_client: redis.Redis) -> None:
    counting = Counting(0)
    await queue.aadd_bulk([JobSpec("x") for _ in range(9)])
    async with working(counting, limiter=RateLimit(max=4, duration=0.3)):
        await finished(queue, 9)
    windows(redis_client, 4, 0.3)
    assert counting.starts[-1] - counting.starts[0] >= 0.6 - SLACK


@pytest.mark.parity("Worker.limiter")
async def test_a_rate_limit_over_two_workers(queue: Queue, redis_client: redis.Redis) -> None:
    counting = Counting(0)
    limit = RateLimit(max=4, duration=0.3)
    await queue.aadd_bulk([JobSpec("x") for _ in range(13)])
    async with working(counting, limiter=limit), working(counting, limiter=limit):
        await finished(queue, 13)
    windows(redis_client, 4, 0.3)
    assert counting.starts[-1] - counting.starts[0] >= 0.9 - SLACK


@pytest.mark.parametrize("concurrency", [1, 10])
async def test_no_worker_sleeps_longer_than_its_limit(queue: Queue, concurrency: int) -> None:
    """Many short windows in a row: a lost wake-up would cost 5 seconds."""
    counting = Counting(0.002)
    await queue.aadd_bulk([JobSpec("x") for _ in range(60)])
    async with working(counting, concurrency=concurrency, limiter=RateLimit(3, 0.05)):
        await finished(queue, 60, 10)
    assert counting.starts[-1] - counting.starts[0] < 4


def windows(client: redis.Redis, most: int, duration: float) -> None:
    """No window, counted from its first start by the server's clock, holds more than *most*."""
    starts = [
        int(entry.split("-")[0])
        for entry, fields in client.xrange("bull:q:events")
        if fields["event"] == "active"
    ]
    first = 0
    while first < len(starts):
        # The server ends a window within the millisecond.
        inside = [at for at in starts[first:] if at < starts[first] + duration * 1000 - 1]
        assert len(inside) <= most, starts
        first += len(inside)


async def test_a_processor_that_says_that_it_is_limited(
    queue: Queue, redis_client: redis.Redis
) -> None:
    tries: list[float] = []

    async def work(job: Job) -> str:
        tries.append(time.monotonic())
        if len(tries) == 1:
            await job.queue.arate_limit(0.4)
            raise RateLimitError
        return "done"

    await queue.aset_global_rate_limit(100, 1)
    job = await queue.aadd("x", attempts=1)
    async with working(work):
        await finished(queue, 1)
    stored = await fields(queue, job.id)
    assert (stored["atm"], stored["ats"], stored["returnvalue"]) == ("1", "2", '"done"')
    assert "failedReason" not in stored
    assert tries[1] - tries[0] >= 0.4 - SLACK
    invariants.check(redis_client, "q", idle=True)


async def test_a_paused_queue_is_left_alone(queue: Queue, redis_client: redis.Redis) -> None:
    counting = Counting()
    await queue.apause()
    await queue.aadd_bulk([JobSpec("x") for _ in range(5)])
    await queue.aadd("later", delay=0.05)
    async with working(counting, drain_delay=0.1):
        await asyncio.sleep(0.5)
        assert counting.starts == []
        await queue.aresume()
        await finished(queue, 6)
    invariants.check(redis_client, "q", idle=True)


async def test_pausing_lets_running_jobs_end(queue: Queue) -> None:
    gate = asyncio.Event()
    ran: list[str] = []

    async def work(job: Job) -> None:
        ran.append(job.id)
        await gate.wait()

    await queue.aadd_bulk([JobSpec("x") for _ in range(4)])
    async with working(work, concurrency=2, drain_delay=0.1):
        await until(lambda: len(ran) == 2)
        await queue.apause()
        gate.set()
        await finished(queue, 2)
        await asyncio.sleep(0.3)
        assert len(ran) == 2
        await queue.aresume()
        await finished(queue, 4)


async def test_a_queue_that_bullmq_5_paused(queue: Queue, redis_client: redis.Redis) -> None:
    """Its jobs stand in `paused`; nothing may be taken from there."""
    counting = Counting()
    await queue.aadd_bulk([JobSpec("x") for _ in range(3)])
    set_meta(redis_client, paused=1, version="bullmq:5.81.5")
    redis_client.rename("bull:q:wait", "bull:q:paused")
    async with working(counting, drain_delay=0.1):
        await asyncio.sleep(0.3)
        assert counting.starts == []
        # As version 5 resumes.
        redis_client.rename("bull:q:paused", "bull:q:wait")
        redis_client.hdel("bull:q:meta", "paused")
        redis_client.zadd("bull:q:marker", {"0": 0})
        await finished(queue, 3)


async def test_a_slot_that_a_closing_worker_frees_is_taken_at_once(queue: Queue) -> None:
    """It claims nothing more; whoever waits for the slot must not sleep through it."""
    gate = asyncio.Event()

    async def slow(job: Job) -> None:
        await gate.wait()

    await queue.aset_global_concurrency(1)
    await queue.aadd("x")
    async with working(slow, concurrency=1) as first:
        await until(lambda: first.running == 1)
        await queue.aadd("x")
        async with working(Counting()):
            await asyncio.sleep(0.2)
            closing = asyncio.create_task(first.close(5))
            await asyncio.sleep(0.05)
            gate.set()
            await closing
            await finished(queue, 2)


@pytest.mark.parametrize("concurrency", [1, 5])
async def test_without_a_maximum_the_worker_that_met_the_limit_stops(
    queue: Queue, concurrency: int
) -> None:
    tries: list[float] = []

    async def work(job: Job) -> str:
        tries.append(time.monotonic())
        if len(tries) == 1:
            await job.queue.arate_limit(0.4)
            raise RateLimitError
        return "done"

    await queue.aadd("x")
    async with working(work, concurrency=concurrency):
        await finished(queue, 1)
    assert tries[1] - tries[0] >= 0.4 - SLACK


async def test_a_limit_that_is_over_already_makes_no_endless_loop(queue: Queue) -> None:
    tries: list[float] = []

    async def work(job: Job) -> None:
        tries.append(time.monotonic())
        if len(tries) < 5:
            raise RateLimitError

    await queue.aadd("x")
    async with working(work):
        await finished(queue, 1)
    assert len(tries) == 5
    assert tries[-1] - tries[0] >= 4 * 0.1 - SLACK


@pytest.mark.parametrize(
    "options", [{"maximum_rate_limit_delay": 1}, pytest.param({}, marks=pytest.mark.slow)], ids=str
)
async def test_a_limit_that_is_lifted_is_noticed(
    queue: Queue, redis_client: redis.Redis, options: dict[str, Any]
) -> None:
    """Within seconds, however long it would have held."""
    counting = Counting()
    await queue.aset_global_rate_limit(1, 600)
    await queue.aadd_bulk([JobSpec("x") for _ in range(5)])
    async with working(counting, **options):
        await finished(queue, 1)
        await queue.aremove_global_rate_limit()
        assert await queue.aremove_rate_limit_key()
        await finished(queue, 5, 3 if options else 7)


async def test_what_a_limited_worker_leaves_an_unlimited_one_takes(
    queue: Queue, redis_client: redis.Redis
) -> None:
    """The one with a limiter takes the marker, and must not keep it to itself."""
    counting, other = Counting(), Counting()
    async with working(counting, limiter=RateLimit(1, 60), drain_delay=60):
        await queue.aadd("x")
        await finished(queue, 1)
        async with working(other, drain_delay=60):
            await until(lambda: not redis_client.exists("bull:q:marker"))
            await queue.aadd_bulk([JobSpec("x") for _ in range(4)])
            await finished(queue, 5, 3)
    assert (len(counting.starts), len(other.starts)) == (1, 4)


async def test_a_job_put_off_frees_its_slot_for_whoever_waits(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async def put_off(job: Job) -> None:
        await gate.wait()
        await job.amove_to_delayed(60)
        raise DelayedError

    gate, counting = asyncio.Event(), Counting()
    await queue.aset_global_concurrency(1)
    await queue.aadd("x")
    async with working(put_off, concurrency=1) as first:
        await until(lambda: first.running == 1)
        async with working(counting, concurrency=1, drain_delay=60):
            await queue.aadd("x")
            await until(lambda: not redis_client.exists("bull:q:marker"))
            closing = asyncio.create_task(first.close(5))
            gate.set()
            await closing
            await finished(queue, 1, 2)
    assert len(counting.starts) == 1


async def test_a_slot_that_is_freed_in_silence_is_found(
    queue: Queue, redis_client: redis.Redis
) -> None:
    """As by a client that ends a job and tells nobody."""
    counting = Counting()
    await queue.aset_global_concurrency(1)
    redis_client.lpush("bull:q:active", "somebody's")
    await queue.aadd("x")
    redis_client.zadd("bull:q:marker", {"0": 0})
    async with working(counting, drain_delay=60):
        await until(lambda: not redis_client.exists("bull:q:marker"))
        redis_client.delete("bull:q:active")
        await finished(queue, 1, 3)


@pytest.mark.parametrize(
    "meta",
    [{"max": "many", "duration": 5}, {"max": 2, "duration": "long"}, {"concurrency": "all"}],
    ids=str,
)
async def test_limits_that_are_no_numbers_limit_nothing(
    queue: Queue, redis_client: redis.Redis, meta: dict[str, Any]
) -> None:
    set_meta(redis_client, **meta)
    await queue.aadd_bulk([JobSpec("x") for _ in range(9)])
    assert await queue.aget_rate_limit_ttl() == 0.0
    assert not await queue.ais_maxed()
    counting = Counting()
    async with working(counting):
        await finished(queue, 9)
    assert len(counting.starts) == 9


async def test_a_counter_that_is_no_number_is_begun_anew(
    queue: Queue, redis_client: redis.Redis
) -> None:
    set_meta(redis_client, max=5, duration=60_000)
    for spoilt in ("none", "7"):  # the second has no time, and would hold for ever
        redis_client.set("bull:q:limiter", spoilt)
        await queue.aadd("x")
        async with working(Counting()):
            await until(lambda: redis_client.zcard("bull:q:completed"))
        assert redis_client.get("bull:q:limiter") == "1"
        assert redis_client.pttl("bull:q:limiter") > 50_000
        redis_client.delete("bull:q:completed")


async def test_jobs_that_must_fail_count_for_no_limit(
    queue: Queue, redis_client: redis.Redis
) -> None:
    """As in BullMQ 6.7: they are not run."""
    counting = Counting()
    set_meta(redis_client, max=3, duration=60_000)
    jobs = await queue.aadd_bulk([JobSpec("x") for _ in range(5)])
    for job in jobs[:3]:
        redis_client.hset(f"bull:q:{job.id}", "defa", "child failed")
    async with working(counting, concurrency=10):
        await finished(queue, 5)
    assert len(counting.starts) == 2
    assert redis_client.get("bull:q:limiter") == "2"


async def test_what_is_no_limiter() -> None:
    for wrong in ((5, 1), 5, {"max": 5, "duration": 1}):
        with pytest.raises(ConfigurationError, match="limiter must be a RateLimit"):
            Worker("q", Counting(), limiter=wrong)  # type: ignore[arg-type]


async def test_a_marker_that_comes_to_a_limited_worker_goes_on(
    queue: Queue, redis_client: redis.Redis
) -> None:
    """It waits for the marker when the end of a job tells it of the limit, which others reached."""
    gate, other = asyncio.Event(), Counting()

    async def hold(job: Job) -> None:
        await gate.wait()

    async with working(hold, limiter=RateLimit(2, 60), drain_delay=60) as limited:
        await queue.aadd("x")
        await until(lambda: limited.running == 1)
        await until(lambda: not redis_client.exists("bull:q:marker") and blocked(redis_client))
        redis_client.incr("bull:q:limiter")
        gate.set()
        await finished(queue, 1)
        assert blocked(redis_client) == 1
        async with working(other, drain_delay=60):
            await until(lambda: blocked(redis_client) == 2)
            await queue.aadd("x")
            await finished(queue, 2, 3)
    assert len(other.starts) == 1


async def test_a_worker_that_finds_itself_limited_tells_the_next(
    queue: Queue, redis_client: redis.Redis
) -> None:
    counting, other = Counting(), Counting()
    async with working(counting, limiter=RateLimit(1, 60), drain_delay=60):
        await until(lambda: blocked(redis_client))
        async with working(other, drain_delay=60):
            await until(lambda: blocked(redis_client) == 2)
            redis_client.set("bull:q:limiter", 1, px=60_000)  # as others reach it
            await queue.aadd("x")
            await finished(queue, 1, 3)
    assert (len(counting.starts), len(other.starts)) == (0, 1)


@pytest.mark.parity("Worker.maximumRateLimitDelay")
async def test_a_limit_that_is_lifted_is_noticed_after_the_longest_delay(
    queue: Queue, redis_client: redis.Redis
) -> None:
    counting = Counting()
    await queue.aadd_bulk([JobSpec("x") for _ in range(2)])
    limiter = RateLimit(1, 600)
    async with working(counting, limiter=limiter, maximum_rate_limit_delay=0.2):
        await finished(queue, 1)
        await queue.aremove_rate_limit_key()
        await finished(queue, 2, 4)
