"""The Django app: system checks, and the discovery of processors."""

from __future__ import annotations

from django.apps import AppConfig


class QueueCoreConfig(AppConfig):
    name = "queuecore"
    verbose_name = "QueueCore"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks

        checks.register_all()
