"""System checks: what each finds, and that none breaks over what another finds."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import CheckMessage, registry, run_checks
from django.test import override_settings
from django.test.utils import _TestState

from dashboard.checks import check_settings as check_dashboard
from dashboard.conf import get_settings as dashboard_settings
from queuecore import audit, checks, processors
from queuecore.discovery import discover
from queuecore.errors import ConfigurationError
from queuecore.options import Deduplication, Keep
from queuecore.processors import Registry
from tests.machine import ROOT

URL = {"CONNECTIONS": {"default": {"URL": "redis://localhost"}}}


NOW = datetime.now(UTC)
NEEDED = ("django.contrib.auth", "django.contrib.contenttypes")


def at(url: Any) -> dict[str, Any]:
    return {"CONNECTIONS": {"default": {"URL": url}}}


def waits(key: str, value: Any) -> dict[str, Any]:
    return {"CONNECTIONS": {"default": {"URL": "redis://localhost", f"WAIT_{key}": value}}}


def found(function: Any, **queuecore: Any) -> list[CheckMessage]:
    """What one check finds with these settings."""
    with override_settings(QUEUECORE=URL | queuecore):
        messages: list[CheckMessage] = function(None)
    for message in messages:
        assert message.id.startswith("queuecore.")
        assert message.hint
    return messages


def check_audit_keys(app_configs: None) -> list[CheckMessage]:
    return audit.check_audit_keys(app_configs=app_configs)


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
        (waits("REPLICAS", -1), "['default']['WAIT_REPLICAS'] must be a whole number of 0 to 99"),
        (waits("REPLICAS", True), "['WAIT_REPLICAS'] must be a whole number of 0 to 99, not True"),
        (waits("REPLICAS", "1"), "['WAIT_REPLICAS'] must be a whole number of 0 to 99, not '1'"),
        (waits("TIMEOUT", 0), "['default']['WAIT_TIMEOUT'] must be seconds, more than 0 and at"),
        (waits("TIMEOUT", 5), "['WAIT_TIMEOUT'] must be seconds, more than 0 and at most 4, not 5"),
        (waits("TIMEOUT", None), "['WAIT_TIMEOUT'] must be seconds, more than 0 and at most 4"),
        (waits("TIMEOUT", float("nan")), "['WAIT_TIMEOUT'] must be seconds, more than 0 and at"),
        (waits("REPLICA", 1), "did you mean 'WAIT_REPLICAS'?"),
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
        # Of wrong types
        ({"CONNECTIONS": []}, "QUEUECORE['CONNECTIONS'] must be a dict, not list"),
        ({"CONNECTIONS": {"default": 3}}, "['CONNECTIONS']['default'] must be a dict, not int"),
        ({"CONNECTIONS": {3: {}}}, "a key of QUEUECORE['CONNECTIONS'] must be a text, not 3"),
        (at(3), "QUEUECORE['CONNECTIONS']['default']['URL'] must begin with redis://"),
        ({"CONNECTIONS": {"default": {"PREFIX": "\ud800"}}}, "['PREFIX'] must be a text"),
        ({"DEFAULT_JOB_OPTIONS": 3}, "QUEUECORE['DEFAULT_JOB_OPTIONS'] must be a dict, not int"),
        ({"DEFAULT_JOB_OPTIONS": {3: 4}}, "a key of QUEUECORE['DEFAULT_JOB_OPTIONS'] must be a"),
        ({"DEFAULT_JOB_OPTIONS": {"backoff": "soon"}}, "QUEUECORE['DEFAULT_JOB_OPTIONS']: "),
        ({"WORKER": 3}, "QUEUECORE['WORKER'] must be a dict, not int"),
        ({"WORKER": {3: 4}}, "a key of QUEUECORE['WORKER'] must be a text, not 3"),
        ({"WORKER": {"NAME": "\ud800"}}, "QUEUECORE['WORKER']['NAME'] must be a text"),
        ({"WORKER": None}, "QUEUECORE['WORKER'] must be a dict, not NoneType"),
        ({"AUDIT_KEYS": "x"}, "QUEUECORE['AUDIT_KEYS'] must be a dict, not str"),
        ({"AUDIT_KEYS": {"a": 3}}, "QUEUECORE['AUDIT_KEYS'] must be a dict of id to key, both"),
        ({"AUDIT_KEYS": {"a": "secret", "b": ""}}, "that of 'b' is none"),
        ({"DASHBOARD": 3}, "QUEUECORE['DASHBOARD'] must be a dict, not int"),
        ({"REPEAT_STRATEGY": 3}, "QUEUECORE['REPEAT_STRATEGY'] must be a dotted path, not 3"),
        ({"TELEMETRY": 3}, "QUEUECORE['TELEMETRY'] must be a dotted path, not 3"),
        ({"MAX_EVENTS": -1}, "QUEUECORE['MAX_EVENTS'] must be a whole number of at least 0"),
        # What belongs to one job
        ({"DEFAULT_JOB_OPTIONS": {"job_id": "a"}}, "every add after the first would add nothing"),
        ({"DEFAULT_JOB_OPTIONS": {"job_id": None}}, "has 'job_id', which belongs to one job"),
        ({"DEFAULT_JOB_OPTIONS": {"timestamp": NOW}}, "has 'timestamp', which belongs to one"),
        ({"DEFAULT_JOB_OPTIONS": {"parent": None}}, "has 'parent', which belongs to one job"),
        (
            {"DEFAULT_JOB_OPTIONS": {"deduplication": Deduplication("a")}},
            "the adds of a whole queue would be one job",
        ),
        # Paths that name nothing
        ({"WORKER": {"BACKOFF_STRATEGY": "nowhere.to.be"}}, "['BACKOFF_STRATEGY'] names 'nowhere"),
        ({"WORKER": {"BACKOFF_STRATEGY": "os.sep"}}, "names 'os.sep', which is no function"),
        ({"REPEAT_STRATEGY": "os.nothing"}, "['REPEAT_STRATEGY'] names 'os.nothing', which cannot"),
        ({"REPEAT_STRATEGY": "os.sep"}, "names 'os.sep', which is no function"),
        ({"TELEMETRY": "os.nothing"}, "['TELEMETRY'] names 'os.nothing', which cannot be imported"),
        ({"TELEMETRY": "os.sep"}, "['TELEMETRY'] names 'os.sep', which is no function"),
        ({"DASHBOARD": {"ACCESS": "os.nothing"}}, "['ACCESS'] names 'os.nothing', which cannot"),
        ({"DASHBOARD": {"ACCESS": "os.sep"}}, "make it a subclass of queuecore.access.Access"),
        ({"DASHBOARD": {"ACCESS": 3}}, "['ACCESS'] must be a dotted path, not 3"),
        ({"DASHBOARD": {"READ_ONLY": "False"}}, "['READ_ONLY'] must be True or False, not 'False'"),
        # What redis-py passes over, or what cuts calls short that wait on the server
        (at("redis://x/secret"), "the URL of connection 'default' names a database that is no"),
        (at("redis://x/1/2"), "names a database that is no whole number"),
        (at("redis://x/0/secret@y"), "names a database that is no whole number"),
        (at("redis://x?db=-1"), "names a database that is no whole number"),
        (at("redis://x?socket_timeout=1"), "has socket_timeout=1: it must be 5 to 3600 seconds"),
        (at("redis://x?socket_timeout=nan"), "has socket_timeout=nan: it must be 5 to 3600"),
        (at("unix:///s?socket_timeout=0"), "has socket_timeout=0: it must be 5 to 3600"),
        (at("redis://x?socket_connect_timeout=0"), "has socket_connect_timeout=0: it must be 0.1"),
    ],
)
def test_settings_that_cannot_be_read(queuecore: dict[str, Any], says: str) -> None:
    (message,) = found(checks.check_settings, **queuecore)
    assert message.id == "queuecore.E001"
    assert says in message.msg
    assert "secret" not in message.msg
    # The others leave it at that.
    assert found(checks.check_retention, **queuecore) in ([], found(checks.check_retention))
    assert found(check_audit_keys, **queuecore) in ([], found(check_audit_keys))
    assert found(check_dashboard, **queuecore) == []


@pytest.mark.parametrize("queuecore", [None, [], "redis://x", 3])
def test_settings_that_are_no_dict(queuecore: Any) -> None:
    with override_settings(QUEUECORE=queuecore):
        (message,) = checks.check_settings(None)
        assert message.msg.startswith("QUEUECORE must be a dict, not ")
        assert check_dashboard(None) == check_audit_keys(None) == []


@pytest.mark.parametrize(
    ("dashboard", "says"),
    [
        ({"MASKS": []}, "QUEUECORE['DASHBOARD'] has an unknown key 'MASKS'; did you mean 'MASK'?"),
        ({"MASK": "password"}, "['MASK'] must be a list of words that are not empty, not 'passw"),
        ({"MASK": ["password", ""]}, "['MASK'] must be a list of words"),
        ({"MASK": [3]}, "['MASK'] must be a list of words"),
        ({"PAGE_SIZE": 0}, "QUEUECORE['DASHBOARD']['PAGE_SIZE'] must be a whole number of 1 to"),
        ({"PAGE_SIZE": "50"}, "['PAGE_SIZE'] must be a whole number of 1 to 100, not '50'"),
        ({"MAX_BULK": True}, "['MAX_BULK'] must be a whole number of 100 to"),
        ({"COLLECT": "no"}, "['COLLECT'] must be True or False, not 'no'"),
        ({"ENVIRONMENT": 3}, "['ENVIRONMENT'] must be a text, not 3"),
        ({"ENVIRONMENT_NOTE": None}, "['ENVIRONMENT_NOTE'] must be a text, not None"),
    ],
)
def test_settings_of_the_dashboard(dashboard: dict[str, Any], says: str) -> None:
    (message,) = found(check_dashboard, DASHBOARD=dashboard)
    assert message.id == "queuecore.E004"
    assert says in message.msg
    with (
        override_settings(QUEUECORE=URL | {"DASHBOARD": dashboard}),
        pytest.raises(ConfigurationError, match=r"QUEUECORE\['DASHBOARD'\]"),
    ):
        dashboard_settings()


def test_settings_of_the_dashboard_that_are_right() -> None:
    right: dict[str, Any] = {
        "MASK": {"PIN"},
        "PAGE_SIZE": 100,
        "MAX_BULK": 100,
        "READ_ONLY": True,
        "ACCESS": None,
    }
    assert found(check_dashboard, DASHBOARD=right) == []
    assert found(checks.check_settings, DASHBOARD=right) == []
    with override_settings(QUEUECORE=URL | {"DASHBOARD": right}):
        assert dashboard_settings().mask == ("pin",)


@pytest.mark.parametrize(
    "queuecore",
    [
        {},
        {"WORKER": {"CONCURRENCY": 50, "LOCK_DURATION": 30, "REMOVE_ON_COMPLETE": Keep(count=5)}},
        {"WORKER": {"LOCK_DURATION": 10, "LOCK_RENEW_TIME": 5, "MAX_STARTED_ATTEMPTS": None}},
        {"DEFAULT_JOB_OPTIONS": {"remove_on_complete": {"count": 1000, "age": 604800}}},
        {"CONNECTIONS": {"default": {"URL": "unix:///s"}, "other": {"URL": "rediss://x:1/2"}}},
        at("unix:///s/t?db=2"),
        at("redis://x/"),
        at("redis://x?db=3&socket_timeout=5&socket_connect_timeout=1"),
        {"WORKER": {"BACKOFF_STRATEGY": "math.sqrt"}, "REPEAT_STRATEGY": "math.sqrt"},
        {"DASHBOARD": {"ACCESS": "queuecore.access.Access", "READ_ONLY": True}},
        {"AUDIT_KEYS": {"2026": "a secret"}, "TELEMETRY": None},
    ],
)
def test_settings_that_are_right(queuecore: dict[str, Any]) -> None:
    assert found(checks.check_settings, **queuecore) == []


def test_no_server_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # Tests have a private server, and Django runs them with DEBUG off.
    assert found(checks.check_settings, CONNECTIONS={}) == []
    monkeypatch.delattr(_TestState, "saved_data")
    (message,) = found(checks.check_settings, CONNECTIONS={})
    assert message.id == "queuecore.E002"
    with override_settings(DEBUG=True):  # then the embedded one starts
        assert found(checks.check_settings, CONNECTIONS={}) == []


def test_the_environment_names_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUECORE_URL", "redis://there")
    assert found(checks.check_settings, CONNECTIONS={}) == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://there", "the environment variable QUEUECORE_URL must begin with redis://"),
        ("redis://there/x", "'default' (the environment variable QUEUECORE_URL) names a database"),
        ("redis://:secret/@x:1", "'default' (the environment variable QUEUECORE_URL) cannot be"),
        ("redis://x?foo=1", "'default' (the environment variable QUEUECORE_URL) has an option"),
    ],
)
def test_a_wrong_url_in_the_environment(
    url: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUECORE_URL", url)
    (message,) = found(checks.check_settings, CONNECTIONS={})
    assert message.id == "queuecore.E001"
    assert says in message.msg
    assert "secret" not in message.msg
    # It does not count, and is not named, where the settings have a URL.
    assert found(checks.check_settings) == []
    (message,) = found(checks.check_settings, **at("redis://x/y"))
    assert "QUEUECORE_URL" not in message.msg


@pytest.mark.parametrize(
    "missing", [["django.contrib.auth"], ["django.contrib.contenttypes"], list(NEEDED)]
)
def test_an_app_that_queuecore_needs_is_missing(missing: list[str], tmp_path: Path) -> None:
    apps = ["queuecore", *(one for one in NEEDED if one not in missing)]
    (tmp_path / "site_settings.py").write_text(f"INSTALLED_APPS = {apps}\nSECRET_KEY = 'x'\n")
    answer = subprocess.run(
        [sys.executable, "-m", "django", "check", "--settings", "site_settings"],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "QUEUECORE_URL": "redis://x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode != 0
    last = answer.stderr.strip().splitlines()[-1]
    named = " and ".join(map(repr, missing))
    assert f"ImproperlyConfigured: queuecore needs {named} in INSTALLED_APPS: " in last


def test_no_more_apps_are_needed(tmp_path: Path) -> None:
    (tmp_path / "site_settings.py").write_text(
        f"INSTALLED_APPS = {['queuecore', *NEEDED]}\nSECRET_KEY = 'x'\n"
    )
    answer = subprocess.run(
        [sys.executable, "-m", "django", "check", "--settings", "site_settings"],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "QUEUECORE_URL": "redis://x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


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


def test_a_connection_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    monkeypatch.setattr(processors, "registry", registry)
    processors.processor("emails", connection="reprots")(print_job)
    monkeypatch.setattr(checks.discovery, "discover", lambda: registry)
    (message,) = found(checks.check_connections, CONNECTIONS={"reports": {"URL": "redis://x"}})
    assert message.id == "queuecore.E005"
    assert "'reprots'" in message.msg
    assert "did you mean 'reports'" in message.msg
    assert "test_checks.py:" in message.msg


def print_job(job: Any) -> None: ...


@pytest.mark.parametrize(
    ("url", "ids"),
    [
        ("redis://localhost", []),
        ("redis://127.0.0.1:6380/1", []),
        ("redis://[::1]", []),
        ("unix:///run/redis.sock", []),
        ("rediss://:secret@redis.example.org", []),
        ("rediss://redis.example.org?password=secret", []),
        ("rediss://redis.example.org", ["queuecore.W102"]),
        ("redis://:secret@redis.example.org", ["queuecore.W103"]),
        ("redis://redis.example.org", ["queuecore.W102", "queuecore.W103"]),
        ("redis+sentinel://127.0.0.1,localhost:1/jobs", []),
        ("redis+sentinel://127.0.0.1,s2/jobs", ["queuecore.W102", "queuecore.W103"]),
        ("redis+sentinel://s1/jobs?sentinel_password=s", ["queuecore.W102", "queuecore.W103"]),
        ("rediss+sentinel://:secret@s1,s2/jobs", []),
        ("redis+cluster://n1:7000?password=secret", ["queuecore.W103"]),
        ("rediss+cluster://n1:7000,n2:7000", ["queuecore.W102"]),
    ],
)
def test_a_server_of_another_machine(url: str, ids: list[str]) -> None:
    both = found(checks.check_password, **at(url)) + found(checks.check_cleartext, **at(url))
    assert [one.id for one in both] == ids
    assert "secret" not in "".join(one.msg + one.hint for one in both)


def test_the_embedded_server_in_production() -> None:
    assert found(checks.check_embedded) == []
    assert found(checks.check_embedded, CONNECTIONS={}) == []
    with override_settings(DEBUG=True):
        (message,) = found(checks.check_embedded, CONNECTIONS={})
    assert message.id == "queuecore.W104"


def test_every_hint_names_its_place_in_the_reference() -> None:
    with override_settings(QUEUECORE=at("redis://there")):
        (message,) = checks.linked(checks.check_password)(None)
    assert message.hint.endswith(" See docs/reference/checks.md#queuecorew102")
    ours = [
        one
        for one in [*registry.registry.registered_checks, *registry.registry.deployment_checks]
        if one.__module__.startswith(("queuecore", "dashboard"))
    ]
    assert len(ours) >= 18
    assert all(hasattr(one, "__wrapped__") for one in ours), ours
