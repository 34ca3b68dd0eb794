"""System checks: each has an id and a hint; none of them touches the network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.management import find_commands

from . import access, audit, conf, discovery, repeat
from .backoff import load_strategy
from .dotted import load_function
from .errors import ConfigurationError, InvalidOption
from .options import wire_options
from .wire.connections import get_connection


def register_all() -> None:
    """Register every check; called by the app's ``ready``."""
    register(check_settings)
    register(check_processors)
    register(check_runworker)
    register(Tags.security, deploy=True)(audit.check_audit_keys)
    register(Tags.security, deploy=True)(check_retention)


def check_settings(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E001: ``QUEUECORE`` cannot be read. E002: no server is named outside of DEBUG."""
    try:
        settings = conf.get_settings()
        for alias in settings.connections:
            get_connection(alias).check()
        if settings.worker.backoff_strategy:
            load_strategy(settings.worker.backoff_strategy)
        if settings.repeat_strategy:
            repeat.load_strategy(settings.repeat_strategy)
        if settings.telemetry is not None:
            load_function(settings.telemetry, "QUEUECORE['TELEMETRY']")
        access.check_settings()
        wire_options(settings.default_job_options, frozenset())
    except (ConfigurationError, InvalidOption) as error:
        where = (
            "" if isinstance(error, ConfigurationError) else "QUEUECORE['DEFAULT_JOB_OPTIONS']: "
        )
        return [
            Error(
                f"{where}{error}",
                hint="Correct what the text names; every key of QUEUECORE is optional.",
                id="queuecore.E001",
            )
        ]
    if settings.connections["default"].url is None and not conf.debug():
        return [
            Error(
                "No Redis is configured.",
                hint="Set QUEUECORE['CONNECTIONS']['default']['URL'] or the environment variable "
                "QUEUECORE_URL; the embedded server is for DEBUG only.",
                id="queuecore.E002",
            )
        ]
    return []


def check_processors(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E003: a ``processors.py`` or ``tasks.py`` cannot be imported, or two processors clash."""
    try:
        discovery.discover()
    except ConfigurationError as error:
        return [
            Error(
                str(error),
                hint="No worker starts before this is corrected.",
                id="queuecore.E003",
            )
        ]
    return []


def check_runworker(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W010: an app before queuecore owns a command ``runworker`` too."""
    for config in apps.get_app_configs():
        if config.name == "queuecore":
            break
        if "runworker" in find_commands(os.path.join(config.path, "management")):
            return [
                Warning(
                    f"'manage.py runworker' is the command of {config.name}, not of queuecore.",
                    hint="Put 'queuecore' before it in INSTALLED_APPS, or call 'queueworker'.",
                    id="queuecore.W010",
                )
            ]
    return []


def check_retention(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W011: completed jobs are kept for ever."""
    try:
        settings = conf.get_settings()
    except ConfigurationError:
        return []  # E001 says so
    if (
        "remove_on_complete" in settings.default_job_options
        or settings.worker.remove_on_complete is not None
    ):
        return []
    return [
        Warning(
            "Completed jobs are kept for ever, as BullMQ does by default.",
            hint="Set QUEUECORE['DEFAULT_JOB_OPTIONS'] = {'remove_on_complete': "
            "Keep(count=1000, age=7 * 86400)}, or remove_on_complete per job.",
            id="queuecore.W011",
        )
    ]
