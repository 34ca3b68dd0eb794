"""What a host project lacks for the dashboard is named, one thing by one check."""

from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings

from dashboard import checks


def ids() -> list[str | None]:
    return [one.id for check in checks.CHECKS for one in check(None)]


def without(setting: str, *names: str) -> list[str]:
    return [one for one in getattr(settings, setting) if not one.endswith(names)]


def test_this_project_has_everything() -> None:
    assert ids() == []


def test_htmx() -> None:
    with override_settings(INSTALLED_APPS=without("INSTALLED_APPS", "django_htmx")):
        assert "queuecore.E006" in ids()


def test_who_is_signed_in() -> None:
    with override_settings(MIDDLEWARE=["django.middleware.common.CommonMiddleware"]):
        assert ids() == ["queuecore.E007"]
    with override_settings(MIDDLEWARE=["django.contrib.auth.middleware.AuthenticationMiddleware"]):
        assert ids() == []


def test_templates() -> None:
    bare = [{"BACKEND": "django.template.backends.django.DjangoTemplates"}]
    with override_settings(TEMPLATES=bare):
        assert "queuecore.E008" in ids()


def test_the_mount() -> None:
    with override_settings(ROOT_URLCONF="tests.dashboard.empty_urls"):
        assert ids() == ["queuecore.W012"]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module ``some_host.asgi``, which nobody may import."""
    package = tmp_path / "some_host"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    return package / "asgi.py"


def test_the_live_line(host: Path) -> None:
    with override_settings(ASGI_APPLICATION="some_host.asgi.application"):
        host.write_text("raise SystemExit\napplication = get_asgi_application()")
        assert ids() == ["queuecore.W013"]
        host.write_text("raise SystemExit\nfrom queuecore_dashboard.asgi import live")
        assert ids() == []


def test_runserver(host: Path) -> None:
    host.write_text("from queuecore_dashboard.asgi import live")
    apps = without("INSTALLED_APPS", "daphne")
    named = "some_host.asgi.application"
    with override_settings(DEBUG=True, INSTALLED_APPS=apps, ASGI_APPLICATION=named):
        (message,) = checks.check_runserver(None)
        assert message.id == "queuecore.W014"
        assert "'daphne'" in message.msg
        assert "ASGI_APPLICATION" not in message.msg
    with override_settings(DEBUG=True, INSTALLED_APPS=["daphne", *apps], ASGI_APPLICATION=None):
        (message,) = checks.check_runserver(None)
        assert "without ASGI_APPLICATION" in message.msg
    # Nobody wants websockets, or everything is there, or it is no development.
    with override_settings(
        DEBUG=True, INSTALLED_APPS=apps, ASGI_APPLICATION=None, ROOT_URLCONF="elsewhere.urls"
    ):
        assert checks.check_runserver(None) == []
    with override_settings(DEBUG=True, INSTALLED_APPS=["daphne", *apps], ASGI_APPLICATION=named):
        assert checks.check_runserver(None) == []
