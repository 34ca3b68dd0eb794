"""Named limits: several queues share one number, which can be changed while workers run."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from io import StringIO
from typing import Any

import pytest
import redis
from django.core.management import CommandError, call_command

from queuecore import Batch, Group, Job, JobSpec, Limit, Queue, RateLimit, Worker
from queuecore.errors import ConfigurationError, InvalidOption, LimitNotFound
from queuecore.integrity import Integrity
from queuecore.limits import aget_limits, declare, get_limits
from queuecore.models import AuditEntry
from tests import invariants
from tests.server.conftest import Do
from tests.server.hands import Hands
from tests.server.processes import Start
from tests.server.working import finished, until, working

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


def runs(client: redis.Redis, *queues: str) -> list[tuple[int, int, str]]:
    """When (ms) runs began and ended, by the event streams; in the order in which they began."""
    found, open_runs = [], {}
    for queue in queues or QUEUES:
        for id, fields in client.xrange(f"bull:{queue}:events"):
            at, job = int(id.split("-")[0]), (queue, fields.get("jobId"))
            if fields["event"] == "active":
                open_runs[job] = at
            elif job in open_runs and fields.get("prev") == "active":
                found.append((open_runs.pop(job), at, queue))
    return sorted([*found, *((at, at + 10**9, job[0]) for job, at in open_runs.items())])


def most_at_once(client: redis.Redis, *queues: str, since: int = 0, until: int = 2**60) -> int:
    """How many jobs ran at most whenever one began between *since* and *until* (ms).

    Two streams do not tell who was first within a millisecond: what ended then is not counted.
    """
    found = runs(client, *queues)
    return max(
        sum(begun <= at < ended for begun, ended, _ in found)
        for at, _, _ in found
        if since < at < until
    )


def most_in(client: redis.Redis, ms: int, *queues: str) -> int:
    """How many jobs began at most in a window, which opens with the first start after another."""
    starts = [begun for begun, _, _ in runs(client, *queues)]
    most = 0
    while starts:
        # The server ends a window within the millisecond.
        inside = [at for at in starts if at < starts[0] + ms - 1]
        most, starts = max(most, len(inside)), starts[len(inside) :]
    return most


def clock(client: redis.Redis) -> int:
    seconds, micros = client.time()
    return int(seconds * 1000 + micros // 1000)


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
    starts = [queue for _, _, queue in runs(redis_client)][:90]
    assert min(starts.count(queue) for queue in QUEUES) >= 20
    for queue in QUEUES:
        invariants.check(redis_client, queue, idle=True)
    assert redis_client.exists("qc:bull::limit:api:waiting") == 0


async def test_a_busy_queue_leaves_a_quiet_one_its_turn(
    server: Any, redis_client: redis.Redis, limits: Any
) -> None:
    limits(api={"CONCURRENCY": 2})
    await fill(200, 0.01, "q")
    async with fleet("q", "r", each=2):
        await finished(Queue("q"), 10)
        for _ in range(3):
            job = await Queue("r").aadd("n")
            await job.aresult(4)
            assert (await Queue("q").aget_job_counts())["waiting"] > 50
    assert most_at_once(redis_client, "q", "r") == 2


async def test_a_rate_over_three_queues(
    server: Any, redis_client: redis.Redis, limits: Any
) -> None:
    limits(api={"MAX": 6, "DURATION": 0.3})
    await fill(10)
    async with fleet(*QUEUES):
        await all_finished(10)
    found = runs(redis_client)
    assert most_in(redis_client, 300) == 6
    assert found[-1][0] - found[0][0] >= 1200 - 50
    assert {queue for _, _, queue in found[6:12]} == set(QUEUES)
    for queue in QUEUES:
        invariants.check(redis_client, queue, idle=True)


async def test_a_limit_changes_while_workers_run(
    server: Any, redis_client: redis.Redis, limits: Any
) -> None:
    limits(api={"CONCURRENCY": 1})
    limit = Limit("api")
    await fill(120, 0.02)

    async def most(count: int) -> int:
        """How many run at once from now on, until *count* more have begun."""
        since = clock(redis_client)
        await until(lambda: sum(at > since for at, _, _ in runs(redis_client)) >= count, 15)
        return most_at_once(redis_client, since=since, until=clock(redis_client))

    async with fleet(*QUEUES):
        assert await most(10) == 1
        await limit.aset_concurrency(6)
        assert await most(25) == 6
        await limit.aset_concurrency(2)
        assert await most(20) == 2
        await limit.aset_rate_limit(5, 0.2)
        await limit.aremove_concurrency()
        since = clock(redis_client)
        await most(15)
        assert len([at for at, _, _ in runs(redis_client) if since < at < since + 150]) <= 5
        await limit.aremove_rate_limit()
        assert await most(30) > 6
        await limit.areset()
        assert await most(10) == 1
        await limit.aset_concurrency(20)
        await all_finished(120)
    for queue in QUEUES:
        invariants.check(redis_client, queue, idle=True)


async def test_a_limit_that_is_removed_holds_nobody(
    server: Any, redis_client: redis.Redis, limits: Any
) -> None:
    limits(api={"CONCURRENCY": 1, "MAX": 2, "DURATION": 600})
    await fill(20)
    async with fleet(*QUEUES, maximum_rate_limit_delay=0.2):
        await until(lambda: len(runs(redis_client)) == 2)
        await Limit("api").aremove()
        await all_finished(20)
    assert redis_client.keys("qc:bull:*limit*") == []


async def test_grouped_ranked_and_batched_jobs_count(
    server: Any, redis_client: redis.Redis, limits: Any
) -> None:
    limits(api={"CONCURRENCY": 3})
    ran: list[int] = []

    async def note(job: Job) -> None:
        ran.append(job.data)
        await asyncio.sleep(0.01)

    async def batch(jobs: list[Job]) -> None:
        await asyncio.sleep(0.01)

    for number in range(4):
        await fill(10, 0.01, "q", group=Group(f"g{number}"))
    await Queue("r").aadd_bulk([JobSpec("n", 40 - n, priority=40 - n) for n in range(40)])
    await fill(40, 0.0, "s")
    async with (
        fleet("q", each=2),
        working(note, "r", limits=["api"]),
        working(batch, "s", limits=["api"], batch=Batch(5)),
    ):
        await all_finished(40)
    assert most_at_once(redis_client) == 3
    assert ran == sorted(ran)
    for queue in QUEUES:
        invariants.check(redis_client, queue, idle=True)


async def test_a_queue_in_two_limits_gets_its_turn(
    server: Any, redis_client: redis.Redis, limits: Any
) -> None:
    """The two others use up one limit each, for as long as there are jobs."""
    limits(api={"CONCURRENCY": 1}, db={"CONCURRENCY": 1})
    await fill(300, 0.005, "q", "r")
    await fill(5, 0.005, "s")
    async with (
        working(nap, "q", limits=["api"]),
        working(nap, "r", limits=["db"]),
        working(nap, "s", limits=["api", "db"]),
    ):
        await finished(Queue("s"), 5, 10)
        counts = [(await Queue(name).aget_job_counts())["waiting"] for name in ("q", "r")]
        assert min(counts) > 0
    assert most_at_once(redis_client, "q", "s") == most_at_once(redis_client, "r", "s") == 1


def turn(client: redis.Redis, queue: str = "r") -> str | None:
    """Whether a queue waits for its turn."""
    found: str | None = client.hget("qc:bull::limit:api:waiting", f"bull:{queue}")
    return found


@pytest.mark.parametrize("why", ["paused", "empty", "late"])
def test_who_cannot_take_its_turn_holds_nobody_up(
    queue: Queue, redis_client: redis.Redis, limits: Any, why: str
) -> None:
    limits(api={"CONCURRENCY": 1})
    second = Queue("r")
    first_hand, second_hand = Hands(queue), Hands(second, "second")
    for one in (queue, second):
        belong(one, "api")
        one.add_bulk([JobSpec("n")] * 5)
    (job,) = first_hand.claim()
    assert second_hand.claim() == []
    assert turn(redis_client)
    first_hand.complete(job)
    assert redis_client.exists("qc:bull:r:marker")  # it is told
    assert first_hand.claim() == []  # not before the other has had its turn
    assert turn(redis_client, "q")
    if why == "paused":
        second.pause()
    elif why == "empty":
        second.drain()
    else:
        since, _ = str(turn(redis_client)).split()
        redis_client.hset("qc:bull::limit:api:waiting", "bull:r", f"{since} {since}")
    (job,) = first_hand.claim()
    assert turn(redis_client) is turn(redis_client, "q") is None
    first_hand.complete(job)


def test_who_waits_for_a_limit_is_no_finding(
    queue: Queue, redis_client: redis.Redis, limits: Any
) -> None:
    limits(api={"CONCURRENCY": 1})
    second = Queue("r")
    for one in (queue, second):
        belong(one, "api")
        one.add_bulk([JobSpec("n")] * 3)
    Hands(queue).claim()
    assert Hands(second, "second").claim() == []
    redis_client.delete("bull:r:marker")  # as a worker takes it
    assert Integrity().check(["r"]).kinds() == {}
    redis_client.delete("qc:bull::limit:api:waiting")
    assert Integrity().check(["r"]).kinds() == {"marker": 1}


def test_jobs_by_hand(queue: Queue, redis_client: redis.Redis, limits: Any, do: Do) -> None:
    limits(api={"CONCURRENCY": 1})
    worker, other = Worker("q", limits=["api"]), Worker("r", limits=["api"])
    do(queue.add, "n")
    do(Queue("r").add, "n")
    job = do(worker.get_next_job)
    assert do(other.get_next_job, block=False) is None
    do(job.move_to_completed, 1)
    assert do(other.get_next_job, block=False) is not None
    found = do(Limit("api").get)
    assert (found.running, found.maxed) == (1, True)
    assert [(one.name, one.running, one.waits) for one in found.queues] == [
        ("q", 0, False), ("r", 1, False),
    ]  # fmt: skip


async def test_who_is_turned_away_waits_quietly(
    queue: Queue, redis_client: redis.Redis, limits: Any
) -> None:
    limits(api={"CONCURRENCY": 1})
    async with fleet("q", each=2):
        await queue.aadd("n", 2)
        await until(lambda: redis_client.llen("bull:q:active"))
        await fill(3, 0.0, *QUEUES)
        await fill(3, 0.0, "q", "r", group=Group("a"))
        async with fleet("r", "s", each=2, heartbeat=None, statistics=None):
            await until(lambda: redis_client.hlen("qc:bull::limit:api:waiting") == 3)
            redis_client.config_resetstat()
            await until(lambda: redis_client.zcard("bull:q:completed"))
            said: dict[str, Any] = redis_client.info("commandstats")
            # Six workers that look once a second, and those who are woken at the end.
            assert said["cmdstat_evalsha"]["calls"] < 60


async def test_a_burst_waits_for_the_limit(
    queue: Queue, redis_client: redis.Redis, limits: Any
) -> None:
    limits(api={"CONCURRENCY": 1})
    async with fleet("q"):
        await queue.aadd("n", 0.5)
        await until(lambda: redis_client.llen("bull:q:active"))
        await fill(3, 0.0, "r")
        worker = Worker("r", nap, limits=["api"], burst=True)
        await asyncio.wait_for(worker.arun(), 5)
    assert redis_client.zcard("bull:r:completed") == 3
    assert most_at_once(redis_client, "q", "r") == 1


async def test_a_worker_without_limits_leaves_them(
    queue: Queue, redis_client: redis.Redis, limits: Any
) -> None:
    limits(api={"CONCURRENCY": 1})
    for given, left in ((["api"], ["api"]), (None, ["api"]), ([], [])):
        async with working(nap, limits=given):
            await (await queue.aadd("n")).aresult(4)
        assert [one.name for one in await queue.aget_limits()] == left


async def test_a_limit_on_two_prefixes_is_two(
    queue: Queue, other: Queue, redis_client: redis.Redis, limits: Any
) -> None:
    limits(api={"CONCURRENCY": 1})
    together = asyncio.Barrier(2)

    async def meet(job: Job) -> None:
        await asyncio.wait_for(together.wait(), 4)

    await queue.aadd("n", attempts=1)
    await other.aadd("n", attempts=1)
    async with (
        working(meet, "q", limits=["api"]),
        working(meet, "second", connection="other", limits=["api"]),
    ):
        await finished(queue, 1)
        await finished(other, 1)
    assert redis_client.zcard("bull:q:completed") == 1
    await other.connection.aclose()


def test_a_rate_over_two_processes(
    server: Any, redis_client: redis.Redis, child_environment: dict[str, str], start: Start
) -> None:
    child_environment["QUEUECORE_TEST_LIMITS"] = '{"api": {"MAX": 5, "DURATION": 0.4}}'
    names = ("charges", "refunds")
    workers = [start(name, apps=["tests.server.sharing"]) for name in names]
    for worker in workers:
        worker.until(lambda worker=worker: "works" in worker.said)
    for name in names:
        Queue(name).add_bulk([JobSpec("n")] * 15)
    for name in names:
        workers[0].until(lambda name=name: redis_client.zcard(f"bull:{name}:completed") == 15)
    found = runs(redis_client, *names)
    assert most_in(redis_client, 400, *names) == 5
    assert {queue for _, _, queue in found[:15]} == set(names)


def test_what_a_killed_worker_held_is_free_again(
    server: Any, redis_client: redis.Redis, child_environment: dict[str, str], start: Start
) -> None:
    child_environment["QUEUECORE_TEST_LIMITS"] = '{"api": {"CONCURRENCY": 2}}'
    options: dict[str, Any] = {"apps": ["tests.server.sharing"], "LOCK_DURATION": 1}
    options["STALLED_INTERVAL"] = 0.3
    Queue("charges").add_bulk([JobSpec("n", 600)] * 2)
    victim = start("charges", **options)
    victim.until(lambda: redis_client.llen("bull:charges:active") == 2)
    other = start("refunds", "charges", **options)
    Queue("refunds").add_bulk([JobSpec("n")] * 20)
    other.until(lambda: redis_client.hlen("qc:bull::limit:api:waiting"))
    assert redis_client.llen("bull:refunds:active") == 0
    victim.process.kill()
    other.until(lambda: redis_client.zcard("bull:refunds:completed") == 20)
    other.until(lambda: redis_client.zcard("bull:charges:completed") == 2)
    assert most_at_once(redis_client, "charges", "refunds") == 2


@pytest.mark.django_db(transaction=True)
def test_the_command_tells_and_changes(queue: Queue, limits: Any) -> None:
    limits(api={"CONCURRENCY": 5, "MAX": 10, "DURATION": 60})
    belong(queue, "api")

    def run(*args: str) -> str:
        said = StringIO()
        call_command("queues", "limits", *args, stdout=said)
        return said.getvalue().strip()

    plain = "default: api: 0 of 5 run, 0 of 10 in 60 s started; queues: q 0"
    assert run() == run("api", "--connection", "default") == plain
    changed = run("api", "--concurrency", "2", "--rate", "none", "--reason", "they asked for it")
    assert changed == "default: api: 0 of 2 run (by hand); queues: q 0"
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.target, entry.reason) == ("named_limit", "api", "they asked for it")
    assert run("api", "--reset") == plain
    assert "3 of 3" not in run("api", "--reset", "--concurrency", "none", "--rate", "3/0.5")
    for wrong in (["--reset"], ["api", "--concurrency", "0"], ["api", "--rate", "3"]):
        with pytest.raises(CommandError):
            run(*wrong)
    with pytest.raises(CommandError, match="no limit 'strpe'"):
        run("strpe", "--concurrency", "2")
