"""Django's own tests of its task framework, run against our backend: all that ask no more of it
than the contract.

They come from the source distribution of the Django that is installed. Each of them is named here,
as one that runs or with the reason why it cannot: a new one of Django's fails until it has its
place. Django 5.2 has no task framework, so nothing is collected there.
"""

import subprocess
import sys
import tarfile
import unittest
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import django
import pytest
from django.test import override_settings

from queuecore import Worker
from queuecore.contrib.tasks import framework
from tests.servers import Server

pytestmark = pytest.mark.slow

OURS = "queuecore.tasks.QueueCoreBackend"
# It runs each task before it returns, as Django's immediate backend does.
WORKED = f"{__name__}.Worked"

_RESULTS = "looks into `results` of the dummy backend"
_BLOCKS = "calls a blocking method inside an event loop, which ours refuses"
_COMMITS = "enqueues within a transaction, where ours waits for the commit"
_KIND = "is about the class of Django's backend"
_CUSTOM = "brings a backend of its own, and has no other"
_INTERRUPT = "wants a KeyboardInterrupt from enqueue(), where nothing is run"
_NO_DEFER = "wants a backend that cannot wait"
_THEIRS = "sets Django's backend itself before it enqueues"
_NO_RESULTS = "wants a backend that keeps no results"

# By module and class: the backend that takes its backend's place, and the reasons of tests that
# do not run.
CLASSES: dict[str, tuple[str, dict[str, str]]] = {
    "test_tasks.TaskTestCase": (
        OURS,
        {
            "test_using_correct_backend": _KIND,
            "test_get_backend": _KIND,
            "test_enqueue_task": _RESULTS,
            "test_enqueue_task_async": _RESULTS,
            "test_refresh_result": _BLOCKS,
        },
    ),
    "test_dummy_backend.DummyBackendTestCase": (
        OURS,
        {
            "test_using_correct_backend": _KIND,
            "test_enqueue_task": _RESULTS,
            "test_enqueue_task_async": _RESULTS,
            "test_refresh_result": _RESULTS,
            "test_refresh_result_async": _RESULTS,
            "test_clear": _RESULTS,
            "test_validate_on_enqueue": _THEIRS,
            "test_validate_on_aenqueue": _THEIRS,
        },
    ),
    "test_dummy_backend.DummyBackendTransactionTestCase": (
        OURS,
        {"test_doesnt_wait_until_transaction_commit_by_default": _COMMITS},
    ),
    "test_immediate_backend.ImmediateBackendTestCase": (
        WORKED,
        {
            "test_using_correct_backend": _KIND,
            "test_throws_keyboard_interrupt": _INTERRUPT,
            "test_cannot_get_result": _NO_RESULTS,
            "test_cannot_refresh_result": _NO_RESULTS,
            "test_cannot_pass_run_after": _NO_DEFER,
            "test_validate_on_enqueue": _THEIRS,
            "test_validate_on_aenqueue": _THEIRS,
        },
    ),
    "test_immediate_backend.ImmediateBackendTransactionTestCase": (
        WORKED,
        {"test_doesnt_wait_until_transaction_commit_by_default": _COMMITS},
    ),
    "test_custom_backend.CustomBackendTestCase": (
        "",
        {
            "test_using_correct_backend": _CUSTOM,
            "test_enqueue_async_task_on_non_async_backend": _CUSTOM,
            "test_backend_does_not_support_priority": _CUSTOM,
            "test_options": _CUSTOM,
            "test_no_enqueue": _CUSTOM,
        },
    ),
    "test_custom_backend.CustomTaskTestCase": (
        "",
        {
            "test_custom_task_default_values": _CUSTOM,
            "test_custom_task_with_custom_values": _CUSTOM,
            "test_custom_task_with_standard_and_custom_values": _CUSTOM,
            "test_custom_task_invalid_kwarg": _CUSTOM,
        },
    ),
}

