"""Our backend of Django's task framework: tasks as jobs, workers that run them, their results."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from asgiref.sync import async_to_sync, sync_to_async
from django.core.checks import run_checks
from django.db import transaction
from django.test import override_settings

from queuecore import (
    FlowJob,
    FlowProducer,
    Queue,
    RateLimitError,
    Worker,
    discovery,
    outbox,
    processor,
)
from queuecore import processors as registered
from queuecore.contrib.tasks import framework
from queuecore.contrib.tasks.backend import queue_of
from queuecore.contrib.tasks.framework import (
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
)
from queuecore.contrib.tasks.result import class_path
from queuecore.errors import ConfigurationError, SynchronousCall
from queuecore.processors import Registry
from tests.contract.test_django_tasks import PATHS, heard
from tests.contract.test_django_tasks import ROOT as ROOT_MODULE
from tests.machine import ROOT
from tests.server.processes import Start
from tests.servers import Server

OURS = "queuecore.tasks.QueueCoreBackend"
READY, FAILED = TaskResultStatus.READY, TaskResultStatus.FAILED
SUCCESSFUL = TaskResultStatus.SUCCESSFUL


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """An empty registry of processors."""
    registry = Registry()
    monkeypatch.setattr(registered, "registry", registry)
    monkeypatch.setattr(discovery, "registry", registry)
    return registry


@pytest.fixture
def configure(settings: Any, server: Server) -> Callable[..., Any]:
    """``configure(QUEUES=[...], PRIORITY=False)`` makes the backend `default` anew."""

    def make(QUEUES: Any = ("default", "other"), **options: Any) -> Any:
        settings.TASKS = {"default": {"BACKEND": OURS, "QUEUES": QUEUES, "OPTIONS": options}}
        return task_backends["default"]

    return make


@pytest.fixture
def tasks(configure: Callable[..., Any]) -> Any:
    """The tasks of the tests, for our backend."""
    configure()
    from tests.contract import tasks

    return tasks


@pytest.fixture
def retried(configure: Callable[..., Any]) -> Any:
    """Tasks with several tries."""
    configure()
    from tests.contract import retried_tasks

    retried_tasks.runs.clear()
    retried_tasks.asked.clear()
    return retried_tasks


def worker(queue: str = "default", connection: str = "default", **options: Any) -> Worker:
    found = discovery.discover().queues[connection, queue]
    return Worker(queue, found, connection=connection, burst=True, **options)


def work(queue: str = "default", connection: str = "default", **options: Any) -> None:
    """Let a worker do what there is to do."""
    worker(queue, connection, **options).run()


def job_of(result: Any) -> Any:
    queue, _, id = result.id.partition(":")
    return Queue(queue).get_job(id)


class TestTheJob:
    def test_name_data_and_id(self, tasks: Any, redis_client: redis.Redis) -> None:
        result = tasks.add.using(queue_name="other").enqueue(1, b=2)
        queue, _, id = result.id.partition(":")
        hash = redis_client.hgetall(f"bull:other:{id}")
        assert queue == "other"
        assert hash["name"] == "tests.contract.tasks.add"
        assert json.loads(hash["data"]) == {"args": [1], "kwargs": {"b": 2}}
        assert json.loads(hash["opts"])["jobId"] == id

    def test_those_of_higher_priority_run_first(self, tasks: Any) -> None:
        results = [tasks.tell.using(priority=p).enqueue() for p in (0, -100, 50, 100, 1)]
        order = []

        def note(sender: Any, task_result: Any, **_: Any) -> None:
            order.append(task_result.id)

        framework.task_started.connect(note)
        try:
            work(concurrency=1)
        finally:
            framework.task_started.disconnect(note)
        assert order == [results[n].id for n in (3, 2, 4, 0, 1)]
        assert [one.task.priority for one in map(_read, results)] == [0, -100, 50, 100, 1]

    def test_without_priorities_they_stand_in_the_plain_list(
        self, tasks: Any, configure: Callable[..., Any]
    ) -> None:
        assert configure(PRIORITY=False).supports_priority is False
        result = tasks.add.enqueue(1)
        assert Queue("default").get_job_counts("waiting", "prioritized") == {
            "waiting": 1,
            "prioritized": 0,
        }
        assert _read(result).task == tasks.add
        with pytest.raises(InvalidTask, match="does not support setting priority"):
            tasks.add.using(priority=1)

    def test_a_time_to_run_may_be_a_timedelta(self, tasks: Any) -> None:
        before = datetime.now(UTC)
        result = tasks.add.using(run_after=timedelta(hours=2)).enqueue(1)
        assert before + timedelta(hours=2) <= result.task.run_after
        assert result.task.run_after <= datetime.now(UTC) + timedelta(hours=2)
        assert Queue("default").get_delayed_count() == 1
        assert abs(_read(result).task.run_after - result.task.run_after) < timedelta(seconds=1)
        work()
        assert _read(result).status == READY
        tasks.add.using(run_after=timedelta(hours=-1)).enqueue(1)
        assert Queue("default").get_delayed_count() == 1


class TestTransactions:
    pytestmark = pytest.mark.django_db(transaction=True)

    def test_it_is_enqueued_when_the_transaction_commits(self, tasks: Any) -> None:
        with heard(framework.task_enqueued) as calls:
            with transaction.atomic():
                result = tasks.add.enqueue(1)
                assert (result.enqueued_at, result.status, calls) == (None, READY, [])
                with pytest.raises(TaskResultDoesNotExist):
                    result.refresh()
            assert [told.id for _, told in calls] == [result.id]
        assert result.enqueued_at is not None
        assert _read(result) == result

    def test_and_never_if_it_rolls_back(self, tasks: Any) -> None:
        with transaction.atomic():
            tasks.add.enqueue(1)
            transaction.set_rollback(True)
        assert Queue("default").count() == 0

    def test_what_it_cannot_be_is_told_at_once(self, tasks: Any) -> None:
        with transaction.atomic(), pytest.raises(ValueError, match="which JSON does not know"):
            tasks.add.enqueue(float("nan"))
        assert Queue("default").count() == 0

    def test_at_once_if_it_shall(self, tasks: Any, configure: Callable[..., Any]) -> None:
        configure(ENQUEUE_ON_COMMIT=False)
        with transaction.atomic():
            assert tasks.add.enqueue(1).enqueued_at is not None
            assert Queue("default").count() == 1

    def test_within_a_coroutine_whose_thread_has_one(self, tasks: Any) -> None:
        """Such as a test's, or that of a view in ``async_to_sync``."""

        async def enter() -> Any:
            return await tasks.add.aenqueue(1)

        with transaction.atomic():
            result = async_to_sync(enter)()
            assert (result.enqueued_at, Queue("default").count()) == (None, 0)
        assert result.enqueued_at is not None
        assert _read(result) == result

    def test_by_the_outbox_while_the_server_is_away(
        self, tasks: Any, configure: Callable[..., Any], settings: Any
    ) -> None:
        configure(OUTBOX=True)
        here = settings.QUEUECORE
        settings.QUEUECORE = {"CONNECTIONS": {"default": {"URL": "redis://127.0.0.1:1/0"}}}
        due = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        with heard(framework.task_enqueued) as calls:
            with transaction.atomic():
                result = tasks.add.using(run_after=due).enqueue(1)
                assert (result.enqueued_at, calls) == (None, [])
            with transaction.atomic():
                tasks.add.enqueue(2)
                transaction.set_rollback(True)
            later = async_to_sync(tasks.add_later.aenqueue)(3)
        assert [told.id for _, told in calls] == [result.id, later.id]
        settings.QUEUECORE = here
        with pytest.raises(TaskResultDoesNotExist):
            result.refresh()
        outbox.relay_now()
        assert (_read(result), _read(later)) == (result, later)
        assert Queue("default").count() == 2
        work()
        assert _read(later).return_value == 3

    async def test_the_thread_that_all_tasks_share_is_not_waited_for(self, tasks: Any) -> None:
        begun, free = threading.Event(), threading.Event()

        def block() -> None:
            begun.set()
            free.wait()

        blocked = asyncio.ensure_future(sync_to_async(block)())  # in the thread that all share
        try:
            while not begun.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            result = await asyncio.create_task(tasks.add.aenqueue(1))
            assert result.enqueued_at is not None
            assert await tasks.add.aget_result(result.id) == result
        finally:
            free.set()
            await blocked

    def test_its_time_to_run_is_no_later_for_the_wait(self, tasks: Any) -> None:
        due = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        with transaction.atomic():
            result = tasks.add.using(run_after=due).enqueue(1)
        assert _read(result).task.run_after == due


