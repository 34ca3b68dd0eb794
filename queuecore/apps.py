"""The Django app: system checks, the discovery of processors, rights on record."""

from __future__ import annotations

from django.apps import AppConfig, apps
from django.core.exceptions import ImproperlyConfigured

# Permissions, groups and the record of what was done hang on them.
_NEEDED = ("django.contrib.auth", "django.contrib.contenttypes")


class QueueCoreConfig(AppConfig):
    name = "queuecore"
    verbose_name = "QueueCore"
    default_auto_field = "django.db.models.BigAutoField"

    def import_models(self) -> None:
        """Say what is missing where Django would name neither the app nor the cure."""
        try:
            super().import_models()
        except RuntimeError:
            missing = [name for name in _NEEDED if not apps.is_installed(name)]
            if not missing:
                raise
            raise ImproperlyConfigured(
                f"queuecore needs {' and '.join(map(repr, missing))} in INSTALLED_APPS: its "
                "permissions and its record of what was done belong to users and groups."
            ) from None

    def ready(self) -> None:
        from . import checks, grants, pauses  # noqa: F401 (it registers itself with the history)

        checks.register_all()
        grants.connect()