if framework.IS_DJANGOS:
    from queuecore.tasks import QueueCoreBackend

    class Worked(QueueCoreBackend):
        """Our backend with a worker that has done what was enqueued before anybody looks."""

        def enqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
            result = super().enqueue(task, args, kwargs)
            _worker(task.queue_name).run()
            result.refresh()
            return result

        async def aenqueue(self, task: Any, args: Any, kwargs: Any) -> Any:
            result = await super().aenqueue(task, args, kwargs)
            await _worker(task.queue_name).arun()
            await result.arefresh()
            return result

    @pytest.fixture(scope="module")
    def tasks(made_once: Callable[[str, Callable[[Path], object]], Path]) -> Iterator[ModuleType]:
        """Django's package of tests, imported under the name that it has there."""
        folder = made_once("django-tests", _fetch)
        with pytest.MonkeyPatch.context() as patch, override_settings(TASKS=_settings(OURS)):
            patch.syspath_prepend(str(folder / "tests"))
            yield import_module("tasks")
        for name in [one for one in sys.modules if one.split(".")[0] == "tasks"]:
            del sys.modules[name]

    def test_each_of_them_is_named(tasks: ModuleType) -> None:
        files = {path.stem for path in Path(str(tasks.__file__)).parent.glob("test_*.py")}
        there = {
            f"{file}.{name}": {test for test in dir(kind) if test.startswith("test")}
            for file in files
            for name, kind in vars(import_module(f"tasks.{file}")).items()
            if isinstance(kind, type)
            and issubclass(kind, unittest.TestCase)
            and kind.__module__ == f"tasks.{file}"
        }
        assert set(there) == set(CLASSES)
        for name, (backend, reasons) in CLASSES.items():
            assert set(reasons) <= there[name]
            assert backend or set(reasons) == there[name], f"{name}: name what does not run"

    @pytest.mark.parametrize("name", [name for name, (backend, _) in CLASSES.items() if backend])
    def test_those_that_are_neutral(tasks: ModuleType, server: Server, name: str) -> None:
        backend, reasons = CLASSES[name]
        file, _, kind = name.partition(".")
        theirs = getattr(import_module(f"tasks.{file}"), kind)

        @override_settings(TASKS=_settings(backend))
        class Ours(theirs):  # type: ignore[misc]
            def setUp(self) -> None:  # theirs clears what the dummy backend holds
                server.flush()

        chosen = [test for test in dir(Ours) if test.startswith("test") and test not in reasons]
        result = unittest.TestResult()
        unittest.TestSuite(map(Ours, chosen)).run(result)
        wrong = [f"{case.id()}\n{text}" for case, text in result.failures + result.errors]
        assert not wrong, "\n".join(wrong)
        assert (result.testsRun, result.skipped) == (len(chosen), [])


def _settings(backend: str) -> dict[str, Any]:
    """``TASKS`` with what Django's own tests expect of theirs."""
    options = {"MODULES": ["tasks"]}
    queues = ["default", "queue_1"]
    return {
        "default": {"BACKEND": backend, "QUEUES": queues, "OPTIONS": options},
        "immediate": {
            "BACKEND": "django.tasks.backends.immediate.ImmediateBackend",
            "QUEUES": [],
        },
        "missing": {"BACKEND": "does.not.exist"},
    }


def _worker(queue: str) -> Worker:
    from queuecore.contrib.tasks.framework import task_backends
    from queuecore.contrib.tasks.serving import TaskProcessors

    served = TaskProcessors("default", queue, backends=[task_backends["default"]])
    return Worker(queue, served, burst=True)


def _fetch(folder: Path) -> None:
    """Bring ``tests/tasks`` of the installed Django's source distribution."""
    wanted = f"django=={django.__version__}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    answer = subprocess.run(
        [*command, "--no-binary", "django", "--dest", str(folder), wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as found:
        for member in found.getmembers():
            _, _, path = member.name.partition("/")
            if path.startswith("tests/tasks/"):
                member.name = path
                found.extract(member, folder, filter="data")
