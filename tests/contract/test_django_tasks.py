"""The contract of Django's task framework: each rule once, for its own backends and for ours.

On Django 6 it is `django.tasks`, on 5.2 the backport.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest

from queuecore import Worker, discovery
from queuecore.contrib.tasks import framework
from queuecore.contrib.tasks.framework import (
    InvalidTask,
    InvalidTaskBackend,
    Task,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
    task_enqueued,
    task_finished,
    task_started,
)
from tests.servers import Server

ROOT = "django.tasks" if framework.IS_DJANGOS else "django_tasks"
PATHS = {
    "ours": "queuecore.tasks.QueueCoreBackend",
    "dummy": f"{ROOT}.backends.dummy.DummyBackend",
    "immediate": f"{ROOT}.backends.immediate.ImmediateBackend",
}
QUEUES = ["default", "other"]


@pytest.fixture(params=PATHS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which backend is `default`."""
    name: str = request.param
    return name


def of(*kinds: str) -> pytest.MarkDecorator:
    """For these backends alone: the others cannot do it."""
    return pytest.mark.parametrize("kind", kinds, indirect=True)


@pytest.fixture
def backend(kind: str, settings: Any, server: Server) -> Any:
    """The backend of `default`."""
    settings.TASKS = {"default": {"BACKEND": PATHS["ours"]}}
    from tests.contract import tasks  # noqa: F401 (declared once, with the fields that ours has)

    settings.TASKS = {
        "default": {"BACKEND": PATHS[kind], "QUEUES": QUEUES},
        "any": {"BACKEND": PATHS[kind], "QUEUES": []},
        "usual": {"BACKEND": PATHS[kind]},
    }
    return task_backends["default"]


@pytest.fixture
def tasks(backend: Any) -> ModuleType:
    """The tasks of the tests."""
    from tests.contract import tasks

    return tasks


@pytest.fixture
def work(kind: str) -> Callable[[], None]:
    """Lets workers do what was enqueued; the immediate backend has done it."""

    def run() -> None:
        if kind == "ours":
            for found in discovery.discover().queues.values():
                if found.queue in QUEUES:
                    Worker(found.queue, found, burst=True).run()

    return run


@contextmanager
def heard(*signals: Any) -> Iterator[list[tuple[Any, Any]]]:
    """Who sent which result meanwhile, in order; may be in other threads."""
    calls: list[tuple[Any, Any]] = []

    def hear(sender: Any, task_result: Any, **_: Any) -> None:
        calls.append((sender, task_result))

    for signal in signals:
        signal.connect(hear)
    try:
        yield calls
    finally:
        for signal in signals:
            signal.disconnect(hear)


def done(result: Any, kind: str) -> Any:
    """*result* as it is now."""
    if kind == "ours":
        result.refresh()
    return result


# What a task must be: when it is declared, changed and enqueued


