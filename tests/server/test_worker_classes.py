"""Class processors: set up before the first job, told how each run ended, torn down at the end."""

import asyncio
import logging
import threading
from typing import Any

import pytest
from django.contrib.auth.models import Group

from queuecore import Job, JobSpec, Processor, Queue, UnrecoverableError, Worker
from tests.server.working import finished, told, until, working


class Recording(Processor):
    """Keeps what was called, in order, and in which thread."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, Any]] = []
        self.threads: set[str] = set()

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        self.threads.add(threading.current_thread().name)

    def setup(self) -> None:
        self._note("setup", None, None)

    def teardown(self) -> None:
        self._note("teardown", None, None)

    def process(self, job: Job) -> Any:
        if job.data["error"]:
            raise ValueError(job.data["error"])
        return job.data["n"]

    def on_completed(self, job: Job, result: Any) -> None:
        self._note("completed", (job.id, job.returnvalue, job.attempts_made), result)

    def on_failed(self, job: Job, error: BaseException) -> None:
        self._note("failed", (job.id, job.failed_reason, job.attempts_made), error)


async def test_the_life_of_a_class_processor(queue: Queue) -> None:
    processor = Recording()
    await queue.aadd("good", {"n": 5, "error": None})
    async with working(processor, concurrency=1):
        await finished(queue, 1)
        await queue.aadd("bad", {"error": "no"}, attempts=2)
        await finished(queue, 2)
    names = [name for name, _, _ in processor.calls]
    assert names == ["setup", "completed", "failed", "failed", "teardown"]
    assert processor.calls[1][1:] == (("1", 5, 1), 5)
    assert [told for _, told, _ in processor.calls[2:4]] == [("2", "no", 1), ("2", "no", 2)]
    assert all(isinstance(error, ValueError) for _, _, error in processor.calls[2:4])
    # Not in the loop's thread, where they could neither block nor use the ORM.
    assert processor.threads == {"queuecore-q-hooks_0"}


async def test_a_class_is_made_once(queue: Queue) -> None:
    made: list[object] = []

    class Counting(Processor):
        def __init__(self) -> None:
            made.append(self)

        async def process(self, job: Job) -> int:
            return id(self)

    await queue.aadd_bulk([JobSpec("x") for _ in range(10)])
    async with working(Counting):
        await finished(queue, 10)
    assert len(made) == 1
    assert {job.returnvalue for job in await queue.aget_jobs(["completed"])} == {id(made[0])}


async def test_coroutine_hooks_run_in_the_loop(queue: Queue) -> None:
    calls: list[str] = []

    class Awaiting(Processor):
        async def setup(self) -> None:  # type: ignore[override]
            await asyncio.sleep(0)
            calls.append("setup")
            self.loop = asyncio.get_running_loop()

        async def teardown(self) -> None:  # type: ignore[override]
            calls.append("teardown")

        async def process(self, job: Job) -> None:
            assert asyncio.get_running_loop() is self.loop

        async def on_completed(self, job: Job, result: Any) -> None:  # type: ignore[override]
            await job.alog("done")
            calls.append("completed")

    job = await queue.aadd("x")
    async with working(Awaiting):
        await finished(queue, 1)
    assert calls == ["setup", "completed", "teardown"]
    assert (await queue.aget_job_logs(job.id))[0] == ["done"]


@pytest.mark.django_db(transaction=True)
async def test_hooks_may_use_the_orm_and_the_blocking_methods(queue: Queue) -> None:
    class Storing(Processor):
        def setup(self) -> None:
            Group.objects.create(name="setup")

        async def process(self, job: Job) -> str:
            return "fine"

        def on_completed(self, job: Job, result: Any) -> None:
            Group.objects.create(name=f"{job.id} {result}")
            job.log("stored")

    job = await queue.aadd("x")
    async with working(Storing):
        await finished(queue, 1)
    assert [one.name async for one in Group.objects.order_by("id")] == ["setup", "1 fine"]
    assert (await queue.aget_job_logs(job.id))[0] == ["stored"]


async def test_a_hook_that_raises_changes_nothing(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    class Careless(Processor):
        def process(self, job: Job) -> int:
            if job.name == "bad":
                raise ValueError("the job's own")
            return 1

        def on_completed(self, job: Job, result: Any) -> None:
            raise LookupError("after completing")

        def on_failed(self, job: Job, error: BaseException) -> None:
            raise SystemExit("after failing")

        def teardown(self) -> None:
            raise LookupError("at the end")

    good, bad = await queue.aadd("good"), await queue.aadd("bad")
    with caplog.at_level(logging.ERROR, "queuecore"):
        async with working(Careless, concurrency=1):
            await finished(queue, 2)
            await until(lambda: len(told(caplog)) == 2)
    assert await queue.aget_job_state(good.id) == "completed"
    assert (await queue.aget_job(bad.id)).failed_reason == "the job's own"
    said = told(caplog)
    assert said[0].startswith("on_completed of ")
    assert said[0].endswith(f"failed for job {good.id}")
    assert said[1].startswith("on_failed of ")
    assert said[2].startswith("teardown of ")


async def test_a_setup_that_raises_keeps_the_worker_from_starting(queue: Queue) -> None:
    class Broken(Processor):
        def setup(self) -> None:
            raise LookupError("no model file")

        def process(self, job: Job) -> None:
            raise AssertionError("ran")

    await queue.aadd("x")
    worker = Worker("q", Broken)
    with pytest.raises(LookupError, match="no model file"):
        await worker.arun()
    await asyncio.wait_for(worker.close(), 1)
    assert (await queue.aget_job_counts())["waiting"] == 1


async def test_no_hook_before_the_server_has_taken_the_outcome(queue: Queue) -> None:
    states: list[str] = []

    class Looking(Processor):
        def process(self, job: Job) -> None:
            pass

        def on_completed(self, job: Job, result: Any) -> None:
            states.append(job.get_state())

    await queue.aadd_bulk([JobSpec("x") for _ in range(30)])
    async with working(Looking):
        await finished(queue, 30)
        await until(lambda: len(states) == 30)
    assert set(states) == {"completed"}


async def test_failures_without_a_run_are_told_too(queue: Queue, redis_client: Any) -> None:
    told: list[BaseException] = []

    class Listening(Processor):
        def process(self, job: Job) -> None:
            raise AssertionError("ran")

        def on_failed(self, job: Job, error: BaseException) -> None:
            told.append(error)

    job = await queue.aadd("x", attempts=3)
    redis_client.hset(f"bull:q:{job.id}", "defa", "child failed")
    async with working(Listening):
        await finished(queue, 1)
    assert [(type(error), str(error)) for error in told] == [(UnrecoverableError, "child failed")]


async def test_slow_hooks_end_before_teardown(queue: Queue) -> None:
    calls: list[str] = []

    class Slow(Processor):
        def process(self, job: Job) -> None:
            pass

        def on_completed(self, job: Job, result: Any) -> None:
            threading.Event().wait(0.2)
            calls.append("completed")

        def teardown(self) -> None:
            calls.append("teardown")

    await queue.aadd_bulk([JobSpec("x") for _ in range(3)])
    async with working(Slow):
        await finished(queue, 3)
    assert calls == ["completed"] * 3 + ["teardown"]


async def test_a_class_hears_of_errors(queue: Queue, redis_client: Any) -> None:
    told: list[str] = []

    class Listening(Processor):
        async def process(self, job: Job) -> int:
            return 1

        def on_error(self, error: Exception) -> None:
            told.append(str(error))

    redis_client.set("bull:q:wait", "somebody wrote to it")
    async with working(Listening):
        await until(lambda: told)
        redis_client.delete("bull:q:wait")
        job = await queue.aadd("x")
        assert await job.aresult(20) == 1
    assert "WRONGTYPE" in told[0]
