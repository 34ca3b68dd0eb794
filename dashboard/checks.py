"""System checks of the dashboard's settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error

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
