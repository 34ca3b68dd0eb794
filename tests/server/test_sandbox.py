"""Jobs in child processes: what their code may do to itself, and what the worker keeps."""

import os
from typing import Any

import pytest
import redis

from queuecore import Job, JobSpec, Queue
from queuecore.errors import ConfigurationError
from tests import invariants
from tests.server import boxed
from tests.server.working import finished, until, working

# Importing Django takes its time on a busy machine.
START = 60.0


@pytest.fixture(autouse=True)
def _environment(child_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in child_environment.items():
        monkeypatch.setenv(name, value)


def sandboxed(**options: Any) -> Any:
    return working(boxed.work, sandbox=True, **{"concurrency": 2, "sandbox_grace": 0.4, **options})


async def test_a_job_runs_in_another_process_which_the_next_finds_warm(queue: Queue) -> None:
    async with sandboxed(concurrency=1):
        one = await queue.aadd("pid")
        first = await one.aresult(START)
        assert first != os.getpid()
        assert await (await queue.aadd("pid")).aresult(START) == first


async def test_a_sandboxed_job_tells_progress_logs_and_data(
    queue: Queue, redis_client: redis.Redis
) -> None:
    heard: list[Any] = []
    async with sandboxed() as worker:
        worker.on("progress", lambda job, progress: heard.append((job.id, progress)))
        job = await queue.aadd("tell", {"step": 1})
        assert await job.aresult(START) == "told"
    await job.arefresh()
    rows, _ = await job.aget_logs()
    assert (job.progress, job.data, rows) == (40, {"step": 2}, ["half way", "to the log"])
    assert heard == [(job.id, 40)]
    invariants.check(redis_client, "q", idle=True)


async def test_what_a_sandboxed_processor_raises_fails_its_job(queue: Queue) -> None:
    async with sandboxed():
        jobs = {
            name: await queue.aadd(name, "bad", attempts=2)
            for name in ("fail", "final", "unpicklable", "rude", "not_json", "exits")
        }
        await finished(queue, len(jobs), START)
    for job in jobs.values():
        await job.arefresh()
    assert {name: (job.failed_reason, job.attempts_made) for name, job in jobs.items()} == {
        "fail": ("bad", 2),
        "final": ("never again", 1),
        "unpicklable": ("cannot be pickled", 2),
        "rude": ("Rude (its message cannot be read)", 2),
        "not_json": (jobs["not_json"].failed_reason, 1),
        "exits": ("3", 2),
    }
    assert "set" in str(jobs["not_json"].failed_reason)
    assert "in fail" in jobs["fail"].stacktrace[0]
    assert "raise ValueError(job.data)" in jobs["fail"].stacktrace[0]


async def test_a_sandboxed_job_moves_itself(queue: Queue) -> None:
    async with sandboxed():
        job = await queue.aadd("later")
        await finished(queue, 1, START)
    await job.arefresh()
    assert (job.attempts_started, job.attempts_made) == (2, 1)


DEATHS = {
    "killed": "killed by SIGKILL",
    "segfault": "killed by SIGSEGV",
    "abort": "killed by SIGABRT",
    "leave": "ended with exit code 7",
    "replaced": "ended with exit code 0",
    "closes": "ended with exit code 1",
    "other": "had closed its own socket",
    "garbage": "on its own socket",
}


@pytest.mark.parametrize(
    "deaths", [["killed", "leave"], pytest.param([*DEATHS], marks=pytest.mark.slow)]
)
async def test_a_sandbox_that_dies_fails_only_its_own_job(
    queue: Queue, redis_client: redis.Redis, deaths: list[str]
) -> None:
    async with sandboxed(concurrency=3) as worker:
        jobs = {name: await queue.aadd(name) for name in deaths}
        good = [await queue.aadd("echo", number) for number in range(20)]
        await finished(queue, len(jobs) + len(good), 2 * START)
        assert worker.is_running()
        assert [await job.aresult(1) for job in good] == list(range(20))
    for name, job in jobs.items():
        await job.arefresh()
        assert DEATHS[name] in str(job.failed_reason), (name, job.failed_reason)
    invariants.check(redis_client, "q", idle=True)


async def test_a_job_that_forks_and_comes_back_twice_ends_once(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async with sandboxed(concurrency=1):
        jobs = await queue.aadd_bulk(
            [spec for n in range(3) for spec in (JobSpec("forked"), JobSpec("echo", n))]
        )
        await finished(queue, len(jobs), START)
    assert [await job.aresult(1) for job in jobs] == ["parent", 0, "parent", 1, "parent", 2]
    invariants.check(redis_client, "q", idle=True)


async def test_a_sandbox_that_the_system_cannot_start_fails_its_job_and_the_next_is_tried(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any) -> Any:
        raise refused.pop()

    from queuecore.worker.sandbox.child import Child

    refused = [ValueError("not foreseen"), OSError(24, "Too many open files")]
    spawn = Child._spawn
    monkeypatch.setattr(Child, "_spawn", lambda self: refuse(self) if refused else spawn(self))
    async with sandboxed(concurrency=1):
        first = await queue.aadd("echo", 1, attempts=3)
        assert await first.aresult(START) == 1
    await first.arefresh()
    assert first.attempts_made >= 2
    assert "Too many open files" in first.failed_reason or "not foreseen" in first.failed_reason


async def test_a_sandbox_may_take_so_much_memory(queue: Queue) -> None:
    async with sandboxed(sandbox_memory=2 * 2**30):
        job = await queue.aadd("allocate")
        await finished(queue, 1, START)
    await job.arefresh()
    assert job.failed_reason == "MemoryError"


@pytest.mark.parametrize(
    "name",
    ["deaf", "asleep", pytest.param("endless", marks=pytest.mark.slow)],
)
async def test_a_sandbox_is_killed_when_its_jobs_time_is_over(queue: Queue, name: str) -> None:
    work = boxed.awork if name == "asleep" else boxed.work
    async with working(work, sandbox=True, sandbox_grace=0.4):
        job = await queue.aadd(name, timeout=0.2)
        await finished(queue, 1, START)
    await job.arefresh()
    assert job.failed_reason == "the job ran longer than its timeout of 0.2 s"


async def test_a_sandbox_that_ends_in_time_when_told_keeps_its_outcome(queue: Queue) -> None:
    async with sandboxed() as worker:
        begun: list[str] = []
        worker.on("progress", lambda job, progress: begun.append(job.id))
        patient, obedient = await queue.aadd("patient"), await queue.aadd("obedient")
        await until(lambda: len(begun) == 2, START)
        assert worker.cancel_job(patient.id, "enough")
        assert worker.cancel_job(obedient.id, "enough")
        await finished(queue, 2, START)
    assert await patient.aresult(1) == "ended by itself: enough"
    await obedient.arefresh()
    assert obedient.failed_reason == "enough"


@pytest.mark.slow
async def test_what_a_sandbox_prints_is_kept_only_in_part(queue: Queue) -> None:
    async with sandboxed():
        job = await queue.aadd("shout", {"megabytes": 100})
        assert await job.aresult(START) == 100
    rows, count = await job.aget_logs()
    assert count <= 201
    assert rows[0] == "x" * 99
    assert "more lines, which were dropped" in rows[-1]


@pytest.mark.slow
async def test_what_a_sandbox_has_started_dies_with_it(queue: Queue) -> None:
    async with sandboxed():
        job = await queue.aadd("parent")
        await finished(queue, 1, START)
    await job.arefresh()
    await until(lambda: not any(_lives(pid) for pid in job.progress))


@pytest.mark.slow
async def test_large_data_and_results_cross(queue: Queue) -> None:
    text = "ü\x00\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16") * 2_000_000
    async with sandboxed():
        job = await queue.aadd("echo", text)
        assert await job.aresult(START) == text


@pytest.mark.slow
async def test_a_sandbox_is_replaced_after_so_many_jobs(queue: Queue) -> None:
    async with sandboxed(concurrency=1, sandbox_max_jobs=2):
        pids = [await (await queue.aadd("pid")).aresult(START) for _ in range(5)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


async def test_a_closing_worker_leaves_no_sandbox_behind(
    queue: Queue, redis_client: redis.Redis
) -> None:
    async with sandboxed() as worker:
        job = await queue.aadd("sleep", 60)
        await until(lambda: worker.running, START)

        async def pid() -> Any:
            await job.arefresh()
            return job.progress

        running = await until(pid, START)
        await worker.close(0)
        assert not _lives(running)
    assert await job.aget_state() == "waiting"
    invariants.check(redis_client, "q")


@pytest.mark.slow
async def test_a_processor_that_cannot_be_imported_fails_its_jobs_and_starts_no_storm(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "broken_box.py").write_text("def work(job):\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import broken_box  # type: ignore[import-not-found]

    (tmp_path / "broken_box.py").write_text("def work(job)\n    return 1\n")
    started: list[int] = []
    from queuecore.worker.sandbox import child

    begin = child.Child.begin

    async def counted(self: Any) -> None:
        started.append(1)
        await begin(self)

    monkeypatch.setattr(child.Child, "begin", counted)
    await queue.aadd_bulk([JobSpec("n") for _ in range(12)])
    async with working(broken_box.work, sandbox=True, concurrency=4):
        await finished(queue, 12, START)
    (job,) = await queue.aget_jobs(["failed"], 0, 0)
    assert "SyntaxError" in str(job.failed_reason)
    assert "broken_box.py" in str(job.failed_reason)
    assert len(started) <= 6


def test_a_processor_that_cannot_be_found_by_name_is_refused() -> None:
    def local(job: Job) -> None:
        return None

    from queuecore import Worker

    with pytest.raises(ConfigurationError, match="at the top of a module"):
        Worker("q", local, sandbox=True)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
