"""One worker steered while it works: pause, cancel, concurrency, skipped parts, its events."""

import asyncio
import time
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Processor, Queue
from queuecore.errors import ConfigurationError
from tests import invariants
from tests.server.working import finished, until, working


@pytest.mark.parity("Worker.pause", "Worker.resume", "Worker.isPaused", "Worker.isRunning")
async def test_a_paused_worker_ends_what_runs_and_claims_nothing_more(queue: Queue) -> None:
    gate, begun = asyncio.Event(), asyncio.Event()

    async def hold(job: Job) -> None:
        begun.set()
        await gate.wait()

    await queue.aadd_bulk([JobSpec("n") for _ in range(6)])
    async with working(hold, concurrency=2) as worker:
        await begun.wait()
        pausing = asyncio.create_task(worker.pause())
        await asyncio.sleep(0)
        assert worker.is_paused()
        assert not pausing.done()
        gate.set()
        await pausing
        assert worker.running == 0
        before = await queue.aget_job_counts("waiting", "completed")
        await queue.aadd("later")
        # Whatever would claim it has had its chances: another queue's job comes and goes.
        await asyncio.sleep(0.2)
        assert await queue.aget_job_counts("waiting", "completed") == {
            "waiting": before["waiting"] + 1,
            "completed": before["completed"],
        }
        assert not await queue.ais_paused()
        assert worker.is_running()
        worker.resume()
        await finished(queue, 7)
    assert not worker.is_running()


@pytest.mark.parity("Worker.pause")
async def test_another_worker_goes_on_while_one_is_paused(queue: Queue) -> None:
    async def nothing(job: Job) -> str:
        return "done"

    async with working(nothing) as one, working(nothing):
        await one.pause(do_not_wait_active=True)
        await queue.aadd_bulk([JobSpec("n") for _ in range(30)])
        await finished(queue, 30)


