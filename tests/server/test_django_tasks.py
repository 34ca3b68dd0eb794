"""Our backend of Django's task framework: tasks as jobs, workers that run them, their results."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from queuecore import Queue, Worker, discovery
from queuecore import processors as registered
from queuecore.contrib.tasks import framework
from queuecore.contrib.tasks.framework import (
    InvalidTask,
    TaskResultStatus,
    task_backends,
)
from queuecore.processors import Registry
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


def _read(result: Any) -> Any:
    return task_backends["default"].get_result(result.id)
