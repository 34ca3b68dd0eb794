"""System checks: what each finds, and that none breaks over what another finds."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage, registry, run_checks
from django.test import override_settings

from queuecore import checks, processors
from queuecore.discovery import discover
from queuecore.options import Keep
from queuecore.processors import Registry

URL = {"CONNECTIONS": {"default": {"URL": "redis://localhost"}}}


def at(url: str) -> dict[str, Any]:
    return {"CONNECTIONS": {"default": {"URL": url}}}


def found(function: Any, **queuecore: Any) -> list[CheckMessage]:
    """What one check finds with these settings."""
    with override_settings(QUEUECORE=URL | queuecore):
        messages: list[CheckMessage] = function(None)
    for message in messages:
        assert message.id.startswith("queuecore.")
        assert message.hint
    return messages


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QUEUECORE_URL", raising=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to import apps from."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module]


def test_they_are_registered() -> None:
    known = {check.__name__ for check in registry.registry.get_checks(True)}
    assert known >= {
        "check_settings",
        "check_processors",
        "check_runworker",
        "check_retention",
        "check_audit_keys",
    }


@pytest.mark.parametrize(
    ("queuecore", "says"),
    [
        ({"WROKER": {}}, "QUEUECORE has an unknown key 'WROKER'; did you mean 'WORKER'?"),
        ({"WORKER": 5}, "QUEUECORE['WORKER'] must be a dict, not int"),
        ({"CONNECTIONS": {"default": {"URL": "http://x"}}}, "must begin with redis://"),
        ({"CONNECTIONS": {"default": {"URL": "redis://:secret@x", "DB": 1}}}, "unknown key 'DB'"),
        (at("redis://:secret/@x:1"), "the URL of connection 'default' cannot be read"),
        (at("redis://x:99999"), "the URL of connection 'default' cannot be read"),
        (at("redis://x?socket_timeout=soon"), "the URL of connection 'default' cannot be read"),
        (at("redis://:secret@x?foo=1"), "an option that redis-py does not take: unexpected"),
        (at("unix:///s?foo=1"), "an option that redis-py does not take: unexpected"),
        (at("rediss://x?foo=1"), "an option that redis-py does not take: unexpected"),
        ({"CONNECTIONS": {"other": {}}}, "QUEUECORE['CONNECTIONS']['other'] has no 'URL'"),
        ({"DEFAULT_JOB_OPTIONS": {"atempts": 3}}, "QUEUECORE['DEFAULT_JOB_OPTIONS']: there is no"),
        ({"DEFAULT_JOB_OPTIONS": {"attempts": -1}}, "attempts must be a whole number"),
        ({"WORKER": {"CONCURRENCY": 0}}, "QUEUECORE['WORKER']['CONCURRENCY'] must be a whole"),
        ({"WORKER": {"CONCURRENCY": 2.5}}, "QUEUECORE['WORKER']['CONCURRENCY'] must be a whole"),
        ({"WORKER": {"CONCURRENCY": None}}, "QUEUECORE['WORKER']['CONCURRENCY'] must be a whole"),
        ({"WORKER": {"LOCK_DURATION": 0}}, "QUEUECORE['WORKER']['LOCK_DURATION'] must be at"),
        ({"WORKER": {"LOCK_DURATION": float("nan")}}, "['LOCK_DURATION'] must be at least 0.1"),
        ({"WORKER": {"STALLED_INTERVAL": "30"}}, "['STALLED_INTERVAL'] must be seconds or a"),
        ({"WORKER": {"DRAIN_DELAY": 0}}, "['DRAIN_DELAY'] must be at least 0.01 seconds"),
        ({"WORKER": {"SHUTDOWN_TIMEOUT": -1}}, "['SHUTDOWN_TIMEOUT'] must be at least 0 seconds"),
        ({"WORKER": {"LOCK_DURATION": 4, "LOCK_RENEW_TIME": 3}}, "at most half of lock_duration"),
        ({"WORKER": {"REMOVE_ON_FAIL": "5"}}, "['REMOVE_ON_FAIL'] must be True, False, a number"),
        ({"WORKER": {"REMOVE_ON_FAIL": {"cuont": 1}}}, "['REMOVE_ON_FAIL'] knows the keys count"),
        ({"WORKER": {"NAME": 5}}, "['NAME'] must be a text"),
        ({"WORKER": {"LOCKDURATION": 5}}, "did you mean 'LOCK_DURATION'?"),
    ],
)
def test_settings_that_cannot_be_read(queuecore: dict[str, Any], says: str) -> None:
    (message,) = found(checks.check_settings, **queuecore)
    assert message.id == "queuecore.E001"
    assert says in message.msg
    assert "secret" not in message.msg
    # The others leave it at that.
    assert found(checks.check_retention, **queuecore) in ([], found(checks.check_retention))


@pytest.mark.parametrize(
    "queuecore",
    [
        {},
        {"WORKER": {"CONCURRENCY": 50, "LOCK_DURATION": 30, "REMOVE_ON_COMPLETE": Keep(count=5)}},
        {"WORKER": {"LOCK_DURATION": 10, "LOCK_RENEW_TIME": 5, "MAX_STARTED_ATTEMPTS": None}},
        {"DEFAULT_JOB_OPTIONS": {"remove_on_complete": {"count": 1000, "age": 604800}}},
        {"CONNECTIONS": {"default": {"URL": "unix:///s"}, "other": {"URL": "rediss://x:1/2"}}},
    ],
)
def test_settings_that_are_right(queuecore: dict[str, Any]) -> None:
    assert found(checks.check_settings, **queuecore) == []


def test_no_server_is_named() -> None:
    (message,) = found(checks.check_settings, CONNECTIONS={})
    assert message.id == "queuecore.E002"
    with override_settings(DEBUG=True):  # then the embedded one starts
        assert found(checks.check_settings, CONNECTIONS={}) == []


def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUECORE_URL", "redis://there")
    assert found(checks.check_settings, CONNECTIONS={}) == []


def test_processors_that_cannot_be_imported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processors, "registry", Registry())
    (folder / "broken").mkdir()
    (folder / "broken" / "__init__.py").touch()
    (folder / "broken" / "processors.py").write_text("import nowhere_to_be_found")
    with override_settings(INSTALLED_APPS=["queuecore", "broken"]):
        (message,) = found(checks.check_processors)
    assert message.id == "queuecore.E003"
    assert "broken.processors cannot be imported: ModuleNotFoundError" in message.msg


def test_processors_of_this_project() -> None:
    discover()
    assert found(checks.check_processors) == []


def rival(folder: Path, *parts: str) -> str:
    """An app that owns what *parts* name."""
    app = folder / "rival"
    path = app.joinpath(*parts)
    path.parent.mkdir(parents=True)
    for each in (path.parent, *path.parent.parents):
        if each.is_relative_to(app):
            (each / "__init__.py").touch()
    path.write_text("")
    return "rival"


def test_a_runworker_of_an_app_before_ours(folder: Path) -> None:
    app = rival(folder, "management", "commands", "runworker.py")
    with override_settings(INSTALLED_APPS=[app, "queuecore"]):
        (message,) = found(checks.check_runworker)
    assert message.id == "queuecore.W010"
    assert "is the command of rival" in message.msg
    assert "'queueworker'" in message.hint


@pytest.mark.parametrize("place", ["after", "without", "another command"])
def test_no_runworker_before_ours(folder: Path, place: str) -> None:
    parts = {
        "after": ("management", "commands", "runworker.py"),
        "without": ("models.py",),
        "another command": ("management", "commands", "other.py"),
    }[place]
    app = rival(folder, *parts)
    order = ["queuecore", app] if place == "after" else [app, "queuecore"]
    with override_settings(INSTALLED_APPS=order):
        assert found(checks.check_runworker) == []


def test_channels_owns_a_runworker() -> None:
    """The rival that this check is for; if it is gone, so may be the check."""
    with override_settings(INSTALLED_APPS=["channels", "queuecore"]):
        assert apps.is_installed("channels")
        assert [one.id for one in found(checks.check_runworker)] == ["queuecore.W010"]


def test_completed_jobs_kept_for_ever() -> None:
    (message,) = found(checks.check_retention)
    assert message.id == "queuecore.W011"
    assert "DEFAULT_JOB_OPTIONS" in message.hint


@pytest.mark.parametrize(
    "queuecore",
    [
        {"DEFAULT_JOB_OPTIONS": {"remove_on_complete": 1000}},
        {"DEFAULT_JOB_OPTIONS": {"remove_on_complete": False}},  # said on purpose
        {"WORKER": {"REMOVE_ON_COMPLETE": True}},
    ],
)
def test_completed_jobs_with_a_rule(queuecore: dict[str, Any]) -> None:
    assert found(checks.check_retention, **queuecore) == []


def test_the_project_passes_its_own_checks() -> None:
    ids = [message.id for message in run_checks() if str(message.id).startswith("queuecore")]
    assert ids == []