@pytest.mark.parity("Worker.cancelJob")
async def test_a_cancelled_coroutine_fails_with_the_reason(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async def forever(job: Job) -> None:
        await asyncio.Event().wait()

    job = await queue.aadd("n")
    async with working(forever) as worker:
        assert not worker.cancel_job("no such")
        await until(lambda: worker.running)
        assert worker.cancel_job(job.id, "too late")
        await finished(queue, 1)
    await job.arefresh()
    assert job.failed_reason == "too late"
    assert worker.queue._cancelled == {}
    invariants.check(redis_client, "q", idle=True)


@pytest.mark.parity("Worker.cancelJob")
async def test_a_cancelled_job_is_tried_again_where_tries_are_left(queue: Queue) -> None:
    runs = []

    async def once(job: Job) -> str:
        runs.append(job.attempts_made)
        if len(runs) == 1:
            await asyncio.Event().wait()
        return "second"

    job = await queue.aadd("n", attempts=2)
    async with working(once) as worker:
        await until(lambda: runs)
        assert worker.cancel_job(job.id)
        assert await job.aresult(4) == "second"


@pytest.mark.parity("Worker.cancelAllJobs")
async def test_functions_in_threads_ask_whether_they_are_cancelled(queue: Queue) -> None:
    def until_cancelled(job: Job) -> None:
        while True:
            time.sleep(0.005)
            job.raise_if_cancelled()

    jobs = await queue.aadd_bulk([JobSpec("n") for _ in range(3)])
    async with working(until_cancelled, concurrency=3) as worker:
        await until(lambda: worker.running == 3)
        assert worker.cancel_all_jobs("all of you") == 3
        await finished(queue, 3)
    for job in jobs:
        await job.arefresh()
        assert job.failed_reason == "all of you"


async def test_a_coroutine_may_take_its_cancellation_for_an_end(queue: Queue) -> None:
    async def tidy(job: Job) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return f"tidied: {job.cancelled}"
        return "never"

    job = await queue.aadd("n")
    async with working(tidy) as worker:
        await until(lambda: worker.running)
        worker.cancel_job(job.id, "why")
        assert await job.aresult(4) == "tidied: why"


@pytest.mark.parity("Worker.concurrency")
@pytest.mark.parametrize("threads", [False, True])
async def test_the_concurrency_changes_while_it_runs(queue: Queue, threads: bool) -> None:
    open_ = False

    def hold(job: Job) -> None:
        while not open_:
            time.sleep(0.002)

    async def ahold(job: Job) -> None:
        await until(lambda: open_)

    await queue.aadd_bulk([JobSpec("n") for _ in range(12)])
    async with working(hold if threads else ahold, concurrency=1) as worker:
        await until(lambda: worker.running == 1)
        worker.concurrency = 4
        await until(lambda: worker.running == 4)
        with pytest.raises(ConfigurationError, match="concurrency"):
            worker.concurrency = 0
        worker.concurrency = 2
        open_ = True
        await finished(queue, 12)
        assert worker.concurrency == 2


@pytest.mark.parity("Worker.skipLockRenewal", "Worker.skipStalledCheck")
async def test_locks_are_not_renewed_where_that_is_skipped(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async def longer(job: Job) -> None:
        await until(lambda: not redis_client.exists(f"bull:q:{job.id}:lock"))

    await queue.aadd("n")
    options: dict[str, Any] = {"lock_duration": 0.2, "lock_renew_time": 0.05}
    async with working(longer, skip_lock_renewal=True, skip_stalled_check=True, **options):
        await until(lambda: redis_client.exists("bull:q:1:lock"))
        await until(lambda: not redis_client.exists("bull:q:1:lock"))
    assert not redis_client.exists("bull:q:stalled-check")


@pytest.mark.parity("Worker.backoffStrategy")
async def test_a_backoff_strategy_may_be_a_function(queue: Queue) -> None:
    from queuecore import Backoff

    seen = []

    def strategy(attempts_made: int, name: str, error: BaseException, job: Job) -> float:
        seen.append((attempts_made, name, str(error)))
        return 0.01

    async def fail(job: Job) -> None:
        raise ValueError("no")

    await queue.aadd("n", attempts=2, backoff=Backoff.custom("mine"))
    async with working(fail, backoff_strategy=strategy):
        await finished(queue, 1)
    assert seen == [(1, "mine", "no")]


@pytest.mark.parity(
    "Worker.on(active)", "Worker.on(completed)", "Worker.on(failed)", "Worker.on(progress)",
    "Worker.on(drained)", "Worker.on(ready)", "Worker.on(paused)", "Worker.on(resumed)",
    "Worker.on(closing)", "Worker.on(closed)",
)  # fmt: skip
@pytest.mark.parametrize("threads", [False, True])
async def test_the_events_of_a_worker(queue: Queue, threads: bool) -> None:
    told: list[tuple[Any, ...]] = []

    def work(job: Job) -> str:
        if job.name == "bad":
            raise ValueError("no")
        job.update_progress(50)
        return "done"

    async def awork(job: Job) -> str:
        if job.name == "bad":
            raise ValueError("no")
        await job.aupdate_progress(50)
        return "done"

    async with working(work if threads else awork, concurrency=1) as worker:
        for event in ("drained", "ready", "paused", "resumed", "closing", "closed"):
            worker.on(event, lambda event=event: told.append((event,)))

        @worker.on("active")
        def active(job: Job) -> None:
            told.append(("active", job.name))

        @worker.on("completed")
        async def completed(job: Job, result: Any) -> None:
            told.append(("completed", job.name, result, job.returnvalue))

        worker.on("failed", lambda job, error: told.append(("failed", job.name, str(error))))
        worker.on("progress", lambda job, progress: told.append(("progress", job.name, progress)))
        await queue.aadd_bulk([JobSpec("good"), JobSpec("bad")])
        await finished(queue, 2)
        await until(lambda: ("drained",) in told)
        await worker.pause()
        worker.resume()
        await until(lambda: ("resumed",) in told)
    assert told[-1] == ("closed",)
    expected = {
        ("active", "good"), ("active", "bad"), ("progress", "good", 50),
        ("completed", "good", "done", "done"), ("failed", "bad", "no"), ("drained",),
        ("paused",), ("resumed",), ("closing",), ("closed",), ("ready",),
    }  # fmt: skip
    assert set(told) == expected
    with pytest.raises(ConfigurationError, match="did you mean 'completed'"):
        worker.on("complete", print)
    with pytest.raises(ConfigurationError, match="needs a function"):
        worker.on("completed", 3)


@pytest.mark.parity("Worker.on(stalled)")
async def test_classes_and_listeners_hear_of_stalled_jobs(
    queue: Queue, redis_client: redis.Redis
) -> None:
    told: list[tuple[Any, ...]] = []

    class Work(Processor):
        async def process(self, job: Job) -> str:
            return "done"

        def on_active(self, job: Job) -> None:
            told.append(("active", job.id))

        async def on_stalled(self, job_id: str) -> None:
            told.append(("stalled", job_id))

        def on_drained(self) -> None:
            told.append(("drained",))

    job = await queue.aadd("n")
    # Left by a worker that died: active, marked by the check before, without a lock.
    redis_client.rpoplpush("bull:q:wait", "bull:q:active")
    redis_client.sadd("bull:q:stalled", job.id)
    async with working(Work) as worker:
        worker.on("stalled", lambda id: told.append(("listener", id)))
        await finished(queue, 1)
        await until(lambda: ("drained",) in told)
    assert {("stalled", job.id), ("listener", job.id), ("active", job.id)} <= set(told)


@pytest.mark.parity("Worker.on(lockRenewalFailed)")
async def test_listeners_hear_of_a_lost_lock(queue: Queue, redis_client: redis.Redis) -> None:
    told: list[str] = []

    async def forever(job: Job) -> None:
        await asyncio.Event().wait()

    job = await queue.aadd("n")
    options: dict[str, Any] = {"lock_duration": 0.4, "lock_renew_time": 0.05}
    async with working(forever, **options) as worker:
        worker.on("lock_renewal_failed", told.append)
        await until(lambda: redis_client.exists(f"bull:q:{job.id}:lock"))
        redis_client.set(f"bull:q:{job.id}:lock", "another's")
        await until(lambda: told == [job.id])


@pytest.mark.parity("Worker.on(locksRenewed)")
async def test_listeners_hear_of_renewed_locks(queue: Queue) -> None:
    told: list[list[str]] = []
    go = asyncio.Event()

    async def wait(job: Job) -> None:
        await go.wait()

    added = await queue.aadd_bulk([JobSpec("n") for _ in range(2)])
    options: dict[str, Any] = {"lock_duration": 0.4, "lock_renew_time": 0.05}
    async with working(wait, **options) as worker:
        worker.on("locks_renewed", told.append)
        ids = {job.id for job in added}
        await until(lambda: {id for some in told for id in some} == ids)
        go.set()
        await finished(queue, 2)


@pytest.mark.parity("Worker.on(error)")
async def test_listeners_hear_what_the_server_refuses(
    queue: Queue, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Exception] = []

    async def nothing(job: Job) -> None:
        return None

    async with working(nothing) as worker:
        worker.on("error", told.append)
        await until(lambda: worker.is_running())
        redis_client.delete("bull:q:wait")
        redis_client.set("bull:q:wait", "no list")
        redis_client.zadd("bull:q:marker", {"0": 0})
        await until(lambda: told)
        redis_client.delete("bull:q:wait")
    assert "WRONGTYPE" in str(told[0])


async def test_what_a_listener_raises_is_logged(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    async def nothing(job: Job) -> str:
        return "done"

    def broken(job: Job, result: Any) -> None:
        raise RuntimeError("a listener's own fault")

    job = await queue.aadd("n")
    async with working(nothing) as worker:
        worker.on("completed", broken)
        assert await job.aresult(4) == "done"
    assert "broken of " in caplog.text
    assert "a listener's own fault" in caplog.text


async def test_another_thread_pauses_and_closes_a_worker(queue: Queue) -> None:
    async def nothing(job: Job) -> None:
        return None

    loop = asyncio.get_running_loop()
    async with working(nothing) as worker:
        await queue.aadd("n")
        await finished(queue, 1)
        await asyncio.to_thread(lambda: asyncio.run(worker.pause()))
        assert worker.is_paused()
        await asyncio.to_thread(
            lambda: asyncio.run_coroutine_threadsafe(worker.close(), loop).result(10)
        )
        assert not worker.is_running()
