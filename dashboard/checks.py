"""System checks of the dashboard: its settings, and each thing that a host must have for it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.core.checks import CheckMessage, Error, Warning
from django.template.exceptions import TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import get_template
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from queuecore.conf import get_settings as core_settings
from queuecore.errors import ConfigurationError

from . import conf


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E004: ``QUEUECORE["DASHBOARD"]`` cannot be read."""
    try:
        core_settings()
    except ConfigurationError:
        return []  # E001 says so
    try:
        conf.get_settings()
    except ConfigurationError as error:
        return [
            Error(
                str(error),
                hint="No page opens before this is corrected; every key is optional.",
                id="queuecore.E004",
            )
        ]
    return []


def check_htmx(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E006: ``django_htmx`` is missing, whose tag and script the pages use."""
    if apps.is_installed("django_htmx"):
        return []
    return [
        Error(
            "The dashboard needs 'django_htmx' in INSTALLED_APPS.",
            hint="Add it; the extra 'dashboard' of django-queuecore brings the package.",
            id="queuecore.E006",
        )
    ]


def check_login(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E007: no middleware says who is signed in."""
    for name in settings.MIDDLEWARE:
        try:
            found = import_string(name)
        except ImportError:
            continue  # Django says so
        # One of the host's own may do the same in another way: a function tells nothing.
        if not isinstance(found, type) or issubclass(found, AuthenticationMiddleware):
            return []
        if "auth" in name.lower():
            return []
    return [
        Error(
            "The dashboard needs a middleware that says who is signed in.",
            hint="Add 'django.contrib.sessions.middleware.SessionMiddleware' and "
            "'django.contrib.auth.middleware.AuthenticationMiddleware' to MIDDLEWARE.",
            id="queuecore.E007",
        )
    ]


def check_templates(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E008: Django does not find the templates."""
    try:
        get_template("queuecore_dashboard/layout.html")
    except TemplateSyntaxError:
        return []  # a tag library is missing: E006 says so
    except TemplateDoesNotExist:
        return [
            Error(
                "The templates of the dashboard are not found.",
                hint="Set 'APP_DIRS': True for the backend DjangoTemplates in TEMPLATES, or name "
                "'django.template.loaders.app_directories.Loader' among its loaders.",
                id="queuecore.E008",
            )
        ]
    return []


def check_mount(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W012: the pages have no address."""
    try:
        reverse("queuecore_dashboard:overview")
    except NoReverseMatch:
        return [
            Warning(
                "The dashboard is installed, and no address leads to it.",
                hint="Add path('queues/', include('queuecore_dashboard.urls')) to the urlpatterns "
                f"of {settings.ROOT_URLCONF}.",
                id="queuecore.W012",
            )
        ]
    except Exception:
        return []  # the URLs cannot be imported: Django says so
    return []


def check_live(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W013: the ASGI application does not take the pages' websockets."""
    name = _asgi_application()
    if not name or (text := _source(name.rpartition(".")[0])) is None:
        return []
    if "queuecore_dashboard" in text or "dashboard.asgi" in text:
        return []
    return [
        Warning(
            f"{name} does not serve the dashboard's websockets: pages ask for news instead.",
            hint="Write below it: from queuecore_dashboard.asgi import live; "
            "application = live(application)",
            id="queuecore.W013",
        )
    ]


def check_runserver(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W014: ``runserver`` would not serve the websockets that the project is made for."""
    if not settings.DEBUG:
        return []
    named = _asgi_application()
    text = _source(f"{settings.ROOT_URLCONF.rpartition('.')[0]}.asgi")
    wanted = named or (text is not None and "queuecore_dashboard" in text)
    missing = []
    if not apps.is_installed("daphne"):
        missing.append("'daphne' as the first of INSTALLED_APPS")
    if not named:
        missing.append("ASGI_APPLICATION")
    if not missing or not (wanted or apps.is_installed("daphne")):
        return []
    return [
        Warning(
            f"runserver serves no websockets without {' and '.join(missing)}.",
            hint="Pages ask for news instead. Another ASGI server needs neither: then silence "
            "this.",
            id="queuecore.W014",
        )
    ]


def _asgi_application() -> str:
    return str(getattr(settings, "ASGI_APPLICATION", None) or "")


def _source(module: str) -> str | None:
    """The text of a module; read and not imported, since that would make the application."""
    try:
        spec = find_spec(module)
        return Path(spec.origin).read_text() if spec and spec.origin else None
    except (ImportError, ValueError, OSError, UnicodeDecodeError):
        return None


CHECKS = (
    check_settings,
    check_htmx,
    check_login,
    check_templates,
    check_mount,
    check_live,
    check_runserver,
)