class TestValidation:
    def test_a_function_of_a_module(self, backend: Any, tasks: ModuleType) -> None:
        def inner() -> None: ...

        for function in (any, inner, self.test_a_function_of_a_module):
            with pytest.raises(InvalidTask, match="must be defined at a module level"):
                backend.task_class(func=function, **_plain())

    def test_a_coroutine_needs_a_backend_that_runs_it(
        self, backend: Any, tasks: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend.validate_task(tasks.add_later)
        monkeypatch.setattr(type(backend), "supports_async_task", False)
        with pytest.raises(InvalidTask, match="does not support async"):
            backend.validate_task(tasks.add_later)

    def test_the_first_argument_of_one_that_takes_a_context(
        self, backend: Any, tasks: ModuleType
    ) -> None:
        plain = {**_plain(), "takes_context": True}
        with pytest.raises(InvalidTask, match="first argument of 'context'"):
            backend.task_class(func=tasks.add.func, **plain)

    @pytest.mark.parametrize("priority", [-101, 101, 3.1])
    def test_a_priority_between_minus_100_and_100(self, tasks: ModuleType, priority: float) -> None:
        with pytest.raises(InvalidTask, match="whole number between -100 and 100"):
            tasks.add.using(priority=priority)
        for right in (-100, 0, 100):
            assert tasks.add.using(priority=right).priority == right

    def test_a_priority_needs_a_backend_that_has_them(
        self, backend: Any, tasks: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(type(backend), "supports_priority", False)
        tasks.add.using(priority=0)
        with pytest.raises(InvalidTask, match="does not support setting priority"):
            tasks.add.using(priority=1)

    @of("immediate")
    def test_a_time_needs_a_backend_that_waits(self, tasks: ModuleType) -> None:
        with pytest.raises(InvalidTask, match="does not support run_after"):
            tasks.add.using(run_after=datetime.now(UTC))

    @of("ours", "dummy")
    def test_a_time_is_aware(self, tasks: ModuleType, settings: Any) -> None:
        now = datetime.now()
        with pytest.raises(InvalidTask, match="must be an aware datetime"):
            tasks.add.using(run_after=now)
        settings.USE_TZ = False
        assert tasks.add.using(run_after=now).run_after == now

    @of("ours")
    def test_a_time_is_one_or_from_now_on(self, tasks: ModuleType) -> None:
        with pytest.raises(InvalidTask, match="a timedelta from now on, not 60"):
            tasks.add.using(run_after=60)

    def test_a_queue_that_the_backend_has(self, tasks: ModuleType) -> None:
        assert tasks.add.using(queue_name="other").queue_name == "other"
        with pytest.raises(InvalidTask, match="Queue 'third' is not valid"):
            tasks.add.using(queue_name="third")
        assert tasks.add.using(queue_name="third", backend="any").queue_name == "third"
        with pytest.raises(InvalidTask, match="Queue 'other' is not valid"):
            tasks.add.using(queue_name="other", backend="usual")

    def test_a_backend_that_is_there(self, tasks: ModuleType, settings: Any) -> None:
        settings.TASKS = settings.TASKS | {"gone": {"BACKEND": "no.such.Backend"}}
        with pytest.raises(InvalidTaskBackend, match="'unknown' doesn't exist"):
            tasks.add.using(backend="unknown")
        with pytest.raises(InvalidTaskBackend, match="Could not find backend"):
            tasks.add.using(backend="gone")

    async def test_all_of_it_again_when_it_is_enqueued(
        self, kind: str, backend: Any, tasks: ModuleType, settings: Any
    ) -> None:
        other = tasks.add.using(queue_name="other")
        settings.TASKS = {"default": {"BACKEND": PATHS[kind]}}
        with pytest.raises(InvalidTask, match="Queue 'other' is not valid"):
            await other.aenqueue(1)

    def test_the_settings_that_a_backend_was_given(self, backend: Any) -> None:
        assert (backend.alias, backend.queues, backend.options) == ("default", set(QUEUES), {})
        assert task_backends["usual"].queues == {"default"}
        assert list(backend.check()) == []

    def test_a_thread_has_a_backend_of_its_own(self, backend: Any) -> None:
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(task_backends["default"]))
        thread.start()
        thread.join()
        assert found[0] is not backend
        assert task_backends["default"] is backend


def _plain() -> dict[str, Any]:
    return {
        "priority": 0,
        "queue_name": "default",
        "backend": "default",
        "takes_context": False,
        "run_after": None,
    }


# The task


class TestTask:
    def test_its_names(self, tasks: ModuleType) -> None:
        assert isinstance(tasks.add, Task)
        assert tasks.add.name == "add"
        assert tasks.add.module_path == "tests.contract.tasks.add"

    def test_using_makes_another(self, tasks: ModuleType) -> None:
        same = tasks.add.using()
        assert (same, same is tasks.add) == (tasks.add, False)
        first = tasks.add.using(priority=3)
        second = first.using(queue_name="other")
        assert (second.priority, second.queue_name) == (3, "other")
        assert (tasks.add.priority, first.queue_name) == (0, "default")

    async def test_it_can_be_called(self, tasks: ModuleType) -> None:
        assert tasks.add.call(1, b=2) == 3
        assert await tasks.add.acall(1, b=2) == 3
        assert await tasks.add_later.acall(1, b=2) == 3


# Enqueueing


class TestEnqueue:
    @of("ours", "dummy")
    def test_a_result_that_is_ready(self, tasks: ModuleType) -> None:
        result = tasks.add.using(priority=7).enqueue(1, b=2)
        assert isinstance(result.id, str)
        assert 0 < len(result.id) < 64
        assert result.status == TaskResultStatus.READY
        assert result.enqueued_at.tzinfo is not None
        nothing = (result.started_at, result.last_attempted_at, result.finished_at)
        assert nothing == (None, None, None)
        assert (result.args, result.kwargs, result.backend) == ([1], {"b": 2}, "default")
        assert (result.errors, result.worker_ids, result.attempts) == ([], [], 0)
        assert result.task == tasks.add.using(priority=7)
        assert not result.is_finished
        with pytest.raises(ValueError, match="has not finished yet"):
            result.return_value  # noqa: B018

    @of("ours", "dummy")
    async def test_the_same_in_a_coroutine(self, tasks: ModuleType) -> None:
        result = await tasks.add_later.aenqueue(1, b=2)
        assert (result.status, result.args) == (TaskResultStatus.READY, [1])
        assert (await tasks.add_later.aget_result(result.id)) == result

    async def test_arguments_become_json(self, tasks: ModuleType) -> None:
        result = await tasks.echo.aenqueue((1, [2]), b"text", key={"a": (3,)})
        assert (result.args, result.kwargs) == ([[1, [2]], "text"], {"key": {"a": [3]}})
        for wrong in (datetime.now(), object(), {1, 2}):
            with pytest.raises(TypeError, match="Unsupported type"):
                await tasks.echo.aenqueue(wrong)

    def test_a_signal_of_the_backends_class(self, backend: Any, tasks: ModuleType) -> None:
        with heard(task_enqueued) as calls:
            result = tasks.add.enqueue(1)
        ((sender, told),) = calls
        assert sender is type(backend)
        assert (told.id, told.enqueued_at) == (result.id, result.enqueued_at)

    def test_it_is_logged_once(self, tasks: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG, "django.tasks"), caplog.at_level(10, "django_tasks"):
            result = tasks.add.enqueue(1)
        told = [one.getMessage() for one in caplog.records if "enqueued backend=" in one.message]
        assert len(told) == 1
        assert result.id in told[0]


# Results


@of("ours", "dummy")
class TestGetResult:
    def test_by_its_id(self, backend: Any, tasks: ModuleType) -> None:
        result = tasks.add.using(queue_name="other", priority=-5).enqueue(1, b=2)
        assert tasks.add.get_result(result.id) == result
        assert backend.get_result(result.id) == result
        result.refresh()
        assert backend.get_result(result.id) == result

    async def test_by_its_id_in_a_coroutine(self, backend: Any, tasks: ModuleType) -> None:
        result = await tasks.add.aenqueue(1, b=2)
        assert await backend.aget_result(result.id) == result
        await result.arefresh()
        assert await tasks.add.aget_result(result.id) == result

    async def test_none_with_this_id(self, backend: Any, tasks: ModuleType) -> None:
        for id in ("123", "default:123", "default:", ":", "third:1"):
            with pytest.raises(TaskResultDoesNotExist):
                await tasks.add.aget_result(id)

    async def test_that_of_another_task(self, tasks: ModuleType) -> None:
        result = await tasks.echo.aenqueue()
        with pytest.raises(Exception, match="Task does not match") as raised:
            await tasks.add.aget_result(result.id)
        assert type(raised.value).__name__ == "TaskResultMismatch"


# Running


@of("ours", "immediate")
class TestRun:
    @pytest.mark.parametrize("name", ["add", "add_later"])
    def test_one_that_succeeds(
        self, kind: str, tasks: ModuleType, work: Callable[[], None], name: str
    ) -> None:
        result = getattr(tasks, name).enqueue(1, b=2)
        work()
        done(result, kind)
        assert result.status == TaskResultStatus.SUCCESSFUL
        assert (result.return_value, result.is_finished, result.errors) == (3, True, [])
        assert (result.attempts, len(result.worker_ids)) == (1, 1)
        assert result.enqueued_at <= result.started_at <= result.finished_at
        assert result.last_attempted_at == result.started_at

    @pytest.mark.parametrize("name", ["fail", "fail_later"])
    def test_one_that_fails(
        self, kind: str, tasks: ModuleType, work: Callable[[], None], name: str
    ) -> None:
        result = getattr(tasks, name).enqueue("no\nKeyError: yes")
        work()
        done(result, kind)
        assert (result.status, result.is_finished) == (TaskResultStatus.FAILED, True)
        with pytest.raises(ValueError, match="Task failed"):
            result.return_value  # noqa: B018
        (error,) = result.errors
        assert error.exception_class is ValueError
        assert error.traceback.startswith("Traceback (most recent call last):")
        assert error.traceback.endswith("ValueError: no\nKeyError: yes\n")
        assert f"in {name}\n" in error.traceback
        assert result.attempts == 1
        assert result.enqueued_at <= result.started_at <= result.finished_at

    def test_the_class_of_an_error_with_a_cause(
        self, kind: str, tasks: ModuleType, work: Callable[[], None]
    ) -> None:
        result = tasks.fail_in_a_chain.enqueue()
        work()
        assert done(result, kind).errors[0].exception_class is RuntimeError

    def test_what_it_returns_becomes_json(
        self, kind: str, tasks: ModuleType, work: Callable[[], None]
    ) -> None:
        right, wrong = tasks.echo.enqueue(1, b=(2,)), tasks.return_what_json_lacks.enqueue()
        work()
        assert done(right, kind).return_value == {"args": [1], "kwargs": {"b": [2]}}
        assert done(wrong, kind).status == TaskResultStatus.FAILED
        assert wrong.errors[0].exception_class is TypeError
        assert "Unsupported type" in wrong.errors[0].traceback

    @pytest.mark.parametrize("name", ["tell", "tell_later"])
    def test_one_that_takes_a_context(
        self, kind: str, tasks: ModuleType, work: Callable[[], None], name: str
    ) -> None:
        result = getattr(tasks, name).enqueue()
        work()
        assert done(result, kind).return_value == [result.id, 1]

    @pytest.mark.parametrize("name", ["add", "add_later"])
    def test_signals_of_one_that_succeeds(
        self, backend: Any, tasks: ModuleType, work: Callable[[], None], name: str
    ) -> None:
        states: list[str] = []

        def look(sender: Any, task_result: Any, **_: Any) -> None:
            states.append(task_result.status)

        task_started.connect(look)
        try:
            with heard(task_started, task_finished) as calls:
                result = getattr(tasks, name).enqueue(1)
                work()
        finally:
            task_started.disconnect(look)
        assert states == [TaskResultStatus.RUNNING]
        assert [(sender, told.id) for sender, told in calls] == [(type(backend), result.id)] * 2
        assert calls[1][1].status == TaskResultStatus.SUCCESSFUL
        assert (calls[1][1].return_value, calls[1][1].attempts) == (1, 1)

    @pytest.mark.parametrize("name", ["fail", "fail_later"])
    def test_a_failure_is_told_while_it_is_handled(
        self,
        tasks: ModuleType,
        work: Callable[[], None],
        caplog: pytest.LogCaptureFixture,
        name: str,
    ) -> None:
        with heard(task_finished) as calls, caplog.at_level(logging.INFO):
            result = getattr(tasks, name).enqueue("why")
            work()
        ((_, told),) = calls
        assert (told.status, told.errors[0].exception_class) == ("FAILED", ValueError)
        (logged,) = [
            one
            for one in caplog.records
            if one.name in ("django.tasks", "django_tasks") and one.levelno == logging.ERROR
        ]
        assert result.id in logged.getMessage()
        assert logged.exc_info is not None
        assert str(logged.exc_info[1]) == "why"


@of("ours", "dummy")
def test_a_time_to_run(tasks: ModuleType, backend: Any) -> None:
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    result = tasks.add.using(run_after=due).enqueue(1)
    assert result.task.run_after == due
    assert tasks.add.get_result(result.id).task.run_after == due
