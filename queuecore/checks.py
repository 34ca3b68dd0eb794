"""System checks: each has an id and a hint; none of them touches the network."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django.apps import AppConfig, apps
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.management import find_commands

from . import access, audit, conf, discovery, repeat, server_checks
from .backoff import load_strategy
from .dotted import load_function
from .errors import ConfigurationError, InvalidOption, did_you_mean
from .options import wire_options
from .wire import primary
from .wire.connections import get_connection


def register_all() -> None:
    """Register every check; called by the app's ``ready``."""
    for plain in (check_settings, check_processors, check_connections, check_runworker):
        register(linked(plain))
    deploy = register(Tags.security, deploy=True)
    of_settings = (audit.check_audit_keys, check_retention, check_password, check_cleartext)
    checks: tuple[Check, ...] = (*of_settings, check_embedded, *server_checks.CHECKS)
    for one in checks:
        deploy(linked(one))


Check = Callable[..., list[CheckMessage]]


def linked(check: Check) -> Check:
    """Let every hint of *check* end with the place that says more."""

    @functools.wraps(check)
    def with_links(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
        messages = check(app_configs, **kwargs)
        for one in messages:
            anchor = str(one.id).lower().replace(".", "")
            one.hint = f"{one.hint or ''} See docs/reference/checks.md#{anchor}".strip()
        return messages

    return with_links


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
    # Django's test runners turn DEBUG off; tests have a private server.
    state = getattr(sys.modules.get("django.test.utils"), "_TestState", None)
    testing = hasattr(state, "saved_data")
    if settings.connections["default"].url is None and not conf.debug() and not testing:
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


def check_connections(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """E005: a processor names a connection that is none."""
    try:
        settings, queues = conf.get_settings(), discovery.discover().queues
    except ConfigurationError:
        return []  # E001 or E003 says so
    return [
        Error(
            f"The processor of queue {found.queue!r} at "
            f"{', '.join(one.where for one in found.entries()) or 'TASKS'} names the connection "
            f"{found.alias!r}, which QUEUECORE['CONNECTIONS'] has not"
            f"{did_you_mean(found.alias, settings.connections)}.",
            hint="Nothing serves this queue before the connection has a URL there.",
            id="queuecore.E005",
        )
        for found in queues.values()
        if found.alias not in settings.connections
    ]


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


def check_password(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W102: a server of another machine is asked without a password."""
    return [
        Warning(
            f"The URL of connection {alias!r} has no password, and its server is on another "
            "machine.",
            hint="Whoever reaches the server can read, change and add jobs: give it a password "
            "(requirepass, or a user) and the URL, too: redis://user:password@host:6379/0.",
            id="queuecore.W102",
        )
        for alias, url in _far()
        if not urlsplit(_server(url)).password and "password" not in _options(url)
    ]


def check_cleartext(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W103: a server of another machine is spoken to in clear text."""
    return [
        Warning(
            f"Connection {alias!r} speaks to another machine without TLS.",
            hint="Whoever is between them can read jobs and the password. Use rediss:// "
            "(rediss+sentinel://, rediss+cluster://), or silence this where the network is yours "
            "alone.",
            id="queuecore.W103",
        )
        for alias, url in _far()
        if urlsplit(_server(url)).scheme == "redis"
    ]


def check_embedded(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """W104: jobs are kept in the embedded server."""
    try:
        settings = conf.get_settings()
    except ConfigurationError:
        return []  # E001 says so
    if settings.connections["default"].url is not None or not conf.debug():
        return []  # E002 says so
    return [
        Warning(
            "Jobs are kept in the embedded server, which is for development: it lives in the "
            "project's folder and ends with its last user.",
            hint="Set QUEUECORE['CONNECTIONS']['default']['URL'] or QUEUECORE_URL, and DEBUG to "
            "False.",
            id="queuecore.W104",
        )
    ]


def _far() -> list[tuple[str, str]]:
    """The connections whose server is on another machine, with their URLs."""
    try:
        connections = conf.get_settings().connections
    except ConfigurationError:
        return []  # E001 says so
    return [
        (alias, one.url)
        for alias, one in connections.items()
        if one.url is not None and any(map(_is_far, _hosts(one.url)))
    ]


def _hosts(url: str) -> list[str]:
    """The hosts that *url* names; none for a socket, or where E001 says what is wrong with it."""
    try:
        if primary.is_several(url):
            return [host for host, _ in primary.read(url).hosts]
        if url.startswith(("redis://", "rediss://")):
            return [urlsplit(url).hostname or "localhost"]
    except ValueError:
        pass
    return []


def _is_far(host: str) -> bool:
    return host not in ("localhost", "::1") and not host.startswith("127.")


def _server(url: str) -> str:
    """The URL of one server of those that *url* names."""
    return primary.read(url).server if primary.is_several(url) else url


def _options(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(_server(url)).query))