class TestEnqueueing:
    async def test_not_in_a_loop_by_the_blocking_call(self, tasks: Any) -> None:
        with pytest.raises(SynchronousCall, match=r"await add\.aenqueue"):
            tasks.add.enqueue(1)

    def test_an_object_of_the_database(self, tasks: Any) -> None:
        from django.contrib.auth.models import Group

        with pytest.raises(TypeError, match=r"Unsupported type.*pass the key \(obj\.pk\)"):
            tasks.add.enqueue(Group(name="staff"))

    def test_a_task_that_no_worker_would_find(self, tasks: Any) -> None:
        with pytest.raises(InvalidTask, match=r"no_task is no task.*@task must stand at"):
            tasks.renamed.enqueue()

    def test_a_task_of_a_module_that_no_worker_would_import(
        self, tasks: Any, configure: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from tests.contract import tasks as module

        monkeypatch.setattr(module.add.func, "__module__", "elsewhere.tasks")
        monkeypatch.setitem(sys.modules, "elsewhere.tasks", module)
        with pytest.raises(InvalidTask, match=r"elsewhere.tasks is in none.*OPTIONS\['MODULES'\]"):
            module.add.enqueue(1)
        configure(MODULES=["elsewhere"])
        assert module.add.enqueue(1).status == READY

    def test_a_queue_whose_name_is_too_long_for_ids(
        self, tasks: Any, configure: Callable[..., Any]
    ) -> None:
        configure(QUEUES=[])
        assert len(tasks.add.using(queue_name="q" * 38).enqueue(1).id) == 63
        with pytest.raises(InvalidTask, match="may have 38"):
            tasks.add.using(queue_name="q" * 39)
        with pytest.raises(InvalidTask, match="':'"):
            tasks.add.using(queue_name="a:b")

    def test_threads_share_one_connection(self, tasks: Any) -> None:
        found: list[Any] = []

        def enqueue() -> None:
            tasks.add.enqueue(1)
            found.append(queue_of("default", "default"))

        threads = [threading.Thread(target=enqueue) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({id(one) for one in found}) == 1
        assert Queue("default").count() == 4

    def test_naive_times_where_the_project_has_them(self, tasks: Any, settings: Any) -> None:
        settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo"
        due = datetime.now().replace(microsecond=0) + timedelta(days=2)
        result = tasks.add.using(run_after=due).enqueue(1)
        assert result.enqueued_at.tzinfo is None
        assert _read(result) == result


class TestTries:
    @pytest.mark.parametrize("name", ["thrice", "thrice_later"])
    def test_it_is_tried_again_until_it_succeeds(self, retried: Any, name: str) -> None:
        with heard(framework.task_started, framework.task_finished) as calls:
            result = getattr(retried, name).enqueue(3)
            work(name="first")
        result.refresh()
        assert (result.status, result.return_value) == (SUCCESSFUL, "try 3")
        assert result.worker_ids == ["first"] * 3
        assert [one.traceback[-6:] for one in result.errors] == ["try 1\n", "try 2\n"]
        assert result.started_at <= result.last_attempted_at <= result.finished_at
        told = [one for _, one in calls]
        assert [one.attempts for one in told] == [1, 2, 3, 3]
        assert told[-1].status == SUCCESSFUL  # and only the last try has ended it

    def test_until_no_try_is_left(self, retried: Any) -> None:
        with heard(framework.task_finished) as calls:
            result = retried.thrice.enqueue(9)
            work()
        result.refresh()
        assert (result.status, result.attempts, len(result.errors)) == (FAILED, 3, 3)
        assert [(told.status, len(told.errors)) for _, told in calls] == [(FAILED, 3)]

    def test_between_two_tries_it_is_ready(self, retried: Any) -> None:
        result = retried.with_backoff.enqueue()
        work(name="first")
        result.refresh()
        assert (result.status, result.attempts, result.finished_at) == (READY, 1, None)
        assert result.errors[0].exception_class is ValueError
        first = result.started_at
        Queue("default").promote_jobs()
        work(name="second")
        result.refresh()
        assert (result.status, result.worker_ids) == (FAILED, ["first", "second"])
        assert result.started_at == first < result.last_attempted_at
        assert len(result.errors) == 2

    def test_a_function_says_how_long_to_wait_or_gives_up(self, retried: Any) -> None:
        result = retried.with_a_function.enqueue()
        work()
        assert _read(result).status == READY
        assert Queue("default").get_delayed()[0].delay == 3600
        Queue("default").promote_jobs()
        work()
        assert _read(result).status == FAILED
        assert retried.asked == [("again", n, TaskResultStatus.RUNNING) for n in (1, 2, 3)]

    def test_a_result_that_json_lacks_is_not_tried_again(self, retried: Any) -> None:
        result = retried.return_what_json_lacks.enqueue()
        work()
        assert (_read(result).status, _read(result).attempts) == (FAILED, 1)
        assert len(retried.runs) == 1

    def test_using_says_otherwise_for_one(self, retried: Any, tasks: Any) -> None:
        result = tasks.fail.using(max_attempts=2, backoff=timedelta(0)).enqueue()
        assert result.task.max_attempts == 2
        work()
        assert (_read(result).attempts, _read(result).task.max_attempts) == (2, 2)
        with pytest.raises(InvalidTask, match=r"give it to @task\(backoff=\.\.\.\)"):
            tasks.fail.using(backoff=retried.wait).enqueue()

    @pytest.mark.parametrize(
        "wrong", [{"max_attempts": 0}, {"max_attempts": 1.5}, {"backoff": "fixed"}, {"backoff": -1}]
    )
    def test_what_they_must_be(self, retried: Any, wrong: dict[str, Any]) -> None:
        with pytest.raises(InvalidTask, match=f"{next(iter(wrong))} must be"):
            retried.thrice.using(**wrong)

    def test_the_defaults_of_all_jobs(self, tasks: Any, settings: Any) -> None:
        settings.QUEUECORE = settings.QUEUECORE | {"DEFAULT_JOB_OPTIONS": {"attempts": 2}}
        result = tasks.fail.enqueue()
        work()
        assert _read(result).attempts == 2
        assert _read(result).task == tasks.fail


class TestNames:
    """Whoever may write to the server names what is run."""

    def add(self, name: str, data: Any = None, queue: str = "default") -> Any:
        return Queue(queue).add(name, data)

    @pytest.mark.parametrize("name", ["os.system", "builtins.exec", "subprocess.run"])
    def test_others_functions_are_refused(self, tasks: Any, name: str) -> None:
        job = self.add(name, {"args": ["true"]})
        work()
        job.refresh()
        assert job.get_state() == "failed"
        assert f"{name!r} is neither a task of this project nor" in job.failed_reason

    @pytest.mark.parametrize(
        "name",
        [
            "tests.contract.tasks.no_task",
            "tests.contract.tasks.nothing",
            "tests.contract.tasks.add.func",
            "tests.contract.nothing.at_all",
            "tests.contract.tasks",
            "antigravity.fly_later",
            "task",
            "",
        ],
    )
    def test_what_a_newer_version_may_know_is_handed_back(self, tasks: Any, name: str) -> None:
        if not name:
            name = "."
        job = self.add(name)
        work()
        assert job.get_state() == "delayed"
        work(unknown_job_limit=0)
        Queue("default").promote_jobs()
        work(unknown_job_limit=0)
        job.refresh()
        assert job.get_state() == "failed"
        assert "is neither a task of this project nor the name of a processor" in job.failed_reason
        assert "antigravity" not in sys.modules

    def test_no_result_of_what_is_no_task(self, tasks: Any) -> None:
        job = self.add("tests.contract.tasks.no_task")
        with pytest.raises(TaskResultDoesNotExist):
            task_backends["default"].get_result(f"default:{job.id}")

    @pytest.mark.parametrize("data", [{"args": [1]}, {"args": [0], "kwargs": {"b": 1}}])
    def test_a_job_that_somebody_else_has_added(self, tasks: Any, data: Any) -> None:
        job = self.add("tests.contract.tasks.add", data)
        work()
        result = task_backends["default"].get_result(f"default:{job.id}")
        assert (result.status, result.return_value) == (SUCCESSFUL, 1)
        assert result.task.priority == 100

    @pytest.mark.parametrize("data", [{"user": 1}, [1], 7, {"args": {}, "kwargs": 1}])
    def test_data_that_are_no_arguments(self, tasks: Any, data: Any) -> None:
        job = self.add("tests.contract.tasks.add", data)
        work()
        job.refresh()
        assert 'must be {"args": [...], "kwargs": {...}}' in job.failed_reason
        assert task_backends["default"].get_result(f"default:{job.id}").status == FAILED


class TestServing:
    def test_beside_processors(self, tasks: Any, registry: Registry) -> None:
        @processor("default")
        def all(job: Any) -> str:
            return "all"

        @processor("default", name="welcome", concurrency=3)
        def welcome(job: Any) -> str:
            return "welcome"

        queue = Queue("default")
        jobs = [queue.add("welcome"), queue.add("os.system"), queue.add("other")]
        result = tasks.add.enqueue(1)
        assert worker().concurrency == 3
        work()
        for job in jobs:
            job.refresh()
        assert [job.returnvalue for job in jobs] == ["welcome", "all", "all"]
        assert _read(result).return_value == 1

    def test_how_many_run_at_a_time(self, tasks: Any, configure: Callable[..., Any]) -> None:
        configure(CONCURRENCY=4)
        assert [worker().concurrency, worker("other").concurrency] == [4, 4]

        @processor("default", name="welcome", concurrency=3)
        def welcome(job: Any) -> None: ...

        with pytest.raises(ConfigurationError, match=r"=3 at .* and concurrency=4 at TASKS"):
            worker()

    def test_two_backends_and_a_connection(self, tasks: Any, settings: Any) -> None:
        url = settings.QUEUECORE["CONNECTIONS"]["default"]["URL"]
        settings.QUEUECORE = settings.QUEUECORE | {
            "CONNECTIONS": {"default": {"URL": url}, "far": {"URL": url, "PREFIX": "far"}}
        }
        settings.TASKS = {
            "default": {"BACKEND": OURS},
            "far": {"BACKEND": OURS, "OPTIONS": {"CONNECTION": "far"}},
            "theirs": {
                "BACKEND": f"{framework.task_backends.__module__}.backends.dummy.DummyBackend"
            },
        }
        near, far = tasks.add.enqueue(1), tasks.add.using(backend="far").enqueue(2)
        assert set(discovery.discover().queues) == {("default", "default"), ("far", "default")}
        work(connection="far")
        far.refresh()
        near.refresh()
        assert (near.status, far.status, far.return_value) == (READY, SUCCESSFUL, 2)
        assert (far.backend, far.task.backend) == ("far", "far")
        with pytest.raises(TaskResultDoesNotExist):
            task_backends["default"].get_result(far.id)

    def test_a_task_that_met_a_limit_has_not_ended(
        self, tasks: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limited = [True]

        def act() -> None:
            if limited.pop() if limited else False:
                raise RateLimitError

        monkeypatch.setattr(tasks, "act", tasks.task(_named(act, tasks)), raising=False)
        with heard(framework.task_finished) as calls:
            result = tasks.act.enqueue()
            work()
        result.refresh()
        assert (result.status, result.attempts, result.errors) == (SUCCESSFUL, 1, [])
        assert len(calls) == 1

    def test_progress_and_log_of_the_job(self, tasks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def act(context: Any) -> None:
            context.job.update_progress(50)
            context.job.log("half way")

        made = tasks.task(takes_context=True)(_named(act, tasks))
        monkeypatch.setattr(tasks, "act", made, raising=False)
        result = tasks.act.enqueue()
        work()
        assert _read(result).status == SUCCESSFUL
        assert job_of(result).progress == 50
        assert job_of(result).get_logs() == (["half way"], 1)

    def test_in_flows_and_schedules(self, tasks: Any) -> None:
        path, data = tasks.add.module_path, {"args": [1], "kwargs": {"b": 2}}
        queue = Queue("default")
        flow = FlowProducer().add(
            FlowJob(
                path,
                queue="default",
                data=data,
                children=[FlowJob(path, queue="default", data=data)],
            )
        )
        run = queue.upsert_job_scheduler("each", every=3600, name=path, data=data)
        queue.promote_jobs()
        work()
        for id in (flow.job.id, run.id):
            result = task_backends["default"].get_result(f"default:{id}")
            assert (result.status, result.return_value) == (SUCCESSFUL, 3)

    def test_a_receiver_that_fails_touches_no_task(self, tasks: Any) -> None:
        def fail(**_: Any) -> None:
            raise RuntimeError("a receiver")

        signals = (framework.task_enqueued, framework.task_started, framework.task_finished)
        for signal in signals:
            signal.connect(fail)
        try:
            results = [tasks.add.enqueue(1), tasks.add_later.enqueue(1)]
            work()
        finally:
            for signal in signals:
                signal.disconnect(fail)
        assert [_read(one).status for one in results] == [SUCCESSFUL] * 2

    def test_the_command(self, tasks: Any, start: Start, tmp_path: Path) -> None:
        """In a process that has imported no task, from an app of the project."""
        result = tasks.add.using(queue_name="other").enqueue(1)
        process = start("other", "--burst", tasks={"QUEUES": ["default", "other"]})
        assert process.ends() == 0, process.said
        assert "works other 10" in process.said
        result.refresh()
        (worker,) = result.worker_ids
        assert result.return_value == 1
        assert worker.endswith(f"-{process.process.pid}")

    def test_in_a_sandbox(self, tasks: Any, start: Start) -> None:
        result = tasks.tell.enqueue(5)
        process = start("default", "--burst", tasks={}, apps=["tests.server.jobs.sandboxed"])
        assert process.ends() == 0, process.said
        result.refresh()
        assert result.return_value == [result.id, 1, 5]


class TestDiscovery:
    """``tasks.py`` of every app is imported where a backend is ours."""

    @pytest.fixture
    def shop(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.syspath_prepend(str(tmp_path))

        def make(source: str, **more: str) -> None:
            (tmp_path / "shop").mkdir()
            for name, text in {"__init__": "", "tasks": source, **more}.items():
                (tmp_path / "shop" / f"{name}.py").write_text(text)

        yield make
        for name in [one for one in sys.modules if one.split(".")[0] == "shop"]:
            del sys.modules[name]

    def test_queues_of_a_backend_that_names_none(
        self, shop: Any, tasks: Any, configure: Callable[..., Any]
    ) -> None:
        shop(f"from {ROOT_MODULE} import task\n@task(queue_name='mails')\ndef send(): return 1\n")
        configure(QUEUES=[])
        with override_settings(INSTALLED_APPS=["queuecore", "shop"]):
            assert set(discovery.discover().queues) == {
                ("default", "default"),
                ("default", "mails"),
            }

    @pytest.mark.parametrize(
        ("source", "says"),
        [
            ("x = 1\nx.y", r"shop.tasks cannot be imported: Attr.*\(.*/shop/tasks.py:2\)$"),
            (  # by the project's own line, and not by that of the framework
                f"from {ROOT_MODULE} import task\n@task(queue_name='gone')\ndef send(): ...\n",
                r"InvalidTask.*: Queue 'gone' is not valid.*\(.*/shop/tasks.py:2\)$",
            ),
            ("from . import gone", r"cannot import name 'gone'"),
            ("import shop.gone", r"No module named 'shop.gone'"),
        ],
    )
    def test_one_that_cannot_be_imported(
        self, shop: Any, tasks: Any, source: str, says: str
    ) -> None:
        shop(source)
        with (
            override_settings(INSTALLED_APPS=["queuecore", "shop"]),
            pytest.raises(ConfigurationError, match=says),
        ):
            discovery.discover()

    def test_one_for_a_framework_that_is_not_here(
        self, shop: Any, tasks: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        shop("from celery_or_another import shared_task\n")
        with override_settings(INSTALLED_APPS=["queuecore", "shop"]):
            assert ("default", "default") in discovery.discover().queues
        assert "No module named 'celery_or_another'" in caplog.text

    def test_none_is_touched_without_our_backend(
        self, shop: Any, settings: Any, registry: Registry
    ) -> None:
        shop("raise RuntimeError('it was imported')")
        settings.TASKS = {"default": {"BACKEND": PATHS["dummy"]}}
        with override_settings(INSTALLED_APPS=["queuecore", "shop"]):
            assert discovery.discover() is registry


class TestChecks:
    @pytest.mark.parametrize(
        ("options", "queues", "says"),
        [
            ({"CONECTION": "default"}, [], r"has no 'CONECTION'; did you mean 'CONNECTION'\?"),
            ({"CONNECTION": "far"}, [], r"QUEUECORE\['CONNECTIONS'\] has no 'far'"),
            ({"PRIORITY": 1}, [], r"OPTIONS\['PRIORITY'\] must be True or False, not 1"),
            ({"ENQUEUE_ON_COMMIT": "no"}, [], r"OPTIONS\['ENQUEUE_ON_COMMIT'\] must be True or"),
            ({"DATABASE": "second"}, [], r"names 'second', and DATABASES has none"),
            ({"OUTBOX": True, "ENQUEUE_ON_COMMIT": True}, [], r"leave out ENQUEUE_ON_COMMIT"),
            ({"CONCURRENCY": 0}, [], r"OPTIONS\['CONCURRENCY'\] must be a whole number"),
            ({"MODULES": "shop"}, [], r"must be a list"),
            ({}, ["a:b"], r"QUEUES: .*':'"),
            ({}, ["q" * 39], r"QUEUES: .* too long"),
        ],
    )
    def test_what_is_wrong_with_the_settings(
        self, configure: Callable[..., Any], options: Any, queues: Any, says: str
    ) -> None:
        (found,) = configure(QUEUES=queues, **options).check()
        assert found.id == "queuecore.E020"
        with pytest.raises(ConfigurationError, match=says) as raised:
            discovery.discover()
        assert found.msg == str(raised.value)

    @pytest.mark.django_db
    def test_no_server_is_asked(self, settings: Any) -> None:
        settings.QUEUECORE = {"CONNECTIONS": {"default": {"URL": "redis://127.0.0.1:1/0"}}}
        settings.TASKS = {"default": {"BACKEND": OURS}}
        assert [one for one in run_checks() if (one.id or "").startswith("queuecore.E0")] == []
        assert list(task_backends["default"].check()) == []


@pytest.mark.parametrize(
    ("trace", "path"),
    [
        (
            'Traceback (most recent call last):\n  File "a", line 1\nKeyError: 1',
            "builtins.KeyError",
        ),
        ("a.b.Wrong: no\nOSError: yes", "a.b.Wrong"),
        ("a.b.Wrong", "a.b.Wrong"),
        ("Error: boom\n    at run (/app/worker.js:3:9)", None),
        ("job stalled more than allowable limit", None),
        ("", None),
        (
            '  + Exception Group Traceback (most recent call last):\n  |   File "a", line 1\n'
            "  |     raise it\n  | ExceptionGroup: two (1 sub-exception)\n  +-+---- 1 ----\n"
            "    | ValueError: 1\n    +-------",
            "builtins.ExceptionGroup",
        ),
    ],
)
def test_the_class_that_a_traceback_names(trace: str, path: str | None) -> None:
    assert class_path(trace) == path


BARE = """
import importlib.abc, sys

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in ("django.tasks", "django_tasks"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: (
    None if name in ("django.tasks", "django_tasks") else found(name, package)
)
sys.meta_path.insert(0, Missing())
import queuecore.tasks
assert not [name for name in sys.modules if name.startswith("queuecore.contrib.tasks")]
try:
    queuecore.tasks.QueueCoreBackend
except ImportError as error:
    print(error)
try:
    queuecore.tasks.anything
except AttributeError as error:
    print(error)
import django
django.setup()
from django.test import override_settings
from queuecore import discovery
discovery.discover()
with override_settings(TASKS={"default": {"BACKEND": "queuecore.tasks.QueueCoreBackend"}}):
    try:
        discovery.discover()
    except discovery.ConfigurationError as error:
        print(error)
"""


if framework.IS_DJANGOS:

    def test_those_of_the_backport_are_djangos_where_both_are_installed(
        tasks: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from django_tasks import task

        def act() -> int:
            return 7

        monkeypatch.setattr(tasks, "act", task(_named(act, tasks)), raising=False)
        assert isinstance(tasks.act, framework.Task)
        result = tasks.act.enqueue()
        work()
        assert _read(result).return_value == 7


EARLY = """
from django.apps import apps
from django.conf import settings
settings.TASKS = {"default": {"BACKEND": "queuecore.tasks.QueueCoreBackend"}}
settings.QUEUECORE = {"CONNECTIONS": {"default": {"URL": "redis://127.0.0.1:1/0"}}}
from tests.contract import tasks
assert not apps.ready
print(tasks.add.max_attempts, tasks.add.get_backend().check())
"""


def test_tasks_are_declared_before_there_are_apps_or_a_server() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", EARLY],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (answer.stdout, answer.stderr) == ("None []\n", "")


def test_other_frameworks_may_import_it_where_there_is_none() -> None:
    """Celery, Dramatiq and others import ``<app>.tasks`` of every app of a project."""
    answer = subprocess.run(
        [sys.executable, "-c", BARE],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    says = answer.stdout.splitlines()
    assert says[0].startswith("queuecore.tasks needs Django 6.0 or later, or django-tasks on")
    assert says[1] == "module 'queuecore.tasks' has no attribute 'anything'"
    assert says[2].startswith("TASKS cannot be used: queuecore.tasks needs Django 6.0")


def _named(function: Any, module: Any) -> Any:
    """*function* as if it stood in *module*."""
    function.__module__, function.__qualname__ = module.__name__, function.__name__
    return function


def _read(result: Any) -> Any:
    return task_backends["default"].get_result(result.id)
